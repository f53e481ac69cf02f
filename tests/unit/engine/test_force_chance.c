/*
 * Forces, cancels, deadlines, failures and cycles in an order left to chance: whatever comes, each
 * caller that stays is answered once, what succeeds is right, and nothing is left over.
 * GGFS_TEST_SEED=N runs that one seed.
 */
#include "engine/force_impl.h"
#include "force_fixture.h"

#include <stdio.h>
#include <string.h>

enum { LEVELS = 6, WIDTH = 12, THUNKS = LEVELS * WIDTH, CALLERS = 60, SEEDS = 40 };

struct graph {
	struct ref refs[THUNKS];
	char *expected[THUNKS]; /* NULL: it fails, or hangs together with the hook */
};

static uint32_t chance_state;

static uint32_t chance(uint32_t below)
{
	chance_state = chance_state * 1664525 + 1013904223;
	return (chance_state >> 8) % below;
}

/* Adds the thunk to a set of its own, together with a plain file. */
static void needs_in_a_set(struct fixture *x, struct thunk *t, const struct ref *ref)
{
	struct error err = ERROR_INIT;
	scoped_manifest struct manifest m = MANIFEST_INIT;
	scoped_buf struct buf text = BUF_INIT;
	struct digest set;
	manifest_add_file(&m, "set/a", 0644, ref);
	assert_ok(manifest_finish(&m, &err));
	manifest_encode(&m, &text);
	assert_ok(store_put_bytes(x->store, text.data, text.len, &set, &err));
	thunk_add_set(t, &set, text.len);
}

static void make_join(struct fixture *x, struct graph *g, size_t i, const char *name)
{
	struct thunk t;
	scoped_buf struct buf expected = BUF_INIT;
	size_t level = i / WIDTH, inputs = level ? chance(4) : 0;
	bool known = true;
	thunk_begin(&t, chance(15) == 0 ? "fail" : "join", name);
	if (strcmp(t.args.items[0], "fail") == 0)
		known = false;
	buf_add_format(&expected, "%s(", name);
	for (size_t k = 0; k < inputs; k++) {
		size_t from = (level - 1) * WIDTH + chance(WIDTH);
		scoped_free char *path = xformat("in/%zu", k);
		/* Sets come last in the fake engine's reading. */
		if (k + 1 == inputs && chance(2))
			needs_in_a_set(x, &t, &g->refs[from]);
		else
			thunk_needs(&t, path, &g->refs[from]);
		known = known && g->expected[from];
		buf_add_format(&expected, "%s%s", k ? "," : "", known ? g->expected[from] : "");
	}
	buf_add_char(&expected, ')');
	g->refs[i] = thunk_end(x, &t);
	g->expected[i] = known ? buf_steal(&expected, NULL) : NULL;
}

static void make_yield(struct fixture *x, struct graph *g, size_t i, const char *name)
{
	struct thunk t;
	size_t to = chance((uint32_t)(i / WIDTH * WIDTH));
	thunk_begin(&t, "yield", name);
	strv_add(&t.args, digest_hex(&g->refs[to].digest).text);
	strv_add(&t.args, g->refs[to].output);
	t.yields = true;
	g->refs[i] = thunk_end(x, &t);
	g->expected[i] = g->expected[to] ? xstrdup(g->expected[to]) : NULL;
}

static void make_graph(struct fixture *x, struct graph *g)
{
	for (size_t i = 0; i < THUNKS; i++) {
		scoped_free char *name = xformat("t%zu", i);
		uint32_t kind = chance(12);
		if (i >= WIDTH && kind < 2) {
			make_yield(x, g, i, name);
		} else if (i >= WIDTH && kind == 2) {
			g->refs[i] = simple_thunk(x, "hook", name);
			g->expected[i] = NULL;
		} else {
			make_join(x, g, i, name);
		}
	}
	/* Answers of hooks may lead anywhere, also up again. */
	ref_copy(&x->fake.hook, &g->refs[chance(THUNKS)]);
}

static bool is_answered(void *arg)
{
	return ((struct result *)arg)->answered;
}

/* What is kept up to date at each step is what counting gives. */
static void check_counts(struct fixture *x)
{
	struct force_counts counts;
	forcer_counts(x->forcer, &counts);
	assert_int_equal(counts.queued, forcer_count_queued(x->forcer));
}

struct soon {
	struct fixture *fixture;
	int turns;
};

static bool is_soon(void *arg)
{
	struct soon *soon = arg;
	check_counts(soon->fixture);
	return soon->turns-- <= 0;
}

static void check_result(struct fixture *x, struct graph *g, size_t which, struct result *r)
{
	static const int codes[] = { 0, -EREMOTEIO, -ECANCELED, -ELOOP, -ETIMEDOUT };
	bool known = false;
	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		known = known || r->code == codes[i];
	if (!known)
		fail_msg("%d: %s", r->code, r->reason);
	if (r->code == 0 && g->expected[which])
		assert_bytes(x, &r->ref, g->expected[which]);
	if (g->expected[which]) /* nothing wrong with it: only a caller could stop it */
		assert_true(r->code == 0 || r->code == -ECANCELED || r->code == -ETIMEDOUT);
}

/* Something that callers and people do while work is under way. */
static void interfere(struct fixture *x, struct graph *g, struct result *results)
{
	struct result *r = &results[chance(CALLERS)];
	struct soon soon = { x, (int)chance(4) };
	switch (chance(12)) {
	case 0:
		forcer_cancel_thunk(x->forcer, &g->refs[chance(THUNKS)].digest);
		break;
	case 1:
		if (chance(6) == 0)
			forcer_cancel_all(x->forcer);
		break;
	case 2:
	case 3:
		if (r->force) {
			force_cancel(r->force);
			r->force = NULL;
			r->answered = true;
			r->code = -ECANCELED;
		}
		break;
	case 4:
		x->fake.hold = !x->fake.hold;
		break;
	case 5:
		fake_release(&x->fake);
		break;
	default:
		run_until(x, is_soon, &soon);
	}
	check_counts(x);
}

static void play(struct fixture *x)
{
	struct graph g;
	struct result results[CALLERS] = { 0 };
	size_t which[CALLERS];
	make_graph(x, &g);
	x->fake.jobs = 1 + chance(6);
	x->fake.runs_next = chance(2);
	for (size_t i = 0; i < CALLERS; i++) {
		which[i] = chance(THUNKS);
		struct force_request request = {
			.ref = g.refs[which[i]],
			.priority = chance(2) ? PRIORITY_READER : PRIORITY_BATCH,
			.keep_going = chance(3) == 0,
			.deadline_ms = chance(8) == 0 ? 1 + chance(3) : 0,
		};
		start_request(x, &request, &results[i]);
		for (uint32_t n = chance(4); n > 0; n--)
			interfere(x, &g, results);
	}
	x->fake.hold = false;
	fake_release(&x->fake);
	for (size_t i = 0; i < CALLERS; i++) {
		run_until(x, is_answered, &results[i]);
		check_result(x, &g, which[i], &results[i]);
		result_release(&results[i]);
	}
	check_counts(x);
	run_until_idle(x);
	assert_int_equal(forcer_count_queued(x->forcer), 0);
	for (size_t i = 0; i < THUNKS; i++) {
		ref_release(&g.refs[i]);
		free(g.expected[i]);
	}
}

static void whatever_happens_everyone_is_answered_once_and_rightly(void **state)
{
	const char *only = getenv("GGFS_TEST_SEED");
	unsigned first = only ? (unsigned)atoi(only) : 1;
	unsigned last = only ? first : SEEDS;
	(void)state;
	for (unsigned seed = first; seed <= last; seed++) {
		void *fixture;
		printf("# seed %u\n", seed);
		fflush(stdout);
		chance_state = seed * 2654435761u;
		fixture_setup(&fixture);
		play(fixture);
		fixture_teardown(&fixture);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_happens_everyone_is_answered_once_and_rightly),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
