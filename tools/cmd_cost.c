#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/json.h"
#include "tools/money.h"
#include "tools/session.h"
#include "tools/thunk_source.h"

enum { COST_ENGINES_MAX = 16 };

struct cost_options {
	const char *store;
	struct strv engines;
	bool json;
};

/* The log, summed by engine. */
struct engine_sum {
	char *name;
	uint64_t functions, failed, micros, nanodollars;
};

struct sums {
	struct engine_sum engines[COST_ENGINES_MAX];
	size_t count;
	int64_t since_ns;
};

static struct engine_sum *sum_of(struct sums *s, const char *name)
{
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->engines[i].name, name) == 0)
			return &s->engines[i];
	if (s->count == COST_ENGINES_MAX)
		return &s->engines[COST_ENGINES_MAX - 1];
	s->engines[s->count].name = xstrdup(name);
	return &s->engines[s->count++];
}

static int add_record(void *arg, const struct log_record *r)
{
	struct sums *s = arg;
	if (!s->since_ns)
		s->since_ns = r->when_ns;
	if (r->memoised || !r->engine || !*r->engine)
		return 0;
	struct engine_sum *sum = sum_of(s, r->engine);
	sum->functions++;
	sum->failed += r->code != 0;
	sum->micros += r->micros;
	sum->nanodollars += r->cost_nanodollars;
	return 0;
}

static void print_bill(const struct client_bill *b)
{
	const struct ledger_totals *t = &b->totals;
	if (!*b->prices_date)
		return;
	struct money_text spent = money_text(t->spent), flying = money_text(t->in_flight);
	printf("\nSince the service began, by the prices of %s: %s spent, %s in flight\n",
	       b->prices_date, spent.text, flying.text);
	printf("  %" PRIu64 " invocations (%" PRIu64 " failed, %" PRIu64 " doubled, %" PRIu64
	       " cold), %.1f s billed; %" PRIu64 " throttled, %" PRIu64 " tried again\n",
	       t->invocations, t->failed, t->duplicated, t->cold_starts, (double)t->billed_ms / 1e3,
	       t->throttled, t->retried);
	printf("  far store %s%s: %" PRIu64 " puts, %" PRIu64
	       " gets, %.1f MB there, %.1f MB back\n",
	       *b->far_url ? b->far_url : "(none)", b->far_paused ? " (away)" : "", t->far_puts,
	       t->far_gets, (double)t->far_sent_bytes / 1e6, (double)t->far_received_bytes / 1e6);
}

static json_t *bill_json(const struct client_bill *b)
{
	const struct ledger_totals *t = &b->totals;
	json_t *o = json_object();
	json_object_set_new(o, "prices", json_text(b->prices_date));
	json_object_set_new(o, "spent_usd", json_real((double)t->spent / 1e9));
	json_object_set_new(o, "in_flight_usd", json_real((double)t->in_flight / 1e9));
	json_object_set_new(o, "invocations", json_integer((json_int_t)t->invocations));
	json_object_set_new(o, "failed", json_integer((json_int_t)t->failed));
	json_object_set_new(o, "duplicated", json_integer((json_int_t)t->duplicated));
	json_object_set_new(o, "throttled", json_integer((json_int_t)t->throttled));
	json_object_set_new(o, "retried", json_integer((json_int_t)t->retried));
	json_object_set_new(o, "cold_starts", json_integer((json_int_t)t->cold_starts));
	json_object_set_new(o, "billed_ms", json_integer((json_int_t)t->billed_ms));
	json_object_set_new(o, "far_store", json_text(b->far_url));
	json_object_set_new(o, "far_puts", json_integer((json_int_t)t->far_puts));
	json_object_set_new(o, "far_gets", json_integer((json_int_t)t->far_gets));
	json_object_set_new(o, "far_sent_bytes", json_integer((json_int_t)t->far_sent_bytes));
	json_object_set_new(o, "far_received_bytes",
	                    json_integer((json_int_t)t->far_received_bytes));
	return o;
}

static void print_all(const struct sums *s, const struct client_bill *b)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct engine_sum *e = &s->engines[i];
		struct money_text cost = money_text(e->nanodollars);
		printf("%-8s %" PRIu64 " functions (%" PRIu64 " failed), %.1f s, %s\n", e->name,
		       e->functions, e->failed, (double)e->micros / 1e6, cost.text);
	}
	if (!s->count)
		puts("no function has run for this store");
	print_bill(b);
}

static void print_all_json(const struct sums *s, const struct client_bill *b)
{
	json_t *o = json_object(), *engines = json_object();
	for (size_t i = 0; i < s->count; i++) {
		const struct engine_sum *e = &s->engines[i];
		json_t *one = json_object();
		json_object_set_new(one, "functions", json_integer((json_int_t)e->functions));
		json_object_set_new(one, "failed", json_integer((json_int_t)e->failed));
		json_object_set_new(one, "seconds", json_real((double)e->micros / 1e6));
		json_object_set_new(one, "cost_usd", json_real((double)e->nanodollars / 1e9));
		json_object_set_new(engines, e->name, one);
	}
	json_object_set_new(o, "engines", engines);
	json_object_set_new(o, "service", bill_json(b));
	json_print(o);
}

/* Of the whole store. */
static int run_store(const struct cost_options *o)
{
	struct error err = ERROR_INIT;
	struct sums sums = { 0 };
	struct client_bill bill = { 0 };
	scoped_client struct client *c = NULL;
	int r = session_open(o->store, &c, &err);
	if (r == 0)
		r = client_log(c, INDEX_LOG_KEPT, add_record, &sums, &err);
	if (r == 0)
		r = client_bill(c, &bill, &err);
	if (r == 0 && o->json)
		print_all_json(&sums, &bill);
	else if (r == 0)
		print_all(&sums, &bill);
	for (size_t i = 0; i < sums.count; i++)
		free(sums.engines[i].name);
	client_bill_release(&bill);
	return r < 0 ? cmd_fail(&err) : EXIT_OK;
}

/* Of what the targets are made of. */
static int run_targets(const struct cost_options *o, int argc, char **argv)
{
	struct error err = ERROR_INIT;
	struct force_estimate e = { 0 };
	scoped_targets struct target_list list = TARGET_LIST_INIT;
	scoped_client struct client *c = NULL;
	int r = targets_open(o->store, argc, argv, &list, &c, &err);
	if (r == 0)
		r = targets_expand(c, &list, &err);
	if (r < 0)
		return cmd_fail(&err);
	size_t count;
	scoped_free struct ref *refs = target_refs(&list, &count);
	scoped_free char *engine = options_joined(&o->engines);
	if (client_estimate(c, refs, count, engine, true, &e, &err) < 0)
		return cmd_fail(&err);
	if (o->json) {
		json_print(json_estimate(&e));
		return EXIT_OK;
	}
	struct money_text spent = money_text(e.spent_nanodollars),
	                  ahead = money_text(e.nanodollars);
	printf("%" PRIu64 " functions have run: %.1f s, %s\n", e.known,
	       (double)e.spent_micros / 1e6, spent.text);
	if (e.to_run)
		printf("%" PRIu64 "%s have not: about %.1f s, about %s\n", e.to_run,
		       e.is_cut ? " or more" : "", (double)e.micros / 1e6, ahead.text);
	return EXIT_OK;
}

static int run(const void *options, int argc, char **argv)
{
	return argc ? run_targets(options, argc, argv) : run_store(options);
}

static const struct verb_option options[] = {
	OPTION_STORE(cost_options),
	{ "engine", 'e', OPTION_LIST, "ENGINE", offsetof(struct cost_options, engines),
	  "for what has not run yet: as if it ran there; else as ggfs config engine says" },
	OPTION_JSON(cost_options),
	{ 0 },
};

const struct verb verb_cost = {
	.name = "cost",
	.synopsis = "[OPTION]... [TARGET]...",
	.summary = "what making files has cost, or will",
	.description = "With TARGETs (lazy files, directories of them, thunks): what everything "
	               "that they are "
	               "made of\n"
	               "took and cost, and about what the rest will. Without: the sums of the "
	               "store's log by "
	               "engine,\n"
	               "and the bill of the service that runs: invocations, failed and doubled "
	               "ones too, time "
	               "billed,\n"
	               "requests to the far store.\n\n"
	               "Prices are a table with a date; ggfs config prices FILE overrides it "
	               "(docs/cost.md). "
	               "What AWS\n"
	               "charges is what its own bill says.",
	.options = options,
	.options_size = sizeof(struct cost_options),
	.max_operands = -1,
	.run = run,
};
