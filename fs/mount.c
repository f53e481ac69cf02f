#include "fs/mount.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/vfs.h>

#include "common/buf.h"
#include "common/io.h"
#include "common/log.h"
#include "engine/service/link.h"
#include "fs/copy_up.h"
#include "fs/creds.h"
#include "fs/dir.h"
#include "fs/heal.h"
#include "fs/inode.h"
#include "fs/lazy.h"
#include "fs/mountinfo.h"
#include "fs/lists.h"
#include "fs/session.h"
#include "fs/trim.h"
#include "objstore/store.h"

#define DEVICE "/dev/fuse"

enum {
	SLOW_THREADS = 2,
	DESCRIPTORS_LEAST = 256,
	DESCRIPTORS_WANTED = 1 << 20, /* one for each file the kernel remembers */
	/* The kernel looks every 15 s for requests older than its limit, and ends the mount for
	   one. */
	REQUEST_MARGIN_MS = 20000,
};

static int check_device(struct error *err)
{
	if (access(DEVICE, F_OK) < 0)
		return error_set(err, -ENODEV,
		                 "there is no " DEVICE ": the kernel has no FUSE, or this "
		                 "container was not given it (modprobe fuse; --device /dev/fuse)");
	if (access(DEVICE, R_OK | W_OK) < 0)
		return error_set(err, -EACCES,
		                 DEVICE " is closed to you: root can open it with "
		                        "`chmod 0666 " DEVICE
		                        "`, which is what it is on most systems");
	return 0;
}

static int open_backing(struct fs *fs, struct error *err)
{
	const char *directory = fs->options->directory;
	struct stat st;
	fs->backing_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fs->backing_fd < 0)
		return error_errno(err, "cannot mount %s", directory);
	if (fstat(fs->backing_fd, &st) < 0)
		return error_errno(err, "cannot mount %s", directory);
	fs->root = (struct inode){ .dev = st.st_dev,
		                   .ino = st.st_ino,
		                   .refs = 1,
		                   .fd = fs->backing_fd,
		                   .was_fd = -1,
		                   .type = S_IFDIR };
	pthread_mutex_init(&fs->root.lock, NULL);
	pthread_mutex_init(&fs->trees.lock, NULL);
	hold_init(&fs->hold);
	pthread_mutex_init(&fs->directories_lock, NULL);
	return 0;
}

/* A store below the mount would be read through the mount by the process that serves it. */
static int check_apart(const char *store, const char *directory, struct error *err)
{
	size_t n = strlen(directory);
	bool inside = strncmp(store, directory, n) == 0 && (store[n] == '/' || store[n] == '\0');
	if (inside || strcmp(directory, "/") == 0)
		return error_set(err, -EINVAL,
		                 "the store %s lies inside of %s, which is to be mounted: "
		                 "choose another (GGFS_STORE)",
		                 store, directory);
	return 0;
}

static int open_store(struct fs *fs, char **path, struct error *err)
{
	struct store *store;
	scoped_free char *standard = fs->options->store ? NULL : client_default_store();
	const char *given = fs->options->store ? fs->options->store : standard;
	int r = store_open_local(given, true, STORE_SYNC_NONE, &store, err);
	if (r < 0)
		return r;
	fs->store_fd = fcntl(store_local_dirfd(store), F_DUPFD_CLOEXEC, 0);
	store_free(store);
	*path = realpath(given, NULL);
	if (fs->store_fd < 0 || !*path)
		return error_errno(err, "cannot open the store %s", given);
	lists_make(fs->store_fd);
	return check_apart(*path, fs->options->directory, err);
}

static bool is_overlay(int fd)
{
	struct statfs st;
	return fstatfs(fd, &st) == 0 && (uint32_t)st.f_type == OVERLAYFS_SUPER_MAGIC;
}

/* As many descriptors as we may have; how many that is. */
static size_t raise_descriptors(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return DESCRIPTORS_LEAST;
	struct rlimit more = { .rlim_cur = DESCRIPTORS_WANTED, .rlim_max = DESCRIPTORS_WANTED };
	if (limit.rlim_max < DESCRIPTORS_WANTED && setrlimit(RLIMIT_NOFILE, &more) == 0)
		return DESCRIPTORS_WANTED;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur < DESCRIPTORS_WANTED ? limit.rlim_cur : DESCRIPTORS_WANTED;
}

/* fs.fuse.max_request_timeout, where set, has the kernel abort a mount that keeps a request longer.
 */
static int64_t deadline_of(const struct mount_options *options)
{
	scoped_buf struct buf text = BUF_INIT;
	int64_t deadline = options->deadline_ms;
	if (read_file_at(AT_FDCWD, "/proc/sys/fs/fuse/max_request_timeout", &text, 64, NULL) < 0)
		return deadline;
	int64_t limit = strtoll(text.data, NULL, 10) * 1000;
	if (limit <= 0)
		return deadline;
	limit = limit > 2 * REQUEST_MARGIN_MS ? limit - REQUEST_MARGIN_MS : limit / 2;
	return deadline == 0 || deadline > limit ? limit : deadline;
}

static int open_link(struct fs *fs, const char *store, struct error *err)
{
	const struct link_options options = {
		.client = { .store = store, .service = fs->options->service },
		.mountpoint = fs->options->directory,
		.backing_fd = fs->backing_fd,
		.engine = fs->options->engine,
		.budget_nanodollars = fs->options->budget_nanodollars,
		.settled = lazy_settled,
		.reconnected = lazy_reconnected,
		.arg = fs,
	};
	return link_open(&options, &fs->link, err);
}

static int serve(struct fs *fs, const char *store, struct error *err)
{
	int r = session_mount(fs, store, err);
	if (r < 0)
		return r;
	scoped_free char *record_name = NULL;
	scoped_fd int record =
	        mountinfo_record(fs->store_fd, fs->options->directory, &record_name, NULL);
	r = session_serve(fs, err);
	/* Requests still parked are answered while there is a session to answer to. */
	link_free(fs->link);
	fs->link = NULL;
	if (record >= 0)
		unlinkat(fs->store_fd, record_name, 0);
	return r;
}

static int prepare(struct fs *fs, char **store, struct error *err)
{
	/* What is wrong with the directory comes first: a device opened to all would not mend it.
	 */
	int r = heal(fs->options->directory, err);
	if (r == 0)
		r = open_backing(fs, err);
	if (r == 0)
		r = check_device(err);
	if (r == 0)
		r = open_store(fs, store, err);
	if (r == 0)
		r = copy_up_recover(fs->backing_fd, fs->store_fd, err);
	if (r == 0)
		r = tasks_new("ggfs-quick", 1, &fs->quick, err);
	if (r == 0)
		r = tasks_new("ggfs-slow", SLOW_THREADS, &fs->slow, err);
	if (r == 0)
		r = tasks_new("ggfs-names", 1, &fs->names, err);
	if (r == 0)
		r = open_link(fs, *store, err);
	return r;
}

int mount_run(const struct mount_options *options, struct error *err)
{
	struct fs fs = { .options = options,
		         .backing_fd = -1,
		         .store_fd = -1,
		         .uid = geteuid(),
		         .gid = getegid() };
	scoped_free char *store = NULL;
	table_init(&fs.table);
	fs.table.limit = trim_limit(raise_descriptors());
	fs.deadline_ms = deadline_of(options);
	int r = prepare(&fs, &store, err);
	/* What stands in a directory below the mount keeps it busy, and could come to ask itself.
	 */
	if (r == 0 && chdir("/") < 0)
		r = error_errno(err, "cannot leave the working directory");
	if (r == 0) {
		fs.overlay = is_overlay(fs.backing_fd) || is_overlay(fs.store_fd);
		creds_fsetid(false);
		r = serve(&fs, store, err);
	}
	link_free(fs.link);
	tasks_free(fs.names);
	tasks_free(fs.slow);
	tasks_free(fs.quick);
	session_free(&fs);
	directories_release(&fs);
	table_release(&fs);
	if (fs.backing_fd >= 0)
		close(fs.backing_fd);
	if (fs.store_fd >= 0)
		close(fs.store_fd);
	return r;
}

static bool is_on_path(const char *program)
{
	const char *path = getenv("PATH");
	scoped_free char *copy = xstrdup(path ? path : "/usr/bin:/bin");
	char *save = NULL;
	for (char *d = strtok_r(copy, ":", &save); d; d = strtok_r(NULL, ":", &save)) {
		scoped_free char *candidate = xformat("%s/%s", d, program);
		if (access(candidate, X_OK) == 0)
			return true;
	}
	return false;
}

void mount_facts_get(struct mount_facts *out)
{
	*out = (struct mount_facts){
		.library_version = fuse_pkgversion(),
#ifdef GGFS_FUSE_PASSTHROUGH
		.library_passthrough = true,
#endif
		.device_present = access(DEVICE, F_OK) == 0,
		.device_open = access(DEVICE, R_OK | W_OK) == 0,
		.fusermount = is_on_path("fusermount3"),
	};
}
