#include "engine/purse.h"

#include "common/buf.h"

struct purse *purse_new(uint64_t limit_nanodollars)
{
	struct purse *p = xcalloc(1, sizeof(*p));
	p->refs = 1;
	p->limit = limit_nanodollars;
	return p;
}

struct purse *purse_share(struct purse *p)
{
	if (p)
		p->refs++;
	return p;
}

void purse_unshare(struct purse *p)
{
	if (p && --p->refs == 0)
		free(p);
}

bool purse_reserve(struct purse *p, uint64_t nanodollars)
{
	if (!p || !nanodollars)
		return true;
	uint64_t taken = p->spent + p->reserved;
	if (taken > p->limit || nanodollars > p->limit - taken)
		return false;
	p->reserved += nanodollars;
	return true;
}

void purse_settle(struct purse *p, uint64_t reserved, uint64_t spent)
{
	if (!p)
		return;
	p->reserved -= reserved;
	p->spent += spent;
}
