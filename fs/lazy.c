#include "fs/lazy.h"

#include <fcntl.h>

#include "common/buf.h"
#include "engine/placeholder.h"
#include "fs/inode.h"
#include "fs/object.h"
#include "fs/tree.h"

static void lazy_forget_look(struct lazy *lazy)
{
	lazy->looked = false;
	lazy->size_guess = lazy->ref.kind == REF_BLOB ? lazy->ref.size_bytes : UINT64_MAX;
	free(steal(&lazy->stderr_tail));
	free(steal(&lazy->engine));
}

void lazy_free(struct lazy *lazy)
{
	if (!lazy)
		return;
	lazy_forget_look(lazy);
	ref_release(&lazy->ref);
	free(lazy->reason);
	free(lazy);
}

static void set_string(char **to, const char *text)
{
	free(*to);
	*to = text && *text ? xstrdup(text) : NULL;
}

/* What a look into the file found; the inode's lock is held. Takes *ref over. */
static void set_kind(struct inode *inode, enum kind kind, struct ref *ref, bool tree,
                     const char *reason)
{
	inode->kind = kind;
	if (kind == KIND_ORDINARY)
		return;
	if (!inode->lazy)
		inode->lazy = xcalloc(1, sizeof(struct lazy));
	struct lazy *lazy = inode->lazy;
	lazy->tree = tree;
	if (kind == KIND_DAMAGED || !ref_equal(&lazy->ref, ref)) {
		ref_release(&lazy->ref);
		lazy->ref = *ref;
		*ref = REF_INIT;
		lazy_forget_look(lazy);
		set_string(&lazy->reason, reason);
		lazy->unsaid = false;
	}
	/* The kernel may have the placeholder's own bytes. */
	inode->pages_stale = true;
}

static bool is_here(struct fs *fs, const struct ref *blob)
{
	struct stat st;
	/* A power loss may have cut it short: then the service makes it again. */
	return object_stat(fs, &blob->digest, &st) == 0 && (uint64_t)st.st_size == blob->size_bytes;
}

/* Reads the file if its size is a placeholder's, and notes what it is unless it changed meanwhile.
 */
static void inspect(struct fs *fs, struct inode *inode, const struct stat *st, uint32_t version)
{
	enum kind kind = KIND_ORDINARY;
	struct error err = ERROR_INIT;
	scoped_ref struct ref ref = REF_INIT;
	if (S_ISREG(st->st_mode) && st->st_size == PLACEHOLDER_SIZE) {
		scoped_fd int fd = inode_open(inode, O_RDONLY | O_NOATIME);
		if (fd < 0)
			fd = inode_open(inode, O_RDONLY);
		int r = fd < 0 ? fd : placeholder_read_fd(fd, st, &ref, &err);
		if (r == 0)
			kind = KIND_LAZY;
		else if (r == -EBADMSG)
			kind = KIND_DAMAGED;
	}
	bool tree = kind == KIND_LAZY && tree_is(fs, &ref);
	const struct ref blob = { .kind = kind == KIND_LAZY ? ref.kind : REF_THUNK,
		                  .digest = ref.digest,
		                  .size_bytes = ref.size_bytes };
	pthread_mutex_lock(&inode->lock);
	if (inode->version == version)
		set_kind(inode, kind, &ref, tree, kind == KIND_DAMAGED ? error_text(&err) : NULL);
	pthread_mutex_unlock(&inode->lock);
	/* Of bytes that are here nobody else knows more. */
	if (blob.kind == REF_BLOB && is_here(fs, &blob))
		lazy_remember_ready(fs, inode, &blob);
}

void lazy_detect(struct fs *fs, struct inode *inode, const struct stat *known)
{
	struct stat st;
	pthread_mutex_lock(&inode->lock);
	/* What is being written is ordinary until it is closed. */
	bool is_known = inode->kind != KIND_UNKNOWN || inode->writers > 0;
	uint32_t version = inode->version;
	pthread_mutex_unlock(&inode->lock);
	if (is_known)
		return;
	if (!known && inode_stat(inode, &st) < 0)
		return;
	inspect(fs, inode, known ? known : &st, version);
}

bool lazy_is(struct inode *inode)
{
	pthread_mutex_lock(&inode->lock);
	bool lazy = inode->kind == KIND_LAZY || inode->kind == KIND_DAMAGED;
	pthread_mutex_unlock(&inode->lock);
	return lazy;
}

bool lazy_is_tree(struct inode *inode)
{
	pthread_mutex_lock(&inode->lock);
	bool tree = inode->kind == KIND_LAZY && inode->lazy->tree;
	pthread_mutex_unlock(&inode->lock);
	return tree;
}

bool lazy_is_mistaken(struct inode *inode)
{
	return S_ISREG(inode->type) && lazy_is_tree(inode);
}

void lazy_remember_tree(struct fs *fs, struct inode *inode)
{
	scoped_ref struct ref ref = REF_INIT;
	pthread_mutex_lock(&inode->lock);
	bool lazy = inode->kind == KIND_LAZY;
	if (lazy) {
		ref_copy(&ref, &inode->lazy->ref);
		inode->lazy->tree = true;
	}
	pthread_mutex_unlock(&inode->lock);
	if (lazy)
		tree_remember(fs, &ref);
}

void lazy_changed(struct inode *inode)
{
	pthread_mutex_lock(&inode->lock);
	if (inode->kind == KIND_LAZY)
		inode->pages_stale = true;
	inode->kind = KIND_UNKNOWN;
	inode->version++;
	pthread_mutex_unlock(&inode->lock);
}

bool lazy_written(struct fs *fs, struct inode *inode)
{
	struct stat st;
	if (inode_stat(inode, &st) < 0 || st.st_size != PLACEHOLDER_SIZE) {
		lazy_changed(inode);
		return false;
	}
	/* What it was is believed until it is known anew: a lookup that comes between must not
	 * take a directory for a file. */
	pthread_mutex_lock(&inode->lock);
	if (inode->kind == KIND_LAZY)
		inode->pages_stale = true;
	uint32_t version = ++inode->version;
	pthread_mutex_unlock(&inode->lock);
	inspect(fs, inode, &st, version);
	return lazy_is(inode);
}

/* The inode's lock is held. */
static bool is_ready(const struct inode *inode)
{
	const struct lazy *lazy = inode->lazy;
	return inode->kind == KIND_LAZY && lazy->looked && lazy->state == STATE_READY;
}

double lazy_present(struct inode *inode, struct stat *st)
{
	double timeout_s = TIMEOUT_SETTLED_S;
	pthread_mutex_lock(&inode->lock);
	const struct lazy *lazy = inode->lazy;
	if (is_ready(inode)) {
		st->st_size = (off_t)lazy->size_bytes;
		st->st_blocks = lazy->blocks;
	} else if (inode->kind == KIND_LAZY) {
		st->st_size =
		        lazy->size_guess <= INT64_MAX ? (off_t)lazy->size_guess : LAZY_SIZE_UNKNOWN;
		st->st_blocks = 0;
		timeout_s = 0;
	}
	if (inode->kind == KIND_LAZY && lazy->copy_noted && st->st_nlink > 1)
		st->st_nlink--;
	pthread_mutex_unlock(&inode->lock);
	return st->st_nlink > 1 && timeout_s > 0 ? TIMEOUT_LINKED_S : timeout_s;
}

/* The inode's lock is held, and it is lazy. */
static void set_ready(struct lazy *lazy, const struct ref *ref, blkcnt_t blocks)
{
	lazy_forget_look(lazy);
	if (!lazy->unsaid)
		set_string(&lazy->reason, NULL);
	lazy->looked = true;
	lazy->state = STATE_READY;
	lazy->object = ref->digest;
	lazy->size_bytes = ref->size_bytes;
	lazy->blocks = blocks;
}

static blkcnt_t blocks_here(struct fs *fs, const struct digest *object)
{
	struct stat st;
	return object_stat(fs, object, &st) == 0 ? st.st_blocks : 0;
}

void lazy_remember_ready(struct fs *fs, struct inode *inode, const struct ref *ref)
{
	blkcnt_t blocks = blocks_here(fs, &ref->digest);
	pthread_mutex_lock(&inode->lock);
	if (inode->kind == KIND_LAZY && (ref->kind == REF_TREE) == S_ISDIR(inode->type))
		set_ready(inode->lazy, ref, blocks);
	pthread_mutex_unlock(&inode->lock);
}

/* The inode's lock is held, and it is lazy. */
static void set_look(struct fs *fs, struct lazy *lazy, const struct force_look *look)
{
	lazy_forget_look(lazy);
	lazy->looked = true;
	lazy->generation = atomic_load(&fs->generation);
	/* What is ready as the other of file and directory is not so as this. */
	lazy->state = look->state == STATE_READY ? STATE_UNFORCED : look->state;
	lazy->size_guess = look->size_guess;
	if (look->state == STATE_FAILED) {
		set_string(&lazy->reason, look->failure.reason);
		lazy->unsaid = false;
		set_string(&lazy->stderr_tail, look->failure.stderr_tail);
		set_string(&lazy->engine, look->failure.engine);
	}
}

void lazy_remember_look(struct fs *fs, struct inode *inode, const struct force_look *look)
{
	if (look->state == STATE_READY && (look->ref.kind == REF_TREE) == S_ISDIR(inode->type)) {
		lazy_remember_ready(fs, inode, &look->ref);
		return;
	}
	pthread_mutex_lock(&inode->lock);
	if (inode->kind == KIND_LAZY)
		set_look(fs, inode->lazy, look);
	pthread_mutex_unlock(&inode->lock);
}

void lazy_remember_reason(struct inode *inode, const char *reason)
{
	pthread_mutex_lock(&inode->lock);
	if (inode->lazy && reason) {
		set_string(&inode->lazy->reason, reason);
		inode->lazy->unsaid = false;
	}
	pthread_mutex_unlock(&inode->lock);
}

bool lazy_ready_object(struct fs *fs, struct inode *inode, struct digest *object)
{
	struct ref blob = { .kind = REF_BLOB };
	pthread_mutex_lock(&inode->lock);
	bool ready = is_ready(inode);
	if (ready) {
		blob.digest = *object = inode->lazy->object;
		blob.size_bytes = inode->lazy->size_bytes;
	}
	pthread_mutex_unlock(&inode->lock);
	return ready && is_here(fs, &blob);
}

bool lazy_look_is_fresh(struct fs *fs, struct inode *inode)
{
	pthread_mutex_lock(&inode->lock);
	bool fresh = is_ready(inode) || (inode->kind == KIND_LAZY && inode->lazy->looked &&
	                                 inode->lazy->generation == atomic_load(&fs->generation));
	pthread_mutex_unlock(&inode->lock);
	return fresh;
}

struct notice {
	struct fs *fs;
	struct inode *inode;
};

static void notify_task(void *arg)
{
	scoped_free struct notice *n = arg;
	fuse_lowlevel_notify_inval_inode(n->fs->session, ino_of(n->fs, n->inode), -1, 0);
	inode_put(n->fs, n->inode, 1, NULL);
}

void lazy_notify(struct fs *fs, struct inode *inode)
{
	struct notice *n = xmalloc(sizeof(*n));
	*n = (struct notice){ .fs = fs, .inode = inode };
	inode_hold(fs, inode);
	tasks_push(fs->quick, notify_task, n);
}

void lazy_settled(void *arg, const struct digest *thunk, int code)
{
	struct fs *fs = arg;
	(void)thunk, (void)code;
	atomic_fetch_add(&fs->generation, 1);
}

void lazy_reconnected(void *arg)
{
	struct fs *fs = arg;
	atomic_fetch_add(&fs->generation, 1);
}
