#include "tools/lambda_local/sandbox_impl.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/buf.h"
#include "common/cleanup.h"

/* <linux/mount.h> cannot be included beside <sys/mount.h>. */
struct mount_attributes {
	uint64_t set, clear, propagation, userns_fd;
};
enum { ATTRIBUTE_RDONLY = 1, ATTRIBUTE_NOSUID = 2, ATTRIBUTE_NODEV = 4 };

static int make_read_only(const char *path, bool below, uint64_t more)
{
	struct mount_attributes a = { .set = ATTRIBUTE_RDONLY | ATTRIBUTE_NOSUID | more };
	unsigned flags = below ? AT_RECURSIVE : 0;
	if (syscall(SYS_mount_setattr, AT_FDCWD, path, flags, &a, sizeof(a)) < 0)
		return sandbox_say("make read-only", path);
	return 0;
}

/* from, with all that is mounted below it, at "./to". */
static int bind(const char *from, const char *to)
{
	if (mkdir(to, 0755) < 0 && errno != EEXIST)
		return sandbox_say("make", to);
	if (mount(from, to, NULL, MS_BIND | MS_REC, NULL) < 0)
		return sandbox_say("bind", from);
	return make_read_only(to, true, ATTRIBUTE_NODEV);
}

static int bind_system(const char *name)
{
	char from[64], target[256];
	struct stat st;
	snprintf(from, sizeof(from), "/%s", name);
	if (lstat(from, &st) < 0)
		return 0;
	if (!S_ISLNK(st.st_mode))
		return bind(from, name);
	ssize_t len = readlink(from, target, sizeof(target) - 1);
	if (len < 0)
		return sandbox_say("read", from);
	target[len] = '\0';
	return symlink(target, name) < 0 ? sandbox_say("make", name) : 0;
}

static int bind_device(const char *name)
{
	char from[64], to[64];
	snprintf(from, sizeof(from), "/dev/%s", name);
	snprintf(to, sizeof(to), "dev/%s", name);
	int fd = open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	if (fd < 0)
		return sandbox_say("make", to);
	close(fd);
	return mount(from, to, NULL, MS_BIND, NULL) < 0 ? sandbox_say("bind", from) : 0;
}

static int fill_dev(void)
{
	static const char *const devices[] = { "null", "zero", "full", "random", "urandom" };
	static const char *const links[][2] = { { "/proc/self/fd", "dev/fd" },
		                                { "/proc/self/fd/0", "dev/stdin" },
		                                { "/proc/self/fd/1", "dev/stdout" },
		                                { "/proc/self/fd/2", "dev/stderr" } };
	if (mkdir("dev", 0755) < 0)
		return sandbox_say("make", "dev");
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		int r = bind_device(devices[i]);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (symlink(links[i][0], links[i][1]) < 0)
			return sandbox_say("make", links[i][1]);
	return 0;
}

/* A /proc of the new process namespace; where the kernel forbids that (a container that covers
 * parts of its own), the one there is. */
static int fill_proc(void)
{
	if (mkdir("proc", 0755) < 0)
		return sandbox_say("make", "proc");
	if (mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0)
		return 0;
	return mount("/proc", "proc", NULL, MS_BIND | MS_REC, NULL) < 0
	               ? sandbox_say("mount", "proc")
	               : 0;
}

static int fill_tmp(unsigned mib)
{
	char options[64];
	snprintf(options, sizeof(options), "size=%um,mode=1777", mib);
	if (mkdir("tmp", 01777) < 0)
		return sandbox_say("make", "tmp");
	return mount("tmpfs", "tmp", "tmpfs", MS_NOSUID | MS_NODEV, options) < 0
	               ? sandbox_say("mount", "tmp")
	               : 0;
}

static int fill(const struct sandbox_spec *spec)
{
	static const char *const system_folders[] = { "usr",   "bin",   "sbin", "lib",
		                                      "lib64", "lib32", "etc" };
	static const char *const folders[] = { "var", "var/runtime", "var/lang" };
	int r = 0;
	for (size_t i = 0; r == 0 && i < sizeof(system_folders) / sizeof(system_folders[0]); i++)
		r = bind_system(system_folders[i]);
	for (size_t i = 0; r == 0 && i < sizeof(folders) / sizeof(folders[0]); i++)
		if (mkdir(folders[i], 0755) < 0)
			r = sandbox_say("make", folders[i]);
	if (r == 0 && spec->opt)
		r = bind(spec->opt, "opt");
	else if (r == 0 && mkdir("opt", 0755) < 0)
		r = sandbox_say("make", "opt");
	if (r < 0 || (r = bind(spec->task, "var/task")) < 0 || (r = fill_dev()) < 0 ||
	    (r = fill_proc()) < 0)
		return r;
	return fill_tmp(spec->tmp_mib);
}

int sandbox_enter(const struct sandbox_spec *spec)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return sandbox_say("make private", "/");
	if (mount("tmpfs", spec->mount_point, "tmpfs", MS_NOSUID, "size=1m,mode=755") < 0)
		return sandbox_say("mount", spec->mount_point);
	if (chdir(spec->mount_point) < 0)
		return sandbox_say("enter", spec->mount_point);
	int r = fill(spec);
	if (r < 0)
		return r;
	/* The old root goes on top of the new one, and is taken away. */
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return sandbox_say("move to", spec->mount_point);
	return make_read_only("/", false, 0);
}

/* --- confining --------------------------------------------------------------------------------
 */

static int add_rules(scmp_filter_ctx filter)
{
	static const char *const denied[] = {
		"unshare",         "setns",       "mount",     "umount2",       "umount",
		"pivot_root",      "chroot",      "fsopen",    "fsconfig",      "fsmount",
		"fspick",          "move_mount",  "open_tree", "mount_setattr", "bpf",
		"perf_event_open", "userfaultfd", "keyctl",    "add_key",       "request_key"
	};
	const uint64_t namespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
	                            CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
	for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++) {
		int number = seccomp_syscall_resolve_name(denied[i]);
		int r = number == __NR_SCMP_ERROR
		                ? 0
		                : seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0);
		if (r < 0)
			return r;
	}
	/* One rule a flag: what is compared is a mask and a value. */
	for (uint64_t flag = 1; flag <= namespaces; flag <<= 1) {
		int r = flag & namespaces
		                ? seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone),
		                                   1, SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag))
		                : 0;
		if (r < 0)
			return r;
	}
	/* Its flags lie in memory: libcs fall back to clone. */
	return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static int filter_calls(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r = filter ? add_rules(filter) : -ENOMEM;
	if (r == 0)
		r = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	errno = -r;
	return r < 0 ? sandbox_say("filter", "system calls") : 0;
}

static int limit(int resource, const char *name, uint64_t value)
{
	struct rlimit l = { .rlim_cur = value, .rlim_max = value };
	struct rlimit now;
	if (getrlimit(resource, &now) == 0 && now.rlim_max < l.rlim_max)
		l.rlim_cur = l.rlim_max = now.rlim_max;
	return setrlimit(resource, &l) < 0 ? sandbox_say("limit", name) : 0;
}

int sandbox_confine(const struct sandbox_spec *spec)
{
	/* The true limit is what memory.c sees to; this one is for what outruns it. Not of address
	 * space: runtimes reserve many times what they use. */
	uint64_t memory = 2 * ((uint64_t)spec->memory_mib << 20) + (512u << 20);
	int r;
	umask(022);
	if ((r = limit(RLIMIT_NOFILE, "descriptors", SANDBOX_DESCRIPTORS)) < 0 ||
	    (r = limit(RLIMIT_CORE, "core files", 0)) < 0)
		return r;
	if (geteuid() == 0 &&
	    (setgroups(0, NULL) < 0 || setresgid(spec->uid, spec->uid, spec->uid) < 0 ||
	     setresuid(spec->uid, spec->uid, spec->uid) < 0))
		return sandbox_say("become", "an ordinary user");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return sandbox_say("give up", "privileges");
	r = filter_calls();
	/* Last: it counts what this process has from its parent. */
	return r < 0 ? r : limit(RLIMIT_DATA, "memory", memory);
}
