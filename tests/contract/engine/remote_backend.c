#include "tests/contract/engine/remote_backend.h"

#include <stdlib.h>

#include "engine/remote/remote.h"

/* An engine with all it needs, which goes with it. */
struct backend_engine {
	struct engine engine; /* first */
	struct engine_ops ops;
	struct engine *inner;
	struct net *net;
	struct aws_config *config;
	struct aws *aws;
	struct ledger *ledger;
	struct prices prices;
	struct remote_context context;
};

static struct backend_engine *backend_of(struct engine *e)
{
	return (struct backend_engine *)e;
}

static unsigned capacity(struct engine *e)
{
	struct engine *inner = backend_of(e)->inner;
	return inner->ops->capacity(inner);
}

static int set_capacity(struct engine *e, unsigned jobs, struct error *err)
{
	struct engine *inner = backend_of(e)->inner;
	return inner->ops->set_capacity(inner, jobs, err);
}

static int submit(struct engine *e, const struct engine_job *job, struct engine_ticket **ticket,
                  struct error *err)
{
	struct engine *inner = backend_of(e)->inner;
	return inner->ops->submit(inner, job, ticket, err);
}

static void cancel(struct engine *e, struct engine_ticket *ticket)
{
	struct engine *inner = backend_of(e)->inner;
	inner->ops->cancel(inner, ticket);
}

static uint64_t price(struct engine *e, const struct thunk *t)
{
	struct engine *inner = backend_of(e)->inner;
	return inner->ops->price(inner, t);
}

static void backend_free(struct engine *e)
{
	struct backend_engine *b = backend_of(e);
	if (b->inner)
		b->inner->ops->free(b->inner);
	aws_free(b->aws);
	net_free(b->net);
	aws_config_free(b->config);
	ledger_free(b->ledger);
	free(b);
}

static int begin(struct store *store, struct backend_engine **out, struct error *err)
{
	struct backend_engine *b = xcalloc(1, sizeof(*b));
	const struct aws_config_options config = { 0 };
	b->ledger = ledger_new();
	prices_default(&b->prices);
	int r = net_new(&(struct http_options){ 0 }, &b->net, err);
	if (r == 0)
		r = aws_config_load(&config, &b->config, err);
	if (r == 0)
		r = aws_new(b->net, b->config, &b->aws, err);
	if (r < 0) {
		backend_free(&b->engine);
		return r;
	}
	b->context = (struct remote_context){ .net = b->net,
		                              .aws = b->aws,
		                              .near = store,
		                              .ledger = b->ledger,
		                              .prices = &b->prices };
	*out = b;
	return 0;
}

static int finish(struct backend_engine *b, int r, struct engine **out)
{
	if (r < 0) {
		backend_free(&b->engine);
		return r;
	}
	b->ops = (struct engine_ops){ .name = b->inner->ops->name,
		                      .capacity = capacity,
		                      .set_capacity = set_capacity,
		                      .submit = submit,
		                      .cancel = cancel,
		                      .price = price,
		                      .free = backend_free };
	b->engine.ops = &b->ops;
	*out = &b->engine;
	return 0;
}

int http_backend_new(struct store *store, unsigned jobs, struct engine **out, struct error *err)
{
	struct backend_engine *b;
	const struct http_engine_options options = { .url = getenv("GGFS_TEST_HTTP_URL"),
		                                     .token = getenv("GGFS_TEST_HTTP_TOKEN") };
	int r = begin(store, &b, err);
	if (r < 0)
		return r;
	return finish(b, engine_http_new(&b->context, &options, jobs, &b->inner, err), out);
}

int lambda_backend_new(struct store *store, unsigned jobs, struct engine **out, struct error *err)
{
	struct backend_engine *b;
	const struct lambda_options options = { .endpoint = getenv("GGFS_TEST_LAMBDA_ENDPOINT") };
	int r = begin(store, &b, err);
	if (r < 0)
		return r;
	return finish(b, engine_lambda_new(&b->context, &options, jobs, &b->inner, err), out);
}
