/*
 * Acting for a caller: what is created belongs to who asked for it, under that process's umask.
 *
 *     struct creds creds;
 *     creds_become(req, &creds);
 *     ... mkdirat ...
 *     creds_return(&creds);        keeps errno
 *
 * The kernel has checked permissions already (default_permissions). Identity and umask are the
 * calling thread's alone.
 */
#ifndef GGFS_FS_CREDS_H
#define GGFS_FS_CREDS_H

#include "fs/fs.h"

struct creds {
	uid_t uid; /* to go back to */
	gid_t gid;
	bool changed;
};

void creds_become(fuse_req_t req, struct creds *creds);
/* The same for the owner of what is made on nobody's behalf. */
void creds_assume(const struct fs *fs, uid_t uid, gid_t gid, mode_t mask, struct creds *creds);
void creds_return(const struct creds *creds);

/* CAP_FSETID off for this thread and those it starts: with it, the kernel would leave set-uid bits
 * on files that are written to through us. On again only where somebody sets such a bit. */
void creds_fsetid(bool on);

#endif
