#include "engine/model/scanner.h"

#include <string.h>

#include "common/io.h"
#include "engine/model/compile.h"
#include "engine/model/gcc_options.h"
#include "engine/model/memory.h"
#include "engine/model/scanner_cache.h"
#include "engine/model/scanner_expr.h"
#include "engine/model/scanner_options.h"
#include "engine/model/scanner_search.h"

/* A file that is being walked. */
struct frame {
	struct search_file *file;
	const struct frame *includer; /* NULL for the source itself */
	bool system;
	unsigned depth;
};

struct scanner {
	const struct toolchain *t;
	const struct plan_source *source;
	struct scanner_options *options;
	struct predefined *predefined;
	struct lexed *given; /* -D and -U */
	struct macros macros;
	struct search search;
	struct questions questions;
	struct headers *out;
	const struct frame *frame; /* the one walked just now */
	bool seen_once;
	size_t entered;
	struct error *err;
	int failed; /* what err says */
};

static int doubt(struct scanner *s, const char *path, const char *why)
{
	if (!s->failed)
		s->failed = error_set(s->err, -ENODATA, "%s: %s", path, why);
	return s->failed;
}

/* Takes over what the parts found doubtful. */
static int check(struct scanner *s)
{
	const char *path = s->frame ? s->frame->file->path : s->source->path;
	if (s->macros.doubt)
		return doubt(s, path, s->macros.doubt);
	if (s->search.doubt)
		return doubt(s, path, s->search.doubt);
	return s->failed;
}

/* --- files -------------------------------------------------------------------------------------
 */

/* The text is at hand: what else will be asked of it is found as well. */
static void note_facts(struct scanner *s, const struct search_file *f, const struct buf *text)
{
	struct memory *memory = view_memory(s->t->v);
	struct facts facts = { 0 };
	if (!memory_facts_get(memory, &f->blob.digest, &facts)) {
		scan_text(text->data, text->len, &facts);
		memory_facts_put(memory, &f->blob.digest, &facts);
	}
	facts_release(&facts);
}

static int load(struct scanner *s, struct search_file *f)
{
	if (f->lexed)
		return 0;
	if (f->look.kind == VIEW_LAZY)
		return doubt(s, f->path, "is lazy itself");
	struct scanner_cache *cache = memory_scanner(view_memory(s->t->v));
	s->failed = view_blob(s->t->v, &f->look, &f->blob, s->err);
	if (s->failed)
		return s->failed;
	f->lexed = scanner_cache_file(cache, &f->blob.digest, s->macros.mode);
	if (!f->lexed) {
		scoped_buf struct buf text = BUF_INIT;
		s->failed = store_get_bytes(view_store(s->t->v), &f->blob.digest, SOURCE_BYTES_MAX,
		                            &text, s->err);
		if (s->failed)
			return s->failed;
		buf_reserve(&text, 0);
		note_facts(s, f, &text);
		f->lexed = lex_file(text.data, text.len, s->macros.mode);
		scanner_cache_put_file(cache, &f->blob.digest, s->macros.mode, f->lexed);
	}
	return f->lexed->doubt ? doubt(s, f->path, f->lexed->doubt) : 0;
}

/* Whether a file that is read once was this one, by another name. */
static bool was_there_once(const struct scanner *s, const struct search_file *file)
{
	for (const struct search_file *f = s->search.files; f; f = f->all)
		if (f != file && f->once && f->lexed &&
		    f->look.st.st_mtime == file->look.st.st_mtime &&
		    digest_equal(&f->blob.digest, &file->blob.digest))
			return true;
	return false;
}

static int walk(struct scanner *s, struct frame *frame);

/* As libcpp's _cpp_stack_file. */
static int enter(struct scanner *s, struct search_file *file, const struct frame *includer)
{
	if (!file->read) {
		file->read = true;
		strv_add(&s->out->read, file->asked_path ? file->asked_path : file->path);
	}
	if (file->once)
		return 0;
	if (load(s, file))
		return s->failed;
	if (s->seen_once && was_there_once(s, file))
		return 0;
	struct frame frame = { .file = file, .includer = includer };
	frame.system = (includer && includer->system) || file->dir->system;
	frame.depth = includer ? includer->depth + 1 : 0;
	if (frame.depth > SCANNER_DEPTH_MAX || ++s->entered > SCANNER_ENTERED_MAX)
		return doubt(s, file->path, "includes too much");
	bool listed = s->source->has_depfile && !(s->source->depfile.user_only && frame.system);
	if (listed && !file->stacked)
		strv_add(&s->out->listed, file->path);
	file->stacked++;
	const struct frame *before = s->frame;
	s->frame = &frame;
	walk(s, &frame);
	s->frame = before;
	return s->failed;
}

/* --- includes ----------------------------------------------------------------------------------
 */

/* Where the search for a header begins; NULL when there is nowhere. */
static const struct search_dir *start_of(struct scanner *s, const char *name, bool bracket,
                                         bool next)
{
	const struct frame *frame = s->frame;
	if (name[0] == '/')
		return &s->search.no_path;
	if (next && frame->includer && frame->file->dir != &s->search.no_path)
		return frame->file->dir->next;
	if (bracket)
		return s->search.bracket;
	return search_beside(&s->search, frame->file->path, frame->system);
}

static struct search_file *find(struct scanner *s, const struct token *t, bool next)
{
	bool bracket = t->kind == TOKEN_HEADER;
	scoped_free char *name =
	        bracket ? xstrndup(t->text, t->len) : xstrndup(t->text + 1, t->len - 2);
	const struct search_dir *start = start_of(s, name, bracket, next);
	struct search_file *f = NULL;
	if (!*name || !start) {
		doubt(s, s->frame->file->path, "an include of nothing, or from nowhere");
		return NULL;
	}
	int r = search_find(&s->search, name, start, &f, s->err);
	if (r < 0)
		s->failed = r;
	return check(s) ? NULL : f;
}

static bool has_include(void *arg, const struct token *name, bool next)
{
	struct scanner *s = arg;
	struct search_file *f = find(s, name, next);
	if (!f) {
		s->macros.doubt = "a question for a header";
		return false;
	}
	if (f->path && !f->asked) {
		f->asked = true;
		strv_add(&s->out->asked, f->asked_path ? f->asked_path : f->path);
	}
	return f->path != NULL;
}

static uint64_t has_feature(void *arg, const struct token *question, const char *of)
{
	struct scanner *s = arg;
	uint64_t value = 0;
	scoped_free char *name = xstrndup(question->text, question->len);
	if (predefined_feature(s->t, s->predefined, name, of, &value, s->err) < 0)
		s->macros.doubt = "a question for a feature";
	return value;
}

static int include(struct scanner *s, const struct directive *d)
{
	struct token t;
	struct search_file *f = NULL;
	macros_begin(&s->macros, d->tokens, d->count);
	/* a name that is written out is no macro's business */
	if (d->count && (d->tokens->kind == TOKEN_HEADER || d->tokens->kind == TOKEN_STRING))
		t = *d->tokens;
	else
		macros_next(&s->macros, &t);
	header_name(&s->macros, &t);
	bool spaced =
	        t.kind == TOKEN_STRING && t.text != d->tokens->text && memchr(t.text, ' ', t.len);
	if (!s->macros.doubt && spaced)
		s->macros.doubt = "a computed include with spaces";
	if (!check(s))
		f = find(s, &t, d->kind == DIRECTIVE_INCLUDE_NEXT);
	macros_end(&s->macros);
	if (!f)
		return s->failed;
	if (!f->path)
		return doubt(s, s->frame->file->path, "includes what is not there");
	return enter(s, f, s->frame);
}

/* --- directives --------------------------------------------------------------------------------
 */

static bool one_name(struct scanner *s, const struct directive *d)
{
	if (d->count && d->tokens->kind == TOKEN_NAME)
		return true;
	s->macros.doubt = "a directive without its name";
	return false;
}

/* Whether the group behind a directive is taken. */
static bool is_taken(struct scanner *s, const struct directive *d)
{
	switch (d->kind) {
	case DIRECTIVE_IFDEF:
		return one_name(s, d) && macros_defined(&s->macros, d->tokens);
	case DIRECTIVE_IFNDEF:
		return one_name(s, d) && !macros_defined(&s->macros, d->tokens);
	case DIRECTIVE_ELIFDEF:
		s->macros.doubt = "#elifdef";
		return false;
	case DIRECTIVE_ELSE:
		return true;
	default:
		return condition(&s->macros, &s->questions, d);
	}
}

/* From an #if to the group that is taken, or to the end: the next directive to look at. */
static uint32_t choose(struct scanner *s, const struct lexed *l, uint32_t at)
{
	while (l->directives[at].kind != DIRECTIVE_ENDIF) {
		if (is_taken(s, &l->directives[at]) || s->macros.doubt)
			break;
		at = l->directives[at].next;
	}
	return at + 1;
}

/* From the end of a group that was taken to behind the #endif. */
static uint32_t leave(struct scanner *s, const struct lexed *l, uint32_t at)
{
	while (l->directives[at].kind != DIRECTIVE_ENDIF) {
		if (l->directives[at].kind == DIRECTIVE_ELIFDEF)
			s->macros.doubt = "#elifdef";
		at = l->directives[at].next;
	}
	return at + 1;
}

static void carry_out(struct scanner *s, struct frame *frame, const struct directive *d)
{
	bool fine = true;
	switch (d->kind) {
	case DIRECTIVE_DEFINE:
		fine = macros_define(&s->macros, d->macro);
		break;
	case DIRECTIVE_UNDEF:
		fine = one_name(s, d) && macros_undefine(&s->macros, d->tokens);
		break;
	case DIRECTIVE_INCLUDE:
	case DIRECTIVE_INCLUDE_NEXT:
		include(s, d);
		break;
	case DIRECTIVE_ONCE:
		frame->file->once = s->seen_once = true;
		break;
	case DIRECTIVE_SYSTEM_HEADER:
		frame->system = frame->system || frame->includer;
		break;
	case DIRECTIVE_PUSH_MACRO:
		fine = macros_push(&s->macros, d->tokens);
		break;
	case DIRECTIVE_POP_MACRO:
		fine = macros_pop(&s->macros, d->tokens);
		break;
	default:
		s->macros.doubt = d->doubt;
		break;
	}
	if (!fine && !s->macros.doubt)
		s->macros.doubt = "a macro of the preprocessor's own";
}

static int walk(struct scanner *s, struct frame *frame)
{
	const struct lexed *l = frame->file->lexed;
	for (uint32_t at = 0; at < l->directive_count && !check(s);) {
		const struct directive *d = &l->directives[at];
		switch (d->kind) {
		case DIRECTIVE_IF:
		case DIRECTIVE_IFDEF:
		case DIRECTIVE_IFNDEF:
			at = choose(s, l, at);
			break;
		case DIRECTIVE_ELIF:
		case DIRECTIVE_ELIFDEF:
		case DIRECTIVE_ELSE:
			at = leave(s, l, at);
			break;
		case DIRECTIVE_ENDIF:
			at++;
			break;
		default:
			carry_out(s, frame, d);
			at++;
			break;
		}
	}
	return check(s);
}

/* --- a source ----------------------------------------------------------------------------------
 */

static void add_all(struct search *s, struct search_dir **chain, const struct strv *names,
                    bool system)
{
	for (size_t i = 0; i < names->count; i++)
		search_add(s, chain, names->items[i], system);
}

static int make_chains(struct scanner *s)
{
	struct search_dir *quote = NULL, *bracket = NULL, *system = NULL;
	const struct scanner_options *o = s->options;
	add_all(&s->search, &quote, &o->quote, false);
	add_all(&s->search, &bracket, &o->bracket, false);
	add_all(&s->search, &system, &o->system, true);
	add_all(&s->search, &system, &s->predefined->dirs, true);
	add_all(&s->search, &system, &o->after_all, true);
	s->search.canonical = !o->no_canonical;
	s->failed = search_chains(&s->search, quote, bracket, system, s->err);
	for (size_t i = 0; !s->failed && i < s->predefined->absent.count; i++) {
		struct view_file f = { 0 };
		s->failed = view_look(s->t->v, s->predefined->absent.items[i], &f, NULL, s->err);
		if (!s->failed && f.kind != VIEW_ABSENT)
			doubt(s, s->predefined->absent.items[i], "has come to be");
		view_file_release(&f);
	}
	return s->failed;
}

static int define_all(struct scanner *s, const struct lexed *l)
{
	for (uint32_t i = 0; i < l->directive_count && !check(s); i++) {
		const struct directive *d = &l->directives[i];
		if (d->kind == DIRECTIVE_DEFINE || d->kind == DIRECTIVE_UNDEF)
			carry_out(s, NULL, d);
		else
			doubt(s, s->source->path, "an option that is no macro");
	}
	return check(s);
}

static int define_first(struct scanner *s)
{
	for (size_t i = 0; i < s->predefined->builtins.count; i++) {
		const char *text = s->predefined->builtins.items[i];
		struct token name = { .kind = TOKEN_NAME,
			              .text = text,
			              .len = (uint32_t)strlen(text) };
		name.id = lex_hash(text, name.len);
		macros_add_builtin(&s->macros, &name, predefined_builtin(text));
	}
	if (define_all(s, s->predefined->macros))
		return s->failed;
	const struct buf *b = &s->options->macros;
	s->given = lex_file(b->data ? b->data : "", b->len, s->macros.mode);
	if (s->given->doubt)
		return doubt(s, s->source->path, "an option that is no macro");
	return define_all(s, s->given);
}

static int include_given(struct scanner *s, const struct strv *names, const struct search_dir *from,
                         bool optional)
{
	for (size_t i = 0; i < names->count && !s->failed; i++) {
		const char *name = names->items[i];
		const struct search_dir *start = name[0] == '/' ? &s->search.no_path : from;
		struct search_file *f = NULL;
		int r = start ? search_find(&s->search, name, start, &f, s->err) : 0;
		if (r < 0)
			s->failed = r;
		if (check(s))
			break;
		if (f && f->path)
			enter(s, f, s->frame);
		else if (!optional)
			doubt(s, name, "is not there");
	}
	return s->failed;
}

/* stdc-predef.h, which the compiler reads first of all. */
static int include_first(struct scanner *s)
{
	scoped_strv struct strv names = STRV_INIT;
	strv_add(&names, "stdc-predef.h");
	if (s->options->no_standard || !s->predefined->hosted)
		return 0;
	if (s->predefined->preincludes)
		return include_given(s, &names, s->search.bracket, true);
	/* whether the compiler has none, or looks for one in vain, it did not tell */
	struct search_file *f = NULL;
	if (s->search.bracket)
		s->failed = search_find(&s->search, names.items[0], s->search.bracket, &f, s->err);
	return !s->failed && f && f->path ? doubt(s, f->path, "might be read first") : s->failed;
}

static int scan_source(struct scanner *s)
{
	struct search_file *main_file = NULL;
	int r = search_find(&s->search, s->source->path, &s->search.no_path, &main_file, s->err);
	if (r < 0)
		return r;
	if (!main_file || !main_file->path)
		return doubt(s, s->source->path, "is not there");
	main_file->read = true;
	strv_add(&s->out->read, main_file->path);
	if (load(s, main_file))
		return s->failed;
	if (s->source->has_depfile)
		strv_add(&s->out->listed, main_file->path);
	main_file->stacked++;
	struct frame frame = { .file = main_file };
	s->frame = &frame;
	const struct search_dir *here = search_here(&s->search);
	include_given(s, &s->options->macro_files, here, false);
	if (!s->failed)
		include_first(s);
	if (!s->failed)
		include_given(s, &s->options->includes, here, false);
	if (!s->failed)
		walk(s, &frame);
	s->frame = NULL;
	return s->failed;
}

static int scan_one(const struct toolchain *t, const struct inputs *in, const struct plan *p,
                    const struct plan_source *source, struct headers *out, struct error *err)
{
	static const char *const languages[] = { [LANGUAGE_C] = "c",
		                                 [LANGUAGE_CXX] = "c++",
		                                 [LANGUAGE_ASM_CPP] = "assembler-with-cpp" };
	struct scanner_options options = { 0 };
	struct scanner s = {
		.t = t, .source = source, .options = &options, .out = out, .err = err
	};
	bool cxx = source->language == LANGUAGE_CXX;
	s.questions = (struct questions){ &s, has_include, has_feature };
	int r = scanner_options_read(&p->discover, t->env, cxx, &options, err);
	if (r == 0)
		r = predefined_get(t, languages[source->language], &options.flags, &s.predefined,
		                   err);
	if (r == 0) {
		s.macros.mode = s.predefined->mode;
		search_begin(&s.search, t->v, in->cwd);
		r = make_chains(&s);
		if (r == 0)
			r = define_first(&s);
		if (r == 0)
			r = scan_source(&s);
		search_release(&s.search);
	}
	macros_release(&s.macros);
	lexed_unref(s.given);
	predefined_unref(s.predefined);
	scanner_options_release(&options);
	return r;
}

int scanner_scan(const struct toolchain *t, const struct inputs *in, const struct plan *p,
                 struct headers *out, struct error *err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < p->source_count; i++) {
		if (!p->sources[i].preprocessed_by_cpp)
			continue;
		out->scanned = true;
		r = scan_one(t, in, p, &p->sources[i], out++, err);
	}
	return r;
}
