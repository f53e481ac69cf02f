/* Header discovery by the compiler's own scan. */
#include "engine/model/discovery.h"

#include <string.h>

/* The target that the compiler is told to write: what begins each source's rule. */
#define RULE_TARGET "ggfs-source"
#define RULE_HEAD RULE_TARGET ":"

void headers_release(struct headers *h)
{
	strv_release(&h->read);
	strv_release(&h->listed);
	strv_release(&h->asked);
}

static const struct plan_depfile *wanted_depfile(const struct plan *p)
{
	for (size_t i = 0; i < p->source_count; i++)
		if (p->sources[i].has_depfile)
			return &p->sources[i].depfile;
	return NULL;
}

void discovery_command(const struct plan *p, const char *tool, struct strv *argv)
{
	/* all sources of one call have the same kind of dependency file, or none */
	const struct plan_depfile *d = wanted_depfile(p);
	strv_add(argv, tool);
	strv_copy(argv, &p->discover);
	strv_add(argv, p->discover_text ? "-E" : "-M");
	if (p->discover_text && d) {
		strv_add(argv, d->user_only ? "-MMD" : "-MD");
		strv_add(argv, "-MF");
		strv_add(argv, "-");
	}
	if (!p->discover_text || d) {
		strv_add(argv, "-MT");
		strv_add(argv, RULE_TARGET);
	}
	strv_copy(argv, &p->discover_sources);
}

static int too_many(struct error *err)
{
	return error_set(err, -EBADMSG, "a source includes too many files");
}

/* --- rules, as -M and -MD write them -----------------------------------------------------------
 */

/* Backslashes at *at, all of one run: how many are meant, and whether the last one quotes what
 * follows. 2n+1 before white space are n and the space; one before # is its quote. */
static size_t read_backslashes(const char **at, const char *end, bool *quotes)
{
	const char *run = *at;
	while (run < end && *run == '\\')
		run++;
	size_t count = (size_t)(run - *at);
	bool space = run < end && (*run == ' ' || *run == '\t');
	bool mark = run < end && *run == '#';
	*at = run;
	*quotes = mark || (space && count % 2);
	return space ? count / 2 : count - mark;
}

/* One dependency from *at, its quoting undone, into word; false at the rule's end. */
static bool next_dependency(const char **at, const char *end, struct buf *word)
{
	const char *c = *at;
	buf_reset(word);
	while (c < end && (*c == ' ' || (*c == '\\' && c + 1 < end && c[1] == '\n')))
		c += *c == ' ' ? 1 : 2;
	while (c < end && *c != ' ' && *c != '\n') {
		bool quotes = false;
		if (*c == '\\') {
			for (size_t n = read_backslashes(&c, end, &quotes); n > 0; n--)
				buf_add_char(word, '\\');
			if (!quotes)
				continue;
		} else if (*c == '$' && c + 1 < end && c[1] == '$') {
			c++;
		}
		buf_add_char(word, *c++);
	}
	*at = c;
	return word->len > 0;
}

/* One rule at *text, which moves past it. */
static int read_rule(const char **text, const char *end, struct strv *out, struct error *err)
{
	size_t head = strlen(RULE_HEAD);
	if ((size_t)(end - *text) < head || memcmp(*text, RULE_HEAD, head) != 0)
		return error_set(err, -EBADMSG, "the compiler printed no rule");
	*text += head;
	scoped_buf struct buf word = BUF_INIT;
	while (next_dependency(text, end, &word)) {
		if (out->count >= DISCOVERY_FILES_MAX)
			return too_many(err);
		strv_add(out, word.data);
	}
	if (*text < end)
		++*text;
	return out->count ? 0 : error_set(err, -EBADMSG, "the compiler's rule is empty");
}

static int read_rules(const char *text, size_t len, struct headers *out, size_t count,
                      struct error *err)
{
	const char *end = text + len;
	for (size_t i = 0; i < count; i++) {
		int r = read_rule(&text, end, &out[i].read, err);
		if (r < 0)
			return r;
		strv_copy(&out[i].listed, &out[i].read);
	}
	return text == end
	               ? 0
	               : error_set(err, -EBADMSG, "the compiler printed more than was asked for");
}

/* --- line markers, as -E writes them ------------------------------------------------------------
 */

/* Parses: # NUMBER "NAME" FLAGS. False when the line is none; enters when a file begins. */
static bool parse_marker(const char *line, const char *end, struct buf *name, bool *enters)
{
	const char *c = line + 2;
	while (c < end && *c >= '0' && *c <= '9')
		c++;
	if (c == line + 2 || end - c < 3 || c[0] != ' ' || c[1] != '"')
		return false;
	buf_reset(name);
	for (c += 2; c < end && *c != '"'; c++) {
		if (*c == '\\' && end - c > 3 && c[1] >= '0' && c[1] <= '7') {
			buf_add_char(name,
			             (char)((c[1] - '0') * 64 + (c[2] - '0') * 8 + c[3] - '0'));
			c += 3;
			continue;
		}
		if (*c == '\\' && end - c > 1)
			c++;
		buf_add_char(name, *c);
	}
	*enters = end - c >= 3 && c[1] == ' ' && c[2] == '1';
	return name->len > 0;
}

/* Names seen, so that a file included a hundred times is listed once. */
struct name_set {
	size_t *slots; /* index + 1 into the list */
	size_t size;
};

static size_t hash_name(const char *name)
{
	uint64_t h = 14695981039346656037u;
	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 1099511628211u;
	return h;
}

static size_t *find_slot(struct name_set *set, const struct strv *names, const char *name)
{
	for (size_t at = hash_name(name);; at++) {
		size_t *slot = &set->slots[at % set->size];
		if (!*slot || strcmp(names->items[*slot - 1], name) == 0)
			return slot;
	}
}

static void add_once(struct strv *names, struct name_set *set, const char *name)
{
	if (2 * (names->count + 1) > set->size) {
		set->size = set->size ? 2 * set->size : 512;
		free(set->slots);
		set->slots = xcalloc(set->size, sizeof(*set->slots));
		for (size_t i = 0; i < names->count; i++)
			*find_slot(set, names, names->items[i]) = i + 1;
	}
	size_t *slot = find_slot(set, names, name);
	if (*slot)
		return;
	strv_add(names, name);
	*slot = names->count;
}

/* The text of one source: from its marker `# 0 "NAME"` to the next source's. rule is set to the
 * last line that can begin a rule: the text comes first. */
struct segment {
	const char *begin, *end, *rule;
};

static bool begins_source(const char *line, const char *end)
{
	return end - line > 6 && memcmp(line, "# 0 \"", 5) == 0 && line[5] != '<';
}

static size_t split_segments(const char *text, const char *end, struct segment *out, size_t count)
{
	size_t found = 0;
	const char *eol;
	for (const char *line = text; line < end; line = eol + 1) {
		eol = memchr(line, '\n', (size_t)(end - line));
		eol = eol ? eol : end - 1;
		if (found < count && begins_source(line, eol)) {
			out[found++] = (struct segment){ .begin = line, .end = end };
			if (found > 1)
				out[found - 2].end = line;
		} else if (found && *line == RULE_HEAD[0] &&
		           (size_t)(end - line) > strlen(RULE_HEAD) &&
		           memcmp(line, RULE_HEAD, strlen(RULE_HEAD)) == 0) {
			out[found - 1].rule = line;
		}
	}
	return found;
}

static int read_segment(const struct segment *s, bool with_rule, struct headers *out,
                        struct error *err)
{
	struct name_set seen = { 0 };
	scoped_buf struct buf name = BUF_INIT;
	int r = 0;
	if (with_rule) {
		const char *rule = s->rule ? s->rule : s->end;
		r = read_rule(&rule, s->end, &out->listed, err);
	}
	const char *end = s->rule ? s->rule : s->end, *eol;
	for (const char *line = s->begin; r == 0 && line < end; line = eol + 1) {
		bool enters = false;
		eol = memchr(line, '\n', (size_t)(end - line));
		if (!eol)
			break;
		if (line[0] != '#' || line[1] != ' ' || !parse_marker(line, eol, &name, &enters))
			continue;
		if (name.data[0] != '<' && (enters || line == s->begin))
			add_once(&out->read, &seen, name.data);
		r = out->read.count > DISCOVERY_FILES_MAX ? too_many(err) : 0;
	}
	free(seen.slots);
	return r;
}

static int read_text(const struct plan *p, const char *text, size_t len, struct headers *out,
                     size_t count, struct error *err)
{
	struct segment *segments = xcalloc(count, sizeof(*segments));
	size_t found = split_segments(text, text + len, segments, count);
	int r = 0;
	if (found != count)
		r = error_set(err, -EBADMSG, "the compiler printed %zu sources instead of %zu",
		              found, count);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = read_segment(&segments[i], wanted_depfile(p) != NULL, &out[i], err);
	free(segments);
	return r;
}

int discovery_read(const struct plan *p, const char *text, size_t len, struct headers *out,
                   size_t count, struct error *err)
{
	if (p->discover_text)
		return read_text(p, text, len, out, count, err);
	return read_rules(text, len, out, count, err);
}
