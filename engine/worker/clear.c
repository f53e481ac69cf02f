#include "engine/worker/clear.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/io.h"

enum {
	LEVELS_MAX = 32,     /* a descriptor each; what lies deeper is moved up */
	MOVES_MAX = 1 << 20, /* over which a tree is given up */
};

struct clearing {
	int top;
	unsigned moves;
	unsigned done; /* moved ones that are removed */
};

static bool is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int clear_entry(struct clearing *c, int dir, const char *name, unsigned depth);

static int clear_inside(struct clearing *c, int dir, const char *name, unsigned depth)
{
	/* A descriptor that needs no permission, so that it cannot be a link by now. */
	scoped_fd int handle = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (handle < 0)
		return -errno;
	char link[64];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", handle);
	struct stat st;
	if (fstat(handle, &st) == 0 && (st.st_mode & 0700) != 0700 && chmod(link, 0700) < 0)
		return -errno;
	int fd = openat(handle, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scoped_dir DIR *list = fd < 0 ? NULL : fdopendir(fd);
	if (!list)
		return -errno;
	for (const struct dirent *e; (e = readdir(list));) {
		int r = is_dot(e->d_name) ? 0 : clear_entry(c, fd, e->d_name, depth + 1);
		if (r < 0)
			return r;
	}
	return 0;
}

static int move_up(struct clearing *c, int dir, const char *name)
{
	char to[32];
	if (c->moves == MOVES_MAX)
		return -ELOOP;
	snprintf(to, sizeof(to), ".deep.%u", c->moves);
	if (renameat(dir, name, c->top, to) < 0)
		return -errno;
	c->moves++;
	return 0;
}

static int clear_entry(struct clearing *c, int dir, const char *name, unsigned depth)
{
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (unlinkat(dir, name, AT_REMOVEDIR) == 0)
		return 0;
	if (errno != ENOTEMPTY && errno != EEXIST)
		return -errno;
	if (depth >= LEVELS_MAX)
		return move_up(c, dir, name);
	int r = clear_inside(c, dir, name, depth);
	if (r == 0 && unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		r = -errno;
	return r;
}

int clear_tree(int dir, const char *name, struct error *err)
{
	struct clearing c = { .top = dir };
	int r = clear_entry(&c, dir, name, 0);
	for (; r == 0 && c.done < c.moves; c.done++) {
		char deep[32];
		snprintf(deep, sizeof(deep), ".deep.%u", c.done);
		r = clear_entry(&c, dir, deep, 0);
	}
	return r < 0 ? error_set(err, r, "cannot remove %s: %s", name, strerror(-r)) : 0;
}
