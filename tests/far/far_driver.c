/*
 * The far store on strings, for the system tests:
 *
 *     far-driver NEAR URL ENDPOINT [NAME=NUMBER ...]    connections, away_ms, backoff_ms, probe_ms,
 *                                                       stall_ms, path_style, knows_all
 *
 * Keys and region come from the environment, as the AWS CLI's. Commands are lines on standard
 * input, each answered by one line "CODE rest", CODE a negative errno or 0; for a failure the rest
 * is its sentence.
 *
 *     put FILE | random SEED SIZE   a blob in the near store            0 DIGEST SIZE
 *     push|pull DIGEST[:SIZE]...                                        0, or -2 DIGEST ...
 *     pushes|pulls FILE             the same, of a file's words
 *     has|known DIGEST              size; 0 or 1
 *     near DIGEST                   0 and the size of what is near; it is read and verified
 *     forget DIGEST | remember DIGEST    what a worker says of it
 *     drop DIGEST                   from the near store
 *     memo-put|memo-get DIGEST      a small one
 *     usage                         NAME=NUMBER...
 *     list                          the bucket as a store: number of blobs and of memos
 *     told                          what the far store last said to be remembered: DIGEST 0|1
 *     abandon N push|pull DIGEST... begins it and, when N requests were sent, closes the far
 *                                   store; the last command
 */
#include <fcntl.h>
#include <pthread.h>
#include <string.h>

#include "common/io.h"
#include "objstore/far_private.h"

struct driver {
	struct aws_config *config;
	struct net *net;
	struct aws *aws;
	struct store *near;
	struct far *far;
	struct far_options options;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done; /* under the lock */
	int code;
	char text[ERROR_TEXT_MAX + 128];
	bool abandoned;
	uint64_t abandoned_after; /* so many requests */
	bool knows_all;           /* the known() of the options says yes to everything */
	char told[DIGEST_HEX_SIZE + 4];
};

static bool known(void *arg, const struct digest *digest)
{
	(void)digest;
	return ((struct driver *)arg)->knows_all;
}

static void remember(void *arg, const struct digest *digest, bool there)
{
	struct driver *d = arg;
	pthread_mutex_lock(&d->lock);
	snprintf(d->told, sizeof(d->told), "%s %d", digest_hex(digest).text, there);
	pthread_mutex_unlock(&d->lock);
}

static void answer(int code, const char *text)
{
	printf("%d %s\n", code, text);
	fflush(stdout);
}

static void ended(struct driver *d, int code, const char *text)
{
	pthread_mutex_lock(&d->lock);
	d->code = code;
	snprintf(d->text, sizeof(d->text), "%s", text);
	d->done = true;
	pthread_cond_signal(&d->changed);
	pthread_mutex_unlock(&d->lock);
}

static void await(struct driver *d)
{
	pthread_mutex_lock(&d->lock);
	while (!d->done)
		pthread_cond_wait(&d->changed, &d->lock);
	d->done = false;
	pthread_mutex_unlock(&d->lock);
	answer(d->code, d->text);
}

static void on_many(void *arg, int code, const struct digest *absent, const struct error *err)
{
	scoped_free char *text = absent ? xformat("%s %s", digest_hex(absent).text, error_text(err))
	                                : xstrdup(code < 0 ? error_text(err) : "");
	ended(arg, code, text);
}

static void on_has(void *arg, int code, uint64_t size_bytes, const struct error *err)
{
	char text[32];
	snprintf(text, sizeof(text), "%llu", (unsigned long long)size_bytes);
	ended(arg, code, code < 0 ? error_text(err) : text);
}

static void on_memo(void *arg, int code, struct memo *memo, const struct error *err)
{
	ended(arg, code, code < 0 ? error_text(err) : memo->engine);
}

static void on_memo_put(void *arg, int code, const struct error *err)
{
	ended(arg, code, code < 0 ? error_text(err) : "");
}

struct blobs {
	struct sized_blob *items;
	size_t count, capacity;
};

static void parse_blobs(char *words, struct blobs *blobs)
{
	char *rest = words;
	for (char *word; (word = strtok_r(rest, " \n", &rest));) {
		array_grow(blobs->items, blobs->count, blobs->capacity);
		struct sized_blob *blob = &blobs->items[blobs->count++];
		*blob = (struct sized_blob){ .size_bytes = UINT64_MAX };
		if (!digest_parse(word, strnlen(word, DIGEST_HEX_SIZE), &blob->digest))
			abort();
		if (word[DIGEST_HEX_SIZE] == ':')
			blob->size_bytes = strtoull(word + DIGEST_HEX_SIZE + 1, NULL, 10);
	}
}

static void many(struct driver *d, const char *command, char *words)
{
	struct blobs blobs = { 0 };
	scoped_buf struct buf file = BUF_INIT;
	struct error err = ERROR_INIT;
	if (strcmp(command, "pushes") == 0 || strcmp(command, "pulls") == 0) {
		if (read_file_at(AT_FDCWD, words, &file, 64 << 20, &err) < 0)
			abort();
		words = file.data;
	}
	parse_blobs(words, &blobs);
	if (strncmp(command, "push", 4) == 0)
		far_push(d->far, blobs.items, blobs.count, on_many, d);
	else
		far_pull(d->far, blobs.items, blobs.count, on_many, d);
	free(blobs.items);
	if (!d->abandoned) {
		await(d);
		return;
	}
	struct far_usage u = { 0 };
	while (u.puts + u.gets < d->abandoned_after) {
		usleep(1000);
		far_usage(d->far, &u);
	}
	far_free(steal(&d->far));
	await(d);
}

static void put(struct driver *d, int fd)
{
	struct error err = ERROR_INIT;
	struct digest digest;
	uint64_t size;
	int r = store_put_fd(d->near, fd, &digest, &size, &err);
	scoped_free char *text =
	        xformat("%s %llu", digest_hex(&digest).text, (unsigned long long)size);
	answer(r, r < 0 ? err.text : text);
}

static void put_file(struct driver *d, const char *path)
{
	scoped_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	put(d, fd);
}

/* Bytes that do not compress, the same for the same seed. */
static void put_random(struct driver *d, const char *arguments)
{
	char *end;
	uint64_t x = strtoull(arguments, &end, 10) * 2654435769u + 88172645463325252u;
	uint64_t size = strtoull(end, NULL, 10);
	scoped_fd int fd = s3_spool_open(-1, NULL);
	scoped_free uint64_t *bytes = xmalloc(size + 8);
	for (uint64_t i = 0; i < size / 8 + 1; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		bytes[i] = x;
	}
	if (write_full(fd, bytes, size) < 0)
		abort();
	put(d, fd);
}

static void read_near(struct driver *d, const struct digest *digest)
{
	struct error err = ERROR_INIT;
	char text[32] = "";
	uint64_t size = 0;
	int r = store_has(d->near, digest, &size, &err);
	if (r == 0)
		r = store_verify(d->near, digest, &err);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)size);
	answer(r, r < 0 ? err.text : text);
}

static void usage(struct driver *d)
{
	struct far_usage u;
	far_usage(d->far, &u);
	scoped_free char *text = xformat(
	        "puts=%llu gets=%llu lists=%llu deletes=%llu sent=%llu received=%llu retries=%llu "
	        "paused=%d",
	        (unsigned long long)u.puts, (unsigned long long)u.gets, (unsigned long long)u.lists,
	        (unsigned long long)u.deletes, (unsigned long long)u.sent_bytes,
	        (unsigned long long)u.received_bytes, (unsigned long long)u.retries, u.paused);
	answer(0, text);
}

static int count_one(void *arg, const struct digest *digest, uint64_t size_bytes)
{
	(void)digest, (void)size_bytes;
	++*(unsigned *)arg;
	return 0;
}

static void list(struct driver *d)
{
	struct error err = ERROR_INIT;
	struct store *s = NULL;
	unsigned blobs = 0, memos = 0;
	int r = store_open_s3(d->aws, &d->options, &s, &err);
	if (r == 0)
		r = store_iterate(s, count_one, &blobs, &err);
	if (r == 0)
		r = store_memo_iterate(s, count_one, &memos, &err);
	store_free(s);
	scoped_free char *text = xformat("%u %u", blobs, memos);
	answer(r, r < 0 ? err.text : text);
}

static void memo_put(struct driver *d, const struct digest *digest)
{
	scoped_memo struct memo memo = MEMO_INIT;
	struct ref ref = { .kind = REF_BLOB, .size_bytes = 7 };
	memo.thunk = *digest;
	memo.engine = xstrdup("far-driver");
	memo_add_output(&memo, "out", &ref);
	far_memo_put(d->far, &memo, on_memo_put, d);
	await(d);
}

/* Those with one digest. */
static bool about_one(struct driver *d, const char *command, const char *word)
{
	struct digest digest;
	struct error err = ERROR_INIT;
	if (!digest_parse(word, strlen(word), &digest))
		return false;
	if (strcmp(command, "has") == 0) {
		far_has(d->far, &digest, on_has, d);
		await(d);
	} else if (strcmp(command, "known") == 0) {
		answer(0, far_known(d->far, &digest) ? "1" : "0");
	} else if (strcmp(command, "near") == 0) {
		read_near(d, &digest);
	} else if (strcmp(command, "forget") == 0 || strcmp(command, "remember") == 0) {
		far_remember(d->far, &digest, command[0] == 'r');
		answer(0, "");
	} else if (strcmp(command, "drop") == 0) {
		answer(store_delete(d->near, &digest, &err), err.text);
	} else if (strcmp(command, "memo-put") == 0) {
		memo_put(d, &digest);
	} else if (strcmp(command, "memo-get") == 0) {
		far_memo_get(d->far, &digest, on_memo, d);
		await(d);
	} else {
		return false;
	}
	return true;
}

static void obey(struct driver *d, char *line)
{
	char *arguments = strchr(line, ' ');
	if (arguments)
		*arguments++ = '\0';
	else
		arguments = line + strlen(line);
	if (strcmp(line, "abandon") == 0) {
		d->abandoned = true;
		d->abandoned_after = strtoull(arguments, &arguments, 10);
		obey(d, arguments + 1);
	} else if (strncmp(line, "push", 4) == 0 || strncmp(line, "pull", 4) == 0)
		many(d, line, arguments);
	else if (strcmp(line, "put") == 0)
		put_file(d, arguments);
	else if (strcmp(line, "random") == 0)
		put_random(d, arguments);
	else if (strcmp(line, "usage") == 0)
		usage(d);
	else if (strcmp(line, "list") == 0)
		list(d);
	else if (strcmp(line, "told") == 0)
		answer(0, d->told);
	else if (!about_one(d, line, arguments))
		abort();
}

static void set_number(struct driver *d, struct s3_limits *limits, const char *setting)
{
	const struct {
		const char *name;
		int64_t *out;
	} names[] = { { "away_ms=", &limits->away_ms },
		      { "backoff_ms=", &limits->backoff_ms },
		      { "probe_ms=", &limits->probe_ms },
		      { "stall_ms=", &limits->stall_ms } };
	int64_t number = strtoll(strchr(setting, '=') + 1, NULL, 10);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strncmp(setting, names[i].name, strlen(names[i].name)) == 0)
			*names[i].out = number;
	if (strncmp(setting, "connections=", 12) == 0)
		d->options.connections = (unsigned)number;
	if (strncmp(setting, "path_style=", 11) == 0)
		d->options.path_style = (int)number;
	if (strncmp(setting, "knows_all=", 10) == 0)
		d->knows_all = number != 0;
}

static int open_all(struct driver *d, char **argv, struct error *err)
{
	d->options = (struct far_options){ .url = argv[2],
		                           .endpoint = argv[3],
		                           .path_style = -1,
		                           .known = known,
		                           .remember = remember,
		                           .arg = d };
	struct s3_limits limits = S3_LIMITS;
	for (char **setting = argv + 4; *setting; setting++)
		set_number(d, &limits, *setting);
	int r = aws_config_load(&(struct aws_config_options){ 0 }, &d->config, err);
	if (r == 0)
		r = net_new(&(struct http_options){ 0 }, &d->net, err);
	if (r == 0)
		r = aws_new(d->net, d->config, &d->aws, err);
	if (r == 0)
		r = store_open_local(argv[1], true, STORE_SYNC_NONE, &d->near, err);
	if (r == 0)
		r = far_new(d->aws, d->near, &d->options, &d->far, err);
	if (r == 0)
		far_set_limits(d->far, &limits);
	return r;
}

static void close_all(struct driver *d)
{
	far_free(d->far);
	store_free(d->near);
	aws_free(d->aws);
	net_free(d->net);
	aws_config_free(d->config);
}

int main(int argc, char **argv)
{
	struct driver d = { .lock = PTHREAD_MUTEX_INITIALIZER,
		            .changed = PTHREAD_COND_INITIALIZER };
	struct error err = ERROR_INIT;
	char *line = NULL;
	size_t size = 0;
	if (argc < 4)
		return 2;
	int r = open_all(&d, argv, &err);
	answer(r, err.text);
	for (ssize_t n; r == 0 && (n = getline(&line, &size, stdin)) > 0;) {
		line[n - 1] = '\0';
		obey(&d, line);
	}
	free(line);
	close_all(&d);
	return r < 0;
}
