#include "common/aws/fetch.h"

#include <openssl/crypto.h>
#include <stdarg.h>
#include <string.h>

#include "common/aws/client.h"

static void start(void *arg);

static void on_deadline(void *arg)
{
	struct aws_fetch *f = arg;
	f->deadline = NULL;
	aws_fetch_fail(f, "%s: no answer in time", f->plan->origin);
}

struct aws_fetch *aws_fetch_new(struct net *net, const struct aws_config *config,
                                const struct plan *plan, struct aws_clock *clock, int64_t whole_ms,
                                aws_fetch_done_fn *done, void *arg)
{
	struct aws_fetch *f = xcalloc(1, sizeof(*f));
	*f = (struct aws_fetch){ .net = net,
		                 .config = config,
		                 .plan = plan,
		                 .clock = clock,
		                 .done = done,
		                 .arg = arg,
		                 .roles_left = plan->role_count };
	f->deadline = loop_after(net_loop(net), whole_ms, on_deadline, f);
	f->again = loop_after(net_loop(net), 0, start, f);
	return f;
}

void aws_fetch_reset(struct aws_fetch *f)
{
	if (f->transfer)
		http_cancel(steal(&f->transfer));
	loop_cancel(steal(&f->again));
	free(steal(&f->method));
	free(steal(&f->url));
	if (f->body)
		OPENSSL_cleanse(f->body, strlen(f->body));
	free(steal(&f->body));
	for (size_t i = 0; i < f->headers.count; i++)
		OPENSSL_cleanse(f->headers.items[i], strlen(f->headers.items[i]));
	strv_release(&f->headers);
	f->attempts = 0;
	f->attempts_max = FETCH_ATTEMPTS;
	f->connect_ms = FETCH_CONNECT_MS;
	f->whole_ms = FETCH_REQUEST_MS;
}

void aws_fetch_free(struct aws_fetch *f)
{
	if (!f)
		return;
	aws_fetch_reset(f);
	aws_process_free(f->process);
	loop_cancel(f->deadline);
	aws_keys_release(&f->keys);
	aws_fetch_set_token(f, NULL);
	free(f);
}

/* --- steps --- */

static void start(void *arg)
{
	static void (*const sources[])(struct aws_fetch *) = {
		[PLAN_STATIC] = aws_fetch_static,
		[PLAN_WEB_IDENTITY] = aws_fetch_web_identity,
		[PLAN_SSO] = aws_fetch_sso,
		[PLAN_PROCESS] = aws_fetch_process,
		[PLAN_CONTAINER] = aws_fetch_container,
		[PLAN_IMDS] = aws_fetch_imds,
	};
	struct aws_fetch *f = arg;
	f->again = NULL;
	aws_fetch_reset(f);
	sources[f->plan->source](f);
}

void aws_fetch_keys(struct aws_fetch *f, struct aws_keys *keys)
{
	aws_keys_release(&f->keys);
	f->keys = *keys;
	*keys = (struct aws_keys){ 0 };
	if (f->roles_left) {
		f->roles_left--;
		aws_fetch_reset(f);
		aws_fetch_role(f);
	} else {
		struct error none = ERROR_INIT;
		f->done(f->arg, &f->keys, &none);
	}
}

void aws_fetch_fail_error(struct aws_fetch *f, const struct error *err)
{
	f->done(f->arg, NULL, err);
}

void aws_fetch_fail(struct aws_fetch *f, const char *format, ...)
{
	struct error err = { .code = -EACCES };
	va_list args;
	va_start(args, format);
	vsnprintf(err.text, sizeof(err.text), format, args);
	va_end(args);
	aws_fetch_fail_error(f, &err);
}

void aws_fetch_set_token(struct aws_fetch *f, const char *token)
{
	if (f->token)
		OPENSSL_cleanse(f->token, strlen(f->token));
	free(f->token);
	f->token = token ? xstrdup(token) : NULL;
}

/* Servers may repeat what they were sent. */
static void hide(char *text, const char *secret)
{
	size_t len = secret ? strlen(secret) : 0;
	for (char *at = text; len && (at = strstr(at, secret)); at += len)
		memset(at, '*', len);
}

void aws_fetch_fail_answer(struct aws_fetch *f, const char *where, const struct http_response *r)
{
	if (r->code < 0) {
		aws_fetch_fail(f, "%s: %s", where, r->reason);
		return;
	}
	scoped_free char *code = NULL;
	scoped_free char *message = NULL;
	aws_error_parse(r, &code, &message);
	hide(message, f->token);
	hide(message, f->keys.secret_key);
	hide(message, f->keys.session_token);
	aws_fetch_fail(f, "%s: status %d, %s: %s", where, r->status, code, message);
}

void aws_fetch_static(struct aws_fetch *f)
{
	const struct plan *p = f->plan;
	struct aws_keys keys = { .access_key = xstrdup(p->access_key),
		                 .secret_key = xstrdup(p->secret_key) };
	if (p->session_token)
		keys.session_token = xstrdup(p->session_token);
	aws_fetch_keys(f, &keys);
}

/* --- requests --- */

static void send_request(void *arg);

static bool is_worth_repeating(const struct aws_fetch *f, const struct http_response *r)
{
	if (f->attempts >= f->attempts_max)
		return false;
	if (r->code < 0)
		return r->fault != HTTP_FAULT_TLS && r->fault != HTTP_FAULT_CANCELED &&
		       r->fault != HTTP_FAULT_TOO_LARGE;
	return r->status >= 500 || r->status == 429;
}

static void on_answer(void *arg, struct http_response *r)
{
	struct aws_fetch *f = arg;
	f->transfer = NULL;
	if (is_worth_repeating(f, r)) {
		int64_t delay_ms = FETCH_FIRST_DELAY_MS << (2 * (f->attempts - 1));
		f->again = loop_after(net_loop(f->net), delay_ms, send_request, f);
		return;
	}
	f->answered(f, r);
}

/* The services of the machine itself; not STS, which is asked for a role afterwards. */
static bool asks_this_machine(const struct aws_fetch *f)
{
	bool near = f->plan->source == PLAN_IMDS || f->plan->source == PLAN_CONTAINER;
	return near && !f->keys.access_key;
}

static void send_request(void *arg)
{
	struct aws_fetch *f = arg;
	struct error err = ERROR_INIT;
	f->again = NULL;
	f->attempts++;
	struct http_request request = {
		.method = f->method,
		.url = f->url,
		.headers = (const char *const *)f->headers.items,
		.header_count = f->headers.count,
		.body = f->body,
		.body_len = f->body ? strlen(f->body) : 0,
		.body_max = FETCH_ANSWER_MAX,
		.connect_ms = f->connect_ms,
		.whole_ms = f->whole_ms,
		.direct = asks_this_machine(f),
		.arg = f,
		.done = on_answer,
	};
	if (http_start(net_http(f->net), &request, &f->transfer, &err) < 0)
		aws_fetch_fail(f, "%s: %s", f->plan->origin, err.text);
}

void aws_fetch_request(struct aws_fetch *f, aws_fetch_answer_fn *answered)
{
	f->answered = answered;
	send_request(f);
}
