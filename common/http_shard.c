#include "common/http_private.h"

#include <sys/epoll.h>

/* One of libcurl's descriptors, watched by the loop. */
struct http_socket {
	struct http_shard *shard;
	curl_socket_t fd;
	struct loop_watch *watch;
};

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
		http_transfer_finish(t);
		if (unknown)
			http_host_refuse_waiting(unknown);
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
	http_turn(http);
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

void http_shard_free(struct http_shard *shard)
{
	curl_multi_cleanup(shard->multi);
	loop_cancel(shard->timer);
	free(shard);
}

struct http_shard *http_shard_with_room(struct http *http)
{
	for (size_t i = 0; i < http->shard_count; i++)
		if (http->shards[i]->active < http->shards[i]->limit)
			return http->shards[i];
	return add_shard(http);
}
