#include "engine/local/weak.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/io.h"

/* All rights of the first version of landlock: what is not granted is then denied. */
static const uint64_t all_rights = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
static const uint64_t read_rights = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_EXECUTE;

static void allow(int ruleset, const char *path, uint64_t rights)
{
	scoped_fd int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || (S_ISDIR(st.st_mode) && rights == read_rights))
		return;
	struct landlock_path_beneath_attr rule = { .allowed_access = rights, .parent_fd = fd };
	syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

int weak_ruleset(const char *world, const struct job *job)
{
	static const char *const devices[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/random",
		                               "/dev/urandom" };
	struct landlock_ruleset_attr attr = { .handled_access_fs = all_rights };
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset < 0)
		return -1;
	allow(ruleset, world, all_rights);
	for (size_t i = 0; i < sizeof(devices) / sizeof(*devices); i++)
		allow(ruleset, devices[i],
		      LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE);
	for (size_t i = 0; i < job->count; i++) {
		if (job->entries[i].kind == JOB_ENTRY_DIR)
			continue;
		scoped_free char *path = xformat("/%s", job->entries[i].path);
		allow(ruleset, path, read_rights);
	}
	return ruleset;
}

int weak_restrict(int ruleset)
{
	if (ruleset < 0)
		return 0;
	return syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 ? -errno : 0;
}

const char **weak_environment(const char *world, const struct job *job, char **variable)
{
	static const char name[] = "TMPDIR=";
	size_t count = 0, kept = 0;
	while (job->envp[count])
		count++;
	const char **env = xcalloc(count + 2, sizeof(*env));
	for (size_t i = 0; i < count; i++)
		if (strncmp(job->envp[i], name, strlen(name)) != 0)
			env[kept++] = job->envp[i];
	*variable = xformat("%s%s/" WEAK_TEMPORARY, name, world);
	env[kept] = *variable;
	return env;
}

void weak_kill_children(void)
{
	scoped_buf struct buf b = BUF_INIT;
	scoped_free char *path = xformat("/proc/self/task/%d/children", (int)getpid());
	if (read_file_at(AT_FDCWD, path, &b, 1 << 20, NULL) < 0 || b.len == 0)
		return;
	char *save = NULL;
	for (char *word = strtok_r(b.data, " \n", &save); word;
	     word = strtok_r(NULL, " \n", &save)) {
		pid_t pid = (pid_t)strtol(word, NULL, 10);
		if (pid > 1)
			kill(pid, SIGKILL);
	}
}
