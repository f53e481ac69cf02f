#include "fs/policy.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>

#include "common/buf.h"
#include "common/io.h"

/* The kernel's own limit for one string is 128 KiB; a longer environment is looked at in part. */
enum { ENVIRONMENT_BYTES_MAX = 1 << 20, LIST_BYTES_MAX = 1 << 16, COMM_MAX = 15 };

#define LIST "noforce"
static const char default_list[] =
        "# Programs that only look: an open by one of them never makes a file; it fails with "
        "EDEADLK.\n"
        "# One name a line, as in /proc/PID/comm (15 characters); * stands for anything.\n"
        "# GGFS_FORCE=on in a program's environment overrules this list.\n"
        "baloo_file*\nclamd\nclamscan\ndropbox\nduplicity\nffmpegthumbnai\ngnome-thumbnail*\n"
        "localsearch*\nplocate\nrestic\nsyncthing\ntotem-video-thu*\ntracker-*\ntumblerd\n"
        "updatedb*\nborg\n";

static const char variable[] = "GGFS_FORCE=";

enum mount_force policy_in_environment(const char *block, size_t len, enum mount_force fallback)
{
	const char *end = block + len;
	while (block < end) {
		size_t n = strnlen(block, (size_t)(end - block));
		if (n > sizeof(variable) - 1 &&
		    memcmp(block, variable, sizeof(variable) - 1) == 0) {
			const char *value = block + sizeof(variable) - 1;
			size_t value_len = n - (sizeof(variable) - 1);
			if (value_len == 2 && memcmp(value, "on", 2) == 0)
				return MOUNT_FORCE_ON;
			if (value_len == 5 && memcmp(value, "local", 5) == 0)
				return MOUNT_FORCE_LOCAL;
			if (value_len == 3 && memcmp(value, "off", 3) == 0)
				return MOUNT_FORCE_OFF;
			return fallback;
		}
		block += n + 1;
	}
	return fallback;
}

bool policy_only_looks(const char *list, size_t len, const char *name)
{
	const char *end = list + len;
	for (const char *line = list; line < end;) {
		size_t n = strcspn(line, "\n"); /* a buffer's bytes are followed by a NUL */
		scoped_free char *pattern = xstrndup(line, strcspn(line, "# \t\n"));
		/* The kernel keeps no more of a program's name. */
		if (strlen(pattern) > COMM_MAX && !strchr(pattern, '*'))
			pattern[COMM_MAX] = '\0';
		if (*pattern && fnmatch(pattern, name, 0) == 0)
			return true;
		line += n + 1;
	}
	return false;
}

void policy_list_make(int store_fd)
{
	scoped_fd int fd =
	        openat(store_fd, LIST, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	/* It may be there, edited; and without it nobody is on the list. */
	if (fd >= 0 && write_full(fd, default_list, sizeof(default_list) - 1) < 0)
		unlinkat(store_fd, LIST, 0);
}

static void program_name(pid_t pid, char name[COMM_MAX + 2])
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	scoped_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read_full(fd, name, COMM_MAX + 1);
	name[n > 0 ? n : 0] = '\0';
	name[strcspn(name, "\n")] = '\0';
}

/* For those whose environment says nothing. */
static enum mount_force policy_of_program(struct fs *fs, pid_t pid)
{
	char name[COMM_MAX + 2];
	scoped_buf struct buf list = BUF_INIT;
	program_name(pid, name);
	if (*name && read_file_at(fs->store_fd, LIST, &list, LIST_BYTES_MAX, NULL) == 0 &&
	    list.len && policy_only_looks(list.data, list.len, name))
		return MOUNT_FORCE_OFF;
	return fs->options->force;
}

enum mount_force policy_of(struct fs *fs, const struct fuse_ctx *ctx)
{
	scoped_buf struct buf block = BUF_INIT;
	char path[64];
	enum mount_force otherwise = policy_of_program(fs, ctx->pid);
	if (fs->uid != 0 && ctx->uid != fs->uid)
		return otherwise;
	snprintf(path, sizeof(path), "/proc/%d/environ", (int)ctx->pid);
	int r = read_file_at(AT_FDCWD, path, &block, ENVIRONMENT_BYTES_MAX, NULL);
	if (r < 0 && r != -EFBIG)
		return otherwise;
	return policy_in_environment(block.data, block.len, otherwise);
}

void policy_asker(pid_t pid, char out[POLICY_ASKER_SIZE])
{
	char name[COMM_MAX + 2];
	program_name(pid, name);
	snprintf(out, POLICY_ASKER_SIZE, "%s[%d]", *name ? name : "?", (int)pid);
}
