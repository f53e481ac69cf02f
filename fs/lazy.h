/*
 * Which files are lazy, and what is known of them. A file is lazy when its bytes are a placeholder;
 * nothing else says so, hence this is looked up again whenever its bytes may have changed.
 *
 * What the service said of a lazy file is remembered: a result for as long as the connection lasts,
 * everything else until anything settles anywhere (fs->generation).
 */
#ifndef GGFS_FS_LAZY_H
#define GGFS_FS_LAZY_H

#include "engine/force.h"
#include "fs/fs.h"

/* Shown while nobody knows better. */
enum { LAZY_SIZE_UNKNOWN = 4096 };

/* All of it is guarded by the inode's lock. */
struct lazy {
	struct ref ref;
	bool tree;    /* it stands for a directory */
	char *reason; /* of damage, or of the last open that failed; may be NULL */
	bool unsaid;  /* the reason is of work in place, of which the service knows nothing */
	bool looked;  /* what follows was learnt when fs->generation was this */
	uint64_t generation;
	enum force_state state;
	struct digest object; /* STATE_READY: where its bytes are */
	uint64_t size_bytes;  /* STATE_READY */
	blkcnt_t blocks;      /* of the object here; 0: not here */
	uint64_t size_guess;  /* else; UINT64_MAX: unknown */
	char *stderr_tail;    /* STATE_FAILED; may be NULL */
	char *engine;         /* likewise */
	bool in_work;         /* see in_place.h; who needs the outcome waits for it */
	bool copy_noted;      /* by a second name of the file (copy_up.h) */
	struct parked *waiters;
};

void lazy_free(struct lazy *lazy); /* NULL is fine */

/* Looks into the file if it is not known what it is. st (may be NULL) spares a stat. */
void lazy_detect(struct fs *fs, struct inode *inode, const struct stat *st);
/* Lazy, or damaged: not an ordinary file. */
bool lazy_is(struct inode *inode);
/* A placeholder for a directory. */
bool lazy_is_tree(struct inode *inode);
/* The kernel knows it as a file, and it stands for a directory: it takes a new inode to show that,
 * which the next lookup makes. */
bool lazy_is_mistaken(struct inode *inode);
/* Its bytes may have changed: to be looked into again. */
void lazy_changed(struct inode *inode);
/* A handle that could write was closed: looks again at once. True when it is lazy now. */
bool lazy_written(struct fs *fs, struct inode *inode);

/* Puts what is known over st, asking nobody. Returns how long that holds, seconds. */
double lazy_present(struct inode *inode, struct stat *st);

/* Remembers what the service answered. */
void lazy_remember_look(struct fs *fs, struct inode *inode, const struct force_look *look);
void lazy_remember_ready(struct fs *fs, struct inode *inode, const struct ref *blob);
/* NULL changes nothing; "" is none. */
void lazy_remember_reason(struct inode *inode, const char *reason);

/* Is its object known for certain, and here? Then *object is it. */
bool lazy_ready_object(struct fs *fs, struct inode *inode, struct digest *object);
/* Has the service nothing to add to what is remembered? */
bool lazy_look_is_fresh(struct fs *fs, struct inode *inode);

/* Has the kernel ask for the attributes anew, soon, from a thread that may wait. */
void lazy_notify(struct fs *fs, struct inode *inode);

/* Its ref has turned out to be a directory. */
void lazy_remember_tree(struct fs *fs, struct inode *inode);

/* The operations on lazy files (parked.c). Each answers req, now or when the service has spoken. */
/* Takes over one hold on inode. */
void lazy_open(struct fs *fs, fuse_req_t req, struct inode *inode, struct fuse_file_info *fi);
void lazy_getattr(struct fs *fs, fuse_req_t req, struct inode *inode);
/* OPENDIR, and LOOKUP of name in it: of a directory that is not expanded yet. */
void lazy_opendir(fuse_req_t req, struct inode *inode, const struct fuse_file_info *fi);
void lazy_lookup(fuse_req_t req, struct inode *inode, const char *name);
/* SETATTR with a size. */
void lazy_truncate(struct fs *fs, fuse_req_t req, struct inode *inode, const struct stat *attr,
                   int to_set);

/* For link_options: something settled, or notices may have been missed; arg is the fs. */
void lazy_settled(void *arg, const struct digest *thunk, int code);
void lazy_reconnected(void *arg);

#endif
