#include "engine/price.h"

#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "common/buf.h"
#include "common/fields.h"
#include "common/io.h"

enum { PRICES_BYTES_MAX = 64 << 10, MIB_A_GB = 1024, MS_A_SECOND = 1000 };

/* us-east-1, as published on that date according to secondary sources (docs/cost.md). */
void prices_default(struct prices *p)
{
	*p = (struct prices){
		.date = "2026-11-24",
		.gb_second_x86 = 16667,
		.gb_second_arm = 13333,
		.million_requests = 200000000,
		.thousand_puts = 5000000,
		.thousand_gets = 400000,
	};
}

/* --- overriding ------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	size_t offset;
} numbers[] = {
	{ "gb_second_x86", offsetof(struct prices, gb_second_x86) },
	{ "gb_second_arm", offsetof(struct prices, gb_second_arm) },
	{ "million_requests", offsetof(struct prices, million_requests) },
	{ "thousand_puts", offsetof(struct prices, thousand_puts) },
	{ "thousand_gets", offsetof(struct prices, thousand_gets) },
	{ "http_second", offsetof(struct prices, http_second) },
};

static bool is_date(const char *at, const char *end)
{
	static const char pattern[] = "dddd-dd-dd";
	if (end - at != (ptrdiff_t)strlen(pattern))
		return false;
	for (size_t i = 0; pattern[i]; i++)
		if (pattern[i] == '-' ? at[i] != '-' : at[i] < '0' || at[i] > '9')
			return false;
	return true;
}

static bool take_date(struct prices *p, const char *at, const char *end)
{
	if (!field_word(&at, end, "date") || !field_space(&at, end) || !is_date(at, end))
		return false;
	memcpy(p->date, at, (size_t)(end - at));
	p->date[end - at] = '\0';
	return true;
}

static bool take_number(struct prices *p, const char *at, const char *end)
{
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		const char *here = at;
		uint64_t value;
		if (!field_word(&here, end, numbers[i].name))
			continue;
		if (!field_space(&here, end) || !field_number(&here, end, &value) || here != end)
			return false;
		memcpy((char *)p + numbers[i].offset, &value, sizeof(value));
		return true;
	}
	return false;
}

int prices_load(struct prices *p, const char *path, struct error *err)
{
	scoped_buf struct buf text = BUF_INIT;
	struct prices changed = *p;
	int r = read_file_at(AT_FDCWD, path, &text, PRICES_BYTES_MAX, err);
	if (r < 0)
		return r;
	if (text.len && text.data[text.len - 1] != '\n')
		buf_add_char(&text, '\n');
	const char *at = text.data, *end = text.data + text.len, *line, *line_end;
	for (size_t number = 1; line_next(&at, end, &line, &line_end); number++) {
		if (line == line_end || *line == '#' || take_date(&changed, line, line_end) ||
		    take_number(&changed, line, line_end))
			continue;
		return error_set(err, -EINVAL,
		                 "%s: line %zu is not \"NAME NANODOLLARS\" with a name that "
		                 "docs/cost.md lists, nor \"date YYYY-MM-DD\"",
		                 path, number);
	}
	*p = changed;
	return 0;
}

/* --- sums ------------------------------------------------------------------------------------- */

/* count * price / per, rounded up; never wraps. */
static uint64_t share(unsigned __int128 count, uint64_t price, uint64_t per)
{
	unsigned __int128 sum = (count * price + per - 1) / per;
	return sum > UINT64_MAX ? UINT64_MAX : (uint64_t)sum;
}

uint64_t price_lambda(const struct prices *p, uint64_t billed_ms, uint32_t memory_mib, bool arm)
{
	uint64_t second = arm ? p->gb_second_arm : p->gb_second_x86;
	uint64_t run = share((unsigned __int128)billed_ms * memory_mib, second,
	                     (uint64_t)MIB_A_GB * MS_A_SECOND);
	uint64_t request = share(1, p->million_requests, 1000000);
	return run > UINT64_MAX - request ? UINT64_MAX : run + request;
}

uint64_t price_far(const struct prices *p, uint64_t puts, uint64_t gets)
{
	return share(puts, p->thousand_puts, 1000) + share(gets, p->thousand_gets, 1000);
}

/* --- the ledger ------------------------------------------------------------------------------- */

struct ledger {
	pthread_mutex_t mutex;
	struct ledger_totals totals; /* guarded by mutex */
};

struct ledger *ledger_new(void)
{
	struct ledger *l = xcalloc(1, sizeof(*l));
	pthread_mutex_init(&l->mutex, NULL);
	return l;
}

void ledger_free(struct ledger *l)
{
	if (!l)
		return;
	pthread_mutex_destroy(&l->mutex);
	free(l);
}

void ledger_reserve(struct ledger *l, uint64_t nanodollars)
{
	pthread_mutex_lock(&l->mutex);
	l->totals.in_flight += nanodollars;
	pthread_mutex_unlock(&l->mutex);
}

void ledger_settle(struct ledger *l, uint64_t reserved, const struct ledger_totals *spent)
{
	pthread_mutex_lock(&l->mutex);
	struct ledger_totals *t = &l->totals;
	t->in_flight -= reserved;
	t->spent += spent->spent;
	t->invocations += spent->invocations;
	t->failed += spent->failed;
	t->duplicated += spent->duplicated;
	t->throttled += spent->throttled;
	t->retried += spent->retried;
	t->billed_ms += spent->billed_ms;
	t->cold_starts += spent->cold_starts;
	t->far_puts += spent->far_puts;
	t->far_gets += spent->far_gets;
	t->far_sent_bytes += spent->far_sent_bytes;
	t->far_received_bytes += spent->far_received_bytes;
	pthread_mutex_unlock(&l->mutex);
}

void ledger_totals(struct ledger *l, struct ledger_totals *out)
{
	pthread_mutex_lock(&l->mutex);
	*out = l->totals;
	pthread_mutex_unlock(&l->mutex);
}
