#include "engine/thunk.h"

#include <string.h>

#include "common/escape.h"
#include "objstore/memo.h"

void thunk_release(struct thunk *t)
{
	free(t->program);
	strv_release(&t->args);
	free(t->cwd);
	strv_release(&t->env);
	manifest_release(&t->inputs);
	free(t->sets);
	for (size_t i = 0; i < t->output_count; i++)
		free(t->outputs[i].path);
	free(t->outputs);
	*t = THUNK_INIT;
}

void thunk_add_set(struct thunk *t, const struct digest *d, uint64_t size_bytes)
{
	array_grow(t->sets, t->set_count, t->set_capacity);
	t->sets[t->set_count++] = (struct sized_digest){ .digest = *d, .size_bytes = size_bytes };
}

void thunk_add_output(struct thunk *t, enum output_kind kind, const char *path)
{
	array_grow(t->outputs, t->output_count, t->output_capacity);
	t->outputs[t->output_count++] =
	        (struct thunk_output){ .kind = kind, .path = xstrdup(path) };
}

const struct thunk_output *thunk_output(const struct thunk *t, const char *path)
{
	/* A linear search: it is used before outputs are sorted, too, and there are few of them. */
	for (size_t i = 0; i < t->output_count; i++)
		if (strcmp(t->outputs[i].path, path) == 0)
			return &t->outputs[i];
	return NULL;
}

void thunk_copy(struct thunk *to, const struct thunk *from)
{
	to->program = from->program ? xstrdup(from->program) : NULL;
	strv_copy(&to->args, &from->args);
	to->cwd = from->cwd ? xstrdup(from->cwd) : NULL;
	strv_copy(&to->env, &from->env);
	for (size_t i = 0; i < from->inputs.count; i++)
		manifest_add_entry(&to->inputs, &from->inputs.entries[i]);
	for (size_t i = 0; i < from->set_count; i++)
		thunk_add_set(to, &from->sets[i].digest, from->sets[i].size_bytes);
	to->has_toolchain = from->has_toolchain;
	to->toolchain = from->toolchain;
	for (size_t i = 0; i < from->output_count; i++)
		thunk_add_output(to, from->outputs[i].kind, from->outputs[i].path);
	to->timeout_s = from->timeout_s;
	to->memory_mib = from->memory_mib;
	to->yields = from->yields;
}

int thunk_substitute(struct thunk *t, const struct digest *name, const struct memo *memo,
                     struct error *err)
{
	for (size_t i = 0; i < t->inputs.count; i++) {
		struct manifest_entry *entry = &t->inputs.entries[i];
		if (entry->kind != ENTRY_FILE || entry->ref.kind != REF_THUNK ||
		    !digest_equal(&entry->ref.digest, name))
			continue;
		const struct ref *answer = memo_output(memo, entry->ref.output);
		if (!answer || answer->kind == REF_THUNK || entry->ref.selection)
			return error_set(err, -EINVAL, "%s cannot be had from %s alone",
			                 entry->path, digest_hex(name).text);
		ref_replace(&entry->ref, answer);
	}
	return 0;
}

static int finish_command(const struct thunk *t, struct error *err)
{
	if (!t->program || !path_is_normal(t->program))
		return error_set(err, -EINVAL, "the program \"%s\" is not a normal relative path",
		                 t->program ? t->program : "");
	if (t->args.count == 0)
		return error_set(err, -EINVAL, "a thunk needs at least one argument, argv[0]");
	if (t->cwd && !path_is_normal(t->cwd))
		return error_set(err, -EINVAL,
		                 "the working directory \"%s\" is not a normal relative path",
		                 t->cwd);
	if (t->timeout_s < 1 || t->timeout_s > THUNK_TIMEOUT_MAX_S)
		return error_set(err, -EINVAL, "the timeout of %u s is not within 1 to %d",
		                 t->timeout_s, THUNK_TIMEOUT_MAX_S);
	return 0;
}

static int finish_env(struct thunk *t, struct error *err)
{
	size_t last_len = 0;
	strv_sort(&t->env);
	for (size_t i = 0; i < t->env.count; i++) {
		const char *fact = t->env.items[i];
		const char *equals = strchr(fact, '=');
		if (!equals || equals == fact)
			return error_set(err, -EINVAL, "the environment's \"%s\" is not NAME=VALUE",
			                 fact);
		size_t len = (size_t)(equals - fact) + 1;
		if (len == last_len && memcmp(t->env.items[i - 1], fact, len) == 0)
			return error_set(err, -EINVAL, "the environment has \"%.*s\" twice",
			                 (int)len - 1, fact);
		last_len = len;
	}
	return 0;
}

static int compare_sets(const void *a, const void *b)
{
	const struct sized_digest *x = a, *y = b;
	return memcmp(x->digest.bytes, y->digest.bytes, DIGEST_SIZE);
}

static int finish_sets(struct thunk *t, struct error *err)
{
	size_t kept = 0;
	if (t->set_count > 1)
		qsort(t->sets, t->set_count, sizeof(*t->sets), compare_sets);
	for (size_t i = 0; i < t->set_count; i++) {
		struct sized_digest *last = kept ? &t->sets[kept - 1] : NULL;
		if (!last || !digest_equal(&last->digest, &t->sets[i].digest))
			t->sets[kept++] = t->sets[i];
		else if (last->size_bytes != t->sets[i].size_bytes)
			return error_set(err, -EINVAL, "the input set %s is given with two sizes",
			                 digest_hex(&last->digest).text);
	}
	t->set_count = kept;
	return 0;
}

static int compare_outputs(const void *a, const void *b)
{
	const struct thunk_output *x = a, *y = b;
	return strcmp(x->path, y->path);
}

/* An output may not lie beneath another one, nor beneath an input that is a file. */
static int check_parents(const struct thunk *t, const char *path, struct error *err)
{
	scoped_free char *parent = xstrdup(path);
	for (char *slash; (slash = strrchr(parent, '/'));) {
		*slash = '\0';
		struct thunk_output key = { .path = parent };
		if (bsearch(&key, t->outputs, t->output_count, sizeof(key), compare_outputs))
			return error_set(err, -EINVAL, "the output %s lies beneath the output %s",
			                 path, parent);
		const struct manifest_entry *entry = manifest_find(&t->inputs, parent);
		if (entry && entry->kind == ENTRY_FILE && entry->ref.kind == REF_BLOB)
			return error_set(err, -EINVAL,
			                 "the output %s lies beneath the input file %s", path,
			                 parent);
	}
	return 0;
}

static int finish_outputs(struct thunk *t, struct error *err)
{
	if (t->output_count == 0)
		return error_set(err, -EINVAL, "a thunk needs at least one output");
	if (t->output_count > THUNK_OUTPUTS_MAX)
		return error_set(err, -EFBIG, "%zu outputs are more than the %d allowed",
		                 t->output_count, THUNK_OUTPUTS_MAX);
	qsort(t->outputs, t->output_count, sizeof(*t->outputs), compare_outputs);
	for (size_t i = 0; i < t->output_count; i++) {
		const char *path = t->outputs[i].path;
		if (!path_is_normal(path))
			return error_set(err, -EINVAL,
			                 "the output \"%s\" is not a normal relative path", path);
		if (i > 0 && strcmp(t->outputs[i - 1].path, path) == 0)
			return error_set(err, -EINVAL, "the output %s is there twice", path);
		int r = check_parents(t, path, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int thunk_finish(struct thunk *t, struct error *err)
{
	int r = finish_command(t, err);
	if (r < 0)
		return r;
	r = finish_env(t, err);
	if (r < 0)
		return r;
	r = manifest_finish(&t->inputs, err);
	if (r < 0)
		return r;
	r = finish_sets(t, err);
	if (r < 0)
		return r;
	return finish_outputs(t, err);
}

void thunk_digest(const struct thunk *t, struct digest *out)
{
	scoped_buf struct buf text = BUF_INIT;
	thunk_encode(t, &text);
	digest_of(out, text.data, text.len);
}
