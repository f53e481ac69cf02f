#include "engine/model/memory.h"

#include <pthread.h>
#include <string.h>

#include "engine/model/scanner_cache.h"

struct file_key {
	uint64_t dev, ino, size;
	struct timespec mtime, ctime;
};

struct file_slot {
	struct file_key key;
	struct digest digest;
	bool used;
};

struct facts_slot {
	struct digest digest;
	struct facts facts;
	bool used;
};

struct text {
	char *key;
	struct strv value;
};

struct memory {
	pthread_mutex_t lock; /* guards all below */
	struct file_slot *files;
	size_t file_count, file_size;
	struct facts_slot *facts;
	size_t facts_count, facts_size;
	struct text *texts;
	size_t text_count, text_capacity;
	struct scanner_cache *scanner; /* has a lock of its own */
};

struct memory *memory_new(void)
{
	struct memory *m = xcalloc(1, sizeof(*m));
	pthread_mutex_init(&m->lock, NULL);
	m->scanner = scanner_cache_new();
	return m;
}

static void drop_facts(struct memory *m)
{
	for (size_t i = 0; i < m->facts_size; i++)
		facts_release(&m->facts[i].facts);
	free(m->facts);
	m->facts = NULL;
	m->facts_count = m->facts_size = 0;
}

static void drop_texts(struct memory *m)
{
	for (size_t i = 0; i < m->text_count; i++) {
		free(m->texts[i].key);
		strv_release(&m->texts[i].value);
	}
	m->text_count = 0;
}

void memory_free(struct memory *m)
{
	if (!m)
		return;
	drop_facts(m);
	drop_texts(m);
	free(m->texts);
	free(m->files);
	scanner_cache_free(m->scanner);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

struct scanner_cache *memory_scanner(struct memory *m)
{
	return m->scanner;
}

/* --- digests of files ------------------------------------------------------------------------- */

static struct file_key key_of(const struct stat *st)
{
	struct file_key key;
	memset(&key, 0, sizeof(key)); /* compared as bytes */
	key.dev = st->st_dev;
	key.ino = st->st_ino;
	key.size = (uint64_t)st->st_size;
	key.mtime = st->st_mtim;
	key.ctime = st->st_ctim;
	return key;
}

static struct file_slot *file_slot(struct file_slot *slots, size_t size, const struct file_key *key)
{
	uint64_t h = key->ino * 0x9e3779b97f4a7c15u ^ key->dev ^
	             (uint64_t)key->mtime.tv_nsec * 0xff51afd7ed558ccdu;
	for (size_t at = h ^ h >> 32;; at++) {
		struct file_slot *slot = &slots[at & (size - 1)];
		if (!slot->used || memcmp(&slot->key, key, sizeof(*key)) == 0)
			return slot;
	}
}

bool memory_digest_get(struct memory *m, const struct stat *st, struct digest *out)
{
	struct file_key key = key_of(st);
	pthread_mutex_lock(&m->lock);
	struct file_slot *slot = m->file_size ? file_slot(m->files, m->file_size, &key) : NULL;
	bool found = slot && slot->used;
	if (found)
		*out = slot->digest;
	pthread_mutex_unlock(&m->lock);
	return found;
}

static void grow_files(struct memory *m)
{
	size_t size = m->file_size ? 2 * m->file_size : 1024;
	if (size > 2 * MEMORY_FILES_MAX) {
		/* full: start over rather than choose */
		memset(m->files, 0, m->file_size * sizeof(*m->files));
		m->file_count = 0;
		return;
	}
	struct file_slot *slots = xcalloc(size, sizeof(*slots));
	for (size_t i = 0; i < m->file_size; i++)
		if (m->files[i].used)
			*file_slot(slots, size, &m->files[i].key) = m->files[i];
	free(m->files);
	m->files = slots;
	m->file_size = size;
}

void memory_digest_put(struct memory *m, const struct stat *st, const struct digest *d)
{
	struct file_key key = key_of(st);
	pthread_mutex_lock(&m->lock);
	if (2 * (m->file_count + 1) > m->file_size)
		grow_files(m);
	struct file_slot *slot = file_slot(m->files, m->file_size, &key);
	m->file_count += !slot->used;
	*slot = (struct file_slot){ key, *d, true };
	pthread_mutex_unlock(&m->lock);
}

/* --- facts ------------------------------------------------------------------------------------ */

static struct facts_slot *facts_slot(struct facts_slot *slots, size_t size, const struct digest *d)
{
	size_t at;
	memcpy(&at, d->bytes, sizeof(at));
	for (;; at++) {
		struct facts_slot *slot = &slots[at & (size - 1)];
		if (!slot->used || digest_equal(&slot->digest, d))
			return slot;
	}
}

bool memory_facts_get(struct memory *m, const struct digest *d, struct facts *out)
{
	pthread_mutex_lock(&m->lock);
	struct facts_slot *slot = m->facts_size ? facts_slot(m->facts, m->facts_size, d) : NULL;
	bool found = slot && slot->used;
	if (found)
		facts_copy(out, &slot->facts);
	pthread_mutex_unlock(&m->lock);
	return found;
}

static void grow_facts(struct memory *m)
{
	size_t size = m->facts_size ? 2 * m->facts_size : 1024;
	if (size > 2 * MEMORY_FILES_MAX) {
		drop_facts(m);
		size = 1024;
	}
	struct facts_slot *slots = xcalloc(size, sizeof(*slots));
	for (size_t i = 0; i < m->facts_size; i++)
		if (m->facts[i].used)
			*facts_slot(slots, size, &m->facts[i].digest) = m->facts[i];
	free(m->facts);
	m->facts = slots;
	m->facts_size = size;
}

void memory_facts_put(struct memory *m, const struct digest *d, const struct facts *facts)
{
	pthread_mutex_lock(&m->lock);
	if (2 * (m->facts_count + 1) > m->facts_size)
		grow_facts(m);
	struct facts_slot *slot = facts_slot(m->facts, m->facts_size, d);
	if (!slot->used) {
		*slot = (struct facts_slot){ .digest = *d, .used = true };
		facts_copy(&slot->facts, facts);
		m->facts_count++;
	}
	pthread_mutex_unlock(&m->lock);
}

/* --- texts ------------------------------------------------------------------------------------ */

static struct text *find_text(struct memory *m, const char *key)
{
	for (size_t i = 0; i < m->text_count; i++)
		if (strcmp(m->texts[i].key, key) == 0)
			return &m->texts[i];
	return NULL;
}

bool memory_text_get(struct memory *m, const char *key, struct strv *out)
{
	pthread_mutex_lock(&m->lock);
	struct text *t = find_text(m, key);
	if (t)
		strv_copy(out, &t->value);
	pthread_mutex_unlock(&m->lock);
	return t != NULL;
}

void memory_text_put(struct memory *m, const char *key, const struct strv *value)
{
	pthread_mutex_lock(&m->lock);
	if (m->text_count >= MEMORY_TEXTS_MAX)
		drop_texts(m);
	struct text *t = find_text(m, key);
	if (!t) {
		array_grow(m->texts, m->text_count, m->text_capacity);
		t = &m->texts[m->text_count++];
		*t = (struct text){ .key = xstrdup(key) };
	}
	strv_release(&t->value);
	strv_copy(&t->value, value);
	pthread_mutex_unlock(&m->lock);
}
