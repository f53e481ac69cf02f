#include "fs/lists.h"

#include <fcntl.h>
#include <string.h>

#include "common/io.h"
#include "fs/mount.h"
#include "objstore/store.h"

static const char default_noforce[] =
        "# Programs that only look: an open by one of them never makes a file; it fails with "
        "EDEADLK.\n"
        "# One name a line, as in /proc/PID/comm (15 characters); * stands for anything.\n"
        "# GGFS_FORCE=on in a program's environment overrules this list.\n"
        "baloo_file*\nclamd\nclamscan\ndropbox\nduplicity\nffmpegthumbnai\ngnome-thumbnail*\n"
        "localsearch*\nplocate\nrestic\nsyncthing\ntotem-video-thu*\ntracker-*\ntumblerd\n"
        "updatedb*\nborg\n";
static const char default_cgroups[] =
        "# What the processes of a cgroup, and of those below it, may do when they open a file "
        "that\n"
        "# is not made yet: POLICY PATH, POLICY one of on, local, off; PATH as in "
        "/proc/PID/cgroup.\n"
        "# The nearest line decides. 'ggfs noforce --cgroup PATH' adds one.\n"
        "#off /user.slice/user-1000.slice/user@1000.service/background.slice\n";
static const char default_allow[] =
        "# Programs that a mount with -o hold=N never holds. One name a line, as in "
        "/proc/PID/comm;\n"
        "# * stands for anything. 'ggfs allow PROGRAM' adds one.\n";

static void make_list(int store_fd, const char *name, const char *text)
{
	scoped_fd int fd =
	        openat(store_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	/* It may be there, edited; and without it nobody is on the list. */
	if (fd >= 0 && write_full(fd, text, strlen(text)) < 0)
		unlinkat(store_fd, name, 0);
}

void lists_make(int store_fd)
{
	make_list(store_fd, LIST_NOFORCE, default_noforce);
	make_list(store_fd, LIST_CGROUPS, default_cgroups);
	make_list(store_fd, LIST_ALLOW, default_allow);
}

/* Is the line there, by itself? */
static bool has_line(const struct buf *list, const char *line)
{
	size_t len = strlen(line);
	for (const char *at = list->len ? list->data : NULL; at && *at;) {
		size_t n = strcspn(at, "\n");
		if (n == len && memcmp(at, line, len) == 0)
			return true;
		at += n + (at[n] == '\n');
	}
	return false;
}

static int add(int store_fd, const char *name, const char *line, struct error *err)
{
	scoped_buf struct buf list = BUF_INIT;
	lists_make(store_fd);
	int r = read_file_at(store_fd, name, &list, LIST_BYTES_MAX, err);
	if (r < 0 && r != -ENOENT)
		return error_prefix(err, r, "the store's list %s", name);
	/* Of two lines for one thing the later counts. */
	if (has_line(&list, line) && strcmp(name, LIST_CGROUPS) != 0)
		return 0;
	if (list.len && list.data[list.len - 1] != '\n')
		buf_add_char(&list, '\n');
	buf_add_format(&list, "%s\n", line);
	if (list.len > LIST_BYTES_MAX)
		return error_set(err, -EFBIG, "the store's list %s is full: edit it", name);
	return replace_file_at(store_fd, name, list.data, list.len, 0600, err);
}

static int add_to_store(const char *path, const char *name, const char *line, struct error *err)
{
	struct store *store;
	int r = store_open_local(path, true, STORE_SYNC_NONE, &store, err);
	if (r < 0)
		return r;
	r = add(store_local_dirfd(store), name, line, err);
	store_free(store);
	return r;
}

int mount_allow(const char *store, const char *program, struct error *err)
{
	if (!*program || strpbrk(program, "/#\n \t"))
		return error_set(err, -EINVAL,
		                 "'%s' is no name of a program as /proc/PID/comm has it", program);
	return add_to_store(store, LIST_ALLOW, program, err);
}

int mount_set_cgroup(const char *store, const char *cgroup, const char *policy, struct error *err)
{
	if (*cgroup != '/' || strpbrk(cgroup, "#\n"))
		return error_set(err, -EINVAL, "'%s' is no cgroup as /proc/PID/cgroup has it",
		                 cgroup);
	scoped_free char *line = xformat("%s %s", policy, cgroup);
	return add_to_store(store, LIST_CGROUPS, line, err);
}
