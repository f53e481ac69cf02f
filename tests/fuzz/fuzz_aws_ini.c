/* What is read of a file of the AWS CLI's means the same when it is written out and read again. */
#include <stdlib.h>
#include <string.h>

#include "common/aws/ini.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_out(const struct ini *ini, struct buf *b)
{
	for (size_t i = 0; i < ini->count; i++) {
		const struct ini_section *s = &ini->sections[i];
		buf_add_format(b, "[%s]\n", s->header);
		for (size_t j = 0; j < s->count; j++)
			buf_add_format(b, "%s = %s\n", s->settings[j].name, s->settings[j].value);
	}
}

/* Values of several lines, and nested ones, would need to be taken apart again. */
static bool has_only_plain_settings(const struct ini *ini)
{
	for (size_t i = 0; i < ini->count; i++)
		for (size_t j = 0; j < ini->sections[i].count; j++)
			if (strchr(ini->sections[i].settings[j].name, '.') ||
			    strchr(ini->sections[i].settings[j].value, '\n'))
				return false;
	return true;
}

static void compare(const struct ini *one, const struct ini *two)
{
	if (one->count != two->count)
		abort();
	for (size_t i = 0; i < one->count; i++) {
		const struct ini_section *s = &one->sections[i];
		const struct ini_section *t = ini_section(two, NULL, s->header);
		if (!t || s->count != t->count || strcmp(s->kind, t->kind) != 0)
			abort();
		for (size_t j = 0; j < s->count; j++) {
			const char *value = ini_get(t, s->settings[j].name);
			if (!value || strcmp(value, s->settings[j].value) != 0)
				abort();
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_INIT;
	struct ini ini = { 0 }, again = { 0 };
	if (ini_parse((const char *)data, size, "file", &ini, &err) < 0) {
		if (err.code != -EINVAL || strncmp(err.text, "file, line ", 11) != 0 || ini.count)
			abort();
		return 0;
	}
	scoped_buf struct buf b = BUF_INIT;
	write_out(&ini, &b);
	if (has_only_plain_settings(&ini)) {
		if (ini_parse(b.data ? b.data : "", b.len, "again", &again, &err) < 0)
			abort();
		compare(&ini, &again);
	}
	ini_release(&ini);
	ini_release(&again);
	return 0;
}
