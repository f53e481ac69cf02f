/*
 * Programs that are started: by the world's own dynamic linker, with the world's libraries, so
 * that nothing of the machine is used; and with this library before all others.
 *
 * All is done on the stack: these functions are called between vfork and exec.
 */
#include <elf.h>
#include <stdarg.h>

#include "engine/worker/interpose.h"

enum {
	HEAD_BYTES = 4096, /* of a file, all that is looked at, as the kernel does */
	SCRIPTS_MAX = 4,   /* interpreters that are scripts themselves */
	ARGUMENTS_MAX = 1 << 17,
	ADDED_ARGUMENTS = 12 + 2 * SCRIPTS_MAX,
};

#if defined(__x86_64__)
enum { MACHINE = EM_X86_64 };
#else
enum { MACHINE = EM_AARCH64 };
#endif

/* What is really executed. The strings lie in the frame of who prepared it. */
struct image {
	char file[PATH_BYTES]; /* the dynamic linker */
	char program[PATH_BYTES];
	char lines[SCRIPTS_MAX][256]; /* of "#!", cut into two strings */
	char **argv, **env;
	size_t argc; /* counted from the end of argv's room: interpreters are put in front */
	bool is_script;
};

static size_t count(char *const *list)
{
	size_t n = 0;
	while (list && list[n])
		n++;
	return n;
}

static long read_head(const char *real, unsigned char *head)
{
	long fd = raw4(__NR_openat, AT_FDCWD_, real, 02000000, 0); /* O_CLOEXEC */
	if (fd < 0)
		return fd;
	long n = raw3(__NR_read, fd, head, HEAD_BYTES - 1);
	raw1(__NR_close, fd);
	if (n >= 0)
		head[n] = '\0';
	return n;
}

/* The path of the dynamic linker that an executable asks for; -EACCES-like errors otherwise. */
static long find_linker(const unsigned char *head, long len, const char **out)
{
	Elf64_Ehdr elf;
	if (len < (long)sizeof(elf))
		return -ENOEXEC_;
	memcpy(&elf, head, sizeof(elf));
	if (elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_machine != MACHINE) {
		refuse("a program for another machine");
		return -ENOEXEC_;
	}
	for (unsigned i = 0; i < elf.e_phnum; i++) {
		Elf64_Phdr p;
		uint64_t at = elf.e_phoff + (uint64_t)i * sizeof(p);
		if (elf.e_phentsize != sizeof(p) || at > (uint64_t)len - sizeof(p))
			break;
		memcpy(&p, head + at, sizeof(p));
		if (p.p_type != PT_INTERP)
			continue;
		if (p.p_offset >= (uint64_t)len || p.p_filesz > (uint64_t)len - p.p_offset ||
		    p.p_filesz < 2 || head[p.p_offset + p.p_filesz - 1] != '\0')
			break;
		*out = (const char *)head + p.p_offset;
		return 0;
	}
	refuse("a program that is linked statically");
	return -ENOEXEC_;
}

/* "#!INTERPRETER [ARGUMENT]": both cut out in place, as the kernel does. */
static long split_line(char *line, char **interpreter, char **argument)
{
	char *c = line + 2;
	while (*c == ' ' || *c == '\t')
		c++;
	*interpreter = c;
	while (*c && *c != '\n' && *c != ' ' && *c != '\t')
		c++;
	*argument = NULL;
	if (*c == ' ' || *c == '\t') {
		*c++ = '\0';
		while (*c == ' ' || *c == '\t')
			c++;
		*argument = *c && *c != '\n' ? c : NULL;
	}
	while (*c && *c != '\n')
		c++;
	bool whole = *c == '\n';
	*c = '\0';
	while (*argument && c > *argument && (c[-1] == ' ' || c[-1] == '\t'))
		*--c = '\0';
	return whole && **interpreter ? 0 : -ENOEXEC_;
}

static void put_before(struct image *m, const char *argument)
{
	*--m->argv = (char *)(uintptr_t)argument;
	m->argc++;
}

/* From a script to the program that interprets it. */
static long enter_script(struct image *m, const unsigned char *head, int depth, const char *path,
                         const char **next)
{
	char *interpreter, *argument, *line = m->lines[depth];
	memcpy(line, head, sizeof(m->lines[depth]) - 1);
	line[sizeof(m->lines[depth]) - 1] = '\0';
	long r = split_line(line, &interpreter, &argument);
	if (r < 0)
		return r;
	if (m->argc) {
		m->argv++; /* argv[0] gives way to the script's path */
		m->argc--;
	}
	put_before(m, path);
	if (argument)
		put_before(m, argument);
	put_before(m, interpreter);
	*next = interpreter;
	return 0;
}

static void put_linker_before(struct image *m, const char *name)
{
	const struct interpose *i = interpose();
	if (m->argc) {
		m->argv++;
		m->argc--;
	}
	put_before(m, m->program);
	put_before(m, name);
	put_before(m, "--argv0");
	put_before(m, i->preload);
	put_before(m, "--preload");
	put_before(m, i->library_path);
	put_before(m, "--library-path");
	put_before(m, "--inhibit-cache");
	put_before(m, m->file);
}

/* path and argv are the function's; m->argv has room in front. */
static long prepare(struct image *m, const char *path)
{
	unsigned char head[HEAD_BYTES];
	char lies[PATH_BYTES];
	for (int depth = 0; depth <= SCRIPTS_MAX; depth++) {
		const char *real = world_path(path, lies), *linker = NULL;
		if (!real)
			return -ENAMETOOLONG_;
		long n = raw3(__NR_faccessat, AT_FDCWD_, real, 1);
		if (n == 0)
			n = read_head(real, head);
		if (n < 0)
			return n;
		if (n >= 2 && head[0] == '#' && head[1] == '!') {
			n = depth < SCRIPTS_MAX ? enter_script(m, head, depth, path, &path)
			                        : -ELOOP_;
			if (n < 0)
				return n;
			continue;
		}
		if (n < 4 || head[0] != 0x7f || head[1] != 'E' || head[2] != 'L' || head[3] != 'F')
			return -ENOEXEC_;
		n = find_linker(head, n, &linker);
		if (n < 0)
			return n;
		memcpy(m->program, real, strlen(real) + 1);
		const char *file = world_path(linker, m->file);
		if (!file)
			return -ENAMETOOLONG_;
		if (file != m->file)
			memcpy(m->file, file, strlen(file) + 1);
		put_linker_before(m, m->argc ? m->argv[0] : path);
		return 0;
	}
	return -ELOOP_;
}

typedef long start_fn(struct image *m, void *arg);

/* Prepares on its own stack, then starts. -errno, or what start returned. */
static long with_image(const char *path, char *const *argv, char *const *env, start_fn *start,
                       void *arg)
{
	struct image m = { .argc = count(argv) };
	size_t variables = count(env);
	if (m.argc > ARGUMENTS_MAX || variables > ARGUMENTS_MAX)
		return -E2BIG_;
	char **room = __builtin_alloca((m.argc + 1 + ADDED_ARGUMENTS) * sizeof(*room));
	m.argv = room + ADDED_ARGUMENTS;
	if (m.argc)
		memcpy(m.argv, argv, m.argc * sizeof(*room));
	m.argv[m.argc] = NULL;
	m.env = __builtin_alloca((variables + 2) * sizeof(*m.env));
	m.env[0] = (char *)(uintptr_t)interpose()->variable;
	if (variables)
		memcpy(m.env + 1, env, variables * sizeof(*m.env));
	m.env[variables + 1] = NULL;
	long r = prepare(&m, path);
	return r < 0 ? r : start(&m, arg);
}

/* --- exec --------------------------------------------------------------------------------------
 */

static long start_exec(struct image *m, void *arg)
{
	(void)arg;
	return raw3(__NR_execve, m->file, m->argv, m->env);
}

static long execute(const char *path, char *const *argv, char *const *env)
{
	if (!interpose()->root_len)
		return raw3(__NR_execve, path, argv, env);
	return with_image(path, argv, env, start_exec, NULL);
}

/* What is no program is given to the shell, by those of the family that search. */
static long execute_or_shell(const char *path, char *const *argv, char *const *env)
{
	long r = execute(path, argv, env);
	size_t n = count(argv);
	if (r != -ENOEXEC_ || n > ARGUMENTS_MAX)
		return r;
	char **shell = __builtin_alloca((n + 3) * sizeof(*shell));
	static const char sh[] = "/bin/sh";
	shell[0] = (char *)(uintptr_t)sh;
	shell[1] = (char *)(uintptr_t)path;
	if (n > 1)
		memcpy(shell + 2, argv + 1, (n - 1) * sizeof(*shell));
	shell[n > 1 ? n + 1 : 2] = NULL;
	return execute(shell[0], shell, env);
}

static const char *search_path(void)
{
	for (char **e = environ; e && *e; e++)
		if (strncmp(*e, "PATH=", 5) == 0)
			return *e + 5;
	return "/bin:/usr/bin";
}

typedef long try_fn(const char *path, char *const *argv, char *const *env, void *arg);

/* Tries name in each directory of PATH. */
static long search(const char *name, char *const *argv, char *const *env, try_fn *try, void *arg)
{
	char path[PATH_BYTES];
	size_t len = strlen(name);
	long last = -ENOENT_;
	if (len == 0)
		return last;
	if (strchr(name, '/'))
		return try(name, argv, env, arg);
	for (const char *c = search_path();; c++) {
		size_t n = 0;
		while (c[n] && c[n] != ':')
			n++;
		if (n + len + 2 < sizeof(path)) {
			memcpy(path, c, n);
			path[n] = '/';
			memcpy(path + n + (n > 0), name, len + 1);
			long r = try(path, argv, env, arg);
			if (r != -ENOENT_ && r != -ENOTDIR_ && r != -EACCES_)
				return r;
			if (r == -EACCES_)
				last = r;
		}
		c += n;
		if (!*c)
			return last;
	}
}

static long try_exec(const char *path, char *const *argv, char *const *env, void *arg)
{
	(void)arg;
	return execute_or_shell(path, argv, env);
}

PUBLIC int execve(const char *path, char *const argv[], char *const env[]);
PUBLIC int execve(const char *path, char *const argv[], char *const env[])
{
	return (int)outcome_of(execute(path, argv, env));
}

PUBLIC int execv(const char *path, char *const argv[]);
PUBLIC int execv(const char *path, char *const argv[])
{
	return (int)outcome_of(execute(path, argv, environ));
}

PUBLIC int execvp(const char *name, char *const argv[]);
PUBLIC int execvp(const char *name, char *const argv[])
{
	return (int)outcome_of(search(name, argv, environ, try_exec, NULL));
}

PUBLIC int execvpe(const char *name, char *const argv[], char *const env[]);
PUBLIC int execvpe(const char *name, char *const argv[], char *const env[])
{
	return (int)outcome_of(search(name, argv, env, try_exec, NULL));
}

static size_t count_list(va_list *args)
{
	size_t n = 1;
	while (va_arg(*args, char *))
		n++;
	return n;
}

static void take_list(char **argv, const char *first, size_t n, va_list *args)
{
	argv[0] = (char *)(uintptr_t)first;
	for (size_t i = 1; i <= n; i++)
		argv[i] = va_arg(*args, char *);
}

/* execl and its like: the arguments as an array, and behind them, for execle, env. */
#define LIST_FUNCTION(name, environment, call)                                                     \
	PUBLIC int name(const char *path, const char *first, ...);                                 \
	PUBLIC int name(const char *path, const char *first, ...)                                  \
	{                                                                                          \
		va_list args;                                                                      \
		va_start(args, first);                                                             \
		size_t n = first ? count_list(&args) : 0;                                          \
		va_end(args);                                                                      \
		char **argv = __builtin_alloca((n + 1) * sizeof(*argv));                           \
		va_start(args, first);                                                             \
		take_list(argv, first, n, &args);                                                  \
		char **env = environment;                                                          \
		va_end(args);                                                                      \
		return (int)outcome_of(call);                                                      \
	}
LIST_FUNCTION(execl, environ, execute(path, argv, env))
LIST_FUNCTION(execlp, environ, search(path, argv, env, try_exec, NULL))
LIST_FUNCTION(execle, va_arg(args, char **), execute(path, argv, env))

/* --- spawn -------------------------------------------------------------------------------------
 */

struct spawn {
	int *pid;
	const void *actions, *attributes;
};

static void *next_posix_spawn;
typedef int spawn_fn(int *pid, const char *path, const void *actions, const void *attributes,
                     char *const argv[], char *const env[]);

static long start_spawn(struct image *m, void *arg)
{
	const struct spawn *s = arg;
	spawn_fn *spawn = (spawn_fn *)next_function(&next_posix_spawn, "posix_spawn");
	return -spawn(s->pid, m->file, s->actions, s->attributes, m->argv, m->env);
}

static long try_spawn(const char *path, char *const *argv, char *const *env, void *arg)
{
	struct spawn *s = arg;
	if (interpose()->root_len)
		return with_image(path, argv, env, start_spawn, s);
	spawn_fn *spawn = (spawn_fn *)next_function(&next_posix_spawn, "posix_spawn");
	return -spawn(s->pid, path, s->actions, s->attributes, argv, env);
}

PUBLIC spawn_fn posix_spawn, posix_spawnp;
PUBLIC int posix_spawn(int *pid, const char *path, const void *actions, const void *attributes,
                       char *const argv[], char *const env[])
{
	struct spawn s = { pid, actions, attributes };
	return (int)-try_spawn(path, argv, env, &s);
}

PUBLIC int posix_spawnp(int *pid, const char *name, const void *actions, const void *attributes,
                        char *const argv[], char *const env[])
{
	struct spawn s = { pid, actions, attributes };
	return (int)-search(name, argv, env, try_spawn, &s);
}

PATH_FUNCTION(int, ENAMETOOLONG_, posix_spawn_file_actions_addopen, path,
              (void *actions, int fd, const char *path, int flags, unsigned mode),
              (actions, fd, p, flags, mode))
PATH_FUNCTION(int, ENAMETOOLONG_, posix_spawn_file_actions_addchdir_np, path,
              (void *actions, const char *path), (actions, p))
