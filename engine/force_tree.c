/* Selections: a file inside a directory that a thunk made. */
#include <errno.h>
#include <string.h>

#include "engine/force_impl.h"

static struct kept_tree *oldest_tree(struct forcer *f)
{
	struct kept_tree *oldest = &f->trees[0];
	for (size_t i = 1; i < FORCE_TREES_KEPT; i++)
		if (f->trees[i].used < oldest->used)
			oldest = &f->trees[i];
	return oldest;
}

int tree_manifest(struct forcer *f, const struct digest *tree, const struct manifest **out,
                  struct error *err)
{
	for (size_t i = 0; i < FORCE_TREES_KEPT; i++) {
		struct kept_tree *kept = &f->trees[i];
		if (kept->used && digest_equal(&kept->digest, tree)) {
			kept->used = ++f->tree_uses;
			*out = &kept->manifest;
			return 0;
		}
	}
	scoped_buf struct buf text = BUF_INIT;
	int r = store_get_bytes(f->store, tree, MANIFEST_BYTES_MAX, &text, err);
	if (r == -ENOENT)
		return error_set(err, -EBADMSG, "the manifest %s is not in the store",
		                 digest_hex(tree).text);
	if (r < 0)
		return r;
	scoped_manifest struct manifest m = MANIFEST_INIT;
	struct error why = ERROR_INIT;
	if (manifest_decode(text.data ? text.data : "", text.len, &m, &why) < 0)
		return error_set(err, -EBADMSG, "the blob %s is not a manifest: %s",
		                 digest_hex(tree).text, error_text(&why));
	struct kept_tree *kept = oldest_tree(f);
	manifest_release(&kept->manifest);
	*kept = (struct kept_tree){ .digest = *tree, .manifest = m, .used = ++f->tree_uses };
	m = MANIFEST_INIT;
	*out = &kept->manifest;
	return 0;
}

/* The entries beneath path as a tree of their own; -ENOENT when there are none. */
static int select_directory(struct forcer *f, const struct manifest *m, const char *path,
                            struct ref *out, struct error *err)
{
	scoped_manifest struct manifest sub = MANIFEST_INIT;
	size_t len = strlen(path);
	bool found = false;
	for (size_t i = 0; i < m->count; i++) {
		const struct manifest_entry *e = &m->entries[i];
		if (e->kind == ENTRY_DIR && strcmp(e->path, path) == 0)
			found = true;
		if (strncmp(e->path, path, len) != 0 || e->path[len] != '/')
			continue;
		found = true;
		const char *rest = e->path + len + 1;
		if (e->kind == ENTRY_FILE)
			manifest_add_file(&sub, rest, e->mode, &e->ref);
		else if (e->kind == ENTRY_LINK)
			manifest_add_link(&sub, rest, e->target);
		else
			manifest_add_dir(&sub, rest);
	}
	if (!found)
		return error_set(err, -ENOENT, "there is no %s in it", path);
	int r = manifest_finish(&sub, err);
	if (r < 0)
		return r;
	scoped_buf struct buf text = BUF_INIT;
	manifest_encode(&sub, &text);
	struct ref ref = { .kind = REF_TREE, .size_bytes = text.len };
	r = store_put_bytes(f->store, text.data, text.len, &ref.digest, err);
	if (r == 0)
		*out = ref;
	return r;
}

/* Where a link at the first link_len bytes of path leads, with what follows them in path. */
static char *follow_link(const char *path, size_t link_len, const char *target)
{
	scoped_buf struct buf joined = BUF_INIT;
	scoped_strv struct strv kept = STRV_INIT;
	const char *slash = memrchr(path, '/', link_len);
	if (target[0] == '/')
		return NULL;
	if (slash)
		buf_add(&joined, path, (size_t)(slash - path) + 1);
	buf_add_str(&joined, target);
	buf_add_str(&joined, path + link_len);
	char *state = NULL;
	for (char *part = strtok_r(joined.data, "/", &state); part;
	     part = strtok_r(NULL, "/", &state)) {
		if (strcmp(part, ".") == 0)
			continue;
		if (strcmp(part, "..") != 0) {
			strv_add(&kept, part);
			continue;
		}
		if (kept.count == 0)
			return NULL; /* out of the tree */
		free(kept.items[--kept.count]);
		kept.items[kept.count] = NULL;
	}
	scoped_buf struct buf out = BUF_INIT;
	for (size_t i = 0; i < kept.count; i++)
		buf_add_format(&out, "%s%s", i ? "/" : "", kept.items[i]);
	return out.len ? buf_steal(&out, NULL) : NULL;
}

/* The entry at path, or the file or link that stands where one of its parents should; *len is
 * how much of path that is. */
static const struct manifest_entry *find_on_way(const struct manifest *m, const char *path,
                                                size_t *len)
{
	scoped_free char *prefix = xstrdup(path);
	for (;;) {
		const struct manifest_entry *e = manifest_find(m, prefix);
		*len = strlen(prefix);
		if (e && (e->kind != ENTRY_DIR || !path[*len]))
			return e;
		char *slash = strrchr(prefix, '/');
		if (!slash)
			return NULL;
		*slash = '\0';
	}
}

/* An entry of kind ENTRY_FILE was met; rest is what is left of the path, or "". */
static int select_file(const struct manifest_entry *e, const char *rest, struct ref *out,
                       struct error *err)
{
	if (*rest && e->ref.kind == REF_BLOB)
		return error_set(err, -ENOENT, "%s is a file and has no %s in it", e->path, rest);
	struct ref ref = REF_INIT;
	ref_copy(&ref, &e->ref);
	if (*rest && ref.kind == REF_THUNK) {
		char *deeper =
		        ref.selection ? xformat("%s/%s", ref.selection, rest) : xstrdup(rest);
		free(ref.selection);
		ref.selection = deeper;
	}
	*out = ref;
	return 0;
}

int tree_select(struct forcer *f, const struct ref *tree, const char *path, struct ref *out,
                struct error *err)
{
	struct digest at = tree->digest;
	scoped_free char *left = xstrdup(path);
	/* Each turn enters a tree within the tree or follows a link. */
	for (unsigned links = 0;;) {
		const struct manifest *m;
		size_t len;
		int r = tree_manifest(f, &at, &m, err);
		if (r < 0)
			return r;
		const struct manifest_entry *e = find_on_way(m, left, &len);
		if (!e || e->kind == ENTRY_DIR)
			return select_directory(f, m, left, out, err);
		const char *rest = left[len] ? left + len + 1 : left + len;
		char *next;
		if (e->kind == ENTRY_LINK) {
			next = ++links > FORCE_LINKS_MAX ? NULL : follow_link(left, len, e->target);
			if (!next)
				return error_set(err, -ENOENT, "the link %s leads nowhere in it",
				                 e->path);
		} else if (*rest && e->ref.kind == REF_TREE) {
			at = e->ref.digest;
			next = xstrdup(rest);
		} else {
			return select_file(e, rest, out, err);
		}
		free(left);
		left = next;
	}
}

int ref_step(struct forcer *f, const struct memo *memo, const struct ref *ref, struct ref *out,
             struct error *err)
{
	const struct ref *made = memo_output(memo, ref->output);
	if (!made)
		return error_set(err, -ENOENT, "the thunk %s has no output %s",
		                 digest_hex(&ref->digest).text, ref->output);
	if (!ref->selection) {
		ref_copy(out, made);
		return 0;
	}
	if (made->kind == REF_BLOB)
		return error_set(err, -ENOENT,
		                 "the output %s of thunk %s is a file and has no %s in it",
		                 ref->output, digest_hex(&ref->digest).text, ref->selection);
	if (made->kind == REF_TREE) {
		int r = tree_select(f, made, ref->selection, out, err);
		return r < 0 ? error_prefix(err, r, "the output %s of thunk %s", ref->output,
		                            digest_hex(&ref->digest).text)
		             : 0;
	}
	ref_copy(out, made);
	char *deeper = out->selection ? xformat("%s/%s", out->selection, ref->selection)
	                              : xstrdup(ref->selection);
	free(out->selection);
	out->selection = deeper;
	return 0;
}
