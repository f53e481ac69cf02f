#include "objstore/manifest.h"

#include <limits.h>
#include <stdlib.h>

#include "common/escape.h"
#include "common/fields.h"

static const char first_line[] = "ggfs-manifest 1\n";

void manifest_entry_release(struct manifest_entry *entry)
{
	ref_release(&entry->ref);
	free(entry->target);
	free(entry->path);
	*entry = (struct manifest_entry){ 0 };
}

static inline void scoped_entry_(struct manifest_entry *entry)
{
	manifest_entry_release(entry);
}

void manifest_release(struct manifest *m)
{
	for (size_t i = 0; i < m->count; i++)
		manifest_entry_release(&m->entries[i]);
	free(m->entries);
	*m = MANIFEST_INIT;
}

static void add_entry(struct manifest *m, const struct manifest_entry *entry)
{
	array_grow(m->entries, m->count, m->capacity);
	m->entries[m->count++] = *entry;
}

void manifest_add_file(struct manifest *m, const char *path, mode_t mode, const struct ref *ref)
{
	struct manifest_entry entry = {
		.kind = ENTRY_FILE,
		.mode = mode & 0111 ? 0755 : 0644,
		.path = xstrdup(path),
	};
	ref_copy(&entry.ref, ref);
	add_entry(m, &entry);
}

void manifest_add_link(struct manifest *m, const char *path, const char *target)
{
	struct manifest_entry entry = {
		.kind = ENTRY_LINK,
		.target = xstrdup(target),
		.path = xstrdup(path),
	};
	add_entry(m, &entry);
}

void manifest_add_dir(struct manifest *m, const char *path)
{
	struct manifest_entry entry = { .kind = ENTRY_DIR, .path = xstrdup(path) };
	add_entry(m, &entry);
}

void manifest_add_entry(struct manifest *m, const struct manifest_entry *entry)
{
	if (entry->kind == ENTRY_FILE)
		manifest_add_file(m, entry->path, entry->mode, &entry->ref);
	else if (entry->kind == ENTRY_LINK)
		manifest_add_link(m, entry->path, entry->target);
	else
		manifest_add_dir(m, entry->path);
}

void manifest_entry_encode(const struct manifest_entry *entry, struct buf *b)
{
	switch (entry->kind) {
	case ENTRY_FILE:
		buf_add_str(b, entry->mode == 0755 ? "file 0755 " : "file 0644 ");
		ref_encode(&entry->ref, b);
		break;
	case ENTRY_LINK:
		buf_add_str(b, "link ");
		escape_add(b, entry->target);
		break;
	case ENTRY_DIR:
		buf_add_str(b, "dir");
		break;
	}
	buf_add_char(b, ' ');
	escape_add(b, entry->path);
}

static bool target_is_fit(const char *target)
{
	size_t len = strlen(target);
	return len > 0 && len < PATH_MAX;
}

static int decode_file(const char **at, const char *end, struct manifest_entry *entry,
		       struct error *err)
{
	entry->kind = ENTRY_FILE;
	if (!field_space(at, end))
		return error_set(err, -EINVAL, "a file entry ends early");
	if (field_word(at, end, "0644"))
		entry->mode = 0644;
	else if (field_word(at, end, "0755"))
		entry->mode = 0755;
	else
		return error_set(err, -EINVAL, "a file's mode is neither 0644 nor 0755");
	if (!field_space(at, end))
		return error_set(err, -EINVAL, "a file entry ends early");
	return ref_decode(at, end, &entry->ref, err);
}

static int decode_link(const char **at, const char *end, struct manifest_entry *entry,
		       struct error *err)
{
	entry->kind = ENTRY_LINK;
	if (field_space(at, end))
		entry->target = field_string(at, end);
	if (!entry->target || !target_is_fit(entry->target))
		return error_set(err, -EINVAL, "a link's target is not fit");
	return 0;
}

static int decode_facts(const char **at, const char *end, struct manifest_entry *entry,
			struct error *err)
{
	if (field_word(at, end, "file"))
		return decode_file(at, end, entry, err);
	if (field_word(at, end, "link"))
		return decode_link(at, end, entry, err);
	if (!field_word(at, end, "dir"))
		return error_set(err, -EINVAL, "an entry begins with file, link or dir");
	entry->kind = ENTRY_DIR;
	return 0;
}

int manifest_entry_decode(const char *line, size_t len, struct manifest_entry *out,
			  struct error *err)
{
	scoped(scoped_entry_) struct manifest_entry entry = { 0 };
	const char *at = line, *end = line + len;
	int r = decode_facts(&at, end, &entry, err);
	if (r < 0)
		return r;
	if (field_space(&at, end))
		entry.path = field_path(&at, end);
	if (!entry.path)
		return error_set(err, -EINVAL, "an entry's path is no normal, escaped path");
	if (at != end)
		return error_set(err, -EINVAL, "there is something after an entry's path");
	*out = entry;
	entry = (struct manifest_entry){ 0 };
	return 0;
}

/* The entries whose paths are string prefixes of the current one, shortest first: as entries are
 * sorted, everything that the current one could lie beneath is among them. */
struct prefixes {
	size_t *items;
	size_t count, capacity;
};

static inline void scoped_prefixes_(struct prefixes *p)
{
	free(p->items);
}

/* Calls it a fault when entry i lies beneath a file or link; marks in `parent` (may be NULL) the
 * "dir" entries that it lies beneath, and otherwise calls them a fault too. */
static int check_place(const struct manifest *m, struct prefixes *above, size_t i, bool *parent,
		       struct error *err)
{
	const char *path = m->entries[i].path;
	while (above->count) {
		const char *top = m->entries[above->items[above->count - 1]].path;
		if (strncmp(top, path, strlen(top)) == 0)
			break;
		above->count--;
	}
	for (size_t j = 0; j < above->count; j++) {
		const struct manifest_entry *upper = &m->entries[above->items[j]];
		if (path[strlen(upper->path)] != '/')
			continue;
		if (upper->kind != ENTRY_DIR)
			return error_set(err, -EINVAL, "%s lies beneath %s, which is a %s", path,
					 upper->path, upper->kind == ENTRY_FILE ? "file" : "link");
		if (!parent)
			return error_set(err, -EINVAL, "%s is said to be empty but holds %s",
					 upper->path, path);
		parent[above->items[j]] = true;
	}
	array_grow(above->items, above->count, above->capacity);
	above->items[above->count++] = i;
	return 0;
}

static int check_places(const struct manifest *m, bool *parent, struct error *err)
{
	scoped(scoped_prefixes_) struct prefixes above = { 0 };
	for (size_t i = 0; i < m->count; i++) {
		int r = check_place(m, &above, i, parent, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool path_or_null_is_normal(const char *path)
{
	return !path || path_is_normal(path);
}

/* The rules that one entry can break alone; what was decoded has passed them already. */
static int check_entry(const struct manifest_entry *entry, struct error *err)
{
	const struct ref *ref = &entry->ref;
	if (!path_is_normal(entry->path))
		return error_set(err, -EINVAL, "\"%s\" is no normal relative path", entry->path);
	if (entry->kind == ENTRY_LINK && !target_is_fit(entry->target))
		return error_set(err, -EINVAL, "the link %s has an empty or overlong target",
				 entry->path);
	if (entry->kind != ENTRY_FILE)
		return 0;
	if (ref->size_bytes > INT64_MAX || (ref->kind == REF_THUNK && !ref->output) ||
	    !path_or_null_is_normal(ref->output) || !path_or_null_is_normal(ref->selection))
		return error_set(err, -EINVAL, "the file %s has a malformed ref", entry->path);
	return 0;
}

static bool same_facts(const struct manifest_entry *a, const struct manifest_entry *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == ENTRY_FILE)
		return a->mode == b->mode && ref_equal(&a->ref, &b->ref);
	return a->kind == ENTRY_DIR || strcmp(a->target, b->target) == 0;
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(((const struct manifest_entry *)a)->path,
		      ((const struct manifest_entry *)b)->path);
}

/* Keeps the entries for which drop is false. */
static void drop_entries(struct manifest *m, const bool *drop)
{
	size_t kept = 0;
	for (size_t i = 0; i < m->count; i++) {
		if (drop[i])
			manifest_entry_release(&m->entries[i]);
		else
			m->entries[kept++] = m->entries[i];
	}
	m->count = kept;
}

/* At most how long the line is, every byte of a name escaped. */
static size_t line_bound(const struct manifest_entry *e)
{
	enum { WORDS = 64 + DIGEST_HEX_SIZE, ESCAPED = 3 };
	const char *names[] = { e->path, e->target, e->ref.output, e->ref.selection };
	size_t len = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		len += names[i] ? strlen(names[i]) : 0;
	return WORDS + ESCAPED * len;
}

/* Most are far from the limit, which is seen without writing them. */
static bool is_small(const struct manifest *m)
{
	size_t total = sizeof(first_line);
	for (size_t i = 0; i < m->count && total <= MANIFEST_BYTES_MAX; i++)
		total += line_bound(&m->entries[i]);
	return m->count <= MANIFEST_ENTRIES_MAX && total <= MANIFEST_BYTES_MAX;
}

static int check_size(const struct manifest *m, struct error *err)
{
	scoped_buf struct buf line = BUF_INIT;
	size_t total = sizeof(first_line) - 1;
	if (is_small(m))
		return 0;
	for (size_t i = 0; i < m->count; i++) {
		buf_reset(&line);
		manifest_entry_encode(&m->entries[i], &line);
		total += line.len + 1;
	}
	if (m->count > MANIFEST_ENTRIES_MAX || total > MANIFEST_BYTES_MAX)
		return error_set(err, -EFBIG, "a manifest of %zu entries and %zu bytes is too large",
				 m->count, total);
	return 0;
}

int manifest_finish(struct manifest *m, struct error *err)
{
	for (size_t i = 0; i < m->count; i++) {
		int r = check_entry(&m->entries[i], err);
		if (r < 0)
			return r;
	}
	if (m->count == 0)
		return 0;
	qsort(m->entries, m->count, sizeof(*m->entries), compare_paths);
	scoped_free bool *drop = xcalloc(m->count, sizeof(*drop));
	for (size_t i = 1; i < m->count; i++) {
		if (compare_paths(&m->entries[i - 1], &m->entries[i]) != 0)
			continue;
		if (!same_facts(&m->entries[i - 1], &m->entries[i]))
			return error_set(err, -EINVAL, "%s is there twice and not the same",
					 m->entries[i].path);
		drop[i] = true;
	}
	drop_entries(m, drop);
	memset(drop, 0, m->count * sizeof(*drop));
	/* A directory that is not empty needs no entry: one spelling for each tree. */
	int r = check_places(m, drop, err);
	if (r < 0)
		return r;
	drop_entries(m, drop);
	return check_size(m, err);
}

const struct manifest_entry *manifest_find(const struct manifest *m, const char *path)
{
	struct manifest_entry key = { .path = (char *)(uintptr_t)path };
	return m->count ? bsearch(&key, m->entries, m->count, sizeof(*m->entries), compare_paths) :
			  NULL;
}

void manifest_encode(const struct manifest *m, struct buf *b)
{
	buf_add_str(b, first_line);
	for (size_t i = 0; i < m->count; i++) {
		manifest_entry_encode(&m->entries[i], b);
		buf_add_char(b, '\n');
	}
}

static int decode_lines(const char *text, const char *end, struct manifest *m, struct error *err)
{
	const char *line, *line_end;
	scoped(scoped_prefixes_) struct prefixes above = { 0 };
	for (size_t number = 2; text < end; number++) {
		struct manifest_entry entry;
		if (m->count == MANIFEST_ENTRIES_MAX)
			return error_set(err, -EFBIG, "the manifest has more than %d entries",
					 MANIFEST_ENTRIES_MAX);
		if (!line_next(&text, end, &line, &line_end))
			return error_set(err, -EINVAL, "manifest line %zu is cut off", number);
		int r = manifest_entry_decode(line, (size_t)(line_end - line), &entry, err);
		if (r < 0)
			return error_prefix(err, r, "manifest line %zu", number);
		add_entry(m, &entry);
		if (m->count > 1 && compare_paths(&entry, &m->entries[m->count - 2]) <= 0)
			return error_set(err, -EINVAL,
					 "manifest line %zu: %s is out of order or there twice",
					 number, entry.path);
		r = check_place(m, &above, m->count - 1, NULL, err);
		if (r < 0)
			return error_prefix(err, r, "manifest line %zu", number);
	}
	return 0;
}

int manifest_decode(const char *text, size_t len, struct manifest *m, struct error *err)
{
	size_t first_len = sizeof(first_line) - 1;
	scoped_manifest struct manifest decoded = MANIFEST_INIT;
	if (len > MANIFEST_BYTES_MAX)
		return error_set(err, -EFBIG, "a manifest of %zu bytes is too large", len);
	if (len < first_len || memcmp(text, first_line, first_len) != 0)
		return error_set(err, -EINVAL, "manifest line 1 is not \"ggfs-manifest 1\"");
	int r = decode_lines(text + first_len, text + len, &decoded, err);
	if (r < 0)
		return r;
	*m = decoded;
	decoded = MANIFEST_INIT;
	return 0;
}
