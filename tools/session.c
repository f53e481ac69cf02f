#include "tools/session.h"

#include <limits.h>
#include <string.h>

#include "tools/mounted.h"

char *session_store(const char *named, const char *path)
{
	if (named)
		return xstrdup(named);
	scoped_free char *place = path ? realpath(path, NULL) : NULL;
	if (!place)
		place = getcwd(NULL, 0);
	struct mount_info m = { 0 };
	char *store = NULL;
	if (place && mounted_at(place, &m))
		store = steal(&m.store);
	mounted_release(&m);
	return store ? store : client_default_store();
}

static int open_client(const char *store, const char *path, bool never_start, struct client **out,
                       struct error *err)
{
	scoped_free char *self = session_self();
	scoped_free char *meant = session_store(store, path);
	struct client_options options = {
		.store = meant,
		.service = self,
		.never_start = never_start,
	};
	return client_open(&options, out, err);
}

int session_open_at(const char *store, const char *path, struct client **out, struct error *err)
{
	return open_client(store, path, false, out, err);
}

int session_open(const char *store, struct client **out, struct error *err)
{
	return open_client(store, NULL, false, out, err);
}

int session_open_running(const char *store, const char *path, struct client **out,
                         struct error *err)
{
	return open_client(store, path, true, out, err);
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
