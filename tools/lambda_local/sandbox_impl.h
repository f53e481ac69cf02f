/*
 * What happens in the child, before bootstrap is executed. Private to sandbox*.c. Each returns 0
 * or -errno, having said on standard error what failed.
 */
#ifndef GGFS_TOOLS_LAMBDA_LOCAL_SANDBOX_IMPL_H
#define GGFS_TOOLS_LAMBDA_LOCAL_SANDBOX_IMPL_H

#include "tools/lambda_local/sandbox.h"

int sandbox_say(const char *what, const char *path);
/* Builds the function's world at the mount point and moves into it. */
int sandbox_enter(const struct sandbox_spec *spec);
/* Limits, user, and the filter of system calls; for good. */
int sandbox_confine(const struct sandbox_spec *spec);

#endif
