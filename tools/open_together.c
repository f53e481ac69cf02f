#include "tools/open_together.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/io.h"

enum { AT_ONCE_MAX = 256, STACK_BYTES = 64 << 10 };

struct opening {
	const struct strv *paths;
	atomic_size_t next;
	atomic_bool failed;
};

static void *open_some(void *arg)
{
	struct opening *o = arg;
	size_t i;
	while (!atomic_load(&o->failed) && (i = atomic_fetch_add(&o->next, 1)) < o->paths->count) {
		scoped_fd int fd = open(o->paths->items[i], O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (fd < 0)
			atomic_store(&o->failed, true);
	}
	return NULL;
}

void open_together(const struct strv *paths)
{
	struct opening o = { .paths = paths };
	pthread_t threads[AT_ONCE_MAX];
	size_t count = 0;
	pthread_attr_t attributes;
	if (paths->count == 0 || pthread_attr_init(&attributes) != 0)
		return;
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	/* One thread waits in one open: a file beyond these waits for a turn. */
	while (count < paths->count && count < AT_ONCE_MAX &&
	       pthread_create(&threads[count], &attributes, open_some, &o) == 0)
		count++;
	pthread_attr_destroy(&attributes);
	while (count > 0)
		pthread_join(threads[--count], NULL);
}
