/*
 * ggfs-worker: runs thunks for clients elsewhere: as AWS Lambda's custom runtime, or as an HTTP
 * server. docs/worker.md.
 */
#include <getopt.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>

#include "common/io.h"
#include "common/log.h"
#include "tools/worker.h"

enum { TOKEN_BYTES_MAX = 4096, STATUS_USAGE = 2 };

static const char usage[] =
        "usage: ggfs-worker serve [--port N] [--address A] [--jobs N] [--cache DIR]\n"
        "                         [--cache-bytes N] [--far URL]\n"
        "                         --token-file FILE | --audience A | --anonymous\n"
        "                         [--issuer URL] [--allow-email E] [--allow-subject S]\n"
        "       ggfs-worker run [--cache DIR] [--far URL]   one request on standard input\n"
        "       ggfs-worker --version\n"
        "\n"
        "With AWS_LAMBDA_RUNTIME_API in the environment it is AWS Lambda's runtime.\n"
        "\n"
        "  --port N           to listen at ($PORT, else 8080)\n"
        "  --address A        likewise (0.0.0.0)\n"
        "  --jobs N           requests at once, each with a process of its own (processors)\n"
        "  --cache DIR        what is kept between requests (/tmp/ggfs-worker)\n"
        "  --cache-bytes N    of it (three quarters of the file system)\n"
        "  --token-file FILE  the bearer token clients must have ($GGFS_WORKER_TOKEN)\n"
        "  --audience A       likewise OIDC's ID tokens for this audience\n"
        "  --issuer URL       of this issuer (https://accounts.google.com)\n"
        "  --allow-email E    of this verified email address alone\n"
        "  --allow-subject S  of this subject alone\n"
        "  --anonymous        whoever reaches the port may run programs here\n"
        "  --far URL          the only far store a request may name\n";

static int number(const char *text, uint64_t max, uint64_t *out)
{
	char *end;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || value > max)
		return -EINVAL;
	*out = value;
	return 0;
}

static int read_token(const char *path, struct worker_settings *s)
{
	scoped_buf struct buf b = BUF_INIT;
	struct error err = ERROR_INIT;
	if (read_file_at(AT_FDCWD, path, &b, TOKEN_BYTES_MAX, &err) < 0) {
		fprintf(stderr, "ggfs-worker: %s\n", error_text(&err));
		return -EINVAL;
	}
	while (b.len > 0 && strchr(" \r\n\t", b.data[b.len - 1]))
		b.data[--b.len] = '\0';
	if (b.len == 0) {
		fprintf(stderr, "ggfs-worker: %s: there is no token in it\n", path);
		return -EINVAL;
	}
	free(s->token);
	s->token = xstrdup(b.data);
	return 0;
}

static int take_option(struct worker_settings *s, int option, const char *value)
{
	uint64_t n = 0;
	int r = 0;
	switch (option) {
	case 'p':
		r = number(value, 65535, &n);
		s->port = (unsigned)n;
		return r;
	case 'j':
		r = number(value, WORKER_JOBS_MAX, &n);
		s->jobs = (unsigned)n;
		return r < 0 || n == 0 ? -EINVAL : 0;
	case 'b':
		return number(value, INT64_MAX, &s->cache_bytes);
	case 'a':
		s->address = value;
		return 0;
	case 'c':
		s->cache = value;
		return 0;
	case 'f':
		s->far_url = value;
		return 0;
	case 't':
		return read_token(value, s);
	case 'A':
		s->anonymous = true;
		return 0;
	case 'u':
		s->audience = value;
		return *value ? 0 : -EINVAL;
	case 'i':
		s->issuer = value;
		return 0;
	case 'e':
		s->email = value;
		return 0;
	case 's':
		s->subject = value;
		return 0;
	default:
		return -EINVAL;
	}
}

static int parse(int argc, char **argv, struct worker_settings *s)
{
	static const struct option options[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "address", required_argument, NULL, 'a' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "cache", required_argument, NULL, 'c' },
		{ "cache-bytes", required_argument, NULL, 'b' },
		{ "far", required_argument, NULL, 'f' },
		{ "token-file", required_argument, NULL, 't' },
		{ "anonymous", no_argument, NULL, 'A' },
		{ "audience", required_argument, NULL, 'u' },
		{ "issuer", required_argument, NULL, 'i' },
		{ "allow-email", required_argument, NULL, 'e' },
		{ "allow-subject", required_argument, NULL, 's' },
		{ 0 },
	};
	const char *port = getenv("PORT"), *token = getenv("GGFS_WORKER_TOKEN");
	if (port && *port && take_option(s, 'p', port) < 0)
		return -EINVAL;
	if (token && *token)
		s->token = xstrdup(token);
	for (int c; (c = getopt_long(argc, argv, "+", options, NULL)) != -1;)
		if (take_option(s, c, optarg) < 0)
			return -EINVAL;
	/* What narrows ID tokens down would be void without them. */
	if (!s->audience && (s->issuer || s->email || s->subject))
		return -EINVAL;
	return optind == argc ? 0 : -EINVAL;
}

/* What a function must not have: our credentials could be read from /proc/PID/environ, and our
 * memory, by any process of the same user. */
static void hide_from_functions(void)
{
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		log_warning("cannot hide from the functions that are run: %s", strerror(errno));
}

int worker_net_new(struct net **net, struct aws_config **config, struct error *err)
{
	int r = aws_config_load(&(struct aws_config_options){ 0 }, config, err);
	if (r < 0)
		return r;
	const struct http_options http = {
		.connections_max = 4 * WORKER_FETCHES_MAX,
		.ca_bundle = aws_config_get(*config, "ca_bundle", NULL),
	};
	return net_new(&http, net, err);
}

int worker_self_init(const struct worker_settings *s, struct worker_self *out, struct error *err)
{
	*out = (struct worker_self){ 0 };
	/* Its children are functions and what watches over them; or a credential_process, which is
	 * started again when it was ended with them. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		log_warning("cannot become a subreaper: %s", strerror(errno));
	int r = worker_net_new(&out->net, &out->config, err);
	if (r == 0)
		r = aws_new(out->net, out->config, &out->aws, err);
	if (r == 0) {
		const struct worker_options options = { .cache = s->cache,
			                                .cache_bytes_max = s->cache_bytes,
			                                .aws = out->aws,
			                                .far_url = s->far_url };
		r = worker_new(&options, &out->worker, err);
	}
	if (r < 0)
		worker_self_release(out);
	return r;
}

void worker_self_release(struct worker_self *self)
{
	worker_free(self->worker);
	aws_free(self->aws);
	net_free(self->net);
	aws_config_free(self->config);
	*self = (struct worker_self){ 0 };
}

int worker_run(const struct worker_settings *s)
{
	struct worker_self self;
	struct error err = ERROR_INIT;
	scoped_buf struct buf request = BUF_INIT, answer = BUF_INIT;
	int r = read_all(STDIN_FILENO, &request, REMOTE_HTTP_BYTES_MAX + 1);
	if (r < 0 && r != -EFBIG) {
		fprintf(stderr, "ggfs-worker: cannot read the request: %s\n", strerror(-r));
		return 1;
	}
	if (worker_self_init(s, &self, &err) < 0) {
		fprintf(stderr, "ggfs-worker: %s\n", error_text(&err));
		return 1;
	}
	const struct worker_limits limits = { .answer_max = REMOTE_HTTP_BYTES_MAX };
	worker_handle(self.worker, request.data ? request.data : "", request.len, &limits, &answer);
	worker_self_release(&self);
	buf_add_char(&answer, '\n');
	return write_full(STDOUT_FILENO, answer.data, answer.len) < 0;
}

static int choose(int argc, char **argv, struct worker_settings *s)
{
	const char *guise = argc > 1 ? argv[1] : "";
	if (strcmp(guise, "--version") == 0) {
		printf("ggfs-worker %s\n", GGFS_VERSION);
		return 0;
	}
	if (strcmp(guise, "--help") == 0) {
		printf("%s", usage);
		return 0;
	}
	/* Lambda gives its handler's name as an argument to some runtimes; it means nothing here.
	 */
	if (getenv("AWS_LAMBDA_RUNTIME_API")) {
		const char *cache = getenv("GGFS_WORKER_CACHE");
		s->cache = cache ? cache : "/tmp"; /* all that can be written to there */
		return worker_lambda(s);
	}
	bool known = strcmp(guise, "serve") == 0 || strcmp(guise, "run") == 0 ||
	             strcmp(guise, "job") == 0;
	if (!known || parse(argc - 1, argv + 1, s) < 0) {
		fprintf(stderr, "%s", usage);
		return STATUS_USAGE;
	}
	if (strcmp(guise, "serve") == 0)
		return worker_serve(s);
	return strcmp(guise, "job") == 0 ? worker_job(s) : worker_run(s);
}

int main(int argc, char **argv)
{
	struct worker_settings settings = {
		.cache = "/tmp/ggfs-worker",
		.address = "0.0.0.0",
		.port = 8080,
	};
	reserve_standard_streams();
	log_open(NULL, "ggfs-worker");
	hide_from_functions();
	int status = choose(argc, argv, &settings);
	free(settings.token);
	return status;
}
