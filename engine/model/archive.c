/*
 * Thin archives: they hold names, and whoever reads them opens the members. A lazy archive is as
 * thin as the command that makes it says, and its members are among that command's inputs.
 */
#include <string.h>

#include "common/io.h"
#include "engine/model/follow.h"
#include "engine/thunk.h"

enum { AR_MAGIC = 8, AR_HEADER = 60, AR_NAME = 16, AR_SIZE_AT = 48, AR_SIZE = 10 };

/* Spares loading the thunks of a thousand objects. The name is the one it was made by. */
bool follow_is_object(const struct view_file *f)
{
	const char *dot = f->ref.output ? strrchr(f->ref.output, '.') : NULL;
	return dot && (strcmp(dot, ".o") == 0 || strcmp(dot, ".lo") == 0);
}

static bool parse_size(const char *field, size_t *size)
{
	size_t value = 0;
	for (int i = 0; i < AR_SIZE && field[i] != ' '; i++) {
		if (field[i] < '0' || field[i] > '9')
			return false;
		value = value * 10 + (size_t)(field[i] - '0');
	}
	*size = value;
	return true;
}

/* Names of the members, as written: relative to the archive's directory. */
static int thin_members(const char *text, size_t len, struct strv *names, struct error *err)
{
	const char *table = NULL;
	size_t table_len = 0;
	for (size_t at = AR_MAGIC; at + AR_HEADER <= len;) {
		const char *h = text + at;
		size_t size;
		if (!parse_size(h + AR_SIZE_AT, &size))
			return error_set(err, -EBADMSG, "a broken archive");
		at += AR_HEADER;
		bool symbols = memcmp(h, "/ ", 2) == 0 || memcmp(h, "/SYM64/ ", 8) == 0;
		bool long_names = memcmp(h, "// ", 3) == 0;
		if (symbols || long_names) {
			if (size > len - at)
				return error_set(err, -EBADMSG, "a truncated archive");
			if (long_names) {
				table = text + at;
				table_len = size;
			}
			at += size + size % 2;
			continue;
		}
		size_t offset = 0;
		const char *name = h, *end = memchr(h, '/', AR_NAME);
		if (h[0] == '/') {
			for (const char *c = h + 1; c < h + AR_NAME && *c >= '0' && *c <= '9'; c++)
				offset = offset * 10 + (size_t)(*c - '0');
			if (offset >= table_len)
				return error_set(err, -EBADMSG,
				                 "an archive whose names are broken");
			name = table + offset;
			end = memmem(name, table_len - offset, "/\n", 2);
		}
		if (!end || end == name)
			return error_set(err, -EBADMSG, "an archive whose names are broken");
		strv_add_take(names, xstrndup(name, (size_t)(end - name)));
	}
	return 0;
}

/* A member may have gone or be an archive in turn. Absent ones fail the tool as they should. */
static int add_members(struct inputs *in, const char *archive, const char *text, size_t len,
                       struct error *err)
{
	scoped_strv struct strv names = STRV_INIT;
	int r = thin_members(text, len, &names, err);
	scoped_free char *dir = path_dir_prefix(archive);
	for (size_t i = 0; r == 0 && i < names.count; i++) {
		scoped_free char *path = names.items[i][0] == '/'
		                                 ? xstrdup(names.items[i])
		                                 : xformat("%s%s", dir, names.items[i]);
		r = inputs_add(in, path, err);
	}
	return r;
}

static bool is_thin_text(const struct buf *b)
{
	return b->len >= AR_MAGIC && memcmp(b->data, "!<thin>\n", AR_MAGIC) == 0;
}

static bool asks_for_thin(const struct thunk *t)
{
	for (size_t i = 1; i < t->args.count; i++) {
		const char *arg = t->args.items[i];
		if (strcmp(arg, "--thin") == 0)
			return true;
		bool letters = i == 1 || arg[0] == '-';
		if (letters && arg[1] != '-' && strchr(arg, 'T') && !strchr(arg, '/') &&
		    !strchr(arg, '.'))
			return true;
	}
	return false;
}

static bool made_by(const struct thunk *t, const char *base)
{
	const char *name = NULL;
	return model_find(path_base(t->program), &name) && strcmp(name, base) == 0;
}

/* Whether the archive that a thunk makes is thin: it says so, or what it began with was. */
static int is_thin_thunk(struct view *v, const struct ref *ref, unsigned depth, struct thunk *out,
                         struct error *err)
{
	if (depth > THIN_DEPTH_MAX)
		return error_set(err, -ENODATA, "an archive with too long a history");
	int r = thunk_load(view_store(v), &ref->digest, out, err);
	if (r < 0)
		return error_set(err, -ENODATA, "the archive's thunk cannot be read");
	if (made_by(out, "ar") && asks_for_thin(out))
		return 1;
	if (!made_by(out, "ar") && !made_by(out, "ranlib"))
		return 0;
	const struct manifest_entry *before = manifest_find(&out->inputs, ref->output);
	if (!before || before->kind != ENTRY_FILE)
		return 0;
	if (before->ref.kind == REF_THUNK) {
		scoped_thunk struct thunk earlier = THUNK_INIT;
		return is_thin_thunk(v, &before->ref, depth + 1, &earlier, err);
	}
	scoped_fd int fd = store_get(view_store(v), &before->ref.digest, NULL);
	char magic[AR_MAGIC] = "";
	if (fd >= 0)
		pread_full(fd, magic, sizeof(magic), 0);
	return memcmp(magic, "!<thin>\n", AR_MAGIC) == 0;
}

/* The names are the thunk's, the files those that stand there now: as for an archive that is
 * made already. */
static int follow_lazy(struct inputs *in, const struct view_file *f, struct error *err)
{
	if (f->ref.kind != REF_THUNK || follow_is_object(f))
		return 0;
	scoped_thunk struct thunk t = THUNK_INIT;
	int thin = is_thin_thunk(in->v, &f->ref, 0, &t, err);
	if (thin <= 0)
		return thin;
	for (size_t i = 0; i < t.inputs.count; i++) {
		const struct manifest_entry *entry = &t.inputs.entries[i];
		if (entry->kind != ENTRY_FILE || strcmp(entry->path, f->ref.output) == 0)
			continue;
		scoped_free char *path = xformat("/%s", entry->path);
		int r = inputs_add(in, path, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int archive_follow(struct inputs *in, const struct view_file *f, struct error *err)
{
	if (f->kind == VIEW_LAZY)
		return follow_lazy(in, f, err);
	scoped_fd int fd = view_open(in->v, f->real_path, err);
	if (fd < 0)
		return fd;
	char magic[AR_MAGIC] = "";
	pread_full(fd, magic, sizeof(magic), 0);
	if (memcmp(magic, "!<thin>\n", AR_MAGIC) != 0)
		return 0;
	scoped_buf struct buf text = BUF_INIT;
	int r = read_all(fd, &text, THIN_BYTES_MAX);
	if (r < 0)
		return error_set(err, r, "cannot read %s: %s", f->real_path, strerror(-r));
	return is_thin_text(&text) ? add_members(in, f->real_path, text.data, text.len, err) : 0;
}
