/*
 * Parked requests: the kernel's question is kept, no thread waits, and whoever first has the
 * answer gives it: the service, an interrupt, or (for mere looks) the clock.
 *
 * Exactly one answer: parked_claim() is true once. Holds: one of whoever answers, one of who parked
 * it, one of each party that may still call (the link, the clock, a list of copiers). From
 * parked_arm() on the answer may be given at any moment, and req be gone.
 */
#ifndef GGFS_FS_PARKED_H
#define GGFS_FS_PARKED_H

#include "common/buf.h"
#include "fs/fs.h"

struct link_force;
struct parked;

/* Answers p->req; code 0 or a negative errno. p has been claimed, and is let go by the caller. */
typedef void parked_answer_fn(struct parked *p, int code);

struct parked {
	struct fs *fs;
	fuse_req_t req;
	struct inode *inode; /* held */
	parked_answer_fn *answer;
	pid_t pid;        /* of the caller */
	bool in_place;    /* needs work in place before the answer (in_place.h) */
	bool forces;      /* asks for a force where a look is usual (-o stat=force) */
	bool needs_ready; /* may not force: what is not here is -EDEADLK, and why says why */
	bool local_only;  /* may not have it forced where that costs */
	char *why;
	char *counted; /* the program that -o hold= counted this for; else NULL */
	atomic_bool claimed;
	atomic_bool looked; /* the look has ended, by an answer or the clock */
	atomic_uint holds;
	pthread_mutex_t lock; /* guards force */
	struct link_force *force;
	struct parked *next;  /* among an inode's copiers; its lock */
	struct digest object; /* where the bytes are, once they are */

	/* What was asked, as the answer needs it. */
	struct fuse_file_info fi;
	struct stat attr;
	int to_set;
	char *name;       /* of an attribute; of what is looked up */
	struct buf names; /* the backing file's attributes */
	size_t size;
};

/* With two holds: the answerer's, and the caller's own, to be dropped when all is under way. */
struct parked *parked_new(fuse_req_t req, struct inode *inode, parked_answer_fn *answer);
/* All that the answer needs is filled in: lets interrupts come. */
void parked_arm(struct parked *p);
void parked_hold(struct parked *p);
void parked_put(struct parked *p);
bool parked_claim(struct parked *p);
/* For who claimed: answers, and drops the answerer's hold. */
void parked_finish(struct parked *p, int code);

/* Asks the service what is known, bounded in time; then answers whatever came. */
void parked_look(struct parked *p);
/* Has the service force the file; then answers 0 (p->object is here) or the errno. */
void parked_force(struct parked *p);
/* For what is known to be here already: p->object is filled in. */
void parked_here(struct parked *p);

#endif
