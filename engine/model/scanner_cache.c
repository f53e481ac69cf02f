#include "engine/model/scanner_cache.h"

#include <pthread.h>
#include <string.h>

struct file_slot {
	struct digest digest;
	unsigned mode;
	struct lexed *lexed; /* NULL: free */
};

struct compiler {
	char *key;
	struct predefined *predefined;
};

struct scanner_cache {
	pthread_mutex_t lock; /* guards all below */
	struct file_slot *files;
	size_t file_count, file_size, memory_bytes;
	struct compiler *compilers;
	size_t compiler_count, compiler_capacity;
};

struct scanner_cache *scanner_cache_new(void)
{
	struct scanner_cache *c = xcalloc(1, sizeof(*c));
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

static void drop_files(struct scanner_cache *c)
{
	for (size_t i = 0; i < c->file_size; i++)
		lexed_unref(c->files[i].lexed);
	free(c->files);
	c->files = NULL;
	c->file_count = c->file_size = c->memory_bytes = 0;
}

static void drop_compilers(struct scanner_cache *c)
{
	for (size_t i = 0; i < c->compiler_count; i++) {
		free(c->compilers[i].key);
		predefined_unref(c->compilers[i].predefined);
	}
	c->compiler_count = 0;
}

void scanner_cache_free(struct scanner_cache *c)
{
	if (!c)
		return;
	drop_files(c);
	drop_compilers(c);
	free(c->compilers);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static struct file_slot *file_slot(struct file_slot *slots, size_t size, const struct digest *d,
                                   unsigned mode)
{
	size_t at;
	memcpy(&at, d->bytes, sizeof(at));
	for (at += mode;; at++) {
		struct file_slot *slot = &slots[at & (size - 1)];
		if (!slot->lexed || (slot->mode == mode && digest_equal(&slot->digest, d)))
			return slot;
	}
}

struct lexed *scanner_cache_file(struct scanner_cache *c, const struct digest *d, unsigned mode)
{
	pthread_mutex_lock(&c->lock);
	struct lexed *l = c->file_size ? file_slot(c->files, c->file_size, d, mode)->lexed : NULL;
	if (l)
		lexed_ref(l);
	pthread_mutex_unlock(&c->lock);
	return l;
}

static void grow_files(struct scanner_cache *c)
{
	size_t size = c->file_size ? 2 * c->file_size : 1024;
	struct file_slot *slots = xcalloc(size, sizeof(*slots));
	for (size_t i = 0; i < c->file_size; i++)
		if (c->files[i].lexed)
			*file_slot(slots, size, &c->files[i].digest, c->files[i].mode) =
			        c->files[i];
	free(c->files);
	c->files = slots;
	c->file_size = size;
}

void scanner_cache_put_file(struct scanner_cache *c, const struct digest *d, unsigned mode,
                            struct lexed *l)
{
	pthread_mutex_lock(&c->lock);
	/* full: start over rather than choose */
	if (c->memory_bytes + l->memory_bytes > SCANNER_CACHE_BYTES_MAX)
		drop_files(c);
	if (2 * (c->file_count + 1) > c->file_size)
		grow_files(c);
	struct file_slot *slot = file_slot(c->files, c->file_size, d, mode);
	if (!slot->lexed && l->memory_bytes <= SCANNER_CACHE_BYTES_MAX) {
		*slot = (struct file_slot){ *d, mode, lexed_ref(l) };
		c->file_count++;
		c->memory_bytes += l->memory_bytes;
	}
	pthread_mutex_unlock(&c->lock);
}

struct predefined *scanner_cache_compiler(struct scanner_cache *c, const char *key)
{
	struct predefined *found = NULL;
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; !found && i < c->compiler_count; i++)
		if (strcmp(c->compilers[i].key, key) == 0)
			found = c->compilers[i].predefined;
	if (found)
		atomic_fetch_add(&found->references, 1);
	pthread_mutex_unlock(&c->lock);
	return found;
}

void scanner_cache_put_compiler(struct scanner_cache *c, const char *key, struct predefined *p)
{
	pthread_mutex_lock(&c->lock);
	if (c->compiler_count == SCANNER_CACHE_COMPILERS_MAX)
		drop_compilers(c);
	atomic_fetch_add(&p->references, 1);
	array_grow(c->compilers, c->compiler_count, c->compiler_capacity);
	c->compilers[c->compiler_count++] = (struct compiler){ xstrdup(key), p };
	pthread_mutex_unlock(&c->lock);
}
