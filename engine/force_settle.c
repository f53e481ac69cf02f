/* A node's result or failure is known: it is recorded, and the node queued to tell who waits. */
#include <assert.h>
#include <errno.h>

#include "common/io.h"
#include "common/log.h"
#include "engine/force_impl.h"

/* --- records and notices ---------------------------------------------------------------------- */

const struct digest *node_origin(const struct node *n)
{
	const struct want *first = TAILQ_FIRST(&n->waiters);
	if (!n->asked && first && first->kind == WANT_RESOLVED)
		return &first->owner->digest;
	return &n->digest;
}

void notice_event(const struct node *n, int kind, const char *stderr_tail)
{
	struct forcer *f = n->forcer;
	if (!f->event)
		return;
	struct notice *notice = xcalloc(1, sizeof(*notice));
	notice->is_event = true;
	notice->event.kind = kind;
	notice->event.thunk = *node_origin(n);
	const char *label = n->label ? n->label : n->memo.count ? n->memo.outputs[0].path : "";
	notice->event.label = xstrdup(label);
	notice->event.stderr_tail = xstrdup(stderr_tail);
	TAILQ_INSERT_TAIL(&f->notices, notice, link);
	forcer_schedule(f);
}

static void notice_settled(struct node *n, int code)
{
	struct forcer *f = n->forcer;
	if (!f->settled)
		return;
	struct notice *notice = xcalloc(1, sizeof(*notice));
	notice->thunk = n->digest;
	notice->code = code;
	TAILQ_INSERT_TAIL(&f->notices, notice, link);
	forcer_schedule(f);
}

static void add_record(struct node *n, const struct digest *thunk, int code, uint64_t micros,
                       bool known, uint64_t cost, const char *engine, const char *stderr_tail)
{
	char empty[] = "";
	struct log_record record = {
		.when_ns = wall_ns(),
		.thunk = *thunk,
		.label = n->label ? n->label : empty,
		.asker = n->asker->text,
		.micros = micros,
		.code = code,
		.memoised = known,
		.cost_nanodollars = cost,
	};
	scoped_free char *engine_copy = xstrdup(engine ? engine : "");
	scoped_free char *tail_copy = xstrdup(stderr_tail ? stderr_tail : "");
	record.engine = engine_copy;
	record.stderr_tail = tail_copy;
	index_log_add(n->forcer->index, &record);
}

void node_log(struct node *n, const struct digest *thunk, int code, uint64_t micros, uint64_t cost,
              const char *engine, const char *stderr_tail)
{
	add_record(n, thunk, code, micros, false, cost, engine, stderr_tail);
}

void node_log_known(struct node *n)
{
	add_record(n, &n->digest, 0, 0, true, 0, n->memo.engine, NULL);
}

/* How long readers are told so without another try; -1: not at all, 0: until `retry`. */
static int64_t remembered_until(int code, int64_t when_ns)
{
	switch (code) {
	case EREMOTEIO:
	case EDQUOT: /* told, but not heeded: a budget may have been raised */
		return 0;
	case ETIMEDOUT:
	case ENOSPC:
	case ENETDOWN:
	case EACCES:
	case ELOOP:
		return when_ns + FORCE_REMEMBER_NS;
	default:
		return -1;
	}
}

/* Written before anyone is told, so that who gets the errno finds the reason. */
static void record_failure(struct node *n)
{
	struct forcer *f = n->forcer;
	struct failure *failure = &n->failure->failure;
	struct error err = ERROR_INIT;
	if (n->kind != NODE_THUNK || n->memoised || !n->asked ||
	    !digest_equal(&failure->thunk, &n->digest))
		return;
	failure->when_ns = wall_ns();
	failure->until_ns = remembered_until(failure->code, failure->when_ns);
	f->failures_made++;
	if (failure->until_ns >= 0 && index_failure_put(f->index, failure, &err) < 0)
		log_warning("the failure of %s is not remembered: %s", digest_hex(&n->digest).text,
		            error_text(&err));
	scoped_free char *text = xformat("%s%s%s", failure->reason,
	                                 *failure->stderr_tail ? "\n" : "", failure->stderr_tail);
	node_log(n, &n->digest, failure->code, n->failure->micros, n->failure->cost,
	         failure->engine, text);
}

/* --- settling -----------------------------------------------------------------------------------
 */

static void settle(struct node *n)
{
	assert(n->state != NODE_SETTLED && !n->job);
	node_off_queues(n);
	node_enter(n, NODE_SETTLED);
	node_to_agenda(n);
	node_release_wants(n);
}

void node_settle_memo(struct node *n)
{
	if (n->asked && n->memoised) {
		n->forcer->counts.memoised++;
		notice_event(n, FORCE_EVENT_KNOWN, "");
	} else if (n->asked) {
		notice_settled(n, 0);
	}
	settle(n);
}

void node_settle_set(struct node *n)
{
	settle(n);
}

void node_settle_failure(struct node *n, struct shared_failure *failure)
{
	failure_unshare(n->failure);
	n->failure = failure;
	record_failure(n);
	if (n->asked && !n->memoised) {
		n->forcer->counts.failed++;
		notice_settled(n, -failure->failure.code);
	}
	settle(n);
}
