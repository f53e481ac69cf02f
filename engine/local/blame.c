#include "engine/local/blame.h"

#include <string.h>
#include <sys/stat.h>

/* What programs look for as a matter of course, and do without. */
static const char *const optional[] = {
	"etc/ld.so.",
	"etc/localtime",
	"etc/nsswitch.conf",
	"usr/lib/locale/",
	"usr/share/locale/",
	"usr/share/zoneinfo/",
	"proc/",
	"sys/",
	"dev/",
	"usr/lib/x86_64-linux-gnu/gconv/",
	"usr/lib/aarch64-linux-gnu/gconv/",
	"usr/share/terminfo/",
	"etc/terminfo/",
	"lib/terminfo/",
	"etc/ssl/openssl.cnf",
	"usr/lib/ssl/openssl.cnf",
};

static bool is_optional(const char *path)
{
	for (size_t i = 0; i < sizeof(optional) / sizeof(*optional); i++)
		if (strncmp(path, optional[i], strlen(optional[i])) == 0)
			return true;
	return false;
}

/* A directory is looked at on the way to other things. */
static bool is_file_here(const char *path)
{
	scoped_free char *absolute = xformat("/%s", path);
	struct stat st;
	return stat(absolute, &st) == 0 && !S_ISDIR(st.st_mode);
}

char *blame_missing(const struct strv *missing, size_t max)
{
	scoped_buf struct buf b = BUF_INIT;
	size_t named = 0, more = 0;
	for (size_t i = missing->count; i-- > 0;) {
		const char *path = missing->items[i];
		if (is_optional(path) || !is_file_here(path))
			continue;
		if (named == max) {
			more++;
			continue;
		}
		buf_add_format(&b, "%s/%s", named ? ", " : "", path);
		named++;
	}
	if (named == 0)
		return NULL;
	if (more > 0)
		buf_add_format(&b, " and %zu more", more);
	return xformat("it tried to read %s, which %s not among its inputs", b.data,
	               named + more == 1 ? "is" : "are");
}
