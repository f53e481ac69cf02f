#include "fs/session.h"

#include <fcntl.h>
#include <stdio.h>

#include "common/buf.h"
#include "common/log.h"
#include "fs/attr.h"
#include "fs/dir.h"
#include "fs/file.h"
#include "fs/io.h"
#include "fs/names.h"
#include "fs/passthrough.h"
#include "fs/xattr.h"

/* No request of ours waits for anything but a local disk, so few threads do; on two processors, two
 * were the quickest (docs/mount.md). */
enum { THREADS_MAX = 4, THREADS_IDLE_MAX = 2 };

static void want(struct fuse_conn_info *conn, unsigned capability, bool on)
{
#ifdef GGFS_FUSE_PASSTHROUGH
	if (on)
		fuse_set_feature_flag(conn, capability);
	else
		fuse_unset_feature_flag(conn, capability);
#else
	conn->want = on ? conn->want | (conn->capable & capability) : conn->want & ~capability;
#endif
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct fs *fs = userdata;
	/* We apply the umask, for only the backing filesystem knows a directory's default ACL. */
	want(conn, FUSE_CAP_DONT_MASK, true);
	/* Without it the kernel would read a mask as the group's rights. */
	want(conn, FUSE_CAP_POSIX_ACL, true);
	want(conn, FUSE_CAP_CACHE_SYMLINKS, true);
	want(conn, FUSE_CAP_PARALLEL_DIROPS, true);
	/* Nobody changes files behind our back: a changed mtime is no reason to drop pages. */
	want(conn, FUSE_CAP_AUTO_INVAL_DATA, false);
	want(conn, FUSE_CAP_HANDLE_KILLPRIV, false);
#ifdef FUSE_CAP_HANDLE_KILLPRIV_V2
	/* The backing filesystem drops set-uid bits (creds_fsetid); else the kernel would ask for
	 * security.capability before every single write. */
	want(conn, FUSE_CAP_HANDLE_KILLPRIV_V2, true);
#endif
#ifdef FUSE_CAP_DIRECT_IO_ALLOW_MMAP
	want(conn, FUSE_CAP_DIRECT_IO_ALLOW_MMAP, true);
#endif
	passthrough_init(fs, conn);
	if (fs->options->ready_fd >= 0 && write(fs->options->ready_fd, "", 1) < 0)
		log_debug("nobody waits for the mount");
}

static const struct fuse_lowlevel_ops operations = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.open = op_open,
	.create = op_create,
	.read = op_read,
	.write_buf = op_write_buf,
	.flush = op_flush,
	.release = op_release,
	.fsync = op_fsync,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_releasedir,
	.fsyncdir = op_fsyncdir,
	.statfs = op_statfs,
	.setxattr = op_setxattr,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.removexattr = op_removexattr,
	.fallocate = op_fallocate,
	.copy_file_range = op_copy_file_range,
	.lseek = op_lseek,
#ifdef GGFS_FUSE_PASSTHROUGH
	.tmpfile = op_tmpfile,
#endif
};

__attribute__((format(printf, 2, 0))) static void
log_fuse(enum fuse_log_level level, const char *format, va_list args)
{
	int saved = errno; /* a caller of libfuse reads it after libfuse has logged */
	scoped_free char *text = NULL;
	if (vasprintf(&text, format, args) >= 0) {
		text[strcspn(text, "\n")] = '\0';
		log_line(level <= FUSE_LOG_ERR ? LOG_INFO : LOG_DEBUG, "libfuse: %s", text);
	}
	errno = saved;
}

/* The mount's options; in a value, libfuse takes a comma or backslash with a backslash before it.
 */
static char *mount_option_text(const struct fs *fs, const char *store)
{
	scoped_buf struct buf b = BUF_INIT;
	buf_add_str(&b, "default_permissions,subtype=ggfs,fsname=ggfs:");
	for (const char *p = store; *p; p++) {
		if (*p == ',' || *p == '\\')
			buf_add_char(&b, '\\');
		buf_add_char(&b, *p);
	}
	if (fs->options->allow_other)
		buf_add_str(&b, ",allow_other");
	return buf_steal(&b, NULL);
}

int session_mount(struct fs *fs, const char *store, struct error *err)
{
	scoped_free char *options = mount_option_text(fs, store);
	char name[] = "ggfs", o[] = "-o";
	char *argv[] = { name, o, options, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	fuse_set_log_func(log_fuse);
	fs->session = fuse_session_new(&args, &operations, sizeof(operations), fs);
	fuse_opt_free_args(&args);
	if (!fs->session)
		return error_set(err, -EINVAL, "libfuse refused the mount's options: %s", options);
	errno = 0;
	if (fuse_session_mount(fs->session, fs->options->directory) < 0) {
		/* An ordinary user's mount is fusermount3's, and errno then says nothing. */
		int code = errno && geteuid() == 0 ? -errno : -EPERM;
		fuse_session_destroy(fs->session);
		fs->session = NULL;
		return error_set(err, code, "cannot mount %s: %s", fs->options->directory,
		                 code == -EPERM
		                         ? "not permitted (is fusermount3 set-uid root here?)"
		                         : strerror(-code));
	}
	return 0;
}

int session_serve(struct fs *fs, struct error *err)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	fuse_loop_cfg_set_clone_fd(config, 0);
	fuse_loop_cfg_set_max_threads(config, THREADS_MAX);
	fuse_loop_cfg_set_idle_threads(config, THREADS_IDLE_MAX);
	fuse_set_signal_handlers(fs->session);
	int r = fuse_session_loop_mt(fs->session, config);
	fuse_loop_cfg_destroy(config);
	/* Interrupts that are being answered need the device, and the link, which ends next. */
	tasks_settle(fs->quick);
	fuse_remove_signal_handlers(fs->session);
	fuse_session_unmount(fs->session);
	if (r < 0)
		return error_set(err, r, "%s: the session broke off", fs->options->directory);
	return 0; /* a signal's number is no failure */
}

void session_free(struct fs *fs)
{
	if (fs->session)
		fuse_session_destroy(fs->session);
	fs->session = NULL;
}
