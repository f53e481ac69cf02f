/*
 * Infer: from a request to an answer. Every doubt ends in "run it for real", with a reason.
 */
#include "engine/model/infer.h"

#include <fnmatch.h>
#include <string.h>

#include "common/escape.h"
#include "common/log.h"
#include "engine/model/ahead.h"
#include "engine/model/ask.h"
#include "engine/model/compile.h"
#include "engine/model/depfile.h"
#include "engine/model/discovery.h"
#include "engine/model/follow.h"
#include "engine/model/lto.h"
#include "engine/model/scanner.h"
#include "engine/placeholder.h"

/* What configure and its like compile and want an answer to at once. */
static const char *const eager_by_default[] = {
	"conftest*",
	"libconftest.*",
	"a.out",
	"ztest[0-9]*",
	"cmTC_*",
	"testfile*",
	"sanitycheck*",
	"*/CMakeFiles/CMakeScratch/*",
	"*/CMakeFiles/CMakeTmp/*",
	"*/CMakeFiles/[0-9]*/Compiler*",
	"*/meson-private/*",
	"*/.tmp_[0-9]*/*",
	/* a name that mktemp gave, without a template: a script's own test */
	"tmp.??????????",
	"tmp.??????????.*",
	/* linked again and again, each time without one more library, while that succeeds */
	"busybox_unstripped",
};

struct output {
	char *path; /* real, absolute */
	mode_t mode;
};

struct work {
	const struct infer_request *request;
	struct view *v;
	struct plan plan;
	struct inputs in;
	struct toolchain toolchain;
	struct headers *headers; /* one for each preprocessed source */
	size_t header_count;
	struct output *outputs;
	struct infer_answer *answer;
};

static void work_release(struct work *w)
{
	for (size_t i = 0; i < w->header_count; i++)
		headers_release(&w->headers[i]);
	free(w->headers);
	for (size_t i = 0; w->outputs && i < w->plan.output_count; i++)
		free(w->outputs[i].path);
	free(w->outputs);
	inputs_release(&w->in);
	model_plan_release(&w->plan);
	view_free(w->v);
}

static void add_answer_file(struct infer_answer *a, const char *path, mode_t mode, char *bytes,
                            size_t len)
{
	array_grow(a->files, a->file_count, a->file_capacity);
	a->files[a->file_count++] = (struct infer_file){ xstrdup(path), mode, bytes, len };
}

/* --- the files as a model sees them ------------------------------------------------------------
 */

static enum view_kind see_kind(void *arg, const char *path)
{
	struct work *w = arg;
	scoped_free char *full = inputs_path(&w->in, path);
	struct view_file f = { 0 };
	/* what cannot be looked at is left to the real tool */
	enum view_kind kind = view_look(w->v, full, &f, NULL, NULL) < 0 ? VIEW_OTHER : f.kind;
	view_file_release(&f);
	return kind;
}

static mode_t see_mode(void *arg, const char *path)
{
	struct work *w = arg;
	scoped_free char *full = inputs_path(&w->in, path);
	struct view_file f = { 0 };
	mode_t mode = 0;
	if (view_look(w->v, full, &f, NULL, NULL) == 0 && f.kind != VIEW_ABSENT)
		mode = f.st.st_mode & 0777;
	view_file_release(&f);
	return mode;
}

static int see_text(void *arg, const char *path, struct buf *b)
{
	struct work *w = arg;
	scoped_free char *full = inputs_path(&w->in, path);
	return view_read(w->v, full, PLAN_SMALL_FILE_MAX, b, NULL);
}

static struct files files_of(struct work *w)
{
	return (struct files){ w, see_kind, see_mode, see_text };
}

/* A program that is called gcc but is none (clang, ccache, tcc) has no model. */
static bool is_what_it_is_called(struct work *w, const char *base)
{
	struct view_file f = { 0 };
	const char *real_base = NULL;
	bool same = view_look(w->v, w->request->tool, &f, NULL, NULL) == 0 && f.kind == VIEW_FILE &&
	            model_find(path_base(f.real_path), &real_base) == model_find(base, NULL);
	view_file_release(&f);
	return same;
}

static void make_plan(struct work *w)
{
	const struct infer_request *q = w->request;
	const char *base = NULL;
	model_fn *model = q->argv.count ? model_find(path_base(q->tool), &base) : NULL;
	if (!model || !is_what_it_is_called(w, base)) {
		plan_real(&w->plan, "no model for %s", q->tool);
		return;
	}
	if (q->inside_tool) {
		plan_real(&w->plan, "called by a compiler driver");
		return;
	}
	struct files files = files_of(w);
	scoped_strv struct strv argv = STRV_INIT;
	if (response_expand(&q->argv, &files, &argv) < 0) {
		plan_real(&w->plan, "a response file that cannot be read");
		return;
	}
	struct call call = { &argv, &q->env, &files, q->tool };
	model(&call, &w->plan);
}

/* --- outputs ------------------------------------------------------------------------------------
 */

static bool is_eager(const struct infer_request *q, const char *path)
{
	for (size_t i = 0; i < sizeof(eager_by_default) / sizeof(eager_by_default[0]); i++)
		if (fnmatch(eager_by_default[i], path_base(path), 0) == 0 ||
		    fnmatch(eager_by_default[i], path, 0) == 0)
			return true;
	for (size_t i = 0; i < q->eager.count; i++)
		if (fnmatch(q->eager.items[i], path_base(path), 0) == 0 ||
		    fnmatch(q->eager.items[i], path, 0) == 0)
			return true;
	return false;
}

/* Where a file would be made: a real path. -ENODATA when there is no such directory. */
static int locate_output(struct work *w, const char *path, char **out, struct error *err)
{
	scoped_free char *full = inputs_path(&w->in, path);
	scoped_free char *dir = path_dir_prefix(full);
	const char *base = path_base(path);
	struct view_file f = { 0 };
	int r = view_look(w->v, dir, &f, &w->in.shared, err);
	bool usable =
	        r == 0 && f.kind == VIEW_DIR && *base && strcmp(base, ".") && strcmp(base, "..");
	if (usable)
		*out = xformat("%s/%s", strcmp(f.real_path, "/") ? f.real_path : "", base);
	view_file_release(&f);
	if (r == 0 && !usable)
		return error_set(err, -ENODATA, "%s: there is no such directory", path);
	return r;
}

static int check_output(struct work *w, size_t i, struct error *err)
{
	struct plan_output *o = &w->plan.outputs[i];
	int r = locate_output(w, o->path, &w->outputs[i].path, err);
	if (r < 0)
		return r;
	const char *path = w->outputs[i].path;
	struct stat st;
	r = view_lstat(w->v, path, &st);
	if (r == 0 && !S_ISREG(st.st_mode))
		return error_set(err, -ENODATA, "%s is no ordinary file", o->path);
	if (!mount_table_covers(view_mounts(w->v), path))
		return error_set(err, -ENODATA, "%s lies in no mounted directory", o->path);
	if (is_eager(w->request, path))
		return error_set(err, -ENODATA, "%s is asked for eagerly", o->path);
	for (size_t k = 0; k < i; k++)
		if (strcmp(w->outputs[k].path, path) == 0)
			return error_set(err, -ENODATA, "%s is made twice", o->path);
	w->outputs[i].mode = o->exact_mode ? o->mode : o->mode & ~w->request->umask;
	return 0;
}

static int check_outputs(struct work *w, struct error *err)
{
	const struct plan *p = &w->plan;
	if (p->output_count == 0 || p->output_count > PLAN_OUTPUTS_MAX)
		return error_set(err, -ENODATA, "%zu outputs", p->output_count);
	w->outputs = xcalloc(p->output_count, sizeof(*w->outputs));
	for (size_t i = 0; i < p->output_count; i++) {
		int r = check_output(w, i, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* --- inputs -------------------------------------------------------------------------------------
 */

static int add_reads(struct work *w, struct error *err)
{
	const struct plan *p = &w->plan;
	for (size_t i = 0; i < p->reads.count; i++) {
		int r = inputs_add_single(&w->in, p->reads.items[i], err);
		if (r < 0)
			return r;
		if (!p->archive_members)
			continue;
		scoped_free char *full = inputs_path(&w->in, p->reads.items[i]);
		struct view_file f = { 0 };
		r = view_look(w->v, full, &f, NULL, err);
		if (r == 0)
			r = archive_follow(&w->in, &f, err);
		view_file_release(&f);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < p->dirs.count; i++) {
		int r = inputs_add_dir(&w->in, p->dirs.items[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_inputs(struct work *w, struct error *err)
{
	/* the caller's directory may be reached by links, and its name is in debug information */
	struct view_file cwd = { 0 };
	int r = view_look(w->v, w->request->cwd, &cwd, &w->in.shared, err);
	view_file_release(&cwd);
	if (r == 0)
		r = add_reads(w, err);
	if (r == 0 && w->plan.source_count)
		r = compile_follow(&w->in, &w->toolchain, &w->plan, w->headers, err);
	if (r == 0 && w->plan.link)
		r = link_follow(&w->in, &w->toolchain, &w->plan, err);
	if (r == 0 && w->plan.link && (w->plan.tools & TOOLS_LINK) &&
	    lto_may_be_met(&w->in, &w->plan))
		w->plan.tools |= TOOLS_LTO;
	return r;
}

/* --- the thunk ----------------------------------------------------------------------------------
 */

/* The variables a modelled tool heeds. */
static bool is_heeded(const struct plan *p, const char *variable)
{
	static const char *const always[] = {
		"LANG=", "LANGUAGE=", "LC_", "SOURCE_DATE_EPOCH=", "GNUTARGET=", "POSIXLY_CORRECT="
	};
	static const char *const compiling[] = { "CPATH=", "C_INCLUDE_PATH=", "CPLUS_INCLUDE_PATH=",
		                                 "OBJC_INCLUDE_PATH=" };
	static const char *const linking[] = { "LIBRARY_PATH=", "LD_RUN_PATH=", "LDEMULATION=" };
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		if (after(variable, always[i]))
			return true;
	for (size_t i = 0; p->source_count && i < sizeof(compiling) / sizeof(compiling[0]); i++)
		if (after(variable, compiling[i]))
			return true;
	for (size_t i = 0; p->link && i < sizeof(linking) / sizeof(linking[0]); i++)
		if (after(variable, linking[i]))
			return true;
	return false;
}

static void add_environment(const struct work *w, struct thunk *t)
{
	const struct strv *env = &w->request->env;
	strv_add(&t->env, "PATH=" TOOL_PATH);
	strv_add_format(&t->env, "PWD=%s", w->request->cwd);
	for (size_t i = 0; i < env->count; i++) {
		scoped_free char *name = xstrndup(env->items[i], strcspn(env->items[i], "="));
		bool first = env_get(env, name) == env->items[i] + strlen(name) + 1;
		if (first && is_heeded(&w->plan, env->items[i]))
			strv_add(&t->env, env->items[i]);
	}
}

/* The driver finds its parts by argv[0]: a bare name is looked for in PATH, which in the
 * function's world is ours. */
static bool bare_name_is_found(const char *tool)
{
	scoped_free char *dir = path_dir_prefix(tool);
	size_t len = strlen(dir);
	if (len < 2)
		return false;
	dir[len - 1] = '\0';
	scoped_free char *list = xformat(":%s:", TOOL_PATH);
	scoped_free char *part = xformat(":%s:", dir);
	return strstr(list, part) != NULL;
}

static int add_args(const struct work *w, struct thunk *t, struct error *err)
{
	const struct plan *p = &w->plan;
	scoped_strv struct strv spelled = STRV_INIT;
	if (p->native) {
		int r = toolchain_spell_native(&w->toolchain, &p->args, &spelled, err);
		if (r < 0)
			return r;
	}
	const struct strv *args = p->native ? &spelled : &p->args;
	const char *name = args->items[0];
	bool as_given = strchr(name, '/') ? strcmp(name, w->request->tool) == 0
	                                  : bare_name_is_found(w->request->tool);
	strv_add(&t->args, as_given ? name : w->request->tool);
	for (size_t i = 1; i < args->count; i++)
		strv_add(&t->args, args->items[i]);
	return 0;
}

static int add_sets(struct work *w, struct thunk *t, struct error *err)
{
	int r = manifest_finish(&w->in.shared, err);
	if (r < 0)
		return r;
	if (w->in.shared.count) {
		scoped_buf struct buf text = BUF_INIT;
		struct digest d;
		manifest_encode(&w->in.shared, &text);
		r = store_put_bytes(view_store(w->v), text.data, text.len, &d, err);
		if (r < 0)
			return r;
		thunk_add_set(t, &d, text.len);
	}
	t->inputs = w->in.single;
	w->in.single = MANIFEST_INIT;
	t->has_toolchain = true;
	return toolchain_set(&w->toolchain, &w->plan, &t->toolchain, err);
}

static int make_thunk(struct work *w, struct digest *out, struct error *err)
{
	scoped_thunk struct thunk t = THUNK_INIT;
	struct view_file cwd = { 0 };
	int r = view_look(w->v, w->request->cwd, &cwd, NULL, err);
	if (r == 0 && cwd.kind != VIEW_DIR)
		r = error_set(err, -ENODATA, "the working directory is not to be seen");
	if (r == 0 && strcmp(cwd.real_path, "/") != 0)
		t.cwd = xstrdup(cwd.real_path + 1);
	view_file_release(&cwd);
	if (r < 0)
		return r;
	t.program = xstrdup(w->request->tool + 1);
	if (!path_is_normal(t.program))
		return error_set(err, -ENODATA, "%s is not a normal path", w->request->tool);
	add_environment(w, &t);
	for (size_t i = 0; i < w->plan.output_count; i++)
		thunk_add_output(&t, OUTPUT_FILE, w->outputs[i].path + 1);
	r = add_args(w, &t, err);
	if (r == 0)
		r = add_sets(w, &t, err);
	if (r == 0)
		r = thunk_finish(&t, err);
	return r < 0 ? r : thunk_save(view_store(w->v), &t, out, err);
}

/* --- answers ------------------------------------------------------------------------------------
 */

static int add_placeholder(struct work *w, size_t i, const struct ref *ref, struct error *err)
{
	scoped_free char *bytes = xmalloc(PLACEHOLDER_SIZE);
	int r = placeholder_encode(ref, bytes, err);
	if (r == 0)
		add_answer_file(w->answer, w->outputs[i].path, w->outputs[i].mode, steal(&bytes),
		                PLACEHOLDER_SIZE);
	return r;
}

static int add_depfiles(struct work *w, struct error *err)
{
	const struct headers *headers = w->headers;
	for (size_t i = 0; i < w->plan.source_count; i++) {
		const struct plan_source *s = &w->plan.sources[i];
		if (!s->preprocessed_by_cpp)
			continue;
		const struct headers *own = headers++;
		if (!s->has_depfile)
			continue;
		scoped_free char *path = NULL;
		int r = locate_output(w, s->depfile.path, &path, err);
		if (r < 0)
			return r;
		struct stat st;
		if (view_lstat(w->v, path, &st) == 0 && !S_ISREG(st.st_mode))
			return error_set(err, -ENODATA, "%s is no ordinary file", s->depfile.path);
		scoped_buf struct buf text = BUF_INIT;
		depfile_write(&s->depfile, &own->listed, &text);
		size_t len;
		char *bytes = buf_steal(&text, &len);
		add_answer_file(w->answer, path, 0666 & ~w->request->umask, bytes, len);
	}
	return 0;
}

static int answer_copies(struct work *w, struct error *err)
{
	for (size_t i = 0; i < w->plan.output_count; i++) {
		scoped_free char *full = inputs_path(&w->in, w->plan.reads.items[i]);
		struct view_file f = { 0 };
		int r = view_look(w->v, full, &f, NULL, err);
		if (r == 0 && f.kind != VIEW_LAZY)
			r = error_set(err, -ENODATA, "%s is not lazy any more", full);
		if (r == 0)
			r = add_placeholder(w, i, &f.ref, err);
		view_file_release(&f);
		if (r < 0)
			return r;
	}
	w->answer->kind = INFER_RECORDED;
	return 0;
}

static size_t count_preprocessed(const struct plan *p)
{
	size_t count = 0;
	for (size_t i = 0; i < p->source_count; i++)
		count += p->sources[i].preprocessed_by_cpp;
	return count;
}

static void new_headers(struct work *w, size_t count)
{
	for (size_t i = 0; i < w->header_count; i++)
		headers_release(&w->headers[i]);
	free(w->headers);
	w->headers = xcalloc(count, sizeof(*w->headers));
	w->header_count = count;
}

/* Headers without asking the compiler; or its command as the answer. $GGFS_DISCOVERY, the service's
 * own, is for tests: "compiler" does without the scanner, "scanner" without the compiler. */
static int discover(struct work *w, size_t count, struct error *err)
{
	const char *by = getenv("GGFS_DISCOVERY");
	struct error why = ERROR_INIT;
	int r = -ENODATA;
	if (!by || strcmp(by, "compiler") != 0) {
		new_headers(w, count);
		r = scanner_scan(&w->toolchain, &w->in, &w->plan, w->headers, &why);
		if (r < 0)
			log_debug("infer: not scanned: %s", error_text(&why));
	}
	if (r < 0 && by && strcmp(by, "scanner") == 0)
		return error_set(err, -ENODATA, "not scanned: %s", error_text(&why));
	if (r == 0)
		return 0;
	r = compile_choose_discovery(&w->in, &w->plan, err);
	if (r < 0)
		return r;
	discovery_command(&w->plan, w->request->tool, &w->answer->argv);
	w->answer->kind = INFER_DISCOVER;
	return 0;
}

static int read_discovery(struct work *w, size_t count, struct error *err)
{
	const struct infer_request *q = w->request;
	if (q->discovery_status != 0)
		return error_set(err, -ENODATA, "the compiler does not preprocess this");
	/* as when the command was given */
	int r = compile_choose_discovery(&w->in, &w->plan, err);
	if (r < 0)
		return r;
	new_headers(w, count);
	return discovery_read(&w->plan, q->discovery ? q->discovery : "", q->discovery_len,
	                      w->headers, w->header_count, err);
}

static int answer_thunk(struct work *w, struct error *err)
{
	struct infer_answer *a = w->answer;
	int r = add_inputs(w, err);
	if (r == 0 && view_passed_unmade(w->v))
		r = error_set(err, -ENODATA, "it searches a lazy directory that is not made yet");
	if (r == 0)
		r = add_depfiles(w, err);
	if (r == 0)
		r = make_thunk(w, &a->thunk, err);
	for (size_t i = 0; r == 0 && i < w->plan.output_count; i++) {
		struct ref ref = { .kind = REF_THUNK,
			           .digest = a->thunk,
			           .output = w->outputs[i].path + 1 };
		r = add_placeholder(w, i, &ref, err);
	}
	if (r < 0)
		return r;
	lto_note(w->v, &a->thunk, &w->plan);
	a->has_thunk = true;
	a->kind = INFER_RECORDED;
	return 0;
}

static int answer(struct work *w, struct error *err)
{
	make_plan(w);
	struct plan *p = &w->plan;
	if (p->real)
		return error_set(err, -ENODATA, "%s", p->reason);
	int r = check_outputs(w, err);
	if (r < 0)
		return r;
	if (p->copy)
		return answer_copies(w, err);
	bool deterministic = true;
	if (p->if_deterministic)
		r = toolchain_is_deterministic(&w->toolchain, &deterministic, err);
	if (r == 0 && !deterministic)
		r = error_set(err, -ENODATA, "%s writes times and owners", w->request->tool);
	if (r < 0)
		return r;
	size_t preprocessed = count_preprocessed(p);
	if (preprocessed)
		r = w->request->discovered ? read_discovery(w, preprocessed, err)
		                           : discover(w, preprocessed, err);
	if (r < 0 || w->answer->kind == INFER_DISCOVER)
		return r;
	return answer_thunk(w, err);
}

static void answer_real(struct work *w, const struct error *why)
{
	struct infer_answer *a = w->answer;
	infer_answer_release(a);
	*a = (struct infer_answer){ .kind = INFER_RUN_REAL, .reason = xstrdup(error_text(why)) };
	struct files files = files_of(w);
	scoped_strv struct strv argv = STRV_INIT;
	if (!w->request->inside_tool && response_expand(&w->request->argv, &files, &argv) == 0)
		ahead_list(&w->in, w->request->tool, &argv, &a->argv);
}

/* Reasons that are about the call, not about our own troubles. */
static bool is_ordinary(int code)
{
	return code == -ENODATA || code == -ENOENT || code == -EISDIR || code == -EINVAL ||
	       code == -EPROTO || code == -ENAMETOOLONG || code == -ESTALE || code == -EBADMSG ||
	       code == -ENOEXEC;
}

int infer_ask(struct mount_table *mounts, struct store *store, struct index *index,
              const struct infer_request *request, struct infer_answer *out, struct error *err)
{
	if (!request->cwd || request->cwd[0] != '/' || !request->tool || request->tool[0] != '/')
		return error_set(err, -EINVAL, "a request without an absolute directory and tool");
	struct infer_answer a = { .kind = INFER_RUN_REAL };
	struct work w = { .request = request, .answer = &a };
	w.v = view_new(mounts, store, index);
	w.in = (struct inputs){ .v = w.v, .cwd = request->cwd };
	w.toolchain = (struct toolchain){ w.v, request->tool, &request->env };
	struct error why = ERROR_INIT;
	int r = answer(&w, &why);
	if (r == 0)
		r = view_check(w.v, &why);
	if (r < 0) {
		if (!is_ordinary(r))
			log_warning("infer: %s: %s", request->tool, error_text(&why));
		answer_real(&w, &why);
	}
	work_release(&w);
	*out = a;
	return 0;
}
