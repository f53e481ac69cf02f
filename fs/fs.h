/*
 * The mount's state, shared by the files of this folder; nobody outside includes it.
 *
 * An inode lives as long as somebody holds it: the kernel's lookups, open files and requests under
 * way count alike. It is found by the backing file's (device, inode number), so hard links
 * are one inode, and reaches the backing file through an O_PATH descriptor, so a rename cannot
 * lead it astray. fuse_ino_t is the address of its struct.
 *
 * Locks, in the order they are taken: inode->lock, then table.lock. Neither is held while a request
 * is answered or another process is waited for.
 */
#ifndef GGFS_FS_FS_H
#define GGFS_FS_FS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include "fs/hold.h"
#include "fs/mount.h"
#include "fs/tasks.h"
#include "objstore/ref.h"

/* Nobody else reaches the backing directory, so what the kernel knows stays true. */
#define TIMEOUT_SETTLED_S 86400.0
/* A file with several names may have one outside of the mount. */
#define TIMEOUT_LINKED_S 1.0

/* Where half-made copies are noted (copy_up.h) and directories are made (expand.h); the mount does
 * not show it. */
#define INTENT_DIRECTORY ".ggfs-intent"

struct link;
struct lazy;
struct directory;

enum kind {
	KIND_UNKNOWN,  /* not looked into since its bytes may have changed */
	KIND_ORDINARY, /* its bytes are its own */
	KIND_LAZY,     /* a placeholder: lazy->ref */
	KIND_DAMAGED,  /* begins as a placeholder but is none: lazy->reason */
};

/* What all opens of one inode have in common while there are any: the kernel allows no mixture. */
enum io_mode { IO_NONE, IO_CACHED, IO_PASSTHROUGH };

struct file;

struct inode {
	struct inode *next; /* in its bucket; table.lock */
	dev_t dev;
	ino_t ino;
	uint64_t refs; /* table.lock */
	bool detached; /* table.lock; see inode_detach() */
	bool used;     /* table.lock; looked up since the trim last came by */
	/* table.lock; a name it had, by which the kernel is asked to forget it. The directory is
	 * not held: it is only ever a number to the kernel, and at worst one that it has no use
	 * for. */
	fuse_ino_t parent;
	char *name;
	int fd; /* O_PATH */
	/* S_IFREG, ... as it is shown, for good: the kernel takes no other for the same inode. A
	 * placeholder for a directory is S_IFDIR. */
	mode_t type;
	/* A directory that took its placeholder's place goes on with that one's number, which is
	 * kept from others by this descriptor; -1 of everything else. */
	int was_fd;
	ino_t was_ino;

	pthread_mutex_t lock; /* guards what follows */
	enum kind kind;
	uint32_t version;  /* changes when the bytes may have turned lazy or ordinary */
	struct lazy *lazy; /* NULL unless it is or was lazy */
	unsigned writers;  /* handles open for writing */

	enum io_mode mode;
	unsigned opens;
	struct file *files; /* the open ones, opens of them */
	bool from_object;   /* the bytes behind mode and backing_id: an object, else its own */
	struct digest object;
	int backing_id; /* 0: none registered */
	bool backing_writable, backing_from_object;
	struct digest backing_object;
	bool pages_stale; /* the kernel's cached pages are to be dropped at the next open */
};

struct table {
	pthread_mutex_t lock; /* guards what follows */
	struct inode **buckets;
	size_t bucket_count, count;
	struct inode *detached;
	size_t limit;  /* inodes, each with a descriptor, before some are given back */
	size_t cursor; /* the bucket the trim has come to */
	bool trimming;
	bool asks_by_name; /* the kernel does not know how to be asked otherwise; see trim.h */
	pthread_cond_t room;
	unsigned waiting; /* for room */
};

/* Refs that were found out to be directories (tree.h); the oldest is forgotten first. */
enum { KNOWN_TREES_MAX = 256 };
struct known_trees {
	pthread_mutex_t lock; /* guards what follows */
	struct digest keys[KNOWN_TREES_MAX];
	size_t count, next;
};

struct fs {
	const struct mount_options *options;
	struct fuse_session *session;
	int backing_fd; /* the backing directory, opened before it was mounted over */
	int store_fd;   /* the store's directory */
	struct inode root;
	struct table table;
	struct known_trees trees;
	struct hold hold; /* -o hold= */
	pthread_mutex_t directories_lock;
	struct directory *directories; /* the open ones; that lock */
	uid_t uid;                     /* the mount process's own */
	gid_t gid;
	bool overlay;            /* the backing directory or the store is on an overlay */
	atomic_bool passthrough; /* cleared for good when the kernel refuses us */
	struct tasks *quick;     /* answers and notices that may not be sent where they arise */
	struct tasks *slow;      /* work that waits for a disk */
	/* Names to be forgotten, which waits for whoever is at work in a directory; that one may be
	 * waiting for an expansion, so it is not for the threads that do those. */
	struct tasks *names;
	struct link *link;
	atomic_uint_fast64_t
	        generation;  /* of what the service told us: moves when something settled */
	int64_t deadline_ms; /* for a reader; 0: none */
};

/* An open file: fuse_file_info.fh. */
struct file {
	struct inode *inode;       /* held */
	int fd;                    /* -1 in passthrough: opened when it is needed */
	int flags;                 /* as opened */
	bool passthrough;          /* the kernel reads and writes by itself */
	struct file *next, **self; /* among inode->files; the inode's lock */
	bool from_object;
	struct digest object;
};

static inline struct fs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static inline struct inode *inode_of(struct fs *fs, fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? &fs->root : (struct inode *)(uintptr_t)ino;
}

static inline fuse_ino_t ino_of(struct fs *fs, struct inode *inode)
{
	return inode == &fs->root ? FUSE_ROOT_ID : (fuse_ino_t)(uintptr_t)inode;
}

static inline struct file *file_of(const struct fuse_file_info *fi)
{
	return (struct file *)(uintptr_t)fi->fh;
}

static inline bool is_writable(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

/* "/proc/self/fd/N", by which a thing that is only held is opened or named. */
struct proc_path {
	char text[32];
};
struct proc_path proc_path(int fd);

#endif
