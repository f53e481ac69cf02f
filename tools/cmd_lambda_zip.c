#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "common/io.h"
#include "tools/cmd_lambda.h"

/* The same contents give the same bytes, on any day and any machine, so that a function that is
 * deployed already is known by its SHA-256: times are fixed, and names come in their order. */

enum {
	ZIP_TIME = 315532800 + 86400, /* 1980-01-02: the first day is yesterday west of here */
	ZIP_ENTRY_MAX = 128 << 20,
	ZIP_CHUNK = 64 << 10,
};

struct zip {
	struct archive *archive;
	struct buf bytes;
};

static la_ssize_t take(struct archive *a, void *arg, const void *bytes, size_t len)
{
	struct zip *z = arg;
	(void)a;
	buf_add(&z->bytes, bytes, len);
	return (la_ssize_t)len;
}

struct zip *zip_new(void)
{
	struct zip *z = xcalloc(1, sizeof(*z));
	/* A zip file's times are local ones. */
	setenv("TZ", "UTC", 1);
	tzset();
	z->archive = archive_write_new();
	archive_write_set_format_zip(z->archive);
	archive_write_set_options(z->archive, "zip:compression=deflate,zip:compression-level=6");
	archive_write_set_bytes_per_block(z->archive, 0);
	archive_write_open(z->archive, z, NULL, take, NULL);
	return z;
}

void zip_free(struct zip *z)
{
	if (!z)
		return;
	archive_write_free(z->archive);
	buf_release(&z->bytes);
	free(z);
}

static int failed(struct zip *z, const char *name, struct error *err)
{
	const char *why = archive_error_string(z->archive);
	return error_set(err, -EIO, "cannot zip %s: %s", name, why ? why : "no reason is known");
}

int zip_add(struct zip *z, const char *name, const void *bytes, size_t len, bool executable,
            struct error *err)
{
	struct archive_entry *entry = archive_entry_new();
	archive_entry_set_pathname(entry, name);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, executable ? 0755 : 0644);
	archive_entry_set_size(entry, (la_int64_t)len);
	archive_entry_set_mtime(entry, ZIP_TIME, 0);
	int r = archive_write_header(z->archive, entry);
	archive_entry_free(entry);
	if (r != ARCHIVE_OK || archive_write_data(z->archive, bytes, len) != (la_ssize_t)len)
		return failed(z, name, err);
	return 0;
}

int zip_add_file(struct zip *z, const char *name, const char *path, bool executable,
                 struct error *err)
{
	scoped_buf struct buf contents = BUF_INIT;
	int r = read_file_at(AT_FDCWD, path, &contents, ZIP_ENTRY_MAX, err);
	return r < 0 ? r
	             : zip_add(z, name, contents.data ? contents.data : "", contents.len,
	                       executable, err);
}

int zip_finish(struct zip *z, struct buf *out, struct error *err)
{
	if (archive_write_close(z->archive) != ARCHIVE_OK)
		return failed(z, "the package", err);
	*out = z->bytes;
	z->bytes = BUF_INIT;
	return 0;
}

static void reader_free(struct archive *a)
{
	if (a)
		archive_read_free(a);
}
DEFINE_SCOPED(scoped_reader_, struct archive, reader_free)

int zip_find(const void *bytes, size_t len, const char *name, size_t max, struct buf *out,
             struct error *err)
{
	scoped(scoped_reader_) struct archive *a = archive_read_new();
	struct archive_entry *entry;
	scoped_buf struct buf found = BUF_INIT;
	char chunk[ZIP_CHUNK];
	la_ssize_t n;
	int r;
	archive_read_support_format_zip(a);
	if (archive_read_open_memory(a, bytes, len) != ARCHIVE_OK)
		return error_set(err, -EINVAL, "this is no zip file");
	while ((r = archive_read_next_header(a, &entry)) == ARCHIVE_OK &&
	       strcmp(archive_entry_pathname(entry), name) != 0)
		;
	if (r == ARCHIVE_EOF)
		return error_set(err, -ENOENT, "there is no %s in the zip file", name);
	if (r != ARCHIVE_OK)
		return error_set(err, -EINVAL, "this is no zip file");
	while ((n = archive_read_data(a, chunk, sizeof(chunk))) > 0) {
		if (found.len + (size_t)n > max)
			return error_set(err, -EFBIG, "%s in the zip file is too large", name);
		buf_add(&found, chunk, (size_t)n);
	}
	if (n < 0)
		return error_set(err, -EINVAL, "this zip file is damaged");
	buf_add(out, found.data ? found.data : "", found.len);
	return 0;
}
