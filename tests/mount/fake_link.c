/*
 * engine/service/link.h as the mount tests need it: every answer is the test's. It connects to the
 * Unix socket $GGFS_FAKE_LINK and speaks lines:
 *
 *   to the test:    force ID ASKER DIGEST[/SELECTION] [local] | cancel ID | retry DIGEST
 *   from the test:  done ID DIGEST SIZE              answers a force: a file
 *                   tree ID DIGEST SIZE              ... a directory, by its manifest
 *                   fail ID ERRNO REASON
 *                   ready THUNK DIGEST SIZE          looks and forces answer so by themselves
 *                   readytree THUNK DIGEST SIZE      ... with a directory; THUNK may be one with
 *                                                    /SELECTION wherever it stands
 *                   failed THUNK ERRNO REASON
 *                   guess THUNK SIZE                 looks: unforced, that size last time
 *                   away on|off                      looks: -EAGAIN
 *                   mute on|off                      looks: no answer at all, as if the service
 * hung settled THUNK sync                             answered "synced": all before it is in force
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/buf.h"
#include "common/io.h"
#include "common/loop.h"
#include "engine/service/link.h"

enum { LINE_MAX_BYTES = 4096, SELECTION_SIZE = 256 };

struct link_force {
	struct link *link;
	struct link_force *next;
	unsigned id;
	struct digest thunk;
	char selection[SELECTION_SIZE];
	force_done_fn *done;
	void *arg;
	struct loop_timer *timer;
	int64_t deadline_ms;
	bool cancelled, called;
};

/* What the test has said of one thunk. */
struct known {
	struct known *next;
	struct digest thunk;
	char selection[SELECTION_SIZE];
	enum force_state state;
	enum ref_kind kind;
	struct digest object;
	uint64_t size;
	int code;
	char *reason;
};

struct look_post;

struct link {
	struct link_options options;
	struct loop *loop;
	struct loop_watch *watch;
	pthread_t thread;
	int fd;
	struct buf in;
	bool away, mute; /* the thread's, as the next */
	struct look_post *muted;
	pthread_mutex_t lock; /* guards what follows */
	struct link_force *forces;
	struct known *knowns;
	unsigned last_id;
};

static void say(struct link *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct link *l, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	va_list args;
	if (l->fd < 0)
		return;
	va_start(args, format);
	int n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (write_full(l->fd, line, (size_t)n) < 0)
		fprintf(stderr, "fake link: the test has gone\n");
}

static void set_selection(char out[SELECTION_SIZE], const struct ref *ref)
{
	snprintf(out, SELECTION_SIZE, "%s", ref->selection ? ref->selection : "");
}

static struct known *known_find(struct link *l, const struct digest *thunk, const char *selection)
{
	struct known *k = l->knowns;
	while (k && (!digest_equal(&k->thunk, thunk) || strcmp(k->selection, selection) != 0))
		k = k->next;
	return k;
}

/* On the link's thread. Calls done once, unless it was cancelled; frees. */
static void force_end(struct link_force *f, int code, const struct ref *ref, const char *reason,
                      bool memoised)
{
	struct link *l = f->link;
	struct force_answer answer = {
		.code = code, .ref = ref, .reason = reason, .failed = f->thunk, .memoised = memoised
	};
	pthread_mutex_lock(&l->lock);
	bool cancelled = f->cancelled;
	f->called = true;
	pthread_mutex_unlock(&l->lock);
	loop_cancel(f->timer);
	if (!cancelled)
		f->done(f->arg, &answer);
	pthread_mutex_lock(&l->lock);
	struct link_force **p = &l->forces;
	while (*p != f)
		p = &(*p)->next;
	*p = f->next;
	pthread_mutex_unlock(&l->lock);
	free(f);
}

static void force_overdue(void *arg)
{
	struct link_force *f = arg;
	f->timer = NULL;
	force_end(f, -ETIMEDOUT, NULL, "the deadline passed", false);
}

static struct link_force *force_find(struct link *l, unsigned id)
{
	pthread_mutex_lock(&l->lock);
	struct link_force *f = l->forces;
	while (f && f->id != id)
		f = f->next;
	pthread_mutex_unlock(&l->lock);
	return f;
}

struct force_post {
	struct link *link;
	unsigned id;
};

/* On the link's thread: answers by itself what the test has settled already. The test may have been
 * quicker. */
static void force_begin(void *arg)
{
	scoped_free struct force_post *post = arg;
	struct link *l = post->link;
	struct link_force *f = force_find(l, post->id);
	if (!f)
		return;
	pthread_mutex_lock(&l->lock);
	struct known *k = known_find(l, &f->thunk, f->selection);
	pthread_mutex_unlock(&l->lock);
	if (k && k->state == STATE_READY) {
		struct ref ref = { .kind = k->kind, .digest = k->object, .size_bytes = k->size };
		force_end(f, 0, &ref, NULL, true);
	} else if (k && k->state == STATE_FAILED) {
		force_end(f, -k->code, NULL, k->reason, false);
	} else if (f->deadline_ms > 0) {
		f->timer = loop_after(l->loop, f->deadline_ms, force_overdue, f);
	}
}

struct link_force *link_force_start(struct link *l, const struct ref *ref, const char *asker,
                                    int64_t deadline_ms, bool local_only, force_done_fn *done,
                                    void *arg)
{
	struct link_force *f = xcalloc(1, sizeof(*f));
	pthread_mutex_lock(&l->lock);
	*f = (struct link_force){ .link = l,
		                  .next = l->forces,
		                  .id = ++l->last_id,
		                  .done = done,
		                  .thunk = ref->digest,
		                  .arg = arg,
		                  .deadline_ms = deadline_ms };
	set_selection(f->selection, ref);
	l->forces = f;
	unsigned id = f->id;
	pthread_mutex_unlock(&l->lock);
	struct force_post *post = xmalloc(sizeof(*post));
	*post = (struct force_post){ l, id };
	say(l, "force %u %s %s%s%s%s\n", id, asker, digest_hex(&ref->digest).text,
	    ref->selection ? "/" : "", ref->selection ? ref->selection : "",
	    local_only ? " local" : "");
	loop_post(l->loop, force_begin, post);
	return f;
}

bool link_force_cancel(struct link *l, struct link_force *f)
{
	pthread_mutex_lock(&l->lock);
	bool withdrawn = !f->called;
	f->cancelled = true;
	unsigned id = f->id;
	pthread_mutex_unlock(&l->lock);
	if (withdrawn)
		say(l, "cancel %u\n", id);
	return withdrawn;
}

struct look_post {
	struct look_post *next;
	struct link *link;
	struct digest thunk;
	char selection[SELECTION_SIZE];
	link_look_fn *done;
	void *arg;
};

static void look_now(void *arg)
{
	scoped_free struct look_post *p = arg;
	struct link *l = p->link;
	struct force_look look = { .state = STATE_UNFORCED, .size_guess = UINT64_MAX };
	pthread_mutex_lock(&l->lock);
	struct known *k = known_find(l, &p->thunk, p->selection);
	pthread_mutex_unlock(&l->lock);
	if (l->mute) {
		p->next = l->muted;
		l->muted = steal(&p);
		return;
	}
	if (l->away) {
		p->done(p->arg, -EAGAIN, NULL);
		return;
	}
	if (k) {
		look.state = k->state;
		if (k->state == STATE_READY)
			look.ref = (struct ref){ .kind = k->kind,
				                 .digest = k->object,
				                 .size_bytes = k->size };
		look.failure.reason = k->reason;
		look.size_guess = k->state == STATE_UNFORCED ? k->size : UINT64_MAX;
		look.local = true;
	}
	p->done(p->arg, 0, &look);
}

void link_look(struct link *l, const struct ref *ref, link_look_fn *done, void *arg)
{
	struct look_post *p = xcalloc(1, sizeof(*p));
	*p = (struct look_post){ .link = l, .thunk = ref->digest, .done = done, .arg = arg };
	set_selection(p->selection, ref);
	loop_post(l->loop, look_now, p);
}

void link_retry(struct link *l, const struct digest *thunk)
{
	say(l, "retry %s\n", digest_hex(thunk).text);
}

static void answer_force(struct link *l, unsigned id, int code, const struct ref *ref,
                         const char *reason)
{
	struct link_force *f = force_find(l, id);
	if (f)
		force_end(f, code, ref, reason, false);
}

static void learn(struct link *l, struct known *fact)
{
	pthread_mutex_lock(&l->lock);
	struct known *k = known_find(l, &fact->thunk, fact->selection);
	if (!k) {
		k = xcalloc(1, sizeof(*k));
		k->next = l->knowns;
		l->knowns = k;
	}
	fact->next = k->next;
	free(k->reason);
	*k = *fact;
	pthread_mutex_unlock(&l->lock);
}

static void obey(struct link *l, const char *line)
{
	char word[16] = "", a[80 + SELECTION_SIZE] = "", b[80] = "";
	int rest = 0, more = 0;
	unsigned long long size = 0;
	struct known fact = { 0 };
	sscanf(line, "%15s %335s %n%79s %llu%n", word, a, &rest, b, &size, &more);
	digest_parse(a, strcspn(a, "/"), &fact.thunk);
	if (strchr(a, '/'))
		snprintf(fact.selection, sizeof(fact.selection), "%s", strchr(a, '/') + 1);
	digest_parse(b, strlen(b), &fact.object);
	fact.size = size;
	const char *reason = strchr(line + rest, ' ');
	bool tree = strcmp(word, "tree") == 0 || strcmp(word, "readytree") == 0;
	fact.kind = tree ? REF_TREE : REF_BLOB;
	if (strcmp(word, "done") == 0 || strcmp(word, "tree") == 0) {
		struct ref ref = { .kind = fact.kind, .digest = fact.object, .size_bytes = size };
		answer_force(l, (unsigned)atoi(a), 0, &ref, NULL);
	} else if (strcmp(word, "fail") == 0) {
		answer_force(l, (unsigned)atoi(a), -atoi(b), NULL, reason ? reason + 1 : "");
	} else if (strcmp(word, "ready") == 0 || strcmp(word, "readytree") == 0) {
		fact.state = STATE_READY;
		learn(l, &fact);
	} else if (strcmp(word, "failed") == 0) {
		fact.state = STATE_FAILED;
		fact.code = atoi(b);
		fact.reason = xstrdup(reason ? reason + 1 : "");
		learn(l, &fact);
	} else if (strcmp(word, "guess") == 0) {
		fact.size = strtoull(b, NULL, 10);
		learn(l, &fact);
	} else if (strcmp(word, "away") == 0) {
		l->away = strcmp(a, "on") == 0;
	} else if (strcmp(word, "mute") == 0) {
		l->mute = strcmp(a, "on") == 0;
	} else if (strcmp(word, "settled") == 0) {
		l->options.settled(l->options.arg, &fact.thunk, 0);
	} else if (strcmp(word, "sync") == 0) {
		say(l, "synced\n");
	}
}

static void readable(void *arg, uint32_t events)
{
	struct link *l = arg;
	char bytes[LINE_MAX_BYTES];
	ssize_t n = read(l->fd, bytes, sizeof(bytes));
	(void)events;
	if (n <= 0) {
		loop_unwatch(l->watch);
		l->watch = NULL;
		return;
	}
	buf_add(&l->in, bytes, (size_t)n);
	char *newline;
	while ((newline = memchr(l->in.data, '\n', l->in.len))) {
		*newline = '\0';
		scoped_free char *line = xstrdup(l->in.data);
		size_t used = (size_t)(newline - l->in.data) + 1;
		memmove(l->in.data, l->in.data + used, l->in.len - used + 1);
		l->in.len -= used;
		obey(l, line);
	}
}

static void *run(void *arg)
{
	struct link *l = arg;
	loop_run(l->loop, NULL);
	while (l->forces)
		force_end(l->forces, -ESHUTDOWN, NULL, "unmounted", false);
	for (struct look_post *p = l->muted, *next; p; p = next) {
		next = p->next;
		p->done(p->arg, -ESHUTDOWN, NULL);
		free(p);
	}
	return NULL;
}

int link_open(const struct link_options *options, struct link **out, struct error *err)
{
	const char *path = getenv("GGFS_FAKE_LINK");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct link *l = xcalloc(1, sizeof(*l));
	l->options = *options;
	l->fd = -1;
	pthread_mutex_init(&l->lock, NULL);
	int r = loop_new(&l->loop, err);
	if (r < 0)
		return r;
	if (path) {
		snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
		l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(l->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
			return error_errno(err, "cannot reach the test at %s", path);
		r = loop_watch(l->loop, l->fd, 1 /* EPOLLIN */, readable, l, &l->watch, err);
		if (r < 0)
			return r;
	}
	pthread_create(&l->thread, NULL, run, l);
	*out = l;
	return 0;
}

void link_free(struct link *l)
{
	if (!l)
		return;
	loop_stop(l->loop);
	pthread_join(l->thread, NULL);
	loop_unwatch(l->watch);
	loop_free(l->loop);
	for (struct known *k = l->knowns, *next; k; k = next) {
		next = k->next;
		free(k->reason);
		free(k);
	}
	buf_release(&l->in);
	if (l->fd >= 0)
		close(l->fd);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

char *client_default_store(void)
{
	return xstrdup("/nonexistent");
}
