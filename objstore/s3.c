/* One request's life: sent, judged, sent again or done. */
#include "objstore/s3_private.h"

#include <assert.h>
#include <pthread.h>
#include <sys/random.h>

#include "common/io.h"
#include "common/log.h"
#include "objstore/s3_judge.h"

enum { CONNECT_MS = 10000, RETRY_AFTER_MAX_S = 20 };

struct loop *s3_loop(const struct s3 *s3)
{
	return net_loop(aws_net(s3->aws));
}

uint32_t s3_random(struct s3 *s3)
{
	uint32_t high = (uint32_t)rand_r(&s3->seed);
	return high << 16 ^ (uint32_t)rand_r(&s3->seed);
}

int s3_new(struct aws *aws, const struct far_options *options, struct s3 **out, struct error *err)
{
	struct s3 *s3 = xcalloc(1, sizeof(*s3));
	int r = s3_place_init(&s3->place, aws_get_config(aws), options, err);
	if (r < 0) {
		free(s3);
		return r;
	}
	s3->aws = aws;
	s3->connections = options->connections ? options->connections : FAR_CONNECTIONS_DEFAULT;
	s3->window = s3->threshold = s3->connections * S3_WINDOW_UNIT;
	s3->limits = S3_LIMITS;
	s3_budget_fill(&s3->budget);
	if (getrandom(&s3->seed, sizeof(s3->seed), GRND_NONBLOCK) != sizeof(s3->seed))
		s3->seed = (unsigned)now_us();
	*out = s3;
	return 0;
}

void s3_free(struct s3 *s3)
{
	if (!s3)
		return;
	assert(!s3->all);
	s3_place_release(&s3->place);
	free(s3);
}

const struct s3_place *s3_get_place(const struct s3 *s3)
{
	return &s3->place;
}

struct net *s3_net(const struct s3 *s3)
{
	return aws_net(s3->aws);
}

unsigned s3_connections(const struct s3 *s3)
{
	return s3->connections;
}

void s3_set_limits(struct s3 *s3, const struct s3_limits *limits)
{
	s3->limits = *limits;
}

void s3_usage(struct s3 *s3, struct far_usage *out)
{
	*out = (struct far_usage){
		.puts = atomic_load(&s3->usage.puts),
		.gets = atomic_load(&s3->usage.gets),
		.lists = atomic_load(&s3->usage.lists),
		.deletes = atomic_load(&s3->usage.deletes),
		.sent_bytes = atomic_load(&s3->usage.sent_bytes),
		.received_bytes = atomic_load(&s3->usage.received_bytes),
		.retries = atomic_load(&s3->usage.retries),
		.paused = atomic_load(&s3->usage.paused),
	};
}

static struct s3_op *op_new(struct s3 *s3, const struct s3_request *r)
{
	struct s3_op *op = xcalloc(1, sizeof(*op));
	op->s3 = s3;
	op->r = *r;
	op->path = s3_path(&s3->place, r->key);
	op->query = r->query ? xstrdup(r->query) : NULL;
	op->payload_sha256 = r->payload_sha256 ? xstrdup(r->payload_sha256) : NULL;
	for (size_t i = 0; i < r->header_count; i++)
		strv_add(&op->headers, r->headers[i]);
	op->of_bucket = !r->key;
	op->r.key = op->r.query = op->r.payload_sha256 = NULL;
	op->r.headers = NULL;
	op->queued_ms = r->since_ms ? r->since_ms : now_ms();
	return op;
}

static void list(struct s3_op *op)
{
	op->listed = true;
	op->next = op->s3->all;
	if (op->next)
		op->next->prev = op;
	op->s3->all = op;
}

static void unlist(struct s3_op *op)
{
	if (!op->listed)
		return;
	if (op->prev)
		op->prev->next = op->next;
	else
		op->s3->all = op->next;
	if (op->next)
		op->next->prev = op->prev;
}

static void op_free(struct s3_op *op)
{
	unlist(op);
	free(op->last);
	strv_release(&op->headers);
	free(op->path);
	free(op->query);
	free(op->payload_sha256);
	free(op);
}

void s3_op_finish(struct s3_op *op, int code, struct http_response *response,
                  const struct error *err)
{
	struct s3_answer answer = { .code = code, .response = response, .err = err };
	s3_done_fn *done = op->r.done;
	void *arg = op->r.arg;
	op_free(op);
	done(arg, &answer);
}

static void count_request(struct s3 *s3, const struct s3_op *op)
{
	const char *method = op->r.method;
	bool list = op->of_bucket && op->query && strstr(op->query, "list-type=2");
	if (strcmp(method, "DELETE") == 0)
		atomic_fetch_add(&s3->usage.deletes, 1);
	else if (list)
		atomic_fetch_add(&s3->usage.lists, 1);
	else if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
		atomic_fetch_add(&s3->usage.gets, 1);
	else
		atomic_fetch_add(&s3->usage.puts, 1);
	if (op->failures > 0)
		atomic_fetch_add(&s3->usage.retries, 1);
}

static void on_queue_again(void *arg)
{
	struct s3_op *op = arg;
	op->timer = NULL;
	s3_enqueue(op);
}

/* Retry-After in seconds, where the service gives it; else 0. */
static int64_t asked_to_wait_ms(const struct http_response *r)
{
	const char *text = r ? http_header(r, "retry-after") : NULL;
	long seconds = text ? strtol(text, NULL, 10) : 0;
	if (seconds < 0)
		return 0;
	return 1000 * (seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S);
}

static void send_again_later(struct s3_op *op, const struct http_response *response)
{
	struct s3 *s3 = op->s3;
	int64_t delay = s3_backoff_ms(&s3->limits, op->failures - 1, s3_random(s3));
	int64_t asked = asked_to_wait_ms(response);
	op->timer = loop_after(s3_loop(s3), delay > asked ? delay : asked, on_queue_again, op);
}

/* A failure that may pass: what becomes of the op, and of all. */
static void on_trouble(struct s3_op *op, enum s3_verdict verdict, struct http_response *response,
                       const struct error *err)
{
	struct s3 *s3 = op->s3;
	if (!op->last)
		op->last = xmalloc(sizeof(*op->last));
	*op->last = *err;
	s3->failures_in_row++;
	/* Who is throttled sends less, and need not pay for trying again besides. */
	if (verdict == S3_SLOW)
		s3_throttled(s3, op);
	bool spent = verdict == S3_AGAIN && !s3_budget_take(&s3->budget);
	if (s3->paused)
		s3_probe_failed(s3, op);
	else if (verdict == S3_AWAY || spent || s3_seems_away(s3))
		s3_pause(s3);
	if (s3->paused) {
		s3_enqueue(op);
		return;
	}
	if (++op->failures < s3->limits.attempts) {
		send_again_later(op, response);
		return;
	}
	struct error last = *op->last;
	int code = error_prefix(&last, -ENETDOWN, "given up after %u attempts", op->failures);
	s3_op_finish(op, code, response, &last);
}

static void on_response(struct s3_op *op, struct http_response *response)
{
	struct s3 *s3 = op->s3;
	struct error err = ERROR_INIT;
	int code;
	enum s3_verdict verdict = s3_judge(&s3->place, response, op->r.late_error, &code, &err);
	if (verdict == S3_UNCONDITIONAL && op->r.conditional && !s3->unconditional) {
		log_info("%s: no conditional put here; going on without", s3->place.url);
		s3->unconditional = true;
		s3_enqueue(op);
	} else if (verdict == S3_SETTLED || verdict == S3_UNCONDITIONAL) {
		/* A fault of ours (no credentials, no room) tells nothing of the service. */
		if (response->code == 0)
			s3_went_well(s3);
		s3_op_finish(op, code, response, code < 0 ? &err : NULL);
	} else {
		on_trouble(op, verdict, response, &err);
	}
}

static void on_answer(void *arg, struct http_response *response)
{
	struct s3_op *op = arg;
	struct s3 *s3 = op->s3;
	op->call = NULL;
	s3->active--;
	atomic_fetch_add(&s3->usage.sent_bytes, response->sent_bytes);
	atomic_fetch_add(&s3->usage.received_bytes, response->received_bytes);
	s3_probe_ended(s3, op);
	on_response(op, response);
	s3_pump(s3);
}

static void cannot_send(struct s3_op *op, int code, struct error *err)
{
	struct s3 *s3 = op->s3;
	s3->active--;
	s3_probe_ended(s3, op);
	if (code == -EAGAIN && ++op->failures < s3->limits.attempts)
		send_again_later(op, NULL);
	else
		s3_op_finish(op, code, NULL, err);
}

static ssize_t read_source(void *arg, uint64_t offset, void *bytes, size_t len)
{
	struct s3_op *op = arg;
	return op->r.source(op->r.arg, offset, bytes, len);
}

static int write_sink(void *arg, const void *bytes, size_t len)
{
	struct s3_op *op = arg;
	return op->r.sink(op->r.arg, bytes, len);
}

void s3_op_send(struct s3_op *op)
{
	struct s3 *s3 = op->s3;
	struct error err = ERROR_INIT;
	struct s3_request *r = &op->r;
	scoped_strv struct strv headers = STRV_INIT;
	strv_copy(&headers, &op->headers);
	if (r->conditional && !s3->unconditional)
		strv_add(&headers, "If-None-Match: *");
	const struct aws_request request = {
		.service = "s3",
		.region = s3->place.region,
		.scheme = s3->place.scheme,
		.host = s3->place.host,
		.path = op->path,
		.query = op->query,
		.payload_sha256 = op->payload_sha256,
		.http = { .method = r->method,
		          .headers = (const char *const *)headers.items,
		          .header_count = headers.count,
		          .body = r->body,
		          .body_len = r->body_len,
		          .source = r->source ? read_source : NULL,
		          .sink = r->sink ? write_sink : NULL,
		          .body_max = r->body_max,
		          .connect_ms = CONNECT_MS,
		          .stall_ms = s3->limits.stall_ms,
		          .arg = op,
		          .done = on_answer },
	};
	if (r->again)
		r->again(r->arg);
	count_request(s3, op);
	s3->active++;
	op->number = ++s3->sends;
	int code = aws_start(s3->aws, &request, &op->call, &err);
	if (code < 0)
		cannot_send(op, code, &err);
}

static void on_refused(void *arg)
{
	struct s3_op *op = arg;
	struct error err = ERROR_INIT;
	error_set(&err, -ECANCELED, "%s: closed", op->s3->place.url);
	s3_op_finish(op, -ECANCELED, NULL, &err);
}

void s3_start(struct s3 *s3, const struct s3_request *request)
{
	struct s3_op *op = op_new(s3, request);
	if (s3->stopped) {
		loop_post(s3_loop(s3), on_refused, op);
		return;
	}
	list(op);
	s3_enqueue(op);
}

void s3_stop(struct s3 *s3)
{
	struct error err = ERROR_INIT;
	int code = error_set(&err, -ECANCELED, "%s: closed", s3->place.url);
	s3->stopped = true;
	s3_pause_stop(s3);
	s3->queue = NULL;
	while (s3->all) {
		struct s3_op *op = s3->all;
		if (op->call)
			aws_cancel(op->call);
		loop_cancel(op->timer);
		s3_op_finish(op, code, NULL, &err);
	}
}

struct closing {
	struct s3 *s3;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done; /* under the lock */
};

static void tell_closed(void *arg)
{
	struct closing *c = arg;
	pthread_mutex_lock(&c->lock);
	c->done = true;
	pthread_cond_signal(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

static void close_on_net(void *arg)
{
	struct closing *c = arg;
	s3_stop(c->s3);
	/* Behind what was posted for those that ended just now. */
	loop_post(s3_loop(c->s3), tell_closed, c);
}

void s3_close(struct s3 *s3)
{
	struct closing c = { .s3 = s3,
		             .lock = PTHREAD_MUTEX_INITIALIZER,
		             .changed = PTHREAD_COND_INITIALIZER };
	net_post(s3_net(s3), close_on_net, &c);
	pthread_mutex_lock(&c.lock);
	while (!c.done)
		pthread_cond_wait(&c.changed, &c.lock);
	pthread_mutex_unlock(&c.lock);
	pthread_mutex_destroy(&c.lock);
	pthread_cond_destroy(&c.changed);
}
