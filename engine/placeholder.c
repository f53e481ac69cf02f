#include "engine/placeholder.h"

#include <errno.h>
#include <string.h>

#include "common/io.h"

#define HEAD PLACEHOLDER_FIRST_LINE "ggfs-placeholder 1\n"

int placeholder_encode(const struct ref *ref, char out[PLACEHOLDER_SIZE], struct error *err)
{
	scoped_buf struct buf text = BUF_INIT;
	buf_add_str(&text, HEAD);
	ref_encode(ref, &text);
	buf_add_char(&text, '\n');
	/* Either the ref's newline is the last byte, or there is padding with a newline of its own.
	 */
	if (text.len > PLACEHOLDER_SIZE)
		return error_set(err, -ENAMETOOLONG,
		                 "a placeholder would need %zu bytes and has room for %d", text.len,
		                 PLACEHOLDER_SIZE);
	memset(out, ' ', PLACEHOLDER_SIZE);
	memcpy(out, text.data, text.len);
	out[PLACEHOLDER_SIZE - 1] = '\n';
	return 0;
}

int placeholder_decode(const char *bytes, size_t len, struct ref *out, struct error *err)
{
	if (len != PLACEHOLDER_SIZE ||
	    memcmp(bytes, PLACEHOLDER_FIRST_LINE, strlen(PLACEHOLDER_FIRST_LINE)) != 0)
		return error_set(err, -ENOENT, "not a placeholder");
	if (memcmp(bytes, HEAD, strlen(HEAD)) != 0)
		return error_set(
		        err, -EBADMSG,
		        "a damaged placeholder, or one of a newer ggfs: its second line is not "
		        "\"ggfs-placeholder 1\"");

	struct error why = ERROR_INIT;
	scoped_ref struct ref ref = REF_INIT;
	const char *at = bytes + strlen(HEAD), *end = bytes + len;
	const char *line_end = memchr(at, '\n', (size_t)(end - at));
	if (!line_end)
		return error_set(err, -EBADMSG, "a damaged placeholder: no newline after the ref");
	if (ref_decode(&at, line_end, &ref, &why) < 0)
		return error_set(err, -EBADMSG, "a damaged placeholder: %s", error_text(&why));
	if (at != line_end)
		return error_set(err, -EBADMSG,
		                 "a damaged placeholder: more than a ref on its line");
	for (at++; at < end - 1; at++)
		if (*at != ' ')
			return error_set(err, -EBADMSG,
			                 "a damaged placeholder: bytes after the ref");
	if (end[-1] != '\n')
		return error_set(err, -EBADMSG, "a damaged placeholder: no newline at its end");
	*out = ref;
	ref = REF_INIT;
	return 0;
}

int placeholder_read_fd(int fd, const struct stat *st, struct ref *out, struct error *err)
{
	struct stat own;
	if (!st) {
		if (fstat(fd, &own) < 0)
			return error_errno(err, "cannot look at a file");
		st = &own;
	}
	if (!S_ISREG(st->st_mode) || st->st_size != PLACEHOLDER_SIZE)
		return error_set(err, -ENOENT, "not a placeholder");
	char bytes[PLACEHOLDER_SIZE + 1]; /* one more: a file that has grown meanwhile is none */
	ssize_t len = pread_full(fd, bytes, sizeof(bytes), 0);
	if (len < 0)
		return error_set(err, (int)len, "cannot read a file: %s", strerror((int)-len));
	return placeholder_decode(bytes, (size_t)len, out, err);
}
