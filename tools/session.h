/*
 * What most verbs begin with: a connection to the service of the store that --store, the
 * environment or the default names.
 */
#ifndef GGFS_TOOLS_SESSION_H
#define GGFS_TOOLS_SESSION_H

#include "engine/service/client.h"

/* The store that is meant: the one named (may be NULL); else that of the mount in which path (NULL
 * or unresolvable: the working directory) lies, for no other one has its thunks; else the default.
 * Yours to free. */
char *session_store(const char *named, const char *path);

/* The session of session_store(). Errors as client_open(). */
int session_open_at(const char *store, const char *path, struct client **out, struct error *err);
int session_open(const char *store, struct client **out, struct error *err);
/* As session_open_at, but -ECONNREFUSED rather than start a service. */
int session_open_running(const char *store, const char *path, struct client **out,
                         struct error *err);

static inline void scoped_client_(struct client **c)
{
	if (*c)
		client_free(*c);
}
#define scoped_client scoped(scoped_client_)

/* The path of this executable, and of a file that belongs to it: beside it when run from a build
 * directory, else in ../libexec/ggfs. Yours to free; NULL when not there. */
char *session_self(void);
char *session_helper(const char *name);

#endif
