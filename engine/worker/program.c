#include "engine/worker/program.h"

#include <elf.h>
#include <string.h>

#include "common/io.h"

enum {
	HEAD_BYTES = 4096,         /* all that is looked at, as the kernel does */
	LINKER_BYTES_MAX = 4 << 20 /* of a dynamic linker, which has some 200 KB */
};

#if defined(__x86_64__)
enum { MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { MACHINE = EM_AARCH64 };
#endif

static void look_at_elf(const char *head, size_t len, struct program *out)
{
	Elf64_Ehdr elf;
	if (len < sizeof(elf))
		return;
	memcpy(&elf, head, sizeof(elf));
	if (elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_machine != MACHINE ||
	    elf.e_phentsize != sizeof(Elf64_Phdr))
		return;
	out->kind = PROGRAM_STATIC;
	for (unsigned i = 0; i < elf.e_phnum; i++) {
		Elf64_Phdr p;
		uint64_t at = elf.e_phoff + (uint64_t)i * sizeof(p);
		if (at > len - sizeof(p)) {
			out->kind = PROGRAM_OTHER; /* what cannot be seen may be anything */
			return;
		}
		memcpy(&p, head + at, sizeof(p));
		if (p.p_type != PT_INTERP)
			continue;
		bool seen = p.p_offset < len && p.p_filesz <= len - p.p_offset && p.p_filesz > 1 &&
		            p.p_filesz <= PROGRAM_TEXT_MAX &&
		            head[p.p_offset + p.p_filesz - 1] == '\0';
		out->kind = seen ? PROGRAM_DYNAMIC : PROGRAM_OTHER;
		if (seen)
			memcpy(out->interpreter, head + p.p_offset, p.p_filesz);
		return;
	}
}

static void look_at_script(const char *head, struct program *out)
{
	const char *line = head + 2 + strspn(head + 2, " \t");
	size_t len = strcspn(line, "\n"), word = strcspn(line, " \t\n");
	if (line[len] != '\n' || word == 0 || word >= PROGRAM_TEXT_MAX)
		return;
	const char *rest = line + word + strspn(line + word, " \t");
	size_t left = rest < line + len ? (size_t)(line + len - rest) : 0;
	while (left > 0 && (rest[left - 1] == ' ' || rest[left - 1] == '\t'))
		left--;
	if (left >= PROGRAM_TEXT_MAX)
		return;
	memcpy(out->interpreter, line, word);
	out->interpreter[word] = '\0';
	memcpy(out->argument, rest, left);
	out->argument[left] = '\0';
	out->kind = PROGRAM_SCRIPT;
}

int program_look(int fd, struct program *out)
{
	char head[HEAD_BYTES + 1];
	ssize_t n = pread_full(fd, head, HEAD_BYTES, 0);
	if (n < 0)
		return (int)n;
	head[n] = '\0';
	*out = (struct program){ .kind = PROGRAM_OTHER };
	if (n >= SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0)
		look_at_elf(head, (size_t)n, out);
	else if (n >= 2 && head[0] == '#' && head[1] == '!')
		look_at_script(head, out);
	return 0;
}

int program_linker_is_modern(int fd, bool *out)
{
	/* --argv0 came last of the options that are used. */
	static const char option[] = "--argv0";
	scoped_buf struct buf b = BUF_INIT;
	int r = read_all(fd, &b, LINKER_BYTES_MAX);
	if (r < 0)
		return r;
	*out = b.len > 0 && memmem(b.data, b.len, option, sizeof(option));
	return 0;
}
