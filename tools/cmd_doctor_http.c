/* A worker that is an HTTP server: whether it is there, takes our token, and is of our version. */
#include <pthread.h>
#include <string.h>

#include "common/io.h"
#include "engine/remote/bearer.h"
#include "engine/remote/verdict.h"
#include "tools/cmd_doctor_cloud.h"

#define START_ANOTHER "start a ggfs-worker of ggfs " GGFS_VERSION " there"

enum { ANSWER_MAX = 1 << 20, HEALTH_MAX = 4096 };

/* Whether anybody is there. */
static bool check_health(struct doctor_cloud *d, const char *url)
{
	const char *host = strstr(url, "://") + 3;
	scoped_free char *health =
	        xformat("%.*s/healthz", (int)(host - url + (int)strcspn(host, "/?#")), url);
	struct http_response r = { 0 };
	const struct http_request request = { .method = "GET",
		                              .url = health,
		                              .body_max = HEALTH_MAX,
		                              .connect_ms = DOCTOR_CONNECT_MS,
		                              .whole_ms = DOCTOR_WHOLE_MS };
	bool there = net_call(d->session.net, &request, &r) == 0;
	const char *says = r.body.data ? r.body.data : "";
	size_t len = strcspn(says, "\r\n");
	if (!there)
		found(&d->findings, FINDING_FAILURE, "http",
		      "is it running, and the address right (ggfs config http.url)?", "%s",
		      r.reason ? r.reason : strerror(-r.code));
	else if (r.status != 200)
		found(&d->findings, FINDING_WARNING, "http", NULL,
		      "%s answers %d: something that lets through requests alone, perhaps", health,
		      r.status);
	else if (strncmp(says, "ggfs-worker " GGFS_VERSION, len) != 0 || len == 0)
		found(&d->findings, FINDING_FAILURE, "http", START_ANOTHER,
		      "%s says '%.*s', not 'ggfs-worker " GGFS_VERSION "'", health,
		      (int)(len < 64 ? len : 64), says);
	else
		found(&d->findings, FINDING_OK, "http", NULL, "%s at %.*s",
		      "ggfs-worker " GGFS_VERSION, (int)(strlen(health) - strlen("/healthz")),
		      health);
	http_response_release(&r);
	return there;
}

/* --- the token ---------------------------------------------------------------------------------
 */

/* Lives on the stack of the thread that waits. */
struct token_wait {
	struct bearer *bearer;
	struct bearer_waiter waiter;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done; /* guarded by lock, as those below */
	int code;
	char *header, *reason;
};

static void token_came(void *arg, int code, const char *reason)
{
	struct token_wait *w = arg;
	unsigned version;
	const char *header = code < 0 ? NULL : bearer_header(w->bearer, &version);
	pthread_mutex_lock(&w->lock);
	w->done = true;
	w->code = code;
	w->header = header ? xstrdup(header) : NULL;
	w->reason = reason ? xstrdup(reason) : NULL;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

static void ask_token(void *arg)
{
	struct token_wait *w = arg;
	w->waiter = (struct bearer_waiter){ .fn = token_came, .arg = w };
	if (bearer_ready(w->bearer))
		token_came(w, 0, NULL);
	else
		bearer_wait(w->bearer, &w->waiter);
}

/* As the engine asks with it; *header NULL: with none. */
static int get_token(struct doctor_cloud *d, char **header, struct error *err)
{
	const struct bearer_options options = { .file = doctor_setting(d, "http.token_file"),
		                                .audience = doctor_setting(d, "http.audience") };
	struct token_wait w = { .lock = PTHREAD_MUTEX_INITIALIZER,
		                .changed = PTHREAD_COND_INITIALIZER };
	int r = bearer_new(d->session.net, &options, &w.bearer, err);
	if (r < 0)
		return r;
	net_post(d->session.net, ask_token, &w);
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.changed, &w.lock);
	pthread_mutex_unlock(&w.lock);
	pthread_cond_destroy(&w.changed);
	pthread_mutex_destroy(&w.lock);
	if (w.code < 0)
		r = error_set(err, w.code, "%s", w.reason ? w.reason : "there is no token");
	*header = w.header;
	free(w.reason);
	bearer_free(w.bearer);
	return r;
}

/* --- requests ----------------------------------------------------------------------------------
 */

/* Whether the worker answered. */
static bool post(struct doctor_cloud *d, const char *url, const char *token, const struct buf *body,
                 const char *subject, struct http_response *r)
{
	struct verdict v = { 0 };
	scoped_free char *limit = xformat("Ggfs-Timeout-Ms: %d", DOCTOR_INVOKE_MS);
	const char *headers[] = { "Content-Type: application/json", limit, token };
	const struct http_request request = { .method = "POST",
		                              .url = url,
		                              .headers = headers,
		                              .header_count = token ? 3 : 2,
		                              .body = body->data,
		                              .body_len = body->len,
		                              .body_max = ANSWER_MAX,
		                              .connect_ms = DOCTOR_CONNECT_MS,
		                              .whole_ms = DOCTOR_INVOKE_MS };
	int64_t began_ms = now_ms();
	net_call(d->session.net, &request, r);
	long long ms = (long long)(now_ms() - began_ms);
	verdict_of_http(r, &v);
	bool answered = v.kind == VERDICT_ANSWER;
	if (answered)
		found(&d->findings, FINDING_OK, subject, NULL, "%s; %lld ms there and back",
		      token ? "it is taken" : "none is set, and none is asked for", ms);
	else
		found(&d->findings, FINDING_FAILURE, subject,
		      v.kind == VERDICT_DENIED ? "ggfs config http.token_file FILE, with the token "
		                                 "it was started with"
		                               : "its own log has more",
		      "%s", v.reason ? v.reason : "no answer");
	verdict_release(&v);
	return answered;
}

static void check_requests(struct doctor_cloud *d, const char *url, const char *token)
{
	struct doctor_request probe, run = { 0 };
	struct http_response first = { 0 }, second = { 0 };
	struct error err = ERROR_INIT;
	doctor_probe_init(d, &probe);
	bool well = post(d, url, token, &probe.text, "http token", &first) &&
	            doctor_probe_judge(d, &probe, &first, START_ANOTHER);
	if (well && doctor_run_init(d, &run, &err) < 0) {
		found(&d->findings, FINDING_WARNING, "http run", NULL, "not tried: %s",
		      error_text(&err));
	} else if (well) {
		doctor_hold_signals(d);
		if (post(d, url, token, &run.text, "http again", &second))
			doctor_run_judge(d, &run, &second);
		doctor_let_signals(d);
	}
	doctor_request_release(&probe);
	doctor_request_release(&run);
	http_response_release(&first);
	http_response_release(&second);
}

void doctor_http(struct doctor_cloud *d)
{
	const char *url = doctor_setting(d, "http.url");
	scoped_free char *token = NULL;
	struct error err = ERROR_INIT;
	d->whose = "http ";
	if (!check_health(d, url))
		return;
	if (get_token(d, &token, &err) < 0)
		found(&d->findings, FINDING_FAILURE, "http token",
		      "ggfs config http.token_file FILE, or http.audience on a machine of Google's",
		      "%s", error_text(&err));
	else
		check_requests(d, url, token);
	if (token)
		explicit_bzero(token, strlen(token));
}
