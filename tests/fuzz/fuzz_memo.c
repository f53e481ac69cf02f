/* What is taken for a memo must be its own canonical text. */
#include <stdlib.h>

#include "objstore/memo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_INIT;
	scoped_memo struct memo memo = MEMO_INIT, copy = MEMO_INIT;
	scoped_buf struct buf b = BUF_INIT;
	int r = memo_decode((const char *)data, size, &memo, &err);
	if (r < 0) {
		if (r != err.code || !err.text[0] || memo.outputs || memo.engine)
			abort();
		return 0;
	}
	memo_copy(&copy, &memo);
	memo_encode(&copy, &b);
	if (b.len != size || memcmp(b.data, data, size) != 0)
		abort();
	return 0;
}
