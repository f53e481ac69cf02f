#include "engine/local/isolate.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/buf.h"
#include "common/io.h"
#include "engine/local/filter.h"

#define DEVICES "/devices"

static const char *const devices[] = { "null", "zero", "full", "random", "urandom" };
enum { DEVICE_COUNT = sizeof(devices) / sizeof(*devices) };

static int write_map(const char *path, unsigned id, struct error *err)
{
	char text[64];
	int len = snprintf(text, sizeof(text), "%u %u 1", id, id);
	scoped_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, (size_t)len) != len)
		return error_errno(err, "cannot write %s", path);
	return 0;
}

static int enter_namespaces(struct error *err)
{
	const int kinds = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
	unsigned uid = geteuid(), gid = getegid();
	if (unshare(CLONE_NEWUSER | kinds) < 0) {
		/* Root may have the others where user namespaces are switched off. */
		int saved = errno;
		if (uid == 0 && unshare(kinds) == 0)
			return 0;
		return error_set(err, -saved, "user namespaces cannot be had: %s",
		                 saved == ENOSPC ? "the limit user.max_user_namespaces is reached"
		                                 : strerror(saved));
	}
	scoped_fd int deny = open("/proc/self/setgroups", O_WRONLY | O_CLOEXEC);
	if (deny < 0 || write(deny, "deny", 4) != 4)
		return error_errno(err, "cannot write /proc/self/setgroups");
	int r = write_map("/proc/self/uid_map", uid, err);
	return r < 0 ? r : write_map("/proc/self/gid_map", gid, err);
}

/* A clone of what path shows, not attached anywhere. With what is mounted below: in a user
 * namespace the kernel lets nobody look under a mount of outside. */
static int clone_mount(const char *path, uint64_t attributes, struct error *err)
{
	scoped_fd int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path,
	                                OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (fd < 0) /* never -1: that says "none" */
		return error_set(err, errno == EPERM ? -EACCES : -errno,
		                 "cannot take hold of %s: %s", path, strerror(errno));
	struct mount_attr attr = { .attr_set = attributes };
	if (attributes && syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr,
	                          sizeof(attr)) < 0)
		return error_errno(err, "cannot make a mount of %s read-only", path);
	return steal_fd(&fd);
}

static int attach(int tree, const char *path, struct error *err)
{
	if (syscall(SYS_move_mount, tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_errno(err, "cannot mount %s", path);
	return 0;
}

static int mount_tmpfs(const char *path, const char *options, struct error *err)
{
	if (mount("ggfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
		return error_errno(err, "cannot mount a tmpfs on %s", path);
	return 0;
}

/* The directory of devices is itself mounted read-only, so that nothing is left in it. */
static int make_devices(const int trees[DEVICE_COUNT], struct error *err)
{
	int r = mount_tmpfs(DEVICES, "mode=0755,size=4k", err);
	for (size_t i = 0; r == 0 && i < DEVICE_COUNT; i++) {
		if (trees[i] < 0)
			continue;
		scoped_free char *path = xformat(DEVICES "/%s", devices[i]);
		scoped_fd int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
		r = fd < 0 ? error_errno(err, "cannot make %s", path) : attach(trees[i], path, err);
	}
	if (r == 0 &&
	    mount(NULL, DEVICES, NULL,
	          MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		r = error_errno(err, "cannot make " DEVICES " read-only");
	return r;
}

static int make_root(int store, const int trees[DEVICE_COUNT], struct error *err)
{
	/* Any directory will do to build upon: all that is seen now goes away. */
	int r = mount_tmpfs("/usr", "mode=0755,size=64k", err);
	if (r < 0)
		return r;
	if (chdir("/usr") < 0 || mkdir("store", 0755) < 0 || mkdir("job", 0755) < 0 ||
	    mkdir("devices", 0755) < 0)
		return error_errno(err, "cannot make a private root");
	r = attach(store, "store", err);
	if (r < 0)
		return r;
	/* pivot_root(".", "."): the old root ends up on top of the new, and is then dropped. */
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return error_errno(err, "cannot leave the old root");
	return make_devices(trees, err);
}

static int enter_root(const char *store_path, struct error *err)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_errno(err, "cannot make mounts private");
	scoped_fd int store = clone_mount(store_path, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, err);
	if (store < 0)
		return store;
	int trees[DEVICE_COUNT];
	int r = 0;
	for (size_t i = 0; i < DEVICE_COUNT; i++) {
		scoped_free char *path = xformat("/dev/%s", devices[i]);
		/* A container may lack some; its functions then do. */
		trees[i] = r == 0 && access(path, F_OK) == 0 ? clone_mount(path, 0, err) : -1;
		if (trees[i] < -1)
			r = trees[i];
	}
	if (r == 0)
		r = make_root(store, trees, err);
	for (size_t i = 0; i < DEVICE_COUNT; i++)
		if (trees[i] >= 0)
			close(trees[i]);
	return r;
}

int isolate_enter(const char *store_path, struct error *err)
{
	int r = enter_namespaces(err);
	if (r == 0)
		r = enter_root(store_path, err);
	if (r == 0 && sethostname("localhost", 9) < 0)
		r = error_errno(err, "cannot set the host name");
	return r;
}

static int make_base(const char *base, bool overlaid, struct error *err)
{
	if (mkdir(ISOLATE_WORLD, 0755) < 0 || (overlaid && (mkdir(ISOLATE_JOB "/upper", 0755) < 0 ||
	                                                    mkdir(ISOLATE_JOB "/work", 0755) < 0)))
		return error_errno(err, "cannot begin a world");
	scoped_fd int fd = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || mkdirat(fd, "dev", 0755) < 0 || mkdirat(fd, "tmp", 01777) < 0)
		return error_errno(err, "cannot begin a world");
	return 0;
}

int isolate_drop_job(struct error *err)
{
	if (umount2(ISOLATE_JOB, MNT_DETACH) < 0 && errno != EINVAL)
		return error_errno(err, "cannot drop the last world");
	return 0;
}

int isolate_fresh_job(const char *toolchain, uint64_t size_bytes, struct error *err)
{
	char options[64];
	snprintf(options, sizeof(options), "mode=0755,size=%llu", (unsigned long long)size_bytes);
	int r = isolate_drop_job(err);
	if (r == 0)
		r = mount_tmpfs(ISOLATE_JOB, options, err);
	if (r < 0)
		return r;
	bool overlaid = toolchain[0] != '\0';
	return make_base(overlaid ? ISOLATE_JOB "/upper" : ISOLATE_WORLD, overlaid, err);
}

int isolate_lower(const char *toolchain, struct error *err)
{
	/* toolchain is a name of ours: no comma or colon in it. */
	scoped_free char *options = xformat("lowerdir=" ISOLATE_STORE "/%s,upperdir=" ISOLATE_JOB
	                                    "/upper,workdir=" ISOLATE_JOB "/work,userxattr",
	                                    toolchain);
	if (mount("ggfs", ISOLATE_WORLD, "overlay", MS_NOSUID | MS_NODEV, options) == 0)
		return 0;
	error_errno(err, "cannot lay a world over %s", toolchain);
	return errno == ENOENT ? -ENOENT : -EOPNOTSUPP;
}

int isolate_dev(struct error *err)
{
	scoped_fd int tree = (int)syscall(SYS_open_tree, AT_FDCWD, DEVICES,
	                                  OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (tree < 0)
		return error_errno(err, "cannot take hold of " DEVICES);
	return attach(tree, ISOLATE_WORLD "/dev", err);
}

static int set_capabilities(uint32_t low)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { .effective = low, .permitted = low } };
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int isolate_restrict(bool keep_chroot, struct error *err)
{
	for (unsigned long cap = 0; keep_chroot && cap <= CAP_LAST_CAP; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL)
			return error_errno(err, "cannot drop capability %lu", cap);
	if (keep_chroot &&
	    prctl(PR_SET_SECUREBITS,
	          SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
	                  SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
	          0, 0, 0) < 0)
		return error_errno(err, "cannot set securebits");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_errno(err, "cannot set no_new_privs");
	int r = set_capabilities(keep_chroot ? 1u << CAP_SYS_CHROOT : 0);
	if (r < 0)
		return error_set(err, r, "cannot drop capabilities: %s", strerror(-r));
	return filter_install(err);
}

int isolate_drop_all(void)
{
	return set_capabilities(0);
}
