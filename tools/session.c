#include "tools/session.h"

#include <limits.h>
#include <string.h>

static int open_client(const char *store, bool never_start, struct client **out, struct error *err)
{
	scoped_free char *self = session_self();
	struct client_options options = {
		.store = store,
		.service = self,
		.never_start = never_start,
	};
	return client_open(&options, out, err);
}

int session_open(const char *store, struct client **out, struct error *err)
{
	return open_client(store, false, out, err);
}

int session_open_running(const char *store, struct client **out, struct error *err)
{
	return open_client(store, true, out, err);
}

char *session_self(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	return n < 0 ? NULL : xstrndup(path, (size_t)n);
}

char *session_helper(const char *name)
{
	scoped_free char *self = session_self();
	if (!self)
		return NULL;
	int directory = (int)(strrchr(self, '/') - self);
	const char *const places[] = { "", "../libexec/ggfs/" };
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		scoped_free char *path = xformat("%.*s/%s%s", directory, self, places[i], name);
		if (access(path, X_OK) == 0)
			return realpath(path, NULL);
	}
	return NULL;
}
