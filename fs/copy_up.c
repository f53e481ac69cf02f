#include "fs/copy_up.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

#include "common/io.h"
#include "common/log.h"
#include "engine/placeholder.h"
#include "fs/expand.h"
#include "fs/inode.h"
#include "fs/lazy.h"
#include "fs/object.h"
#include "objstore/store.h"

/* DIGEST.SIZE.SECONDS.NANOSECONDS.INODE: the last so that two copies of one object differ. */
struct intent {
	char path[sizeof(INTENT_DIRECTORY) + DIGEST_HEX_SIZE + 100];
};

static struct intent intent_of(const struct digest *object, off_t size, const struct stat *st)
{
	struct intent i;
	snprintf(i.path, sizeof(i.path), INTENT_DIRECTORY "/%s.%lld.%lld.%ld.%llu",
	         digest_hex(object).text, (long long)size, (long long)st->st_mtim.tv_sec,
	         st->st_mtim.tv_nsec, (unsigned long long)st->st_ino);
	return i;
}

/* Replaces the bytes of the open file, and puts its times back. */
static int replace_bytes(int from, int to, const struct timespec times[2])
{
	if (ftruncate(to, 0) < 0 || lseek(to, 0, SEEK_SET) < 0)
		return -errno;
	int r = copy_fd(from, to, NULL);
	if (r < 0)
		return r;
	return futimens(to, times) < 0 ? -errno : 0;
}

static int put_placeholder(int to, const struct ref *ref, const struct timespec times[2])
{
	char text[PLACEHOLDER_SIZE];
	int r = placeholder_encode(ref, text, NULL);
	if (r < 0)
		return r;
	if (ftruncate(to, 0) < 0 || lseek(to, 0, SEEK_SET) < 0)
		return -errno;
	r = write_full(to, text, sizeof(text));
	if (r < 0)
		return r;
	return futimens(to, times) < 0 ? -errno : 0;
}

static int note_intent(int backing_fd, const struct inode *inode, const struct intent *intent)
{
	if (mkdirat(backing_fd, INTENT_DIRECTORY, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (linkat(AT_FDCWD, proc_path(inode->fd).text, backing_fd, intent->path,
	           AT_SYMLINK_FOLLOW) < 0 &&
	    errno != EEXIST)
		return -errno;
	return 0;
}

static void drop_intent(int backing_fd, const struct intent *intent)
{
	unlinkat(backing_fd, intent->path, 0);
	unlinkat(backing_fd, INTENT_DIRECTORY, AT_REMOVEDIR); /* fails while others are noted */
}

static void set_noted(struct inode *inode, bool noted)
{
	pthread_mutex_lock(&inode->lock);
	inode->lazy->copy_noted = noted;
	pthread_mutex_unlock(&inode->lock);
}

/* A copy that failed leaves the placeholder; if not even that can be written, the intent stays. */
static int copy_noted(struct inode *inode, const struct ref *ref, int from, int to,
                      const struct stat *st, bool *settled)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };
	int r = replace_bytes(from, to, times);
	*settled = r == 0 || put_placeholder(to, ref, times) == 0;
	if (r < 0)
		lazy_remember_reason(inode, r == -ENOSPC
		                                    ? "no room to copy the file, which is to be "
		                                      "written to"
		                                    : strerror(-r));
	return r;
}

int copy_up(struct fs *fs, struct inode *inode, const struct ref *ref, const struct digest *object)
{
	struct stat st, object_st;
	scoped_fd int from = object_open(fs, object);
	scoped_fd int to = inode_open(inode, O_RDWR);
	if (from < 0)
		return from == -ENOENT ? -EIO : from;
	if (to < 0)
		return to;
	if (fstat(to, &st) < 0 || fstat(from, &object_st) < 0)
		return -errno;
	bool named =
	        st.st_nlink > 0; /* nobody will find it again otherwise, so no intent is needed */
	struct intent intent = intent_of(object, object_st.st_size, &st);
	int r = named ? note_intent(fs->backing_fd, inode, &intent) : 0;
	if (r < 0)
		return r;
	bool settled;
	set_noted(inode, named);
	r = copy_noted(inode, ref, from, to, &st, &settled);
	if (named && settled)
		drop_intent(fs->backing_fd, &intent);
	set_noted(inode, false);
	return r;
}

static bool parse_intent(const char *name, struct ref *blob, struct timespec *mtime)
{
	long long size, seconds;
	long nanoseconds;
	if (strlen(name) < DIGEST_HEX_SIZE || !digest_parse(name, DIGEST_HEX_SIZE, &blob->digest) ||
	    sscanf(name + DIGEST_HEX_SIZE, ".%lld.%lld.%ld.", &size, &seconds, &nanoseconds) != 3)
		return false;
	blob->kind = REF_BLOB;
	blob->size_bytes = (uint64_t)size;
	*mtime = (struct timespec){ .tv_sec = seconds, .tv_nsec = nanoseconds };
	return nanoseconds >= 0 && nanoseconds < 1000000000;
}

static int recover_one(int intents, const char *name, int store_fd)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
	struct ref blob = REF_INIT;
	scoped_ref struct ref ref = REF_INIT;
	if (!parse_intent(name, &blob, &times[1]))
		return -EINVAL;
	scoped_fd int to = openat(intents, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (to < 0)
		return -errno;
	if (placeholder_read_fd(to, NULL, &ref, NULL) == 0)
		return 0; /* the copy had not begun */
	scoped_fd int from =
	        openat(store_fd, store_object_path(&blob.digest).text, O_RDONLY | O_CLOEXEC);
	if (from >= 0)
		return replace_bytes(from, to, times);
	return put_placeholder(to, &blob, times);
}

int copy_up_recover(int backing_fd, int store_fd, struct error *err)
{
	scoped_fd int fd = openat(backing_fd, INTENT_DIRECTORY,
	                          O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : error_errno(err, "cannot look into " INTENT_DIRECTORY);
	scoped_dir DIR *dir = fdopendir(dup(fd));
	for (struct dirent *d; dir && (d = readdir(dir));) {
		if (d->d_name[0] == '.' || expand_drop_half_made(fd, d->d_name))
			continue;
		int r = recover_one(fd, d->d_name, store_fd);
		if (r < 0)
			return error_set(err, r,
			                 "cannot complete the copy noted as " INTENT_DIRECTORY
			                 "/%s: %s; set the file aside and mount again",
			                 d->d_name, strerror(-r));
		log_info("completed a copy that a crash had cut short");
		unlinkat(fd, d->d_name, 0);
	}
	unlinkat(backing_fd, INTENT_DIRECTORY, AT_REMOVEDIR);
	return 0;
}
