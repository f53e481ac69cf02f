#include "tools/thunk_build.h"

#include <limits.h>
#include <string.h>

#include "common/escape.h"

/* One file (or closure) that the service has put already. */
struct known {
	char *path; /* absolute */
	bool closure;
	struct manifest entries; /* unfinished */
	struct known *next;
};

struct thunk_builder {
	struct client *client;
	struct known *known;
	/* The last toolchain: most thunks of a run have the same. */
	struct buf toolchain_text;
	struct sized_digest toolchain;
};

void thunk_words_release(struct thunk_words *w)
{
	struct strv *lists[] = { &w->command, &w->inputs, &w->thunks, &w->tools,
		                 &w->outputs, &w->trees,  &w->env };
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		strv_release(lists[i]);
	free(w->cwd);
	*w = (struct thunk_words){ 0 };
}

static int read_strings(const json_t *o, const char *name, struct strv *out, struct error *err)
{
	json_t *list = json_object_get(o, name);
	if (!list)
		return 0;
	if (!json_is_array(list))
		return error_set(err, -EINVAL, "\"%s\" must be a list of strings", name);
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item)
	{
		if (!json_is_string(item))
			return error_set(err, -EINVAL, "\"%s\" must be a list of strings", name);
		strv_add(out, json_string_value(item));
	}
	return 0;
}

static int read_number(const json_t *o, const char *name, uint32_t *out, struct error *err)
{
	json_t *value = json_object_get(o, name);
	if (!value)
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < 1 ||
	    json_integer_value(value) > UINT32_MAX)
		return error_set(err, -EINVAL, "\"%s\" must be a number of at least 1", name);
	*out = (uint32_t)json_integer_value(value);
	return 0;
}

static int check_names(json_t *o, struct error *err)
{
	static const char *const names[] = { "command", "inputs", "thunks", "tools",
		                             "outputs", "trees",  "env",    "cwd",
		                             "timeout", "memory", "yields" };
	const char *key;
	json_t *value;
	json_object_foreach(o, key, value)
	{
		bool known = false;
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			known |= strcmp(key, names[i]) == 0;
		if (!known)
			return error_set(err, -EINVAL, "\"%s\" means nothing here", key);
	}
	return 0;
}

int thunk_words_from_json(const json_t *given, struct thunk_words *w, struct error *err)
{
	json_t *o = (json_t *)(uintptr_t)given;
	if (!json_is_object(o))
		return error_set(err, -EINVAL, "a thunk is a JSON object");
	const struct {
		const char *name;
		struct strv *list;
	} lists[] = { { "command", &w->command }, { "inputs", &w->inputs },
		      { "thunks", &w->thunks },   { "tools", &w->tools },
		      { "outputs", &w->outputs }, { "trees", &w->trees },
		      { "env", &w->env } };
	int r = check_names(o, err);
	for (size_t i = 0; r == 0 && i < sizeof(lists) / sizeof(lists[0]); i++)
		r = read_strings(o, lists[i].name, lists[i].list, err);
	if (r == 0)
		r = read_number(o, "timeout", &w->timeout_s, err);
	if (r == 0)
		r = read_number(o, "memory", &w->memory_mib, err);
	json_t *cwd = json_object_get(o, "cwd"), *yields = json_object_get(o, "yields");
	if (r == 0 && ((cwd && !json_is_string(cwd)) || (yields && !json_is_boolean(yields))))
		r = error_set(err, -EINVAL,
		              "\"cwd\" must be a string and \"yields\" true or false");
	if (r == 0) {
		w->cwd = cwd ? xstrdup(json_string_value(cwd)) : NULL;
		w->yields = json_is_true(yields);
	}
	return r;
}

struct thunk_builder *thunk_builder_new(struct client *c)
{
	struct thunk_builder *b = xcalloc(1, sizeof(*b));
	b->client = c;
	return b;
}

void thunk_builder_free(struct thunk_builder *b)
{
	if (!b)
		return;
	for (struct known *k = b->known, *next; k; k = next) {
		next = k->next;
		free(k->path);
		manifest_release(&k->entries);
		free(k);
	}
	buf_release(&b->toolchain_text);
	free(b);
}

/* A path of the world as a person may write it. */
static const char *world_path(const char *path)
{
	while (path[0] == '/' || (path[0] == '.' && path[1] == '/'))
		path += path[0] == '/' ? 1 : 2;
	return path;
}

static int world_path_checked(const char *path, const char **out, struct error *err)
{
	*out = world_path(path);
	if (!path_is_normal(*out))
		return error_set(
		        err, -EINVAL,
		        "%s: a path in a function's world has no \".\", \"..\" or empty part",
		        path);
	return 0;
}

static char *absolute(const char *file)
{
	if (file[0] == '/')
		return xstrdup(file);
	scoped_free char *here = getcwd(NULL, 0);
	return xformat("%s/%s", here ? here : "", file);
}

static int learn(struct thunk_builder *b, const char *file, bool closure,
                 const struct manifest **out, struct error *err)
{
	scoped_free char *path = absolute(file);
	for (struct known *k = b->known; k; k = k->next) {
		if (k->closure == closure && strcmp(k->path, path) == 0) {
			*out = &k->entries;
			return 0;
		}
	}
	scoped_manifest struct manifest entries = MANIFEST_INIT;
	int r = client_input(b->client, path, closure, &entries, err);
	if (r < 0)
		return error_prefix(err, r, "%s", file);
	struct known *k = xcalloc(1, sizeof(*k));
	*k = (struct known){
		.path = steal(&path), .closure = closure, .entries = entries, .next = b->known
	};
	entries = MANIFEST_INIT;
	b->known = k;
	*out = &k->entries;
	return 0;
}

static const struct manifest_entry *file_among(const struct manifest *m)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->entries[i].kind == ENTRY_FILE)
			return &m->entries[i];
	return NULL;
}

/* "PATH=FILE", or "FILE" for FILE at its own path. */
static int add_input(struct thunk_builder *b, const char *text, struct thunk *t, struct error *err)
{
	const char *equals = strchr(text, '=');
	scoped_free char *place = xstrndup(text, equals ? (size_t)(equals - text) : strlen(text));
	const char *path;
	int r = world_path_checked(place, &path, err);
	const struct manifest *m;
	if (r == 0)
		r = learn(b, equals ? equals + 1 : text, false, &m, err);
	const struct manifest_entry *file = r == 0 ? file_among(m) : NULL;
	if (file)
		manifest_add_file(&t->inputs, path, file->mode, &file->ref);
	return r;
}

/* "PATH=DIGEST:OUTPUT" */
static int add_thunk_input(const char *text, struct thunk *t, struct error *err)
{
	const char *equals = strchr(text, '='), *colon = equals ? strchr(equals, ':') : NULL;
	struct ref ref = { .kind = REF_THUNK };
	if (!colon || !digest_parse(equals + 1, (size_t)(colon - equals - 1), &ref.digest))
		return error_set(err, -EINVAL,
		                 "%s: an output of a thunk as input is PATH=DIGEST:OUTPUT", text);
	scoped_free char *place = xstrndup(text, (size_t)(equals - text));
	const char *path, *output = NULL;
	int r = world_path_checked(place, &path, err);
	if (r == 0)
		r = world_path_checked(colon + 1, &output, err);
	if (r < 0)
		return r;
	ref.output = (char *)(uintptr_t)output;
	manifest_add_file(&t->inputs, path, 0644, &ref);
	return 0;
}

/* The file on PATH (the caller's), or the path itself when it has a slash. */
static char *find_program(const char *name)
{
	if (strchr(name, '/'))
		return xstrdup(name);
	const char *path = getenv("PATH");
	scoped_free char *rest_owner = xstrdup(path ? path : "/usr/bin:/bin");
	char *rest = rest_owner, *dir;
	while ((dir = strsep(&rest, ":"))) {
		char *file = xformat("%s/%s", *dir ? dir : ".", name);
		if (access(file, X_OK) == 0)
			return file;
		free(file);
	}
	return NULL;
}

static void add_all(struct manifest *to, const struct manifest *from)
{
	for (size_t i = 0; i < from->count; i++)
		manifest_add_entry(to, &from->entries[i]);
}

static int add_closure(struct thunk_builder *b, const char *name, struct manifest *tools,
                       char **found, struct error *err)
{
	scoped_free char *file = find_program(name);
	if (!file)
		return error_set(err, -ENOENT, "no program %s on PATH", name);
	const struct manifest *closure;
	int r = learn(b, file, true, &closure, err);
	if (r < 0)
		return r;
	add_all(tools, closure);
	if (found)
		*found = absolute(file);
	return 0;
}

/* An input that is executed needs its interpreter and libraries as well; those of a file that is
 * still lazy cannot be known, and it must be self-contained. */
static int add_needs_of_input(struct thunk_builder *b, const struct thunk_words *w,
                              const char *program, struct manifest *tools, struct error *err)
{
	for (size_t i = 0; i < w->inputs.count; i++) {
		const char *text = w->inputs.items[i], *equals = strchr(text, '=');
		scoped_free char *place =
		        xstrndup(text, equals ? (size_t)(equals - text) : strlen(text));
		if (strcmp(world_path(place), program) != 0)
			continue;
		const struct manifest *own, *closure;
		int r = learn(b, equals ? equals + 1 : text, false, &own, err);
		const struct manifest_entry *file = r == 0 ? file_among(own) : NULL;
		if (!file || file->ref.kind != REF_BLOB)
			return r;
		r = learn(b, equals ? equals + 1 : text, true, &closure, err);
		for (size_t k = 0; r == 0 && k < closure->count; k++)
			if (strcmp(closure->entries[k].path, file->path) != 0)
				manifest_add_entry(tools, &closure->entries[k]);
		return r;
	}
	return 0;
}

static int set_program(struct thunk_builder *b, const struct thunk_words *w, struct thunk *t,
                       struct manifest *tools, struct error *err)
{
	const char *named = w->command.items[0];
	const char *path = world_path(named);
	for (size_t i = 0; i < t->inputs.count; i++) {
		if (strcmp(t->inputs.entries[i].path, path) != 0)
			continue;
		t->inputs.entries[i].mode = 0755;
		t->program = xstrdup(path);
		return add_needs_of_input(b, w, path, tools, err);
	}
	scoped_free char *found = NULL;
	int r = add_closure(b, named, tools, &found, err);
	if (r == 0)
		t->program = xstrdup(world_path(found));
	return r;
}

static int set_toolchain(struct thunk_builder *b, struct manifest *tools, struct thunk *t,
                         struct error *err)
{
	if (tools->count == 0)
		return 0;
	scoped_buf struct buf text = BUF_INIT;
	int r = manifest_finish(tools, err);
	if (r < 0)
		return r;
	manifest_encode(tools, &text);
	bool same = text.len == b->toolchain_text.len &&
	            memcmp(text.data, b->toolchain_text.data, text.len) == 0;
	if (!same) {
		r = client_put_bytes(b->client, text.data, text.len, &b->toolchain.digest, err);
		if (r < 0)
			return r;
		b->toolchain.size_bytes = text.len;
		buf_release(&b->toolchain_text);
		b->toolchain_text = text;
		text = BUF_INIT;
	}
	t->has_toolchain = true;
	t->toolchain = b->toolchain;
	return 0;
}

static int add_outputs(const struct strv *paths, enum output_kind kind, struct thunk *t,
                       struct error *err)
{
	for (size_t i = 0; i < paths->count; i++) {
		const char *path;
		int r = world_path_checked(paths->items[i], &path, err);
		if (r < 0)
			return r;
		thunk_add_output(t, kind, path);
	}
	return 0;
}

static int set_facts(const struct thunk_words *w, struct thunk *t, struct error *err)
{
	const char *cwd = NULL;
	int r = w->cwd && *world_path(w->cwd) ? world_path_checked(w->cwd, &cwd, err) : 0;
	if (r < 0)
		return r;
	t->cwd = cwd ? xstrdup(cwd) : NULL;
	strv_copy(&t->args, &w->command);
	strv_copy(&t->env, &w->env);
	if (w->timeout_s)
		t->timeout_s = w->timeout_s;
	t->memory_mib = w->memory_mib;
	t->yields = w->yields;
	r = add_outputs(&w->outputs, OUTPUT_FILE, t, err);
	return r == 0 ? add_outputs(&w->trees, OUTPUT_TREE, t, err) : r;
}

int thunk_build(struct thunk_builder *b, const struct thunk_words *w, struct thunk *t,
                struct digest *out, struct error *err)
{
	scoped_manifest struct manifest tools = MANIFEST_INIT;
	if (w->command.count == 0)
		return error_set(err, -EINVAL, "a thunk needs a command");
	int r = set_facts(w, t, err);
	for (size_t i = 0; r == 0 && i < w->inputs.count; i++)
		r = add_input(b, w->inputs.items[i], t, err);
	for (size_t i = 0; r == 0 && i < w->thunks.count; i++)
		r = add_thunk_input(w->thunks.items[i], t, err);
	if (r == 0)
		r = set_program(b, w, t, &tools, err);
	for (size_t i = 0; r == 0 && i < w->tools.count; i++)
		r = add_closure(b, w->tools.items[i], &tools, NULL, err);
	if (r == 0)
		r = set_toolchain(b, &tools, t, err);
	if (r == 0)
		r = thunk_finish(t, err);
	if (r < 0)
		return r;
	scoped_buf struct buf text = BUF_INIT;
	thunk_encode(t, &text);
	return client_put_bytes(b->client, text.data, text.len, out, err);
}
