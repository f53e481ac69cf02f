/*
 * fib N: a function that answers with further thunks, as in gg (USENIX ATC'19).
 *
 * For N < 2 its output holds N. Otherwise the output is a placeholder: "this is the output of add,
 * applied to fib N-1 and fib N-2", three thunks that it yields and that nobody has run yet.
 * fib N-2 is wanted by fib N and by fib N-1, but it is one thunk with one digest, so it runs once:
 * fib 24 takes 25 runs of fib and 23 of add, where plain recursion would take 150,049 calls.
 *
 * Its thunk must have, as inputs, this program and one whose last component is "add", and
 * be allowed to yield; what else it has (libraries) its children get as well. By hand:
 *
 *     ggfs thunk --input fib=build/examples/fib/fib --input add=build/examples/fib/add \
 *                --output out --yields -- ./fib 24
 */
#include <stdio.h>
#include <string.h>

#include "engine/yield.h"

enum { FIB_MAX = 93 }; /* the last that fits in 64 bits */

static const struct manifest_entry *find_add(const struct thunk *self)
{
	for (size_t i = 0; i < self->inputs.count; i++) {
		const char *path = self->inputs.entries[i].path;
		const char *slash = strrchr(path, '/');
		if (strcmp(slash ? slash + 1 : path, "add") == 0)
			return &self->inputs.entries[i];
	}
	return NULL;
}

/* A path of the world as seen from the working directory. */
static char *from_cwd(const struct thunk *self, const char *path)
{
	scoped_buf struct buf text = BUF_INIT;
	for (const char *c = self->cwd; c; c = strchr(c, '/') ? strchr(c, '/') + 1 : NULL)
		buf_add_str(&text, "../");
	buf_add_str(&text, path);
	return buf_steal(&text, NULL);
}

/* A thunk with self's inputs (but the one at path without), environment, limits and output. */
static void derive(struct thunk *t, const struct thunk *self, const char *program,
                   const char *without)
{
	*t = THUNK_INIT;
	t->program = xstrdup(program);
	t->cwd = self->cwd ? xstrdup(self->cwd) : NULL;
	strv_copy(&t->env, &self->env);
	for (size_t i = 0; i < self->inputs.count; i++)
		if (!without || strcmp(self->inputs.entries[i].path, without) != 0)
			manifest_add_entry(&t->inputs, &self->inputs.entries[i]);
	for (size_t i = 0; i < self->set_count; i++)
		thunk_add_set(t, &self->sets[i].digest, self->sets[i].size_bytes);
	t->has_toolchain = self->has_toolchain;
	t->toolchain = self->toolchain;
	t->timeout_s = self->timeout_s;
	t->memory_mib = self->memory_mib;
	thunk_add_output(t, OUTPUT_FILE, self->outputs[0].path);
}

static int yield(struct thunk *t, struct ref *ref, struct error *err)
{
	*ref = (struct ref){ .kind = REF_THUNK, .output = xstrdup(t->outputs[0].path) };
	int r = thunk_finish(t, err);
	return r < 0 ? r : yield_thunk(t, &ref->digest, err);
}

static int yield_fib(const struct thunk *self, unsigned n, struct ref *ref, struct error *err)
{
	scoped_thunk struct thunk t = THUNK_INIT;
	derive(&t, self, self->program, NULL);
	strv_add(&t.args, self->args.items[0]);
	strv_add_format(&t.args, "%u", n);
	t.yields = true;
	return yield(&t, ref, err);
}

static int yield_add(const struct thunk *self, const struct ref *a, const struct ref *b,
                     struct ref *ref, struct error *err)
{
	const struct manifest_entry *add = find_add(self);
	if (!add)
		return error_set(err, -ENOENT, "fib needs the program add among its inputs");
	scoped_thunk struct thunk t = THUNK_INIT;
	scoped_free char *path_a = xformat("%s.a", self->outputs[0].path);
	scoped_free char *path_b = xformat("%s.b", self->outputs[0].path);
	derive(&t, self, add->path, self->program);
	manifest_add_file(&t.inputs, path_a, 0644, a);
	manifest_add_file(&t.inputs, path_b, 0644, b);
	strv_add(&t.args, "add");
	strv_add_take(&t.args, from_cwd(self, path_a));
	strv_add_take(&t.args, from_cwd(self, path_b));
	strv_add_take(&t.args, from_cwd(self, self->outputs[0].path));
	return yield(&t, ref, err);
}

static int answer_with_thunks(const struct thunk *self, unsigned n, const char *output,
                              struct error *err)
{
	scoped_ref struct ref a = REF_INIT, b = REF_INIT, sum = REF_INIT;
	int r = yield_fib(self, n - 1, &a, err);
	if (r == 0)
		r = yield_fib(self, n - 2, &b, err);
	if (r == 0)
		r = yield_add(self, &a, &b, &sum, err);
	return r < 0 ? r : yield_output(output, &sum, err);
}

static int answer_with_number(unsigned n, const char *output, struct error *err)
{
	scoped_file FILE *f = fopen(output, "w");
	if (!f || fprintf(f, "%u\n", n) < 0 || fflush(f) != 0)
		return error_errno(err, "cannot write %s", output);
	return 0;
}

int main(int argc, char **argv)
{
	struct error err = ERROR_INIT;
	scoped_thunk struct thunk self = THUNK_INIT;
	char *end = NULL;
	unsigned long n = argc == 2 ? strtoul(argv[1], &end, 10) : 0;
	if (argc != 2 || !*argv[1] || *end || n > FIB_MAX) {
		fprintf(stderr, "usage: fib N (0 to %d), run as a function of ggfs\n", FIB_MAX);
		return 2;
	}
	int r = yield_self(&self, &err);
	if (r == 0) {
		scoped_free char *output = from_cwd(&self, self.outputs[0].path);
		r = n < 2 ? answer_with_number((unsigned)n, output, &err)
		          : answer_with_thunks(&self, (unsigned)n, output, &err);
	}
	if (r < 0)
		fprintf(stderr, "fib: %s\n", error_text(&err));
	return r < 0;
}
