/* A bucket as a store of the contract: the table of functions, blocking. */
#include <fcntl.h>
#include <sys/mman.h>

#include "common/io.h"
#include "objstore/far.h"
#include "objstore/s3_wait.h"
#include "objstore/s3_xml.h"

struct s3_put {
	struct s3 *s3;
	int fd;
	uint64_t size_bytes;
};

static void s3_store_free(void *impl)
{
	s3_close(impl);
	s3_free(impl);
}

static char *key_of(struct s3 *s3, const char *kind, const struct digest *d)
{
	return s3_key(s3_get_place(s3), kind, d);
}

static int absent(struct s3 *s3, const char *what, const struct digest *d, struct error *err)
{
	return error_set(err, -ENOENT, "%s %s is not in %s", what, digest_hex(d).text,
	                 s3_get_place(s3)->url);
}

/* --- putting ------------------------------------------------------------------------------- */

static int s3_put_begin(void *impl, const struct digest *hint, void **out, struct error *err)
{
	(void)hint;
	int fd = s3_spool_open(-1, err);
	if (fd < 0)
		return fd;
	struct s3_put *put = xcalloc(1, sizeof(*put));
	*put = (struct s3_put){ .s3 = impl, .fd = fd };
	*out = put;
	return 0;
}

static int s3_put_write(void *impl, const void *bytes, size_t len, struct error *err)
{
	struct s3_put *put = impl;
	int r = write_full(put->fd, bytes, len);
	put->size_bytes += len;
	if (r == 0)
		return 0;
	errno = -r;
	return error_errno(err, "cannot write a temporary file of the far store");
}

static void s3_put_discard(void *impl)
{
	close(((struct s3_put *)impl)->fd);
	free(impl);
}

static int s3_put_commit(void *impl, const struct digest *d, struct error *err)
{
	struct s3_put *put = impl;
	struct s3_body body = S3_BODY_INIT(-1);
	scoped_free char *key = key_of(put->s3, S3_OBJECTS, d);
	int r = s3_body_pack(&body, put->fd, d, FAR_MULTIPART_BYTES, err);
	if (r == 0)
		r = s3_call_send(put->s3, key, &body, true, err);
	s3_body_release(&body);
	s3_put_discard(put);
	return r == -EEXIST ? 0 : r;
}

static int s3_put_clone(void *impl, int fd, struct error *err)
{
	(void)impl, (void)fd;
	return error_set(err, -EOPNOTSUPP, "a far store clones nothing");
}

static int s3_put_fd(void *impl)
{
	(void)impl;
	return -1;
}

/* --- getting ------------------------------------------------------------------------------------
 */

struct writing {
	int fd;
};

static int write_out(void *arg, const void *bytes, size_t len, struct error *err)
{
	const struct writing *w = arg;
	int r = write_full(w->fd, bytes, len);
	if (r == 0)
		return 0;
	errno = -r;
	return error_errno(err, "cannot write a temporary file of the far store");
}

static int to_descriptor(struct s3_body *body, const struct s3_info *info, const struct digest *d,
                         struct error *err)
{
	if (info->zstd && info->plain_bytes == UINT64_MAX)
		return error_set(err, -EBADMSG, "blob %s is compressed and has no " S3_SIZE_HEADER,
		                 digest_hex(d).text);
	if (!info->zstd && body->fd >= 0) {
		int fd = steal_fd(&body->fd);
		if (lseek(fd, 0, SEEK_SET) == 0)
			return fd;
		close(fd);
		return error_errno(err, "cannot rewind a temporary file");
	}
	bool small = info->plain_bytes <= S3_MEMORY_BYTES;
	scoped_fd int fd = small ? memfd_create("ggfs-far", MFD_CLOEXEC) : s3_spool_open(-1, err);
	if (fd < 0)
		return small ? error_errno(err, "cannot make a temporary file") : fd;
	int r = s3_body_unpack(body, info->zstd, info->plain_bytes, write_out,
	                       &(struct writing){ fd }, err);
	if (r < 0)
		return r;
	return lseek(fd, 0, SEEK_SET) < 0 ? error_errno(err, "cannot rewind a temporary file")
	                                  : steal_fd(&fd);
}

static int s3_get(void *impl, const struct digest *d, struct error *err)
{
	struct s3_body body;
	struct s3_info info;
	scoped_free char *key = key_of(impl, S3_OBJECTS, d);
	int r = s3_call_fetch(impl, key, &body, &info, err);
	if (r == 0)
		r = to_descriptor(&body, &info, d, err);
	s3_body_release(&body);
	return r == -ENOENT ? absent(impl, "blob", d, err) : r;
}

static int s3_has(void *impl, const struct digest *d, uint64_t *size_bytes, struct error *err)
{
	struct s3_info info;
	scoped_free char *key = key_of(impl, S3_OBJECTS, d);
	int r = s3_call_look(impl, key, &info, err);
	if (r == 0)
		*size_bytes = info.plain_bytes;
	return r == -ENOENT ? absent(impl, "blob", d, err) : r;
}

/* --- removing --------------------------------------------------------------------------------- */

static int delete_key(struct s3 *s3, const char *key, struct error *err)
{
	return s3_call(s3, &(struct s3_request){ .method = "DELETE", .key = key }, NULL, err);
}

/* DELETE succeeds for what is absent as well, so it is asked for first. */
static int remove_kind(struct s3 *s3, const char *kind, const char *what, const struct digest *d,
                       struct error *err)
{
	struct s3_info info;
	scoped_free char *key = key_of(s3, kind, d);
	int r = s3_call_look(s3, key, &info, err);
	if (r == 0)
		r = delete_key(s3, key, err);
	return r == -ENOENT ? absent(s3, what, d, err) : r;
}

static int s3_remove(void *impl, const struct digest *d, struct error *err)
{
	return remove_kind(impl, S3_OBJECTS, "blob", d, err);
}

/* Copied by the service itself, then deleted. */
static int s3_quarantine(void *impl, const struct digest *d, struct error *err)
{
	const struct s3_place *place = s3_get_place(impl);
	scoped_free char *from = key_of(impl, S3_OBJECTS, d);
	scoped_free char *to = key_of(impl, S3_QUARANTINE, d);
	scoped_buf struct buf header = BUF_INIT;
	buf_add_format(&header, "x-amz-copy-source: /%s/", place->bucket);
	aws_uri_encode(from, true, &header);
	int r = s3_call(impl,
	                &(struct s3_request){ .method = "PUT",
	                                      .key = to,
	                                      .headers = (const char *const[]){ header.data },
	                                      .header_count = 1,
	                                      .late_error = true },
	                NULL, err);
	if (r == 0)
		r = delete_key(impl, from, err);
	return r == -ENOENT ? absent(impl, "blob", d, err) : r;
}

/* --- listing ------------------------------------------------------------------------------------
 */

static int next_page(struct s3 *s3, const char *kind, const char *token, struct s3_page *page,
                     struct error *err)
{
	scoped_buf struct buf query = BUF_INIT, body = BUF_INIT;
	scoped_free char *prefix = xformat("%s%s/", s3_get_place(s3)->prefix, kind);
	if (token) {
		buf_add_str(&query, "continuation-token=");
		aws_uri_encode(token, false, &query);
		buf_add_char(&query, '&');
	}
	buf_add_str(&query, "encoding-type=url&list-type=2&prefix=");
	aws_uri_encode(prefix, false, &query);
	int r = s3_call(s3,
	                &(struct s3_request){ .method = "GET",
	                                      .query = query.data,
	                                      .body_max = S3_PAGE_BYTES_MAX },
	                &body, err);
	return r < 0 ? r : s3_page_parse(body.data ? body.data : "", body.len, page, err);
}

static int walk(struct s3 *s3, const char *kind, store_visit_fn *visit, void *arg,
                struct error *err)
{
	scoped_free char *token = NULL;
	do {
		scoped(scoped_s3_page_) struct s3_page page = { 0 };
		int r = next_page(s3, kind, token, &page, err);
		for (size_t i = 0; r == 0 && i < page.count; i++) {
			struct digest d;
			if (s3_key_parse(s3_get_place(s3), kind, page.items[i].key, &d))
				r = visit(arg, &d, page.items[i].size_bytes);
		}
		if (r != 0)
			return r;
		free(token);
		token = steal(&page.next);
	} while (token);
	return 0;
}

static int s3_iterate(void *impl, store_visit_fn *visit, void *arg, struct error *err)
{
	return walk(impl, S3_OBJECTS, visit, arg, err);
}

/* --- memos --------------------------------------------------------------------------------------
 */

static int s3_memo_put(void *impl, const struct digest *thunk, const char *text, size_t len,
                       struct error *err)
{
	static const char *const headers[] = { "Content-Type: text/plain; charset=utf-8" };
	scoped_free char *key = key_of(impl, S3_MEMOS, thunk);
	return s3_call(impl,
	               &(struct s3_request){ .method = "PUT",
	                                     .key = key,
	                                     .headers = headers,
	                                     .header_count = 1,
	                                     .body = text,
	                                     .body_len = len },
	               NULL, err);
}

static int s3_memo_get(void *impl, const struct digest *thunk, struct buf *text, struct error *err)
{
	scoped_free char *key = key_of(impl, S3_MEMOS, thunk);
	scoped_buf struct buf body = BUF_INIT;
	int r = s3_call(
	        impl,
	        &(struct s3_request){ .method = "GET", .key = key, .body_max = MEMO_BYTES_MAX },
	        &body, err);
	if (r == 0 && body.len > 0)
		buf_add(text, body.data, body.len);
	return r == -ENOENT ? absent(impl, "the memo of thunk", thunk, err) : r;
}

static int s3_memo_remove(void *impl, const struct digest *thunk, struct error *err)
{
	return remove_kind(impl, S3_MEMOS, "the memo of thunk", thunk, err);
}

static int s3_memo_iterate(void *impl, store_visit_fn *visit, void *arg, struct error *err)
{
	return walk(impl, S3_MEMOS, visit, arg, err);
}

static const struct store_ops s3_store_ops = {
	.name = "s3",
	.trusted = false,
	.free = s3_store_free,
	.put_begin = s3_put_begin,
	.put_write = s3_put_write,
	.put_commit = s3_put_commit,
	.put_discard = s3_put_discard,
	.put_clone = s3_put_clone,
	.put_fd = s3_put_fd,
	.get = s3_get,
	.has = s3_has,
	.remove = s3_remove,
	.quarantine = s3_quarantine,
	.iterate = s3_iterate,
	.memo_put = s3_memo_put,
	.memo_get = s3_memo_get,
	.memo_remove = s3_memo_remove,
	.memo_iterate = s3_memo_iterate,
};

int store_open_s3(struct aws *aws, const struct far_options *options, struct store **out,
                  struct error *err)
{
	struct s3 *s3;
	int r = s3_new(aws, options, &s3, err);
	if (r == 0)
		*out = store_new(&s3_store_ops, s3);
	return r;
}
