#include "common/aws/ini.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <string.h>

struct parser {
	const char *file;
	unsigned line;
	struct ini *ini;
	struct ini_section *section; /* NULL: before the first */
	char *name;                  /* of the setting that may go on; NULL: none */
	struct buf value;
	size_t indent;  /* of name */
	unsigned blank; /* lines since, which belong to the value if it goes on */
	struct error *err;
};

static int malformed(struct parser *p, const char *what)
{
	return error_set(p->err, -EINVAL, "%s, line %u: %s", p->file, p->line, what);
}

static void wipe_buf(struct buf *b)
{
	if (b->data)
		OPENSSL_cleanse(b->data, b->capacity);
	buf_release(b);
}

/* --- sections and settings --- */

/* One word of a header, which quotes may hold together; NULL at the end. */
static char *next_word(const char **at)
{
	*at += strspn(*at, " \t");
	if (!**at)
		return NULL;
	scoped_buf struct buf word = BUF_INIT;
	char quote = 0;
	for (; **at && (quote || !isspace((unsigned char)**at)); (*at)++) {
		if (quote ? **at == quote : **at == '"' || **at == '\'')
			quote = quote ? 0 : **at;
		else
			buf_add_char(&word, **at);
	}
	return buf_steal(&word, NULL);
}

static int begin_section(struct parser *p, const char *line, size_t len)
{
	const char *end = memrchr(line, ']', len);
	if (!end || end == line + 1)
		return malformed(p, "a section's name needs a ] after it");
	scoped_free char *header = xstrndup(line + 1, (size_t)(end - line) - 1);
	if (ini_section(p->ini, NULL, header))
		return malformed(p, "this section is there already");
	struct ini *ini = p->ini;
	if (ini->count == INI_SECTIONS_MAX)
		return malformed(p, "too many sections");
	array_grow(ini->sections, ini->count, ini->capacity);
	p->section = &ini->sections[ini->count++];
	*p->section = (struct ini_section){ .header = steal(&header) };
	const char *at = p->section->header;
	scoped_free char *first = next_word(&at);
	scoped_free char *second = next_word(&at);
	p->section->kind = xstrdup(second ? first : "");
	p->section->name = second ? steal(&second) : xstrdup(first ? first : "");
	return 0;
}

static int add_setting(struct parser *p, const char *name, const char *value, size_t len)
{
	struct ini_section *s = p->section;
	if (ini_get(s, name))
		return malformed(p, "the setting before this line is there already");
	if (s->count == INI_SETTINGS_MAX)
		return malformed(p, "too many settings in a section");
	array_grow(s->settings, s->count, s->capacity);
	s->settings[s->count++] =
	        (struct ini_setting){ .name = xstrdup(name), .value = xstrndup(value, len) };
	return 0;
}

/* "\nkey = value\nkey = value" */
static int add_nested(struct parser *p, const char *lines)
{
	while (*lines == '\n') {
		const char *line = lines + 1;
		size_t len = strcspn(line, "\n"), key = strcspn(line, "=\n");
		lines = line + len;
		if (!len)
			continue;
		if (key == len)
			return malformed(p, "a nested setting before this line has no =");
		const char *value = line + key + 1;
		while (key > 0 && isspace((unsigned char)line[key - 1]))
			key--;
		value += strspn(value, " \t");
		scoped_free char *name = xformat("%s.%.*s", p->name, (int)key, line);
		int r = add_setting(p, name, value, (size_t)(line + len - value));
		if (r < 0)
			return r;
	}
	return 0;
}

static int end_setting(struct parser *p)
{
	if (!p->name)
		return 0;
	const char *value = p->value.data ? p->value.data : "";
	int r = *value == '\n' ? add_nested(p, value)
	                       : add_setting(p, p->name, value, p->value.len);
	free(steal(&p->name));
	wipe_buf(&p->value);
	return r;
}

static int begin_setting(struct parser *p, const char *line, size_t len)
{
	if (!p->section)
		return malformed(p, "a setting before the first [section]");
	size_t name_len = 0;
	while (name_len < len && line[name_len] != '=' && line[name_len] != ':')
		name_len++;
	if (name_len == len)
		return malformed(p, "neither a [section] nor a name = value");
	const char *value = line + name_len + 1, *end = line + len;
	while (name_len > 0 && isspace((unsigned char)line[name_len - 1]))
		name_len--;
	if (!name_len)
		return malformed(p, "a value without a name");
	while (value < end && isspace((unsigned char)*value))
		value++;
	p->name = xstrndup(line, name_len);
	for (char *at = p->name; *at; at++)
		*at = (char)tolower((unsigned char)*at);
	buf_add(&p->value, value, (size_t)(end - value));
	return 0;
}

/* --- lines --- */

static int take_line(struct parser *p, const char *line, size_t len)
{
	size_t indent = 0;
	while (len && isspace((unsigned char)line[len - 1]))
		len--;
	while (indent < len && isspace((unsigned char)line[indent]))
		indent++;
	line += indent;
	len -= indent;
	p->blank += !len;
	if (!len || *line == '#' || *line == ';')
		return 0;
	if (p->name && indent > p->indent) {
		for (p->blank++; p->blank; p->blank--)
			buf_add_char(&p->value, '\n');
		buf_add(&p->value, line, len);
		return 0;
	}
	int r = end_setting(p);
	if (r < 0)
		return r;
	p->indent = indent;
	p->blank = 0;
	return *line == '[' ? begin_section(p, line, len) : begin_setting(p, line, len);
}

static int take_lines(struct parser *p, const char *text, size_t len)
{
	static const char mark[] = "\xef\xbb\xbf"; /* some editors' sign of UTF-8 */
	const char *at = text, *end = text + len;
	if (len >= 3 && memcmp(at, mark, 3) == 0)
		at += 3;
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t line_len = (size_t)((newline ? newline : end) - at);
		p->line++;
		if (memchr(at, '\0', line_len))
			return malformed(p, "a byte that is no text");
		int r = take_line(p, at, line_len);
		if (r < 0)
			return r;
		at += line_len + (newline != NULL);
	}
	return end_setting(p);
}

int ini_parse(const char *text, size_t len, const char *file, struct ini *out, struct error *err)
{
	struct ini ini = { 0 };
	struct parser p = { .file = file, .ini = &ini, .err = err };
	int r = take_lines(&p, text, len);
	free(p.name);
	wipe_buf(&p.value);
	if (r < 0)
		ini_release(&ini);
	else
		*out = ini;
	return r;
}

void ini_release(struct ini *ini)
{
	for (size_t i = 0; i < ini->count; i++) {
		struct ini_section *s = &ini->sections[i];
		for (size_t j = 0; j < s->count; j++) {
			OPENSSL_cleanse(s->settings[j].value, strlen(s->settings[j].value));
			free(s->settings[j].name);
			free(s->settings[j].value);
		}
		free(s->settings);
		free(s->header);
		free(s->kind);
		free(s->name);
	}
	free(ini->sections);
	*ini = (struct ini){ 0 };
}

const struct ini_section *ini_section(const struct ini *ini, const char *kind, const char *name)
{
	for (size_t i = 0; i < ini->count; i++) {
		const struct ini_section *s = &ini->sections[i];
		if (kind ? strcmp(s->kind, kind) == 0 && strcmp(s->name, name) == 0
		         : strcmp(s->header, name) == 0)
			return s;
	}
	return NULL;
}

const char *ini_get(const struct ini_section *section, const char *name)
{
	for (size_t i = 0; section && i < section->count; i++)
		if (strcmp(section->settings[i].name, name) == 0)
			return section->settings[i].value;
	return NULL;
}
