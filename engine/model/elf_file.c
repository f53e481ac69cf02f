#include "engine/model/elf_file.h"

#include <elf.h>
#include <endian.h>
#include <string.h>

#include "common/io.h"

enum { STRING_MAX = 4096 };

struct segment {
	uint64_t offset, address, size;
};

struct reader {
	int fd;
	bool is64;
	struct segment loads[ELF_SEGMENTS_MAX];
	size_t load_count;
	struct segment dynamic, interpreter;
	char window[4096]; /* the part of the file read last */
	uint64_t window_at;
	size_t window_len;
};

void elf_release(struct elf *e)
{
	free(e->interpreter);
	free(e->rpath);
	free(e->runpath);
	strv_release(&e->needed);
	*e = (struct elf){ 0 };
}

/* What is read lies close together: tables entry by entry, strings. */
static bool read_at(struct reader *r, uint64_t offset, void *bytes, size_t len)
{
	if (offset > INT64_MAX - sizeof(r->window) || len > sizeof(r->window))
		return false;
	if (offset < r->window_at || offset - r->window_at + len > r->window_len) {
		ssize_t n = pread_full(r->fd, r->window, sizeof(r->window), (off_t)offset);
		r->window_at = offset;
		r->window_len = n > 0 ? (size_t)n : 0;
	}
	if (offset - r->window_at + len > r->window_len)
		return false;
	memcpy(bytes, r->window + (offset - r->window_at), len);
	return true;
}

/* The NUL-terminated string at offset, or NULL. */
static char *read_string(const struct reader *r, uint64_t offset)
{
	char text[STRING_MAX];
	if (offset > INT64_MAX - sizeof(text))
		return NULL;
	ssize_t n = pread_full(r->fd, text, sizeof(text), (off_t)offset);
	if (n <= 0 || !memchr(text, '\0', (size_t)n))
		return NULL;
	return xstrdup(text);
}

static void note_segment(struct reader *r, uint32_t type, struct segment s)
{
	if (type == PT_LOAD && r->load_count < ELF_SEGMENTS_MAX)
		r->loads[r->load_count++] = s;
	else if (type == PT_DYNAMIC)
		r->dynamic = s;
	else if (type == PT_INTERP)
		r->interpreter = s;
}

static bool read_segments(struct reader *r, uint64_t offset, uint16_t count, uint16_t entry_size)
{
	size_t want = r->is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	if (count > ELF_SEGMENTS_MAX || (count && entry_size != want))
		return false;
	for (uint16_t i = 0; i < count; i++) {
		if (r->is64) {
			Elf64_Phdr p;
			if (!read_at(r, offset + i * want, &p, sizeof(p)))
				return false;
			note_segment(r, le32toh(p.p_type),
			             (struct segment){ le64toh(p.p_offset), le64toh(p.p_vaddr),
			                               le64toh(p.p_filesz) });
		} else {
			Elf32_Phdr p;
			if (!read_at(r, offset + i * want, &p, sizeof(p)))
				return false;
			note_segment(r, le32toh(p.p_type),
			             (struct segment){ le32toh(p.p_offset), le32toh(p.p_vaddr),
			                               le32toh(p.p_filesz) });
		}
	}
	return true;
}

static bool to_offset(const struct reader *r, uint64_t address, uint64_t *offset)
{
	for (size_t i = 0; i < r->load_count; i++) {
		const struct segment *s = &r->loads[i];
		if (address < s->address || address - s->address >= s->size)
			continue;
		*offset = s->offset + (address - s->address);
		return true;
	}
	return false;
}

struct dynamic {
	int64_t tag;
	uint64_t value;
};

static bool read_dynamic(struct reader *r, size_t i, struct dynamic *out)
{
	if (r->is64) {
		Elf64_Dyn d;
		if (!read_at(r, r->dynamic.offset + i * sizeof(d), &d, sizeof(d)))
			return false;
		*out = (struct dynamic){ (int64_t)le64toh((uint64_t)d.d_tag),
			                 le64toh(d.d_un.d_val) };
		return true;
	}
	Elf32_Dyn d;
	if (!read_at(r, r->dynamic.offset + i * sizeof(d), &d, sizeof(d)))
		return false;
	*out = (struct dynamic){ (int32_t)le32toh((uint32_t)d.d_tag), le32toh(d.d_un.d_val) };
	return true;
}

static bool read_needs(struct reader *r, struct elf *out)
{
	size_t entry = r->is64 ? sizeof(Elf64_Dyn) : sizeof(Elf32_Dyn);
	size_t count = r->dynamic.size / entry;
	if (count > ELF_DYNAMIC_MAX)
		return false;
	uint64_t strings = 0;
	bool has_strings = false;
	struct dynamic d;
	for (size_t i = 0; i < count && read_dynamic(r, i, &d) && d.tag != DT_NULL; i++)
		if (d.tag == DT_STRTAB)
			has_strings = to_offset(r, d.value, &strings);
	for (size_t i = 0; i < count && read_dynamic(r, i, &d) && d.tag != DT_NULL; i++) {
		if (d.tag != DT_NEEDED && d.tag != DT_RPATH && d.tag != DT_RUNPATH)
			continue;
		char *text = has_strings && d.value <= UINT32_MAX
		                     ? read_string(r, strings + d.value)
		                     : NULL;
		if (!text || out->needed.count >= ELF_NEEDED_MAX) {
			free(text);
			return false;
		}
		if (d.tag == DT_NEEDED) {
			strv_add_take(&out->needed, text);
			continue;
		}
		char **slot = d.tag == DT_RPATH ? &out->rpath : &out->runpath;
		free(*slot);
		*slot = text;
	}
	return true;
}

static bool read_header(struct reader *r, struct elf *out)
{
	if (r->is64) {
		Elf64_Ehdr h;
		if (!read_at(r, 0, &h, sizeof(h)))
			return false;
		out->type = le16toh(h.e_type);
		out->machine = le16toh(h.e_machine);
		return read_segments(r, le64toh(h.e_phoff), le16toh(h.e_phnum),
		                     le16toh(h.e_phentsize));
	}
	Elf32_Ehdr h;
	if (!read_at(r, 0, &h, sizeof(h)))
		return false;
	out->type = le16toh(h.e_type);
	out->machine = le16toh(h.e_machine);
	return read_segments(r, le32toh(h.e_phoff), le16toh(h.e_phnum), le16toh(h.e_phentsize));
}

int elf_read(int fd, struct elf *out, struct error *err)
{
	unsigned char ident[EI_NIDENT];
	struct reader r = { .fd = fd };
	if (!read_at(&r, 0, ident, sizeof(ident)) || memcmp(ident, ELFMAG, SELFMAG) != 0)
		return error_set(err, -ENOEXEC, "not an ELF file");
	r.is64 = ident[EI_CLASS] == ELFCLASS64;
	struct elf e = { .is64 = r.is64 };
	bool ok = ident[EI_DATA] == ELFDATA2LSB && (r.is64 || ident[EI_CLASS] == ELFCLASS32) &&
	          read_header(&r, &e) && read_needs(&r, &e);
	if (ok && r.interpreter.size) {
		e.interpreter = read_string(&r, r.interpreter.offset);
		ok = e.interpreter != NULL;
	}
	if (!ok) {
		elf_release(&e);
		return error_set(err, -EBADMSG, "a broken ELF file, or one for an unknown machine");
	}
	*out = e;
	return 0;
}
