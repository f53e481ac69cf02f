#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/io.h"
#include "engine/placeholder.h"
#include "tools/cmd.h"
#include "tools/session.h"
#include "tools/thunk_build.h"

enum { LINE_BYTES_MAX = 1 << 20 };

struct thunk_options {
	const char *store, *cwd;
	struct strv inputs, thunks, tools, outputs, trees, env;
	unsigned timeout, memory;
	bool yields, placeholders, from_stdin;
};

static void words_from_options(const struct thunk_options *o, int argc, char **argv,
                               struct thunk_words *w)
{
	for (int i = 0; i < argc; i++)
		strv_add(&w->command, argv[i]);
	strv_copy(&w->inputs, &o->inputs);
	strv_copy(&w->thunks, &o->thunks);
	strv_copy(&w->tools, &o->tools);
	strv_copy(&w->outputs, &o->outputs);
	strv_copy(&w->trees, &o->trees);
	strv_copy(&w->env, &o->env);
	w->cwd = o->cwd ? xstrdup(o->cwd) : NULL;
	w->timeout_s = o->timeout;
	w->memory_mib = o->memory;
	w->yields = o->yields;
}

/* Outputs of a function are found in the working directory, as if it had run there. */
static int write_placeholders(const struct thunk *t, const struct digest *d, struct error *err)
{
	mode_t mask = umask(0);
	umask(mask);
	for (size_t i = 0; i < t->output_count; i++) {
		struct ref ref = { .kind = REF_THUNK, .digest = *d, .output = t->outputs[i].path };
		char text[PLACEHOLDER_SIZE];
		int r = placeholder_encode(&ref, text, err);
		const char *slash = strrchr(t->outputs[i].path, '/');
		scoped_free char *dir =
		        slash ? xstrndup(ref.output, (size_t)(slash - ref.output)) : NULL;
		if (r == 0 && dir)
			r = make_dirs_at(AT_FDCWD, dir, 0777, err);
		if (r == 0)
			r = replace_file_at(AT_FDCWD, ref.output, text, sizeof(text), 0777 & ~mask,
			                    err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int make_one(struct thunk_builder *b, const struct thunk_words *w, bool placeholders,
                    struct error *err)
{
	scoped_thunk struct thunk t = THUNK_INIT;
	struct digest d;
	int r = thunk_build(b, w, &t, &d, err);
	if (r == 0 && placeholders)
		r = write_placeholders(&t, &d, err);
	if (r == 0)
		puts(digest_hex(&d).text);
	return r;
}

static int make_from_line(struct thunk_builder *b, const char *line, size_t len, bool placeholders,
                          struct error *err)
{
	json_error_t why;
	json_t *o = json_loadb(line, len, JSON_REJECT_DUPLICATES, &why);
	if (!o)
		return error_set(err, -EINVAL, "no JSON: %s", why.text);
	struct thunk_words w = { 0 };
	int r = thunk_words_from_json(o, &w, err);
	if (r == 0)
		r = make_one(b, &w, placeholders, err);
	thunk_words_release(&w);
	json_decref(o);
	return r;
}

/* One line of output for each line of input, so that answers can be counted off: a digest, or
 * nothing where a line was refused, with the reason on standard error. */
static int make_many(struct thunk_builder *b, bool placeholders)
{
	scoped_free char *line = NULL;
	size_t capacity = 0, number = 0, refused = 0;
	ssize_t len;
	while ((len = getline(&line, &capacity, stdin)) > 0) {
		struct error err = ERROR_INIT;
		number++;
		int r = len > LINE_BYTES_MAX
		                ? error_set(&err, -EFBIG, "longer than %d bytes", LINE_BYTES_MAX)
		                : make_from_line(b, line, (size_t)len, placeholders, &err);
		if (r < 0) {
			refused++;
			puts("");
			cmd_fail_text("line %zu: %s", number, error_text(&err));
		}
		fflush(stdout);
	}
	if (ferror(stdin))
		return cmd_fail_text("cannot read standard input");
	return refused ? EXIT_FAILED : EXIT_OK;
}

static int run(const void *options, int argc, char **argv)
{
	const struct thunk_options *o = options;
	if (o->from_stdin ? argc > 0 : argc == 0)
		return cmd_usage(
		        o->from_stdin ? "ggfs thunk --stdin takes no command: each line has its own"
		                      : "usage: ggfs thunk [OPTION]... [--] PROGRAM [ARGUMENT]...");
	struct error err = ERROR_INIT;
	scoped_client struct client *c = NULL;
	if (session_open(o->store, &c, &err) < 0)
		return cmd_fail(&err);
	struct thunk_builder *b = thunk_builder_new(c);
	int code = EXIT_OK;
	if (o->from_stdin) {
		code = make_many(b, o->placeholders);
	} else {
		struct thunk_words w = { 0 };
		words_from_options(o, argc, argv, &w);
		if (make_one(b, &w, o->placeholders, &err) < 0)
			code = cmd_fail(&err);
		thunk_words_release(&w);
	}
	thunk_builder_free(b);
	return code;
}

#define OPTION(name, letter, kind, value, member, help)                                            \
	{                                                                                          \
		name, letter, kind, value, offsetof(struct thunk_options, member), help            \
	}

static const struct verb_option options[] = {
	OPTION_STORE(thunk_options),
	OPTION("input", 'i', OPTION_LIST, "[PATH=]FILE", inputs,
	       "the function sees FILE, at PATH in its world; a lazy file is an input as it is"),
	OPTION("thunk-input", 0, OPTION_LIST, "PATH=DIGEST:OUTPUT", thunks,
	       "the function sees the output OUTPUT of another thunk at PATH"),
	OPTION("tool", 't', OPTION_LIST, "PROGRAM", tools,
	       "the function may run PROGRAM: it, its interpreter and its libraries are inputs"),
	OPTION("output", 'o', OPTION_LIST, "PATH", outputs, "the function makes the file PATH"),
	OPTION("output-dir", 0, OPTION_LIST, "PATH", trees,
	       "the function makes the directory PATH"),
	OPTION("env", 'e', OPTION_LIST, "NAME=VALUE", env, "its whole environment, one by one"),
	OPTION("cwd", 'C', OPTION_TEXT, "PATH", cwd,
	       "its working directory; else the root of its world"),
	OPTION("timeout", 0, OPTION_NUMBER, "SECONDS", timeout,
	       "it is killed after so long (3600)"),
	OPTION("memory", 0, OPTION_NUMBER, "MIB", memory, "a hint of the memory it needs"),
	OPTION("yields", 'y', OPTION_SWITCH, NULL, yields, "its outputs may be further thunks"),
	OPTION("placeholders", 'p', OPTION_SWITCH, NULL, placeholders,
	       "write its outputs into the working directory, as lazy files"),
	OPTION("stdin", 0, OPTION_SWITCH, NULL, from_stdin,
	       "make many: one JSON object a line, one digest a line"),
	{ 0 },
};

const struct verb verb_thunk = {
	.name = "thunk",
	.synopsis = "[OPTION]... [--] PROGRAM [ARGUMENT]...",
	.summary = "make a thunk by hand",
	.description = "Records PROGRAM with its arguments as a function of its inputs, without "
	               "running it, and prints\n"
	               "the digest that names it; ggfs force DIGEST runs it. The function will see "
	               "a world that holds\n"
	               "its inputs at their paths, read-only, and nothing else. All paths in that "
	               "world are relative\n"
	               "to its root. PROGRAM is one of the inputs, or else is looked up on PATH, "
	               "and comes with its\n"
	               "interpreter and libraries.\n\n"
	               "  ggfs thunk --input in.txt --output out.txt --tool sort -- sh -c 'sort "
	               "in.txt >out.txt'\n\n"
	               "With --stdin each line is an object: \"command\" (a list), and, as they "
	               "are needed, \"inputs\",\n"
	               "\"thunks\", \"tools\", \"outputs\", \"trees\", \"env\" (lists of what the "
	               "options take), \"cwd\",\n"
	               "\"timeout\", \"memory\", \"yields\". A line that is refused is answered by "
	               "an empty line, with\n"
	               "the reason on standard error, and makes the exit code 1.",
	.options = options,
	.options_size = sizeof(struct thunk_options),
	.takes_command = true,
	.min_operands = 0,
	.max_operands = -1,
	.run = run,
};
