#include "fs/mountinfo.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "common/io.h"

#define MOUNTINFO "/proc/self/mountinfo"

enum {
	PROC_BYTES_MAX = 1 << 16,
	PROCESS_EXITING = 4, /* PF_EXITING of the kernel */
};

struct find {
	const char *directory;
	struct mountinfo_entry *out;
	bool found;
};

/* Later lines are mounted over earlier ones. */
static void find_entry(void *arg, struct mountinfo_entry *e)
{
	struct find *find = arg;
	if (strcmp(e->directory, find->directory) != 0)
		return;
	if (find->found)
		mountinfo_entry_release(find->out);
	*find->out = *e;
	*e = (struct mountinfo_entry){ 0 };
	find->found = true;
}

int mountinfo_find(const char *directory, struct mountinfo_entry *out, struct error *err)
{
	struct find find = { .directory = directory, .out = out };
	int r = mountinfo_each(MOUNTINFO, find_entry, &find, err);
	if (r < 0)
		return r;
	return find.found ? 0 : error_set(err, -ENOENT, "nothing is mounted on %s", directory);
}

int mountinfo_record(int store_fd, const char *directory, char **name, struct error *err)
{
	struct mountinfo_entry e;
	char pid[32];
	int r = mountinfo_find(directory, &e, err);
	if (r < 0)
		return r;
	scoped_free char *path = xformat("service/mounts/%s", e.device);
	mountinfo_entry_release(&e);
	r = make_dirs_at(store_fd, "service/mounts", 0700, err);
	if (r < 0)
		return r;
	scoped_fd int fd = openat(store_fd, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return error_errno(err, "cannot record the mount in the store as %s", path);
	int len = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0)
		return error_errno(err, "cannot record the mount");
	r = write_full(fd, pid, (size_t)len);
	if (r < 0)
		return error_set(err, r, "cannot record the mount");
	*name = steal(&path);
	return steal_fd(&fd);
}

int mountinfo_server(const struct mountinfo_entry *e, bool *stale)
{
	char text[32] = "";
	*stale = false;
	scoped_free char *path = xformat("%s/service/mounts/%s", e->store, e->device);
	scoped_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (flock(fd, LOCK_SH | LOCK_NB) == 0) {
		*stale = true;
		return 0;
	}
	ssize_t n = pread_full(fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	return atoi(text);
}

struct listing {
	struct mount_info *items;
	size_t count, capacity;
};

static void list_entry(void *arg, struct mountinfo_entry *e)
{
	struct listing *l = arg;
	if (!e->store)
		return;
	array_grow(l->items, l->count, l->capacity);
	struct mount_info *m = &l->items[l->count++];
	m->pid = mountinfo_server(e, &m->stale);
	m->directory = steal(&e->directory);
	m->store = steal(&e->store);
}

int mount_list(struct mount_info **out, size_t *count, struct error *err)
{
	struct listing l = { 0 };
	int r = mountinfo_each(MOUNTINFO, list_entry, &l, err);
	if (r < 0) {
		mount_list_free(l.items, l.count);
		return r;
	}
	*out = l.items;
	*count = l.count;
	return 0;
}

void mount_list_free(struct mount_info *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(list[i].directory);
		free(list[i].store);
	}
	free(list);
}

/* The field after this name in /proc/PID/status, as a hexadecimal number. */
static unsigned long long status_field(const char *status, const char *name)
{
	const char *at = status ? strstr(status, name) : NULL;
	return at ? strtoull(at + strlen(name), NULL, 16) : 0;
}

/* A process that does not exist is ended. */
static bool process_is_ending(int pid)
{
	const unsigned long long kill_bit = 1ull << (SIGKILL - 1);
	scoped_buf struct buf status = BUF_INIT, stat = BUF_INIT;
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (read_file_at(AT_FDCWD, path, &status, PROC_BYTES_MAX, NULL) < 0)
		return true;
	if ((status_field(status.data, "\nSigPnd:\t") | status_field(status.data, "\nShdPnd:\t")) &
	    kill_bit)
		return true;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (read_file_at(AT_FDCWD, path, &stat, PROC_BYTES_MAX, NULL) < 0 || !stat.len)
		return true;
	/* "PID (NAME) STATE", and the kernel's flags as the sixth number after it. */
	const char *end = strrchr(stat.data, ')');
	char state = 0;
	unsigned flags = 0;
	if (!end || sscanf(end + 1, " %c %*d %*d %*d %*d %*d %u", &state, &flags) != 2)
		return false;
	return state == 'Z' || state == 'X' || (flags & PROCESS_EXITING);
}

bool mountinfo_is_ending(const struct mountinfo_entry *e)
{
	bool stale;
	int pid = mountinfo_server(e, &stale);
	return stale || (pid > 0 && process_is_ending(pid));
}
