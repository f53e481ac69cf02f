#include "engine/local/trace.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "common/escape.h"
#include "engine/local/job.h"

enum { PAGE = 4096, NONE = -1 };

/* Where a call's arguments are. */
struct traced_call {
	const char *name;
	int dirfd, path, flags; /* indices of arguments, or NONE */
};

static const struct traced_call calls[] = {
	{ "open", NONE, 0, 1 },       { "openat", 0, 1, 2 },       { "openat2", 0, 1, NONE },
	{ "stat", NONE, 0, NONE },    { "lstat", NONE, 0, NONE },  { "newfstatat", 0, 1, NONE },
	{ "statx", 0, 1, NONE },      { "access", NONE, 0, NONE }, { "faccessat", 0, 1, NONE },
	{ "faccessat2", 0, 1, NONE }, { "execve", NONE, 0, NONE },
};

void trace_release(struct trace *t)
{
	if (t->listener >= 0)
		close(t->listener);
	if (t->root >= 0)
		close(t->root);
	free(t->cwd);
	strv_release(&t->missing);
	*t = TRACE_INIT;
}

/* A C string of another process, page by page, for the next may not be there. */
static bool read_text(pid_t pid, uint64_t address, char out[PATH_MAX])
{
	size_t got = 0;
	while (got < PATH_MAX) {
		size_t step = PAGE - (size_t)((address + got) % PAGE);
		if (step > PATH_MAX - got)
			step = PATH_MAX - got;
		struct iovec to = { out + got, step };
		struct iovec from = { (void *)(uintptr_t)(address + got), step };
		ssize_t n = process_vm_readv(pid, &to, 1, &from, 1, 0);
		if (n <= 0)
			return false;
		if (memchr(out + got, '\0', (size_t)n))
			return true;
		got += (size_t)n;
	}
	return false;
}

/* Joins and takes out "." and ".."; as text, which is near enough for a hint. */
static void normalise(const char *cwd, const char *path, struct buf *out)
{
	scoped_free char *joined = xformat("%s/%s", path[0] == '/' ? "" : cwd, path);
	for (const char *at = joined; *at;) {
		at += strspn(at, "/");
		size_t len = strcspn(at, "/");
		if (len == 2 && strncmp(at, "..", 2) == 0) {
			while (out->len > 0 && out->data[--out->len] != '/')
				;
		} else if (len > 0 && !(len == 1 && at[0] == '.')) {
			if (out->len > 0)
				buf_add_char(out, '/');
			buf_add(out, at, len);
		}
		at += len;
	}
	buf_reserve(out, 1);
	out->data[out->len] = '\0';
}

static bool is_there(int root, const char *path)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };
	scoped_fd int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	return fd >= 0 || (errno != ENOENT && errno != ENOTDIR);
}

static void note(struct trace *t, const char *path)
{
	for (size_t i = 0; i < t->missing.count; i++) {
		if (strcmp(t->missing.items[i], path) != 0)
			continue;
		char *again = t->missing.items[i];
		memmove(&t->missing.items[i], &t->missing.items[i + 1],
		        (t->missing.count - i - 1) * sizeof(char *));
		t->missing.items[t->missing.count - 1] = again;
		return;
	}
	if (t->missing.count < JOB_MISSING_MAX)
		strv_add(&t->missing, path);
}

static const struct traced_call *find_call(int number)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (seccomp_syscall_resolve_name(calls[i].name) == number)
			return &calls[i];
	return NULL;
}

static void look(struct trace *t, const struct seccomp_notif *call)
{
	const struct traced_call *known = find_call(call->data.nr);
	char path[PATH_MAX];
	if (!known || !read_text((pid_t)call->pid, call->data.args[known->path], path))
		return;
	bool creates = known->flags != NONE && (call->data.args[known->flags] & O_CREAT);
	bool elsewhere = path[0] != '/' && known->dirfd != NONE &&
	                 (int)call->data.args[known->dirfd] != AT_FDCWD;
	if (creates || elsewhere || !path[0])
		return;
	scoped_buf struct buf normal = BUF_INIT;
	normalise(t->cwd, path, &normal);
	if (path_is_normal(normal.data) && !is_there(t->root, normal.data))
		note(t, normal.data);
}

void trace_serve(struct trace *t)
{
	struct seccomp_notif *call = NULL;
	struct seccomp_notif_resp *answer = NULL;
	if (seccomp_notify_alloc(&call, &answer) < 0)
		abort();
	if (seccomp_notify_receive(t->listener, call) == 0) {
		look(t, call);
		answer->id = call->id;
		answer->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		seccomp_notify_respond(t->listener, answer); /* fails when the caller was killed */
	} else if (errno != EINTR && errno != ENOENT) {
		close(t->listener);
		t->listener = -1;
	}
	seccomp_notify_free(call, answer);
}
