/*
 * Settings of a store: which far store, which engines, prices. One file, STORE/config, of lines
 * "NAME = VALUE", '#' comments (docs/config.md); an environment variable GGFS_ and the name in
 * upper case, '.' as '_', overrides it (GGFS_FAR_URL). Every value knows where it came from.
 *
 * Credentials are not here: they are found as the AWS CLI finds them (common/aws/client.h).
 *
 * Threads: immutable once loaded. Errors: -EINVAL naming the file and line, or what a value must be.
 */
#ifndef GGFS_ENGINE_SETTINGS_H
#define GGFS_ENGINE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

enum { SETTINGS_BYTES_MAX = 64 << 10 };

/* What there is to be set. */
struct setting {
	const char *name;     /* "far.url" */
	const char *standard; /* its value where nothing is said; "" for none */
	const char *help;     /* one phrase */
};

/* The table, in the order in which they are shown; ends with a NULL name. */
extern const struct setting settings_known[];

struct settings;

/* store_fd: the store's directory; -1: none, environment alone. An absent file is an empty one. */
int settings_load(int store_fd, char **environment, struct settings **out, struct error *err);
void settings_free(struct settings *s);

/* Never NULL; "" when not set. source (may be NULL): "environment GGFS_FAR_URL", "config", or
 * "standard". Both borrowed until settings_free. name must be one of the table. */
const char *settings_get(const struct settings *s, const char *name, const char **source);
/* Of a setting that is a number, checked on load. */
unsigned settings_number(const struct settings *s, const char *name);

/* Sets one in the file (value "" or NULL: removes it), atomically, comments kept. */
int settings_set(int store_fd, const char *name, const char *value, struct error *err);

#endif
