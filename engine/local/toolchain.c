#include "engine/local/toolchain.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include "common/io.h"
#include "engine/local/world.h"

enum state { EMPTY, BUSY, DECODED, UNPACKED };

struct item {
	struct toolchain toolchain; /* first: an item is found from it */
	struct digest digest;
	enum state state;
	unsigned users;
	struct item *next; /* most recently used first */
};

struct toolchains {
	struct store *store;
	pthread_mutex_t mutex;
	pthread_cond_t settled; /* some item is no longer BUSY */
	struct item *items;     /* guarded by mutex, as are state and users of each */
};

/* --- manifests -------------------------------------------------------------------------------- */

enum { TREE_DEPTH_MAX = 64 };

static int load(struct store *s, const struct digest *d, struct manifest *out,
                struct digest *absent, struct error *err)
{
	scoped_buf struct buf b = BUF_INIT;
	int r = store_get_bytes(s, d, MANIFEST_BYTES_MAX, &b, err);
	if (r < 0) {
		*absent = *d;
		return r;
	}
	r = manifest_decode(b.data, b.len, out, err);
	return r < 0 ? error_prefix(err, r, "manifest %s", digest_hex(d).text) : 0;
}

static int add_flat(struct store *s, struct manifest *to, const char *prefix,
                    const struct manifest_entry *entry, unsigned depth, struct digest *absent,
                    struct error *err)
{
	scoped_free char *path = xformat("%s%s", prefix, entry->path);
	if (to->count >= MANIFEST_ENTRIES_MAX || depth > TREE_DEPTH_MAX)
		return error_set(err, -EFBIG, "%s: too many inputs, or trees too deep", path);
	if (entry->kind == ENTRY_LINK)
		manifest_add_link(to, path, entry->target);
	else if (entry->kind == ENTRY_DIR)
		manifest_add_dir(to, path);
	else if (entry->ref.kind == REF_BLOB)
		manifest_add_file(to, path, entry->mode, &entry->ref);
	if (entry->kind != ENTRY_FILE || entry->ref.kind == REF_BLOB)
		return 0;
	if (entry->ref.kind == REF_THUNK)
		return error_set(err, -EINVAL, "%s: the thunk is not resolved", path);
	scoped_manifest struct manifest tree = MANIFEST_INIT;
	scoped_free char *below = xformat("%s/", path);
	int r = load(s, &entry->ref.digest, &tree, absent, err);
	if (r == 0 && tree.count == 0)
		manifest_add_dir(to, path);
	for (size_t i = 0; r == 0 && i < tree.count; i++)
		r = add_flat(s, to, below, &tree.entries[i], depth + 1, absent, err);
	return r;
}

int manifest_add_flat(struct store *s, struct manifest *to, const struct manifest_entry *entry,
                      struct digest *absent, struct error *err)
{
	return add_flat(s, to, "", entry, 0, absent, err);
}

int manifest_load_flat(struct store *s, const struct digest *d, struct manifest *out,
                       struct digest *absent, struct error *err)
{
	scoped_manifest struct manifest m = MANIFEST_INIT;
	int r = load(s, d, &m, absent, err);
	bool flat = true;
	for (size_t i = 0; r == 0 && i < m.count; i++)
		flat &= m.entries[i].kind != ENTRY_FILE || m.entries[i].ref.kind == REF_BLOB;
	if (r < 0)
		return r;
	if (flat) {
		*out = m;
		m = MANIFEST_INIT;
		return 0;
	}
	scoped_manifest struct manifest all = MANIFEST_INIT;
	for (size_t i = 0; r == 0 && i < m.count; i++)
		r = add_flat(s, &all, "", &m.entries[i], 0, absent, err);
	if (r == 0)
		r = manifest_finish(&all, err);
	if (r < 0)
		return r;
	*out = all;
	all = MANIFEST_INIT;
	return 0;
}

/* --- unpacking -------------------------------------------------------------------------------- */

static atomic_uint temporaries; /* made by this process, ever */

/* "tmp/PID.N...": what the store removes when it is opened and the process is gone. */
static void temporary_name(const char *kind, char out[JOB_SOURCE_MAX])
{
	snprintf(out, JOB_SOURCE_MAX, "tmp/%d.%s.%u", (int)getpid(), kind,
	         atomic_fetch_add(&temporaries, 1));
}

static struct job_entry *entries_of(const struct manifest *m)
{
	struct job_entry *entries = xcalloc(m->count, sizeof(*entries));
	for (size_t i = 0; i < m->count; i++) {
		const struct manifest_entry *from = &m->entries[i];
		struct job_entry *to = &entries[i];
		to->path = from->path;
		if (from->kind == ENTRY_LINK) {
			to->kind = JOB_ENTRY_LINK;
			to->bytes = from->target;
			to->size_bytes = strlen(from->target);
		} else if (from->kind == ENTRY_DIR) {
			to->kind = JOB_ENTRY_DIR;
		} else {
			to->kind = JOB_ENTRY_COPY;
			to->mode = from->mode & 0100 ? 0555 : 0444;
			to->size_bytes = from->ref.size_bytes;
			snprintf(to->source, sizeof(to->source), "%s",
			         store_object_path(&from->ref.digest).text);
		}
	}
	return entries;
}

static int fill(int store, const char *name, const struct manifest *m, struct digest *absent,
                struct error *err)
{
	int r = make_dirs_at(store, name, 0755, err);
	if (r < 0)
		return r;
	scoped_fd int root = openat(store, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return error_errno(err, "cannot open %s", name);
	scoped_free struct job_entry *entries = entries_of(m);
	size_t failed = SIZE_MAX;
	r = world_lay_out(root, store, entries, m->count, WORLD_COPY_ALL, &failed);
	if (r < 0 && failed < m->count && m->entries[failed].kind == ENTRY_FILE)
		*absent = m->entries[failed].ref.digest;
	if (r < 0)
		return error_set(err, r, "cannot unpack %s of a toolchain: %s",
		                 failed < m->count ? m->entries[failed].path : "", strerror(-r));
	/* The directory's name promises its contents, after a power loss as well. */
	return syncfs(root) < 0 ? error_errno(err, "cannot write a toolchain to disk") : 0;
}

static int unpack(struct store *s, const struct toolchain *t, struct digest *absent,
                  struct error *err)
{
	int store = store_local_dirfd(s);
	if (faccessat(store, t->directory, F_OK, 0) == 0)
		return 0;
	char temporary[JOB_SOURCE_MAX];
	temporary_name("toolchain", temporary);
	int r = make_dirs_at(store, "toolchains", 0755, err);
	if (r == 0)
		r = fill(store, temporary, &t->manifest, absent, err);
	/* Another engine of this store may have been quicker. */
	if (r == 0 && renameat(store, temporary, store, t->directory) < 0 && errno != EEXIST &&
	    errno != ENOTEMPTY)
		r = error_errno(err, "cannot put a toolchain in place");
	remove_tree_at(store, temporary, NULL);
	return r;
}

/* --- the table -------------------------------------------------------------------------------- */

struct toolchains *toolchains_new(struct store *store)
{
	struct toolchains *t = xcalloc(1, sizeof(*t));
	t->store = store;
	pthread_mutex_init(&t->mutex, NULL);
	pthread_cond_init(&t->settled, NULL);
	return t;
}

static void item_free(struct item *item)
{
	manifest_release(&item->toolchain.manifest);
	free(item);
}

void toolchains_free(struct toolchains *t)
{
	if (!t)
		return;
	while (t->items) {
		struct item *item = t->items;
		t->items = item->next;
		item_free(item);
	}
	pthread_cond_destroy(&t->settled);
	pthread_mutex_destroy(&t->mutex);
	free(t);
}

/* Finds or adds it, counts a user. */
static struct item *take(struct toolchains *t, const struct digest *d)
{
	struct item **at = &t->items;
	while (*at && !digest_equal(&(*at)->digest, d))
		at = &(*at)->next;
	struct item *item = *at;
	if (item) {
		*at = item->next;
	} else {
		item = xcalloc(1, sizeof(*item));
		item->digest = *d;
	}
	item->next = t->items;
	t->items = item;
	item->users++;
	return item;
}

/* By one thread, with the item BUSY. */
static int advance(struct toolchains *t, struct item *item, enum state *state, bool unpacked,
                   struct digest *absent, struct error *err)
{
	int r = 0;
	if (*state == EMPTY)
		r = manifest_load_flat(t->store, &item->digest, &item->toolchain.manifest, absent,
		                       err);
	if (r < 0)
		return r;
	if (*state == EMPTY)
		*state = DECODED;
	if (!unpacked)
		return 0;
	snprintf(item->toolchain.directory, sizeof(item->toolchain.directory), "toolchains/%s",
	         digest_hex(&item->digest).text);
	r = unpack(t->store, &item->toolchain, absent, err);
	if (r == 0)
		*state = UNPACKED;
	return r;
}

int toolchains_get(struct toolchains *t, const struct sized_digest *which, bool unpacked,
                   const struct toolchain **out, struct digest *absent, struct error *err)
{
	enum state need = unpacked ? UNPACKED : DECODED;
	int r = 0;
	pthread_mutex_lock(&t->mutex);
	struct item *item = take(t, &which->digest);
	while (item->state == BUSY)
		pthread_cond_wait(&t->settled, &t->mutex);
	if (item->state < need) {
		enum state state = item->state;
		item->state = BUSY;
		pthread_mutex_unlock(&t->mutex);
		r = advance(t, item, &state, unpacked, absent, err);
		pthread_mutex_lock(&t->mutex);
		item->state = state;
		pthread_cond_broadcast(&t->settled);
	}
	pthread_mutex_unlock(&t->mutex);
	if (r < 0)
		toolchains_put(t, &item->toolchain);
	else
		*out = &item->toolchain;
	return r;
}

void toolchains_put(struct toolchains *t, const struct toolchain *toolchain)
{
	pthread_mutex_lock(&t->mutex);
	size_t kept = 0;
	for (struct item **at = &t->items; *at;) {
		struct item *item = *at;
		if (&item->toolchain == toolchain)
			item->users--;
		if (item->users == 0 && (item->state == EMPTY || kept >= TOOLCHAINS_KEPT)) {
			*at = item->next;
			item_free(item);
			continue;
		}
		kept++;
		at = &item->next;
	}
	pthread_mutex_unlock(&t->mutex);
}

/* --- executables ------------------------------------------------------------------------------ */

static int make_executable(int store, const struct ref *blob, const char *to, struct error *err)
{
	char temporary[JOB_SOURCE_MAX];
	temporary_name("exec", temporary);
	scoped_fd int from =
	        openat(store, store_object_path(&blob->digest).text, O_RDONLY | O_CLOEXEC);
	if (from < 0)
		return error_errno(err, "cannot open blob %s", digest_hex(&blob->digest).text);
	scoped_fd int fd = openat(store, temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(err, "cannot make %s", temporary);
	struct stat st;
	int r = copy_fd(from, fd, err);
	if (r == 0 && (fstat(fd, &st) < 0 || (uint64_t)st.st_size != blob->size_bytes))
		r = error_set(err, -EBADMSG, "blob %s has not the size its manifest says",
		              digest_hex(&blob->digest).text);
	if (r == 0 && fchmod(fd, 0555) < 0)
		r = error_errno(err, "cannot make %s executable", temporary);
	scoped_free char *folder = xstrndup(to, strlen("exec/ab"));
	if (r == 0)
		r = make_dirs_at(store, folder, 0755, err);
	if (r == 0 && renameat(store, temporary, store, to) < 0)
		r = error_errno(err, "cannot put %s in place", to);
	if (r < 0)
		unlinkat(store, temporary, 0);
	return r;
}

int executable_copy(struct store *s, const struct ref *blob, char source[JOB_SOURCE_MAX],
                    struct digest *absent, struct error *err)
{
	int store = store_local_dirfd(s);
	struct store_object_path object = store_object_path(&blob->digest);
	snprintf(source, JOB_SOURCE_MAX, "exec/%s", object.text + strlen("objects/"));
	struct stat st;
	/* The size shows one cut short by a power loss; it is then made again. */
	if (fstatat(store, source, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	    (uint64_t)st.st_size == blob->size_bytes && (st.st_mode & 0111))
		return 0;
	int r = make_executable(store, blob, source, err);
	if (r == -ENOENT || r == -EBADMSG)
		*absent = blob->digest;
	return r;
}
