#include <pthread.h>
#include <string.h>

#include "common/aws/client_private.h"

/* Lives on the stack of the thread that waits. */
struct waiting {
	struct aws *aws;
	pthread_mutex_t lock; /* guards ended */
	pthread_cond_t changed;
	bool ended;
	/* Of aws_call. */
	const struct aws_request *asked;
	struct http_response *response;
	/* Of aws_describe_credentials. */
	struct credentials_waiter waiter;
	char *description;
	struct error *err;
	int code;
};

static void wake(struct waiting *w)
{
	pthread_mutex_lock(&w->lock);
	w->ended = true;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

static void run_on_net(struct waiting *w, loop_fn *fn)
{
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	net_post(w->aws->net, fn, w);
	pthread_mutex_lock(&w->lock);
	while (!w->ended)
		pthread_cond_wait(&w->changed, &w->lock);
	pthread_mutex_unlock(&w->lock);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
}

/* --- aws_call --- */

static void call_done(void *arg, struct http_response *response)
{
	struct waiting *w = arg;
	*w->response = *response;
	*response = (struct http_response){ 0 };
	wake(w);
}

static int call_sink(void *arg, const void *bytes, size_t len)
{
	const struct http_request *asked = &((struct waiting *)arg)->asked->http;
	return asked->sink(asked->arg, bytes, len);
}

static ssize_t call_source(void *arg, uint64_t offset, void *bytes, size_t len)
{
	const struct http_request *asked = &((struct waiting *)arg)->asked->http;
	return asked->source(asked->arg, offset, bytes, len);
}

static void start_call(void *arg)
{
	struct waiting *w = arg;
	struct error err = ERROR_INIT;
	struct aws_request request = *w->asked;
	request.http.sink = request.http.sink ? call_sink : NULL;
	request.http.source = request.http.source ? call_source : NULL;
	request.http.arg = w;
	request.http.done = call_done;
	int r = aws_start(w->aws, &request, NULL, &err);
	if (r == 0)
		return;
	w->response->code = r;
	w->response->fault = r == -ECANCELED ? HTTP_FAULT_CANCELED : HTTP_FAULT_OTHER;
	w->response->reason = xstrdup(err.text);
	wake(w);
}

int aws_call(struct aws *aws, const struct aws_request *request, struct http_response *response)
{
	*response = (struct http_response){ 0 };
	struct waiting w = { .aws = aws, .asked = request, .response = response };
	run_on_net(&w, start_call);
	return response->code;
}

/* --- aws_describe_credentials --- */

static void describe(void *arg, const struct aws_keys *keys, int code, const struct error *err)
{
	struct waiting *w = arg;
	if (!keys) {
		w->code = error_set(w->err, code, "%s", error_text(err));
	} else {
		size_t len = strlen(keys->access_key);
		const char *last = keys->access_key + (len > 8 ? len - 4 : len);
		w->description =
		        xformat("%s, key ****%s%s", credentials_origin(w->aws->credentials), last,
		                keys->session_token ? " with a session token" : "");
	}
	wake(w);
}

static void start_describe(void *arg)
{
	struct waiting *w = arg;
	const struct aws_keys *keys = credentials_ready(w->aws->credentials);
	if (keys) {
		describe(w, keys, 0, NULL);
		return;
	}
	w->waiter = (struct credentials_waiter){ .fn = describe, .arg = w };
	credentials_wait(w->aws->credentials, &w->waiter);
}

int aws_describe_credentials(struct aws *aws, char **out, struct error *err)
{
	struct waiting w = { .aws = aws, .err = err };
	run_on_net(&w, start_describe);
	if (w.code == 0)
		*out = w.description;
	return w.code;
}

/* --- aws_free --- */

static void end(void *arg)
{
	struct waiting *w = arg;
	aws_end(w->aws);
	wake(w);
}

void aws_free(struct aws *aws)
{
	if (!aws)
		return;
	struct waiting w = { .aws = aws };
	run_on_net(&w, end);
}
