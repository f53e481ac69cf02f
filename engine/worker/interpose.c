#include "engine/worker/interpose.h"

#define VARIABLE "GGFS_RELOCATE="

static struct interpose state;

/* --- the kernel --------------------------------------------------------------------------------
 */

long raw(long n, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;
	__asm__ volatile("syscall"
	                 : "=a"(result)
	                 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
	                 : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc 0"
	                 : "+r"(x0)
	                 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
	                 : "memory");
	return x0;
#else
#error "a machine whose system calls are not known here"
#endif
}

long outcome_of(long result)
{
	if (result >= 0 || result < -4095)
		return result;
	*__errno_location() = (int)-result;
	return -1;
}

/* --- what relocates ----------------------------------------------------------------------------
 */

static bool join(char *out, const char *a, size_t a_len, const char *b)
{
	size_t b_len = strlen(b);
	if (a_len + b_len >= PATH_BYTES)
		return false;
	memmove(out, a, a_len);
	memcpy(out + a_len, b, b_len + 1);
	return true;
}

/* GGFS_RELOCATE=ROOT:LIBRARY-PATH; the library and the report lie beside ROOT. */
static void take(const char *variable)
{
	size_t len = strlen(variable);
	if (len >= sizeof(state.variable))
		return;
	memcpy(state.variable, variable, len + 1);
	const char *root = state.variable + strlen(VARIABLE), *colon = strchr(root, ':');
	if (!colon || root[0] != '/')
		return;
	size_t root_len = (size_t)(colon - root), beside = root_len;
	while (beside > 0 && root[beside - 1] != '/')
		beside--;
	if (!join(state.root, root, root_len, "") ||
	    !join(state.preload, root, beside, "relocate.so") ||
	    !join(state.report, root, beside, "report"))
		return;
	state.library_path = colon + 1;
	state.root_len = root_len;
}

/* The variable is no part of the function's environment: it is taken out before anybody looks. */
static void begin(void)
{
	state.ready = true;
	for (char **e = environ; e && *e; e++) {
		if (strncmp(*e, VARIABLE, strlen(VARIABLE)) != 0)
			continue;
		take(*e);
		for (char **hole = e; *hole; hole++)
			hole[0] = hole[1];
		break;
	}
	if (!dlsym) {
		refuse("a C library without dlsym");
		raw1(__NR_exit_group, 127);
	}
}

const struct interpose *interpose(void)
{
	if (!state.ready)
		begin();
	return &state;
}

__attribute__((constructor)) static void construct(void)
{
	interpose();
}

void refuse(const char *what)
{
	const int append_and_write = 02000 | 01;
	long fd = raw4(__NR_openat, AT_FDCWD_, state.report, append_and_write, 0);
	if (fd >= 0) {
		raw3(__NR_write, fd, what, strlen(what));
		raw3(__NR_write, fd, "\n", 1);
		raw1(__NR_close, fd);
	}
	*__errno_location() = ENOSYS_;
}

void *next_function(void **slot, const char *name)
{
	void *const next = (void *)-1l; /* RTLD_NEXT */
	if (!*slot)
		*slot = dlsym(next, name);
	return *slot;
}

/* --- paths -------------------------------------------------------------------------------------
 */

static bool is_device(const char *path)
{
	static const char *const devices[] = { "null", "zero", "full", "random", "urandom" };
	if (strncmp(path, "/dev/", 5) != 0)
		return false;
	for (size_t i = 0; i < sizeof(devices) / sizeof(*devices); i++)
		if (strcmp(path + 5, devices[i]) == 0)
			return true;
	return false;
}

static size_t component(const char *path)
{
	size_t n = 0;
	while (path[n] && path[n] != '/')
		n++;
	return n;
}

static bool has_parent(const char *path)
{
	for (const char *c = path; *c;) {
		size_t n = component(c);
		if (n == 2 && c[0] == '.' && c[1] == '.')
			return true;
		c += n;
		while (*c == '/')
			c++;
	}
	return false;
}

/* Appends path, which starts with a slash, to the root in out; ".." at the top stays at the top, as
 * it does below a real root. */
static const char *below_root(const char *path, char *out)
{
	size_t at = state.root_len, depth = 0;
	memcpy(out, state.root, at);
	for (const char *c = path; *c;) {
		while (*c == '/')
			c++;
		size_t n = component(c);
		bool parent = n == 2 && c[0] == '.' && c[1] == '.';
		bool self = n == 0 || (n == 1 && c[0] == '.');
		if (at + n + 3 >= PATH_BYTES) {
			*__errno_location() = ENAMETOOLONG_;
			return NULL;
		}
		if (!parent || depth > 0) {
			out[at++] = '/'; /* also at the end: "a/" wants a directory */
			memcpy(out + at, c, n);
			at += n;
		}
		depth = parent ? depth - (depth > 0) : depth + !self;
		c += n;
	}
	out[at] = '\0';
	return out;
}

/* A relative path that goes up, perhaps over the top. */
static const char *from_here(const char *path, char *out)
{
	char here[2 * PATH_BYTES];
	long n = raw2(__NR_getcwd, here, PATH_BYTES);
	size_t depth = 0, len = strlen(path);
	if (n <= 0 || strncmp(here, state.root, state.root_len) != 0 || len >= PATH_BYTES - 1)
		return path;
	for (const char *c = here + state.root_len; *c; c++)
		depth += *c == '/';
	bool over = false;
	for (const char *c = path; *c && !over;) {
		size_t m = component(c);
		bool parent = m == 2 && c[0] == '.' && c[1] == '.';
		over = parent && depth == 0;
		depth = parent ? depth - (depth > 0) : depth + (m > 1 || (m == 1 && *c != '.'));
		c += m;
		while (*c == '/')
			c++;
	}
	if (!over)
		return path;
	size_t at = strlen(here);
	here[at] = '/';
	memcpy(here + at + 1, path, len + 1);
	return below_root(here + state.root_len, out);
}

const char *world_path(const char *path, char out[PATH_BYTES])
{
	const struct interpose *i = interpose();
	if (!path || !i->root_len)
		return path;
	if (path[0] != '/')
		return has_parent(path) ? from_here(path, out) : path;
	if (is_device(path))
		return path;
	/* What was not stripped on its way out is understood on its way in. */
	if (strncmp(path, i->root, i->root_len) == 0 &&
	    (path[i->root_len] == '/' || path[i->root_len] == '\0'))
		return path;
	return below_root(path, out);
}

void world_strip(char *path)
{
	const struct interpose *i = interpose();
	if (!i->root_len || strncmp(path, i->root, i->root_len) != 0)
		return;
	const char *rest = path + i->root_len;
	if (*rest == '/')
		memmove(path, rest, strlen(rest) + 1);
	else if (*rest == '\0')
		memcpy(path, "/", 2);
}
