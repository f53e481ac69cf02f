#include "engine/local/filter.h"

#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "common/buf.h"
#include "common/io.h"

enum { FILTER_INSTRUCTIONS_MAX = 4096 };

/* EPERM, as a process without privilege would see it. */
static const char *const denied[] = {
	/* other worlds */
	"mount",
	"umount2",
	"pivot_root",
	"unshare",
	"setns",
	"open_tree",
	"move_mount",
	"fsopen",
	"fsconfig",
	"fsmount",
	"fspick",
	"mount_setattr",
	"open_by_handle_at",
	"swapon",
	"swapoff",
	"quotactl",
	"quotactl_fd",
	"acct",
	/* other processes: the launcher is one of them, with the same user */
	"ptrace",
	"process_vm_readv",
	"process_vm_writev",
	"pidfd_getfd",
	"kcmp",
	"process_madvise",
	"move_pages",
	"migrate_pages",
	/* what outlives the function, or reaches beyond the machine's one kernel */
	"shmget",
	"msgget",
	"semget",
	"mq_open",
	"add_key",
	"request_key",
	"keyctl",
	"settimeofday",
	"clock_settime",
	"clock_adjtime",
	"adjtimex",
	"reboot",
	"kexec_load",
	"kexec_file_load",
	"init_module",
	"finit_module",
	"delete_module",
	"syslog",
	/* large doors into the kernel that no function needs */
	"bpf",
	"perf_event_open",
	"userfaultfd",
	"fanotify_init",
	"lookup_dcookie",
	"vhangup",
};

/* ENOSYS: libraries then do without. */
static const char *const absent[] = {
	"io_uring_setup", "io_uring_enter", "io_uring_register",
	"clone3", /* its flags lie in memory, where no filter can look; glibc falls back to clone */
};

/* What a traced function looks for files with. */
static const char *const traced[] = { "open",       "openat", "stat",   "lstat",
	                              "newfstatat", "statx",  "access", "faccessat",
	                              "faccessat2", "execve", "openat2" };

static int add_name(scmp_filter_ctx filter, uint32_t action, const char *name)
{
	int number = seccomp_syscall_resolve_name(name);
	/* Not known to this library or architecture: nothing to be denied. */
	if (number == __NR_SCMP_ERROR || number < 0)
		return 0;
	return seccomp_rule_add(filter, action, number, 0);
}

static int add_conditions(scmp_filter_ctx filter)
{
	static const unsigned long namespaces[] = { CLONE_NEWUSER,  CLONE_NEWNS,  CLONE_NEWPID,
		                                    CLONE_NEWNET,   CLONE_NEWIPC, CLONE_NEWUTS,
		                                    CLONE_NEWCGROUP };
	int r = 0;
	for (size_t i = 0; r == 0 && i < sizeof(namespaces) / sizeof(*namespaces); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
		                     SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]));
	/* Limits of the launcher are not a function's to change: only its own, by pid 0. */
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 1,
		                     SCMP_A0(SCMP_CMP_NE, 0));
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), 1,
		                     SCMP_A0(SCMP_CMP_NE, AF_UNIX));
	return r;
}

static int build_base(scmp_filter_ctx filter)
{
	int r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
	/* Another architecture's calls are not understood here, so they are not there. */
	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
	/* A search tree instead of a list: this is run at every system call. */
	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	for (size_t i = 0; r == 0 && i < sizeof(denied) / sizeof(*denied); i++)
		r = add_name(filter, SCMP_ACT_ERRNO(EPERM), denied[i]);
	for (size_t i = 0; r == 0 && i < sizeof(absent) / sizeof(*absent); i++)
		r = add_name(filter, SCMP_ACT_ERRNO(ENOSYS), absent[i]);
	return r == 0 ? add_conditions(filter) : r;
}

int filter_install(struct error *err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	if (!filter)
		return error_set(err, -ENOMEM, "cannot make a seccomp filter");
	int r = build_base(filter);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r < 0 ? error_set(err, r, "cannot install a seccomp filter: error %d", -r) : 0;
}

/* libseccomp writes programs to descriptors only. */
static int export_program(scmp_filter_ctx filter, struct sock_fprog *out)
{
	scoped_fd int fd = memfd_create("filter", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	int r = seccomp_export_bpf(filter, fd);
	off_t size = r < 0 ? 0 : lseek(fd, 0, SEEK_END);
	size_t count = (size_t)size / sizeof(struct sock_filter);
	if (r < 0 || count == 0 || count > FILTER_INSTRUCTIONS_MAX)
		return r < 0 ? r : -EINVAL;
	scoped_free struct sock_filter *code = xcalloc(count, sizeof(*code));
	if (pread_full(fd, code, (size_t)size, 0) != size)
		return -EIO;
	out->len = (unsigned short)count;
	out->filter = steal(&code);
	return 0;
}

int filter_trace_program(struct sock_fprog *out, struct error *err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	if (!filter)
		return error_set(err, -ENOMEM, "cannot make a seccomp filter");
	int r = 0;
	for (size_t i = 0; r == 0 && i < sizeof(traced) / sizeof(*traced); i++)
		r = add_name(filter, SCMP_ACT_NOTIFY, traced[i]);
	if (r == 0)
		r = export_program(filter, out);
	seccomp_release(filter);
	return r < 0 ? error_set(err, r, "cannot make a tracing filter: error %d", -r) : 0;
}

int filter_trace_listen(const struct sock_fprog *program)
{
	long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
	                  program);
	return fd < 0 ? -errno : (int)fd;
}
