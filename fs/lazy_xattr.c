#include "fs/lazy_xattr.h"

#include <inttypes.h>
#include <linux/limits.h>
#include <string.h>

#include "common/io.h"
#include "engine/service/link.h"
#include "fs/lazy.h"
#include "fs/parked.h"
#include "fs/xattr.h"
#include "objstore/memo.h"
#include "objstore/store.h"

#define PREFIX "user.ggfs."

static const char *const names[] = {
	"state", "thunk",  "output", "digest",  "size",
	"error", "stderr", "engine", "seconds", "cost_usd",
};

bool lazy_xattr_is_ours(const char *name)
{
	return strncmp(name, PREFIX, sizeof(PREFIX) - 1) == 0;
}

/* A copy of what is known, so that the store can be read without the inode's lock. */
struct facts {
	enum kind kind;
	enum force_state state;
	bool looked;
	struct ref ref;
	struct digest object;
	uint64_t size_bytes; /* of the object */
	char *reason, *stderr_tail, *engine;
	struct memo memo; /* of a thunk that is ready; else without a thunk */
	bool has_memo;
};

static void facts_release(struct facts *f)
{
	ref_release(&f->ref);
	memo_release(&f->memo);
	free(f->reason);
	free(f->stderr_tail);
	free(f->engine);
}

static char *copy(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

/* The memo of the file's own thunk, as the store has it beside its objects. */
static bool read_memo(struct fs *fs, const struct digest *thunk, struct memo *out)
{
	scoped_buf struct buf text = BUF_INIT;
	scoped_free char *path =
	        xformat("memo%s", store_object_path(thunk).text + strlen("objects"));
	return read_file_at(fs->store_fd, path, &text, MEMO_BYTES_MAX, NULL) == 0 &&
	       memo_decode(text.data, text.len, out, NULL) == 0;
}

static void facts_gather(struct fs *fs, struct inode *inode, struct facts *f)
{
	memset(f, 0, sizeof(*f)); /* MEMO_INIT and REF_INIT are all zeros */
	pthread_mutex_lock(&inode->lock);
	const struct lazy *lazy = inode->lazy;
	f->kind = inode->kind;
	if (lazy) {
		f->looked = lazy->looked;
		f->state = lazy->state;
		ref_copy(&f->ref, &lazy->ref);
		f->object = lazy->object;
		f->size_bytes = lazy->size_bytes;
		f->reason = copy(lazy->reason);
		f->stderr_tail = copy(lazy->stderr_tail);
		f->engine = copy(lazy->engine);
	}
	pthread_mutex_unlock(&inode->lock);
	if (f->kind == KIND_LAZY && f->looked && f->state == STATE_READY &&
	    f->ref.kind == REF_THUNK)
		f->has_memo = read_memo(fs, &f->ref.digest, &f->memo);
}

static const char *state_name(const struct facts *f)
{
	static const char *const texts[] = { [STATE_UNFORCED] = "unforced",
		                             [STATE_FORCING] = "forcing",
		                             [STATE_READY] = "ready",
		                             [STATE_FAILED] = "failed" };
	if (f->kind == KIND_DAMAGED)
		return "failed";
	if (f->kind != KIND_LAZY)
		return "ordinary";
	return f->looked ? texts[f->state] : "unforced";
}

static int text_value(const char *text, struct buf *value)
{
	if (!text || !*text)
		return -ENODATA;
	buf_add_str(value, text);
	return 0;
}

static int output_value(const struct facts *f, struct buf *value)
{
	if (f->ref.kind != REF_THUNK)
		return -ENODATA;
	buf_add_str(value, f->ref.output);
	if (f->ref.selection)
		buf_add_format(value, "/%s", f->ref.selection);
	return 0;
}

/* The digest of the bytes, or of the directory's list; or their size, which stat tells only of
 * files. */
static int object_value(const struct facts *f, bool size, struct buf *value)
{
	bool ready = f->looked && f->state == STATE_READY;
	if (!ready && f->ref.kind == REF_THUNK)
		return -ENODATA;
	if (size)
		buf_add_format(value, "%" PRIu64, ready ? f->size_bytes : f->ref.size_bytes);
	else
		buf_add_str(value, digest_hex(ready ? &f->object : &f->ref.digest).text);
	return 0;
}

static int memo_value(const struct facts *f, const char *name, struct buf *value)
{
	if (!f->has_memo)
		return -ENODATA;
	if (strcmp(name, "seconds") == 0)
		buf_add_format(value, "%.6f", (double)f->memo.micros / 1e6);
	else
		buf_add_format(value, "%.9f", (double)f->memo.cost_nanodollars / 1e9);
	return 0;
}

/* The value of user.ggfs.NAME, or -ENODATA where it does not apply. */
static int value_of(const struct facts *f, const char *name, struct buf *value)
{
	bool is_thunk = f->kind == KIND_LAZY && f->ref.kind == REF_THUNK;
	if (strcmp(name, "state") == 0)
		return text_value(state_name(f), value);
	if (strcmp(name, "error") == 0)
		return text_value(f->reason, value);
	if (f->kind != KIND_LAZY)
		return -ENODATA;
	if (strcmp(name, "thunk") == 0)
		return text_value(is_thunk ? digest_hex(&f->ref.digest).text : NULL, value);
	if (strcmp(name, "output") == 0)
		return output_value(f, value);
	if (strcmp(name, "digest") == 0 || strcmp(name, "size") == 0)
		return object_value(f, name[0] == 's', value);
	if (strcmp(name, "stderr") == 0)
		return text_value(f->stderr_tail, value);
	if (strcmp(name, "engine") == 0)
		return text_value(f->has_memo ? f->memo.engine : f->engine, value);
	if (strcmp(name, "seconds") == 0 || strcmp(name, "cost_usd") == 0)
		return memo_value(f, name, value);
	return -ENODATA;
}

static void get_answer(struct parked *p, int code)
{
	scoped_buf struct buf value = BUF_INIT;
	struct facts facts;
	(void)code; /* what is known is told, whether or not it is news */
	facts_gather(p->fs, p->inode, &facts);
	int r = value_of(&facts, p->name, &value);
	facts_release(&facts);
	/* The kernel takes no longer values. */
	size_t len = value.len < XATTR_SIZE_MAX ? value.len : XATTR_SIZE_MAX;
	if (r < 0)
		fuse_reply_err(p->req, -r);
	else
		xattr_reply(p->req, value.data + (value.len - len), len, p->size);
}

static void list_answer(struct parked *p, int code)
{
	struct facts facts;
	(void)code;
	facts_gather(p->fs, p->inode, &facts);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		scoped_buf struct buf value = BUF_INIT;
		if (value_of(&facts, names[i], &value) < 0)
			continue;
		buf_add_str(&p->names, PREFIX);
		buf_add(&p->names, names[i], strlen(names[i]) + 1);
	}
	facts_release(&facts);
	xattr_reply(p->req, p->names.data, p->names.len, p->size);
}

/* A result stays one; everything else may have changed since somebody last asked. */
static void answer_when_known(struct fs *fs, struct parked *p)
{
	struct digest object;
	parked_arm(p);
	if (!lazy_ready_object(fs, p->inode, &object))
		parked_look(p);
	else if (parked_claim(p))
		parked_finish(p, 0);
	parked_put(p);
}

void lazy_xattr_get(struct fs *fs, fuse_req_t req, struct inode *inode, const char *name,
                    size_t size)
{
	struct parked *p = parked_new(req, inode, get_answer);
	p->name = xstrdup(name + sizeof(PREFIX) - 1);
	p->size = size;
	answer_when_known(fs, p);
}

void lazy_xattr_list(struct fs *fs, fuse_req_t req, struct inode *inode, const struct buf *own,
                     size_t size)
{
	struct parked *p = parked_new(req, inode, list_answer);
	buf_add(&p->names, own->data, own->len);
	p->size = size;
	answer_when_known(fs, p);
}

void lazy_xattr_get_ordinary(fuse_req_t req, const struct inode *inode, const char *name,
                             size_t size)
{
	static const char value[] = "ordinary";
	if (S_ISREG(inode->type) && strcmp(name, PREFIX "state") == 0)
		xattr_reply(req, value, sizeof(value) - 1, size);
	else
		fuse_reply_err(req, ENODATA);
}

int lazy_xattr_set(struct fs *fs, struct inode *inode, const char *name)
{
	scoped_ref struct ref ref = REF_INIT;
	if (strcmp(name, PREFIX "retry") != 0)
		return -EPERM;
	pthread_mutex_lock(&inode->lock);
	if (inode->kind == KIND_LAZY) {
		ref_copy(&ref, &inode->lazy->ref);
		free(steal(&inode->lazy->reason));
		inode->lazy->looked = inode->lazy->looked && inode->lazy->state == STATE_READY;
	}
	pthread_mutex_unlock(&inode->lock);
	if (ref.kind == REF_THUNK)
		link_retry(fs->link, &ref.digest);
	return 0;
}
