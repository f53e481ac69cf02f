#include "engine/local/job.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "common/io.h"

void job_release(struct job *job)
{
	free(job->argv);
	free(job->envp);
	free(job->entries);
	*job = JOB_INIT;
}

/* --- encoding: numbers as they lie, strings with a length and their NUL ----------------------- */

static void put_u32(struct buf *b, uint32_t v)
{
	buf_add(b, &v, sizeof(v));
}

static void put_bytes(struct buf *b, const void *bytes, size_t len)
{
	put_u32(b, (uint32_t)len);
	buf_add(b, bytes, len);
	buf_add_char(b, '\0');
}

static void put_text(struct buf *b, const char *text)
{
	put_bytes(b, text, strlen(text));
}

static void put_list(struct buf *b, const char **list)
{
	uint32_t count = 0;
	while (list[count])
		count++;
	put_u32(b, count);
	for (uint32_t i = 0; i < count; i++)
		put_text(b, list[i]);
}

static void put_entry(struct buf *b, const struct job_entry *entry)
{
	put_u32(b, entry->kind);
	put_u32(b, entry->mode);
	buf_add(b, &entry->size_bytes, sizeof(entry->size_bytes));
	put_text(b, entry->path);
	if (entry->kind == JOB_ENTRY_BYTES || entry->kind == JOB_ENTRY_LINK)
		put_bytes(b, entry->bytes, entry->size_bytes);
	else
		put_text(b, entry->source);
}

void job_encode(const struct job *job, struct buf *b)
{
	put_u32(b, job->trace);
	put_u32(b, job->memory_mib);
	put_text(b, job->toolchain);
	put_text(b, job->program);
	put_text(b, job->cwd);
	put_list(b, job->argv);
	put_list(b, job->envp);
	put_u32(b, (uint32_t)job->count);
	for (size_t i = 0; i < job->count; i++)
		put_entry(b, &job->entries[i]);
}

struct reader {
	const char *at, *end;
	bool failed;
};

static void get(struct reader *r, void *out, size_t len)
{
	if (r->failed || (size_t)(r->end - r->at) < len) {
		r->failed = true;
		memset(out, 0, len);
		return;
	}
	memcpy(out, r->at, len);
	r->at += len;
}

static uint32_t get_u32(struct reader *r)
{
	uint32_t v;
	get(r, &v, sizeof(v));
	return v;
}

static const char *get_bytes(struct reader *r, size_t *len)
{
	uint32_t length = get_u32(r);
	if (r->failed || (size_t)(r->end - r->at) <= length || r->at[length] != '\0') {
		r->failed = true;
		*len = 0;
		return "";
	}
	const char *bytes = r->at;
	r->at += (size_t)length + 1;
	*len = length;
	return bytes;
}

static const char *get_text(struct reader *r)
{
	size_t len;
	const char *text = get_bytes(r, &len);
	if (strlen(text) != len)
		r->failed = true;
	return text;
}

static void get_source(struct reader *r, char out[JOB_SOURCE_MAX])
{
	const char *text = get_text(r);
	size_t len = strlen(text);
	if (len >= JOB_SOURCE_MAX) {
		r->failed = true;
		len = 0;
	}
	memcpy(out, text, len);
	out[len] = '\0';
}

/* An element takes at least its four bytes of length, which bounds what is allocated. */
static uint32_t get_count(struct reader *r)
{
	uint32_t count = get_u32(r);
	if (count > (size_t)(r->end - r->at) / sizeof(uint32_t)) {
		r->failed = true;
		return 0;
	}
	return count;
}

static const char **get_list(struct reader *r)
{
	uint32_t count = get_count(r);
	const char **list = xcalloc((size_t)count + 1, sizeof(*list));
	for (uint32_t i = 0; i < count; i++)
		list[i] = get_text(r);
	return list;
}

static void get_entry(struct reader *r, struct job_entry *entry)
{
	size_t len = 0;
	entry->kind = get_u32(r);
	entry->mode = get_u32(r);
	get(r, &entry->size_bytes, sizeof(entry->size_bytes));
	entry->path = get_text(r);
	if (entry->kind == JOB_ENTRY_BYTES || entry->kind == JOB_ENTRY_LINK) {
		entry->bytes = get_bytes(r, &len);
		r->failed |= len != entry->size_bytes;
	} else {
		get_source(r, entry->source);
	}
}

int job_decode(const char *bytes, size_t len, struct job *out)
{
	struct reader r = { .at = bytes, .end = bytes + len };
	out->trace = get_u32(&r);
	out->memory_mib = get_u32(&r);
	get_source(&r, out->toolchain);
	out->program = get_text(&r);
	out->cwd = get_text(&r);
	out->argv = get_list(&r);
	out->envp = get_list(&r);
	out->count = get_count(&r);
	out->entries = xcalloc(out->count, sizeof(*out->entries));
	for (size_t i = 0; i < out->count; i++)
		get_entry(&r, &out->entries[i]);
	if (!r.failed && r.at == r.end)
		return 0;
	job_release(out);
	return -EBADMSG;
}

/* --- frames ----------------------------------------------------------------------------------- */

static int send_rest(int socket, struct iovec *iov, int count, struct msghdr *message)
{
	while (count > 0) {
		message->msg_iov = iov;
		message->msg_iovlen = (size_t)count;
		ssize_t n = sendmsg(socket, message, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		message->msg_control = NULL; /* it rode with the first byte */
		message->msg_controllen = 0;
		while (count > 0 && (size_t)n >= iov->iov_len) {
			n -= (ssize_t)iov->iov_len;
			iov++;
			count--;
		}
		if (count > 0) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
	return 0;
}

union one_fd {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(int))];
};

int job_send(int socket, uint32_t type, const void *payload, size_t len, int fd)
{
	if (len > JOB_FRAME_BYTES_MAX)
		return -EFBIG;
	struct job_frame frame = { .type = type, .length = (uint32_t)len };
	struct iovec iov[2] = { { &frame, sizeof(frame) }, { NULL, len } };
	memcpy(&iov[1].iov_base, &payload, sizeof(payload)); /* sendmsg does not write to it */
	union one_fd control;
	struct msghdr message = { 0 };
	if (fd >= 0) {
		memset(&control, 0, sizeof(control));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
	}
	return send_rest(socket, iov, len ? 2 : 1, &message);
}

static int receive_header(int socket, struct job_frame *frame, int *fd)
{
	size_t got = 0;
	while (got < sizeof(*frame)) {
		union one_fd control;
		struct iovec iov = { (char *)frame + got, sizeof(*frame) - got };
		struct msghdr message = { .msg_iov = &iov,
			                  .msg_iovlen = 1,
			                  .msg_control = &control,
			                  .msg_controllen = sizeof(control) };
		ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == ECONNRESET ? -EPIPE : -errno;
		if (n == 0)
			return -EPIPE;
		struct cmsghdr *c = CMSG_FIRSTHDR(&message);
		if (c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(fd, CMSG_DATA(c), sizeof(*fd));
		got += (size_t)n;
	}
	return 0;
}

int job_receive(int socket, uint32_t *type, struct buf *b, int *fd)
{
	struct job_frame frame;
	scoped_fd int got_fd = -1;
	buf_reset(b);
	int r = receive_header(socket, &frame, &got_fd);
	if (r < 0)
		return r;
	if (frame.length > JOB_FRAME_BYTES_MAX)
		return -EBADMSG;
	buf_reserve(b, frame.length);
	ssize_t n = read_full(socket, b->data, frame.length);
	if (n != (ssize_t)frame.length)
		return n < 0 && n != -ECONNRESET ? (int)n : -EPIPE;
	b->len = frame.length;
	b->data[b->len] = '\0';
	*type = frame.type;
	if (fd)
		*fd = steal_fd(&got_fd);
	return 0;
}
