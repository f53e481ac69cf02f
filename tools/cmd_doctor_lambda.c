/* The function: what it is, whether it may be invoked, and two invocations that run nothing. */
#include <string.h>
#include <sys/utsname.h>

#include "common/io.h"
#include "engine/remote/verdict.h"
#include "tools/cmd_doctor_cloud.h"

#define DEPLOY "ggfs lambda deploy"

enum {
	TIMEOUT_LOW_S = 60,
	MEMORY_LOW_MIB = 512,
	MEMORY_OF_PROCESSOR_MIB = 1769,
	CONCURRENCY_LOW = 100,
	ANSWER_MAX = 1 << 20,
};

struct lambda_look {
	struct doctor_cloud *d;
	struct findings *f;
	struct lambda_session *s;
	const char *query; /* "Qualifier=..." or "" */
	long long ms;      /* the last invocation's */
};

/* --- what it is --------------------------------------------------------------------------------
 */

static void check_worker(struct lambda_look *l, const json_t *config)
{
	const char *state = lambda_text(config, "State"), *is = lambda_text(config, "Description");
	const char *update = lambda_text(config, "LastUpdateStatus");
	bool works = !*state || strcmp(state, "Active") == 0 || strcmp(state, "Inactive") == 0;
	found(l->f, works ? FINDING_OK : FINDING_FAILURE, "function",
	      works ? NULL : "wait, and look again: ggfs lambda status", "%s in %s: %s%s%s",
	      l->s->function, l->s->region, *state ? state : "there",
	      *update ? ", last update " : "", update);
	bool ours = strcmp(is, "ggfs-worker " GGFS_VERSION) == 0;
	found(l->f, ours ? FINDING_OK : FINDING_FAILURE, "version", ours ? NULL : DEPLOY,
	      ours ? "%s" : "%s: not the worker of ggfs " GGFS_VERSION ", and refuses its requests",
	      *is ? is : "not of ggfs lambda deploy");
}

static const char *machine_here(void)
{
	struct utsname u;
	if (uname(&u) < 0)
		return "";
	return strcmp(u.machine, "x86_64") == 0    ? "x86_64"
	       : strcmp(u.machine, "aarch64") == 0 ? "arm64"
	                                           : "";
}

static void check_size(struct lambda_look *l, const json_t *config)
{
	long long memory = lambda_number(config, "MemorySize");
	long long timeout = lambda_number(config, "Timeout");
	long long tmp = lambda_number(json_object_get(config, "EphemeralStorage"), "Size");
	bool low = memory < MEMORY_LOW_MIB || timeout < TIMEOUT_LOW_S;
	found(l->f, low ? FINDING_WARNING : FINDING_OK, "size",
	      low ? DEPLOY " --memory 1769 --timeout 900; thunks that need more are refused" : NULL,
	      "%lld MiB (%.1f processors), /tmp %lld MiB, timeout %lld s", memory,
	      (double)memory / MEMORY_OF_PROCESSOR_MIB, tmp, timeout);
	const char *arch =
	        json_string_value(json_array_get(json_object_get(config, "Architectures"), 0));
	if (!arch)
		arch = "x86_64";
	bool same = strcmp(arch, machine_here()) == 0;
	const char *priced = doctor_setting(l->d, "lambda.arch");
	if (same && priced && strcmp(priced, arch) != 0)
		found(l->f, FINDING_WARNING, "price", "ggfs config lambda.arch",
		      "%s is priced as %s", arch, priced);
	found(l->f, same ? FINDING_OK : FINDING_FAILURE, "machine",
	      same ? NULL : "deploy a ggfs-worker of this machine's: ggfs lambda deploy --arch",
	      same ? "%s, as here" : "%s, unlike this one: it cannot run what is built here", arch);
}

static void check_concurrency(struct lambda_look *l)
{
	json_int_t limit = 0;
	bool reserved = false;
	struct error err = ERROR_INIT;
	if (lambda_concurrency(l->s, &limit, &reserved, &err) < 0) {
		found(l->f, FINDING_OK, "concurrency", NULL, "not known: %s", error_text(&err));
		return;
	}
	const char *todo = reserved ? "aws lambda delete-function-concurrency --function-name NAME"
	                            : "ask for more: Service Quotas, Lambda, concurrent executions";
	enum finding verdict = limit == 0                ? FINDING_FAILURE
	                       : limit < CONCURRENCY_LOW ? FINDING_WARNING
	                                                 : FINDING_OK;
	found(l->f, verdict, "concurrency", verdict == FINDING_OK ? NULL : todo, "%lld at once, %s",
	      (long long)limit,
	      reserved ? "reserved for it" : "shared with the account's other functions");
}

/* Whether there is something to be invoked. Who forces need not be allowed to look. */
static bool check_function(struct lambda_look *l)
{
	json_t *config = NULL;
	struct error err = ERROR_INIT;
	scoped_free char *path = xformat("/2015-03-31/functions/%s/configuration%s%s",
	                                 l->s->function, *l->query ? "?" : "", l->query);
	int r = lambda_call(l->s, "GET", path, NULL, &config, &err);
	bool may_not = r == -EACCES && strstr(error_text(&err), "AccessDenied");
	const char *todo =
	        "is the address right (ggfs config lambda.endpoint), and can it be reached?";
	if (r == -ENOENT)
		todo = DEPLOY " --role ARN (docs/lambda.md, \"The first time\")";
	else if (may_not)
		todo = "ggfs lambda policy --for deployer has what looking takes; forcing does "
		       "without";
	else if (r == -EACCES)
		todo = "ggfs config --credentials tells whose key it is";
	if (r < 0)
		found(l->f, may_not ? FINDING_WARNING : FINDING_FAILURE, "function", todo, "%s: %s",
		      l->s->function, error_text(&err));
	if (r == 0) {
		check_worker(l, config);
		check_size(l, config);
		check_concurrency(l);
	}
	json_decref(config);
	return r == 0 || may_not;
}

/* --- invocations -------------------------------------------------------------------------------
 */

static int invoke(struct lambda_look *l, const char *type, const struct buf *body,
                  struct http_response *r)
{
	scoped_free char *header = xformat("X-Amz-Invocation-Type: %s", type);
	scoped_free char *path = xformat("/2015-03-31/functions/%s/invocations", l->s->function);
	const char *const headers[] = { "Content-Type: application/json", header,
		                        "X-Amz-Log-Type: Tail" };
	struct error err = ERROR_INIT;
	const struct aws_request request = {
		.path = path,
		.query = l->query,
		.http = { .method = "POST",
		          .headers = headers,
		          .header_count = sizeof(headers) / sizeof(*headers),
		          .body = body->data,
		          .body_len = body->len,
		          .body_max = ANSWER_MAX,
		          .connect_ms = DOCTOR_CONNECT_MS,
		          .whole_ms = DOCTOR_INVOKE_MS },
	};
	int64_t began_ms = now_ms();
	int code = lambda_ask(l->s, &request, r, &err);
	l->ms = (long long)(now_ms() - began_ms);
	doctor_clock(l->d, r, "Lambda");
	return code;
}

static void invocation_fails(struct lambda_look *l, const struct verdict *v)
{
	const char *todo =
	        "aws logs tail /aws/lambda/NAME; docs/engines.md has what ggfs makes of it";
	if (v->kind == VERDICT_DENIED)
		todo = "ggfs lambda policy --for caller has what invoking takes";
	else if (v->kind == VERDICT_THROTTLED)
		todo = "try again; ggfs itself waits";
	else if (v->kind == VERDICT_DIED)
		todo = DEPLOY ", of the function's own architecture";
	found(l->f, FINDING_FAILURE, "invocation", todo, "%s", v->reason ? v->reason : "no answer");
}

static bool may_invoke(struct lambda_look *l, const struct buf *body)
{
	struct http_response r = { 0 };
	struct verdict v = { 0 };
	bool may = invoke(l, "DryRun", body, &r) == 0 && r.status == 204;
	if (may) {
		found(l->f, FINDING_OK, "permission", NULL, "it may be invoked (DryRun)");
	} else {
		verdict_of_lambda(&r, &v);
		invocation_fails(l, &v);
	}
	verdict_release(&v);
	http_response_release(&r);
	return may;
}

static void tell_report(struct lambda_look *l, const struct verdict *v)
{
	const struct report *report = &v->report;
	if (v->has_report)
		found(l->f, FINDING_OK, "bill", NULL,
		      "%llu ms billed, %u of %u MB used, by Lambda's own report",
		      (unsigned long long)report->billed_ms, report->used_mib, report->memory_mib);
	else
		found(l->f, FINDING_WARNING, "bill", NULL,
		      "there is no REPORT line with the answer: ggfs cost has to guess");
}

static void tell_round_trip(struct lambda_look *l, const struct http_response *r,
                            const struct verdict *v, const char *subject)
{
	const char *version = http_header(r, "x-amz-executed-version");
	if (v->has_report && v->report.cold)
		found(l->f, FINDING_OK, subject, NULL,
		      "%lld ms there and back, a new instance (initialised in %llu ms), version %s",
		      l->ms, (unsigned long long)v->report.init_ms, version ? version : "unknown");
	else
		found(l->f, FINDING_OK, subject, NULL,
		      "%lld ms there and back, an instance that was there, version %s", l->ms,
		      version ? version : "unknown");
}

/* Whether the worker answered, which is then told with everything else of the answer. */
static bool invoke_and_tell(struct lambda_look *l, const struct doctor_request *p,
                            const char *subject, struct http_response *r)
{
	struct verdict v = { 0 };
	invoke(l, "RequestResponse", &p->text, r);
	verdict_of_lambda(r, &v);
	bool answered = v.kind == VERDICT_ANSWER;
	if (answered) {
		tell_round_trip(l, r, &v, subject);
		if (strcmp(subject, "invocation") == 0)
			tell_report(l, &v);
	} else {
		invocation_fails(l, &v);
	}
	verdict_release(&v);
	return answered;
}

/* One that runs nothing, and one that runs what is there to be run on any Linux. */
static void check_invocations(struct lambda_look *l, const struct doctor_request *probe)
{
	struct http_response first = { 0 }, second = { 0 };
	struct doctor_request run = { 0 };
	struct error err = ERROR_INIT;
	bool well = invoke_and_tell(l, probe, "invocation", &first) &&
	            doctor_probe_judge(l->d, probe, &first, DEPLOY);
	if (well && doctor_run_init(l->d, &run, &err) < 0) {
		found(l->f, FINDING_WARNING, "run", NULL, "not tried: %s", error_text(&err));
	} else if (well) {
		doctor_hold_signals(l->d);
		if (invoke_and_tell(l, &run, "again", &second))
			doctor_run_judge(l->d, &run, &second);
		doctor_let_signals(l->d);
	}
	doctor_request_release(&run);
	http_response_release(&first);
	http_response_release(&second);
}

void doctor_lambda(struct doctor_cloud *d)
{
	const char *named = doctor_setting(d, "lambda.function");
	const char *colon = named ? strchr(named, ':') : NULL;
	scoped_buf struct buf query = BUF_INIT;
	struct doctor_request probe;
	buf_add_str(&query, colon ? "Qualifier=" : "");
	if (colon)
		aws_uri_encode(colon + 1, false, &query);
	struct lambda_look l = {
		.d = d, .f = &d->findings, .s = &d->session, .query = query.data ? query.data : ""
	};
	doctor_probe_init(d, &probe);
	if (check_function(&l) && may_invoke(&l, &probe.text))
		check_invocations(&l, &probe);
	doctor_request_release(&probe);
}
