#include "fs/creds.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Adds and removes effective capabilities of this thread; what is not permitted is not added. */
static void capabilities_change(uint32_t add, uint32_t drop)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	if (syscall(SYS_capget, &header, data) < 0)
		return;
	data[0].effective = (data[0].effective | (add & data[0].permitted)) & ~drop;
	syscall(SYS_capset, &header, data);
}

void creds_fsetid(bool on)
{
	uint32_t bit = 1u << CAP_FSETID;
	capabilities_change(on ? bit : 0, on ? 0 : bit);
}

/* Threads of one process share their umask unless they part. */
static _Thread_local bool apart;

static void become_umask(mode_t mask)
{
	if (!apart)
		apart = unshare(CLONE_FS) == 0;
	umask(mask);
}

void creds_assume(const struct fs *fs, uid_t uid, gid_t gid, mode_t mask, struct creds *creds)
{
	become_umask(mask);
	*creds = (struct creds){ .uid = fs->uid, .gid = fs->gid };
	if (fs->uid != 0 || (uid == fs->uid && gid == fs->gid))
		return;
	creds->changed = true;
	setfsgid(gid);
	setfsuid(uid);
	/* Our view of the caller's groups is not complete; the kernel's was, and it allowed this.
	 */
	capabilities_change(1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH, 0);
}

void creds_become(fuse_req_t req, struct creds *creds)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	creds_assume(fs_of(req), ctx->uid, ctx->gid, ctx->umask, creds);
}

void creds_return(const struct creds *creds)
{
	int saved = errno;
	if (creds->changed) {
		setfsuid(creds->uid);
		setfsgid(creds->gid);
		creds_fsetid(false);
	}
	errno = saved;
}
