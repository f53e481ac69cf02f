#include "engine/digest_map.h"

#include "common/buf.h"

static size_t home_of(const struct digest_map *m, const struct digest *key)
{
	size_t hash;
	memcpy(&hash, key->bytes, sizeof(hash));
	return hash & (m->capacity - 1);
}

/* The slot of key, or the free one where it would go. There is always a free one. */
static struct digest_map_slot *find(const struct digest_map *m, const struct digest *key)
{
	size_t at = home_of(m, key);
	while (m->slots[at].value && !digest_equal(&m->slots[at].key, key))
		at = (at + 1) & (m->capacity - 1);
	return &m->slots[at];
}

static void grow(struct digest_map *m)
{
	struct digest_map bigger = {
		.count = m->count,
		.capacity = m->capacity ? 2 * m->capacity : 16,
	};
	bigger.slots = xcalloc(bigger.capacity, sizeof(*bigger.slots));
	for (size_t i = 0; i < m->capacity; i++)
		if (m->slots[i].value)
			*find(&bigger, &m->slots[i].key) = m->slots[i];
	free(m->slots);
	*m = bigger;
}

void digest_map_release(struct digest_map *m)
{
	free(m->slots);
	*m = DIGEST_MAP_INIT;
}

void *digest_map_put(struct digest_map *m, const struct digest *key, void *value)
{
	if (4 * (m->count + 1) > 3 * m->capacity)
		grow(m);
	struct digest_map_slot *slot = find(m, key);
	void *old = slot->value;
	*slot = (struct digest_map_slot){ .key = *key, .value = value };
	if (!old)
		m->count++;
	return old;
}

void *digest_map_get(const struct digest_map *m, const struct digest *key)
{
	return m->count ? find(m, key)->value : NULL;
}

void *digest_map_remove(struct digest_map *m, const struct digest *key)
{
	if (!m->count)
		return NULL;
	struct digest_map_slot *slot = find(m, key);
	void *old = slot->value;
	if (!old)
		return NULL;
	/* Close the gap: whatever would no longer be found past a free slot moves into it. */
	size_t mask = m->capacity - 1, gap = (size_t)(slot - m->slots);
	for (size_t at = (gap + 1) & mask; m->slots[at].value; at = (at + 1) & mask) {
		size_t home = home_of(m, &m->slots[at].key);
		if (((at - home) & mask) >= ((at - gap) & mask)) {
			m->slots[gap] = m->slots[at];
			gap = at;
		}
	}
	m->slots[gap].value = NULL;
	m->count--;
	return old;
}

void *digest_map_next(const struct digest_map *m, size_t *position)
{
	while (*position < m->capacity) {
		void *value = m->slots[(*position)++].value;
		if (value)
			return value;
	}
	return NULL;
}
