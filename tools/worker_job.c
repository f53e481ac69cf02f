/* A process that handles one request after another, from a pool. */
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "common/io.h"
#include "common/log.h"
#include "tools/worker.h"

int worker_frame_send(int socket, const struct worker_frame *frame, const void *bytes)
{
	const char *parts[] = { (const char *)frame, bytes };
	const size_t lens[] = { sizeof(*frame), frame->len };
	for (int i = 0; i < 2; i++) {
		for (size_t done = 0; done < lens[i];) {
			ssize_t n = send(socket, parts[i] + done, lens[i] - done, MSG_NOSIGNAL);
			if (n < 0 && errno != EINTR)
				return -errno;
			done += n > 0 ? (size_t)n : 0;
		}
	}
	return 0;
}

int worker_frame_receive(int socket, struct worker_frame *frame, size_t max, struct buf *bytes)
{
	ssize_t n = read_full(socket, frame, sizeof(*frame));
	if (n != sizeof(*frame))
		return n < 0 ? (int)n : -EPIPE;
	if (frame->len > max)
		return -EFBIG;
	buf_reset(bytes);
	buf_reserve(bytes, frame->len + 1);
	n = read_full(socket, bytes->data, frame->len);
	if (n < 0 || (uint64_t)n != frame->len)
		return n < 0 ? (int)n : -EPIPE;
	bytes->len = frame->len;
	bytes->data[bytes->len] = '\0';
	return 0;
}

static int serve(struct worker *w)
{
	scoped_buf struct buf request = BUF_INIT, answer = BUF_INIT;
	for (;;) {
		struct worker_frame frame;
		int r = worker_frame_receive(WORKER_JOB_SOCKET, &frame, REMOTE_HTTP_BYTES_MAX,
		                             &request);
		if (r < 0)
			return r == -EPIPE ? 0 : r; /* the pool is gone, and so are we */
		buf_reset(&answer);
		const struct worker_limits limits = {
			.deadline_ms = frame.deadline_ms,
			.late = now_ms() - frame.began_ms > WORKER_LATE_MS,
			.answer_max = (size_t)frame.answer_max,
			.asker = WORKER_JOB_SOCKET,
		};
		worker_handle(w, request.data, request.len, &limits, &answer);
		frame = (struct worker_frame){ .len = answer.len };
		r = worker_frame_send(WORKER_JOB_SOCKET, &frame, answer.data);
		if (r < 0)
			return r;
	}
}

int worker_job(const struct worker_settings *s)
{
	struct worker_self self;
	struct error err = ERROR_INIT;
	/* A terminal's signals are for the server, which lets what runs come to its end. When it
	 * is gone itself, the socket tells. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	fd_set_cloexec(WORKER_JOB_SOCKET, true);
	int r = worker_self_init(s, &self, &err);
	if (r < 0) {
		log_error("%s", error_text(&err));
		return 1;
	}
	r = serve(self.worker);
	worker_self_release(&self);
	return r < 0;
}
