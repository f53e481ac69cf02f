#include "common/mountinfo.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"

enum { LINE_FIELDS_MAX = 64 };

void mountinfo_entry_release(struct mountinfo_entry *e)
{
	free(e->directory);
	free(e->store);
	free(e->device);
	*e = (struct mountinfo_entry){ 0 };
}

/* The kernel writes space, tab, newline and backslash as \ and three octal digits. */
static char *unescape(const char *s, size_t len)
{
	scoped_buf struct buf b = BUF_INIT;
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '\\' && i + 3 < len && s[i + 1] >= '0' && s[i + 1] <= '3') {
			buf_add_char(&b, (char)((s[i + 1] - '0') << 6 | (s[i + 2] - '0') << 3 |
			                        (s[i + 3] - '0')));
			i += 3;
		} else {
			buf_add_char(&b, s[i]);
		}
	}
	return buf_steal(&b, NULL);
}

struct field {
	const char *at;
	size_t len;
};

static size_t split(const char *line, size_t len, struct field fields[LINE_FIELDS_MAX])
{
	const char *end = line + len;
	size_t n = 0;
	while (line < end && n < LINE_FIELDS_MAX) {
		const char *space = memchr(line, ' ', (size_t)(end - line));
		const char *stop = space ? space : end;
		fields[n++] = (struct field){ line, (size_t)(stop - line) };
		line = stop + 1;
	}
	return n;
}

static bool field_is(const struct field *f, const char *text)
{
	return f->len == strlen(text) && memcmp(f->at, text, f->len) == 0;
}

/* 36 35 98:0 ROOT DIRECTORY OPTIONS [TAG…] - TYPE SOURCE SUPEROPTIONS, as proc(5) has it. */
bool mountinfo_parse(const char *line, size_t len, struct mountinfo_entry *out)
{
	static const char prefix[] = "ggfs:";
	const size_t prefix_len = sizeof(prefix) - 1;
	struct field f[LINE_FIELDS_MAX];
	size_t n = split(line, len, f), dash = 6;
	while (dash < n && !field_is(&f[dash], "-"))
		dash++;
	if (dash + 2 >= n)
		return false;
	const struct field *type = &f[dash + 1], *source = &f[dash + 2];
	bool ours = field_is(type, "fuse.ggfs") && source->len > prefix_len &&
	            memcmp(source->at, prefix, prefix_len) == 0;
	*out = (struct mountinfo_entry){
		.directory = unescape(f[4].at, f[4].len),
		.device = xstrndup(f[2].at, f[2].len),
		.store = ours ? unescape(source->at + prefix_len, source->len - prefix_len) : NULL,
	};
	return true;
}

int mountinfo_each(const char *path, mountinfo_fn *fn, void *arg, struct error *err)
{
	scoped_buf struct buf text = BUF_INIT;
	int r = read_file_at(AT_FDCWD, path, &text, MOUNTINFO_BYTES_MAX, err);
	if (r < 0)
		return r;
	const char *at = text.data, *end = text.data + text.len;
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *stop = newline ? newline : end;
		struct mountinfo_entry e;
		if (mountinfo_parse(at, (size_t)(stop - at), &e)) {
			fn(arg, &e);
			mountinfo_entry_release(&e);
		}
		at = stop + 1;
	}
	return 0;
}
