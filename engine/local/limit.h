/* Resource limits of a function, for the processes that start one. Threads: any; async-signal-safe.
 */
#ifndef GGFS_ENGINE_LOCAL_LIMIT_H
#define GGFS_ENGINE_LOCAL_LIMIT_H

#include <sys/resource.h>

/* Lowers both limits to value; what is lower already stays. */
void limit_lower(int resource, rlim_t value);

#endif
