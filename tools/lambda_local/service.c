#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/io.h"
#include "common/log.h"
#include "tools/lambda_local/lambda.h"

enum { DESCRIPTORS_SPARE = 64, DESCRIPTORS_PER_INSTANCE = 4 };

/* As many as the hard limit allows; what is left for connections. */
static unsigned raise_descriptors(const struct options *o)
{
	struct rlimit l;
	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return 1024;
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
	rlim_t most = l.rlim_max > 1 << 20 ? 1 << 20 : l.rlim_max;
	rlim_t own = DESCRIPTORS_SPARE;
	if (!o->emulate)
		own += (rlim_t)o->processes * DESCRIPTORS_PER_INSTANCE;
	if (most < 2 * own)
		log_warning("only %llu file descriptors: there may be fewer instances at once than "
		            "--processes",
		            (unsigned long long)most);
	return (unsigned)(most > 2 * own ? most - own : most / 2);
}

static int open_log(const char *path, FILE **out, struct error *err)
{
	if (!path)
		return 0;
	*out = fopen(path, "ae");
	return *out ? 0 : error_errno(err, "cannot open %s", path);
}

static int make_dir(struct service *s, struct error *err)
{
	static const char *const below[] = { "root", "packages", "tmp" };
	const struct options *o = s->options;
	const char *base = getenv("TMPDIR");
	s->dir = o->dir ? xstrdup(o->dir) : xformat("%s/ggfs-lambda-XXXXXX", base ? base : "/tmp");
	int r = 0;
	if (o->dir)
		r = make_dirs_at(AT_FDCWD, s->dir, 0755, err);
	else if (!mkdtemp(s->dir))
		return error_errno(err, "cannot make a directory %s", s->dir);
	/* Functions run as another user. */
	if (r == 0 && chmod(s->dir, 0711) < 0)
		r = error_errno(err, "cannot open up %s", s->dir);
	for (size_t i = 0; r == 0 && i < sizeof(below) / sizeof(below[0]); i++) {
		scoped_free char *path = xformat("%s/%s", s->dir, below[i]);
		r = make_dirs_at(AT_FDCWD, path, 0755, err);
	}
	return r;
}

static void look_for_sandbox(struct service *s)
{
	scoped_free char *mount_point = xformat("%s/root", s->dir);
	scoped_free char *why = NULL;
	if (s->options->emulate)
		return;
	if (s->options->no_sandbox)
		why = xstrdup("--no-sandbox");
	else
		s->sandbox = sandbox_probe(mount_point, &why);
	if (!s->sandbox.namespaces)
		log_warning("functions are NOT in a sandbox here: they see this machine's files, "
		            "and nothing bounds what they put into their TMPDIR (%s)",
		            why ? why : "");
}

static int start_web(struct service *s, struct error *err)
{
	const struct options *o = s->options;
	unsigned room = raise_descriptors(o), instances = o->emulate ? 16 : 2 * o->processes + 16;
	int fd;
	s->api_port = o->port;
	int r = web_listen(o->host, false, &s->api_port, &fd, err);
	if (r < 0)
		return r;
	struct web_options api = {
		.listen_fd = fd,
		.body_max = MANAGEMENT_BODY_MAX,
		.connections_max = room > 2 * instances ? room - instances : room / 2,
		.handler = api_handle,
		.arg = s,
	};
	r = web_new(s->loop, &api, &s->api, err);
	if (r < 0)
		return r;
	s->runtime_port = o->runtime_port;
	r = web_listen("0.0.0.0", true, &s->runtime_port, &fd, err);
	if (r < 0)
		return r;
	struct web_options runtime = {
		.listen_fd = fd,
		.body_max = ANSWER_MAX + 1,
		.connections_max = instances < room / 2 ? instances : room / 2,
		.handler = runtime_handle,
		.arg = s,
	};
	return web_new(s->loop, &runtime, &s->runtime, err);
}

/* The function that --emulate has from the beginning. */
static int add_emulated(struct service *s, struct error *err)
{
	enum { MEMORY_MIB = 1769, TIMEOUT_S = 900 };
	if (!s->options->emulate)
		return 0;
	struct function *f = function_new(s, s->options->function);
	struct version *v;
	scoped_free char *role = xformat("arn:aws:iam::%s:role/ggfs-worker", s->options->account);
	json_t *settings = json_pack("{s:s,s:i,s:i}", "Role", role, "MemorySize", MEMORY_MIB,
	                             "Timeout", TIMEOUT_S);
	int r = version_new(f, NULL, settings, NULL, &v, err);
	json_decref(settings);
	if (r == 0)
		function_set_latest(f, v);
	else
		function_delete(f);
	f->created_ms = now_ms() - s->options->pending_ms;
	return r;
}

int service_new(struct loop *loop, const struct options *options, struct service **out,
                struct error *err)
{
	struct service *s = xcalloc(1, sizeof(*s));
	s->loop = loop;
	s->options = options;
	s->events_end = &s->events;
	if (options->access_key) {
		s->keys.access_key = xstrdup(options->access_key);
		s->keys.secret_key = xstrdup(options->secret_key);
		s->keys.session_token =
		        options->session_token ? xstrdup(options->session_token) : NULL;
	}
	faults_seed(&s->faults, options->seed);
	int r;
	if ((r = faults_parse(&s->faults, options->faults, err)) < 0 ||
	    (r = open_log(options->log, &s->log, err)) < 0 ||
	    (r = open_log(options->function_log, &s->function_log, err)) < 0 ||
	    (r = make_dir(s, err)) < 0 || (r = start_web(s, err)) < 0 ||
	    (r = add_emulated(s, err)) < 0) {
		service_free(s);
		return r;
	}
	look_for_sandbox(s);
	*out = s;
	return 0;
}

/* All at once, then one after the other is waited for. */
static void end_instances(struct service *s)
{
	for (struct instance *i = s->instances; i; i = i->next)
		if (i->process.pid > 0)
			sandbox_kill(&i->process);
	while (s->instances) {
		struct instance *i = s->instances;
		loop_cancel(i->timer);
		loop_unwatch(i->exit_watch);
		loop_unwatch(i->output_watch);
		if (i->process.pid > 0)
			sandbox_wait(&i->process);
		s->instances = i->next;
		version_put(i->version);
		free(i);
	}
}

static void end_invocations(struct service *s)
{
	while (s->invocations) {
		struct invocation *inv = s->invocations;
		s->invocations = inv->next;
		loop_cancel(inv->timer);
		version_put(inv->version);
		buf_release(&inv->payload);
		buf_release(&inv->log);
		buf_release(&inv->answer);
		free(inv);
	}
}

void service_free(struct service *s)
{
	if (!s)
		return;
	/* First the webs: they tell those who wait that their requests are gone. */
	web_free(s->api);
	web_free(s->runtime);
	loop_cancel(s->sampler);
	loop_cancel(s->events_timer);
	end_instances(s);
	end_invocations(s);
	for (struct function *f = s->functions, *next; f; f = next) {
		next = f->next;
		function_delete(f);
	}
	free(s->packages);
	if (s->dir && !s->options->dir)
		remove_tree_at(AT_FDCWD, s->dir, NULL);
	free(s->dir);
	buf_release(&s->last_answer);
	if (s->log)
		fclose(s->log);
	if (s->function_log)
		fclose(s->function_log);
	aws_keys_release(&s->keys);
	free(s);
}

json_t *service_counters(const struct service *s)
{
	const struct counters *c = &s->counters;
	json_t *faults = json_object();
	for (int f = FAULT_NONE + 1; f < FAULT_COUNT; f++)
		if (c->faults[f])
			json_object_set_new(faults, fault_name((enum fault)f),
			                    json_integer((json_int_t)c->faults[f]));
	return json_pack(
	        "{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "requests",
	        (json_int_t)c->requests, "connections", (json_int_t)web_connections_made(s->api),
	        "refused", (json_int_t)c->refused, "invocations", (json_int_t)c->invocations,
	        "throttled", (json_int_t)c->throttled, "function_errors",
	        (json_int_t)c->function_errors, "out_of_memory", (json_int_t)c->out_of_memory,
	        "timed_out", (json_int_t)c->timed_out, "cold_starts", (json_int_t)c->cold_starts,
	        "billed_ms", (json_int_t)c->billed_ms, "in_flight", (json_int_t)c->in_flight,
	        "in_flight_max", (json_int_t)c->in_flight_max, "instances",
	        (json_int_t)c->instances, "instances_max", (json_int_t)c->instances_max, "faults",
	        faults);
}
