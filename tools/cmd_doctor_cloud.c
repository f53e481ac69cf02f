/* `ggfs doctor --cloud`: a hidden verb of ggfs-service, which ggfs runs. */
#include "tools/cmd_doctor_cloud.h"

#include <stddef.h>
#include <string.h>
#include <time.h>

#include "tools/cmd.h"

enum { CLOCK_OFF_S = 60 }; /* requests are refused from 300 s on */

struct doctor_cloud_options {
	const char *store;
	bool json;
};

const char *doctor_setting(const struct doctor_cloud *d, const char *name)
{
	const char *value = settings_get(d->session.settings, name, NULL);
	return *value ? value : NULL;
}

void doctor_clock(struct doctor_cloud *d, const struct http_response *r, const char *host)
{
	struct tm parts = { 0 };
	const char *date = r->code < 0 ? NULL : http_header(r, "date");
	if (d->clock_seen || !date || !strptime(date, "%a, %d %b %Y %H:%M:%S GMT", &parts))
		return;
	long long off = (long long)(time(NULL) - timegm(&parts));
	bool wrong = off > CLOCK_OFF_S || off < -CLOCK_OFF_S;
	d->clock_seen = true;
	found(&d->findings, wrong ? FINDING_WARNING : FINDING_OK, "clock",
	      wrong ? "set it (timedatectl set-ntp true); ggfs corrects itself by the answers, "
	              "other programs do not"
	            : NULL,
	      "%lld s %s that of %s", off < 0 ? -off : off, off < 0 ? "behind" : "ahead of", host);
}

void doctor_hold_signals(struct doctor_cloud *d)
{
	sigset_t ends;
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &ends, &d->signals);
}

void doctor_let_signals(struct doctor_cloud *d)
{
	pthread_sigmask(SIG_SETMASK, &d->signals, NULL);
}

static void take_far(struct doctor_cloud *d)
{
	const char *style = doctor_setting(d, "far.path_style");
	d->far = (struct far_options){
		.url = doctor_setting(d, "far.url"),
		.endpoint = doctor_setting(d, "far.endpoint"),
		.region = doctor_setting(d, "far.region"),
		.path_style = !style ? -1 : strcmp(style, "yes") == 0,
	};
	if (!d->far.endpoint && aws_config_has_endpoint(d->session.config, "s3"))
		d->far.endpoint = d->s3_endpoint =
		        aws_config_endpoint(d->session.config, "s3", NULL);
	if (!d->far.region)
		d->far.region = aws_config_region(d->session.config, NULL);
}

/* A far store is what Lambda is used with, unless there is a worker of another kind. */
static bool lambda_is_meant(const struct doctor_cloud *d)
{
	const char *source = "", *engine = doctor_setting(d, "engine");
	settings_get(d->session.settings, "lambda.function", &source);
	return (engine && strstr(engine, "lambda")) || doctor_setting(d, "lambda.endpoint") ||
	       strcmp(source, "standard") != 0 || (d->far.url && !doctor_setting(d, "http.url"));
}

static bool check_credentials(struct doctor_cloud *d)
{
	struct error err = ERROR_INIT;
	scoped_free char *text = NULL;
	if (aws_describe_credentials(d->session.aws, &text, &err) == 0) {
		found(&d->findings, FINDING_OK, "credentials", NULL, "%s", text);
		return true;
	}
	found(&d->findings, FINDING_FAILURE, "credentials",
	      "docs/aws.md tells where they are looked for; nothing else of AWS can be looked at",
	      "%s", error_text(&err));
	return false;
}

static void check_aws(struct doctor_cloud *d, bool lambda)
{
	if (!check_credentials(d))
		return;
	if (d->far.url)
		doctor_far(d);
	else
		found(&d->findings, FINDING_WARNING, "far store",
		      "ggfs config far.url s3://BUCKET/PREFIX (docs/far-store.md)",
		      "none is set: only what fits into a request can be forced on a worker");
	if (lambda)
		doctor_lambda(d);
}

static void check_all(struct doctor_cloud *d)
{
	take_far(d);
	bool http = doctor_setting(d, "http.url"), lambda = lambda_is_meant(d);
	if (!http && !lambda && !d->far.url) {
		found(&d->findings, FINDING_WARNING, "cloud",
		      "ggfs config far.url s3://BUCKET/PREFIX; docs/far-store.md, docs/lambda.md",
		      "nothing is set up: neither a far store, nor Lambda, nor an HTTP worker");
		return;
	}
	if (lambda || d->far.url)
		check_aws(d, lambda);
	if (http)
		doctor_http(d);
}

static int run(const void *given, int argc, char **argv)
{
	const struct doctor_cloud_options *o = given;
	const struct lambda_options options = { .store = o->store };
	struct doctor_cloud d = { .whose = "" };
	struct error err = ERROR_INIT;
	(void)argc, (void)argv;
	findings_begin(&d.findings, o->json);
	if (lambda_session_open(&options, &d.session, &err) < 0) {
		found(&d.findings, FINDING_FAILURE, "settings", "ggfs config shows them", "%s",
		      error_text(&err));
	} else {
		d.session.tries = 1;
		d.session.whole_ms = DOCTOR_WHOLE_MS;
		check_all(&d);
	}
	lambda_session_release(&d.session);
	free(d.s3_endpoint);
	return findings_end(&d.findings);
}

static const struct verb_option option_table[] = {
	OPTION_STORE(doctor_cloud_options),
	OPTION_JSON(doctor_cloud_options),
	{ 0 },
};

const struct verb verb_doctor_cloud = {
	.name = "doctor-cloud",
	.synopsis = "[OPTION]...",
	.summary = "what ggfs doctor --cloud runs",
	.description = "See ggfs doctor --help.",
	.options = option_table,
	.options_size = sizeof(struct doctor_cloud_options),
	.hidden = true,
	.run = run,
};
