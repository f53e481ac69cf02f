#include "tests/contract/store/backend.h"

#include <fcntl.h>

#include "common/io.h"

static int open_local(const char *directory, struct store **out, struct error *err)
{
	return store_open_local(directory, true, STORE_SYNC_NONE, out, err);
}

static int replace(char *path, const void *bytes, size_t len, struct error *err)
{
	scoped_free char *owned = path;
	if (access(owned, F_OK) < 0)
		return error_errno(err, "%s", owned);
	return replace_file_at(AT_FDCWD, owned, bytes, len, 0600, err);
}

static int damage_blob(const char *directory, const struct digest *d, const void *bytes, size_t len,
		       struct error *err)
{
	return replace(xformat("%s/%s", directory, store_object_path(d).text), bytes, len, err);
}

static int damage_memo(const char *directory, const struct digest *thunk, const void *bytes,
		       size_t len, struct error *err)
{
	struct digest_hex hex = digest_hex(thunk);
	return replace(xformat("%s/memo/%.2s/%s", directory, hex.text, hex.text + 2), bytes, len,
		       err);
}

const struct backend local_backend = {
	.name = "local",
	.trusted = true,
	.open = open_local,
	.damage_blob = damage_blob,
	.damage_memo = damage_memo,
};
