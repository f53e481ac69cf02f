/*
 * The dynamic loader's cache (/etc/ld.so.cache, the format of glibc 2.2 and later): soname ->
 * path. Private to engine/model/. Threads: pure function.
 */
#ifndef GGFS_ENGINE_MODEL_LDCACHE_H
#define GGFS_ENGINE_MODEL_LDCACHE_H

#include <stdbool.h>
#include <stddef.h>

enum { LDCACHE_BYTES_MAX = 64 << 20 };

/* The path for soname among plain entries (none for a special processor) of the wanted class;
 * the caller's to free, or NULL: not there, or the cache is not of this format. */
char *ldcache_find(const char *cache, size_t len, const char *soname, bool is64);

#endif
