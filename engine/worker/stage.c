#include "engine/worker/stage.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/io.h"
#include "engine/local/world.h"
#include "engine/worker/clear.h"
#include "engine/worker/relocate.h"

enum { BLOCK_BYTES = 4096 };

/* A file as it was laid out. */
struct fact {
	char *path;
	struct digest digest;
	uint64_t size_bytes;
	mode_t mode;
	ino_t inode;
	struct timespec changed;
};

struct stage {
	int dir; /* of the job; borrowed is its parent's name below */
	int parent;
	int root;
	char *name, *job;
	struct fact *facts; /* sorted by path */
	size_t count;
	uint64_t bytes;
};

/* --- making ------------------------------------------------------------------------------------
 */

static int make(struct stage *s, struct error *err)
{
	if (mkdirat(s->parent, s->name, 0700) < 0)
		return error_errno(err, "cannot make %s", s->job);
	s->dir = openat(s->parent, s->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0 || mkdirat(s->dir, "root", 0755) < 0)
		return error_errno(err, "cannot make %s/root", s->job);
	s->root = openat(s->dir, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->root < 0 || fchmod(s->root, 0755) < 0)
		return error_errno(err, "cannot open %s/root", s->job);
	return replace_file_at(s->dir, RELOCATE_LIBRARY, relocate_bytes, relocate_bytes_size, 0444,
	                       err);
}

int stage_new(int dir, const char *dir_path, const char *name, struct stage **out,
              struct error *err)
{
	struct stage *s = xcalloc(1, sizeof(*s));
	s->dir = s->root = -1;
	s->parent = dir;
	s->name = xstrdup(name);
	s->job = xformat("%s/%s", dir_path, name);
	int r = clear_tree(dir, name, err);
	if (r == 0)
		r = make(s, err);
	if (r < 0)
		stage_free(s);
	else
		*out = s;
	return r;
}

static void facts_free(struct fact *facts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(facts[i].path);
	free(facts);
}

void stage_free(struct stage *s)
{
	if (!s)
		return;
	facts_free(s->facts, s->count);
	if (s->root >= 0)
		close(s->root);
	if (s->dir >= 0)
		close(s->dir);
	clear_tree(s->parent, s->name, NULL);
	free(s->name);
	free(s->job);
	free(s);
}

const char *stage_job(const struct stage *s)
{
	return s->job;
}

int stage_root(const struct stage *s)
{
	return s->root;
}

uint64_t stage_bytes(const struct stage *s)
{
	return s->bytes;
}

bool stage_source_digest(const struct job_entry *entry, struct digest *out)
{
	/* "objects/ab/cd..." */
	char hex[DIGEST_HEX_SIZE + 1];
	const char *text = entry->source + strlen("objects/");
	if (strlen(entry->source) != strlen("objects/") + DIGEST_HEX_SIZE + 1)
		return false;
	snprintf(hex, sizeof(hex), "%.2s%s", text, text + 3);
	return digest_parse(hex, DIGEST_HEX_SIZE, out);
}

/* --- clearing ----------------------------------------------------------------------------------
 */

struct clearing {
	struct stage *s;
	const struct job_entry *entries;
	size_t count;
	bool *kept;
};

static size_t first_not_before(const struct clearing *c, const char *path)
{
	size_t low = 0, high = c->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(c->entries[middle].path, path) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_wanted_directory(const struct clearing *c, const char *path)
{
	scoped_free char *inside = xformat("%s/", path);
	size_t at = first_not_before(c, path), below = first_not_before(c, inside);
	if (at < c->count && strcmp(c->entries[at].path, path) == 0)
		return c->entries[at].kind == JOB_ENTRY_DIR;
	return below < c->count && strncmp(c->entries[below].path, inside, strlen(inside)) == 0;
}

static const struct fact *find_fact(const struct stage *s, const char *path)
{
	size_t low = 0, high = s->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(s->facts[middle].path, path);
		if (order == 0)
			return &s->facts[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static bool is_as_laid_out(const struct fact *fact, const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_ino == fact->inode && st->st_nlink == 1 &&
	       (uint64_t)st->st_size == fact->size_bytes && (st->st_mode & 07777) == fact->mode &&
	       st->st_ctim.tv_sec == fact->changed.tv_sec &&
	       st->st_ctim.tv_nsec == fact->changed.tv_nsec;
}

/* Whether the entry is there as it is wanted. Those that a function may write are made anew. */
static bool is_kept(const struct clearing *c, const struct job_entry *entry, const struct stat *st)
{
	struct digest digest;
	if (entry->kind != JOB_ENTRY_COPY || (entry->mode & 0200))
		return false;
	const struct fact *fact = find_fact(c->s, entry->path);
	return fact && fact->mode == entry->mode && stage_source_digest(entry, &digest) &&
	       digest_equal(&fact->digest, &digest) && is_as_laid_out(fact, st);
}

static int clear_directory(const struct clearing *c, int dir, const char *prefix);

static int clear_member(const struct clearing *c, int dir, const char *name, const char *path)
{
	struct stat st;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode) && is_wanted_directory(c, path)) {
		if ((st.st_mode & 07777) != 0755 && fchmodat(dir, name, 0755, 0) < 0)
			return -errno;
		scoped_fd int fd =
		        openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		return fd < 0 ? -errno : clear_directory(c, fd, path);
	}
	size_t at = first_not_before(c, path);
	if (at < c->count && strcmp(c->entries[at].path, path) == 0 &&
	    is_kept(c, &c->entries[at], &st)) {
		c->kept[at] = true;
		return 0;
	}
	return clear_tree(dir, name, NULL);
}

static int clear_directory(const struct clearing *c, int dir, const char *prefix)
{
	scoped_fd int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scoped_dir DIR *list = copy < 0 ? NULL : fdopendir(copy);
	if (!list)
		return -errno;
	steal_fd(&copy);
	int r = 0;
	for (const struct dirent *e; r == 0 && (e = readdir(list));) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		scoped_free char *path =
		        *prefix ? xformat("%s/%s", prefix, e->d_name) : xstrdup(e->d_name);
		r = clear_member(c, dir, e->d_name, path);
	}
	return r;
}

int stage_clear(struct stage *s, const struct job_entry *entries, size_t count, bool *kept,
                struct error *err)
{
	struct clearing c = { .s = s, .entries = entries, .count = count, .kept = kept };
	memset(kept, 0, count * sizeof(*kept));
	if (fchmod(s->root, 0755) < 0)
		return error_errno(err, "cannot reach %s/root", s->job);
	int r = clear_directory(&c, s->root, "");
	return r < 0 ? error_set(err, r, "cannot clear %s/root: %s", s->job, strerror(-r)) : 0;
}

/* --- filling -----------------------------------------------------------------------------------
 */

/* A link's target as it is to be made: absolute ones stay below the root. NULL: it leads out. */
static char *link_target(const struct stage *s, const struct job_entry *entry)
{
	const char *target = entry->bytes;
	if (target[0] == '/')
		return strstr(target, "/..") ? NULL : xformat("%s/root%s", s->job, target);
	size_t depth = 0;
	for (const char *c = entry->path; *c; c++)
		depth += *c == '/';
	for (const char *c = target; *c;) {
		size_t n = strcspn(c, "/");
		bool up = n == 2 && strncmp(c, "..", 2) == 0;
		if (up && depth == 0)
			return NULL;
		if (n > 0 && !(n == 1 && *c == '.'))
			depth = up ? depth - 1 : depth + 1;
		c += n;
		c += strspn(c, "/");
	}
	return xstrdup(target);
}

/* The entries to be made, with links' targets changed; *index: which of the caller's each is. */
static int choose(const struct stage *s, const struct job_entry *entries, size_t count,
                  const bool *kept, struct job_entry *chosen, size_t *index, size_t *chosen_count,
                  struct strv *targets, size_t *failed, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		if (kept[i])
			continue;
		struct job_entry *entry = &chosen[*chosen_count];
		*entry = entries[i];
		index[(*chosen_count)++] = i;
		if (entry->kind != JOB_ENTRY_LINK)
			continue;
		char *target = link_target(s, entry);
		if (!target) {
			*failed = i;
			return error_set(err, -EINVAL, "the link %s leads out of the world",
			                 entry->path);
		}
		strv_add_take(targets, target);
		entry->bytes = target;
		entry->size_bytes = strlen(target);
	}
	return 0;
}

/* Reads back what was laid out and remembers it. */
static int check(const struct stage *s, const struct job_entry *entry, struct fact *out,
                 struct error *err)
{
	struct digest want, actual;
	struct stat st;
	scoped_fd int fd = openat(s->root, entry->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || !stage_source_digest(entry, &want))
		return error_set(err, -EIO, "cannot read %s back", entry->path);
	int r = digest_of_fd(fd, &actual, NULL, err);
	if (r < 0)
		return r;
	if (!digest_equal(&actual, &want))
		return error_set(err, -EBADMSG, "what was kept as blob %s has digest %s",
		                 digest_hex(&want).text, digest_hex(&actual).text);
	if (fstat(fd, &st) < 0)
		return error_errno(err, "cannot look at %s", entry->path);
	*out = (struct fact){ .path = xstrdup(entry->path),
		              .digest = want,
		              .size_bytes = (uint64_t)st.st_size,
		              .mode = st.st_mode & 07777,
		              .inode = st.st_ino,
		              .changed = st.st_ctim };
	return 0;
}

/* Facts of all files that are there now: old ones of what was kept, new ones of the rest. */
static int remember(struct stage *s, const struct job_entry *entries, size_t count,
                    const bool *kept, size_t *failed, struct error *err)
{
	struct fact *facts = xcalloc(count + 1, sizeof(*facts));
	size_t known = 0;
	uint64_t bytes = 0;
	int r = 0;
	for (size_t i = 0; r == 0 && i < count; i++) {
		if (entries[i].kind != JOB_ENTRY_COPY)
			continue;
		const struct fact *old = kept[i] ? find_fact(s, entries[i].path) : NULL;
		if (old) {
			facts[known] = *old;
			facts[known].path = xstrdup(old->path);
		} else {
			r = check(s, &entries[i], &facts[known], err);
		}
		if (r < 0) {
			*failed = i;
			break;
		}
		bytes += (facts[known++].size_bytes / BLOCK_BYTES + 1) * BLOCK_BYTES;
	}
	facts_free(s->facts, s->count);
	s->facts = facts;
	s->count = known;
	s->bytes = bytes;
	return r;
}

static int make_places(const struct stage *s)
{
	if ((mkdirat(s->root, "tmp", 01777) < 0 && errno != EEXIST) ||
	    fchmodat(s->root, "tmp", 01777, 0) < 0)
		return -errno;
	return mkdirat(s->root, "dev", 0755) < 0 && errno != EEXIST ? -errno : 0;
}

static int empty_report(const struct stage *s)
{
	if (unlinkat(s->dir, RELOCATE_REPORT, 0) < 0 && errno != ENOENT)
		return -errno;
	scoped_fd int fd =
	        openat(s->dir, RELOCATE_REPORT, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : 0;
}

static int lay_out(const struct stage *s, int store, const struct job_entry *entries, size_t count,
                   const bool *kept, size_t *failed, struct error *err)
{
	scoped_free struct job_entry *chosen = xcalloc(count + 1, sizeof(*chosen));
	scoped_free size_t *index = xcalloc(count + 1, sizeof(*index));
	scoped_strv struct strv targets = STRV_INIT;
	size_t chosen_count = 0, wrong = SIZE_MAX;
	int r = choose(s, entries, count, kept, chosen, index, &chosen_count, &targets, failed,
	               err);
	if (r < 0)
		return r;
	r = world_lay_out(s->root, store, chosen, chosen_count, WORLD_COPY_ALL, &wrong);
	if (r == 0)
		r = make_places(s);
	if (r == 0)
		r = empty_report(s);
	if (r == 0)
		return 0;
	*failed = wrong < chosen_count ? index[wrong] : SIZE_MAX;
	return error_set(err, r, "cannot lay out %s: %s",
	                 wrong < chosen_count ? chosen[wrong].path : "a world",
	                 r == -EBADMSG ? "the blob has not the size its manifest says"
	                               : strerror(-r));
}

int stage_fill(struct stage *s, int store, const struct job_entry *entries, size_t count,
               const bool *kept, size_t *failed, struct error *err)
{
	*failed = SIZE_MAX;
	int r = lay_out(s, store, entries, count, kept, failed, err);
	return r < 0 ? r : remember(s, entries, count, kept, failed, err);
}
