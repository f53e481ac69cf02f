#include "fs/in_place.h"

#include "fs/copy_up.h"
#include "fs/expand.h"
#include "fs/inode.h"
#include "fs/lazy.h"

typedef int in_place_fn(struct fs *fs, struct inode *inode, const struct ref *ref,
                        const struct digest *object);

/* Ends the work: answers all who waited for it. */
static void finish_all(struct inode *inode, int code)
{
	pthread_mutex_lock(&inode->lock);
	struct parked *p = inode->lazy->waiters, *next;
	inode->lazy->waiters = NULL;
	inode->lazy->in_work = false;
	if (code == 0) {
		/* A directory is one now, and never looked into again. */
		inode->kind = S_ISDIR(inode->type) ? KIND_ORDINARY : KIND_UNKNOWN;
		inode->version++;
		inode->pages_stale = true;
	} else {
		inode->lazy->looked = false; /* for the next the service finds out what is wrong */
		inode->lazy->unsaid = inode->lazy->reason != NULL;
	}
	pthread_mutex_unlock(&inode->lock);
	for (; p; p = next) {
		next = p->next;
		if (parked_claim(p))
			parked_finish(p, code);
		parked_put(p);
	}
}

struct job {
	struct fs *fs;
	struct inode *inode;
	struct ref ref;
	struct digest object;
};

static void work(void *arg)
{
	scoped_free struct job *job = arg;
	in_place_fn *fn = S_ISDIR(job->inode->type) ? expand : copy_up;
	int r = fn(job->fs, job->inode, &job->ref, &job->object);
	finish_all(job->inode, r);
	lazy_notify(job->fs, job->inode);
	inode_put(job->fs, job->inode, 1, NULL);
	ref_release(&job->ref);
}

/* The inode's lock is held. */
static void join(struct parked *p)
{
	parked_hold(p);
	p->next = p->inode->lazy->waiters;
	p->inode->lazy->waiters = p;
}

bool in_place_wait(struct parked *p)
{
	pthread_mutex_lock(&p->inode->lock);
	bool in_work = p->inode->lazy && p->inode->lazy->in_work;
	if (in_work)
		join(p);
	pthread_mutex_unlock(&p->inode->lock);
	return in_work;
}

void in_place(struct parked *p)
{
	struct inode *inode = p->inode;
	struct job *job = NULL;
	pthread_mutex_lock(&inode->lock);
	bool lazy = inode->kind == KIND_LAZY;
	if (lazy) {
		if (!inode->lazy->in_work) {
			inode->lazy->in_work = true;
			job = xcalloc(1, sizeof(*job));
			*job = (struct job){ .fs = p->fs, .inode = inode, .object = p->object };
			ref_copy(&job->ref, &inode->lazy->ref);
		}
		join(p);
	}
	pthread_mutex_unlock(&inode->lock);
	if (!lazy && parked_claim(p))
		parked_finish(p, 0); /* it has become ordinary meanwhile */
	if (job) {
		inode_hold(p->fs, inode);
		tasks_push(p->fs->slow, work, job);
	}
}
