#include "engine/yield.h"

#include <errno.h>
#include <fcntl.h>

#include "common/io.h"
#include "engine/placeholder.h"

int yield_self(struct thunk *out, struct error *err)
{
	const char *path = getenv("GGFS_THUNK");
	if (!path)
		return error_set(
		        err, -ENOENT,
		        "GGFS_THUNK is not set: this program is a function; run it through a "
		        "thunk (ggfs thunk)");
	scoped_buf struct buf text = BUF_INIT;
	int r = read_file_at(AT_FDCWD, path, &text, THUNK_BYTES_MAX, err);
	if (r < 0)
		return r;
	r = thunk_decode(text.data ? text.data : "", text.len, out, err);
	return r < 0 ? error_prefix(err, r, "%s", path) : 0;
}

int yield_thunk(const struct thunk *t, struct digest *out, struct error *err)
{
	const char *directory = getenv("GGFS_YIELD");
	if (!directory)
		return error_set(
		        err, -ENOENT,
		        "GGFS_YIELD is not set: this thunk is not allowed to yield others");
	scoped_buf struct buf text = BUF_INIT;
	thunk_encode(t, &text);
	if (text.len > THUNK_BYTES_MAX)
		return error_set(err, -EFBIG, "a thunk of %zu bytes is larger than the %d allowed",
		                 text.len, THUNK_BYTES_MAX);
	struct digest digest;
	digest_of(&digest, text.data, text.len);
	scoped_free char *path = xformat("%s/%s", directory, digest_hex(&digest).text);
	int r = replace_file_at(AT_FDCWD, path, text.data, text.len, 0644, err);
	if (r == 0)
		*out = digest;
	return r;
}

int yield_output(const char *path, const struct ref *ref, struct error *err)
{
	char bytes[PLACEHOLDER_SIZE];
	int r = placeholder_encode(ref, bytes, err);
	if (r < 0)
		return r;
	return replace_file_at(AT_FDCWD, path, bytes, sizeof(bytes), 0644, err);
}
