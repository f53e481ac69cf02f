#include "common/http_private.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>

#include "common/io.h"

enum {
	CONNECTIONS_MIN = 64,
	OTHER_DESCRIPTORS = 256, /* left for all else that the process does */
};

/* --- transfers --- */

static void link_transfer(struct http *http, struct http_transfer *t)
{
	t->next = http->transfers;
	if (t->next)
		t->next->previous = t;
	http->transfers = t;
	http->active++;
}

static void unlink_transfer(struct http *http, struct http_transfer *t)
{
	if (http->sweep_at == t)
		http->sweep_at = t->next;
	if (t->previous)
		t->previous->next = t->next;
	else
		http->transfers = t->next;
	if (t->next)
		t->next->previous = t->previous;
	http->active--;
}

void http_transfer_finish(struct http_transfer *t)
{
	http_transfer_leave_host(t);
	if (t->shard) {
		curl_multi_remove_handle(t->shard->multi, t->easy);
		t->shard->active--;
	}
	unlink_transfer(t->http, t);
	if (!t->canceled)
		t->request.done(t->request.arg, &t->response);
	http_transfer_free(t);
}

void http_turn(struct http *http)
{
	while (http->canceled) {
		struct http_transfer *t = http->canceled;
		http->canceled = t->next_canceled;
		http_transfer_finish(t);
	}
	for (struct http_host *host = http->hosts; host; host = host->next)
		http_host_admit(http, host);
	http_hosts_forget_idle(http);
}

void http_cancel(struct http_transfer *t)
{
	struct http *http = t->http;
	t->canceled = true;
	if (!http->inside) {
		http_transfer_finish(t);
		return;
	}
	t->next_canceled = http->canceled;
	http->canceled = t;
}

/* --- stalls --- */

static const char *overdue(struct http_transfer *t, int64_t now)
{
	const struct http_request *r = &t->request;
	if (!t->shard && now - t->started_ms >= r->connect_ms)
		return "no connection in time: the host's name is still being looked up";
	if (!t->shard || !r->stall_ms)
		return NULL;
	uint64_t moved = http_transfer_moved(t);
	if (moved != t->moved_bytes) {
		t->moved_bytes = moved;
		t->moved_ms = now;
	}
	return now - t->moved_ms >= r->stall_ms ? "nothing came or went for too long" : NULL;
}

static void arm_sweep(struct http *http);

static void on_sweep(void *arg)
{
	struct http *http = arg;
	http->sweep = NULL;
	int64_t now = now_ms();
	bool more = false;
	http->sweep_at = http->transfers;
	while (http->sweep_at) {
		struct http_transfer *t = http->sweep_at;
		http->sweep_at = t->next;
		more |= !t->shard || t->request.stall_ms;
		const char *sentence = overdue(t, now);
		if (!sentence)
			continue;
		http_transfer_fault(t, HTTP_FAULT_TIMEOUT, -ETIMEDOUT, sentence);
		http_transfer_finish(t);
	}
	if (more)
		arm_sweep(http);
	http_turn(http);
}

static void arm_sweep(struct http *http)
{
	if (!http->sweep)
		http->sweep = loop_after(http->loop, HTTP_SWEEP_MS, on_sweep, http);
}

int http_start(struct http *http, const struct http_request *request, struct http_transfer **out,
               struct error *err)
{
	if (http->closing)
		return error_set(err, -ECANCELED, "the HTTP client is being closed");
	if (http->active >= http->connections_max)
		return error_set(err, -EAGAIN, "%u connections are in use, all there may be",
		                 http->active);
	struct http_transfer *t;
	int r = http_transfer_new(http, request, &t, err);
	if (r < 0)
		return r;
	link_transfer(http, t);
	t->host = http_host_of(http, t->url);
	*t->host->waiting_end = t;
	t->host->waiting_end = &t->next_waiting;
	struct http_host *host = t->host;
	if (!http->inside)
		http_host_admit(http, host);
	if (host->waiting || request->stall_ms)
		arm_sweep(http);
	if (out)
		*out = t;
	return 0;
}

/* --- the client --- */

static pthread_once_t libcurl_once = PTHREAD_ONCE_INIT;

static void initialize_libcurl(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		abort();
}

static int raise_descriptors(unsigned wanted, unsigned *connections, struct error *err)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return error_errno(err, "cannot ask for the limit of descriptors");
	rlim_t needed = (rlim_t)wanted + OTHER_DESCRIPTORS;
	if (limit.rlim_cur < needed) {
		struct rlimit raised = limit;
		raised.rlim_cur = needed < limit.rlim_max ? needed : limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
			limit.rlim_cur = raised.rlim_cur;
	}
	/* Of few, a half. */
	rlim_t others =
	        limit.rlim_cur < 2 * OTHER_DESCRIPTORS ? limit.rlim_cur / 2 : OTHER_DESCRIPTORS;
	rlim_t room = limit.rlim_cur - others;
	if (room < CONNECTIONS_MIN && room < wanted)
		return error_set(err, -EMFILE,
		                 "too few descriptors for connections: the limit is %llu, the hard "
		                 "limit %llu (ulimit -n); at least %u are needed",
		                 (unsigned long long)limit.rlim_cur,
		                 (unsigned long long)limit.rlim_max, 2 * CONNECTIONS_MIN);
	*connections = room < wanted ? (unsigned)room : wanted;
	return 0;
}

/* Where distributions have their certificates; the first one that is there. */
static char *system_ca_bundle(void)
{
	static const char *const places[] = {
		"/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
		"/etc/ssl/cert.pem",
	};
	const char *named = secure_getenv("SSL_CERT_FILE");
	if (named && *named)
		return xstrdup(named);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (access(places[i], R_OK) == 0)
			return xstrdup(places[i]);
	return NULL;
}

int http_new(struct loop *loop, const struct http_options *options, struct http **out,
             struct error *err)
{
	pthread_once(&libcurl_once, initialize_libcurl);
	unsigned connections = options->connections_max;
	if (!connections || connections > HTTP_CONNECTIONS_MAX)
		connections = HTTP_CONNECTIONS_MAX;
	int r = raise_descriptors(connections, &connections, err);
	if (r < 0)
		return r;
	struct http *http = xcalloc(1, sizeof(*http));
	http->loop = loop;
	http->connections_max = connections;
	http->ca_bundle = options->ca_bundle ? xstrdup(options->ca_bundle) : system_ca_bundle();
	http->proxy = options->proxy ? xstrdup(options->proxy) : NULL;
	http->share = curl_share_init();
	if (!http->share)
		abort();
	curl_share_setopt(http->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
	curl_share_setopt(http->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	*out = http;
	return 0;
}

void http_free(struct http *http)
{
	if (!http)
		return;
	assert(!http->inside);
	http->closing = true;
	while (http->transfers) {
		struct http_transfer *t = http->transfers;
		http_transfer_fault(t, HTTP_FAULT_CANCELED, -ECANCELED, "the client was closed");
		http_transfer_finish(t);
	}
	http_hosts_forget_idle(http);
	for (size_t i = 0; i < http->pool_count; i++)
		curl_easy_cleanup(http->pool[i]);
	for (size_t i = 0; i < http->shard_count; i++)
		http_shard_free(http->shards[i]);
	curl_share_cleanup(http->share);
	loop_cancel(http->sweep);
	free(http->shards);
	free(http->ca_bundle);
	free(http->proxy);
	free(http);
}

unsigned http_connections_max(const struct http *http)
{
	return http->connections_max;
}
