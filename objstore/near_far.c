/* Near over far: one store in front of another. */
#include "common/log.h"
#include "objstore/far.h"
#include "objstore/store_impl.h"

struct near_far {
	struct store *near, *far;
};

struct near_put {
	const struct store_ops *ops; /* the near store's */
	void *put;
};

static void near_far_free(void *impl)
{
	struct near_far *nf = impl;
	store_free(nf->near);
	store_free(nf->far);
	free(nf);
}

static int nf_put_begin(void *impl, const struct digest *hint, void **out, struct error *err)
{
	struct near_far *nf = impl;
	void *near_impl, *put;
	const struct store_ops *ops = store_ops_of(nf->near, &near_impl);
	int r = ops->put_begin(near_impl, hint, &put, err);
	if (r < 0)
		return r;
	struct near_put *p = xcalloc(1, sizeof(*p));
	*p = (struct near_put){ .ops = ops, .put = put };
	*out = p;
	return 0;
}

static int nf_put_write(void *impl, const void *bytes, size_t len, struct error *err)
{
	struct near_put *p = impl;
	return p->ops->put_write(p->put, bytes, len, err);
}

static int nf_put_commit(void *impl, const struct digest *d, struct error *err)
{
	scoped_free struct near_put *p = impl;
	return p->ops->put_commit(p->put, d, err);
}

static void nf_put_discard(void *impl)
{
	scoped_free struct near_put *p = impl;
	p->ops->put_discard(p->put);
}

static int nf_put_clone(void *impl, int fd, struct error *err)
{
	struct near_put *p = impl;
	return p->ops->put_clone(p->put, fd, err);
}

static int nf_put_fd(void *impl)
{
	struct near_put *p = impl;
	return p->ops->put_fd(p->put);
}

/* What the far store had stays here; it was verified when it came. */
static int fetch(struct near_far *nf, const struct digest *d, struct error *err)
{
	struct digest kept;
	scoped_fd int fd = store_get(nf->far, d, err);
	if (fd < 0)
		return fd;
	int r = store_put_fd(nf->near, fd, &kept, NULL, err);
	return r < 0 ? r : store_get(nf->near, d, err);
}

static int nf_get(void *impl, const struct digest *d, struct error *err)
{
	struct near_far *nf = impl;
	int fd = store_get(nf->near, d, err);
	return fd == -ENOENT ? fetch(nf, d, err) : fd;
}

static int nf_has(void *impl, const struct digest *d, uint64_t *size_bytes, struct error *err)
{
	struct near_far *nf = impl;
	int r = store_has(nf->near, d, size_bytes, err);
	return r == -ENOENT ? store_has(nf->far, d, size_bytes, err) : r;
}

static int nf_put_has(void *impl, const struct digest *d, uint64_t *size_bytes, struct error *err)
{
	struct near_far *nf = impl;
	return store_has(nf->near, d, size_bytes, err);
}

/* Gone from both; absent only when it was in neither. */
static int either(int near, int far)
{
	if (near < 0 && near != -ENOENT)
		return near;
	return far == -ENOENT ? near : far;
}

static int nf_remove(void *impl, const struct digest *d, struct error *err)
{
	struct near_far *nf = impl;
	int near = store_delete(nf->near, d, err);
	return near < 0 && near != -ENOENT ? near : either(near, store_delete(nf->far, d, err));
}

static int nf_quarantine(void *impl, const struct digest *d, struct error *err)
{
	struct near_far *nf = impl;
	void *near_impl;
	const struct store_ops *ops = store_ops_of(nf->near, &near_impl);
	return ops->quarantine(near_impl, d, err);
}

struct walk {
	struct near_far *nf;
	bool memos;
	store_visit_fn *visit;
	void *arg;
};

static bool is_near(const struct walk *w, const struct digest *d)
{
	scoped_memo struct memo memo = MEMO_INIT;
	return w->memos ? store_memo_get(w->nf->near, d, &memo, NULL) == 0
	                : store_has(w->nf->near, d, NULL, NULL) == 0;
}

static int visit_far(void *arg, const struct digest *d, uint64_t size_bytes)
{
	struct walk *w = arg;
	return is_near(w, d) ? 0 : w->visit(w->arg, d, size_bytes);
}

static int nf_iterate(void *impl, store_visit_fn *visit, void *arg, struct error *err)
{
	struct walk w = { .nf = impl, .visit = visit, .arg = arg };
	int r = store_iterate(w.nf->near, visit, arg, err);
	return r != 0 ? r : store_iterate(w.nf->far, visit_far, &w, err);
}

static int nf_memo_put(void *impl, const struct digest *thunk, const char *text, size_t len,
                       struct error *err)
{
	struct near_far *nf = impl;
	void *near_impl;
	const struct store_ops *ops = store_ops_of(nf->near, &near_impl);
	return ops->memo_put(near_impl, thunk, text, len, err);
}

static int nf_memo_get(void *impl, const struct digest *thunk, struct buf *text, struct error *err)
{
	struct near_far *nf = impl;
	scoped_memo struct memo memo = MEMO_INIT;
	struct error keep = ERROR_INIT;
	void *near_impl;
	const struct store_ops *ops = store_ops_of(nf->near, &near_impl);
	int r = ops->memo_get(near_impl, thunk, text, err);
	if (r != -ENOENT)
		return r;
	r = store_memo_get(nf->far, thunk, &memo, err);
	if (r < 0)
		return r;
	memo_encode(&memo, text);
	/* To keep it is a convenience: the memo is there whether or not there is room for it. */
	if (store_memo_put(nf->near, &memo, &keep) < 0)
		log_warning("a memo from the far store is not kept: %s", error_text(&keep));
	return 0;
}

static int nf_memo_remove(void *impl, const struct digest *thunk, struct error *err)
{
	struct near_far *nf = impl;
	int near = store_memo_delete(nf->near, thunk, err);
	return near < 0 && near != -ENOENT ? near
	                                   : either(near, store_memo_delete(nf->far, thunk, err));
}

static int nf_memo_iterate(void *impl, store_visit_fn *visit, void *arg, struct error *err)
{
	struct walk w = { .nf = impl, .memos = true, .visit = visit, .arg = arg };
	int r = store_memo_iterate(w.nf->near, visit, arg, err);
	return r != 0 ? r : store_memo_iterate(w.nf->far, visit_far, &w, err);
}

static const struct store_ops near_far_ops = {
	.name = "near over far",
	/* Both verify what they hand out, as far as they need to. */
	.trusted = true,
	.free = near_far_free,
	.put_begin = nf_put_begin,
	.put_write = nf_put_write,
	.put_commit = nf_put_commit,
	.put_discard = nf_put_discard,
	.put_clone = nf_put_clone,
	.put_fd = nf_put_fd,
	.get = nf_get,
	.has = nf_has,
	.put_has = nf_put_has,
	.remove = nf_remove,
	.quarantine = nf_quarantine,
	.iterate = nf_iterate,
	.memo_put = nf_memo_put,
	.memo_get = nf_memo_get,
	.memo_remove = nf_memo_remove,
	.memo_iterate = nf_memo_iterate,
};

int store_open_near_far(struct store *near, struct store *far, struct store **out,
                        struct error *err)
{
	(void)err;
	struct near_far *nf = xcalloc(1, sizeof(*nf));
	*nf = (struct near_far){ .near = near, .far = far };
	*out = store_new(&near_far_ops, nf);
	return 0;
}
