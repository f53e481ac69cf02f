#include "engine/model/scanner_search.h"

#include <string.h>

enum { SLOTS = 1024 };

/* A name, with the directory where its search began. */
struct search_slot {
	struct search_slot *next;
	const struct search_dir *start;
	struct search_file *file;
};

void search_begin(struct search *s, struct view *v, const char *cwd)
{
	*s = (struct search){ .v = v, .cwd = cwd, .canonical = true };
	s->no_path.name = xstrdup("");
	s->slots = xcalloc(SLOTS, sizeof(struct search_slot *));
}

void search_release(struct search *s)
{
	for (size_t i = 0; s->slots && i < SLOTS; i++) {
		while (s->slots[i]) {
			struct search_slot *slot = s->slots[i];
			s->slots[i] = slot->next;
			free(slot);
		}
	}
	free(s->slots);
	while (s->files) {
		struct search_file *f = s->files;
		s->files = f->all;
		view_file_release(&f->look);
		lexed_unref(f->lexed);
		free(f->name);
		free(f->path);
		free(f->asked_path);
		free(f);
	}
	free(s->no_path.name);
	while (s->dirs) {
		struct search_dir *d = s->dirs;
		s->dirs = d->all;
		free(d->name);
		free(d);
	}
}

/* --- chains ------------------------------------------------------------------------------------
 */

static struct search_dir *new_dir(struct search *s, const char *name, bool system)
{
	struct search_dir *d = xcalloc(1, sizeof(*d));
	d->name = xstrdup(name);
	d->system = system;
	d->all = s->dirs;
	s->dirs = d;
	return d;
}

void search_add(struct search *s, struct search_dir **chain, const char *name, bool system)
{
	while (*chain)
		chain = &(*chain)->next;
	*chain = new_dir(s, name, system);
}

static char *full_path(const struct search *s, const char *path)
{
	return path[0] == '/' ? xstrdup(path) : xformat("%s/%s", s->cwd, path);
}

static bool is_same(const struct search_dir *a, const struct search_dir *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

static bool is_among(const struct search_dir *d, const struct search_dir *from,
                     const struct search_dir *to)
{
	for (; from && from != to; from = from->next)
		if (is_same(from, d))
			return true;
	return false;
}

/* As incpath.cc's remove_duplicates: *head without what is absent, in it twice, or in later; join
 * is put behind it. */
static int clean(struct search *s, struct search_dir **head, struct search_dir *later,
                 struct error *err)
{
	struct search_dir **at = head;
	while (*at) {
		struct search_dir *d = *at;
		scoped_free char *full = full_path(s, d->name);
		struct view_file f = { 0 };
		int r = view_look(s->v, full, &f, NULL, err);
		bool there = r == 0 && f.kind == VIEW_DIR;
		d->dev = f.st.st_dev;
		d->ino = f.st.st_ino;
		if (r == 0 && f.kind == VIEW_LAZY)
			r = error_set(err, -ENODATA, "%s is a directory that is not made yet",
			              d->name);
		view_file_release(&f);
		if (r < 0)
			return r;
		if (there && !is_among(d, later, NULL) && !is_among(d, *head, d))
			at = &d->next;
		else
			*at = d->next;
	}
	*at = later;
	return 0;
}

int search_chains(struct search *s, struct search_dir *quote, struct search_dir *bracket,
                  struct search_dir *system, struct error *err)
{
	int r = clean(s, &system, NULL, err);
	if (r == 0)
		r = clean(s, &bracket, system, err);
	if (r == 0)
		r = clean(s, &quote, bracket, err);
	s->bracket = bracket;
	s->quote = quote;
	return r;
}

/* The first word on whether such a directory is the system's stays, as in libcpp. */
static const struct search_dir *beside(struct search *s, const char *name, size_t len, bool system)
{
	for (struct search_dir *d = s->beside; d; d = d->beside)
		if (strncmp(d->name, name, len) == 0 && !d->name[len])
			return d;
	scoped_free char *copy = xstrndup(name, len);
	struct search_dir *d = new_dir(s, copy, system);
	d->next = s->quote;
	d->beside = s->beside;
	s->beside = d;
	return d;
}

const struct search_dir *search_beside(struct search *s, const char *path, bool system)
{
	const char *slash = strrchr(path, '/');
	return beside(s, path, slash ? (size_t)(slash - path) + 1 : 0, system);
}

const struct search_dir *search_here(struct search *s)
{
	return beside(s, "./", 2, false);
}

/* --- finding -----------------------------------------------------------------------------------
 */

/* Looks for name in one directory; true when the search ends here. */
static bool look_in(struct search *s, struct search_file *f, const struct search_dir *d, int *r,
                    struct error *err)
{
	size_t len = strlen(d->name);
	char *path = xformat("%s%s%s", d->name, len && d->name[len - 1] != '/' ? "/" : "", f->name);
	scoped_free char *full = full_path(s, path);
	*r = view_look(s->v, full, &f->look, NULL, err);
	bool there = *r == 0 && (f->look.kind == VIEW_FILE || f->look.kind == VIEW_LAZY);
	if (*r == 0 && f->look.kind == VIEW_OTHER)
		s->doubt = "a header that is no ordinary file";
	if (!there) {
		view_file_release(&f->look);
		free(path);
		return *r < 0 || s->doubt;
	}
	f->dir = d;
	f->path = path;
	if (s->canonical && d->system && strlen(f->look.real_path) < strlen(path)) {
		f->asked_path = path;
		f->path = xstrdup(f->look.real_path);
	}
	return true;
}

static struct search_file *recall(const struct search_slot *slot, const char *name,
                                  const struct search_dir *start)
{
	for (; slot; slot = slot->next)
		if (slot->start == start && strcmp(slot->file->name, name) == 0)
			return slot->file;
	return NULL;
}

static void remember(struct search_slot **slot, const struct search_dir *start,
                     struct search_file *f)
{
	struct search_slot *made = xmalloc(sizeof(*made));
	*made = (struct search_slot){ *slot, start, f };
	*slot = made;
}

int search_find(struct search *s, const char *name, const struct search_dir *start,
                struct search_file **out, struct error *err)
{
	struct search_slot **slot = &s->slots[lex_hash(name, strlen(name)) % SLOTS];
	*out = recall(*slot, name, start);
	if (*out)
		return 0;
	if (++s->file_count > SEARCH_FILES_MAX) {
		s->doubt = "too many headers";
		return 0;
	}
	struct search_file *f = xcalloc(1, sizeof(*f)), *known = NULL;
	f->name = xstrdup(name);
	f->dir = start;
	bool by_bracket = false, by_quote = false;
	int r = 0;
	for (const struct search_dir *d = start; d && !known; d = d->next) {
		if (d != start && (d == s->bracket || d == s->quote)) {
			by_bracket = by_bracket || d == s->bracket;
			by_quote = by_quote || d == s->quote;
			known = recall(*slot, name, d);
			if (known)
				break;
		}
		if (look_in(s, f, d, &r, err))
			break;
	}
	if (known) {
		free(f->name);
		free(f);
		f = known;
	} else {
		f->all = s->files;
		s->files = f;
	}
	remember(slot, start, f);
	if (by_bracket && !recall(*slot, name, s->bracket))
		remember(slot, s->bracket, f);
	if (by_quote && !recall(*slot, name, s->quote))
		remember(slot, s->quote, f);
	*out = f;
	return r;
}
