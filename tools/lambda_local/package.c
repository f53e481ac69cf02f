#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>

#include "common/escape.h"
#include "common/io.h"
#include "tools/lambda_local/lambda.h"

enum { PACKAGE_ENTRIES_MAX = 100000 };

static void archive_reader_free(struct archive *a)
{
	if (a)
		archive_read_free(a);
}
DEFINE_SCOPED(scoped_archive_, struct archive, archive_reader_free)

static void sha256_base64(const void *bytes, size_t len, char out[45])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned digest_len = 0;
	EVP_Digest(bytes, len, digest, &digest_len, EVP_sha256(), NULL);
	EVP_EncodeBlock((unsigned char *)out, digest, (int)digest_len);
}

/* Without a leading "./" and trailing slash; NULL when it would lead elsewhere. */
static char *entry_path(struct archive_entry *entry)
{
	const char *name = archive_entry_pathname(entry);
	if (!name)
		return NULL;
	while (strncmp(name, "./", 2) == 0)
		name += 2;
	size_t len = strlen(name);
	while (len && name[len - 1] == '/')
		len--;
	scoped_free char *path = xstrndup(name, len);
	return path_is_normal(path) ? steal(&path) : NULL;
}

static int make_parent(int dir, const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return 0;
	scoped_free char *parent = xstrndup(path, (size_t)(slash - path));
	return make_dirs_at(dir, parent, 0755, err);
}

static int unpack_file(struct archive *a, int dir, const char *path, mode_t mode, uint64_t *room,
                       struct error *err)
{
	scoped_fd int fd = openat(dir, path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW,
	                          (mode & 0111) ? 0755 : 0644);
	if (fd < 0)
		return error_errno(err, "cannot unpack %s", path);
	const void *bytes;
	size_t len;
	la_int64_t at;
	int r;
	while ((r = archive_read_data_block(a, &bytes, &len, &at)) == ARCHIVE_OK) {
		if (len > *room)
			return error_set(err, -EFBIG, "Unzipped size must be smaller than %d bytes",
			                 PACKAGE_UNPACKED_MAX);
		*room -= len;
		if (pwrite(fd, bytes, len, at) != (ssize_t)len)
			return error_errno(err, "cannot unpack %s", path);
	}
	if (r != ARCHIVE_EOF)
		return error_set(err, -EINVAL, "Could not unzip uploaded file: %s",
		                 archive_error_string(a));
	return 0;
}

static int unpack_entry(struct archive *a, struct archive_entry *entry, int dir, uint64_t *room,
                        struct error *err)
{
	scoped_free char *path = entry_path(entry);
	if (!path) /* the root itself */
		return archive_entry_filetype(entry) == AE_IFDIR
		               ? 0
		               : error_set(err, -EINVAL,
		                           "an entry's name leads out of the package");
	int r;
	switch (archive_entry_filetype(entry)) {
	case AE_IFDIR:
		return make_dirs_at(dir, path, 0755, err);
	case AE_IFREG:
		r = make_parent(dir, path, err);
		return r < 0 ? r : unpack_file(a, dir, path, archive_entry_perm(entry), room, err);
	case AE_IFLNK:
		r = make_parent(dir, path, err);
		if (r == 0 && symlinkat(archive_entry_symlink(entry), dir, path) < 0)
			r = error_errno(err, "cannot unpack %s", path);
		return r;
	default:
		return error_set(err, -EINVAL, "%s is neither file, directory nor link", path);
	}
}

static int unpack(const void *zip, size_t len, int dir, struct error *err)
{
	scoped(scoped_archive_) struct archive *a = archive_read_new();
	struct archive_entry *entry;
	uint64_t room = PACKAGE_UNPACKED_MAX;
	unsigned entries = 0;
	archive_read_support_format_zip(a);
	if (archive_read_open_memory(a, zip, len) != ARCHIVE_OK)
		return error_set(err, -EINVAL, "Could not unzip uploaded file");
	int r;
	while ((r = archive_read_next_header(a, &entry)) == ARCHIVE_OK) {
		if (++entries > PACKAGE_ENTRIES_MAX)
			return error_set(err, -EFBIG, "more than %d entries", PACKAGE_ENTRIES_MAX);
		r = unpack_entry(a, entry, dir, &room, err);
		if (r < 0)
			return r;
	}
	if (r != ARCHIVE_EOF || !entries)
		return error_set(err, -EINVAL,
		                 "Could not unzip uploaded file. Please check your "
		                 "file, then try to upload again.");
	return 0;
}

static struct package *package_known(struct service *s, const char sha256[45])
{
	for (size_t i = 0; i < s->package_count; i++)
		if (strcmp(s->packages[i]->sha256, sha256) == 0)
			return s->packages[i];
	return NULL;
}

static int package_make(struct service *s, const void *zip, size_t len, struct package *p,
                        struct error *err)
{
	struct sha256_hex hex = sha256_hex(zip, len);
	p->dir = xformat("%s/packages/%s", s->dir, hex.text);
	p->zip = xformat("%s/packages/%s.zip", s->dir, hex.text);
	p->size_bytes = len;
	/* What an earlier run left behind half done. */
	remove_tree_at(AT_FDCWD, p->dir, NULL);
	int r = make_dirs_at(AT_FDCWD, p->dir, 0755, err);
	if (r < 0)
		return r;
	scoped_fd int dir = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return error_errno(err, "cannot open %s", p->dir);
	r = unpack(zip, len, dir, err);
	return r < 0 ? r : replace_file_at(AT_FDCWD, p->zip, zip, len, 0644, err);
}

static void package_free(struct package *p)
{
	if (p->dir)
		remove_tree_at(AT_FDCWD, p->dir, NULL);
	if (p->zip)
		unlink(p->zip);
	free(p->dir);
	free(p->zip);
	free(p);
}

int package_get(struct service *s, const void *zip, size_t len, struct package **out,
                struct error *err)
{
	char sha256[45];
	if (len > PACKAGE_ZIP_MAX)
		return error_set(err, -EFBIG,
		                 "Request must be smaller than %d bytes for the "
		                 "package",
		                 PACKAGE_ZIP_MAX);
	sha256_base64(zip, len, sha256);
	struct package *p = package_known(s, sha256);
	if (!p) {
		p = xcalloc(1, sizeof(*p));
		memcpy(p->sha256, sha256, sizeof(sha256));
		int r = package_make(s, zip, len, p, err);
		if (r < 0) {
			package_free(p);
			return r;
		}
		array_grow(s->packages, s->package_count, s->package_capacity);
		s->packages[s->package_count++] = p;
	}
	p->references++;
	*out = p;
	return 0;
}

void package_put(struct service *s, struct package *p)
{
	if (!p || --p->references)
		return;
	for (size_t i = 0; i < s->package_count; i++)
		if (s->packages[i] == p) {
			s->packages[i] = s->packages[--s->package_count];
			break;
		}
	package_free(p);
}
