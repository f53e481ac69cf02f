#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <time.h>

#include "common/io.h"
#include "common/log.h"
#include "tools/lambda_local/lambda.h"

/* An instance's address is 127.x.y.z: functions know the Runtime API by host and port only, and
 * which of them asks is told by the address it asks at. Slot and a count of its uses make it, so
 * that nobody's last words are taken for those of who comes after. */
enum { SLOT_BITS = 14, GENERATIONS = 256, ADDRESS_FIRST = 0x7f010000, OUTPUT_CHUNK = 64 << 10 };
_Static_assert(INSTANCES_MAX == 1 << SLOT_BITS, "slots are numbered within an address");

static uint32_t address_of(const struct instance *i)
{
	return ADDRESS_FIRST + (i->generation << SLOT_BITS) + i->slot;
}

struct instance *instance_at(struct service *s, const struct sockaddr_in *address)
{
	uint32_t number = ntohl(address->sin_addr.s_addr) - ADDRESS_FIRST;
	unsigned slot = number & (INSTANCES_MAX - 1);
	if (number >= (uint32_t)GENERATIONS << SLOT_BITS)
		return NULL;
	struct instance *i = s->slots[slot];
	return i && i->generation == number >> SLOT_BITS && i->state != INSTANCE_DEAD ? i : NULL;
}

/* --- its end ---------------------------------------------------------------------------------
 */

static void cut(struct web_request **r)
{
	if (!*r)
		return;
	struct web_answer a = { .cut = WEB_CUT_BEFORE };
	web_answer(steal(r), &a);
}

static void instance_free(struct instance *i)
{
	struct service *s = i->service;
	cut(&i->next_request);
	loop_cancel(i->timer);
	loop_unwatch(i->exit_watch);
	loop_unwatch(i->output_watch);
	if (i->previous)
		i->previous->next = i->next;
	else
		s->instances = i->next;
	if (i->next)
		i->next->previous = i->previous;
	s->slots[i->slot] = NULL;
	s->counters.instances--;
	version_put(i->version);
	free(i);
}

static void drain(struct instance *i)
{
	char bytes[4096];
	size_t total = 0;
	ssize_t len;
	while (i->process.output >= 0 && total < OUTPUT_CHUNK &&
	       (len = read(i->process.output, bytes, sizeof(bytes))) > 0) {
		total += (size_t)len;
		if (i->invocation)
			invocation_log(i->invocation, bytes, (size_t)len);
		if (i->service->function_log)
			fwrite(bytes, 1, (size_t)len, i->service->function_log);
	}
	if (total && i->service->function_log)
		fflush(i->service->function_log);
}

/* What its end means for the invocation it had. */
static void tell_invocation(struct instance *i, int status)
{
	struct invocation *inv = i->invocation;
	char how[64];
	if (inv->answered) {
		invocation_end(inv);
		return;
	}
	if (i->over_memory)
		i->service->counters.out_of_memory++;
	if (status > 128) {
		scoped_free char *name = xstrdup(strsignal(status - 128));
		for (char *c = name; *c; c++)
			if (*c >= 'A' && *c <= 'Z')
				*c |= 0x20;
		snprintf(how, sizeof(how), "signal: %s", name);
	} else {
		snprintf(how, sizeof(how), "exit status %d", status);
	}
	if (status == SANDBOX_EXIT_NOT_STARTED)
		invocation_fail(inv, "Runtime.InvalidEntrypoint",
		                "RequestId: %s Error: fork/exec /var/task/bootstrap failed",
		                inv->id);
	else
		invocation_fail(inv, "Runtime.ExitError",
		                "RequestId: %s Error: Runtime exited with error: %s", inv->id, how);
	invocation_end(inv);
}

static void on_exit_of(void *arg, uint32_t events)
{
	struct instance *i = arg;
	(void)events;
	drain(i);
	loop_unwatch(steal(&i->exit_watch));
	loop_unwatch(steal(&i->output_watch));
	int status = sandbox_wait(&i->process);
	if (i->over_memory)
		status = 128 + 9;
	i->state = INSTANCE_DEAD;
	if (i->invocation)
		tell_invocation(i, status);
	struct service *s = i->service;
	instance_free(i);
	events_start(s);
}

static void leave_idle(struct instance *i)
{
	if (i->state != INSTANCE_IDLE)
		return;
	if (i->previous_idle)
		i->previous_idle->next_idle = i->next_idle;
	else
		i->version->idle = i->next_idle;
	if (i->next_idle)
		i->next_idle->previous_idle = i->previous_idle;
	i->previous_idle = i->next_idle = NULL;
}

void instance_kill(struct instance *i)
{
	if (i->state == INSTANCE_DEAD)
		return;
	leave_idle(i);
	bool started = i->process.pid > 0;
	i->state = INSTANCE_DEAD;
	loop_cancel(steal(&i->timer));
	cut(&i->next_request);
	if (started)
		sandbox_kill(&i->process);
	else if (!i->invocation)
		instance_free(i);
}

void instance_retire(struct version *v)
{
	struct instance *next;
	for (struct instance *i = v->function->service->instances; i; i = next) {
		next = i->next;
		if (i->version != v)
			continue;
		i->expired = true;
		if (i->state == INSTANCE_IDLE)
			instance_kill(i);
	}
}

/* --- its beginning ---------------------------------------------------------------------------
 */

static void on_output(void *arg, uint32_t events)
{
	struct instance *i = arg;
	drain(i);
	if (events & EPOLLHUP && !(events & EPOLLIN))
		loop_unwatch(steal(&i->output_watch));
}

static void add_keys(const struct service *s, struct strv *env)
{
	const struct options *o = s->options;
	if (!o->function_keys) {
		strv_add_format(env, "AWS_ACCESS_KEY_ID=%s",
		                o->access_key ? o->access_key : "local");
		strv_add_format(env, "AWS_SECRET_ACCESS_KEY=%s",
		                o->secret_key ? o->secret_key : "local");
		if (o->session_token)
			strv_add_format(env, "AWS_SESSION_TOKEN=%s", o->session_token);
		return;
	}
	const char *secret = o->function_keys + strcspn(o->function_keys, ":");
	strv_add_format(env, "AWS_ACCESS_KEY_ID=%.*s", (int)(secret - o->function_keys),
	                o->function_keys);
	secret += *secret == ':';
	size_t len = strcspn(secret, ":");
	strv_add_format(env, "AWS_SECRET_ACCESS_KEY=%.*s", (int)len, secret);
	if (secret[len])
		strv_add_format(env, "AWS_SESSION_TOKEN=%s", secret + len + 1);
}

/* Lambda Developer Guide, "Defined runtime environment variables". */
static void make_environment(const struct instance *i, const char *task, const char *tmp,
                             struct strv *env)
{
	const struct service *s = i->service;
	const struct version *v = i->version;
	struct in_addr address = { htonl(address_of(i)) };
	strv_add_format(env, "AWS_LAMBDA_RUNTIME_API=%s:%u", inet_ntoa(address), s->runtime_port);
	strv_add_format(env, "AWS_LAMBDA_FUNCTION_NAME=%s", v->function->name);
	strv_add_format(env, "AWS_LAMBDA_FUNCTION_VERSION=%s", v->name);
	strv_add_format(env, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=%u", v->memory_mib);
	strv_add_format(env, "AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/%s", v->function->name);
	strv_add_format(env, "AWS_LAMBDA_LOG_STREAM_NAME=%s", i->log_stream);
	strv_add(env, "AWS_LAMBDA_INITIALIZATION_TYPE=on-demand");
	strv_add_format(env, "AWS_REGION=%s", s->options->region);
	strv_add_format(env, "AWS_DEFAULT_REGION=%s", s->options->region);
	strv_add_format(env, "_HANDLER=%s",
	                json_string_value(json_object_get(v->config, "Handler")));
	strv_add_format(env, "LAMBDA_TASK_ROOT=%s", task);
	strv_add(env, "LAMBDA_RUNTIME_DIR=/var/runtime");
	strv_add(env, "LANG=en_US.UTF-8");
	strv_add(env, "TZ=:UTC");
	strv_add(env, "PATH=/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin");
	strv_add_format(env,
	                "LD_LIBRARY_PATH=/var/lang/lib:/lib64:/usr/lib64:/var/runtime:"
	                "/var/runtime/lib:%s:%s/lib:/opt/lib",
	                task, task);
	if (tmp)
		strv_add_format(env, "TMPDIR=%s", tmp);
	add_keys(s, env);
	const char *name;
	json_t *value, *environment = json_object_get(v->config, "Environment");
	json_object_foreach(json_object_get(environment, "Variables"), name, value)
	        strv_add_format(env, "%s=%s", name, json_string_value(value));
}

static int make_tmp(const struct instance *i, const char *tmp, struct error *err)
{
	remove_tree_at(AT_FDCWD, tmp, NULL);
	int r = make_dirs_at(AT_FDCWD, tmp, 0755, err);
	if (r == 0 && geteuid() == 0 && chown(tmp, i->service->options->uid, (gid_t)-1) < 0)
		r = error_errno(err, "cannot give away %s", tmp);
	return r;
}

static int start_process(struct instance *i, struct error *err)
{
	struct service *s = i->service;
	bool namespaces = s->sandbox.namespaces;
	const char *task = i->version->package->dir;
	scoped_free char *mount_point = xformat("%s/root", s->dir);
	scoped_free char *tmp = xformat("%s/tmp/%u", s->dir, i->slot);
	scoped_strv struct strv env = STRV_INIT;
	int r = namespaces ? 0 : make_tmp(i, tmp, err);
	if (r < 0)
		return r;
	make_environment(i, namespaces ? "/var/task" : task, namespaces ? NULL : tmp, &env);
	struct sandbox_spec spec = {
		.mode = s->sandbox,
		.mount_point = mount_point,
		.task = task,
		.opt = s->options->opt,
		.tmp = tmp,
		.env = env.items,
		.tmp_mib = i->version->tmp_mib,
		.memory_mib = i->version->memory_mib,
		.uid = s->options->uid,
	};
	r = sandbox_start(&spec, &i->process, err);
	if (r == 0)
		r = loop_watch(s->loop, i->process.fd, EPOLLIN, on_exit_of, i, &i->exit_watch, err);
	if (r == 0)
		r = loop_watch(s->loop, i->process.output, EPOLLIN, on_output, i, &i->output_watch,
		               err);
	return r;
}

/* The invocation ends with an error of Lambda's own, and the instance is gone. */
static void never_started(struct instance *i, const struct error *err)
{
	struct invocation *inv = i->invocation;
	log_error("cannot start an instance of %s: %s", i->version->function->name,
	          error_text(err));
	if (i->process.pid > 0) {
		sandbox_kill(&i->process);
		sandbox_wait(&i->process);
	}
	i->state = INSTANCE_DEAD;
	invocation_fail(inv, "Runtime.InvalidEntrypoint", "RequestId: %s Error: %s", inv->id,
	                error_text(err));
	invocation_end(inv);
	instance_free(i);
}

static void on_init_too_long(void *arg)
{
	struct instance *i = arg;
	i->timer = NULL;
	struct invocation *inv = i->invocation;
	if (inv && !inv->answered)
		invocation_fail(inv, "Sandbox.Timedout",
		                "RequestId: %s Error: Task timed out after %d.00 seconds", inv->id,
		                INIT_MS_MAX / 1000);
	instance_kill(i);
}

static void on_cold_start(void *arg)
{
	struct instance *i = arg;
	struct error err = ERROR_INIT;
	i->timer = NULL;
	i->started_us = now_us();
	if (i->service->options->emulate) {
		i->state = INSTANCE_BUSY;
		invocation_begins(i->invocation);
		return;
	}
	i->state = INSTANCE_STARTING;
	if (start_process(i, &err) < 0)
		never_started(i, &err);
	else
		i->timer = loop_after(i->service->loop, INIT_MS_MAX, on_init_too_long, i);
}

/* --- taking one ------------------------------------------------------------------------------
 */

bool instance_is_idle(const struct version *v)
{
	return v->idle != NULL;
}

static int free_slot(struct service *s)
{
	for (unsigned n = 0; n < INSTANCES_MAX; n++) {
		unsigned slot = (s->next_slot + n) % INSTANCES_MAX;
		if (!s->slots[slot]) {
			s->next_slot = slot + 1;
			return (int)slot;
		}
	}
	return -1;
}

/* "2026/11/24/[$LATEST]" and 32 digits. */
static void make_log_stream(struct instance *i)
{
	char id[REQUEST_ID_LEN + 1], day[16];
	time_t now = time(NULL);
	struct tm parts;
	gmtime_r(&now, &parts);
	strftime(day, sizeof(day), "%Y/%m/%d", &parts);
	request_id_make(id);
	snprintf(i->log_stream, sizeof(i->log_stream), "%s/[%s]%.8s%.4s%.4s%.4s%.12s", day,
	         i->version->name, id, id + 9, id + 14, id + 19, id + 24);
}

/* Room for one more: an idle one of whichever function goes. */
static void make_room(struct service *s)
{
	if (s->counters.instances < s->options->processes)
		return;
	for (struct instance *i = s->instances; i; i = i->next)
		if (i->state == INSTANCE_IDLE) {
			instance_kill(i);
			return;
		}
}

static struct instance *instance_new(struct version *v)
{
	struct service *s = v->function->service;
	make_room(s);
	int slot = free_slot(s);
	if (slot < 0)
		return NULL;
	struct instance *i = xcalloc(1, sizeof(*i));
	*i = (struct instance){
		.service = s,
		.version = version_ref(v),
		.slot = (unsigned)slot,
		.generation = s->generations[slot]++ % GENERATIONS,
		.process = { .fd = -1, .output = -1 },
		.next = s->instances,
	};
	if (i->next)
		i->next->previous = i;
	s->instances = i;
	s->slots[slot] = i;
	make_log_stream(i);
	s->counters.cold_starts++;
	if (++s->counters.instances > s->counters.instances_max)
		s->counters.instances_max = s->counters.instances;
	return i;
}

bool instance_take(struct invocation *inv)
{
	struct service *s = inv->service;
	struct instance *i = inv->version->idle;
	inv->cold = !i;
	if (!i)
		i = instance_new(inv->version);
	if (!i)
		return false;
	leave_idle(i);
	i->invocation = inv;
	inv->instance = i;
	loop_cancel(steal(&i->timer));
	if (inv->cold) {
		i->timer = loop_after(s->loop, s->options->cold_start_ms, on_cold_start, i);
		return true;
	}
	i->state = INSTANCE_BUSY;
	invocation_begins(inv);
	return true;
}

static void on_expiry(void *arg)
{
	struct instance *i = arg;
	i->timer = NULL;
	instance_kill(i);
}

static void go_idle(struct instance *i)
{
	i->state = INSTANCE_IDLE;
	i->next_idle = i->version->idle;
	if (i->next_idle)
		i->next_idle->previous_idle = i;
	i->version->idle = i;
	loop_cancel(i->timer);
	i->timer = loop_after(i->service->loop, i->service->options->idle_ms, on_expiry, i);
	if (i->expired)
		instance_kill(i);
	else
		events_start(i->service);
}

void instance_answered(struct instance *i)
{
	i->invocation = NULL;
	if (i->state == INSTANCE_BUSY || i->state == INSTANCE_ANSWERED) {
		if (i->service->options->emulate || i->next_request)
			go_idle(i);
		else
			i->state = INSTANCE_ANSWERED;
	} else if (i->state == INSTANCE_DEAD && i->process.pid <= 0 &&
	           i->service->options->emulate) {
		instance_free(i);
	}
}

static void next_gone(struct web_request *r)
{
	struct instance *i = r->arg;
	i->next_request = NULL;
}

void instance_next(struct instance *i, struct web_request *r)
{
	cut(&i->next_request); /* a client that lost patience, and asks again */
	i->next_request = r;
	r->arg = i;
	r->gone = next_gone;
	struct invocation *inv = i->invocation;
	if (i->state == INSTANCE_STARTING) {
		loop_cancel(steal(&i->timer));
		i->init_us = (uint64_t)(now_us() - i->started_us);
		i->state = INSTANCE_BUSY;
		if (inv)
			invocation_begins(inv);
		else
			go_idle(i);
	} else if (inv && inv->answered) {
		invocation_end(inv); /* and then we are idle */
	} else if (i->state == INSTANCE_ANSWERED) {
		go_idle(i);
	} else if (inv && inv->run_us) {
		/* Asks for the next while it owes an answer: it is told the same again. */
		invocation_begins(inv);
	}
}
