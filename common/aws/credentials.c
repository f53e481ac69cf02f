#include "common/aws/credentials.h"

#include <string.h>

#include "common/aws/client.h"
#include "common/aws/fetch.h"
#include "common/io.h"
#include "common/log.h"

struct credentials {
	struct net *net;
	const struct aws_config *config;
	struct aws_clock *clock;
	struct plan plan;
	struct error failure; /* why there is no plan, or what the last fetch failed with */
	bool planned;
	struct aws_keys keys; /* access_key NULL: none yet */
	bool refused;         /* by a service; they are no good any more */
	struct aws_fetch *fetch;
	int64_t hold_until_ms; /* after a failure */
	int64_t fetched_ms;
	struct loop_timer *tell; /* those who wait, of that failure */
	struct credentials_waiter *waiters;
};

struct credentials *credentials_new(struct net *net, const struct aws_config *config,
                                    struct aws_clock *clock)
{
	struct credentials *c = xcalloc(1, sizeof(*c));
	*c = (struct credentials){ .net = net, .config = config, .clock = clock };
	c->planned = credential_plan_make(config, &c->plan, &c->failure) == 0;
	return c;
}

/* --- those who wait --- */

void credentials_leave(struct credentials_waiter *w)
{
	if (!w->link)
		return;
	*w->link = w->next;
	if (w->next)
		w->next->link = w->link;
	w->link = NULL;
	w->next = NULL;
}

/* Those that come to wait meanwhile are not told. */
static void tell_all(struct credentials *c, const struct aws_keys *keys, const struct error *err)
{
	struct credentials_waiter *told = c->waiters;
	c->waiters = NULL;
	if (told)
		told->link = &told;
	while (told) {
		struct credentials_waiter *w = told;
		credentials_leave(w);
		w->fn(w->arg, keys, keys ? 0 : err->code, err);
	}
}

static void on_tell(void *arg)
{
	struct credentials *c = arg;
	c->tell = NULL;
	struct error failure = c->failure;
	tell_all(c, NULL, &failure);
}

void credentials_free(struct credentials *c)
{
	if (!c)
		return;
	struct error err = ERROR_INIT;
	error_set(&err, -ECANCELED, "the AWS client was closed");
	aws_fetch_free(c->fetch);
	loop_cancel(c->tell);
	tell_all(c, NULL, &err);
	aws_keys_release(&c->keys);
	credential_plan_release(&c->plan);
	free(c);
}

/* --- fetching --- */

static bool still_good(const struct credentials *c)
{
	return c->keys.access_key && !c->refused &&
	       (!c->keys.expires_s || c->keys.expires_s - aws_now(c->clock) > CREDENTIALS_LAST_S);
}

static void on_fetched(void *arg, struct aws_keys *keys, const struct error *err)
{
	struct credentials *c = arg;
	struct aws_keys fresh = { 0 };
	struct error failure = *err;
	if (keys) {
		fresh = *keys;
		*keys = (struct aws_keys){ 0 };
	}
	aws_fetch_free(steal(&c->fetch));
	if (keys) {
		aws_keys_release(&c->keys);
		c->keys = fresh;
		c->refused = false;
		c->hold_until_ms = 0;
		c->fetched_ms = now_ms();
		struct aws_keys told = { 0 };
		aws_keys_copy(&told, &c->keys); /* one who is told may have them refused */
		tell_all(c, &told, &failure);
		aws_keys_release(&told);
		return;
	}
	c->failure = failure;
	c->hold_until_ms = now_ms() + CREDENTIALS_HOLD_MS;
	if (still_good(c))
		log_warning(
		        "AWS credentials could not be renewed, and are used while they last: %s",
		        failure.text);
	tell_all(c, NULL, &failure);
}

static void begin_fetch(struct credentials *c)
{
	if (!c->fetch && c->planned && now_ms() >= c->hold_until_ms)
		c->fetch = aws_fetch_new(c->net, c->config, &c->plan, c->clock,
		                         CREDENTIALS_WHOLE_MS, on_fetched, c);
}

static bool plan_is_static(const struct credentials *c)
{
	return c->planned && c->plan.source == PLAN_STATIC && !c->plan.role_count;
}

const struct aws_keys *credentials_ready(struct credentials *c)
{
	if (!c->keys.access_key && plan_is_static(c)) {
		c->keys.access_key = xstrdup(c->plan.access_key);
		c->keys.secret_key = xstrdup(c->plan.secret_key);
		if (c->plan.session_token)
			c->keys.session_token = xstrdup(c->plan.session_token);
	}
	if (!still_good(c))
		return NULL;
	if (c->keys.expires_s && c->keys.expires_s - aws_now(c->clock) < AWS_REFRESH_BEFORE_S)
		begin_fetch(c);
	return &c->keys;
}

void credentials_wait(struct credentials *c, struct credentials_waiter *w)
{
	w->next = c->waiters;
	if (w->next)
		w->next->link = &w->next;
	w->link = &c->waiters;
	c->waiters = w;
	begin_fetch(c);
	if (!c->fetch && !c->tell)
		c->tell = loop_after(net_loop(c->net), 0, on_tell, c);
}

bool credentials_refused(struct credentials *c, const char *access_key)
{
	if (!c->planned || plan_is_static(c))
		return false;
	/* Others may have been fetched since that request was signed. */
	if (!c->keys.access_key || strcmp(c->keys.access_key, access_key) != 0)
		return true;
	/* A source that goes on handing out what nobody takes is not asked for each call. */
	if (now_ms() - c->fetched_ms < CREDENTIALS_HOLD_MS)
		return false;
	c->refused = true;
	return true;
}

const char *credentials_origin(const struct credentials *c)
{
	return c->planned ? c->plan.origin : "";
}
