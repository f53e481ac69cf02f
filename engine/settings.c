#include "engine/settings.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "common/buf.h"
#include "common/io.h"

#define CONFIG_FILE "config"

const struct setting settings_known[] = {
	{ "engine", "local", "engines that take what is forced: local=2,lambda=1000,http=50" },
	{ "far.url", "", "the far store: s3://BUCKET[/PREFIX]" },
	{ "far.endpoint", "", "its URL, where it is not Amazon's" },
	{ "far.region", "", "its region, where it is not that of the AWS profile" },
	{ "far.path_style", "", "yes or no; else as the endpoint suggests" },
	{ "far.connections", "64", "connections to it at once" },
	{ "lambda.function", "ggfs-worker", "name of the function, or NAME:QUALIFIER" },
	{ "lambda.arch", "x86_64", "x86_64 or arm64: what its time costs" },
	{ "lambda.endpoint", "", "URL of the Lambda API, where it is not Amazon's" },
	{ "lambda.region", "", "its region, where it is not that of the AWS profile" },
	{ "http.url", "", "URL of a worker, for the engine http" },
	{ "http.token_file", "", "file with the bearer token for it" },
	{ "http.audience", "", "else Google's ID token for this audience" },
	{ "aws.profile", "", "profile of the AWS configuration" },
	{ "prices", "", "file of prices that override those built in" },
	{ 0 },
};

enum { SETTINGS_COUNT = sizeof(settings_known) / sizeof(*settings_known) - 1 };

struct value {
	char *text; /* NULL: the standard */
	char *source;
};

struct settings {
	struct value values[SETTINGS_COUNT];
};

static int find(const char *name, size_t len)
{
	for (int i = 0; i < SETTINGS_COUNT; i++)
		if (strlen(settings_known[i].name) == len &&
		    memcmp(settings_known[i].name, name, len) == 0)
			return i;
	return -1;
}

/* --- what a value must be ------------------------------------------------------------------------
 */

static bool is_number(const char *text)
{
	size_t len = strlen(text);
	return len > 0 && len <= 6 && strspn(text, "0123456789") == len;
}

static int check(const char *name, const char *value, struct error *err)
{
	if (strcspn(value, "\n\r") != strlen(value))
		return error_set(err, -EINVAL, "%s: a value is one line", name);
	if (!*value)
		return 0;
	if (strcmp(name, "far.connections") == 0 && !is_number(value))
		return error_set(err, -EINVAL, "%s is a number, not '%s'", name, value);
	if (strcmp(name, "far.path_style") == 0 && strcmp(value, "yes") != 0 &&
	    strcmp(value, "no") != 0)
		return error_set(err, -EINVAL, "%s is yes or no, not '%s'", name, value);
	if (strcmp(name, "lambda.arch") == 0 && strcmp(value, "x86_64") != 0 &&
	    strcmp(value, "arm64") != 0)
		return error_set(err, -EINVAL, "%s is x86_64 or arm64, not '%s'", name, value);
	if (strcmp(name, "far.url") == 0 && (strncmp(value, "s3://", 5) != 0 || !value[5]))
		return error_set(err, -EINVAL, "%s is s3://BUCKET[/PREFIX], not '%s'", name, value);
	size_t len = strlen(name);
	bool is_url = strcmp(name, "http.url") == 0 ||
	              (len > 9 && strcmp(name + len - 9, ".endpoint") == 0);
	if (is_url && strncmp(value, "http://", 7) != 0 && strncmp(value, "https://", 8) != 0)
		return error_set(err, -EINVAL, "%s is a URL, http:// or https://, not '%s'", name,
		                 value);
	return 0;
}

/* --- the file ------------------------------------------------------------------------------------
 */

/* One line without its end: the name's and the value's extent; false: there is none. */
struct line {
	const char *name, *value;
	size_t name_len, value_len;
};

static bool split(const char *text, size_t len, struct line *out, bool *malformed)
{
	const char *end = text + len;
	*malformed = false;
	while (text < end && isspace((unsigned char)*text))
		text++;
	if (text == end || *text == '#')
		return false;
	const char *equals = memchr(text, '=', (size_t)(end - text));
	if (!equals) {
		*malformed = true;
		return false;
	}
	const char *name_end = equals, *value = equals + 1;
	while (name_end > text && isspace((unsigned char)name_end[-1]))
		name_end--;
	while (value < end && isspace((unsigned char)*value))
		value++;
	while (end > value && isspace((unsigned char)end[-1]))
		end--;
	*out = (struct line){ text, value, (size_t)(name_end - text), (size_t)(end - value) };
	return true;
}

static int take_line(struct settings *s, const struct line *line, struct error *err)
{
	int i = find(line->name, line->name_len);
	if (i < 0)
		return error_set(err, -EINVAL,
		                 "there is no setting '%.*s'; `ggfs config` lists them",
		                 (int)line->name_len, line->name);
	scoped_free char *value = xstrndup(line->value, line->value_len);
	int r = check(settings_known[i].name, value, err);
	if (r < 0 || !*value)
		return r;
	free(s->values[i].text);
	free(s->values[i].source);
	s->values[i].text = steal(&value);
	s->values[i].source = xstrdup(CONFIG_FILE);
	return 0;
}

static int parse(struct settings *s, const char *text, struct error *err)
{
	unsigned number = 1;
	for (const char *at = text; *at; number++) {
		size_t len = strcspn(at, "\n");
		struct line line;
		bool malformed;
		int r = 0;
		if (split(at, len, &line, &malformed))
			r = take_line(s, &line, err);
		else if (malformed)
			r = error_set(err, -EINVAL, "there is no '=' in it");
		if (r < 0)
			return error_prefix(err, r, "the store's " CONFIG_FILE ", line %u", number);
		at += len + (at[len] == '\n');
	}
	return 0;
}

static int read_config(int store_fd, struct buf *text, struct error *err)
{
	int r = read_file_at(store_fd, CONFIG_FILE, text, SETTINGS_BYTES_MAX, err);
	if (r == -ENOENT)
		r = 0;
	if (r == 0 && text->data && memchr(text->data, 0, text->len))
		r = error_set(err, -EINVAL, "the store's " CONFIG_FILE " is no text");
	buf_add(text, "", 0);
	return r;
}

/* --- the environment -----------------------------------------------------------------------------
 */

static char *variable_of(const char *name)
{
	char *variable = xformat("GGFS_%s", name);
	for (char *c = variable; *c; c++)
		*c = *c == '.' ? '_' : (char)toupper((unsigned char)*c);
	return variable;
}

static int take_environment(struct settings *s, char **environment, struct error *err)
{
	for (int i = 0; i < SETTINGS_COUNT; i++) {
		scoped_free char *variable = variable_of(settings_known[i].name);
		size_t len = strlen(variable);
		for (char **e = environment; e && *e; e++) {
			if (strncmp(*e, variable, len) != 0 || (*e)[len] != '=' || !(*e)[len + 1])
				continue;
			const char *value = *e + len + 1;
			int r = check(settings_known[i].name, value, err);
			if (r < 0)
				return error_prefix(err, r, "environment %s", variable);
			free(s->values[i].text);
			free(s->values[i].source);
			s->values[i].text = xstrdup(value);
			s->values[i].source = xformat("environment %s", variable);
		}
	}
	return 0;
}

/* --- the whole -----------------------------------------------------------------------------------
 */

int settings_load(int store_fd, char **environment, struct settings **out, struct error *err)
{
	struct settings *s = xcalloc(1, sizeof(*s));
	scoped_buf struct buf text = BUF_INIT;
	int r = store_fd >= 0 ? read_config(store_fd, &text, err) : 0;
	if (r == 0 && text.len)
		r = parse(s, text.data, err);
	if (r == 0)
		r = take_environment(s, environment, err);
	if (r < 0) {
		settings_free(s);
		return r;
	}
	*out = s;
	return 0;
}

void settings_free(struct settings *s)
{
	if (!s)
		return;
	for (int i = 0; i < SETTINGS_COUNT; i++) {
		free(s->values[i].text);
		free(s->values[i].source);
	}
	free(s);
}

const char *settings_get(const struct settings *s, const char *name, const char **source)
{
	int i = find(name, strlen(name));
	if (i < 0)
		abort(); /* a mistake of ours */
	const struct value *v = &s->values[i];
	if (source)
		*source = v->text ? v->source : "standard";
	return v->text ? v->text : settings_known[i].standard;
}

unsigned settings_number(const struct settings *s, const char *name)
{
	return (unsigned)strtoul(settings_get(s, name, NULL), NULL, 10);
}

/* The old text with the setting's lines left out, and the new line in place of the first. */
static void rewrite(const char *old, const char *name, const char *value, struct buf *out)
{
	bool done = !value || !*value;
	for (const char *at = old; *at;) {
		size_t len = strcspn(at, "\n");
		struct line line;
		bool malformed;
		if (split(at, len, &line, &malformed) && line.name_len == strlen(name) &&
		    memcmp(line.name, name, line.name_len) == 0) {
			if (!done)
				buf_add_format(out, "%s = %s\n", name, value);
			done = true;
		} else {
			buf_add(out, at, len);
			buf_add_char(out, '\n');
		}
		at += len + (at[len] == '\n');
	}
	if (!done)
		buf_add_format(out, "%s = %s\n", name, value);
}

int settings_set(int store_fd, const char *name, const char *value, struct error *err)
{
	if (find(name, strlen(name)) < 0)
		return error_set(err, -EINVAL, "there is no setting '%s'; `ggfs config` lists them",
		                 name);
	scoped_buf struct buf old = BUF_INIT;
	scoped_buf struct buf text = BUF_INIT;
	int r = check(name, value ? value : "", err);
	if (r == 0)
		r = read_config(store_fd, &old, err);
	if (r < 0)
		return r;
	rewrite(old.data ? old.data : "", name, value, &text);
	if (text.len > SETTINGS_BYTES_MAX)
		return error_set(err, -EFBIG, "the store's " CONFIG_FILE " would be too large");
	return replace_file_at(store_fd, CONFIG_FILE, text.data ? text.data : "", text.len, 0600,
	                       err);
}
