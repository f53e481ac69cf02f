#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/io.h"
#include "tools/lambda_local/lambda.h"

static void stop(void *arg, uint32_t events)
{
	(void)events;
	loop_stop(arg);
}

/* Ends when whoever started us has, whichever way. */
static void on_input(void *arg, uint32_t events)
{
	char bytes[256];
	(void)events;
	ssize_t len = read(STDIN_FILENO, bytes, sizeof(bytes));
	if (len == 0 || (len < 0 && errno != EINTR && errno != EAGAIN))
		loop_stop(arg);
}

static int watch_signals(struct loop *loop, struct error *err)
{
	struct loop_watch *watch;
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	int fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return error_errno(err, "cannot watch signals");
	return loop_watch(loop, fd, EPOLLIN, stop, loop, &watch, err);
}

static int say_ready(const struct service *s, struct error *err)
{
	scoped_free char *endpoint = xformat("http://%s:%u", s->options->host, s->api_port);
	json_t *o = json_pack("{s:s,s:i,s:i,s:i,s:b}", "endpoint", endpoint, "port",
	                      (int)s->api_port, "runtime_port", (int)s->runtime_port, "pid",
	                      (int)getpid(), "sandbox", s->sandbox.namespaces);
	scoped_free char *text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	if (printf("%s\n", text) < 0 || fflush(stdout) != 0)
		return error_errno(err, "cannot write to standard output");
	return 0;
}

static int serve(const struct options *options, struct error *err)
{
	struct loop *loop;
	struct service *s = NULL;
	struct loop_watch *input;
	int r = loop_new(&loop, err);
	if (r < 0)
		return r;
	if ((r = watch_signals(loop, err)) == 0)
		r = service_new(loop, options, &s, err);
	if (r == 0 && options->with_stdin)
		r = loop_watch(loop, STDIN_FILENO, EPOLLIN, on_input, loop, &input, err);
	if (r == 0 && (r = say_ready(s, err)) == 0)
		r = loop_run(loop, err);
	service_free(s);
	loop_free(loop);
	return r;
}

int main(int argc, char **argv)
{
	struct options options;
	struct error err = ERROR_INIT;
	reserve_standard_streams();
	int r = options_read(argc, argv, &options, &err);
	if (r == 1)
		r = serve(&options, &err);
	if (r < 0)
		fprintf(stderr, "ggfs-lambda-local: %s\n", error_text(&err));
	return r == -EINVAL ? 2 : r < 0;
}
