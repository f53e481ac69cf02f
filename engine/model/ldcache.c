#include "engine/model/ldcache.h"

#include <endian.h>
#include <stdint.h>
#include <string.h>

#include "common/buf.h"

#define MAGIC "glibc-ld.so.cache1.1"

enum {
	HEADER_SIZE = 48,
	ENTRY_SIZE = 24,
	/* flags: low byte the kind of library, the rest the ABI */
	FLAG_ELF_LIBC6 = 0x0003,
	FLAG_X8664_LIB64 = 0x0300,
	FLAG_AARCH64_LIB64 = 0x0a00,
	FLAG_ABI_MASK = 0xff00,
};

static uint32_t u32_at(const char *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static const char *string_at(const char *cache, size_t len, uint32_t offset)
{
	if (offset >= len || !memchr(cache + offset, '\0', len - offset))
		return NULL;
	return cache + offset;
}

/* 64-bit libraries carry their ABI's number, 32-bit ones of the PC none. */
static bool flags_match(uint32_t flags, bool is64)
{
	uint32_t abi = flags & FLAG_ABI_MASK;
	if ((flags & 0xff) != FLAG_ELF_LIBC6)
		return false;
	return is64 ? abi == FLAG_X8664_LIB64 || abi == FLAG_AARCH64_LIB64 : abi == 0;
}

char *ldcache_find(const char *cache, size_t len, const char *soname, bool is64)
{
	const char *start = memmem(cache, len, MAGIC, strlen(MAGIC));
	if (!start)
		return NULL;
	len -= (size_t)(start - cache);
	cache = start; /* all offsets are from here */
	if (len < HEADER_SIZE)
		return NULL;
	uint32_t count = u32_at(cache + strlen(MAGIC));
	if (count > (len - HEADER_SIZE) / ENTRY_SIZE)
		return NULL;
	for (uint32_t i = 0; i < count; i++) {
		const char *entry = cache + HEADER_SIZE + (size_t)i * ENTRY_SIZE;
		bool special = u32_at(entry + 16) || u32_at(entry + 20); /* hwcap */
		if (special || !flags_match(u32_at(entry), is64))
			continue;
		const char *name = string_at(cache, len, u32_at(entry + 4));
		const char *path = string_at(cache, len, u32_at(entry + 8));
		if (name && path && path[0] == '/' && strcmp(name, soname) == 0)
			return xstrdup(path);
	}
	return NULL;
}
