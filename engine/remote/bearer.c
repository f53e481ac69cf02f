#include "engine/remote/bearer.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/io.h"
#include "common/jwt.h"
#include "common/log.h"
#include "engine/remote/bring.h"

struct bearer {
	struct net *net;
	char *file, *url; /* at most one; the metadata server's */
	char *header;
	unsigned version;
	struct stat seen;  /* the file, when it was read */
	int64_t expires_s; /* by url */
	int64_t taken_ms;  /* when the token came */
	struct http_transfer *transfer;
	struct bearer_waiters waiters;
};

static void wipe(char **text)
{
	if (*text)
		explicit_bzero(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

static int take(struct bearer *b, const char *token, struct error *err)
{
	size_t len = strlen(token);
	for (size_t i = 0; i < len; i++)
		if (token[i] <= ' ' || token[i] > '~')
			return error_set(err, -EINVAL,
			                 "the worker's token is none: it holds blanks");
	if (len == 0 || len > BEARER_BYTES_MAX)
		return error_set(err, -EINVAL, "the worker's token is none: it has %zu bytes", len);
	char *header = xformat("Authorization: Bearer %s", token);
	b->taken_ms = now_ms();
	b->version += !b->header || strcmp(header, b->header) != 0;
	wipe(&b->header);
	b->header = header;
	return 0;
}

/* --- from a file -------------------------------------------------------------------------------
 */

static int read_file(struct bearer *b, struct error *err)
{
	scoped_buf struct buf text = BUF_INIT;
	struct stat st;
	if (stat(b->file, &st) < 0)
		return error_errno(err, "cannot find %s", b->file);
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "%s is no file", b->file);
	b->seen = st;
	int r = read_file_at(AT_FDCWD, b->file, &text, BEARER_BYTES_MAX, err);
	if (r < 0)
		return r;
	while (text.len && strchr("\r\n", text.data[text.len - 1]))
		text.data[--text.len] = '\0';
	r = take(b, text.data ? text.data : "", err);
	if (text.data)
		explicit_bzero(text.data, text.len);
	return r < 0 ? error_prefix(err, r, "%s", b->file) : 0;
}

static bool has_changed(const struct bearer *b)
{
	struct stat st;
	return stat(b->file, &st) == 0 &&
	       (st.st_ino != b->seen.st_ino || st.st_dev != b->seen.st_dev ||
	        st.st_size != b->seen.st_size || st.st_mtim.tv_sec != b->seen.st_mtim.tv_sec ||
	        st.st_mtim.tv_nsec != b->seen.st_mtim.tv_nsec);
}

/* What was read before stays where it cannot be: it may be in the middle of being replaced. */
static void read_again(struct bearer *b)
{
	struct error err = ERROR_INIT;
	if (read_file(b, &err) < 0)
		log_warning("the worker's token could not be read anew: %s", error_text(&err));
}

/* --- from the metadata server ------------------------------------------------------------------
 */

static char *url_of(const char *audience)
{
	static const char plain[] =
	        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
	const char *host = getenv("GCE_METADATA_HOST");
	struct buf b = BUF_INIT;
	/* "full": with the email, which the worker may ask for. */
	buf_add_format(&b,
	               "http://%s/computeMetadata/v1/instance/service-accounts/default/identity"
	               "?format=full&audience=",
	               host && *host ? host : "metadata.google.internal");
	for (const char *c = audience; *c; c++) {
		if (strchr(plain, *c))
			buf_add_char(&b, *c);
		else
			buf_add_format(&b, "%%%02X", (unsigned char)*c);
	}
	return buf_steal(&b, NULL);
}

static int take_answer(struct bearer *b, const struct http_response *r, struct error *err)
{
	struct jwt t = { 0 };
	if (r->code < 0)
		return error_set(err, r->fault == HTTP_FAULT_TIMEOUT ? -EAGAIN : -EACCES,
		                 "Google's metadata server: %s",
		                 r->reason ? r->reason : strerror(-r->code));
	if (r->status != 200)
		return error_set(err, r->status == 429 || r->status >= 500 ? -EAGAIN : -EACCES,
		                 "Google's metadata server gives no ID token: status %d",
		                 r->status);
	size_t len = r->body.len;
	while (len && strchr("\r\n", r->body.data[len - 1]))
		len--;
	int code = jwt_parse(len ? r->body.data : "", len, &t, err);
	if (code == 0) {
		scoped_free char *token = xstrndup(r->body.data, len);
		b->expires_s = t.expires_s;
		code = take(b, token, err);
		explicit_bzero(token, len);
	}
	jwt_release(&t);
	if (code < 0)
		error_prefix(err, code, "Google's metadata server");
	return code < 0 ? -EACCES : 0;
}

static void tell_all(struct bearer *b, int code, const char *reason)
{
	/* A list of its own: those who begin to wait meanwhile wait for another answer. */
	struct bearer_waiters waiters = LIST_HEAD_INITIALIZER(waiters);
	struct bearer_waiter *w;
	while ((w = LIST_FIRST(&b->waiters))) {
		LIST_REMOVE(w, link);
		LIST_INSERT_HEAD(&waiters, w, link);
	}
	while ((w = LIST_FIRST(&waiters))) {
		LIST_REMOVE(w, link);
		w->fn(w->arg, code, reason);
	}
}

static void answered(void *arg, struct http_response *r)
{
	struct bearer *b = arg;
	struct error err = ERROR_INIT;
	b->transfer = NULL;
	int code = take_answer(b, r, &err);
	tell_all(b, code, code < 0 ? error_text(&err) : NULL);
}

static void not_asked(void *arg)
{
	tell_all(arg, -EAGAIN, "Google's metadata server could not be asked");
}

static void fetch(struct bearer *b)
{
	static const char *const headers[] = { "Metadata-Flavor: Google" };
	const struct http_request request = {
		.method = "GET",
		.url = b->url,
		.headers = headers,
		.header_count = 1,
		.body_max = BEARER_BYTES_MAX,
		.direct = true,
		.connect_ms = BEARER_CONNECT_MS,
		.whole_ms = BEARER_FETCH_MS,
		.arg = b,
		.done = answered,
	};
	struct error err = ERROR_INIT;
	if (!b->transfer && http_start(net_http(b->net), &request, &b->transfer, &err) < 0)
		net_post(b->net, not_asked, b);
}

/* --- for those who ask -------------------------------------------------------------------------
 */

bool bearer_ready(struct bearer *b)
{
	if (b->file && has_changed(b))
		read_again(b);
	return !b->url ||
	       (b->header && wall_ns() / 1000000000 < b->expires_s - BEARER_REFRESH_BEFORE_S);
}

void bearer_wait(struct bearer *b, struct bearer_waiter *w)
{
	LIST_INSERT_HEAD(&b->waiters, w, link);
	fetch(b);
}

void bearer_leave(struct bearer_waiter *w)
{
	LIST_REMOVE(w, link);
}

const char *bearer_header(const struct bearer *b, unsigned *version)
{
	*version = b->version;
	return b->header;
}

bool bearer_refused(struct bearer *b, unsigned version)
{
	if (b->version != version)
		return true;
	if (b->file)
		read_again(b);
	bool old = b->url && now_ms() - b->taken_ms > BEARER_HOLD_MS;
	if (old)
		wipe(&b->header);
	return old || b->version != version;
}

/* --- the whole ---------------------------------------------------------------------------------
 */

int bearer_new(struct net *net, const struct bearer_options *options, struct bearer **out,
               struct error *err)
{
	struct bearer *b = xcalloc(1, sizeof(*b));
	int r = 0;
	b->net = net;
	LIST_INIT(&b->waiters);
	if (options->token) {
		r = take(b, options->token, err);
	} else if (options->file) {
		b->file = xstrdup(options->file);
		r = read_file(b, err);
	} else if (options->audience) {
		b->url = url_of(options->audience);
	}
	if (r < 0)
		bearer_free(b);
	else
		*out = b;
	return r;
}

static void stop(void *arg)
{
	struct bearer *b = arg;
	if (b->transfer)
		http_cancel(b->transfer);
}

void bearer_free(struct bearer *b)
{
	if (!b)
		return;
	if (b->url)
		net_run(b->net, stop, b);
	wipe(&b->header);
	free(b->file);
	free(b->url);
	free(b);
}
