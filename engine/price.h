/*
 * Prices: what AWS takes, as a table with a date that the user can override (a file of
 * "NAME NANODOLLARS" lines, docs/cost.md), and the sums made from it. And the ledger: what was
 * spent and what is in flight, of one service. All in nanodollars.
 *
 * Threads: prices are pure; a ledger locks itself.
 */
#ifndef GGFS_ENGINE_PRICE_H
#define GGFS_ENGINE_PRICE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct prices {
	char date[16]; /* of the table: "2026-11-24" */
	uint64_t gb_second_x86, gb_second_arm;
	uint64_t million_requests;             /* Lambda */
	uint64_t thousand_puts, thousand_gets; /* S3 */
	uint64_t http_second;                  /* of an HTTP worker: the user's affair, 0 */
};

/* The table built in. */
void prices_default(struct prices *p);
/* Overrides by what the file says; as before on failure. -EINVAL names the line. */
int prices_load(struct prices *p, const char *path, struct error *err);

/* One invocation, its request included; rounded up. */
uint64_t price_lambda(const struct prices *p, uint64_t billed_ms, uint32_t memory_mib, bool arm);
/* Requests to the far store. */
uint64_t price_far(const struct prices *p, uint64_t puts, uint64_t gets);

struct ledger_totals {
	uint64_t spent;     /* nanodollars, failures and duplicates included */
	uint64_t in_flight; /* estimated */
	uint64_t invocations, failed, duplicated, throttled, retried;
	uint64_t billed_ms, cold_starts;
	uint64_t far_puts, far_gets, far_sent_bytes, far_received_bytes;
};

struct ledger;
struct ledger *ledger_new(void);
void ledger_free(struct ledger *l); /* NULL is fine */
/* Something is under way that will cost about so much. */
void ledger_reserve(struct ledger *l, uint64_t nanodollars);
/* What was reserved so has ended: adds what it came to (spent->in_flight is not used). */
void ledger_settle(struct ledger *l, uint64_t reserved, const struct ledger_totals *spent);
void ledger_totals(struct ledger *l, struct ledger_totals *out);

#endif
