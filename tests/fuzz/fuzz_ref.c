/* What is taken for a ref must be its own canonical text, followed by a space or the end. */
#include <stdlib.h>

#include "objstore/ref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_INIT;
	scoped_ref struct ref ref = REF_INIT, copy = REF_INIT;
	scoped_buf struct buf b = BUF_INIT;
	const char *at = (const char *)data, *end = at + size;
	int r = ref_decode(&at, end, &ref, &err);
	size_t taken = (size_t)(at - (const char *)data);
	if (r < 0) {
		if (r != err.code || !err.text[0] || taken != 0 || ref.output || ref.selection)
			abort();
		return 0;
	}
	ref_copy(&copy, &ref);
	ref_encode(&copy, &b);
	if (!ref_equal(&ref, &copy) || b.len != taken || memcmp(b.data, data, taken) != 0)
		abort();
	if (at != end && *at != ' ')
		abort();
	return 0;
}
