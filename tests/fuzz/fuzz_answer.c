/* What is taken for an answer of a worker is understood the same when it is written again. */
#include <stdlib.h>

#include "engine/remote/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_INIT;
	struct remote_answer first = { 0 }, second = { 0 };
	scoped_buf struct buf once = BUF_INIT, twice = BUF_INIT;
	int r = remote_answer_decode((const char *)data, size, &first, &err);
	if (r < 0) {
		if (r != err.code || !err.text[0] || first.results || first.blobs.items)
			abort();
		remote_answer_release(&first);
		return 0;
	}
	remote_answer_encode(&first, &once);
	if (remote_answer_decode(once.data, once.len, &second, &err) < 0)
		abort();
	remote_answer_encode(&second, &twice);
	if (once.len != twice.len || memcmp(once.data, twice.data, once.len) != 0)
		abort();
	remote_answer_release(&first);
	remote_answer_release(&second);
	return 0;
}
