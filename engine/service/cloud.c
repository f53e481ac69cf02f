#include "engine/service/cloud.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/aws/client.h"
#include "common/log.h"
#include "engine/remote/remote.h"
#include "engine/settings.h"
#include "objstore/far.h"
#include "objstore/index.h"

enum { PARTS_MAX = 3 };

struct cloud {
	struct store *store;
	struct index *index;
	struct settings *settings;
	struct engine *parts[PARTS_MAX]; /* local first; owned by engine where that is a mixture */
	size_t count;
	struct engine *engine;
	char *trouble; /* why there is nothing remote although the settings want it; else NULL */
	struct net *net;
	struct aws_config *config;
	struct aws *aws;
	struct far *far;
	struct far_options far_options; /* of strings in settings */
	struct far_options worker_far;  /* as a worker, with another configuration, finds it */
	char *s3_endpoint;              /* where the AWS configuration names one; else NULL */
	struct ledger *ledger;
	struct prices prices;
};

static const char *setting(const struct cloud *c, const char *name)
{
	const char *value = settings_get(c->settings, name, NULL);
	return *value ? value : NULL;
}

/* --- beginning
 * ------------------------------------------------------------------------------------ */

static bool wants_remote(const struct cloud *c)
{
	const char *engine = setting(c, "engine");
	return setting(c, "far.url") || setting(c, "http.url") || setting(c, "lambda.endpoint") ||
	       (engine && strcmp(engine, "local") != 0 && strncmp(engine, "local=", 6) != 0) ||
	       (engine && strchr(engine, ','));
}

static int open_aws(struct cloud *c, struct error *err)
{
	struct aws_config_options options = { .profile = setting(c, "aws.profile") };
	int r = aws_config_load(&options, &c->config, err);
	if (r < 0)
		return r;
	const char *bundle = aws_config_get(c->config, "ca_bundle", NULL);
	struct http_options http = { .ca_bundle = bundle };
	r = net_new(&http, &c->net, err);
	return r < 0 ? r : aws_new(c->net, c->config, &c->aws, err);
}

static bool known(void *arg, const struct digest *d)
{
	return index_far_known(arg, d);
}

static void remember(void *arg, const struct digest *d, bool there)
{
	index_far_remember(arg, d, there);
}

/* A worker has an AWS configuration of its own, in which neither the endpoint nor the region of
 * ours need stand: it is told what is in force here. */
static void say_where_to_workers(struct cloud *c)
{
	c->worker_far = c->far_options;
	if (aws_config_has_endpoint(c->config, "s3"))
		c->s3_endpoint = aws_config_endpoint(c->config, "s3", NULL);
	if (!c->worker_far.endpoint)
		c->worker_far.endpoint = c->s3_endpoint;
	if (!c->worker_far.region)
		c->worker_far.region = aws_config_region(c->config, NULL);
}

static int open_far(struct cloud *c, struct error *err)
{
	const char *url = setting(c, "far.url"), *style = setting(c, "far.path_style");
	if (!url)
		return 0;
	c->far_options = (struct far_options){
		.url = url,
		.endpoint = setting(c, "far.endpoint"),
		.region = setting(c, "far.region"),
		.path_style = !style ? -1 : strcmp(style, "yes") == 0,
		.connections = settings_number(c->settings, "far.connections"),
		.known = known,
		.remember = remember,
		.arg = c->index,
	};
	say_where_to_workers(c);
	const char *endpoint = c->worker_far.endpoint;
	scoped_free char *place = xformat("%s %s", endpoint ? endpoint : "", url);
	index_far_begin(c->index, place);
	return far_new(c->aws, c->store, &c->far_options, &c->far, err);
}

static int open_http(struct cloud *c, const struct remote_context *context, struct error *err)
{
	struct http_engine_options options = {
		.url = setting(c, "http.url"),
		.token_file = setting(c, "http.token_file"),
		.audience = setting(c, "http.audience"),
	};
	int r = engine_http_new(context, &options, 0, &c->parts[c->count], err);
	c->count += r == 0;
	return r;
}

static int open_engines(struct cloud *c, struct error *err)
{
	struct remote_context context = {
		.net = c->net,
		.aws = c->aws,
		.far = c->far,
		.worker_far = c->far ? &c->worker_far : NULL,
		.near = c->store,
		.ledger = c->ledger,
		.prices = &c->prices,
	};
	struct lambda_options lambda = {
		.function = setting(c, "lambda.function"),
		.endpoint = setting(c, "lambda.endpoint"),
		.region = setting(c, "lambda.region"),
		.arm = strcmp(settings_get(c->settings, "lambda.arch", NULL), "arm64") == 0,
	};
	int r = engine_lambda_new(&context, &lambda, 0, &c->parts[c->count], err);
	c->count += r == 0;
	if (r == 0 && setting(c, "http.url"))
		r = open_http(c, &context, err);
	return r < 0 ? r : engine_mixed_new(&context, c->parts, c->count, &c->engine, err);
}

static int open_remote(struct cloud *c, struct error *err)
{
	const char *file = setting(c, "prices");
	c->ledger = ledger_new();
	int r = file ? prices_load(&c->prices, file, err) : 0;
	if (r == 0)
		r = open_aws(c, err);
	if (r == 0)
		r = open_far(c, err);
	return r < 0 ? r : open_engines(c, err);
}

static void close_remote(struct cloud *c)
{
	if (c->engine && c->engine != c->parts[0])
		c->engine->ops->free(c->engine); /* and the parts with it */
	else
		for (size_t i = c->count; i-- > 0;)
			c->parts[i]->ops->free(c->parts[i]);
	c->count = 0;
	far_free(c->far);
	aws_free(c->aws);
	net_free(c->net);
	aws_config_free(c->config);
	ledger_free(c->ledger);
}

/* Serving without it is better than not serving: most of what a service does is local. */
static void do_without(struct cloud *c, const struct error *err)
{
	struct engine *local = c->parts[0];
	c->trouble = xstrdup(error_text(err));
	log_warning("no remote engines and no far store: %s", c->trouble);
	for (; c->count > 1; c->count--)
		c->parts[c->count - 1]->ops->free(c->parts[c->count - 1]);
	c->count = 0;
	close_remote(c);
	c->far = NULL;
	c->aws = NULL;
	c->net = NULL;
	c->config = NULL;
	c->ledger = NULL;
	c->parts[0] = c->engine = local;
	c->count = 1;
}

int cloud_open(struct store *store, struct index *index, struct engine *local, struct cloud **out,
               struct engine **engine, struct error *err)
{
	struct cloud *c = xcalloc(1, sizeof(*c));
	struct error why = ERROR_INIT;
	c->store = store;
	c->index = index;
	c->parts[0] = local;
	c->count = 1;
	prices_default(&c->prices);
	int r = settings_load(store_local_dirfd(store), environ, &c->settings, err);
	if (r == 0 && wants_remote(c) && open_remote(c, &why) < 0)
		do_without(c, &why);
	if (r < 0) {
		free(c); /* the local engine stays the caller's */
		return r;
	}
	if (!c->engine)
		c->engine = local;
	*engine = c->engine;
	*out = c;
	return 0;
}

void cloud_free(struct cloud *c)
{
	if (!c)
		return;
	close_remote(c);
	settings_free(c->settings);
	free(c->s3_endpoint);
	free(c->trouble);
	free(c);
}

/* --- the far store, for the forcer
 * ----------------------------------------------------------------- */

static bool forcer_knows(void *arg, const struct digest *blob)
{
	return far_known(arg, blob);
}

static void forcer_remembers(void *arg, const struct digest *blob, bool there)
{
	far_remember(arg, blob, there);
}

static void pulled(void *arg, int code, const struct digest *absent, const struct error *err)
{
	(void)absent;
	force_errand_done(arg, code, NULL, code < 0 ? error_text(err) : NULL);
}

static void forcer_pulls(void *arg, const struct digest *blob, uint64_t size_bytes,
                         struct force_errand *errand)
{
	struct sized_blob one = { *blob, size_bytes };
	far_pull(arg, &one, 1, pulled, errand);
}

static void memo_came(void *arg, int code, struct memo *memo, const struct error *err)
{
	force_errand_done(arg, code, code == 0 ? memo : NULL, code < 0 ? error_text(err) : NULL);
}

static void forcer_asks_memo(void *arg, const struct digest *thunk, struct force_errand *errand)
{
	far_memo_get(arg, thunk, memo_came, errand);
}

void cloud_attach(struct cloud *c, struct forcer *f)
{
	struct force_far far = { forcer_knows, forcer_remembers, forcer_pulls, forcer_asks_memo,
		                 c->far };
	if (c->far)
		forcer_set_far(f, &far);
}

struct fetch {
	cloud_fetched_fn *done;
	void *arg;
};

static void fetched(void *arg, int code, const struct digest *absent, const struct error *err)
{
	struct fetch *f = arg;
	(void)absent;
	f->done(f->arg, code, code < 0 ? error_text(err) : "");
	free(f);
}

bool cloud_fetch(struct cloud *c, const struct digest *blob, cloud_fetched_fn *done, void *arg)
{
	if (!c->far)
		return false;
	struct fetch *f = xmalloc(sizeof(*f));
	struct sized_blob one = { *blob, UINT64_MAX };
	*f = (struct fetch){ done, arg };
	far_pull(c->far, &one, 1, fetched, f);
	return true;
}

/* --- choosing
 * --------------------------------------------------------------------------------------- */

static struct engine *part_named(const struct cloud *c, const char *name)
{
	for (size_t i = 0; i < c->count; i++)
		if (strcmp(c->parts[i]->ops->name, name) == 0)
			return c->parts[i];
	return NULL;
}

static int no_such_part(const struct cloud *c, const char *name, struct error *err)
{
	if (c->trouble)
		return error_set(err, -EINVAL, "the engine %s cannot be had: %s", name, c->trouble);
	if (strcmp(name, "lambda") == 0)
		return error_set(
		        err, -EINVAL,
		        "the engine lambda is not set up in this store; `ggfs config far.url "
		        "s3://BUCKET` and `ggfs lambda deploy` do it");
	if (strcmp(name, "http") == 0)
		return error_set(
		        err, -EINVAL,
		        "the engine http has no worker; `ggfs config http.url URL` names one");
	return error_set(err, -EINVAL,
	                 "there is no engine named '%s'; there are local, lambda, http", name);
}

int cloud_choose(struct cloud *c, const char *spec, unsigned jobs, char **engines, bool *costs,
                 struct error *err)
{
	struct engine_spec specs[ENGINE_SPECS_MAX];
	scoped_buf struct buf names = BUF_INIT;
	struct engine *parts[ENGINE_SPECS_MAX];
	bool paid = false;
	int count = engine_spec_parse(spec && *spec ? spec : setting(c, "engine"), specs, err);
	if (count < 0)
		return count;
	for (int i = 0; i < count; i++) {
		parts[i] = part_named(c, specs[i].name);
		if (!parts[i])
			return no_such_part(c, specs[i].name, err);
		paid = paid || parts[i] != c->parts[0];
		buf_add_format(&names, "%s%s", i ? "," : "", specs[i].name);
	}
	int r = 0;
	for (int i = 0; i < count && r == 0; i++)
		if (specs[i].jobs)
			r = parts[i]->ops->set_capacity(parts[i], specs[i].jobs, err);
	if (r == 0 && jobs && count == 1)
		r = parts[0]->ops->set_capacity(parts[0], jobs, err);
	else if (r == 0 && jobs)
		r = c->engine->ops->set_capacity(c->engine, jobs, err);
	if (r < 0)
		return r;
	*engines = buf_steal(&names, NULL);
	*costs = paid;
	return 0;
}

uint64_t cloud_price(struct cloud *c, const char *engines, const struct thunk *t)
{
	uint64_t dearest = 0;
	for (size_t i = 0; i < c->count; i++) {
		struct engine *part = c->parts[i];
		uint64_t price =
		        engine_list_names(engines, part->ops->name) ? part->ops->price(part, t) : 0;
		if (price > dearest)
			dearest = price;
	}
	return dearest;
}

void cloud_bill(struct cloud *c, struct ledger_totals *totals, const char **url, const char **date,
                bool *paused)
{
	struct far_usage usage = { 0 };
	*totals = (struct ledger_totals){ 0 };
	*url = c->far ? far_url(c->far) : NULL;
	*date = c->ledger ? c->prices.date : NULL;
	if (c->ledger)
		ledger_totals(c->ledger, totals);
	if (c->far)
		far_usage(c->far, &usage);
	*paused = usage.paused;
	/* What this machine asked of the far store itself. */
	totals->far_puts += usage.puts;
	totals->far_gets += usage.gets;
	totals->far_sent_bytes += usage.sent_bytes;
	totals->far_received_bytes += usage.received_bytes;
	totals->spent += price_far(&c->prices, usage.puts + usage.lists, usage.gets);
}
