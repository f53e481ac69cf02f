/* Functions that tell paths, and what else tells of the machine. */
#include <asm/fcntl.h> /* O_DIRECTORY, and so O_TMPFILE, is not the same on all machines */

#include "engine/worker/interpose.h"

struct stream;

/* --- the working directory ---------------------------------------------------------------------
 */

static char *working_directory(char *out, size_t size)
{
	char here[PATH_BYTES];
	long n = raw2(__NR_getcwd, here, sizeof(here));
	if (n < 0) {
		outcome_of(n);
		return NULL;
	}
	world_strip(here);
	size_t need = strlen(here) + 1;
	if (!out && size == 0)
		size = need;
	if (size < need) {
		*__errno_location() = out && size == 0 ? EINVAL_ : ERANGE_;
		return NULL;
	}
	if (!out)
		out = malloc(size);
	return out ? memcpy(out, here, need) : NULL;
}

PUBLIC char *getcwd(char *out, size_t size);
PUBLIC char *getcwd(char *out, size_t size)
{
	return working_directory(out, size);
}

PUBLIC char *__getcwd_chk(char *out, size_t size, size_t object);
PUBLIC char *__getcwd_chk(char *out, size_t size, size_t object)
{
	return working_directory(out, size < object ? size : object);
}

PUBLIC char *getwd(char *out);
PUBLIC char *getwd(char *out)
{
	return working_directory(out, PATH_BYTES);
}

PUBLIC char *get_current_dir_name(void);
PUBLIC char *get_current_dir_name(void)
{
	return working_directory(NULL, 0);
}

/* --- links -------------------------------------------------------------------------------------
 */

static long read_link(int dir, const char *path, char *out, size_t size)
{
	char lies[PATH_BYTES], target[PATH_BYTES];
	const char *p = world_path(path, lies);
	if (!p)
		return -1;
	long n = outcome_of(raw4(__NR_readlinkat, dir, p, target, sizeof(target) - 1));
	if (n < 0)
		return n;
	target[n] = '\0';
	/* Those the world was laid out with name the root they lie below. */
	world_strip(target);
	size_t len = strlen(target);
	if (len > size)
		len = size;
	memcpy(out, target, len);
	return (long)len;
}

PUBLIC long readlink(const char *path, char *out, size_t size);
PUBLIC long readlink(const char *path, char *out, size_t size)
{
	return read_link(AT_FDCWD_, path, out, size);
}

PUBLIC long readlinkat(int dir, const char *path, char *out, size_t size);
PUBLIC long readlinkat(int dir, const char *path, char *out, size_t size)
{
	return read_link(dir, path, out, size);
}

PUBLIC long __readlink_chk(const char *path, char *out, size_t size, size_t object);
PUBLIC long __readlink_chk(const char *path, char *out, size_t size, size_t object)
{
	return read_link(AT_FDCWD_, path, out, size < object ? size : object);
}

PUBLIC long __readlinkat_chk(int dir, const char *path, char *out, size_t size, size_t object);
PUBLIC long __readlinkat_chk(int dir, const char *path, char *out, size_t size, size_t object)
{
	return read_link(dir, path, out, size < object ? size : object);
}

/* A link to an absolute path would lead out of the world when the kernel follows it. */
static int make_link(const char *target, int dir, const char *path)
{
	char lies[PATH_BYTES];
	const char *p = world_path(path, lies);
	if (!p)
		return -1;
	if (target[0] == '/' && interpose()->root_len) {
		refuse("a symbolic link to an absolute path");
		return -1;
	}
	return (int)outcome_of(raw3(__NR_symlinkat, target, dir, p));
}

PUBLIC int symlink(const char *target, const char *path);
PUBLIC int symlink(const char *target, const char *path)
{
	return make_link(target, AT_FDCWD_, path);
}

PUBLIC int symlinkat(const char *target, int dir, const char *path);
PUBLIC int symlinkat(const char *target, int dir, const char *path)
{
	return make_link(target, dir, path);
}

static void *next_realpath;

static char *real_path(const char *path, char *out)
{
	char lies[PATH_BYTES];
	const char *p = world_path(path, lies);
	if (!p && path)
		return NULL;
	char *found = ((char *(*)(const char *, char *))next_function(&next_realpath, "realpath"))(
	        p, out);
	if (found)
		world_strip(found);
	else if (out)
		world_strip(out); /* as far as it came */
	return found;
}

PUBLIC char *realpath(const char *path, char *out);
PUBLIC char *realpath(const char *path, char *out)
{
	return real_path(path, out);
}

PUBLIC char *__realpath_chk(const char *path, char *out, size_t object);
PUBLIC char *__realpath_chk(const char *path, char *out, size_t object)
{
	(void)object;
	return real_path(path, out);
}

PUBLIC char *canonicalize_file_name(const char *path);
PUBLIC char *canonicalize_file_name(const char *path)
{
	return real_path(path, NULL);
}

/* --- temporary files ---------------------------------------------------------------------------
 */

/* The six characters that were filled in, back into the caller's pattern. */
static void fill_in(char *pattern, const char *made, int suffix)
{
	if (pattern == made)
		return;
	size_t len = strlen(pattern), made_len = strlen(made), n = 6 + (size_t)suffix;
	if (len >= n && made_len >= n)
		memcpy(pattern + len - n, made + made_len - n, n);
}

/* What is made is made in the copy: the pattern is the caller's to see. */
#define TEMPORARY_FUNCTION(name, params, args, suffix)                                             \
	SLOT(name);                                                                                \
	PUBLIC int name params;                                                                    \
	PUBLIC int name params                                                                     \
	{                                                                                          \
		char lies[PATH_BYTES];                                                             \
		char *p = (char *)(uintptr_t)world_path(pattern, lies);                            \
		if (!p)                                                                            \
			return -1;                                                                 \
		int fd = ((int(*) params)next_function(&next_##name, #name))args;                  \
		fill_in(pattern, p, suffix);                                                       \
		return fd;                                                                         \
	}
TEMPORARY_FUNCTION(mkstemp, (char *pattern), (p), 0)
TEMPORARY_FUNCTION(mkstemp64, (char *pattern), (p), 0)
TEMPORARY_FUNCTION(mkostemp, (char *pattern, int flags), (p, flags), 0)
TEMPORARY_FUNCTION(mkostemp64, (char *pattern, int flags), (p, flags), 0)
TEMPORARY_FUNCTION(mkstemps, (char *pattern, int suffix), (p, suffix), suffix)
TEMPORARY_FUNCTION(mkstemps64, (char *pattern, int suffix), (p, suffix), suffix)
TEMPORARY_FUNCTION(mkostemps, (char *pattern, int suffix, int flags), (p, suffix, flags), suffix)
TEMPORARY_FUNCTION(mkostemps64, (char *pattern, int suffix, int flags), (p, suffix, flags), suffix)

static void *next_mkdtemp;
PUBLIC char *mkdtemp(char *pattern);
PUBLIC char *mkdtemp(char *pattern)
{
	char lies[PATH_BYTES];
	char *p = (char *)(uintptr_t)world_path(pattern, lies);
	char *made = p ? ((char *(*)(char *))next_function(&next_mkdtemp, "mkdtemp"))(p) : NULL;
	if (!made)
		return NULL;
	fill_in(pattern, p, 0);
	return pattern;
}

/* By another name here: nothing of ours may call it, but a function may. */
PUBLIC char *fill_name(char *pattern) __asm__("mktemp");
static void *next_fill_name;
PUBLIC char *fill_name(char *pattern)
{
	char lies[PATH_BYTES];
	char *p = (char *)(uintptr_t)world_path(pattern, lies);
	if (!p || !((char *(*)(char *))next_function(&next_fill_name, "mktemp"))(p) || !*p)
		*pattern = '\0';
	else
		fill_in(pattern, p, 0);
	return pattern;
}

static void *next_fdopen;
static struct stream *temporary_file(void)
{
	char lies[PATH_BYTES];
	long fd = outcome_of(
	        raw4(__NR_openat, AT_FDCWD_, world_path("/tmp", lies), O_TMPFILE | O_RDWR, 0600));
	if (fd < 0)
		return NULL;
	return ((struct stream * (*)(int, const char *))
	                next_function(&next_fdopen, "fdopen"))((int)fd, "w+");
}

PUBLIC struct stream *tmpfile(void);
PUBLIC struct stream *tmpfile(void)
{
	return temporary_file();
}

PUBLIC struct stream *tmpfile64(void);
PUBLIC struct stream *tmpfile64(void)
{
	return temporary_file();
}

/* --- languages ---------------------------------------------------------------------------------
 */

/* Calls fn with the world's locales in the environment, which are out of it again before the
 * function can look. Programs set their locale before they start threads. */
static void *with_locales(void *(*fn)(long, const char *, void *), long a, const char *name,
                          void *b)
{
	static const char variable[] = "LOCPATH=", where[] = "/usr/lib/locale";
	const struct interpose *i = interpose();
	char entry[sizeof(variable) + PATH_BYTES + sizeof(where)];
	size_t count = 0;
	while (environ && environ[count])
		count++;
	if (!i->root_len || count > PATH_BYTES)
		return fn(a, name, b);
	memcpy(entry, variable, sizeof(variable) - 1);
	memcpy(entry + sizeof(variable) - 1, i->root, i->root_len);
	memcpy(entry + sizeof(variable) - 1 + i->root_len, where, sizeof(where));
	char **saved = environ, **with = __builtin_alloca((count + 2) * sizeof(*with));
	with[0] = entry;
	memcpy(with + 1, saved, count * sizeof(*with));
	with[count + 1] = NULL;
	environ = with;
	void *result = fn(a, name, b);
	environ = saved;
	return result;
}

static void *next_setlocale, *next_newlocale;

static void *call_setlocale(long category, const char *name, void *unused)
{
	(void)unused;
	return ((char *(*)(int, const char *))next_function(&next_setlocale, "setlocale"))(
	        (int)category, name);
}

static void *call_newlocale(long mask, const char *name, void *base)
{
	return ((void *(*)(int, const char *, void *))next_function(&next_newlocale, "newlocale"))(
	        (int)mask, name, base);
}

PUBLIC char *setlocale(int category, const char *name);
PUBLIC char *setlocale(int category, const char *name)
{
	return name ? with_locales(call_setlocale, category, name, NULL)
	            : call_setlocale(category, name, NULL);
}

PUBLIC void *newlocale(int mask, const char *name, void *base);
PUBLIC void *newlocale(int mask, const char *name, void *base)
{
	return with_locales(call_newlocale, mask, name, base);
}

static void *next_bindtextdomain;
PUBLIC char *bindtextdomain(const char *domain, const char *path);
PUBLIC char *bindtextdomain(const char *domain, const char *path)
{
	char lies[PATH_BYTES];
	const char *p = world_path(path, lies);
	char *bound = ((char *(*)(const char *, const char *))next_function(
	        &next_bindtextdomain, "bindtextdomain"))(domain, p);
	return bound && path ? (char *)(uintptr_t)path : bound;
}

/* Conversions the C library has in itself; all others are files of the machine's. */
static bool is_built_in(const char *name)
{
	static const char *const names[] = { "UTF-8",     "UTF8",    "UCS-4",    "UCS4",
		                             "UCS-2",     "UCS2",    "US-ASCII", "ASCII",
		                             "ANSI_X3.4", "WCHAR_T", "INTERNAL", "ISO-10646" };
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strncasecmp(name, names[i], strlen(names[i])) == 0)
			return true;
	return name[0] == '\0' || name[0] == '/';
}

static void *next_iconv_open;
PUBLIC void *iconv_open(const char *to, const char *from);
PUBLIC void *iconv_open(const char *to, const char *from)
{
	if (interpose()->root_len && (!is_built_in(to) || !is_built_in(from))) {
		refuse("a conversion between character sets");
		return (void *)-1l;
	}
	return ((void *(*)(const char *, const char *))next_function(&next_iconv_open,
	                                                             "iconv_open"))(to, from);
}

/* --- the machine -------------------------------------------------------------------------------
 */

enum { NAME_BYTES = 65 };
static const char host_name[] = "localhost";

PUBLIC int gethostname(char *name, size_t size);
PUBLIC int gethostname(char *name, size_t size)
{
	if (size < sizeof(host_name)) {
		*__errno_location() = ENAMETOOLONG_;
		return -1;
	}
	memcpy(name, host_name, sizeof(host_name));
	return 0;
}

PUBLIC int uname(char *names);
PUBLIC int uname(char *names)
{
	int r = (int)outcome_of(raw1(__NR_uname, names));
	if (r == 0) {
		char *node = names + NAME_BYTES;
		for (int i = 0; i < NAME_BYTES; i++)
			node[i] = '\0';
		memcpy(node, host_name, sizeof(host_name));
	}
	return r;
}

PUBLIC char *ttyname(int fd);
PUBLIC char *ttyname(int fd)
{
	(void)fd;
	*__errno_location() = 25; /* ENOTTY: a function has no terminal */
	return NULL;
}
