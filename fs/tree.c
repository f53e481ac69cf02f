#include "fs/tree.h"

#include <fcntl.h>

#include "common/buf.h"
#include "common/escape.h"
#include "common/io.h"
#include "engine/placeholder.h"
#include "fs/object.h"

enum { THUNK_TEXT_MAX = 4 << 20 }; /* as engine/thunk.h has it, which is not ours to see */

bool tree_is_output(const char *text, size_t len, const char *output)
{
	/* Fields hold no newline, and every line is a fact: no other line can look like this. */
	scoped_buf struct buf line = BUF_INIT;
	buf_add_str(&line, "\noutput tree ");
	escape_add(&line, output);
	buf_add_char(&line, '\n');
	return len && memmem(text, len, line.data, line.len) != NULL;
}

static void key_of(const struct ref *ref, struct digest *key)
{
	scoped_buf struct buf text = BUF_INIT;
	ref_encode(ref, &text);
	digest_of(key, text.data, text.len);
}

static bool is_remembered(struct fs *fs, const struct ref *ref)
{
	struct known_trees *k = &fs->trees;
	struct digest key;
	bool found = false;
	pthread_mutex_lock(&k->lock);
	bool any = k->count > 0;
	pthread_mutex_unlock(&k->lock);
	if (!any)
		return false;
	key_of(ref, &key);
	pthread_mutex_lock(&k->lock);
	for (size_t i = 0; i < k->count && !found; i++)
		found = digest_equal(&k->keys[i], &key);
	pthread_mutex_unlock(&k->lock);
	return found;
}

void tree_remember(struct fs *fs, const struct ref *ref)
{
	struct known_trees *k = &fs->trees;
	struct digest key;
	if (tree_is(fs, ref))
		return;
	key_of(ref, &key);
	pthread_mutex_lock(&k->lock);
	k->keys[k->next] = key;
	k->next = (k->next + 1) % KNOWN_TREES_MAX;
	if (k->count < KNOWN_TREES_MAX)
		k->count++;
	pthread_mutex_unlock(&k->lock);
}

static bool is_declared(struct fs *fs, const struct ref *ref)
{
	scoped_buf struct buf text = BUF_INIT;
	scoped_fd int fd = object_open(fs, &ref->digest);
	return fd >= 0 && read_all(fd, &text, THUNK_TEXT_MAX) == 0 &&
	       tree_is_output(text.data, text.len, ref->output);
}

bool tree_is(struct fs *fs, const struct ref *ref)
{
	if (ref->kind != REF_THUNK)
		return ref->kind == REF_TREE;
	return (!ref->selection && is_declared(fs, ref)) || is_remembered(fs, ref);
}

bool tree_is_name(struct fs *fs, int dirfd, const char *name)
{
	scoped_ref struct ref ref = REF_INIT;
	struct stat st;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_size != PLACEHOLDER_SIZE)
		return false;
	scoped_fd int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && placeholder_read_fd(fd, &st, &ref, NULL) == 0 && tree_is(fs, &ref);
}

void tree_present(struct stat *st)
{
	/* Whoever may read a directory may also go into it. */
	st->st_mode = S_IFDIR | (st->st_mode & 0777) | (st->st_mode & 0444) >> 2;
	st->st_size = st->st_blksize;
	st->st_blocks = 0;
}
