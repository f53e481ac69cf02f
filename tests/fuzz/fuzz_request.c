/* What is taken for a request to a worker is understood the same when it is written again. */
#include <stdlib.h>

#include "engine/remote/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_INIT;
	struct remote_request first = { 0 }, second = { 0 };
	scoped_buf struct buf once = BUF_INIT, twice = BUF_INIT;
	int r = remote_request_decode((const char *)data, size, &first, &err);
	if (r < 0) {
		if (r != err.code || !err.text[0] || first.thunks || first.blobs.items)
			abort();
		remote_request_release(&first);
		return 0;
	}
	remote_request_encode(&first, &once);
	if (remote_request_decode(once.data, once.len, &second, &err) < 0)
		abort();
	remote_request_encode(&second, &twice);
	if (once.len != twice.len || memcmp(once.data, twice.data, once.len) != 0)
		abort();
	remote_request_release(&first);
	remote_request_release(&second);
	return 0;
}
