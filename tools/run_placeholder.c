#include "tools/run_placeholder.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "common/io.h"
#include "tools/cmd.h"
#include "tools/live.h"
#include "tools/session.h"
#include "tools/target.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x10U /* Linux 6.3; without it the kernel's default is an executable memfd */
#endif

enum { EXIT_CANNOT_RUN = 126 };

/* Objects of the store are not executable, and must not become so: a copy in memory is. A script
 * is read by its interpreter through /dev/fd, so its descriptor must outlive the exec. */
static int executable_copy(int object, const char *name, struct error *err)
{
	char start[2] = "";
	ssize_t n = pread_full(object, start, sizeof(start), 0);
	unsigned cloexec = n == 2 && memcmp(start, "#!", 2) == 0 ? 0 : MFD_CLOEXEC;
	scoped_fd int fd = memfd_create(name, cloexec | MFD_EXEC);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, cloexec);
	if (fd < 0)
		return error_errno(err, "cannot make room for %s in memory", name);
	int r = copy_fd(object, fd, err);
	return r < 0 ? r : steal_fd(&fd);
}

static int force_one(struct client *c, const struct target *t, struct error *err)
{
	struct live live;
	live_begin(&live, !isatty(STDERR_FILENO));
	struct client_force_options options = { .progress = live_progress, .arg = &live };
	struct client_force_result result = { 0 };
	int r = client_force(c, &t->ref, 1, &options, &result, err);
	live_end(&live);
	if (r < 0 && result.reason)
		error_set(err, r, "%s", result.reason);
	if (r == 0 && result.ref.kind != REF_BLOB)
		r = error_set(err, -EISDIR, "it stands for a directory");
	if (r == 0)
		r = client_get(c, &result.ref.digest, err);
	client_force_result_release(&result);
	return r;
}

int run_placeholder(int argc, char **argv)
{
	if (argc < 2 || strcmp(argv[1], "--help") == 0)
		return cmd_usage("usage: ggfs-force PLACEHOLDER [ARGUMENT]...: forces PLACEHOLDER "
		                 "and runs it");
	struct error err = ERROR_INIT;
	const char *path = argv[1];
	struct target t = { 0 };
	scoped_client struct client *c = NULL;
	scoped_free char *resolved = realpath(path, NULL);
	int r = target_look(resolved ? resolved : path, &t, &err);
	if (r == 0 && !t.lazy)
		r = error_set(&err, -EINVAL, "%s", t.trouble ? t.trouble : "it is no placeholder");
	if (r == 0)
		r = session_open_at(NULL, path, &c, &err);
	int fd = r == 0 ? force_one(c, &t, &err) : r;
	target_release(&t);
	if (fd >= 0) {
		const char *slash = strrchr(path, '/');
		int copy = executable_copy(fd, slash ? slash + 1 : path, &err);
		close(fd);
		fd = copy;
	}
	if (fd < 0) {
		cmd_fail_text("%s: %s", path, error_text(&err));
		return EXIT_CANNOT_RUN;
	}
	fexecve(fd, argv + 1, environ);
	cmd_fail_text("cannot run %s: %s", path, strerror(errno));
	return EXIT_CANNOT_RUN;
}
