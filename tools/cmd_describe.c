#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/json.h"
#include "tools/session.h"
#include "tools/thunk_source.h"

struct describe_options {
	const char *store;
	bool json;
	bool raw;
};

static void print_entry(const struct manifest_entry *e)
{
	if (e->kind == ENTRY_LINK) {
		printf("  link  %s -> %s\n", e->path, e->target);
		return;
	}
	if (e->kind == ENTRY_DIR) {
		printf("  dir   %s\n", e->path);
		return;
	}
	printf("  %04o  %s  ", (unsigned)e->mode, e->path);
	if (e->ref.kind != REF_THUNK)
		printf("%.12s (%" PRIu64 " bytes)\n", digest_hex(&e->ref.digest).text,
		       e->ref.size_bytes);
	else
		printf("output %s%s%s of thunk %.12s\n", e->ref.output,
		       e->ref.selection ? ", file " : "", e->ref.selection ? e->ref.selection : "",
		       digest_hex(&e->ref.digest).text);
}

static void print_set(struct client *c, const char *what, const struct sized_digest *set)
{
	scoped_manifest struct manifest m = MANIFEST_INIT;
	struct error err = ERROR_INIT;
	printf("%s %s:\n", what, digest_hex(&set->digest).text);
	if (fetch_manifest(c, &set->digest, &m, &err) < 0)
		printf("  (%s)\n", error_text(&err));
	for (size_t i = 0; i < m.count; i++)
		print_entry(&m.entries[i]);
}

static void print_thunk(struct client *c, const struct digest *d, const struct thunk *t)
{
	scoped_buf struct buf command = BUF_INIT;
	command_add(&command, t);
	printf("thunk    %s\nprogram  /%s\ncommand  %s\nin       /%s\n", digest_hex(d).text,
	       t->program, command.data ? command.data : "", t->cwd ? t->cwd : "");
	for (size_t i = 0; i < t->env.count; i++)
		printf("env      %s\n", t->env.items[i]);
	for (size_t i = 0; i < t->output_count; i++)
		printf("output   %s%s\n", t->outputs[i].path,
		       t->outputs[i].kind == OUTPUT_TREE ? " (a directory)" : "");
	printf("timeout  %u s\n", t->timeout_s);
	if (t->memory_mib)
		printf("memory   %u MiB\n", t->memory_mib);
	if (t->yields)
		puts("yields   its outputs may be further thunks");
	puts("inputs:");
	for (size_t i = 0; i < t->inputs.count; i++)
		print_entry(&t->inputs.entries[i]);
	for (size_t i = 0; i < t->set_count; i++)
		print_set(c, "input set", &t->sets[i]);
	if (t->has_toolchain)
		print_set(c, "toolchain", &t->toolchain);
}

static json_t *entry_json(const struct manifest_entry *e)
{
	json_t *o = json_object();
	json_object_set_new(o, "path", json_text(e->path));
	if (e->kind == ENTRY_LINK)
		json_object_set_new(o, "target", json_text(e->target));
	if (e->kind == ENTRY_FILE) {
		scoped_free char *mode = xformat("%04o", (unsigned)e->mode);
		json_object_set_new(o, "mode", json_string(mode));
		json_object_set_new(o, "ref", json_ref(&e->ref));
	}
	return o;
}

static void add_entries(json_t *list, const struct manifest *m)
{
	for (size_t i = 0; i < m->count; i++)
		json_array_append_new(list, entry_json(&m->entries[i]));
}

static json_t *set_json(struct client *c, const struct sized_digest *set)
{
	scoped_manifest struct manifest m = MANIFEST_INIT;
	json_t *o = json_object();
	json_t *entries = json_array();
	json_object_set_new(o, "digest", json_digest(&set->digest));
	if (fetch_manifest(c, &set->digest, &m, NULL) == 0)
		add_entries(entries, &m);
	json_object_set_new(o, "entries", entries);
	return o;
}

static json_t *thunk_json(struct client *c, const struct digest *d, const struct thunk *t)
{
	json_t *o = json_object(), *outputs = json_array(), *inputs = json_array();
	json_t *sets = json_array();
	json_object_set_new(o, "thunk", json_digest(d));
	json_object_set_new(o, "program", json_text(t->program));
	json_object_set_new(o, "args", json_list(&t->args));
	json_object_set_new(o, "cwd", json_text(t->cwd ? t->cwd : ""));
	json_object_set_new(o, "env", json_list(&t->env));
	for (size_t i = 0; i < t->output_count; i++) {
		json_t *output = json_object();
		bool tree = t->outputs[i].kind == OUTPUT_TREE;
		json_object_set_new(output, "path", json_text(t->outputs[i].path));
		json_object_set_new(output, "kind", json_string(tree ? "tree" : "file"));
		json_array_append_new(outputs, output);
	}
	json_object_set_new(o, "outputs", outputs);
	add_entries(inputs, &t->inputs);
	json_object_set_new(o, "inputs", inputs);
	for (size_t i = 0; i < t->set_count; i++)
		json_array_append_new(sets, set_json(c, &t->sets[i]));
	json_object_set_new(o, "input_sets", sets);
	if (t->has_toolchain)
		json_object_set_new(o, "toolchain", set_json(c, &t->toolchain));
	json_object_set_new(o, "timeout", json_integer(t->timeout_s));
	json_object_set_new(o, "memory", t->memory_mib ? json_integer(t->memory_mib) : json_null());
	json_object_set_new(o, "yields", json_boolean(t->yields));
	return o;
}

static int print_raw(struct client *c, const struct digest *d, struct error *err)
{
	scoped_buf struct buf text = BUF_INIT;
	int r = fetch_bytes(c, d, THUNK_BYTES_MAX, &text, err);
	if (r == 0 && text.len)
		fwrite(text.data, 1, text.len, stdout);
	return r;
}

static int describe_plain(const struct target *t, json_t *all)
{
	if (all) {
		json_t *o = json_object();
		json_object_set_new(o, "path", json_text(t->path));
		json_object_set_new(o, "ref", t->lazy ? json_ref(&t->ref) : json_null());
		json_array_append_new(all, o);
	} else if (!t->lazy) {
		printf("%s: %s\n", t->path, t->trouble ? t->trouble : "an ordinary file");
	} else {
		printf("%s: %s %s (%" PRIu64 " bytes)\n", t->path,
		       t->ref.kind == REF_TREE ? "tree" : "blob", digest_hex(&t->ref.digest).text,
		       t->ref.size_bytes);
	}
	return 0;
}

static int describe(const struct describe_options *o, struct client *c, const struct target *t,
                    json_t *all, struct error *err)
{
	if (!t->lazy || t->ref.kind != REF_THUNK)
		return describe_plain(t, all);
	if (o->raw)
		return print_raw(c, &t->ref.digest, err);
	scoped_thunk struct thunk thunk = THUNK_INIT;
	int r = fetch_thunk(c, &t->ref.digest, &thunk, err);
	if (r < 0)
		return r;
	if (all) {
		json_array_append_new(all, thunk_json(c, &t->ref.digest, &thunk));
		return 0;
	}
	if (t->path)
		printf("file     %s: output %s\n", t->path, t->ref.output);
	print_thunk(c, &t->ref.digest, &thunk);
	return 0;
}

static int run(const void *options, int argc, char **argv)
{
	const struct describe_options *o = options;
	struct error err = ERROR_INIT;
	scoped_targets struct target_list list = TARGET_LIST_INIT;
	scoped_client struct client *c = NULL;
	int r = targets_open(o->store, argc, argv, &list, &c, &err);
	json_t *all = o->json ? json_array() : NULL;
	for (size_t i = 0; r == 0 && i < list.count; i++) {
		if (i && !all && !o->raw)
			putchar('\n');
		r = describe(o, c, &list.items[i], all, &err);
	}
	if (all)
		json_print(all);
	return r < 0 ? cmd_fail(&err) : EXIT_OK;
}

static const struct verb_option options[] = {
	OPTION_STORE(describe_options),
	{ "raw", 'r', OPTION_SWITCH, NULL, offsetof(struct describe_options, raw),
	  "print the thunk's canonical text, whose digest is its name" },
	OPTION_JSON(describe_options),
	{ 0 },
};

const struct verb verb_describe = {
	.name = "describe",
	.synopsis = "[OPTION]... THUNK|FILE...",
	.summary = "show what a thunk is",
	.description = "Shows each thunk, or the one that each lazy FILE is an output of: the "
	               "command, its\n"
	               "directory and environment, its outputs, and all its inputs with their "
	               "digests or the thunks\n"
	               "that will make them. Makes nothing.",
	.options = options,
	.options_size = sizeof(struct describe_options),
	.min_operands = 1,
	.max_operands = -1,
	.run = run,
};
