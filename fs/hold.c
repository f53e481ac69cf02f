#include "fs/hold.h"

#include <string.h>

void hold_init(struct hold *h)
{
	*h = (struct hold){ 0 };
	pthread_mutex_init(&h->lock, NULL);
}

/* The lock is held, as for the next. */
static struct hold_program *find(struct hold *h, const char *name)
{
	for (unsigned i = 0; i < h->count; i++)
		if (strcmp(h->programs[i].name, name) == 0)
			return &h->programs[i];
	return NULL;
}

static struct hold_program *find_or_add(struct hold *h, const char *name, int64_t now_ms)
{
	struct hold_program *p = find(h, name);
	if (p)
		return p;
	p = &h->programs[0];
	if (h->count < HOLD_PROGRAMS_MAX) {
		p = &h->programs[h->count++];
	} else {
		for (unsigned i = 1; i < h->count; i++)
			if (h->programs[i].last_ms < p->last_ms)
				p = &h->programs[i];
	}
	*p = (struct hold_program){ .last_ms = now_ms };
	strncpy(p->name, name, HOLD_NAME_SIZE - 1);
	return p;
}

/* Counts it; false at the limit. */
static bool count(struct hold *h, const char *name, unsigned limit, int64_t now_ms)
{
	pthread_mutex_lock(&h->lock);
	struct hold_program *p = find_or_add(h, name, now_ms);
	if (p->count > 0 && p->count < limit && now_ms - p->last_ms > HOLD_PAUSE_MS)
		p->free = true;
	bool goes = p->free || p->count < limit;
	if (goes && !p->free)
		p->count++;
	p->last_ms = now_ms;
	pthread_mutex_unlock(&h->lock);
	return goes;
}

bool hold_ask(struct hold *h, const char *name, unsigned limit, int64_t now_ms,
              hold_allowed_fn *allowed, void *arg)
{
	if (count(h, name, limit, now_ms))
		return true;
	if (!allowed(arg, name))
		return false;
	pthread_mutex_lock(&h->lock);
	find_or_add(h, name, now_ms)->free = true;
	pthread_mutex_unlock(&h->lock);
	return true;
}

void hold_answered(struct hold *h, const char *name, int64_t now_ms, bool known)
{
	pthread_mutex_lock(&h->lock);
	struct hold_program *p = find(h, name);
	if (p) {
		p->last_ms = now_ms;
		if (known && p->count > 0)
			p->count--;
	}
	pthread_mutex_unlock(&h->lock);
}
