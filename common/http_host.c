#include "common/http_private.h"

#include <string.h>

struct http_host *http_host_of(struct http *http, const char *url)
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

void http_hosts_forget_idle(struct http *http)
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
	t->shard = http_shard_with_room(http);
	t->shard->active++;
	if (http_transfer_prepare(t) < 0 ||
	    curl_multi_add_handle(t->shard->multi, t->easy) != CURLM_OK)
		abort();
}

void http_host_admit(struct http *http, struct http_host *host)
{
	while (host->waiting && host->looking_up < HTTP_LOOKUPS_MAX)
		begin(http, host);
}

void http_host_refuse_waiting(struct http_host *host)
{
	size_t count = 0; /* done may start more */
	for (struct http_transfer *t = host->waiting; t; t = t->next_waiting)
		count++;
	while (count-- > 0 && host->waiting) {
		struct http_transfer *t = host->waiting;
		http_transfer_fault(t, HTTP_FAULT_RESOLVE, -EHOSTUNREACH,
		                    "the host's name cannot be resolved");
		http_transfer_finish(t);
	}
}
