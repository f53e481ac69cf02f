#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "tools/lambda_local/lambda.h"

/* Which memory each instance has: the sum of what its processes have resident, looked up in /proc
 * now and then. A cgroup would be exact, but is not to be had everywhere, and counts /tmp. */
enum {
	LOOK_MS_MIN = 50,
	LOOK_SHARE = 20, /* of the time at most one part in so many goes into looking */
	PROCESSES_MAX = 65536,
};

struct process {
	pid_t pid, parent;
	uint64_t rss_kib;
};

static int compare(const void *a, const void *b)
{
	const struct process *p = a, *q = b;
	return (p->pid > q->pid) - (p->pid < q->pid);
}

/* "PID (NAME) STATE PPID ..."; the resident pages are the 24th. */
static bool read_process(int proc, const char *pid, struct process *out)
{
	char path[64], text[1024];
	snprintf(path, sizeof(path), "%s/stat", pid);
	scoped_fd int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t len = read(fd, text, sizeof(text) - 1);
	if (len <= 0)
		return false;
	text[len] = '\0';
	char *at = strrchr(text, ')');
	if (!at)
		return false;
	out->pid = (pid_t)atoi(pid);
	at += 3;
	for (int field = 3; at && field < 24; field++) {
		at = strchr(at, ' ');
		if (!at)
			return false;
		at++;
		if (field == 3)
			out->parent = (pid_t)atoi(at);
	}
	out->rss_kib = strtoull(at, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
	return true;
}

static size_t read_processes(struct process **out)
{
	struct process *list = NULL;
	size_t count = 0, capacity = 0;
	scoped_dir DIR *proc = opendir("/proc");
	struct dirent *entry;
	while (proc && count < PROCESSES_MAX && (entry = readdir(proc))) {
		struct process p;
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9' ||
		    !read_process(dirfd(proc), entry->d_name, &p))
			continue;
		array_grow(list, count, capacity);
		list[count++] = p;
	}
	if (count)
		qsort(list, count, sizeof(*list), compare);
	*out = list;
	return count;
}

static const struct process *find(const struct process *list, size_t count, pid_t pid)
{
	struct process key = { .pid = pid };
	return count ? bsearch(&key, list, count, sizeof(key), compare) : NULL;
}

static struct instance *supervised_by(struct instance *const *instances, size_t count, pid_t pid)
{
	size_t low = 0, high = count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (instances[middle]->process.pid < pid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && instances[low]->process.pid == pid ? instances[low] : NULL;
}

/* The instance whose supervisor the process descends from. */
static struct instance *owner(struct instance *const *instances, size_t instance_count,
                              const struct process *list, size_t count, const struct process *p)
{
	enum { DEPTH_MAX = 256 };
	for (int depth = 0; p && depth < DEPTH_MAX; depth++) {
		struct instance *i = supervised_by(instances, instance_count, p->pid);
		if (i)
			return i;
		p = find(list, count, p->parent);
	}
	return NULL;
}

static bool is_working(const struct instance *i)
{
	return i->process.pid > 0 && i->invocation && i->state != INSTANCE_DEAD;
}

static void judge(struct instance *i)
{
	if (i->rss_kib > i->rss_kib_max)
		i->rss_kib_max = i->rss_kib;
	if (i->rss_kib <= (uint64_t)i->version->memory_mib * 1024)
		return;
	i->over_memory = true;
	instance_kill(i);
}

static int compare_instances(const void *a, const void *b)
{
	const struct instance *const *i = a, *const *j = b;
	return ((*i)->process.pid > (*j)->process.pid) - ((*i)->process.pid < (*j)->process.pid);
}

void memory_look(struct service *s)
{
	struct instance **instances = NULL;
	size_t instance_count = 0, capacity = 0;
	s->looked_ms = now_ms();
	for (struct instance *i = s->instances; i; i = i->next)
		if (is_working(i)) {
			array_grow(instances, instance_count, capacity);
			instances[instance_count++] = i;
			i->rss_kib = 0;
		}
	if (!instance_count)
		return;
	qsort(instances, instance_count, sizeof(*instances), compare_instances);
	struct process *list;
	size_t count = read_processes(&list);
	for (size_t n = 0; n < count; n++) {
		struct instance *i = owner(instances, instance_count, list, count, &list[n]);
		/* The supervisor is ours, not the function's. */
		if (i && i->process.pid != list[n].pid)
			i->rss_kib += list[n].rss_kib;
	}
	for (size_t n = 0; n < instance_count; n++)
		judge(instances[n]);
	free(list);
	free(instances);
}

static void on_look(void *arg)
{
	struct service *s = arg;
	s->sampler = NULL;
	int64_t begun = now_ms();
	memory_look(s);
	int64_t wait = LOOK_SHARE * (now_ms() - begun);
	bool more = false;
	for (struct instance *i = s->instances; i && !more; i = i->next)
		more = is_working(i);
	if (more)
		s->sampler =
		        loop_after(s->loop, wait < LOOK_MS_MIN ? LOOK_MS_MIN : wait, on_look, s);
}

void memory_watch(struct service *s)
{
	if (!s->sampler)
		s->sampler = loop_after(s->loop, LOOK_MS_MIN, on_look, s);
}
