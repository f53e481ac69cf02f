#include <stdio.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/session.h"
#include "tools/thunk_source.h"

enum { GRAPH_NODES_MAX = 1000000 };

struct graph_options {
	const char *store;
};

/* Thunks in the order met; those from `next` on have not been looked into. */
struct graph {
	struct client *client;
	struct digest *nodes;
	size_t count, capacity, next;
	size_t *table; /* open addressing: index + 1, 0 is free */
	size_t table_size;
};

static size_t *slot_of(struct graph *g, const struct digest *d)
{
	size_t at;
	memcpy(&at, d->bytes, sizeof(at));
	for (at %= g->table_size; g->table[at]; at = (at + 1) % g->table_size)
		if (digest_equal(&g->nodes[g->table[at] - 1], d))
			break;
	return &g->table[at];
}

static void table_grow(struct graph *g)
{
	g->table_size = g->table_size ? 2 * g->table_size : 256;
	free(g->table);
	g->table = xcalloc(g->table_size, sizeof(*g->table));
	for (size_t i = 0; i < g->count; i++)
		*slot_of(g, &g->nodes[i]) = i + 1;
}

static int add_node(struct graph *g, const struct digest *d, struct error *err)
{
	if (2 * (g->count + 1) > g->table_size)
		table_grow(g);
	size_t *slot = slot_of(g, d);
	if (*slot)
		return 0;
	if (g->count == GRAPH_NODES_MAX)
		return error_set(err, -EFBIG, "more than %d thunks", GRAPH_NODES_MAX);
	array_grow(g->nodes, g->count, g->capacity);
	g->nodes[g->count] = *d;
	*slot = ++g->count;
	return 0;
}

static void print_quoted(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		if (*text == '\n')
			fputs("\\n", stdout);
		else
			putchar(*text);
	}
	putchar('"');
}

static int add_edges(struct graph *g, const struct digest *from, const struct manifest *m,
                     struct error *err)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct manifest_entry *e = &m->entries[i];
		if (e->kind != ENTRY_FILE || e->ref.kind != REF_THUNK)
			continue;
		printf("  \"%.16s\" -> \"%.16s\"", digest_hex(&e->ref.digest).text,
		       digest_hex(from).text);
		fputs(" [label=", stdout);
		print_quoted(e->path);
		puts("];");
		int r = add_node(g, &e->ref.digest, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_set_edges(struct graph *g, const struct digest *from, const struct digest *set,
                         struct error *err)
{
	scoped_manifest struct manifest m = MANIFEST_INIT;
	int r = fetch_manifest(g->client, set, &m, err);
	return r < 0 ? r : add_edges(g, from, &m, err);
}

/* What the thunk answered with, if that is again a thunk: a dashed edge. */
static int add_answers(struct graph *g, const struct digest *d, const struct memo *memo,
                       struct error *err)
{
	for (size_t i = 0; i < memo->count; i++) {
		const struct ref *ref = &memo->outputs[i].ref;
		if (ref->kind != REF_THUNK)
			continue;
		printf("  \"%.16s\" -> \"%.16s\" [style=dashed];\n", digest_hex(d).text,
		       digest_hex(&ref->digest).text);
		int r = add_node(g, &ref->digest, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static void print_node(const struct digest *d, const struct thunk *t, bool known)
{
	printf("  \"%.16s\" [label=", digest_hex(d).text);
	print_quoted(t->outputs[0].path);
	printf(", tooltip=");
	scoped_buf struct buf command = BUF_INIT;
	command_add(&command, t);
	print_quoted(command.data ? command.data : "");
	printf("%s];\n", known ? ", style=filled" : "");
}

static int expand(struct graph *g, struct error *err)
{
	struct digest d = g->nodes[g->next++];
	scoped_thunk struct thunk t = THUNK_INIT;
	int r = fetch_thunk(g->client, &d, &t, err);
	if (r == -ENOENT) {
		printf("  \"%.16s\" [label=\"not in the store\", color=red];\n",
		       digest_hex(&d).text);
		return 0;
	}
	if (r < 0)
		return r;
	scoped_memo struct memo memo = MEMO_INIT;
	bool known = client_memo(g->client, &d, &memo, NULL) == 0;
	print_node(&d, &t, known);
	if (known)
		r = add_answers(g, &d, &memo, err);
	if (r == 0)
		r = add_edges(g, &d, &t.inputs, err);
	for (size_t i = 0; r == 0 && i < t.set_count; i++)
		r = add_set_edges(g, &d, &t.sets[i].digest, err);
	return r;
}

static int print_graph(struct graph *g, struct error *err)
{
	int r = 0;
	puts("digraph ggfs {\n  rankdir=LR;\n  node [shape=box];");
	while (r == 0 && g->next < g->count)
		r = expand(g, err);
	puts("}");
	return r;
}

static int run(const void *options, int argc, char **argv)
{
	const struct graph_options *o = options;
	struct error err = ERROR_INIT;
	scoped_targets struct target_list list = TARGET_LIST_INIT;
	scoped_client struct client *c = NULL;
	int r = targets_open(o->store, argc, argv, &list, &c, &err);
	struct graph g = { .client = c };
	for (size_t i = 0; r == 0 && i < list.count; i++)
		if (list.items[i].lazy && list.items[i].ref.kind == REF_THUNK)
			r = add_node(&g, &list.items[i].ref.digest, &err);
	if (r == 0)
		r = print_graph(&g, &err);
	free(g.nodes);
	free(g.table);
	return r < 0 ? cmd_fail(&err) : EXIT_OK;
}

static const struct verb_option options[] = {
	OPTION_STORE(graph_options),
	{ 0 },
};

const struct verb verb_graph = {
	.name = "graph",
	.synopsis = "[OPTION]... TARGET...",
	.summary = "print what depends on what, for dot",
	.description = "Prints the graph of the thunks that each TARGET (a lazy file, a directory "
	               "of such, a\n"
	               "thunk's digest) needs, in the language of Graphviz: a box a thunk, named "
	               "after its first\n"
	               "output, filled when its result is known; an arrow from each input to what "
	               "needs it; a\n"
	               "dashed arrow to a thunk that another one answered with. Makes nothing.\n\n"
	               "  ggfs graph program | dot -Tsvg > graph.svg",
	.options = options,
	.options_size = sizeof(struct graph_options),
	.min_operands = 1,
	.max_operands = -1,
	.run = run,
};
