#include "engine/model/lto.h"

#include <elf.h>
#include <string.h>

#include "common/io.h"
#include "engine/thunk.h"

static bool args_speak_of_lto(const struct strv *args)
{
	for (size_t i = 0; i < args->count; i++)
		if (strstr(args->items[i], "lto"))
			return true;
	return false;
}

/* --- what is known of a blob or thunk ------------------------------------------------------------
 */

/* The memory's facts are those of a text; these stand beside them, under a name of their own. */
static struct digest key_of(const struct digest *d)
{
	char text[4 + DIGEST_SIZE] = "lto";
	struct digest key;
	memcpy(text + 4, d->bytes, DIGEST_SIZE);
	digest_of(&key, text, sizeof(text));
	return key;
}

static bool recall(struct view *v, const struct digest *d, bool *met)
{
	struct digest key = key_of(d);
	struct facts facts = { 0 };
	if (!memory_facts_get(view_memory(v), &key, &facts))
		return false;
	*met = facts.lto;
	facts_release(&facts);
	return true;
}

static void remember(struct view *v, const struct digest *d, bool met)
{
	struct digest key = key_of(d);
	struct facts facts = { .lto = met };
	memory_facts_put(view_memory(v), &key, &facts);
}

/* --- inputs ------------------------------------------------------------------------------------
 */

/* The plugin is shown objects and members of archives, never shared libraries. */
static bool blob_has_lto(struct view *v, const struct digest *d)
{
	scoped_fd int fd = store_get(view_store(v), d, NULL);
	if (fd < 0)
		return true;
	unsigned char head[EI_NIDENT + 2] = { 0 };
	if (pread_full(fd, head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
	    memcmp(head, ELFMAG, SELFMAG) == 0 && head[EI_NIDENT] == ET_DYN)
		return false;
	scoped_buf struct buf text = BUF_INIT;
	if (read_all(fd, &text, LTO_BYTES_MAX) < 0)
		return true;
	return text.len && memmem(text.data, text.len, ".gnu.lto_", 9) != NULL;
}

static bool manifest_has_lto(struct view *v, const struct manifest *m, unsigned depth);

static bool thunk_has_lto(struct view *v, const struct digest *d, unsigned depth)
{
	scoped_thunk struct thunk t = THUNK_INIT;
	if (depth > LTO_DEPTH_MAX || thunk_load(view_store(v), d, &t, NULL) < 0)
		return true;
	return args_speak_of_lto(&t.args) || manifest_has_lto(v, &t.inputs, depth + 1);
}

static bool ref_has_lto(struct view *v, const struct ref *ref, unsigned depth)
{
	bool met = true;
	if (ref->kind != REF_BLOB && ref->kind != REF_THUNK)
		return true;
	if (recall(v, &ref->digest, &met))
		return met;
	met = ref->kind == REF_BLOB ? blob_has_lto(v, &ref->digest)
	                            : thunk_has_lto(v, &ref->digest, depth);
	remember(v, &ref->digest, met);
	return met;
}

static bool manifest_has_lto(struct view *v, const struct manifest *m, unsigned depth)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->entries[i].kind == ENTRY_FILE && ref_has_lto(v, &m->entries[i].ref, depth))
			return true;
	return false;
}

bool lto_may_be_met(const struct inputs *in, const struct plan *p)
{
	return args_speak_of_lto(&p->args) || manifest_has_lto(in->v, &in->single, 0) ||
	       manifest_has_lto(in->v, &in->shared, 0);
}

void lto_note(struct view *v, const struct digest *thunk, const struct plan *p)
{
	bool from_text = p->source_count && !p->link;
	for (size_t i = 0; i < p->source_count; i++)
		from_text =
		        from_text && p->sources[i].preprocessed_by_cpp && !p->sources[i].assembler;
	if (from_text)
		remember(v, thunk, args_speak_of_lto(&p->args));
}
