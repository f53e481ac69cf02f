/* Apart from thunk.c so that functions that yield thunks link without a store. */
#include "engine/thunk.h"
#include "objstore/store.h"

int thunk_load(struct store *s, const struct digest *d, struct thunk *out, struct error *err)
{
	scoped_buf struct buf text = BUF_INIT;
	int r = store_get_bytes(s, d, THUNK_BYTES_MAX, &text, err);
	if (r == -ENOENT)
		return error_set(err, -ENOENT, "the thunk %s is not in the store",
		                 digest_hex(d).text);
	if (r == -EFBIG)
		return error_set(err, -EBADMSG, "the blob %s is too large to be a thunk",
		                 digest_hex(d).text);
	if (r < 0)
		return r;
	struct error why = ERROR_INIT;
	if (thunk_decode(text.data ? text.data : "", text.len, out, &why) < 0)
		return error_set(err, -EBADMSG, "the blob %s is not a thunk: %s",
		                 digest_hex(d).text, error_text(&why));
	return 0;
}

int thunk_save(struct store *s, const struct thunk *t, struct digest *out, struct error *err)
{
	scoped_buf struct buf text = BUF_INIT;
	thunk_encode(t, &text);
	if (text.len > THUNK_BYTES_MAX)
		return error_set(err, -EFBIG, "a thunk of %zu bytes is larger than the %d allowed",
		                 text.len, THUNK_BYTES_MAX);
	return store_put_bytes(s, text.data, text.len, out, err);
}
