/* What all stores share: hashing what goes in, verifying what comes out of those not trusted. */
#include "objstore/store.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/io.h"
#include "objstore/store_impl.h"

enum {
	STEP = 256 << 10,
	/* Files up to this size are read before anything is created: most are there already. */
	SMALL_FILE_MAX = 1 << 20,
};

struct store {
	const struct store_ops *ops;
	void *impl;
	bool distrusted;
};

struct store_put {
	struct store *store;
	void *put;
	struct hasher *hasher;
	uint64_t size_bytes;
	int failed; /* the first write that failed; 0 if none */
};

DEFINE_SCOPED(scoped_put_, struct store_put, store_put_abort)
DEFINE_SCOPED(scoped_hasher_, struct hasher, hasher_free)

struct store *store_new(const struct store_ops *ops, void *impl)
{
	struct store *s = xcalloc(1, sizeof(*s));
	s->ops = ops;
	s->impl = impl;
	return s;
}

void store_free(struct store *s)
{
	if (!s)
		return;
	s->ops->free(s->impl);
	free(s);
}

const struct store_ops *store_ops_of(const struct store *s, void **impl)
{
	*impl = s->impl;
	return s->ops;
}

static int mismatch(const struct store *s, const struct digest *want, const struct digest *actual,
		    struct error *err)
{
	return error_set(err, -EBADMSG, "%s store: blob %s has digest %s", s->ops->name,
			 digest_hex(want).text, digest_hex(actual).text);
}

int store_put_begin(struct store *s, struct store_put **out, struct error *err)
{
	void *put;
	int r = s->ops->put_begin(s->impl, NULL, &put, err);
	if (r < 0)
		return r;
	struct store_put *p = xcalloc(1, sizeof(*p));
	p->store = s;
	p->put = put;
	p->hasher = hasher_new();
	*out = p;
	return 0;
}

int store_put_write(struct store_put *p, const void *bytes, size_t len, struct error *err)
{
	if (p->failed)
		return error_set(err, p->failed, "an earlier write of this blob failed");
	int r = p->store->ops->put_write(p->put, bytes, len, err);
	if (r < 0) {
		p->failed = r;
		return r;
	}
	hasher_add(p->hasher, bytes, len);
	p->size_bytes += len;
	return 0;
}

void store_put_abort(struct store_put *p)
{
	if (!p)
		return;
	if (p->put)
		p->store->ops->put_discard(p->put);
	hasher_free(p->hasher);
	free(p);
}

/* Whether the blob is there in its full size. One of another size (cut short by a power loss) is
 * moved aside, so that what is put now takes its place. */
static int already_there(struct store *s, const struct digest *d, uint64_t size_bytes, bool *there,
			 struct error *err)
{
	uint64_t size_there;
	int r = (s->ops->put_has ? s->ops->put_has : s->ops->has)(s->impl, d, &size_there, err);
	*there = r == 0 && size_there == size_bytes;
	if (r == 0 && !*there)
		r = s->ops->quarantine(s->impl, d, err);
	return r == -ENOENT ? 0 : r;
}

static int commit(struct store_put *p, const struct digest *d, struct error *err)
{
	bool there;
	int r = already_there(p->store, d, p->size_bytes, &there, err);
	if (r < 0 || there)
		return r;
	return p->store->ops->put_commit(steal(&p->put), d, err);
}

int store_put_finish(struct store_put *p, const struct digest *expect, struct digest *out,
		     struct error *err)
{
	scoped(scoped_put_) struct store_put *owned = p;
	struct digest d;
	if (p->failed)
		return error_set(err, p->failed, "an earlier write of this blob failed");
	hasher_finish(p->hasher, &d);
	if (expect && !digest_equal(expect, &d))
		return mismatch(p->store, expect, &d, err);
	int r = commit(p, &d, err);
	if (r == 0)
		*out = d;
	return r;
}

int store_put_bytes(struct store *s, const void *bytes, size_t len, struct digest *out,
		    struct error *err)
{
	struct digest d;
	bool there;
	void *put;
	digest_of(&d, bytes, len);
	int r = already_there(s, &d, len, &there, err);
	if (r == 0 && !there) {
		r = s->ops->put_begin(s->impl, &d, &put, err);
		if (r < 0)
			return r;
		r = s->ops->put_write(put, bytes, len, err);
		if (r < 0)
			s->ops->put_discard(put);
		else
			r = s->ops->put_commit(put, &d, err);
	}
	if (r == 0)
		*out = d;
	return r;
}

static int cannot_read(int r, struct error *err)
{
	errno = -r;
	return error_errno(err, "cannot read the file that is to be stored");
}

/* -EAGAIN: the file has grown meanwhile. */
static int put_small(struct store *s, int fd, size_t expected_bytes, struct digest *out,
		     uint64_t *size_bytes, struct error *err)
{
	size_t capacity = expected_bytes + 1;
	scoped_free char *bytes = xmalloc(capacity);
	ssize_t n = pread_full(fd, bytes, capacity, 0);
	if (n < 0)
		return cannot_read((int)n, err);
	if ((size_t)n == capacity)
		return -EAGAIN;
	*size_bytes = (uint64_t)n;
	return store_put_bytes(s, bytes, (size_t)n, out, err);
}

static int copy_into(struct store_put *p, int fd, struct error *err)
{
	scoped_free char *bytes = xmalloc(STEP);
	for (;;) {
		ssize_t n = pread_full(fd, bytes, STEP, (off_t)p->size_bytes);
		if (n < 0)
			return cannot_read((int)n, err);
		int r = store_put_write(p, bytes, (size_t)n, err);
		if (r < 0 || n < STEP)
			return r;
	}
}

static int hash_fd(int fd, struct hasher *h, uint64_t *size_bytes, struct error *err)
{
	scoped_free char *bytes = xmalloc(STEP);
	for (;;) {
		ssize_t n = read_full(fd, bytes, STEP);
		if (n < 0) {
			errno = (int)-n;
			return error_errno(err, "cannot read the blob");
		}
		hasher_add(h, bytes, (size_t)n);
		*size_bytes += (uint64_t)n;
		if (n < STEP)
			return 0;
	}
}

/* The clone is hashed, not the original: only the clone cannot change any more. */
static int fill_from(struct store_put *p, int fd, struct error *err)
{
	const struct store_ops *ops = p->store->ops;
	int clone = ops->put_fd(p->put);
	int r = clone < 0 ? -EOPNOTSUPP : ops->put_clone(p->put, fd, err);
	if (r == -EOPNOTSUPP)
		return copy_into(p, fd, err);
	if (r < 0)
		return r;
	if (lseek(clone, 0, SEEK_SET) < 0)
		return error_errno(err, "cannot rewind the clone");
	return hash_fd(clone, p->hasher, &p->size_bytes, err);
}

static int put_large(struct store *s, int fd, struct digest *out, uint64_t *size_bytes,
		     struct error *err)
{
	scoped(scoped_put_) struct store_put *p = NULL;
	int r = store_put_begin(s, &p, err);
	if (r == 0)
		r = fill_from(p, fd, err);
	if (r < 0)
		return r;
	*size_bytes = p->size_bytes;
	return store_put_finish(steal(&p), NULL, out, err);
}

int store_put_fd(struct store *s, int fd, struct digest *out, uint64_t *size_bytes,
		 struct error *err)
{
	struct stat st;
	uint64_t size = 0;
	if (fstat(fd, &st) < 0)
		return error_errno(err, "cannot look at the file that is to be stored");
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "only a regular file can be stored");
	int r = -EAGAIN;
	if (st.st_size <= SMALL_FILE_MAX)
		r = put_small(s, fd, (size_t)st.st_size, out, &size, err);
	if (r == -EAGAIN)
		r = put_large(s, fd, out, &size, err);
	if (r == 0 && size_bytes)
		*size_bytes = size;
	return r;
}

/* An unnamed file for bytes that nobody may see before they are verified. */
static int open_spool(struct error *err)
{
	const char *base = getenv("TMPDIR");
	base = base && *base ? base : "/tmp";
	int fd = open(base, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	scoped_free char *path = xformat("%s/ggfs-spool-XXXXXX", base);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "cannot make a temporary file in %s", base);
	unlink(path);
	return fd;
}

static int reopen_read_only(int fd, struct error *err)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int again = open(path, O_RDONLY | O_CLOEXEC);
	return again < 0 ? error_errno(err, "cannot open a temporary file again") : again;
}

static int spool_verified(struct store *s, int from, const struct digest *d, struct error *err)
{
	scoped(scoped_hasher_) struct hasher *h = hasher_new();
	scoped_free char *bytes = xmalloc(STEP);
	scoped_fd int spool = open_spool(err);
	if (spool < 0)
		return spool;
	ssize_t n;
	do {
		n = read_full(from, bytes, STEP);
		if (n < 0) {
			errno = (int)-n;
			return error_errno(err, "%s store: cannot read blob %s", s->ops->name,
					   digest_hex(d).text);
		}
		hasher_add(h, bytes, (size_t)n);
		int r = write_full(spool, bytes, (size_t)n);
		if (r < 0) {
			errno = -r;
			return error_errno(err, "cannot write a temporary file");
		}
	} while (n == STEP);
	struct digest actual;
	hasher_finish(h, &actual);
	if (!digest_equal(&actual, d))
		return mismatch(s, d, &actual, err);
	return reopen_read_only(spool, err);
}

int store_get(struct store *s, const struct digest *d, struct error *err)
{
	int fd = s->ops->get(s->impl, d, err);
	if (fd < 0 || s->ops->trusted)
		return fd;
	scoped_fd int raw = fd;
	return spool_verified(s, raw, d, err);
}

static int read_verified(struct store *s, int fd, const struct digest *d, size_t max,
			 struct buf *b, struct error *err)
{
	size_t before = b->len;
	int r = read_all(fd, b, max > SIZE_MAX / 4 ? max : before + max);
	if (r == -EFBIG)
		return error_set(err, r, "blob %s is larger than the %zu bytes allowed",
				 digest_hex(d).text, max);
	if (r < 0) {
		errno = -r;
		return error_errno(err, "%s store: cannot read blob %s", s->ops->name,
				   digest_hex(d).text);
	}
	if (s->ops->trusted && !s->distrusted)
		return 0;
	struct digest actual;
	digest_of(&actual, b->data + before, b->len - before);
	return digest_equal(&actual, d) ? 0 : mismatch(s, d, &actual, err);
}

int store_get_bytes(struct store *s, const struct digest *d, size_t max, struct buf *b,
		    struct error *err)
{
	scoped_fd int fd = s->ops->get(s->impl, d, err);
	if (fd < 0)
		return fd;
	size_t before = b->len;
	int r = read_verified(s, fd, d, max, b, err);
	if (r < 0 && b->data) {
		b->len = before;
		b->data[before] = '\0';
	}
	return r;
}

void store_distrust(struct store *s)
{
	s->distrusted = true;
}

int store_has(struct store *s, const struct digest *d, uint64_t *size_bytes, struct error *err)
{
	uint64_t size;
	int r = s->ops->has(s->impl, d, &size, err);
	if (r == 0 && size_bytes)
		*size_bytes = size;
	return r;
}

int store_delete(struct store *s, const struct digest *d, struct error *err)
{
	return s->ops->remove(s->impl, d, err);
}

int store_verify(struct store *s, const struct digest *d, struct error *err)
{
	scoped_fd int fd = s->ops->get(s->impl, d, err);
	if (fd < 0)
		return fd;
	scoped(scoped_hasher_) struct hasher *h = hasher_new();
	struct digest actual;
	uint64_t size_bytes = 0;
	int r = hash_fd(fd, h, &size_bytes, err);
	if (r < 0)
		return r;
	hasher_finish(h, &actual);
	if (digest_equal(&actual, d))
		return 0;
	r = s->ops->quarantine(s->impl, d, err);
	if (r < 0 && r != -ENOENT)
		return r;
	return mismatch(s, d, &actual, err);
}

int store_iterate(struct store *s, store_visit_fn *visit, void *arg, struct error *err)
{
	return s->ops->iterate(s->impl, visit, arg, err);
}

int store_memo_put(struct store *s, const struct memo *memo, struct error *err)
{
	scoped_buf struct buf text = BUF_INIT;
	memo_encode(memo, &text);
	if (text.len > MEMO_BYTES_MAX || memo->count > MEMO_OUTPUTS_MAX)
		return error_set(err, -EFBIG, "the memo of thunk %s is too large",
				 digest_hex(&memo->thunk).text);
	return s->ops->memo_put(s->impl, &memo->thunk, text.data, text.len, err);
}

static int decode_memo(const struct buf *text, const struct digest *thunk, struct memo *out,
		       struct error *err)
{
	scoped_memo struct memo memo = MEMO_INIT;
	int r = memo_decode(text->data ? text->data : "", text->len, &memo, err);
	if (r < 0) {
		error_prefix(err, r, "the memo of thunk %s", digest_hex(thunk).text);
		if (err)
			err->code = -EBADMSG;
		return -EBADMSG;
	}
	if (!digest_equal(&memo.thunk, thunk))
		return error_set(err, -EBADMSG, "the memo of thunk %s is that of thunk %s",
				 digest_hex(thunk).text, digest_hex(&memo.thunk).text);
	*out = memo;
	memo = MEMO_INIT;
	return 0;
}

int store_memo_get(struct store *s, const struct digest *thunk, struct memo *out,
		   struct error *err)
{
	scoped_buf struct buf text = BUF_INIT;
	int r = s->ops->memo_get(s->impl, thunk, &text, err);
	if (r == -EFBIG)
		return error_set(err, -EBADMSG, "the memo of thunk %s is oversized",
				 digest_hex(thunk).text);
	return r < 0 ? r : decode_memo(&text, thunk, out, err);
}

int store_memo_delete(struct store *s, const struct digest *thunk, struct error *err)
{
	return s->ops->memo_remove(s->impl, thunk, err);
}

int store_memo_iterate(struct store *s, store_visit_fn *visit, void *arg, struct error *err)
{
	return s->ops->memo_iterate(s->impl, visit, arg, err);
}
