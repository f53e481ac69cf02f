/* Waiting for the service, and telling one that takes its time from one that is deaf: halted, or
 * stuck. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>

#include "common/io.h"
#include "common/log.h"
#include "engine/service/client_impl.h"

enum {
	PROBE_ID = 0,           /* of no request: the answer is passed over */
	SILENCE_MS = 2000,      /* before a probe */
	INTERRUPT_POLL_MS = 100 /* a signal may come between a look and a wait */
};

void client_wait_begin(struct client *c)
{
	c->heard_ms = now_ms();
	c->probed_ms = 0;
}

/* INFO is answered at once, whatever is being made: a service's loop waits for nothing. */
static int probe(struct client *c, struct error *err)
{
	struct buf frame = BUF_INIT;
	c->probed_ms = now_ms();
	if (conn_pending(&c->conn)) /* that does not get through is as good */
		return 0;
	wire_end(&frame, wire_begin(&frame, MESSAGE_INFO, PROBE_ID));
	return conn_send(&c->conn, &frame, -1, err);
}

static int find_deaf(struct client *c, struct error *err)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);
	getsockopt(c->conn.fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	scoped_free char *text = xformat("the service (pid %d) does not answer; see %s/service/log",
	                                 (int)peer.pid, c->store);
	if (c->options.patience_ms)
		return error_set(err, -ETIMEDOUT, "%s", text);
	log_warning("%s", text);
	c->told_deaf = true;
	return 0;
}

/* When its silence is to be acted upon. */
static int64_t silence_due_ms(const struct client *c)
{
	int64_t patience = c->options.patience_ms ? c->options.patience_ms : CLIENT_DEAF_MS;
	return c->told_deaf   ? INT64_MAX
	       : c->probed_ms ? c->probed_ms + patience
	                      : c->heard_ms + SILENCE_MS;
}

static int poll_until(int fd, short events, int64_t end_ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	int64_t left = end_ms - now_ms();
	return poll(&p, 1, left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left);
}

int client_wait(struct client *c, short events, int64_t most_ms, struct error *err)
{
	int64_t end_ms = most_ms < 0 ? INT64_MAX : now_ms() + most_ms;
	for (;;) {
		if (c->interrupted && *c->interrupted)
			return error_set(err, -EINTR, "interrupted");
		int64_t due_ms = silence_due_ms(c), until_ms = due_ms < end_ms ? due_ms : end_ms;
		int64_t soon_ms = now_ms() + INTERRUPT_POLL_MS;
		if (c->interrupted && soon_ms < until_ms)
			until_ms = soon_ms;
		int n = poll_until(c->conn.fd, events, until_ms);
		if (n < 0 && errno != EINTR)
			return error_errno(err, "cannot wait for the service");
		if (n > 0) {
			client_wait_begin(c);
			return 1;
		}
		if (now_ms() >= end_ms)
			return 0;
		int r = now_ms() < due_ms ? 0 : c->probed_ms ? find_deaf(c, err) : probe(c, err);
		if (r < 0)
			return r;
	}
}
