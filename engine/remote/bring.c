#include "engine/remote/bring.h"

#include <pthread.h>
#include <string.h>

#include "common/log.h"
#include "engine/digest_map.h"
#include "engine/remote/inputs.h"
#include "common/pool.h"

/* What shares in flight have in common; it outlives the struct bring while there are any. */
struct sharing {
	struct far *far;
	unsigned under_way;
	bool closed; /* the last one frees it */
};

struct bring {
	struct net *net;
	struct far *far;
	struct store *near;
	struct pool *work;
	struct digest_map whole; /* input sets; of the work thread */
	struct sharing *sharing;
};

struct bringing {
	struct bring *b;
	const struct thunk *thunk;
	bring_done_fn *done;
	void *arg;
	bool reading, cancelled;
	unsigned rounds; /* each brings manifests one level further down */
	/* What the work thread found. */
	struct inputs missing;
	enum outcome outcome;
	bool has_absent;
	struct digest absent;
	struct error error;
	struct pulling *pulling; /* under way */
};

/* Lives until far has answered, which nothing can hasten. */
struct pulling {
	struct bringing *bringing; /* NULL: it was cancelled */
};

struct waiter {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	bool over; /* guarded by mutex */
	loop_fn *fn;
	void *arg;
};

static void run_waited(void *arg)
{
	struct waiter *w = arg;
	w->fn(w->arg);
	pthread_mutex_lock(&w->mutex);
	w->over = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->mutex);
}

void net_run(struct net *net, loop_fn *fn, void *arg)
{
	struct waiter w = { .fn = fn, .arg = arg };
	pthread_mutex_init(&w.mutex, NULL);
	pthread_cond_init(&w.cond, NULL);
	net_post(net, run_waited, &w);
	pthread_mutex_lock(&w.mutex);
	while (!w.over)
		pthread_cond_wait(&w.cond, &w.mutex);
	pthread_mutex_unlock(&w.mutex);
	pthread_cond_destroy(&w.cond);
	pthread_mutex_destroy(&w.mutex);
}

int bring_new(struct net *net, struct far *far, struct store *near, struct bring **out,
              struct error *err)
{
	struct bring *b = xcalloc(1, sizeof(*b));
	*b = (struct bring){ .net = net, .far = far, .near = near };
	int r = pool_new("ggfs-bring", 1, &b->work, err);
	if (r < 0) {
		free(b);
		return r;
	}
	b->sharing = xcalloc(1, sizeof(*b->sharing));
	b->sharing->far = far;
	*out = b;
	return 0;
}

static void sharing_over(struct sharing *s)
{
	if (s->closed && s->under_way == 0)
		free(s);
}

static void close_sharing(void *arg)
{
	struct sharing *s = arg;
	s->closed = true;
	sharing_over(s);
}

void bring_free(struct bring *b)
{
	if (!b)
		return;
	pool_free(b->work);
	net_run(b->net, close_sharing, b->sharing);
	digest_map_release(&b->whole);
	free(b);
}

/* --- bringing --------------------------------------------------------------------------------- */

static void end(struct bringing *g)
{
	const char *reason = g->outcome == OUTCOME_CANCELLED ? "cancelled" : g->error.text;
	g->done(g->arg, g->outcome, g->has_absent ? &g->absent : NULL, reason);
	sending_release(&g->missing);
	free(g);
}

/* Sets are many thunks' and large: one that was whole once is not looked through again. */
static int look_set(struct bringing *g, const struct sized_digest *set)
{
	struct bring *b = g->b;
	size_t before = g->missing.count + g->missing.unread;
	if (digest_map_get(&b->whole, &set->digest))
		return 0;
	int r = inputs_add_manifest(&g->missing, b->near, &set->digest, set->size_bytes, &g->absent,
	                            &g->error);
	if (r < 0 || g->missing.count + g->missing.unread > before)
		return r;
	if (b->whole.count >= BRING_SETS_MAX) {
		digest_map_release(&b->whole);
		b->whole = DIGEST_MAP_INIT;
	}
	digest_map_put(&b->whole, &set->digest, b);
	return 0;
}

static int look(struct bringing *g)
{
	const struct thunk *t = g->thunk;
	int r = 0;
	for (size_t i = 0; r == 0 && i < t->inputs.count; i++)
		if (t->inputs.entries[i].kind == ENTRY_FILE)
			r = inputs_add_ref(&g->missing, g->b->near, &t->inputs.entries[i].ref,
			                   &g->absent, &g->error);
	for (size_t i = 0; r == 0 && i < t->set_count; i++)
		r = look_set(g, &t->sets[i]);
	if (r == 0 && t->has_toolchain)
		r = look_set(g, &t->toolchain);
	return r;
}

static void looked(void *arg);

/* On the work thread. */
static void look_at_inputs(void *arg)
{
	struct bringing *g = arg;
	static const struct digest none;
	g->absent = none;
	int r = look(g);
	if (r < 0) {
		g->outcome = r == -EBADMSG                 ? OUTCOME_BAD_INPUT
		             : r == -EFBIG || r == -EINVAL ? OUTCOME_REFUSED
		                                           : OUTCOME_LOST;
		g->has_absent = r == -EBADMSG && !digest_equal(&g->absent, &none);
	}
	net_post(g->b->net, looked, g);
}

static void start_looking(struct bringing *g)
{
	sending_release(&g->missing);
	g->missing.absent_only = true;
	g->reading = true;
	g->rounds++;
	pool_submit(g->b->work, look_at_inputs, g);
}

static enum outcome outcome_of(int code)
{
	switch (code) {
	case 0:
		return OUTCOME_DONE;
	case -ENOENT:
	case -EBADMSG:
		return OUTCOME_BAD_INPUT;
	case -EACCES:
		return OUTCOME_DENIED;
	case -ENETDOWN:
		return OUTCOME_UNREACHABLE;
	case -ENOSPC:
	case -EDQUOT:
		return OUTCOME_NO_ROOM;
	default:
		return OUTCOME_LOST;
	}
}

static void pulled(void *arg, int code, const struct digest *absent, const struct error *err)
{
	struct pulling *p = arg;
	struct bringing *g = p->bringing;
	free(p);
	if (!g)
		return;
	g->pulling = NULL;
	g->outcome = outcome_of(code);
	if (code < 0) {
		g->has_absent = g->outcome == OUTCOME_BAD_INPUT && absent;
		if (absent)
			g->absent = *absent;
		error_set(&g->error, code, "its inputs cannot be brought here: %s",
		          err ? error_text(err) : strerror(-code));
		end(g);
	} else if (g->missing.unread && g->rounds < INPUTS_DEPTH_MAX) {
		start_looking(g);
	} else {
		end(g);
	}
}

static void looked(void *arg)
{
	struct bringing *g = arg;
	g->reading = false;
	if (g->cancelled)
		g->outcome = OUTCOME_CANCELLED;
	if (g->outcome != OUTCOME_DONE || g->missing.count == 0) {
		end(g);
		return;
	}
	struct pulling *p = xcalloc(1, sizeof(*p));
	p->bringing = g;
	g->pulling = p;
	far_pull(g->b->far, g->missing.blobs, g->missing.count, pulled, p);
}

struct bringing *bring_inputs(struct bring *b, const struct thunk *t, bring_done_fn *done,
                              void *arg)
{
	struct bringing *g = xcalloc(1, sizeof(*g));
	*g = (struct bringing){ .b = b, .thunk = t, .done = done, .arg = arg };
	start_looking(g);
	return g;
}

void bring_cancel(struct bringing *g)
{
	g->cancelled = true;
	if (!g->pulling)
		return;
	g->pulling->bringing = NULL;
	g->outcome = OUTCOME_CANCELLED;
	end(g);
}

/* On the work thread. */
static void forget(void *arg)
{
	struct bring *b = arg;
	digest_map_release(&b->whole);
	b->whole = DIGEST_MAP_INIT;
}

void bring_doubt(struct bring *b)
{
	pool_submit(b->work, forget, b);
}

/* --- sharing ---------------------------------------------------------------------------------- */

struct share {
	struct bring *b; /* until it was listed */
	struct sharing *sharing;
	struct memo memo;
	struct inputs outputs;
	int code;
	struct error error;
};

static void share_end(struct share *s, int code, const struct error *err)
{
	struct sharing *sharing = s->sharing;
	if (code < 0 && code != -ECANCELED)
		log_warning("the result of %s is not in the far store: %s",
		            digest_hex(&s->memo.thunk).text,
		            err ? error_text(err) : strerror(-code));
	memo_release(&s->memo);
	sending_release(&s->outputs);
	free(s);
	sharing->under_way--;
	sharing_over(sharing);
}

static void memo_put(void *arg, int code, const struct error *err)
{
	share_end(arg, code, err);
}

static void outputs_pushed(void *arg, int code, const struct digest *absent,
                           const struct error *err)
{
	struct share *s = arg;
	(void)absent;
	if (code < 0 || s->sharing->closed)
		share_end(s, code, err);
	else
		far_memo_put(s->sharing->far, &s->memo, memo_put, s);
}

static void listed(void *arg)
{
	struct share *s = arg;
	s->b = NULL;
	if (s->code < 0)
		share_end(s, s->code, &s->error);
	else
		far_push(s->sharing->far, s->outputs.blobs, s->outputs.count, outputs_pushed, s);
}

/* On the work thread. */
static void list_outputs(void *arg)
{
	struct share *s = arg;
	struct digest absent;
	for (size_t i = 0; s->code == 0 && i < s->memo.count; i++)
		s->code = inputs_add_ref(&s->outputs, s->b->near, &s->memo.outputs[i].ref, &absent,
		                         &s->error);
	if (s->code == 0 && s->memo.has_stderr)
		s->code = inputs_add_blob(&s->outputs, s->b->near, &s->memo.stderr_digest,
		                          s->memo.stderr_size_bytes, &s->error);
	net_post(s->b->net, listed, s);
}

/* An answer that is again a thunk is of use only with all of that thunk's inputs: not offered. */
static bool is_final(const struct memo *memo)
{
	for (size_t i = 0; i < memo->count; i++)
		if (memo->outputs[i].ref.kind == REF_THUNK)
			return false;
	return true;
}

void bring_share(struct bring *b, const struct memo *memo)
{
	if (!is_final(memo) || b->sharing->under_way >= BRING_SHARES_MAX)
		return;
	struct share *s = xcalloc(1, sizeof(*s));
	*s = (struct share){ .b = b, .sharing = b->sharing };
	memo_copy(&s->memo, memo);
	b->sharing->under_way++;
	pool_submit(b->work, list_outputs, s);
}
