/*
 * Cloud: the service's network half, as the store's settings have it: the far store, the remote
 * engines, the bill. Nothing of it is begun where the settings name nothing remote; where it cannot
 * be begun, the service serves without it and says why to whoever asks for a remote engine.
 *
 * Private to engine/service/. Threads: the loop's, but for what the far store calls.
 */
#ifndef GGFS_ENGINE_SERVICE_CLOUD_H
#define GGFS_ENGINE_SERVICE_CLOUD_H

#include "common/loop.h"
#include "engine/force.h"
#include "engine/price.h"

struct cloud;

/* Takes the local engine over and gives *engine in its place (itself, or the mixture with remote
 * ones). Store and index are lent. -EINVAL: the settings are malformed. */
int cloud_open(struct store *store, struct index *index, struct engine *local, struct cloud **out,
               struct engine **engine, struct error *err);
/* After the forcer was freed: ends what is under way; frees the engine as well. NULL is fine. */
void cloud_free(struct cloud *c);

/* Has the forcer heed the far store, if there is one. */
void cloud_attach(struct cloud *c, struct forcer *f);

/* Which engines a force may use, as it or else the settings say, in *engines ("lambda,http", yours
 * to free), with the capacities that it names set; *costs: whether any of them is a paid one.
 * -EINVAL: no such engine, or it cannot be had, with the reason. */
int cloud_choose(struct cloud *c, const char *spec, unsigned jobs, char **engines, bool *costs,
                 struct error *err);
/* What a second of this thunk costs at most on these engines. */
uint64_t cloud_price(struct cloud *c, const char *engines, const struct thunk *t);

/* Brings a blob here from the far store; done on any thread. False: there is no far store. */
typedef void cloud_fetched_fn(void *arg, int code, const char *reason);
bool cloud_fetch(struct cloud *c, const struct digest *blob, cloud_fetched_fn *done, void *arg);

/* What was spent since the service began; the far store's url and the prices' date borrowed, NULL
 * where there is none. */
void cloud_bill(struct cloud *c, struct ledger_totals *totals, const char **url, const char **date,
                bool *paused);

#endif
