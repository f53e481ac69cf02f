#include "tools/thunk_source.h"

#include <string.h>

#include "common/io.h"
#include "tools/session.h"

int fetch_bytes(struct client *c, const struct digest *d, size_t max, struct buf *b,
                struct error *err)
{
	scoped_fd int fd = client_get(c, d, err);
	if (fd < 0)
		return fd;
	int r = read_all(fd, b, max);
	if (r < 0) {
		errno = -r;
		return error_errno(err, "cannot read blob %s", digest_hex(d).text);
	}
	return 0;
}

int fetch_thunk(struct client *c, const struct digest *d, struct thunk *out, struct error *err)
{
	scoped_buf struct buf text = BUF_INIT;
	int r = fetch_bytes(c, d, THUNK_BYTES_MAX, &text, err);
	if (r == -ENOENT)
		return error_set(err, r, "thunk %s is not in the store", digest_hex(d).text);
	if (r < 0)
		return r;
	struct error why = ERROR_INIT;
	if (thunk_decode(text.data ? text.data : "", text.len, out, &why) < 0)
		return error_set(err, -EBADMSG, "%s is no thunk: %s", digest_hex(d).text,
		                 error_text(&why));
	return 0;
}

int fetch_manifest(struct client *c, const struct digest *d, struct manifest *out,
                   struct error *err)
{
	scoped_buf struct buf text = BUF_INIT;
	int r = fetch_bytes(c, d, MANIFEST_BYTES_MAX, &text, err);
	if (r == -ENOENT)
		return error_set(err, r, "manifest %s is not in the store", digest_hex(d).text);
	if (r < 0)
		return r;
	struct error why = ERROR_INIT;
	if (manifest_decode(text.data ? text.data : "", text.len, out, &why) < 0)
		return error_set(err, -EBADMSG, "%s is no manifest: %s", digest_hex(d).text,
		                 error_text(&why));
	return 0;
}

int targets_open(const char *store, int argc, char **argv, struct target_list *list,
                 struct client **out, struct error *err)
{
	int r = argc ? 0 : target_collect(".", list, err);
	for (int i = 0; r == 0 && i < argc; i++)
		r = target_collect(argv[i], list, err);
	return r == 0 ? session_open_at(store, argc ? argv[0] : NULL, out, err) : r;
}

static int add_outputs(struct client *c, const struct digest *d, struct target_list *to,
                       struct error *err)
{
	scoped_thunk struct thunk t = THUNK_INIT;
	int r = fetch_thunk(c, d, &t, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < t.output_count; i++) {
		array_grow(to->items, to->count, to->capacity);
		to->items[to->count++] = (struct target){
			.lazy = true,
			.ref = { .kind = REF_THUNK,
			         .digest = *d,
			         .output = xstrdup(t.outputs[i].path) },
		};
	}
	return 0;
}

/* "OUTPUT/SELECTION", where the thunk has OUTPUT only, becomes the two. */
static int part_selection(struct client *c, struct ref *ref, struct error *err)
{
	scoped_thunk struct thunk t = THUNK_INIT;
	int r = fetch_thunk(c, &ref->digest, &t, err);
	if (r < 0)
		return r == -ENOENT || r == -EBADMSG ? 0 : r; /* told when it is forced */
	if (thunk_output(&t, ref->output))
		return 0;
	for (size_t i = 0; i < t.output_count; i++) {
		size_t len = strlen(t.outputs[i].path);
		if (strncmp(ref->output, t.outputs[i].path, len) != 0 || ref->output[len] != '/')
			continue;
		ref->selection = xstrdup(ref->output + len + 1);
		ref->output[len] = '\0';
		return 0;
	}
	return 0;
}

int targets_expand(struct client *c, struct target_list *list, struct error *err)
{
	scoped_targets struct target_list expanded = { .ordinary = list->ordinary };
	for (size_t i = 0; i < list->count; i++) {
		struct target *t = &list->items[i];
		if (t->ref.kind == REF_THUNK && t->lazy && !t->ref.output) {
			int r = add_outputs(c, &t->ref.digest, &expanded, err);
			if (r < 0)
				return r;
			continue;
		}
		if (t->in_mount && t->lazy && t->ref.kind == REF_THUNK && !t->ref.selection) {
			int r = part_selection(c, &t->ref, err);
			if (r < 0)
				return r;
		}
		array_grow(expanded.items, expanded.count, expanded.capacity);
		expanded.items[expanded.count++] = *t;
		*t = (struct target){ 0 };
	}
	struct target_list old = *list;
	*list = expanded;
	expanded = old;
	return 0;
}

void quote_add(struct buf *b, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	                            "_-+=./:,@%^";
	if (*word && word[strspn(word, plain)] == '\0') {
		buf_add_str(b, word);
		return;
	}
	buf_add_char(b, '\'');
	for (; *word; word++)
		if (*word == '\'')
			buf_add_str(b, "'\\''");
		else
			buf_add_char(b, *word);
	buf_add_char(b, '\'');
}

void command_add(struct buf *b, const struct thunk *t)
{
	for (size_t i = 0; i < t->args.count; i++) {
		if (i)
			buf_add_char(b, ' ');
		quote_add(b, t->args.items[i]);
	}
}
