#include "tools/cover.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "common/io.h"

static int write_map(const char *path, const char *text)
{
	scoped_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : write_full(fd, text, strlen(text));
}

/* A user namespace in which everybody is who they were. */
static int enter_user_namespace(void)
{
	scoped_free char *uid = xformat("%u %u 1", (unsigned)geteuid(), (unsigned)geteuid());
	scoped_free char *gid = xformat("%u %u 1", (unsigned)getegid(), (unsigned)getegid());
	if (unshare(CLONE_NEWUSER) < 0)
		return -errno;
	int r = write_map("/proc/self/setgroups", "deny");
	if (r == 0)
		r = write_map("/proc/self/gid_map", gid);
	return r == 0 ? write_map("/proc/self/uid_map", uid) : r;
}

/* What is mounted outside meanwhile is still seen in here (and not the reverse). */
static int enter_namespace(void)
{
	int r = geteuid() == 0 ? 0 : enter_user_namespace();
	if (r < 0)
		return r;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return -errno;
	return 0;
}

bool cover_possible(void)
{
	pid_t child = fork();
	if (child == 0)
		_exit(enter_namespace() == 0 ? 0 : 1);
	int status = 1;
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return child > 0 && status == 0;
}

static char *directory_of(const char *file)
{
	const char *slash = strrchr(file, '/');
	return xstrndup(file, slash == file ? 1 : (size_t)(slash - file));
}

/* With what is mounted on its files already: covers of somebody else's stay what they are. */
static int show_uncovered(const char *directory, const char *tools, struct error *err)
{
	scoped_free char *place = xformat("%s%s", directory, tools);
	int r = make_dirs_at(AT_FDCWD, place, 0700, err);
	if (r < 0)
		return r;
	if (mount(tools, place, NULL, MS_BIND | MS_REC, NULL) < 0)
		return error_errno(err, "cannot bind %s", tools);
	return 0;
}

int cover_enter(const char *directory, const char *stub, const struct strv *programs,
                struct error *err)
{
	int r = enter_namespace();
	if (r < 0)
		return error_set(err, r, "no mount namespace: %s", strerror(-r));
	scoped_strv struct strv files = STRV_INIT, directories = STRV_INIT;
	for (size_t i = 0; i < programs->count; i++) {
		char file[PATH_MAX];
		if (!realpath(programs->items[i], file) || strv_contains(&files, file))
			continue;
		strv_add(&files, file);
		scoped_free char *tools = directory_of(file);
		if (!strv_contains(&directories, tools))
			strv_add(&directories, tools);
	}
	for (size_t i = 0; r == 0 && i < directories.count; i++)
		r = show_uncovered(directory, directories.items[i], err);
	for (size_t i = 0; r == 0 && i < files.count; i++)
		if (mount(stub, files.items[i], NULL, MS_BIND, NULL) < 0)
			r = error_errno(err, "cannot cover %s", files.items[i]);
	return r == 0 && setenv(COVER_DIRECTORY, directory, 1) < 0 ? -ENOMEM : r;
}

/* A mountpoint that ends in "/service/real" and the directory of the file names the cover. */
static char *directory_from_mounts(const char *file)
{
	scoped_free char *tools = directory_of(file);
	scoped_free char *tail = xformat("/service/real%s", tools);
	scoped_file FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[3 * PATH_MAX];
	while (f && fgets(line, sizeof(line), f)) {
		char *point = line;
		for (int i = 0; i < 4 && point; i++)
			point = strchr(point, ' ') ? strchr(point, ' ') + 1 : NULL;
		if (!point)
			continue;
		point[strcspn(point, " ")] = '\0';
		size_t len = strlen(point), tail_len = strlen(tail);
		if (len > tail_len && strcmp(point + len - tail_len, tail) == 0)
			return xstrndup(point, len - strlen(tools));
	}
	return NULL;
}

char *cover_real(const char *file)
{
	char real[PATH_MAX];
	if (!realpath(file, real))
		return NULL;
	const char *named = getenv(COVER_DIRECTORY);
	scoped_free char *directory =
	        named && *named ? xstrdup(named) : directory_from_mounts(real);
	if (!directory)
		return NULL;
	char *uncovered = xformat("%s%s", directory, real);
	if (access(uncovered, X_OK) == 0)
		return uncovered;
	free(uncovered);
	return NULL;
}
