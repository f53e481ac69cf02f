#include "fs/parked.h"

#include "common/io.h"
#include "engine/service/link.h"
#include "fs/in_place.h"
#include "fs/inode.h"
#include "fs/lazy.h"
#include "fs/policy.h"

void parked_hold(struct parked *p)
{
	atomic_fetch_add(&p->holds, 1);
}

void parked_put(struct parked *p)
{
	if (atomic_fetch_sub(&p->holds, 1) > 1)
		return;
	inode_put(p->fs, p->inode, 1, NULL);
	pthread_mutex_destroy(&p->lock);
	free(p->name);
	free(p->why);
	free(p->counted);
	buf_release(&p->names);
	free(p);
}

bool parked_claim(struct parked *p)
{
	return !atomic_exchange(&p->claimed, true);
}

void parked_finish(struct parked *p, int code)
{
	/* Waits for an interrupt's handler that is running, and lets no other begin. */
	fuse_req_interrupt_func(p->req, NULL, NULL);
	p->answer(p, code);
	parked_put(p);
}

/* Claimed and answered by fs->quick, for libfuse calls on_interrupt() with the request locked. */

static void interrupt_task(void *arg)
{
	struct parked *p = arg;
	if (parked_claim(p)) {
		/* Under the lock parked_force() has stored the handle, and force_done() has not
		 * begun to return, so the handle is good. */
		pthread_mutex_lock(&p->lock);
		bool withdrawn = p->force && link_force_cancel(p->fs->link, p->force);
		p->force = NULL;
		pthread_mutex_unlock(&p->lock);
		if (withdrawn)
			parked_put(p); /* the link's hold: it will not call */
		parked_finish(p, -EINTR);
	}
	parked_put(p);
}

static void on_interrupt(fuse_req_t req, void *arg)
{
	struct parked *p = arg;
	(void)req;
	parked_hold(p);
	tasks_push(p->fs->quick, interrupt_task, p);
}

struct parked *parked_new(fuse_req_t req, struct inode *inode, parked_answer_fn *answer)
{
	struct parked *p = xcalloc(1, sizeof(*p));
	p->fs = fs_of(req);
	p->req = req;
	p->inode = inode;
	p->answer = answer;
	p->pid = fuse_req_ctx(req)->pid;
	atomic_init(&p->holds, 2);
	pthread_mutex_init(&p->lock, NULL);
	inode_hold(p->fs, inode);
	return p;
}

void parked_arm(struct parked *p)
{
	fuse_req_interrupt_func(p->req, on_interrupt, p);
}

void parked_here(struct parked *p)
{
	if (p->in_place)
		in_place(p);
	else if (parked_claim(p))
		parked_finish(p, 0);
}

/* Ends a look, whether or not the service has said anything. */
static void look_settled(struct parked *p, int code)
{
	if (p->needs_ready) {
		code = lazy_ready_object(p->fs, p->inode, &p->object) ? 0 : -EDEADLK;
		if (code < 0)
			lazy_remember_reason(p->inode, p->why);
	}
	if (code == 0)
		parked_here(p);
	else if (parked_claim(p))
		parked_finish(p, code);
}

static void look_overdue(void *arg)
{
	struct parked *p = arg;
	if (!atomic_load(&p->claimed) && !atomic_exchange(&p->looked, true))
		look_settled(p, -ETIMEDOUT);
	parked_put(p);
}

static void look_done(void *arg, int code, const struct force_look *look)
{
	struct parked *p = arg;
	if (code == 0)
		lazy_remember_look(p->fs, p->inode, look);
	if (!atomic_exchange(&p->looked, true))
		look_settled(p, code);
	parked_put(p);
}

/* The file's ref, copied: it may be rewritten while the service is asked. False: not lazy now. */
static bool copy_ref(struct inode *inode, struct ref *out)
{
	pthread_mutex_lock(&inode->lock);
	bool lazy = inode->kind == KIND_LAZY;
	if (lazy)
		ref_copy(out, &inode->lazy->ref);
	pthread_mutex_unlock(&inode->lock);
	return lazy;
}

void parked_look(struct parked *p)
{
	scoped_ref struct ref ref = REF_INIT;
	if (!copy_ref(p->inode, &ref)) {
		look_settled(p, 0);
		return;
	}
	parked_hold(p);
	tasks_push_later(p->fs->quick, look_overdue, p);
	parked_hold(p);
	link_look(p->fs->link, &ref, look_done, p);
}

/* What a reader may be told (docs/lazy-files.md). EINTR and EAGAIN, unasked for, make programs try
 * for ever; "no such file" would be untrue of a file that is there. */
static int reader_code(int code)
{
	switch (-code) {
	case ENOENT:
	case EBADMSG:
	case EINTR:
	case EAGAIN:
	case EINVAL:
		return -EIO;
	case ESHUTDOWN:
		return -ENOTCONN;
	default:
		return code;
	}
}

static int take_answer(struct parked *p, const struct force_answer *answer)
{
	if (answer->code < 0) {
		lazy_remember_reason(p->inode, answer->reason);
		return reader_code(answer->code);
	}
	bool tree = answer->ref->kind == REF_TREE;
	if (tree && !S_ISDIR(p->inode->type)) {
		lazy_remember_tree(p->fs, p->inode);
		return -ESTALE; /* the kernel looks the name up again, and finds a directory */
	}
	if (!tree && S_ISDIR(p->inode->type)) {
		lazy_remember_reason(p->inode, "it was to be a directory, and a file was made");
		return -EIO;
	}
	lazy_remember_reason(p->inode, "");
	lazy_remember_ready(p->fs, p->inode, answer->ref);
	p->object = answer->ref->digest;
	return 0;
}

static void force_done(void *arg, const struct force_answer *answer)
{
	struct parked *p = arg;
	struct fs *fs = p->fs;
	struct inode *inode = p->inode;
	pthread_mutex_lock(&p->lock);
	p->force = NULL;
	pthread_mutex_unlock(&p->lock);
	if (p->counted)
		hold_answered(&fs->hold, p->counted, now_ms(),
		              answer->code == 0 && answer->memoised);
	int code = take_answer(p, answer);
	inode_hold(fs, inode);
	if (code == 0)
		parked_here(p);
	else if (parked_claim(p))
		parked_finish(p, code);
	/* After the answer: a notice may have to wait for a read that is under way. */
	lazy_notify(fs, inode);
	parked_put(p);
	inode_put(fs, inode, 1, NULL);
}

void parked_force(struct parked *p)
{
	scoped_ref struct ref ref = REF_INIT;
	char asker[POLICY_ASKER_SIZE];
	bool withdrawn = false;
	if (!copy_ref(p->inode, &ref)) {
		/* It has become ordinary: a directory is there; a file is looked up again. */
		if (parked_claim(p))
			parked_finish(p, S_ISDIR(p->inode->type) ? 0 : -ESTALE);
		return;
	}
	policy_asker(p->pid, asker);
	parked_hold(p);
	pthread_mutex_lock(&p->lock);
	p->force = link_force_start(p->fs->link, &ref, asker, p->fs->deadline_ms, p->local_only,
	                            force_done, p);
	if (atomic_load(&p->claimed)) { /* interrupted before there was anything to withdraw */
		withdrawn = link_force_cancel(p->fs->link, p->force);
		p->force = NULL;
	}
	pthread_mutex_unlock(&p->lock);
	if (withdrawn)
		parked_put(p);
}
