#include "fs/policy.h"

#include <fcntl.h>
#include <stdio.h>

#include "common/buf.h"
#include "common/io.h"

/* The kernel's own limit for one string is 128 KiB; a longer environment is looked at in part. */
enum { ENVIRONMENT_BYTES_MAX = 1 << 20 };

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

enum mount_force policy_of(struct fs *fs, const struct fuse_ctx *ctx)
{
	scoped_buf struct buf block = BUF_INIT;
	char path[64];
	if (fs->uid != 0 && ctx->uid != fs->uid)
		return fs->options->force;
	snprintf(path, sizeof(path), "/proc/%d/environ", (int)ctx->pid);
	int r = read_file_at(AT_FDCWD, path, &block, ENVIRONMENT_BYTES_MAX, NULL);
	if (r < 0 && r != -EFBIG)
		return fs->options->force;
	return policy_in_environment(block.data, block.len, fs->options->force);
}

void policy_asker(pid_t pid, char out[POLICY_ASKER_SIZE])
{
	char path[64], name[17] = "";
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	scoped_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read_full(fd, name, sizeof(name) - 1);
	name[n > 0 ? n : 0] = '\0';
	name[strcspn(name, "\n")] = '\0';
	snprintf(out, POLICY_ASKER_SIZE, "%s[%d]", *name ? name : "?", (int)pid);
}
