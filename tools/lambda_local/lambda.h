/*
 * A Lambda of one machine: what its parts know of each other. The service (service.c) has
 * functions (function.c), which have versions; a version runs in instances (instance.c), each a
 * process of its own that asks the Runtime API (runtime_api.c) for invocations; an invocation
 * (invocation.c) is one Invoke, from its arrival to its answer.
 *
 * Threads: one, the loop's. Private to this program.
 */
#ifndef GGFS_TOOLS_LAMBDA_LOCAL_LAMBDA_H
#define GGFS_TOOLS_LAMBDA_LOCAL_LAMBDA_H

#include <jansson.h>
#include <stdio.h>

#include "common/aws/sigv4.h"
#include "tools/lambda_local/faults.h"
#include "tools/lambda_local/options.h"
#include "tools/lambda_local/sandbox.h"
#include "tools/lambda_local/web.h"

enum {
	PAYLOAD_MAX = 6291456,          /* of a synchronous request */
	PAYLOAD_EVENT_MAX = 1 << 20,    /* of an asynchronous one */
	ANSWER_MAX = 6291556,           /* of a function */
	MANAGEMENT_BODY_MAX = 72 << 20, /* a package of PACKAGE_ZIP_MAX in base64, and its frame */
	PACKAGE_ZIP_MAX = 50 << 20,
	PACKAGE_UNPACKED_MAX = 250 << 20,
	FUNCTIONS_MAX = 1000,
	VERSIONS_MAX = 1000, /* published ones of a function */
	INSTANCES_MAX = 16384,
	EVENTS_MAX = 10000,   /* asynchronous invocations that wait */
	EVENTS_LOOK_MS = 100, /* how often it is tried to start them when nothing else happens */
	INIT_MS_MAX = 10000,
	LOG_TAIL_MAX = 4096,
	REQUEST_ID_LEN = 36,
};

/* An unpacked zip file; shared by all versions and instances that have it. */
struct package {
	unsigned references;
	char sha256[45]; /* base64, as the API shows it */
	size_t size_bytes;
	char *dir, *zip;
};

struct version {
	unsigned references; /* of the function, of instances, of invocations */
	struct function *function;
	char name[16];  /* "$LATEST", "1", ... */
	json_t *config; /* a FunctionConfiguration, without what state.c adds */
	struct package *package;
	unsigned memory_mib, tmp_mib, timeout_s;
	struct instance *idle; /* the one that worked last is first */
};

struct function {
	struct service *service;
	char *name, *arn;
	bool deleted; /* lives on until its last version is let go */
	struct version *latest;
	struct version **published;
	size_t published_count, published_capacity;
	unsigned versions_made;
	int reserved; /* concurrency; -1: none */
	int64_t created_ms, updated_ms;
	unsigned in_flight, references;
	double starts_left;   /* instances that the scaling rate still allows ... */
	int64_t starts_at_ms; /* ... as of then */
	struct function *next;
};

enum instance_state {
	INSTANCE_COLD,     /* its process is yet to be started */
	INSTANCE_STARTING, /* has not asked for an invocation yet */
	INSTANCE_IDLE,
	INSTANCE_BUSY,
	INSTANCE_ANSWERED, /* has answered, and not asked for the next */
	INSTANCE_DEAD,     /* killed, to be waited for */
};

struct instance {
	struct service *service;
	struct version *version;
	enum instance_state state;
	unsigned slot, generation; /* its address: 127.x.y.z */
	char log_stream[80];
	struct sandbox_process process;
	struct loop_watch *exit_watch, *output_watch;
	struct loop_timer *timer; /* cold start, initialisation, expiry */
	int64_t started_us;
	uint64_t init_us; /* 0: not known yet */
	bool init_told;   /* a REPORT has had it */
	bool over_memory, expired;
	uint64_t rss_kib, rss_kib_max;
	struct web_request *next_request; /* waits for an invocation */
	struct invocation *invocation;
	struct instance *previous, *next; /* all of the service's */
	struct instance *previous_idle, *next_idle;
};

struct invocation {
	struct service *service;
	struct version *version;
	struct instance *instance;
	char id[REQUEST_ID_LEN + 1], trace_id[80];
	struct buf payload;
	struct web_request *request; /* NULL: asynchronous, or the client is not there any more */
	bool event, tail, cold;
	enum fault fault;
	const char *fault_reason; /* of a 429 */
	struct loop_timer *timer;
	int64_t arrived_us, run_us, deadline_ms; /* run_us 0: has not begun; deadline: since 1970 */
	uint64_t duration_us, init_us;
	uint64_t rss_kib_max;
	struct buf log; /* the last LOG_TAIL_MAX bytes of it, now and then more */
	bool counted;   /* in flight */
	bool answered;
	struct buf answer;
	bool function_error;
	struct invocation *previous, *next; /* all of the service's */
	struct invocation *next_event;      /* in service.events */
};

struct counters {
	uint64_t requests, invocations, throttled, function_errors, refused;
	uint64_t cold_starts, billed_ms, out_of_memory, timed_out;
	uint64_t in_flight, in_flight_max, instances, instances_max;
	uint64_t faults[FAULT_COUNT];
};

struct service {
	struct loop *loop;
	const struct options *options;
	struct web *api, *runtime;
	unsigned api_port, runtime_port;
	char *dir;
	struct aws_keys keys; /* access_key NULL: signatures are not looked at */
	struct function *functions;
	struct instance *instances;
	struct instance *slots[INSTANCES_MAX];
	unsigned next_slot;
	int64_t looked_ms; /* at everybody's memory */
	unsigned generations[INSTANCES_MAX];
	struct invocation *invocations;
	struct invocation *events, **events_end;
	unsigned event_count;
	struct loop_timer *events_timer;
	struct package **packages;
	size_t package_count, package_capacity;
	struct sandbox_mode sandbox;
	struct fault_plan faults;
	struct buf last_answer; /* for FAULT_OTHER_THUNK */
	FILE *log, *function_log;
	struct loop_timer *sampler;
	struct counters counters;
};

/* --- service.c --------------------------------------------------------------------------------
 */

int service_new(struct loop *loop, const struct options *options, struct service **out,
                struct error *err);
void service_free(struct service *s); /* kills all instances and waits for them */
json_t *service_counters(const struct service *s);

/* --- packages (package.c) ---------------------------------------------------------------------
 */

/* Unpacks a zip file, or finds it unpacked already. *out is a reference to give back. -EINVAL: no
 * zip file; -EFBIG: over a limit. */
int package_get(struct service *s, const void *zip, size_t len, struct package **out,
                struct error *err);
void package_put(struct service *s, struct package *p);

/* --- functions (function.c, settings.c) -------------------------------------------------------
 */

struct function *function_find(struct service *s, const char *name);
struct function *function_new(struct service *s, const char *name);
void function_delete(struct function *f);
/* "" or "$LATEST": the latest; NULL when there is no such version. */
struct version *function_version(struct function *f, const char *qualifier);
/* A version with the settings of a request (CreateFunction or UpdateFunctionConfiguration) over
 * those of before (NULL: defaults); package may be NULL: as before. Takes a reference. -EINVAL. */
int version_new(struct function *f, const struct version *before, json_t *request,
                struct package *package, struct version **out, struct error *err);
void version_put(struct version *v); /* NULL is fine */
struct version *version_ref(struct version *v);
/* Makes it the latest; idle instances of the former one end. */
void function_set_latest(struct function *f, struct version *v);
struct version *function_publish(struct function *f, const char *description);
/* Whether it is not yet to be invoked (Pending), or not to be changed (InProgress) now. */
bool function_pending(const struct function *f);
bool function_updating(const struct function *f);
/* A FunctionConfiguration. */
json_t *version_describe(const struct version *v);

/* --- instances (instance.c, memory.c) ---------------------------------------------------------
 */

/* A new one for the invocation, or an idle one. False: no slot is left. */
bool instance_take(struct invocation *inv);
bool instance_is_idle(const struct version *v);
struct instance *instance_at(struct service *s, const struct sockaddr_in *address);
/* Asked for the next invocation. */
void instance_next(struct instance *i, struct web_request *r);
/* Answered the one it had; its owner is invocation_answer. */
void instance_answered(struct instance *i);
/* Kills its processes; what is left of it goes when they are gone. */
void instance_kill(struct instance *i);
void instance_retire(struct version *v); /* idle ones of it are killed, others after their work */
/* Looks at the memory of those that work; sets itself going again while there are any. */
void memory_watch(struct service *s);
void memory_look(struct service *s);

/* --- invocations (invocation.c, invoke.c, report.c) -------------------------------------------
 */

/* POST /2015-03-31/functions/NAME/invocations */
void invoke(struct service *s, struct web_request *r, const char *name, const char *qualifier);
/* The instance is there, and begins with it. */
void invocation_begins(struct invocation *inv);
/* True: a fault on order has it die now, the function having been quicker. */
bool invocation_dies(struct invocation *inv);
/* What the function said; the answer goes out when its instance asks for the next. */
void invocation_answer(struct invocation *inv, const void *bytes, size_t len, bool error);
/* An error of Lambda's own making: {"errorType": ..., "errorMessage": ...}. */
void invocation_fail(struct invocation *inv, const char *type, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
/* Sends the answer and frees. */
void invocation_end(struct invocation *inv);
void invocation_log(struct invocation *inv, const char *bytes, size_t len);
/* Starts asynchronous ones that wait. */
void events_start(struct service *s);
void events_start_later(void *service);
void request_id_make(char out[REQUEST_ID_LEN + 1]);

/* START, and END and REPORT lines. */
void report_start(struct invocation *inv);
void report_end(struct invocation *inv);
/* One line for --log. */
void report_record(struct invocation *inv, unsigned status);
/* In milliseconds, initialisation included. */
uint64_t billed_ms(const struct invocation *inv);

/* With --emulate: answers by itself. */
void emulate_run(struct invocation *inv);

/* --- answers (answers.c) ----------------------------------------------------------------------
 */

void answer_json(struct web_request *r, unsigned status, json_t *body); /* takes body */
void answer_empty(struct web_request *r, unsigned status);
/* As AWS has its errors: x-amzn-errortype and {"Type": ..., "Message": ...}. reason: of a 429. */
void answer_error(struct web_request *r, unsigned status, const char *type, const char *reason,
                  const char *format, ...) __attribute__((format(printf, 5, 6)));
void error_answer(struct web_answer *a, unsigned status, const char *type, const char *reason,
                  const char *message);

/* --- handlers ---------------------------------------------------------------------------------
 */

void api_handle(void *service, struct web_request *r);     /* api.c */
void runtime_handle(void *service, struct web_request *r); /* runtime_api.c */
/* /_ggfs/...: counters and what tests ask for. */
void control_handle(struct service *s, struct web_request *r);
/* False: it has been answered that it is not signed rightly. */
bool request_is_signed(struct service *s, struct web_request *r);

#endif
