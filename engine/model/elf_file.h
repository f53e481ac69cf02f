/*
 * ELF, as far as it tells which other files a program or library needs. Little-endian, 32 and
 * 64 bits; every offset is checked against the file, every size against a limit.
 *
 * Private to engine/model/. Threads: pure but for reading the descriptor.
 */
#ifndef GGFS_ENGINE_MODEL_ELF_H
#define GGFS_ENGINE_MODEL_ELF_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"

enum { ELF_SEGMENTS_MAX = 512, ELF_DYNAMIC_MAX = 1 << 16, ELF_NEEDED_MAX = 4096 };

struct elf {
	bool is64;
	uint16_t type, machine;
	char *interpreter;
	char *rpath, *runpath; /* NULL when there is none */
	struct strv needed;
};

void elf_release(struct elf *e);

/* -ENOEXEC when it is no ELF file; -EBADMSG when it is a broken or unheard-of one. */
int elf_read(int fd, struct elf *out, struct error *err);

#endif
