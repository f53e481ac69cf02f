#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "engine/service/client.h"
#include "engine/service/server.h"
#include "tools/cmd.h"

struct service_options {
	const char *store;
	unsigned jobs, idle, ready_fd;
};

static const struct verb_option service_option_table[] = {
	OPTION_STORE(service_options),
	{ "jobs", 'j', OPTION_NUMBER, "N", offsetof(struct service_options, jobs),
	  "functions at once; else as many as there are processors" },
	{ "idle", 0, OPTION_NUMBER, "MS", offsetof(struct service_options, idle),
	  "end after so many milliseconds without clients and work" },
	{ "ready-fd", 0, OPTION_NUMBER, "FD", offsetof(struct service_options, ready_fd),
	  "write one NUL byte to this descriptor once the socket listens, or else a sentence" },
	{ 0 },
};

/* Whoever started us waits at the pipe for a word; another service being there is none: they
 * will find it. */
static void tell_starter(unsigned ready_fd, int code, const struct error *err)
{
	if (!ready_fd || code == -EALREADY)
		return;
	if (write((int)ready_fd, err->text, strlen(err->text)) < 0)
		log_info("whoever started this service is gone");
}

static int service_run(const void *given, int argc, char **argv)
{
	const struct service_options *o = given;
	(void)argc;
	(void)argv;
	scoped_free char *store = o->store ? xstrdup(o->store) : client_default_store();
	struct server_options options = {
		.store = store,
		.jobs = o->jobs,
		.idle_ms = o->idle,
		.ready_fd = o->ready_fd ? (int)o->ready_fd : -1,
		.log = o->ready_fd ? "ggfs service" : NULL,
	};
	struct error err = ERROR_INIT;
	int r = server_run(&options, &err);
	if (r < 0)
		tell_starter(o->ready_fd, r, &err);
	return r < 0 ? cmd_fail(&err) : EXIT_OK;
}

const struct verb verb_service = {
	.name = "service",
	.synopsis = "[--store DIR] [--jobs N] [--idle MS]",
	.summary = "the process behind a store; started by whoever needs it",
	.description = "Serves one store until it is asked to stop or nobody needs it any more. "
	               "Verbs, mounts and "
	               "stand-ins start it by themselves; there is no need to. In the foreground "
	               "it tells on standard "
	               "error what it does; started by others, in the store's service/log.",
	.options = service_option_table,
	.options_size = sizeof(struct service_options),
	.hidden = true,
	.run = service_run,
};
