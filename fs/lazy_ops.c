/* What OPEN, GETATTR and SETATTR do to lazy files; fs/lazy.h. */
#include <fcntl.h>

#include "fs/attr.h"
#include "fs/dir.h"
#include "fs/in_place.h"
#include "fs/file.h"
#include "fs/inode.h"
#include "fs/lazy.h"
#include "fs/names.h"
#include "fs/object.h"
#include "fs/parked.h"
#include "fs/policy.h"

/*
 * Without passthrough the kernel takes the size of what is mapped from the attributes it has, and
 * exec maps without asking for them anew. Storing the last byte makes the size known before the
 * open is answered. Only from threads no read waits for: the page may be locked by one.
 */
static void tell_size(struct parked *p)
{
	struct fuse_bufvec last = FUSE_BUFVEC_INIT(1);
	struct stat st;
	char byte;
	if (atomic_load(&p->fs->passthrough) || object_stat(p->fs, &p->object, &st) < 0 ||
	    st.st_size == 0)
		return;
	scoped_fd int fd = object_open(p->fs, &p->object);
	if (fd < 0 || pread(fd, &byte, 1, st.st_size - 1) != 1)
		return;
	last.buf[0].mem = &byte;
	fuse_lowlevel_notify_store(p->fs->session, ino_of(p->fs, p->inode), st.st_size - 1, &last,
	                           0);
}

static void open_answer(struct parked *p, int code)
{
	if (code < 0) {
		fuse_reply_err(p->req, -code);
		return;
	}
	inode_hold(p->fs, p->inode);
	if (p->in_place) {
		file_open_reply(p->fs, p->req, p->inode, &p->fi, NULL);
	} else {
		tell_size(p);
		file_open_reply(p->fs, p->req, p->inode, &p->fi, &p->object);
	}
}

static bool is_damaged(struct inode *inode)
{
	pthread_mutex_lock(&inode->lock);
	bool damaged = inode->kind == KIND_DAMAGED;
	pthread_mutex_unlock(&inode->lock);
	return damaged;
}

/* A file about to be emptied is lazy no more, unless its object is just being copied into it. */
static bool make_ordinary(struct inode *inode)
{
	pthread_mutex_lock(&inode->lock);
	bool in_work = inode->lazy->in_work;
	if (!in_work) {
		inode->kind = KIND_ORDINARY;
		inode->version++;
		inode->pages_stale = true;
	}
	pthread_mutex_unlock(&inode->lock);
	return !in_work;
}

static void take_policy(struct parked *p)
{
	struct policy policy;
	policy_of(p->fs, fuse_req_ctx(p->req), &policy);
	p->needs_ready = policy.force == MOUNT_FORCE_OFF;
	p->local_only = policy.force == MOUNT_FORCE_LOCAL;
	if (p->needs_ready)
		p->why = xformat("nothing was forced: %s", policy.why);
	if (policy.counted)
		p->counted = xstrdup(policy.program);
}

/* Parks a request that needs the file's bytes, or the directory's names, as the policy of its
 * process allows. */
static void force_as_allowed(struct parked *p)
{
	take_policy(p);
	parked_arm(p);
	if (p->in_place && in_place_wait(p))
		return;
	if (p->needs_ready)
		parked_look(p);
	else
		parked_force(p);
}

void lazy_open(struct fs *fs, fuse_req_t req, struct inode *inode, struct fuse_file_info *fi)
{
	bool empties = fi->flags & O_TRUNC;
	bool writes = is_writable(fi->flags);
	struct digest object;
	if (empties && make_ordinary(inode)) {
		file_open_reply(fs, req, inode, fi, NULL);
		return;
	}
	if (!writes && !empties && lazy_ready_object(fs, inode, &object)) {
		file_open_reply(fs, req, inode, fi, &object);
		return;
	}
	if (is_damaged(inode)) {
		fuse_reply_err(req, EIO);
		inode_put(fs, inode, 1, NULL);
		return;
	}
	struct parked *p = parked_new(req, inode, open_answer);
	p->fi = *fi;
	p->in_place = writes || empties;
	force_as_allowed(p);
	parked_put(p);
	inode_put(fs, inode, 1, NULL); /* p holds it */
}

static void opendir_answer(struct parked *p, int code)
{
	if (code < 0)
		fuse_reply_err(p->req, -code);
	else
		dir_open_reply(p->req, p->inode, &p->fi);
}

static void lookup_answer(struct parked *p, int code)
{
	if (code < 0)
		fuse_reply_err(p->req, -code);
	else
		lookup_reply(p->req, p->inode, p->name);
}

/* Parks what needs the directory expanded. */
static void expand_first(struct parked *p)
{
	p->in_place = true;
	if (lazy_ready_object(p->fs, p->inode, &p->object)) {
		parked_arm(p);
		parked_here(p);
	} else {
		force_as_allowed(p);
	}
	parked_put(p);
}

void lazy_opendir(fuse_req_t req, struct inode *inode, const struct fuse_file_info *fi)
{
	struct parked *p = parked_new(req, inode, opendir_answer);
	p->fi = *fi;
	expand_first(p);
}

void lazy_lookup(fuse_req_t req, struct inode *inode, const char *name)
{
	struct parked *p = parked_new(req, inode, lookup_answer);
	p->name = xstrdup(name);
	expand_first(p);
}

static void getattr_answer(struct parked *p, int code)
{
	bool failed = p->forces && code < 0;
	if (failed)
		fuse_reply_err(p->req, -code);
	else
		attr_reply(p->fs, p->req, p->inode);
}

void lazy_getattr(struct fs *fs, fuse_req_t req, struct inode *inode)
{
	bool settled = lazy_look_is_fresh(fs, inode) || is_damaged(inode);
	struct digest object;
	bool forces = fs->options->stat_forces && !is_damaged(inode) &&
	              !lazy_ready_object(fs, inode, &object);
	if (settled && !forces) {
		attr_reply(fs, req, inode);
		return;
	}
	struct parked *p = parked_new(req, inode, getattr_answer);
	if (forces)
		take_policy(p);
	p->forces = forces && !p->needs_ready;
	p->needs_ready = false; /* who may not force is told what is known */
	parked_arm(p);
	if (p->forces)
		parked_force(p);
	else
		parked_look(p);
	parked_put(p);
}

static void truncate_answer(struct parked *p, int code)
{
	if (code == 0 && truncate(proc_path(p->inode->fd).text, p->attr.st_size) < 0)
		code = -errno;
	if (code == 0) {
		lazy_changed(p->inode);
		attr_set_reply(p->fs, p->req, p->inode, &p->attr, p->to_set);
	} else {
		fuse_reply_err(p->req, -code);
	}
}

void lazy_truncate(struct fs *fs, fuse_req_t req, struct inode *inode, const struct stat *attr,
                   int to_set)
{
	if (file_conflicts(inode, NULL)) {
		/* Open with its object: the others go on with an inode of their own. */
		inode_detach(fs, inode);
		fuse_reply_err(req, ESTALE);
		return;
	}
	if (attr->st_size == 0 && make_ordinary(inode)) {
		int r = truncate(proc_path(inode->fd).text, 0) < 0 ? -errno : 0;
		lazy_changed(inode);
		if (r < 0)
			fuse_reply_err(req, -r);
		else
			attr_set_reply(fs, req, inode, attr, to_set);
		return;
	}
	if (is_damaged(inode)) {
		fuse_reply_err(req, EIO);
		return;
	}
	struct parked *p = parked_new(req, inode, truncate_answer);
	p->attr = *attr;
	p->to_set = to_set;
	p->in_place = true;
	force_as_allowed(p);
	parked_put(p);
}
