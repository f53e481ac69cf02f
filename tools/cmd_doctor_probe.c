#include <string.h>
#include <sys/random.h>

#include "engine/remote/wire.h"
#include "tools/cmd_doctor_cloud.h"

static char *text_or_null(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

void doctor_request_encode(const struct doctor_cloud *d, struct remote_request *request,
                           struct doctor_request *p)
{
	scoped_free char *url = text_or_null(d->far.url), *region = text_or_null(d->far.region);
	scoped_free char *endpoint = text_or_null(d->far.endpoint);
	request->far_url = url;
	request->far_endpoint = endpoint;
	request->far_region = region;
	request->far_path_style = d->far.path_style;
	remote_request_encode(request, &p->text);
}

void doctor_probe_init(const struct doctor_cloud *d, struct doctor_request *p)
{
	unsigned char random[32] = { 0 };
	ssize_t got = getrandom(random, sizeof(random), 0);
	(void)got; /* so few bytes are never cut short */
	*p = (struct doctor_request){ 0 };
	digest_of(&p->thunk, random, sizeof(random));
	struct remote_request request = { .thunks = &p->thunk, .thunk_count = 1 };
	doctor_request_encode(d, &request, p);
}

void doctor_request_release(struct doctor_request *p)
{
	buf_release(&p->text);
}

static void judge_result(struct doctor_cloud *d, const struct doctor_request *p,
                         const struct remote_result *result)
{
	bool as_should_be = result->outcome == OUTCOME_BAD_INPUT && result->has_absent &&
	                    digest_equal(&result->absent, &p->thunk);
	unsigned long long gets = result->usage.far_gets;
	scoped_free char *subject = xformat("%sstore", d->whose);
	if (!as_should_be)
		found(&d->findings, FINDING_FAILURE, subject,
		      "its own credentials must be allowed what ggfs lambda policy --for role "
		      "prints",
		      "the worker cannot use the far store: %s",
		      result->reason ? result->reason : "it found what is not there");
	else if (!d->far.url)
		found(&d->findings, FINDING_OK, subject, NULL,
		      "the worker has none, as none is set");
	else if (gets == 0)
		found(&d->findings, FINDING_FAILURE, subject, "deploy it anew",
		      "the worker did not look into %s", d->far.url);
	else
		found(&d->findings, FINDING_OK, subject, NULL,
		      "the worker reaches %s and is told what is absent there (%llu request%s)",
		      d->far.url, gets, gets == 1 ? "" : "s");
}

bool doctor_probe_judge(struct doctor_cloud *d, const struct doctor_request *p,
                        const struct http_response *r, const char *deploy)
{
	struct remote_answer answer = { 0 };
	struct error err = ERROR_INIT;
	scoped_free char *subject = xformat("%sworker", d->whose);
	bool well = false;
	if (remote_answer_decode(r->body.data ? r->body.data : "", r->body.len, &answer, &err) < 0)
		found(&d->findings, FINDING_FAILURE, subject, deploy,
		      "what answers there is no ggfs-worker: %s", error_text(&err));
	else if (answer.wrong_version || answer.reason || answer.result_count != 1)
		found(&d->findings, FINDING_FAILURE, subject, deploy,
		      "it runs nothing for ggfs %s: %s", GGFS_VERSION,
		      answer.reason ? answer.reason : "nor says why");
	else
		well = true;
	if (well) {
		found(&d->findings, FINDING_OK, subject, NULL, "ggfs-worker %s, instance %s",
		      answer.version, answer.worker);
		judge_result(d, p, &answer.results[0]);
	}
	remote_answer_release(&answer);
	return well;
}
