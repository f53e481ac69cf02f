#include "fs/policy.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>

#include "common/buf.h"
#include "common/io.h"
#include "fs/lists.h"

/* The kernel's own limit for one string is 128 KiB; a longer environment is looked at in part. */
enum {
	ENVIRONMENT_BYTES_MAX = 1 << 20,
	CGROUP_BYTES_MAX = 1 << 16,
	COMM_MAX = 15,
};

static const char variable[] = "GGFS_FORCE=";

bool policy_named(const char *name, size_t len, enum mount_force *out)
{
	static const struct {
		const char *name;
		enum mount_force force;
	} all[] = { { "on", MOUNT_FORCE_ON },
		    { "local", MOUNT_FORCE_LOCAL },
		    { "off", MOUNT_FORCE_OFF } };
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (strlen(all[i].name) == len && memcmp(all[i].name, name, len) == 0) {
			*out = all[i].force;
			return true;
		}
	return false;
}

bool policy_in_environment(const char *block, size_t len, enum mount_force *out)
{
	const size_t name_len = sizeof(variable) - 1;
	const char *end = block + len;
	while (block < end) {
		size_t n = strnlen(block, (size_t)(end - block));
		if (n > name_len && memcmp(block, variable, name_len) == 0)
			return policy_named(block + name_len, n - name_len, out);
		block += n + 1;
	}
	return false;
}

/* A line without its comment, in the list from at on; *next is where the one after it begins. */
static char *line_at(const char *at, const char **next)
{
	size_t n = strcspn(at, "\n"); /* a buffer's bytes are followed by a NUL */
	*next = at + n + 1;
	n = strcspn(at, "#\n");
	while (n > 0 && (at[n - 1] == ' ' || at[n - 1] == '\t'))
		n--;
	return xstrndup(at, n);
}

bool policy_lists_program(const char *list, size_t len, const char *name)
{
	const char *end = list + len;
	for (const char *at = list, *next; at < end; at = next) {
		scoped_free char *pattern = line_at(at, &next);
		pattern[strcspn(pattern, " \t")] = '\0';
		/* The kernel keeps no more of a program's name. */
		if (strlen(pattern) > COMM_MAX && !strchr(pattern, '*'))
			pattern[COMM_MAX] = '\0';
		if (*pattern && fnmatch(pattern, name, 0) == 0)
			return true;
	}
	return false;
}

/* Is path at or above cgroup? */
static bool covers(const char *path, size_t len, const char *cgroup)
{
	while (len > 0 && path[len - 1] == '/')
		len--;
	return strncmp(path, cgroup, len) == 0 && (cgroup[len] == '/' || cgroup[len] == '\0');
}

bool policy_of_cgroup(const char *list, size_t len, const char *cgroup, enum mount_force *out)
{
	const char *end = list + len;
	size_t best = 0;
	for (const char *at = list, *next; at < end; at = next) {
		scoped_free char *line = line_at(at, &next);
		size_t word = strcspn(line, " \t");
		const char *path = line + word + strspn(line + word, " \t");
		enum mount_force force;
		/* Of two for one path the later counts, as `ggfs noforce` appends. */
		if (*path == '/' && policy_named(line, word, &force) && strlen(path) >= best &&
		    covers(path, strlen(path), cgroup)) {
			best = strlen(path);
			*out = force;
		}
	}
	return best > 0;
}

char *policy_cgroup_path(const char *text, size_t len)
{
	static const char *const before[] = { "0::", ":name=systemd:" }; /* of version 2, and 1 */
	for (size_t i = 0; len > 0 && i < sizeof(before) / sizeof(*before); i++) {
		const char *at = strstr(text, before[i]);
		while (i == 0 && at && at != text && at[-1] != '\n')
			at = strstr(at + 1, before[i]);
		if (at) {
			at += strlen(before[i]);
			return xstrndup(at, strcspn(at, "\n"));
		}
	}
	return NULL;
}

static void program_name(pid_t pid, char name[HOLD_NAME_SIZE])
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	scoped_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read_full(fd, name, COMM_MAX + 1);
	name[n > 0 ? n : 0] = '\0';
	name[strcspn(name, "\n")] = '\0';
}

static bool read_list(struct fs *fs, const char *name, struct buf *list)
{
	return read_file_at(fs->store_fd, name, list, LIST_BYTES_MAX, NULL) == 0 && list->len > 0;
}

static bool is_listed(struct fs *fs, const char *list_name, const char *program)
{
	scoped_buf struct buf list = BUF_INIT;
	return *program && read_list(fs, list_name, &list) &&
	       policy_lists_program(list.data, list.len, program);
}

static bool is_allowed(void *arg, const char *program)
{
	return is_listed(arg, LIST_ALLOW, program);
}

static bool by_environment(struct fs *fs, const struct fuse_ctx *ctx, struct policy *out)
{
	scoped_buf struct buf block = BUF_INIT;
	char path[64];
	if (fs->uid != 0 && ctx->uid != fs->uid)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/environ", (int)ctx->pid);
	int r = read_file_at(AT_FDCWD, path, &block, ENVIRONMENT_BYTES_MAX, NULL);
	if ((r < 0 && r != -EFBIG) || !policy_in_environment(block.data, block.len, &out->force))
		return false;
	snprintf(out->why, sizeof(out->why), "%soff is in the reader's environment", variable);
	return true;
}

static bool by_cgroup(struct fs *fs, const struct fuse_ctx *ctx, struct policy *out)
{
	scoped_buf struct buf list = BUF_INIT, text = BUF_INIT;
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)ctx->pid);
	if (!read_list(fs, LIST_CGROUPS, &list) ||
	    read_file_at(AT_FDCWD, path, &text, CGROUP_BYTES_MAX, NULL) < 0)
		return false;
	scoped_free char *cgroup = policy_cgroup_path(text.data, text.len);
	if (!cgroup || !policy_of_cgroup(list.data, list.len, cgroup, &out->force))
		return false;
	snprintf(out->why, sizeof(out->why),
	         "the store's list " LIST_CGROUPS " says so of the reader's cgroup %s", cgroup);
	return true;
}

static void by_program_or_mount(struct fs *fs, struct policy *out)
{
	out->force = fs->options->force;
	snprintf(out->why, sizeof(out->why), "the mount's -o force=off");
	if (!is_listed(fs, LIST_NOFORCE, out->program))
		return;
	out->force = MOUNT_FORCE_OFF;
	snprintf(out->why, sizeof(out->why),
	         "%s is on the store's list " LIST_NOFORCE " of programs that only look",
	         out->program);
}

static void by_hold(struct fs *fs, struct policy *out)
{
	unsigned limit = fs->options->hold;
	if (limit == 0 || out->force == MOUNT_FORCE_OFF)
		return;
	out->counted = hold_ask(&fs->hold, out->program, limit, now_ms(), is_allowed, fs);
	if (out->counted)
		return;
	out->force = MOUNT_FORCE_OFF;
	snprintf(out->why, sizeof(out->why),
	         "%s is held: it has never forced before, and had %u files made in one go "
	         "(-o hold=%u); `ggfs allow %s` lets it go on",
	         out->program, limit, limit, out->program);
}

void policy_of(struct fs *fs, const struct fuse_ctx *ctx, struct policy *out)
{
	*out = (struct policy){ 0 };
	program_name(ctx->pid, out->program);
	if (by_environment(fs, ctx, out))
		return;
	if (!by_cgroup(fs, ctx, out))
		by_program_or_mount(fs, out);
	by_hold(fs, out);
}

void policy_asker(pid_t pid, char out[POLICY_ASKER_SIZE])
{
	char name[HOLD_NAME_SIZE];
	program_name(pid, name);
	snprintf(out, POLICY_ASKER_SIZE, "%s[%d]", *name ? name : "?", (int)pid);
}
