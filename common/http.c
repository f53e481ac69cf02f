#include "common/http_private.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "common/io.h"

enum {
	CONNECTIONS_MIN = 64,
	OTHER_DESCRIPTORS = 256, /* left for all else that the process does */
};

/* One of libcurl's descriptors, watched by the loop. */
struct http_socket {
	struct http_shard *shard;
	curl_socket_t fd;
	struct loop_watch *watch;
};

static void turn(struct http *http);

/* --- shards: libcurl and the loop --- */

static void finish(struct http_transfer *t);
static void refuse_waiting(struct http_host *host);

/* Calls done for all that libcurl is through with. */
static void collect(struct http_shard *shard)
{
	CURLMsg *message;
	int left;
	while ((message = curl_multi_info_read(shard->multi, &left))) {
		if (message->msg != CURLMSG_DONE)
			continue;
		CURLcode result = message->data.result;
		struct http_transfer *t = NULL;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t);
		if (t->canceled) /* is about to be removed */
			continue;
		http_transfer_conclude(t, result);
		struct http_host *unknown =
		        t->response.fault == HTTP_FAULT_RESOLVE ? t->host : NULL;
		finish(t);
		if (unknown)
			refuse_waiting(unknown);
	}
}

static void drive(struct http_shard *shard, curl_socket_t fd, int events)
{
	int running;
	struct http *http = shard->http;
	http->inside = true;
	curl_multi_socket_action(shard->multi, fd, events, &running);
	http->inside = false;
	collect(shard);
	turn(http);
}

static void on_events(void *arg, uint32_t events)
{
	struct http_socket *s = arg;
	int mask = (events & EPOLLIN ? CURL_CSELECT_IN : 0) |
	           (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
	           (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
	drive(s->shard, s->fd, mask);
}

static int on_socket_wish(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	(void)easy;
	struct http_shard *shard = arg;
	struct http_socket *s = socket_arg;
	if (what == CURL_POLL_REMOVE) {
		if (s)
			loop_unwatch(s->watch);
		free(s);
		return 0;
	}
	uint32_t events =
	        (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
	if (s) {
		loop_watch_events(s->watch, events);
		return 0;
	}
	s = xcalloc(1, sizeof(*s));
	*s = (struct http_socket){ .shard = shard, .fd = fd };
	if (loop_watch(shard->http->loop, fd, events, on_events, s, &s->watch, NULL) < 0) {
		free(s);
		return -1;
	}
	curl_multi_assign(shard->multi, fd, s);
	return 0;
}

static void on_timer(void *arg)
{
	struct http_shard *shard = arg;
	shard->timer = NULL;
	drive(shard, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer_wish(CURLM *multi, long delay_ms, void *arg)
{
	(void)multi;
	struct http_shard *shard = arg;
	loop_cancel(steal(&shard->timer));
	if (delay_ms >= 0)
		shard->timer = loop_after(shard->http->loop, delay_ms, on_timer, shard);
	return 0;
}

static struct http_shard *add_shard(struct http *http)
{
	struct http_shard *shard = xcalloc(1, sizeof(*shard));
	shard->http = http;
	shard->multi = curl_multi_init();
	if (!shard->multi)
		abort();
	curl_multi_setopt(shard->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wish);
	curl_multi_setopt(shard->multi, CURLMOPT_SOCKETDATA, shard);
	curl_multi_setopt(shard->multi, CURLMOPT_TIMERFUNCTION, on_timer_wish);
	curl_multi_setopt(shard->multi, CURLMOPT_TIMERDATA, shard);
	curl_multi_setopt(shard->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
	/* Idle connections to some other host give way. All shards' limits together are the
	 * client's. */
	size_t left = http->connections_max - http->shard_count * HTTP_SHARD_CONNECTIONS;
	shard->limit = left < HTTP_SHARD_CONNECTIONS ? (unsigned)left : HTTP_SHARD_CONNECTIONS;
	curl_multi_setopt(shard->multi, CURLMOPT_MAXCONNECTS, (long)shard->limit);
	curl_multi_setopt(shard->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)shard->limit);
	array_grow(http->shards, http->shard_count, http->shard_capacity);
	http->shards[http->shard_count++] = shard;
	return shard;
}

static void free_shard(struct http_shard *shard)
{
	curl_multi_cleanup(shard->multi);
	loop_cancel(shard->timer);
	free(shard);
}

static struct http_shard *shard_with_room(struct http *http)
{
	for (size_t i = 0; i < http->shard_count; i++)
		if (http->shards[i]->active < http->shards[i]->limit)
			return http->shards[i];
	return add_shard(http);
}

/* --- hosts: whose name is being looked up --- */

static struct http_host *host_of(struct http *http, const char *url)
{
	const char *authority = strstr(url, "://") + 3;
	size_t len = (size_t)(authority - url) + strcspn(authority, "/?#");
	for (struct http_host *host = http->hosts; host; host = host->next)
		if (strncmp(host->key, url, len) == 0 && !host->key[len])
			return host;
	struct http_host *host = xcalloc(1, sizeof(*host));
	host->key = xstrndup(url, len);
	host->waiting_end = &host->waiting;
	host->next = http->hosts;
	http->hosts = host;
	return host;
}

static void forget_idle_hosts(struct http *http)
{
	struct http_host **at = &http->hosts;
	while (*at) {
		struct http_host *host = *at;
		if (host->looking_up || host->waiting) {
			at = &host->next;
			continue;
		}
		*at = host->next;
		free(host->key);
		free(host);
	}
}

void http_transfer_leave_host(struct http_transfer *t)
{
	if (!t->host)
		return;
	struct http_host *host = steal(&t->host);
	if (t->shard) {
		host->looking_up--;
		return;
	}
	struct http_transfer **at = &host->waiting;
	while (*at != t)
		at = &(*at)->next_waiting;
	*at = t->next_waiting;
	if (!*at)
		host->waiting_end = at;
}

/* Only memory can be wanting here: what libcurl thinks of the URL it says later. */
static void begin(struct http *http, struct http_host *host)
{
	struct http_transfer *t = host->waiting;
	host->waiting = t->next_waiting;
	if (!host->waiting)
		host->waiting_end = &host->waiting;
	host->looking_up++;
	t->shard = shard_with_room(http);
	t->shard->active++;
	if (http_transfer_prepare(t) < 0 ||
	    curl_multi_add_handle(t->shard->multi, t->easy) != CURLM_OK)
		abort();
}

static void admit(struct http *http, struct http_host *host)
{
	while (host->waiting && host->looking_up < HTTP_LOOKUPS_MAX)
		begin(http, host);
}

/* A name that is not known is not known to those either who wait for it. */
static void refuse_waiting(struct http_host *host)
{
	size_t count = 0; /* done may start more */
	for (struct http_transfer *t = host->waiting; t; t = t->next_waiting)
		count++;
	while (count-- > 0 && host->waiting) {
		struct http_transfer *t = host->waiting;
		http_transfer_fault(t, HTTP_FAULT_RESOLVE, -EHOSTUNREACH,
		                    "the host's name cannot be resolved");
		finish(t);
	}
}

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

/* Its connection is free for the next by the time done is called. */
static void finish(struct http_transfer *t)
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

/* What had to wait until libcurl returned. */
static void turn(struct http *http)
{
	while (http->canceled) {
		struct http_transfer *t = http->canceled;
		http->canceled = t->next_canceled;
		finish(t);
	}
	for (struct http_host *host = http->hosts; host; host = host->next)
		admit(http, host);
	forget_idle_hosts(http);
}

void http_cancel(struct http_transfer *t)
{
	struct http *http = t->http;
	t->canceled = true;
	if (!http->inside) {
		finish(t);
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
		finish(t);
	}
	if (more)
		arm_sweep(http);
	turn(http);
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
	t->host = host_of(http, t->url);
	*t->host->waiting_end = t;
	t->host->waiting_end = &t->next_waiting;
	struct http_host *host = t->host;
	if (!http->inside)
		admit(http, host);
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
		finish(t);
	}
	forget_idle_hosts(http);
	for (size_t i = 0; i < http->pool_count; i++)
		curl_easy_cleanup(http->pool[i]);
	for (size_t i = 0; i < http->shard_count; i++)
		free_shard(http->shards[i]);
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
