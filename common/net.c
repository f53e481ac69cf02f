#include "common/net.h"

#include <pthread.h>
#include <signal.h>

#include "common/log.h"

struct net {
	struct loop *loop;
	struct http *http;
	pthread_t thread;
};

static void *run(void *arg)
{
	struct net *net = arg;
	struct error err = ERROR_INIT;
	if (loop_run(net->loop, &err) < 0)
		log_error("networking has ended: %s", error_text(&err));
	return NULL;
}

/* No signal is for this thread; SIGPIPE, which writing to a lost TLS connection raises, for nobody.
 */
static int start_thread(struct net *net, struct error *err)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = pthread_create(&net->thread, NULL, run, net);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return error_set(err, -r, "cannot start the networking thread");
	pthread_setname_np(net->thread, "net");
	return 0;
}

int net_new(const struct http_options *options, struct net **out, struct error *err)
{
	struct net *net = xcalloc(1, sizeof(*net));
	int r = loop_new(&net->loop, err);
	if (r < 0)
		goto undo;
	r = http_new(net->loop, options, &net->http, err);
	if (r < 0)
		goto undo;
	r = start_thread(net, err);
	if (r < 0)
		goto undo;
	*out = net;
	return 0;
undo:
	http_free(net->http);
	loop_free(net->loop);
	free(net);
	return r;
}

static void end(void *arg)
{
	struct net *net = arg;
	http_free(steal(&net->http));
	loop_stop(net->loop);
}

void net_free(struct net *net)
{
	if (!net)
		return;
	loop_post(net->loop, end, net);
	pthread_join(net->thread, NULL);
	http_free(net->http); /* the loop had ended with an error */
	loop_free(net->loop);
	free(net);
}

struct loop *net_loop(struct net *net)
{
	return net->loop;
}

struct http *net_http(struct net *net)
{
	return net->http;
}

void net_post(struct net *net, loop_fn *fn, void *arg)
{
	loop_post(net->loop, fn, arg);
}

/* Lives on the stack of the thread that waits. */
struct waiting_call {
	struct net *net;
	struct http_request request; /* with done and arg for this call */
	const struct http_request *asked;
	struct http_response *response;
	pthread_mutex_t lock; /* guards ended */
	pthread_cond_t changed;
	bool ended;
};

static void wake_caller(struct waiting_call *call)
{
	pthread_mutex_lock(&call->lock);
	call->ended = true;
	pthread_cond_signal(&call->changed);
	pthread_mutex_unlock(&call->lock);
}

static void call_done(void *arg, struct http_response *response)
{
	struct waiting_call *call = arg;
	*call->response = *response;
	*response = (struct http_response){ 0 };
	wake_caller(call);
}

static int call_sink(void *arg, const void *bytes, size_t len)
{
	const struct http_request *asked = ((struct waiting_call *)arg)->asked;
	return asked->sink(asked->arg, bytes, len);
}

static ssize_t call_source(void *arg, uint64_t offset, void *bytes, size_t len)
{
	const struct http_request *asked = ((struct waiting_call *)arg)->asked;
	return asked->source(asked->arg, offset, bytes, len);
}

static void call_start(void *arg)
{
	struct waiting_call *call = arg;
	struct error err = ERROR_INIT;
	int r = call->net->http ? http_start(call->net->http, &call->request, NULL, &err)
	                        : error_set(&err, -ECANCELED, "the HTTP client is being closed");
	if (r == 0)
		return;
	call->response->code = r;
	call->response->fault = r == -ECANCELED ? HTTP_FAULT_CANCELED : HTTP_FAULT_OTHER;
	call->response->reason = xstrdup(err.text);
	wake_caller(call);
}

int net_call(struct net *net, const struct http_request *request, struct http_response *response)
{
	struct waiting_call call = { .net = net, .asked = request, .response = response };
	call.request = *request;
	call.request.arg = &call;
	call.request.done = call_done;
	call.request.sink = request->sink ? call_sink : NULL;
	call.request.source = request->source ? call_source : NULL;
	*response = (struct http_response){ 0 };
	pthread_mutex_init(&call.lock, NULL);
	pthread_cond_init(&call.changed, NULL);
	net_post(net, call_start, &call);
	pthread_mutex_lock(&call.lock);
	while (!call.ended)
		pthread_cond_wait(&call.changed, &call.lock);
	pthread_mutex_unlock(&call.lock);
	pthread_cond_destroy(&call.changed);
	pthread_mutex_destroy(&call.lock);
	return response->code;
}
