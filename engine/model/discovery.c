/* Header discovery by the compiler's own scan. */
#include "engine/model/discovery.h"

#include <string.h>

/* The target that -M is told to write: what begins each source's rule. */
#define RULE_TARGET "ggfs-source"

void headers_release(struct headers *h)
{
	for (size_t i = 0; i < h->count; i++)
		free(h->items[i].path);
	free(h->items);
	*h = (struct headers){ 0 };
}

void headers_add(struct headers *h, const char *path, size_t len, bool system)
{
	array_grow(h->items, h->count, h->capacity);
	h->items[h->count++] = (struct header){ xstrndup(path, len), system };
}

void discovery_command(const struct plan *p, const char *tool, struct strv *argv)
{
	strv_add(argv, tool);
	strv_copy(argv, &p->discover);
	if (p->discover_text) {
		strv_add(argv, "-E");
	} else {
		strv_add(argv, "-M");
		strv_add(argv, "-MT");
		strv_add(argv, RULE_TARGET);
	}
	strv_copy(argv, &p->discover_sources);
}

/* --- rules, as -M writes them ---------------------------------------------------------------- */

/* One dependency from *at, its quoting undone, into word; false at the rule's end. */
static bool next_dependency(const char **at, const char *end, struct buf *word)
{
	const char *c = *at;
	buf_reset(word);
	while (c < end && (*c == ' ' || (*c == '\\' && c + 1 < end && c[1] == '\n')))
		c += *c == ' ' ? 1 : 2;
	for (; c < end && *c != ' ' && *c != '\n'; c++) {
		if (*c == '$' && c + 1 < end && c[1] == '$') {
			c++;
		} else if (*c == '\\') {
			const char *run = c;
			while (run < end && *run == '\\')
				run++;
			size_t slashes = (size_t)(run - c);
			bool space = run < end && (*run == ' ' || *run == '\t');
			bool mark = run < end && *run == '#';
			/* 2n+1 before white space are n and the space; one before # is its quote */
			size_t kept = space ? slashes / 2 : slashes - mark;
			for (size_t i = 0; i < kept; i++)
				buf_add_char(word, '\\');
			c = run - 1;
			if (!(space && slashes % 2) && !mark)
				continue;
			c = run;
		}
		buf_add_char(word, *c);
	}
	*at = c;
	return word->len > 0;
}

static int read_rules(const char *text, size_t len, struct headers *out, size_t count,
                      struct error *err)
{
	const char *end = text + len;
	scoped_buf struct buf word = BUF_INIT;
	for (size_t i = 0; i < count; i++) {
		size_t head = strlen(RULE_TARGET ":");
		if ((size_t)(end - text) < head || memcmp(text, RULE_TARGET ":", head) != 0)
			return error_set(err, -EBADMSG,
			                 "the compiler printed no rule for source %zu", i + 1);
		text += head;
		while (next_dependency(&text, end, &word)) {
			if (out[i].count >= DISCOVERY_FILES_MAX)
				return error_set(err, -EBADMSG, "a source includes too many files");
			headers_add(&out[i], word.data, word.len, false);
		}
		if (text < end)
			text++;
		if (out[i].count == 0)
			return error_set(err, -EBADMSG, "the compiler's rule is empty");
	}
	if (text != end)
		return error_set(err, -EBADMSG, "the compiler printed more than was asked for");
	return 0;
}

/* --- line markers, as -E writes them -----------------------------------------------------------
 */

struct marker {
	struct buf name;
	bool enters, system;
};

/* Parses: # NUMBER "NAME" FLAGS. False when the line is none. */
static bool parse_marker(const char *line, const char *end, struct marker *m)
{
	const char *c = line + 2;
	while (c < end && *c >= '0' && *c <= '9')
		c++;
	if (c == line + 2 || end - c < 3 || c[0] != ' ' || c[1] != '"')
		return false;
	buf_reset(&m->name);
	for (c += 2; c < end && *c != '"'; c++) {
		if (*c == '\\' && end - c > 3 && c[1] >= '0' && c[1] <= '7') {
			buf_add_char(&m->name,
			             (char)((c[1] - '0') * 64 + (c[2] - '0') * 8 + c[3] - '0'));
			c += 3;
			continue;
		}
		if (*c == '\\' && end - c > 1)
			c++;
		buf_add_char(&m->name, *c);
	}
	m->enters = m->system = false;
	for (; c < end; c++) {
		m->enters = m->enters || *c == '1';
		m->system = m->system || *c == '3';
	}
	return m->name.len > 0;
}

/* Files by name, so that a file included a hundred times is listed once. */
struct name_set {
	size_t *slots; /* index + 1 into the list */
	size_t size;
};

static uint64_t hash_name(const char *name, size_t len)
{
	uint64_t h = 14695981039346656037u;
	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)name[i]) * 1099511628211u;
	return h;
}

static void add_once(struct headers *h, struct name_set *seen, const struct marker *m)
{
	if (2 * (h->count + 1) > seen->size) {
		seen->size = seen->size ? 2 * seen->size : 512;
		free(seen->slots);
		seen->slots = xcalloc(seen->size, sizeof(*seen->slots));
		for (size_t i = 0; i < h->count; i++) {
			size_t at = hash_name(h->items[i].path, strlen(h->items[i].path));
			while (seen->slots[at % seen->size])
				at++;
			seen->slots[at % seen->size] = i + 1;
		}
	}
	size_t before = h->count;
	headers_add(h, m->name.data, m->name.len, m->system);
	const char *path = h->items[before].path;
	size_t at = hash_name(path, strlen(path));
	for (size_t slot; (slot = seen->slots[at % seen->size]); at++) {
		if (strcmp(h->items[slot - 1].path, path) != 0)
			continue;
		free(h->items[before].path);
		h->count--;
		return;
	}
	seen->slots[at % seen->size] = before + 1;
}

/* The text of several sources follows one another, each beginning with the marker `# 0 "NAME"`. */
static int read_markers(const char *text, size_t len, struct headers *out, size_t count,
                        struct error *err)
{
	struct name_set seen = { 0 };
	struct marker m = { .name = BUF_INIT };
	size_t source = 0;
	int r = 0;
	const char *end = text + len, *eol;
	for (const char *line = text; line < end && r == 0; line = eol + 1) {
		eol = memchr(line, '\n', (size_t)(end - line));
		if (!eol)
			break;
		if (line[0] != '#' || line[1] != ' ' || !parse_marker(line, eol, &m))
			continue;
		bool begins = strncmp(line, "# 0 ", 4) == 0 && m.name.data[0] != '<';
		if (begins && source < count && (source == 0 || out[source - 1].count > 0)) {
			free(seen.slots);
			seen = (struct name_set){ 0 };
			source++;
		}
		if (source == 0 || m.name.data[0] == '<' || (!begins && !m.enters))
			continue;
		if (out[source - 1].count >= DISCOVERY_FILES_MAX)
			r = error_set(err, -EBADMSG, "a source includes too many files");
		add_once(&out[source - 1], &seen, &m);
	}
	if (r == 0 && (source != count || (count && out[count - 1].count == 0)))
		r = error_set(err, -EBADMSG, "the compiler printed %zu sources instead of %zu",
		              source, count);
	free(seen.slots);
	buf_release(&m.name);
	return r;
}

int discovery_read(const struct plan *p, const char *text, size_t len, struct headers *out,
                   size_t count, struct error *err)
{
	if (p->discover_text)
		return read_markers(text, len, out, count, err);
	return read_rules(text, len, out, count, err);
}
