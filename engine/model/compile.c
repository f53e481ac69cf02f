#include "engine/model/compile.h"

#include <string.h>

#include "common/io.h"

struct compile {
	struct inputs *in;
	const struct toolchain *t;
	const struct plan *p;
	struct strv include_dirs; /* the compiler's own; asked for when first needed */
	bool has_epoch;           /* SOURCE_DATE_EPOCH: dates are part of the inputs */
};

/* --- facts --------------------------------------------------------------------------------------
 */

/* What the file's text holds. Looked up by its blob, read when seen for the first time. */
static int facts_of(struct compile *c, const struct view_file *f, struct facts *out,
                    struct error *err)
{
	struct memory *memory = view_memory(c->in->v);
	struct ref blob;
	int r = view_blob(c->in->v, f, &blob, err);
	if (r < 0)
		return r;
	if (memory_facts_get(memory, &blob.digest, out))
		return 0;
	scoped_buf struct buf text = BUF_INIT;
	r = store_get_bytes(view_store(c->in->v), &blob.digest, SOURCE_BYTES_MAX, &text, err);
	if (r < 0)
		return r;
	scan_text(text.data ? text.data : "", text.len, out);
	memory_facts_put(memory, &blob.digest, out);
	return 0;
}

static int refuse(struct error *err, const char *path, const char *why)
{
	return error_set(err, -ENODATA, "%s %s", path, why);
}

static int add_if_file(struct compile *c, const char *dir, const char *name, struct error *err)
{
	scoped_free char *path = *dir ? xformat("%s/%s", dir, name) : xstrdup(name);
	int r = inputs_add(c->in, path, err);
	/* absence is what __has_include may find as well */
	return r == -ENOENT || r == -EISDIR || r == -EINVAL ? 0 : r;
}

/* __has_include answers by what is there: whatever it may find must be there for the function. */
static int add_asked(struct compile *c, const char *includer, const struct facts *facts,
                     struct error *err)
{
	if (facts->asked.count && !c->include_dirs.count) {
		int r = toolchain_include_dirs(c->t, &c->include_dirs, err);
		if (r < 0)
			return r;
	}
	scoped_free char *beside = path_dir_prefix(includer);
	int r = 0;
	for (size_t i = 0; r == 0 && i < facts->asked.count; i++) {
		const char *name = facts->asked.items[i] + 1;
		if (name[0] == '/') {
			r = add_if_file(c, "", name, err);
			continue;
		}
		scoped_free char *near = xformat("%s%s", beside, name);
		r = facts->asked.items[i][0] == '"' ? add_if_file(c, "", near, err) : 0;
		for (size_t k = 0; r == 0 && k < c->p->dirs.count; k++)
			r = add_if_file(c, c->p->dirs.items[k], name, err);
		for (size_t k = 0; r == 0 && k < c->include_dirs.count; k++)
			r = add_if_file(c, c->include_dirs.items[k], name, err);
	}
	return r;
}

/* Directories and links on the way of includes with dots in their names. */
static int add_ways(struct compile *c, const char *includer, const struct facts *facts,
                    struct error *err)
{
	scoped_free char *beside = path_dir_prefix(includer);
	int r = 0;
	for (size_t i = 0; i < facts->dotted.count; i++) {
		const char *name = facts->dotted.items[i];
		for (size_t k = 0; r == 0 && k <= c->p->dirs.count; k++) {
			scoped_free char *path =
			        k == 0 ? xformat("%s%s", beside, name)
			               : xformat("%s/%s", c->p->dirs.items[k - 1], name);
			scoped_free char *full = inputs_path(c->in, path);
			struct view_file f = { 0 };
			r = view_look(c->in->v, full, &f, NULL, err);
			bool there = r == 0 && f.kind == VIEW_FILE;
			view_file_release(&f);
			if (!there)
				continue;
			r = view_look(c->in->v, full, &f, &c->in->shared, err);
			view_file_release(&f);
			break;
		}
	}
	return r;
}

static int check_own_file(struct compile *c, const char *path, const struct facts *facts,
                          bool scanned, bool assembler, struct error *err)
{
	if (facts->timestamp)
		return refuse(err, path, "uses __TIMESTAMP__");
	if (facts->dates && !c->has_epoch)
		return refuse(err, path,
		              "uses __DATE__ or __TIME__, and SOURCE_DATE_EPOCH is not set");
	if (facts->file_dates)
		return refuse(err, path, "compares the times of files");
	if (facts->asks_computed && !scanned)
		return refuse(err, path, "asks by __has_include for a computed name");
	if (facts->text_matters && !c->p->discover_text && !scanned)
		return refuse(err, path,
		              "uses __COUNTER__ or push_macro in a way that -M overlooks");
	if (facts->includes_binary && !assembler)
		return refuse(err, path, "includes files through the assembler");
	scoped_free char *full = inputs_path(c->in, path);
	scoped_free char *precompiled = xformat("%s.gch", full);
	struct view_file f = { 0 };
	int r = view_look(c->in->v, precompiled, &f, NULL, err);
	if (r == 0 && f.kind != VIEW_ABSENT)
		r = refuse(err, path, "has a precompiled form");
	view_file_release(&f);
	return r;
}

/* --- assembler ----------------------------------------------------------------------------------
 */

static int add_assembler_files(struct compile *c, const char *path, unsigned depth,
                               struct error *err);

static int add_assembler_file(struct compile *c, const char *name, unsigned depth,
                              struct error *err)
{
	for (size_t i = 0; i <= c->p->dirs.count; i++) {
		scoped_free char *path = i == 0 || name[0] == '/'
		                                 ? xstrdup(name)
		                                 : xformat("%s/%s", c->p->dirs.items[i - 1], name);
		int r = inputs_add(c->in, path, err);
		if (r == -ENOENT || r == -EISDIR)
			continue;
		return r < 0 ? r : add_assembler_files(c, path, depth + 1, err);
	}
	return 0; /* perhaps within an #if that is off; if not, the assembler will say so */
}

/* Files that .include and .incbin name in this file, and in those in turn. */
static int add_assembler_files(struct compile *c, const char *path, unsigned depth,
                               struct error *err)
{
	if (depth > ASSEMBLER_DEPTH_MAX)
		return refuse(err, path, "includes too deeply");
	scoped_free char *full = inputs_path(c->in, path);
	scoped_buf struct buf text = BUF_INIT;
	int r = view_read(c->in->v, full, SOURCE_BYTES_MAX, &text, err);
	if (r == -ENODATA)
		return 0; /* lazy: made by a compiler, which was refused what needs files */
	if (r < 0)
		return r;
	scoped_strv struct strv names = STRV_INIT;
	if (text.len && !scan_assembler(text.data, text.len, &names))
		return refuse(err, path,
		              "names files for the assembler that cannot be told from its text");
	for (size_t i = 0; r == 0 && i < names.count; i++)
		r = add_assembler_file(c, names.items[i], depth, err);
	return r;
}

/* --- headers ------------------------------------------------------------------------------------
 */

static int follow_header(struct compile *c, const char *path, bool is_source, bool scanned,
                         bool assembler, struct error *err)
{
	scoped_free char *full = inputs_path(c->in, path);
	struct view_file f = { 0 };
	struct facts facts = { 0 };
	int r = view_look(c->in->v, full, &f, is_source ? &c->in->single : &c->in->shared, err);
	if (r == 0 && f.kind != VIEW_FILE)
		r = refuse(err, path,
		           f.kind == VIEW_LAZY ? "is lazy itself" : "is no ordinary file");
	if (r == 0)
		r = view_input_file(c->in->v, &f, is_source ? &c->in->single : &c->in->shared, err);
	if (r == 0)
		r = facts_of(c, &f, &facts, err);
	bool own = r == 0 && mount_table_covers(view_mounts(c->in->v), f.real_path);
	if (own)
		r = check_own_file(c, path, &facts, scanned, assembler, err);
	if (own && r == 0 && !scanned)
		r = add_ways(c, path, &facts, err);
	if (r == 0 && !scanned)
		r = add_asked(c, path, &facts, err);
	if (r == 0 && assembler && facts.includes_binary)
		r = add_assembler_files(c, path, 0, err);
	facts_release(&facts);
	view_file_release(&f);
	return r;
}

int compile_choose_discovery(struct inputs *in, struct plan *p, struct error *err)
{
	struct compile c = { .in = in, .p = p };
	int r = 0;
	for (size_t i = 0; r == 0 && i < p->source_count; i++) {
		if (!p->sources[i].preprocessed_by_cpp)
			continue;
		scoped_free char *full = inputs_path(in, p->sources[i].path);
		struct view_file f = { 0 };
		struct facts facts = { 0 };
		r = view_look(in->v, full, &f, NULL, err);
		if (r == 0 && f.kind != VIEW_FILE)
			r = refuse(err, p->sources[i].path,
			           f.kind == VIEW_LAZY ? "is lazy itself" : "is not there");
		if (r == 0)
			r = facts_of(&c, &f, &facts, err);
		p->discover_text = p->discover_text || facts.text_matters;
		if (r == 0 && p->discover_text && p->macro_files)
			r = refuse(err, p->sources[i].path,
			           "needs -E, which says nothing of -imacros");
		facts_release(&facts);
		view_file_release(&f);
	}
	return r;
}

static int follow_source(struct compile *c, const struct plan_source *s,
                         const struct headers *headers, struct error *err)
{
	int r = 0;
	if (!s->preprocessed_by_cpp)
		return s->assembler ? add_assembler_files(c, s->path, 0, err) : 0;
	for (size_t i = 0; r == 0 && i < headers->read.count; i++)
		r = follow_header(c, headers->read.items[i], i == 0, headers->scanned, s->assembler,
		                  err);
	for (size_t i = 0; r == 0 && i < headers->asked.count; i++)
		r = add_if_file(c, "", headers->asked.items[i], err);
	return r;
}

int compile_follow(struct inputs *in, const struct toolchain *t, const struct plan *p,
                   const struct headers *headers, struct error *err)
{
	struct compile c = { .in = in, .t = t, .p = p };
	c.has_epoch = env_get(t->env, "SOURCE_DATE_EPOCH") != NULL;
	int r = 0;
	for (size_t i = 0; r == 0 && i < p->source_count; i++) {
		r = follow_source(&c, &p->sources[i], headers, err);
		headers += p->sources[i].preprocessed_by_cpp;
	}
	strv_release(&c.include_dirs);
	return r;
}
