#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "common/io.h"
#include "common/log.h"
#include "tools/worker.h"

/* One job process. Its owner is whoever took it out of the list of free ones; the pool's mutex is
 * held by who changes the socket, and by who is not the owner and looks at it. */
struct job {
	struct worker_pool *pool;
	unsigned number;
	pid_t pid; /* 0: none runs */
	int socket;
	struct job *next_free;
};

struct worker_pool {
	struct worker_settings settings;
	struct job *jobs;
	uint64_t bytes_each;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct job *free; /* guarded by mutex, as all below */
	unsigned busy;
	bool closing, hurrying;
};

/* --- one job -----------------------------------------------------------------------------------
 */

static void set_socket(struct job *j, int socket)
{
	pthread_mutex_lock(&j->pool->mutex);
	if (j->socket >= 0)
		close(j->socket);
	j->socket = socket;
	if (socket >= 0 && j->pool->hurrying)
		shutdown(socket, SHUT_RDWR);
	pthread_mutex_unlock(&j->pool->mutex);
}

static void end_job(struct job *j)
{
	set_socket(j, -1); /* which ends it */
	while (j->pid > 0 && waitpid(j->pid, NULL, 0) < 0 && errno == EINTR)
		;
	j->pid = 0;
}

static int spawn(const struct worker_pool *p, struct job *j, int theirs, struct error *err)
{
	extern char **environ;
	posix_spawn_file_actions_t actions;
	scoped_free char *cache = xformat("%s/%u", p->settings.cache, j->number);
	scoped_free char *bytes = xformat("%llu", (unsigned long long)p->bytes_each);
	const char *far = p->settings.far_url;
	const char *argv[] = {
		"ggfs-worker",        "job", "--cache", cache, "--cache-bytes", bytes,
		far ? "--far" : NULL, far,   NULL
	};
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, theirs, WORKER_JOB_SOCKET);
	posix_spawn_file_actions_addclosefrom_np(&actions, WORKER_JOB_SOCKET + 1);
	int r = posix_spawn(&j->pid, "/proc/self/exe", &actions, NULL,
	                    (char *const *)(uintptr_t)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (r == 0)
		return 0;
	j->pid = 0;
	return error_set(err, -r, "cannot start a job's process: %s", strerror(r));
}

static int start_job(const struct worker_pool *p, struct job *j, struct error *err)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, "cannot make a socket pair");
	/* Not where the child wants it: a descriptor that is its own copy would stay close-on-exec.
	 */
	scoped_fd int theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, 64);
	close(pair[1]);
	set_socket(j, pair[0]);
	int r = theirs < 0 ? error_errno(err, "cannot copy a descriptor")
	                   : spawn(p, j, theirs, err);
	if (r < 0)
		end_job(j);
	return r;
}

/* --- taking turns ------------------------------------------------------------------------------
 */

static struct job *take(struct worker_pool *p)
{
	pthread_mutex_lock(&p->mutex);
	while (!p->free && !p->closing)
		pthread_cond_wait(&p->changed, &p->mutex);
	struct job *j = p->closing ? NULL : p->free;
	if (j) {
		p->free = j->next_free;
		p->busy++;
	}
	pthread_mutex_unlock(&p->mutex);
	return j;
}

static void give_back(struct worker_pool *p, struct job *j)
{
	pthread_mutex_lock(&p->mutex);
	j->next_free = p->free;
	p->free = j;
	p->busy--;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->mutex);
}

static int converse(const struct worker_pool *p, struct job *j, const struct worker_frame *frame,
                    const char *request, struct buf *answer, struct error *err)
{
	struct worker_frame reply;
	int r = j->pid ? 0 : start_job(p, j, err);
	if (r < 0)
		return r;
	r = worker_frame_send(j->socket, frame, request);
	if (r == 0)
		r = worker_frame_receive(j->socket, &reply, 2 * REMOTE_HTTP_BYTES_MAX, answer);
	if (r == 0)
		return 0;
	end_job(j); /* the next who takes it starts it */
	return error_set(err, -EPIPE, "the process that handled the request ended");
}

int worker_pool_call(struct worker_pool *p, const struct worker_frame *frame, const char *request,
                     struct buf *answer, struct error *err)
{
	struct job *j = take(p);
	if (!j)
		return error_set(err, -ESHUTDOWN, "the worker is ending");
	int r = converse(p, j, frame, request, answer, err);
	give_back(p, j);
	return r;
}

/* --- the whole ---------------------------------------------------------------------------------
 */

static int share(struct worker_pool *p, struct error *err)
{
	struct statvfs st;
	uint64_t all = p->settings.cache_bytes;
	int r = make_dirs_at(AT_FDCWD, p->settings.cache, 0700, err);
	if (r < 0)
		return r;
	if (all == 0) {
		if (statvfs(p->settings.cache, &st) < 0)
			return error_errno(err, "cannot tell the size of %s", p->settings.cache);
		all = (uint64_t)st.f_blocks * st.f_frsize / 4 * 3;
	}
	p->bytes_each = all / p->settings.jobs + 1;
	return 0;
}

int worker_pool_new(const struct worker_settings *s, struct worker_pool **out, struct error *err)
{
	struct worker_pool *p = xcalloc(1, sizeof(*p));
	p->settings = *s;
	p->jobs = xcalloc(s->jobs, sizeof(*p->jobs));
	pthread_mutex_init(&p->mutex, NULL);
	pthread_cond_init(&p->changed, NULL);
	for (unsigned i = 0; i < s->jobs; i++)
		p->jobs[i] = (struct job){ .pool = p, .number = i, .socket = -1 };
	int r = share(p, err);
	/* One at once, to learn early what keeps all from starting; the rest as they are needed. */
	if (r == 0)
		r = start_job(p, &p->jobs[0], err);
	for (unsigned i = s->jobs; i-- > 0;) {
		p->jobs[i].next_free = p->free;
		p->free = &p->jobs[i];
	}
	if (r < 0)
		worker_pool_free(p);
	else
		*out = p;
	return r;
}

void worker_pool_drain(struct worker_pool *p)
{
	pthread_mutex_lock(&p->mutex);
	p->closing = true;
	pthread_cond_broadcast(&p->changed);
	while (p->busy > 0)
		pthread_cond_wait(&p->changed, &p->mutex);
	pthread_mutex_unlock(&p->mutex);
}

void worker_pool_hurry(struct worker_pool *p)
{
	pthread_mutex_lock(&p->mutex);
	p->hurrying = true;
	for (unsigned i = 0; i < p->settings.jobs; i++)
		if (p->jobs[i].socket >= 0)
			shutdown(p->jobs[i].socket, SHUT_RDWR);
	pthread_mutex_unlock(&p->mutex);
}

void worker_pool_free(struct worker_pool *p)
{
	if (!p)
		return;
	worker_pool_drain(p);
	for (unsigned i = 0; i < p->settings.jobs; i++)
		end_job(&p->jobs[i]);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->mutex);
	free(p->jobs);
	free(p);
}
