/* The HTTP server: POST / or /run with a request, GET /healthz. A thread a connection, which waits
 * for one of the pool's processes. */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "common/io.h"
#include "common/log.h"
#include "tools/worker.h"
#include "tools/worker_oidc.h"

enum {
	CONNECTIONS_PER_JOB = 4, /* kept-alive ones of several clients, and health checks */
	CONNECTIONS_SPARE = 32,
	IDLE_S = 120,
};

struct server {
	const struct worker_settings *settings;
	struct worker_pool *pool;
	struct net *net; /* for the issuer of ID tokens, as the rest; NULL without an audience */
	struct aws_config *config;
	struct oidc *oidc;
};

/* A request as it comes in. */
struct incoming {
	struct buf body;
	int64_t began_ms;
	bool too_large;
};

static enum MHD_Result reply(struct MHD_Connection *c, unsigned status, const char *type,
                             const void *bytes, size_t len)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
	        len, (void *)(uintptr_t)bytes, MHD_RESPMEM_MUST_COPY);
	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", type);
	if (status == MHD_HTTP_UNAUTHORIZED)
		MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
	enum MHD_Result r = MHD_queue_response(c, status, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result reply_text(struct MHD_Connection *c, unsigned status, const char *text)
{
	return reply(c, status, "text/plain", text, strlen(text));
}

/* In constant time, whatever was sent. */
static bool is_token(const char *token, const char *sent)
{
	size_t len = strlen(token);
	return strlen(sent) == len && CRYPTO_memcmp(sent, token, len) == 0;
}

/* 0: let in; else the status to answer with, and why in err. */
static unsigned refuse(const struct server *s, struct MHD_Connection *c, struct error *err)
{
	const char *token = s->settings->token;
	const char *sent = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
	if (!token && !s->oidc && s->settings->anonymous)
		return 0;
	if (!sent || strncasecmp(sent, "Bearer ", 7) != 0) {
		error_set(err, -EACCES, "no token");
		return MHD_HTTP_UNAUTHORIZED;
	}
	sent += 7;
	if (token && is_token(token, sent))
		return 0;
	int r = s->oidc ? oidc_check(s->oidc, sent, err) : error_set(err, -EACCES, "another token");
	return r == 0 ? 0 : r == -EAGAIN ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_UNAUTHORIZED;
}

static enum MHD_Result run(const struct server *s, struct MHD_Connection *c,
                           const struct incoming *in)
{
	scoped_buf struct buf answer = BUF_INIT;
	struct error err = ERROR_INIT;
	const char *text = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Ggfs-Timeout-Ms");
	long long timeout_ms = text ? strtoll(text, NULL, 10) : 0;
	struct worker_frame frame = { .len = in->body.len,
		                      .began_ms = in->began_ms,
		                      .answer_max = REMOTE_HTTP_BYTES_MAX };
	/* From when the request began to come in: its own way and its wait for a job count. */
	if (timeout_ms > 0 && timeout_ms <= WORKER_REQUEST_MS_MAX)
		frame.deadline_ms = in->began_ms + timeout_ms;
	int r = worker_pool_call(s->pool, &frame, in->body.data ? in->body.data : "", &answer,
	                         &err);
	if (r == 0)
		return reply(c, MHD_HTTP_OK, "application/json", answer.data, answer.len);
	log_error("%s", error_text(&err));
	return reply_text(
	        c, r == -ESHUTDOWN ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_INTERNAL_SERVER_ERROR,
	        error_text(&err));
}

static enum MHD_Result take_body(struct incoming *in, const char *bytes, size_t *len)
{
	if (in->body.len + *len > REMOTE_HTTP_BYTES_MAX)
		in->too_large = true;
	if (!in->too_large)
		buf_add(&in->body, bytes, *len);
	*len = 0;
	return MHD_YES;
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *c, const char *url,
                              const char *method, const char *version, const char *bytes,
                              size_t *len, void **state)
{
	const struct server *s = arg;
	struct incoming *in = *state;
	(void)version;
	if (!in) {
		/* Refused before the body is read. */
		bool is_run = strcmp(url, "/") == 0 || strcmp(url, "/run") == 0;
		if (strcmp(url, "/healthz") == 0 && strcmp(method, "GET") == 0)
			return reply_text(c, MHD_HTTP_OK, "ggfs-worker " GGFS_VERSION "\n");
		if (!is_run)
			return reply_text(c, MHD_HTTP_NOT_FOUND, "POST / is what there is\n");
		if (strcmp(method, "POST") != 0)
			return reply_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "POST\n");
		struct error err = ERROR_INIT;
		unsigned refusal = refuse(s, c, &err);
		if (refusal)
			return reply_text(c, refusal, error_text(&err));
		in = xcalloc(1, sizeof(*in));
		in->began_ms = now_ms();
		*state = in;
		return MHD_YES;
	}
	if (*len > 0)
		return take_body(in, bytes, len);
	if (in->too_large)
		return reply_text(c, MHD_HTTP_CONTENT_TOO_LARGE, "over the limit of a request\n");
	return run(s, c, in);
}

static void completed(void *arg, struct MHD_Connection *c, void **state,
                      enum MHD_RequestTerminationCode why)
{
	struct incoming *in = *state;
	(void)arg, (void)c, (void)why;
	if (!in)
		return;
	buf_release(&in->body);
	free(in);
	*state = NULL;
}

static int listen_at(struct server *s, struct MHD_Daemon **out)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		                       .sin_port = htons((uint16_t)s->settings->port) };
	if (inet_pton(AF_INET, s->settings->address, &address.sin_addr) != 1) {
		fprintf(stderr, "ggfs-worker: %s is no IPv4 address\n", s->settings->address);
		return -EINVAL;
	}
	unsigned connections = s->settings->jobs * CONNECTIONS_PER_JOB + CONNECTIONS_SPARE;
	*out = MHD_start_daemon(
	        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ITC, 0,
	        NULL, NULL, handle, s, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_CONNECTION_LIMIT,
	        connections, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
	        MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_END);
	if (!*out) {
		fprintf(stderr, "ggfs-worker: cannot listen at %s:%u\n", s->settings->address,
		        s->settings->port);
		return -EIO;
	}
	return 0;
}

static void announce(struct MHD_Daemon *daemon, const struct worker_settings *s)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
	printf("ggfs-worker: listening at %s:%u\n", s->address,
	       info ? (unsigned)info->port : s->port);
	fflush(stdout);
}

struct hurry {
	struct worker_pool *pool;
	const sigset_t *ends;
};

/* Told a second time, it waits for nothing. */
static void *hurry(void *arg)
{
	const struct hurry *h = arg;
	int number;
	sigwait(h->ends, &number);
	worker_pool_hurry(h->pool);
	return NULL;
}

static void drain(struct server *s, const sigset_t *ends)
{
	struct hurry h = { .pool = s->pool, .ends = ends };
	pthread_t thread;
	bool started = pthread_create(&thread, NULL, hurry, &h) == 0;
	worker_pool_drain(s->pool);
	if (started) {
		pthread_cancel(thread);
		pthread_join(thread, NULL);
	}
	worker_pool_free(s->pool);
	s->pool = NULL;
}

static int serve_until(struct server *s, const sigset_t *ends)
{
	struct MHD_Daemon *daemon;
	int number;
	if (listen_at(s, &daemon) < 0)
		return 1;
	announce(daemon, s->settings);
	sigwait(ends, &number);
	/* No new connection; what runs comes to its end and is answered. */
	int listening = (int)MHD_quiesce_daemon(daemon);
	if (listening >= 0)
		close(listening);
	drain(s, ends);
	MHD_stop_daemon(daemon);
	return 0;
}

static int start_oidc(struct server *s, struct error *err)
{
	const struct worker_settings *settings = s->settings;
	const struct jwt_policy policy = {
		.issuer = settings->issuer ? settings->issuer : OIDC_ISSUER_GOOGLE,
		.audience = settings->audience,
		.email = settings->email,
		.subject = settings->subject,
	};
	int r = settings->audience ? worker_net_new(&s->net, &s->config, err) : 0;
	return settings->audience && r == 0 ? oidc_new(s->net, &policy, &s->oidc, err) : r;
}

static void release(struct server *s)
{
	worker_pool_free(s->pool);
	oidc_free(s->oidc);
	net_free(s->net);
	aws_config_free(s->config);
}

int worker_serve(const struct worker_settings *settings)
{
	struct worker_settings own = *settings;
	struct server s = { .settings = &own };
	struct error err = ERROR_INIT;
	sigset_t ends;
	if (!own.token && !own.audience && !own.anonymous) {
		fprintf(stderr, "ggfs-worker: whoever reaches the port could run programs here: "
		                "--token-file, --audience, or --anonymous\n");
		return 2;
	}
	if (own.jobs == 0)
		own.jobs = (unsigned)get_nprocs();
	/* The token is the server's; functions' keepers come from processes that need none. */
	unsetenv("GGFS_WORKER_TOKEN");
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	signal(SIGPIPE, SIG_IGN);
	int status = 1;
	if (start_oidc(&s, &err) < 0 || worker_pool_new(&own, &s.pool, &err) < 0)
		fprintf(stderr, "ggfs-worker: %s\n", error_text(&err));
	else
		status = serve_until(&s, &ends);
	release(&s);
	return status;
}
