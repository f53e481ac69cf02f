#include "engine/service/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>

#include "common/io.h"
#include "common/log.h"
#include "engine/model/view.h"
#include "engine/service/server_impl.h"
#include "engine/service/start.h"

enum {
	POOL_THREADS = 4,
	IDLE_CHECKS = 4, /* times per idle time */
	LOCK_POLL_MS = 5,
	LOG_MAX = 16 << 20,     /* bytes, when a service starts */
	FILES_WANTED = 1 << 16, /* clients, objects, jobs: a descriptor each */
};

/* A service that is stepping down holds the lock a little longer than its socket; one that
 * answers its socket is there to stay. */
static int take_lock(const char *store, int store_fd, struct error *err)
{
	scoped_fd int fd =
	        openat(store_fd, "service/lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_errno(err, "cannot open %s/service/lock", store);
	for (int64_t end = now_ms() + START_WAIT_MS; flock(fd, LOCK_EX | LOCK_NB) < 0;) {
		scoped_fd int other = start_dial(store, NULL);
		if (other >= 0 || now_ms() > end)
			return error_set(err, -EALREADY, "another service has the store %s", store);
		nanosleep(&(struct timespec){ .tv_nsec = LOCK_POLL_MS * 1000000 }, NULL);
	}
	return steal_fd(&fd);
}

static bool store_is_gone(const struct server *s)
{
	struct stat st;
	return fstat(store_local_dirfd(s->store), &st) == 0 && st.st_nlink == 0;
}

static bool is_needed(struct server *s)
{
	struct force_counts counts;
	forcer_counts(s->forcer, &counts);
	if (s->peers || counts.queued || counts.running)
		s->idle_since_ms = now_ms();
	return now_ms() - s->idle_since_ms < s->options->idle_ms;
}

static void on_idle_check(void *arg)
{
	struct server *s = arg;
	bool gone = store_is_gone(s);
	if (gone || !is_needed(s)) {
		log_info(gone ? "the store has been removed"
		              : "nobody needs this service any more");
		s->stopping = true;
		s->idle_timer = NULL;
		loop_stop(s->loop);
		return;
	}
	s->idle_timer =
	        loop_after(s->loop, s->options->idle_ms / IDLE_CHECKS + 1, on_idle_check, s);
}

static void on_signal(void *arg, uint32_t events)
{
	struct server *s = arg;
	struct signalfd_siginfo info;
	(void)events;
	if (read(s->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	log_info("signal %u: stopping", info.ssi_signo);
	server_tell_going(s);
	s->stopping = true;
	loop_stop(s->loop);
}

static int prepare_process(struct server *s, struct error *err)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < FILES_WANTED) {
		files.rlim_cur = files.rlim_max < FILES_WANTED ? files.rlim_max : FILES_WANTED;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	signal(SIGPIPE, SIG_IGN);
	if (s->options->ready_fd >= 0)
		fd_set_cloexec(s->options->ready_fd, true);
	sigset_t ending;
	sigemptyset(&ending);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ending, NULL); /* before any thread: all inherit it */
	s->signal_fd = signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signal_fd < 0 ? error_errno(err, "cannot wait for signals") : 0;
}

static int open_parts(struct server *s, struct error *err)
{
	bool rebuilt = false;
	int r = index_open(s->store, &s->index, &rebuilt, err);
	if (r == 0 && rebuilt)
		log_info("the index was built anew from the store");
	if (r == 0)
		r = engine_local_new(s->store, s->options->jobs, &s->engine, err);
	if (r == 0)
		r = cloud_open(s->store, s->index, s->engine, &s->cloud, &s->engine, err);
	if (r == 0)
		r = loop_new(&s->loop, err);
	if (r == 0)
		r = forcer_new(s->loop, s->store, s->index, s->engine, &s->forcer, err);
	if (r == 0)
		cloud_attach(s->cloud, s->forcer);
	if (r == 0)
		r = pool_new("ggfs-pool", POOL_THREADS, &s->pool, err);
	return r;
}

static int begin_serving(struct server *s, struct error *err)
{
	s->mounts = mount_table_new();
	forcer_on_settled(s->forcer, server_settled, s);
	forcer_on_event(s->forcer, server_event, s);
	s->listen_fd = start_listen(store_local_dirfd(s->store), err);
	if (s->listen_fd < 0)
		return s->listen_fd;
	int r = loop_watch(s->loop, s->listen_fd, EPOLLIN, server_accept, s, &s->listen_watch, err);
	if (r == 0)
		r = loop_watch(s->loop, s->signal_fd, EPOLLIN, on_signal, s, &s->signal_watch, err);
	if (r < 0)
		return r;
	s->idle_since_ms = now_ms();
	on_idle_check(s);
	if (s->options->ready_fd >= 0 && write(s->options->ready_fd, "", 1) != 1)
		log_info("whoever started this service is gone");
	log_info("ggfs %s serves %s, %u jobs", GGFS_VERSION, s->options->store,
	         s->engine->ops->capacity(s->engine));
	return 0;
}

/* In the reverse order of their making; what is in the pool still finishes, and is then told to
 * nobody. The socket goes first, so that whoever comes now starts the next service. */
static void server_release(struct server *s)
{
	if (s->listen_fd >= 0) {
		/* In this very store, not at its path: another may be there by now. */
		unlinkat(store_local_dirfd(s->store), "service/socket", 0);
		loop_unwatch(s->listen_watch);
		close(s->listen_fd);
	}
	while (s->peers)
		peer_close(s->peers);
	if (s->mounts)
		mount_table_hurry(s->mounts);
	pool_free(s->pool);
	if (s->loop) {
		loop_cancel(s->idle_timer);
		loop_cancel(s->accept_timer);
		loop_cancel(s->counts_timer);
		loop_unwatch(s->signal_watch);
	}
	forcer_free(s->forcer);
	if (s->cloud)
		cloud_free(s->cloud);
	else if (s->engine)
		s->engine->ops->free(s->engine);
	server_purses_free(s);
	loop_free(s->loop);
	mount_table_free(s->mounts);
	index_free(s->index);
	store_free(s->store);
	if (s->signal_fd >= 0)
		close(s->signal_fd);
}

/* One old log is kept beside the present one. */
static void begin_log(struct server *s)
{
	if (!s->options->log)
		return;
	struct stat st;
	int dir = store_local_dirfd(s->store);
	if (fstatat(dir, "service/log", &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > LOG_MAX)
		renameat(dir, "service/log", dir, "service/log.old");
	scoped_free char *path = xformat("%s/service/log", s->options->store);
	log_open(path, s->options->log);
}

int server_run(const struct server_options *options, struct error *err)
{
	struct server_options settled = *options;
	if (settled.idle_ms == 0)
		settled.idle_ms = SERVER_IDLE_MS_DEFAULT;
	struct server s = { .options = &settled, .listen_fd = -1, .signal_fd = -1 };
	int r = prepare_process(&s, err);
	if (r == 0)
		r = store_open_local(settled.store, true, STORE_SYNC_NONE, &s.store, err);
	/* Held until after everything else is released: it is what "gone" means. */
	scoped_fd int lock =
	        r == 0 ? take_lock(settled.store, store_local_dirfd(s.store), err) : -1;
	if (r == 0 && lock < 0)
		r = lock;
	if (r == 0)
		begin_log(&s);
	if (r == 0)
		r = open_parts(&s, err);
	if (r == 0)
		r = begin_serving(&s, err);
	if (r == 0)
		r = loop_run(s.loop, err);
	server_release(&s);
	log_info("stopped");
	return r;
}
