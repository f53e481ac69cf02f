/* Any bytes as a thunk: either refused, or the canonical text of what they decode to. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/thunk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct thunk t = THUNK_INIT;
	struct error err = ERROR_INIT;
	if (thunk_decode((const char *)data, size, &t, &err) < 0) {
		if (!err.text[0] || t.program || t.inputs.count)
			abort();
		return 0;
	}
	struct buf again = BUF_INIT;
	thunk_encode(&t, &again);
	if (again.len != size || memcmp(again.data, data, size) != 0)
		abort();
	/* What was decoded is finished: that finds nothing more to sort or refuse. */
	if (thunk_finish(&t, &err) < 0)
		abort();
	buf_release(&again);
	thunk_release(&t);
	return 0;
}
