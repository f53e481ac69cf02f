#include "tools/lambda_local/web.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <net/if.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
	CONNECTION_MEMORY = 16 << 10, /* headers of both directions; the rest is heap */
	IDLE_CONNECTION_S = 350,      /* as AWS's front end keeps them */
	LISTEN_BACKLOG = 4096,
};

struct web {
	struct loop *loop;
	struct web_options options;
	struct MHD_Daemon *daemon;
	struct loop_watch *watch;
	struct loop_timer *timer;
	struct web_request *suspended;
	uint64_t connections_made;
	bool kicked;  /* the timer is due at once */
	bool cutting; /* a connection is to be closed, which takes another run */
	bool ending;
};

void web_answer_release(struct web_answer *a)
{
	strv_release(&a->headers);
	buf_release(&a->body);
	*a = (struct web_answer){ 0 };
}

const char *web_header(const struct web_request *r, const char *lower_name)
{
	size_t len = strlen(lower_name);
	for (size_t i = 0; i < r->headers.count; i++)
		if (strncmp(r->headers.items[i], lower_name, len) == 0 &&
		    strncmp(r->headers.items[i] + len, ": ", 2) == 0)
			return r->headers.items[i] + len + 2;
	return NULL;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *web_decode(const char *text, size_t len)
{
	struct buf b = BUF_INIT;
	for (size_t i = 0; i < len; i++) {
		int high = i + 2 < len ? hex_value(text[i + 1]) : -1;
		int low = i + 2 < len ? hex_value(text[i + 2]) : -1;
		if (text[i] != '%' || high < 0 || low < 0) {
			buf_add_char(&b, text[i]);
			continue;
		}
		buf_add_char(&b, (char)(high * 16 + low));
		i += 2;
	}
	return buf_steal(&b, NULL);
}

char *web_parameter(const struct web_request *r, const char *name)
{
	size_t name_len = strlen(name);
	for (const char *at = r->query; *at;) {
		size_t len = strcspn(at, "&");
		if (len >= name_len && strncmp(at, name, name_len) == 0 &&
		    (len == name_len || at[name_len] == '=')) {
			size_t skip = len == name_len ? name_len : name_len + 1;
			return web_decode(at + skip, len - skip);
		}
		at += len;
		at += *at == '&';
	}
	return NULL;
}

/* --- answering ------------------------------------------------------------------------------- */

static void suspend(struct web_request *r)
{
	struct web *web = r->web;
	r->suspended = true;
	r->previous = NULL;
	r->next = web->suspended;
	if (r->next)
		r->next->previous = r;
	web->suspended = r;
	MHD_suspend_connection(r->connection);
}

static void resume(struct web_request *r)
{
	if (r->previous)
		r->previous->next = r->next;
	else
		r->web->suspended = r->next;
	if (r->next)
		r->next->previous = r->previous;
	r->suspended = false;
	MHD_resume_connection(r->connection);
}

static void on_timer(void *arg);

/* libmicrohttpd notes what it is told, and does nothing about it before it is run again. */
static void kick(struct web *web)
{
	if (web->kicked)
		return;
	loop_cancel(web->timer);
	web->timer = loop_after(web->loop, 0, on_timer, web);
	web->kicked = true;
}

void web_answer(struct web_request *r, struct web_answer *a)
{
	struct web *web = r->web;
	r->answer = *a;
	*a = (struct web_answer){ 0 };
	r->answered = true;
	r->gone = NULL;
	if (!r->suspended)
		return;
	resume(r);
	kick(web);
}

/* Half of the body, then the end of the connection. */
static ssize_t read_half(void *arg, uint64_t at, char *bytes, size_t max)
{
	struct web_request *r = arg;
	size_t half = r->answer.body.len / 2;
	if (at >= half) {
		const union MHD_ConnectionInfo *info =
		        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
		/* libmicrohttpd may leave it open until something happens there. */
		if (info)
			shutdown(info->connect_fd, SHUT_RDWR);
		r->web->cutting = true;
		return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	size_t len = half - at < max ? half - at : max;
	memcpy(bytes, r->answer.body.data + at, len);
	return (ssize_t)len;
}

static enum MHD_Result queue_answer(struct web_request *r)
{
	struct web_answer *a = &r->answer;
	struct MHD_Response *response;
	if (a->cut == WEB_CUT_BEFORE) {
		r->web->cutting = true;
		return MHD_NO;
	}
	if (a->cut == WEB_CUT_MIDDLE) {
		response = MHD_create_response_from_callback(a->body.len, 4096, read_half, r, NULL);
	} else {
		size_t len;
		char *bytes = buf_steal(&a->body, &len);
		response = MHD_create_response_from_buffer(len, bytes, MHD_RESPMEM_MUST_FREE);
	}
	if (!response)
		return MHD_NO;
	for (size_t i = 0; i < a->headers.count; i++) {
		char *header = a->headers.items[i], *colon = strchr(header, ':');
		*colon = '\0';
		MHD_add_response_header(response, header, colon + 1 + strspn(colon + 1, " "));
	}
	enum MHD_Result result = MHD_queue_response(r->connection, a->status, response);
	MHD_destroy_response(response);
	return result;
}

/* --- what libmicrohttpd calls ------------------------------------------------------------------
 */

static void *begin(void *arg, const char *uri, struct MHD_Connection *connection)
{
	struct web_request *r = xcalloc(1, sizeof(*r));
	size_t path_len = strcspn(uri, "?");
	r->web = arg;
	r->connection = connection;
	r->path = xstrndup(uri, path_len);
	r->query = xstrdup(uri[path_len] ? uri + path_len + 1 : "");
	return r;
}

static enum MHD_Result add_header(void *arg, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
	struct strv *headers = arg;
	(void)kind;
	char *text = xformat("%s: %s", name, value ? value : "");
	for (char *c = text; *c != ':' && *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c |= 0x20;
	strv_add_take(headers, text);
	return MHD_YES;
}

static void collect(struct web_request *r, const char *bytes, size_t len)
{
	size_t room = r->web->options.body_max - r->body.len;
	if (len > room)
		r->too_large = true;
	buf_add(&r->body, bytes, len < room ? len : room);
}

static void whole(struct web_request *r)
{
	MHD_get_connection_values(r->connection, MHD_FOOTER_KIND, add_header, &r->trailers);
	const union MHD_ConnectionInfo *info =
	        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	socklen_t len = sizeof(r->address);
	if (!info || getsockname(info->connect_fd, (struct sockaddr *)&r->address, &len) < 0)
		r->address = (struct sockaddr_in){ 0 };
	r->web->options.handler(r->web->options.arg, r);
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_len, void **state)
{
	struct web_request *r = *state;
	(void)url;
	(void)version;
	(void)arg;
	if (r->web->ending)
		return MHD_NO;
	if (!r->method) {
		r->method = method;
		MHD_get_connection_values(connection, MHD_HEADER_KIND, add_header, &r->headers);
		return MHD_YES;
	}
	if (*upload_len) {
		collect(r, upload, *upload_len);
		*upload_len = 0;
		return MHD_YES;
	}
	if (!r->answered)
		whole(r);
	if (r->answered)
		return queue_answer(r);
	suspend(r);
	return MHD_YES;
}

static void completed(void *arg, struct MHD_Connection *connection, void **state,
                      enum MHD_RequestTerminationCode code)
{
	struct web_request *r = *state;
	(void)arg;
	(void)connection;
	(void)code;
	if (!r)
		return;
	if (r->gone)
		r->gone(r);
	free(r->path);
	free(r->query);
	strv_release(&r->headers);
	strv_release(&r->trailers);
	buf_release(&r->body);
	web_answer_release(&r->answer);
	free(r);
	*state = NULL;
}

static void notify_connection(void *arg, struct MHD_Connection *connection, void **socket_context,
                              enum MHD_ConnectionNotificationCode code)
{
	struct web *web = arg;
	(void)connection;
	(void)socket_context;
	web->connections_made += code == MHD_CONNECTION_NOTIFY_STARTED;
}

/* --- the loop ---------------------------------------------------------------------------------
 */

static void turn(struct web *web)
{
	loop_cancel(web->timer);
	web->timer = NULL;
	web->kicked = web->cutting = false;
	MHD_run(web->daemon);
	if (web->cutting)
		kick(web);
	if (web->kicked)
		return;
	MHD_UNSIGNED_LONG_LONG wait_ms;
	if (MHD_get_timeout(web->daemon, &wait_ms) == MHD_YES)
		web->timer = loop_after(web->loop, (int64_t)wait_ms, on_timer, web);
}

static void on_timer(void *arg)
{
	struct web *web = arg;
	web->timer = NULL;
	turn(web);
}

static void on_ready(void *arg, uint32_t events)
{
	(void)events;
	turn(arg);
}

int web_new(struct loop *loop, const struct web_options *options, struct web **out,
            struct error *err)
{
	struct web *web = xcalloc(1, sizeof(*web));
	*web = (struct web){ .loop = loop, .options = *options };
	web->daemon = MHD_start_daemon(
	        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TURBO, 0, NULL, NULL, handle,
	        web, MHD_OPTION_LISTEN_SOCKET, options->listen_fd, MHD_OPTION_CONNECTION_LIMIT,
	        options->connections_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
	        (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
	        (unsigned)IDLE_CONNECTION_S, MHD_OPTION_URI_LOG_CALLBACK, begin, web,
	        MHD_OPTION_NOTIFY_COMPLETED, completed, web, MHD_OPTION_NOTIFY_CONNECTION,
	        notify_connection, web, MHD_OPTION_END);
	if (!web->daemon) {
		close(options->listen_fd);
		free(web);
		return error_set(err, -EIO, "cannot start an HTTP server (libmicrohttpd)");
	}
	const union MHD_DaemonInfo *info =
	        MHD_get_daemon_info(web->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	int r = info ? loop_watch(loop, info->epoll_fd, EPOLLIN, on_ready, web, &web->watch, err)
	             : error_set(err, -EIO, "libmicrohttpd has no epoll descriptor");
	if (r < 0) {
		web_free(web);
		return r;
	}
	*out = web;
	return 0;
}

void web_free(struct web *web)
{
	if (!web)
		return;
	web->ending = true;
	/* libmicrohttpd aborts when it is stopped with suspended connections. */
	while (web->suspended)
		resume(web->suspended);
	MHD_run(web->daemon);
	loop_unwatch(web->watch);
	loop_cancel(web->timer);
	MHD_stop_daemon(web->daemon);
	free(web);
}

uint64_t web_connections_made(const struct web *web)
{
	return web->connections_made;
}

int web_listen(const char *address, bool loopback_only, unsigned *port, int *out, struct error *err)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons((uint16_t)*port) };
	if (inet_pton(AF_INET, address, &name.sin_addr) != 1)
		return error_set(err, -EINVAL, "'%s' is no IPv4 address", address);
	scoped_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_errno(err, "cannot create a socket");
	int on = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	static const char device[] = "lo";
	if (loopback_only &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, sizeof(device)) < 0)
		return error_errno(err, "cannot bind a socket to the loopback device");
	if (bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
		return error_errno(err, "cannot listen on %s, port %u", address, *port);
	if (listen(fd, LISTEN_BACKLOG) < 0)
		return error_errno(err, "cannot listen on %s, port %u", address, *port);
	socklen_t len = sizeof(name);
	if (getsockname(fd, (struct sockaddr *)&name, &len) < 0)
		return error_errno(err, "cannot ask a socket for its port");
	*port = ntohs(name.sin_port);
	*out = steal_fd(&fd);
	return 0;
}
