#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/wait.h>

#include "common/io.h"
#include "tools/cmd_lambda.h"
#include "tools/session.h"

/* The worker's package: ggfs-worker, every library that it needs and the loader that fits them,
 * since Amazon Linux's libc may be older than the one it was built with. */

#define NOTE "ggfs-package" /* "VERSION ARCH\n" */
enum {
	NOTE_MAX = 256,
	LIBRARIES_MAX = 256,
	TOLD_MAX = 1 << 20,
	INTERPRETER_MAX = 256,
};

/* LD_LIBRARY_PATH is Lambda's own, and names /var/task/lib: were the libraries there, /bin/sh would
 * already load a libc that its loader does not fit. So they lie elsewhere, and what the worker runs
 * does not see them. */
static const char bootstrap[] =
        "#!/bin/sh\n"
        "unset LD_LIBRARY_PATH\n"
        "if [ -z \"$AWS_CA_BUNDLE\" ]; then\n"
        "\tfor file in /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/certs/ca-certificates.crt \\\n"
        "\t\t\"$LAMBDA_TASK_ROOT/ca-certificates.crt\"; do\n"
        "\t\tif [ -r \"$file\" ]; then\n"
        "\t\t\texport AWS_CA_BUNDLE=\"$file\"\n"
        "\t\t\tbreak\n"
        "\t\tfi\n"
        "\tdone\n"
        "fi\n"
        "so=$LAMBDA_TASK_ROOT/so\n"
        "exec \"$so/loader\" --library-path \"$so\" \"$LAMBDA_TASK_ROOT/ggfs-worker\"\n";

static const char *const certificates[] = { "/etc/ssl/certs/ca-certificates.crt",
	                                    "/etc/pki/tls/certs/ca-bundle.crt" };

void lambda_package_release(struct lambda_package *p)
{
	buf_release(&p->zip);
	free(p->version);
	free(p->arch);
	*p = (struct lambda_package){ 0 };
}

/* --- programs --------------------------------------------------------------------------------
 */

static const char *arch_of(unsigned machine)
{
	return machine == EM_X86_64 ? "x86_64" : machine == EM_AARCH64 ? "arm64" : NULL;
}

/* The architecture of a program, and its loader ("" when it is static). */
static int read_elf(const char *path, const char **arch, char loader[INTERPRETER_MAX],
                    struct error *err)
{
	Elf64_Ehdr header;
	scoped_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "cannot open %s", path);
	if (pread_full(fd, &header, sizeof(header), 0) != sizeof(header) ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
	    header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_phentsize != sizeof(Elf64_Phdr) ||
	    !(*arch = arch_of(header.e_machine)))
		return error_set(err, -EINVAL, "%s is no program that Lambda could run", path);
	loader[0] = '\0';
	for (unsigned i = 0; i < header.e_phnum; i++) {
		Elf64_Phdr p;
		off_t at = (off_t)(header.e_phoff + i * sizeof(p));
		if (pread_full(fd, &p, sizeof(p), at) != sizeof(p))
			return error_set(err, -EINVAL, "%s is damaged", path);
		if (p.p_type != PT_INTERP)
			continue;
		if (p.p_filesz == 0 || p.p_filesz > INTERPRETER_MAX ||
		    pread_full(fd, loader, p.p_filesz, (off_t)p.p_offset) != (ssize_t)p.p_filesz)
			return error_set(err, -EINVAL, "%s is damaged", path);
		loader[p.p_filesz - 1] = '\0';
	}
	return 0;
}

/* What a program says on standard output; -EIO when it does not end well. */
static int run_program(char *const *argv, struct buf *out, struct error *err)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(err, "cannot create a pipe");
	scoped_fd int from = ends[0];
	scoped_fd int to = ends[1];
	pid_t pid = fork();
	if (pid < 0)
		return error_errno(err, "cannot start a process");
	if (pid == 0) {
		dup2(to, STDOUT_FILENO);
		execv(argv[0], argv);
		_exit(127);
	}
	close(steal_fd(&to));
	int status = 0, r = read_all(from, out, TOLD_MAX);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0 || !out->data)
		return error_set(err, -EIO, "%s did not end well", argv[0]);
	return 0;
}

static int check_version(const char *worker, struct error *err)
{
	static const char ours[] = "ggfs-worker " GGFS_VERSION "\n";
	scoped_strv struct strv argv = STRV_INIT;
	scoped_buf struct buf said = BUF_INIT;
	strv_add(&argv, worker);
	strv_add(&argv, "--version");
	if (run_program(argv.items, &said, err) < 0)
		return error_set(err, -EINVAL, "%s does not say which version it is", worker);
	if (strcmp(said.data, ours) == 0)
		return 0;
	said.data[strcspn(said.data, "\n")] = '\0';
	return error_set(err, -EINVAL,
	                 "%s is '%.80s', and this is ggfs " GGFS_VERSION
	                 ": a worker of another version refuses our requests",
	                 worker, said.data);
}

/* --- libraries -------------------------------------------------------------------------------
 */

static int compare_names(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;
	return strcmp(strrchr(*x, '/'), strrchr(*y, '/'));
}

/* Absolute paths of the libraries, by name: "\tlibc.so.6 => /lib/libc.so.6 (0x...)" of each. */
static int list_libraries(const char *loader, const char *worker, struct strv *out,
                          struct error *err)
{
	scoped_strv struct strv argv = STRV_INIT;
	scoped_buf struct buf told = BUF_INIT;
	strv_add(&argv, loader);
	strv_add(&argv, "--list");
	strv_add(&argv, worker);
	int r = run_program(argv.items, &told, err);
	if (r < 0)
		return r;
	for (const char *at = told.data; (at = strstr(at, "=> ")) && out->count < LIBRARIES_MAX;) {
		at += 3;
		size_t len = strcspn(at, " \n");
		if (*at != '/')
			return error_set(err, -ENOENT, "%s needs a library that is not here",
			                 worker);
		scoped_free char *path = xstrndup(at, len);
		if (strcmp(path, loader) != 0)
			strv_add(out, path);
	}
	if (out->count)
		qsort(out->items, out->count, sizeof(*out->items), compare_names);
	return 0;
}

int lambda_program_needs(const char *program, char **loader, struct strv *libraries,
                         struct error *err)
{
	const char *arch;
	char interpreter[INTERPRETER_MAX];
	int r = read_elf(program, &arch, interpreter, err);
	if (r == 0 && *interpreter)
		r = list_libraries(interpreter, program, libraries, err);
	if (r == 0)
		*loader = xstrdup(interpreter);
	return r;
}

static int add_libraries(struct zip *z, const char *worker, const char *loader, struct error *err)
{
	scoped_strv struct strv libraries = STRV_INIT;
	int r = list_libraries(loader, worker, &libraries, err);
	for (size_t i = 0; r == 0 && i < libraries.count; i++) {
		scoped_free char *name = xformat("so/%s", strrchr(libraries.items[i], '/') + 1);
		r = zip_add_file(z, name, libraries.items[i], false, err);
	}
	return r < 0 ? r : zip_add_file(z, "so/loader", loader, true, err);
}

static int add_certificates(struct zip *z, struct error *err)
{
	for (size_t i = 0; i < sizeof(certificates) / sizeof(certificates[0]); i++)
		if (access(certificates[i], R_OK) == 0)
			return zip_add_file(z, "ca-certificates.crt", certificates[i], false, err);
	return 0;
}

/* --- the package -----------------------------------------------------------------------------
 */

static int fill(struct zip *z, const char *worker, const char *arch, const char *loader,
                struct error *err)
{
	static const char direct[] = "#!/bin/sh\nexec \"$LAMBDA_TASK_ROOT/ggfs-worker\"\n";
	const char *script = *loader ? bootstrap : direct;
	scoped_free char *note = xformat(GGFS_VERSION " %s\n", arch);
	int r = zip_add(z, "bootstrap", script, strlen(script), true, err);
	if (r == 0)
		r = add_certificates(z, err);
	if (r == 0)
		r = zip_add(z, NOTE, note, strlen(note), false, err);
	if (r == 0)
		r = zip_add_file(z, "ggfs-worker", worker, true, err);
	return r < 0 || !*loader ? r : add_libraries(z, worker, loader, err);
}

static int check_size(const struct buf *zip, struct error *err)
{
	if (zip->len <= LAMBDA_PACKAGE_MAX)
		return 0;
	return error_set(err, -EFBIG,
	                 "the package has %zu bytes, and Lambda takes %d directly: strip "
	                 "ggfs-worker, or build it without sanitizers",
	                 zip->len, LAMBDA_PACKAGE_MAX);
}

int lambda_package_make(const char *named, struct lambda_package *out, struct error *err)
{
	scoped_free char *worker = named ? xstrdup(named) : session_helper("ggfs-worker");
	char loader[INTERPRETER_MAX];
	const char *arch = NULL;
	if (!worker)
		return error_set(err, -ENOENT,
		                 "ggfs-worker is neither beside this ggfs nor in ../libexec/ggfs");
	int r = read_elf(worker, &arch, loader, err);
	if (r == 0)
		r = check_version(worker, err);
	if (r < 0)
		return r;
	struct zip *z = zip_new();
	r = fill(z, worker, arch, loader, err);
	if (r == 0)
		r = zip_finish(z, &out->zip, err);
	zip_free(z);
	if (r == 0)
		r = check_size(&out->zip, err);
	if (r == 0) {
		out->version = xstrdup(GGFS_VERSION);
		out->arch = xstrdup(arch);
	}
	return r;
}

int lambda_package_read(const char *path, struct lambda_package *out, struct error *err)
{
	scoped_buf struct buf note = BUF_INIT;
	int r = read_file_at(AT_FDCWD, path, &out->zip, LAMBDA_PACKAGE_MAX, err);
	if (r == 0)
		r = zip_find(out->zip.data ? out->zip.data : "", out->zip.len, NOTE, NOTE_MAX,
		             &note, err);
	if (r < 0)
		return error_prefix(err, r, "%s", path);
	size_t len = strcspn(note.data ? note.data : "", " ");
	if (!note.data || note.data[len] != ' ')
		return error_set(err, -EINVAL, "%s is not of ggfs lambda package", path);
	out->version = xstrndup(note.data, len);
	out->arch = xstrndup(note.data + len + 1, strcspn(note.data + len + 1, "\n"));
	if (strcmp(out->version, GGFS_VERSION) != 0)
		return error_set(err, -EINVAL,
		                 "%s has the worker of ggfs %s, and this is ggfs " GGFS_VERSION
		                 ": a worker of another version refuses our requests",
		                 path, out->version);
	return 0;
}
