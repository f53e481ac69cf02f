/* What is taken for a manifest must be its own canonical text, and finished as it stands. */
#include <stdlib.h>

#include "objstore/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_INIT;
	scoped_manifest struct manifest m = MANIFEST_INIT;
	scoped_buf struct buf b = BUF_INIT;
	int r = manifest_decode((const char *)data, size, &m, &err);
	if (r < 0) {
		if (r != err.code || !err.text[0] || m.entries)
			abort();
		return 0;
	}
	size_t count = m.count;
	if (manifest_finish(&m, &err) < 0 || m.count != count)
		abort();
	manifest_encode(&m, &b);
	if (b.len != size || memcmp(b.data, data, size) != 0)
		abort();
	for (size_t i = 0; i < m.count; i++)
		if (manifest_find(&m, m.entries[i].path) != &m.entries[i])
			abort();
	return 0;
}
