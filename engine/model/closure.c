/*
 * What a program needs merely to start. The search follows ld.so(8): run paths, the cache, the
 * default directories. The function's world has no cache: a library that only the cache
 * finds brings the cache along.
 */
#include <string.h>

#include "engine/model/elf_file.h"
#include "engine/model/infer.h"
#include "engine/model/ldcache.h"
#include "engine/model/view_impl.h"

enum { CLOSURE_FILES_MAX = 2000, SCRIPT_DEPTH_MAX = 4, SHEBANG_MAX = 256 };
#define CACHE_PATH "/etc/ld.so.cache"

struct closure {
	struct view *v;
	struct manifest *into;
	struct strv seen; /* real paths */
	struct buf cache;
	bool cache_read;
};

/* Who is looking for a library: an ELF file, and through it whoever needs it. */
struct loader {
	const struct elf *elf;
	const char *origin; /* its directory */
	const struct loader *needed_by;
};

static int add_file(struct closure *c, const char *path, const struct loader *needed_by,
                    unsigned scripts, struct error *err);

static const char *const default_dirs_64[] = {
	"/lib/x86_64-linux-gnu",
	"/usr/lib/x86_64-linux-gnu",
	"/lib/aarch64-linux-gnu",
	"/usr/lib/aarch64-linux-gnu",
	"/lib64",
	"/usr/lib64",
	"/lib",
	"/usr/lib",
};
static const char *const default_dirs_32[] = {
	"/lib/i386-linux-gnu",
	"/usr/lib/i386-linux-gnu",
	"/lib32",
	"/usr/lib32",
	"/lib",
	"/usr/lib",
};

/* A library of the right class at path? */
static bool is_library(struct closure *c, const char *path, const struct elf *wanted)
{
	scoped_fd int fd = view_open(c->v, path, NULL);
	struct elf e = { 0 };
	if (fd < 0 || elf_read(fd, &e, NULL) < 0)
		return false;
	bool fits = e.is64 == wanted->is64 && e.machine == wanted->machine;
	elf_release(&e);
	return fits;
}

/* $ORIGIN, ${ORIGIN} at the front of a run path's directory. */
static char *expand_origin(const char *dir, size_t len, const char *origin)
{
	static const char *const names[] = { "${ORIGIN}", "$ORIGIN" };
	for (size_t i = 0; i < 2; i++) {
		size_t n = strlen(names[i]);
		if (len >= n && strncmp(dir, names[i], n) == 0)
			return xformat("%s%.*s", origin, (int)(len - n), dir + n);
	}
	return xstrndup(dir, len);
}

static char *search_path(struct closure *c, const char *list, const char *origin,
                         const char *soname, const struct elf *wanted)
{
	while (list && *list) {
		size_t len = strcspn(list, ":");
		scoped_free char *dir = expand_origin(list, len, origin);
		scoped_free char *path = xformat("%s/%s", dir, soname);
		if (dir[0] == '/' && is_library(c, path, wanted))
			return steal(&path);
		list += len + (list[len] == ':');
	}
	return NULL;
}

static char *search_run_paths(struct closure *c, const struct loader *l, const char *soname)
{
	/* DT_RPATH of all on the way, unless the one who asks has a DT_RUNPATH */
	if (l->elf->runpath)
		return search_path(c, l->elf->runpath, l->origin, soname, l->elf);
	for (const struct loader *up = l; up; up = up->needed_by) {
		if (up->elf->runpath)
			continue;
		char *found = search_path(c, up->elf->rpath, up->origin, soname, l->elf);
		if (found)
			return found;
	}
	return NULL;
}

static char *search_defaults(struct closure *c, const char *soname, const struct elf *wanted)
{
	const char *const *dirs = wanted->is64 ? default_dirs_64 : default_dirs_32;
	size_t count = wanted->is64 ? sizeof(default_dirs_64) / sizeof(char *)
	                            : sizeof(default_dirs_32) / sizeof(char *);
	for (size_t i = 0; i < count; i++) {
		scoped_free char *path = xformat("%s/%s", dirs[i], soname);
		if (is_library(c, path, wanted))
			return steal(&path);
	}
	return NULL;
}

static char *search_cache(struct closure *c, const char *soname, const struct elf *wanted)
{
	if (!c->cache_read) {
		c->cache_read = true;
		view_read(c->v, CACHE_PATH, LDCACHE_BYTES_MAX, &c->cache, NULL);
	}
	if (!c->cache.len)
		return NULL;
	scoped_free char *path = ldcache_find(c->cache.data, c->cache.len, soname, wanted->is64);
	return path && is_library(c, path, wanted) ? steal(&path) : NULL;
}

static bool same_file(struct closure *c, const char *a, const char *b)
{
	struct view_file fa = { 0 }, fb = { 0 };
	bool same = view_look(c->v, a, &fa, NULL, NULL) == 0 &&
	            view_look(c->v, b, &fb, NULL, NULL) == 0 && fa.real_path && fb.real_path &&
	            strcmp(fa.real_path, fb.real_path) == 0;
	view_file_release(&fa);
	view_file_release(&fb);
	return same;
}

static int add_library(struct closure *c, const struct loader *l, const char *soname,
                       struct error *err)
{
	if (strchr(soname, '/'))
		return add_file(c, soname, l, 0, err);
	scoped_free char *found = search_run_paths(c, l, soname);
	if (found)
		return add_file(c, found, l, 0, err);
	scoped_free char *cached = search_cache(c, soname, l->elf);
	scoped_free char *usual = search_defaults(c, soname, l->elf);
	if (cached && (!usual || !same_file(c, cached, usual))) {
		int r = view_input(c->v, CACHE_PATH, c->into, err);
		return r < 0 ? r : add_file(c, cached, l, 0, err);
	}
	if (!usual)
		return error_set(err, -ENOENT, "library %s is not to be found", soname);
	return add_file(c, usual, l, 0, err);
}

static int add_elf_needs(struct closure *c, const struct elf *e, const char *real_path,
                         const struct loader *needed_by, struct error *err)
{
	const char *slash = strrchr(real_path, '/');
	scoped_free char *origin = xstrndup(real_path, (size_t)(slash - real_path));
	struct loader l = { e, origin, needed_by };
	if (e->interpreter) {
		int r = add_file(c, e->interpreter, NULL, 0, err);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < e->needed.count; i++) {
		int r = add_library(c, &l, e->needed.items[i], err);
		if (r < 0)
			return error_prefix(err, r, "%s", real_path);
	}
	return 0;
}

static int add_script_needs(struct closure *c, int fd, const char *path, unsigned scripts,
                            struct error *err)
{
	char head[SHEBANG_MAX + 1] = "";
	ssize_t n = pread(fd, head, SHEBANG_MAX, 0);
	if (n < 3 || head[0] != '#' || head[1] != '!' || scripts >= SCRIPT_DEPTH_MAX)
		return error_set(err, -ENOEXEC, "%s is neither an ELF file nor a script", path);
	char *interpreter = head + 2 + strspn(head + 2, " \t");
	interpreter[strcspn(interpreter, " \t\n")] = '\0';
	if (interpreter[0] != '/')
		return error_set(err, -ENOEXEC, "%s: strange interpreter %s", path, interpreter);
	return add_file(c, interpreter, NULL, scripts + 1, err);
}

static int add_file(struct closure *c, const char *path, const struct loader *needed_by,
                    unsigned scripts, struct error *err)
{
	struct view_file f = { 0 };
	int r = view_look(c->v, path, &f, c->into, err);
	if (r < 0)
		return r;
	scoped_free char *real = steal(&f.real_path);
	f.real_path = real;
	bool known = real && strv_contains(&c->seen, real);
	if (f.kind != VIEW_FILE)
		r = error_set(err, f.kind == VIEW_ABSENT ? -ENOENT : -ENOEXEC,
		              "%s is no ordinary file", path);
	else if (!known)
		r = view_input_file(c->v, &f, c->into, err);
	f.real_path = NULL;
	view_file_release(&f);
	if (r < 0 || known)
		return r;
	if (c->seen.count >= CLOSURE_FILES_MAX)
		return error_set(err, -EFBIG, "%s needs too many files", path);
	strv_add(&c->seen, real);
	scoped_fd int fd = view_open(c->v, real, err);
	if (fd < 0)
		return fd;
	struct elf e = { 0 };
	r = elf_read(fd, &e, err);
	if (r == -ENOEXEC)
		return add_script_needs(c, fd, path, scripts, err);
	if (r == 0)
		r = add_elf_needs(c, &e, real, needed_by, err);
	elf_release(&e);
	return r;
}

int closure_add(struct view *v, const char *program, struct manifest *into, struct error *err)
{
	struct closure c = { .v = v, .into = into };
	int r = add_file(&c, program, NULL, 0, err);
	strv_release(&c.seen);
	buf_release(&c.cache);
	return r;
}
