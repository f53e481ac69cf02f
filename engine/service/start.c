#include "engine/service/start.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>

#include "common/io.h"
#include "engine/service/messages.h"
#include "engine/service/spawn.h"

/* A socket address holds 107 bytes, a store's path any number: so go by the descriptor. */
static struct sockaddr_un address_below(int service_dirfd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/socket",
	         service_dirfd);
	return address;
}

char *start_store(const struct client_options *options)
{
	scoped_free char *store = options->store ? xstrdup(options->store) : client_default_store();
	if (store[0] == '/')
		return steal(&store);
	scoped_free char *cwd = getcwd(NULL, 0);
	return xformat("%s/%s", cwd ? cwd : "", store);
}

int start_dial(const char *store, struct error *err)
{
	scoped_free char *path = xformat("%s/service", store);
	scoped_fd int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 && errno != ENOENT)
		return error_errno(err, "cannot open %s", path);
	if (dir < 0)
		return error_set(err, -ECONNREFUSED, "no service runs for %s", store);
	scoped_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_errno(err, "cannot make a socket");
	struct sockaddr_un address = address_below(dir);
	while (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno == EINTR)
			continue;
		if (errno == ENOENT || errno == ECONNREFUSED)
			return error_set(err, -ECONNREFUSED, "no service runs for %s", store);
		return error_errno(err, "cannot connect to the service of %s", store);
	}
	return steal_fd(&fd);
}

int start_listen(int store_fd, struct error *err)
{
	scoped_fd int dir = openat(store_fd, "service", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return error_errno(err, "cannot open the store's service directory");
	/* Whoever holds the lock may do this: the socket of a service that died is in the way. */
	if (unlinkat(dir, "socket", 0) < 0 && errno != ENOENT)
		return error_errno(err, "cannot remove the old socket");
	scoped_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address = address_below(dir);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, SOMAXCONN) < 0)
		return error_errno(err, "cannot listen on the store's service socket");
	return steal_fd(&fd);
}

static void pause_ms(int64_t ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	nanosleep(&t, NULL);
}

/* The process at the other end, as a pidfd. Whether it has ended is asked of the process itself:
 * its lock may long be the next service's. */
static int peer_process(int socket_fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	int fd = (int)syscall(SYS_pidfd_open, peer.pid, 0);
	return fd < 0 ? -errno : fd;
}

static int wait_for_end(int peer_fd, const char *store, struct error *err)
{
	struct pollfd p = { .fd = peer_fd, .events = POLLIN };
	int64_t end = now_ms() + START_WAIT_MS;
	for (;;) {
		int64_t left = end - now_ms();
		int n = poll(&p, 1, left > 0 ? (int)left : 0);
		if (n > 0)
			return 0;
		if (n == 0)
			return error_set(err, -ETIMEDOUT,
			                 "the service of %s has not ended within %d s", store,
			                 START_WAIT_MS / 1000);
		if (errno != EINTR)
			return error_errno(err, "cannot wait for the service of %s", store);
	}
}

int start_version_compare(const char *a, const char *b)
{
	while (*a || *b) {
		char *end_a, *end_b;
		unsigned long x = strtoul(a, &end_a, 10), y = strtoul(b, &end_b, 10);
		if (x != y)
			return x < y ? -1 : 1;
		if (end_a == a && end_b == b)
			return 0; /* not numbers any more: "1.0-rc" is as good as "1.0" */
		a = *end_a == '.' ? end_a + 1 : "";
		b = *end_b == '.' ? end_b + 1 : "";
	}
	return 0;
}

static int wait_readable(int fd, int64_t end_ms, struct error *err)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int64_t left = end_ms - now_ms();
	int n = poll(&p, 1, left > 0 ? (int)left : 0);
	if (n < 0 && errno != EINTR)
		return error_errno(err, "cannot wait for the service");
	return n == 0 ? error_set(err, -ETIMEDOUT, "the service is there but does not answer") : 0;
}

int start_ask(struct conn *c, struct buf *frame, int64_t wait_ms, struct wire_header *header,
              const char **payload, size_t *len, struct error *err)
{
	int64_t end_ms = now_ms() + wait_ms;
	int r = conn_send(c, frame, -1, err);
	while (r == 0 && (r = conn_next(c, header, payload, len, err)) == 0) {
		r = wait_readable(c->fd, end_ms, err);
		if (r == 0)
			r = conn_receive(c, err);
		if (r == -EAGAIN)
			r = 0;
	}
	return r < 0 ? r : 0;
}

int start_step_down(struct conn *c, const char *store, struct error *err)
{
	scoped_buf struct buf frame = BUF_INIT;
	wire_end(&frame, wire_begin(&frame, MESSAGE_STOP, 0));
	struct wire_header header;
	const char *payload;
	size_t len;
	scoped_fd int peer = peer_process(c->fd);
	/* Gone before it answers: fine too. */
	start_ask(c, &frame, START_WAIT_MS, &header, &payload, &len, NULL);
	conn_release(c);
	return peer == -ESRCH ? 0 : wait_for_end(peer, store, err);
}

static int greet(struct conn *c, const char *version, struct message_hello *theirs,
                 struct error *err)
{
	struct message_hello ours = { .protocol = PROTOCOL_VERSION,
		                      .pid = (uint32_t)getpid(),
		                      .version = (char *)(uintptr_t)version };
	scoped_buf struct buf frame = BUF_INIT;
	size_t mark = wire_begin(&frame, MESSAGE_HELLO, 0);
	message_hello_encode(&frame, &ours);
	wire_end(&frame, mark);
	struct wire_header header;
	const char *payload;
	size_t len;
	int r = start_ask(c, &frame, START_WAIT_MS, &header, &payload, &len, err);
	if (r < 0)
		return r;
	if (header.type == MESSAGE_ERROR)
		return message_error_decode(payload, len, err);
	return message_hello_decode(payload, len, theirs, err);
}

static int dial_and_greet(const char *store, const char *version, struct conn *out,
                          struct message_hello *theirs, struct error *err)
{
	int fd = start_dial(store, err);
	if (fd < 0)
		return fd;
	struct conn c;
	conn_init(&c, fd);
	int r = greet(&c, version, theirs, err);
	if (r < 0)
		conn_release(&c);
	else
		*out = c;
	return r;
}

/* Of a service that may not be replaced: not now, or not by this client. */
static int refuse(const struct message_hello *theirs, struct error *err)
{
	return error_set(err, -EPROTO,
	                 "the service of this store is ggfs %s and does not speak protocol %d of "
	                 "this ggfs; `ggfs stop` ends it",
	                 theirs->version, PROTOCOL_VERSION);
}

/* One try; -ECONNREFUSED and -ECONNRESET mean "not (yet, any more) there". */
static int connect_once(const char *version, const char *store, bool *replace, struct conn *out,
                        struct error *err)
{
	struct message_hello theirs = { 0 };
	struct conn c;
	int r = dial_and_greet(store, version, &c, &theirs, err);
	if (r < 0)
		return r;
	bool mute = theirs.protocol < PROTOCOL_VERSION;
	bool older = mute || start_version_compare(theirs.version, version) < 0;
	if (!older || !*replace) {
		r = mute ? refuse(&theirs, err) : 0;
		if (r == 0)
			*out = c;
		else
			conn_release(&c);
		message_hello_release(&theirs);
		return r;
	}
	message_hello_release(&theirs);
	*replace = false;
	r = start_step_down(&c, store, err);
	return r < 0 ? r : error_set(err, -ECONNREFUSED, "the older service has stepped down");
}

int start_connect(const struct client_options *options, const char *store,
                  const atomic_bool *given_up, struct conn *out, struct error *err)
{
	struct error ignored = ERROR_INIT;
	struct error *e = err ? err : &ignored;
	bool replace = !options->never_start;
	const char *version = options->version ? options->version : GGFS_VERSION;
	int64_t end = now_ms() + START_WAIT_MS;
	int64_t rest_ms = START_POLL_MS;
	for (int silent = 0;;) {
		if (given_up && atomic_load(given_up))
			return error_set(e, -ECANCELED, "nobody waits for the service");
		int r = connect_once(version, store, &replace, out, e);
		if ((r != -ECONNREFUSED && r != -ECONNRESET) || options->never_start)
			return r;
		if (now_ms() > end)
			return error_prefix(e, r, "gave up after %d s", START_WAIT_MS / 1000);
		r = spawn_service(options->service, store, e);
		silent = r == SPAWN_SILENT ? silent + 1 : 0;
		if (r < 0 || silent > START_SILENT_MAX)
			return r < 0 ? r : -ECONNREFUSED;
		pause_ms(rest_ms);
		rest_ms = rest_ms * 2 < START_POLL_MOST_MS ? rest_ms * 2 : START_POLL_MOST_MS;
	}
}
