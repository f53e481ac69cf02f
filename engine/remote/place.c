#include "engine/remote/place.h"

#include "engine/remote/remote.h"

static bool may(const struct place_engine *e, const struct place_job *job, bool any_refused)
{
	return !e->refused && (e->local || !job->local_only) &&
	       (engine_list_names(job->engines, e->name) || (e->local && any_refused));
}

static bool has_room(const struct place_engine *e)
{
	return e->running < e->capacity;
}

/* Whether a is less full than b, in proportion to what each takes. */
static bool less_full(const struct place_engine *a, const struct place_engine *b)
{
	return (uint64_t)a->running * b->capacity < (uint64_t)b->running * a->capacity;
}

static bool need_not_travel(const struct place_job *job)
{
	uint64_t run = job->expected_micros ? job->expected_micros : PLACE_EXPECTED_MICROS_UNKNOWN;
	/* Divided first: sizes come from thunks and may be anything. */
	uint64_t send = job->send_bytes / PLACE_BYTES_A_SECOND;
	if (send >= UINT32_MAX)
		return true;
	send = send * 1000000 +
	       job->send_bytes % PLACE_BYTES_A_SECOND * 1000000 / PLACE_BYTES_A_SECOND;
	return send + PLACE_TRIP_MICROS >= run;
}

int place_choose(const struct place_engine *engines, size_t count, const struct place_job *job)
{
	int local = -1, remote = -1, any = -1;
	bool any_refused = false;
	for (size_t i = 0; i < count; i++)
		any_refused = any_refused || engines[i].refused;
	for (size_t i = 0; i < count; i++) {
		const struct place_engine *e = &engines[i];
		if (!may(e, job, any_refused))
			continue;
		if (any < 0 || less_full(e, &engines[any]))
			any = (int)i;
		if (e->local && local < 0 && has_room(e))
			local = (int)i;
		if (!e->local && has_room(e) && (remote < 0 || less_full(e, &engines[remote])))
			remote = (int)i;
	}
	if (local >= 0 && (remote < 0 || need_not_travel(job)))
		return local;
	return remote >= 0 ? remote : any;
}
