#include "tests/contract/store/backend.h"

static int open_local(const char *directory, struct store **out, struct error *err)
{
	return store_open_local(directory, true, STORE_SYNC_NONE, out, err);
}

static char *object_path(const char *directory, const struct digest *d)
{
	return xformat("%s/%s", directory, store_object_path(d).text);
}

static char *memo_path(const char *directory, const struct digest *thunk)
{
	struct digest_hex hex = digest_hex(thunk);
	return xformat("%s/memo/%.2s/%s", directory, hex.text, hex.text + 2);
}

const struct backend local_backend = {
	.name = "local",
	.trusted = true,
	.open = open_local,
	.object_path = object_path,
	.memo_path = memo_path,
};
