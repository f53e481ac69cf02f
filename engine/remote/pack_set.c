#include "engine/remote/pack_set.h"

#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "objstore/pack.h"

enum { RECORD_BYTES_MAX = 256 };

struct record_path {
	char text[sizeof("packs/") + DIGEST_HEX_SIZE];
};

static struct record_path record_path(const struct digest *of)
{
	struct record_path p;
	snprintf(p.text, sizeof(p.text), "packs/%s", digest_hex(of).text);
	return p;
}

static bool recall(struct store *near, const struct digest *of, struct remote_pack *out)
{
	unsigned long long size;
	char hex[DIGEST_HEX_SIZE + 1];
	scoped_buf struct buf text = BUF_INIT;
	if (read_file_at(store_local_dirfd(near), record_path(of).text, &text, RECORD_BYTES_MAX,
	                 NULL) < 0 ||
	    !text.data || sscanf(text.data, "%64[0-9a-f] %20llu", hex, &size) != 2 ||
	    !digest_parse(hex, strlen(hex), &out->pack))
		return false;
	out->of = *of;
	out->size_bytes = size;
	return true;
}

/* Without it the pack is made again some day: no error. */
static void record(struct store *near, const struct remote_pack *pack)
{
	struct error err = ERROR_INIT;
	int dir = store_local_dirfd(near);
	scoped_free char *text = xformat("%s %llu\n", digest_hex(&pack->pack).text,
	                                 (unsigned long long)pack->size_bytes);
	int r = make_dirs_at(dir, "packs", 0700, &err);
	if (r == 0)
		r = replace_file_at(dir, record_path(&pack->of).text, text, strlen(text), 0600,
		                    &err);
	if (r < 0)
		log_warning("a pack is not remembered: %s", error_text(&err));
}

static int make(struct store *near, const struct digest *of, const struct inputs *blobs,
                struct remote_pack *out, struct digest *absent, struct error *err)
{
	size_t count = 0;
	scoped_free struct digest *digests = xcalloc(blobs->count, sizeof(*digests));
	for (size_t i = 0; i < blobs->count; i++)
		if (!digest_equal(&blobs->blobs[i].digest, of))
			digests[count++] = blobs->blobs[i].digest;
	int r = pack_make(near, digests, count, &out->pack, &out->size_bytes, absent, err);
	if (r < 0)
		return r == -ENOENT ? error_set(err, -EBADMSG, "blob %s is not in the store",
		                                digest_hex(absent).text)
		                    : r;
	out->of = *of;
	record(near, out);
	return 0;
}

int pack_set(struct store *near, struct far *far, const struct digest *of, bool anew,
             struct inputs *blobs, struct remote_pack *out, struct digest *absent,
             struct error *err)
{
	if (blobs->count < PACK_SET_BLOBS_MIN || blobs->unread)
		return 1;
	bool known = !anew && recall(near, of, out) && far_known(far, &out->pack);
	int r = known ? 0 : make(near, of, blobs, out, absent, err);
	if (r < 0)
		return r;
	blobs->count = 0;
	r = inputs_add_blob(blobs, near, of, UINT64_MAX, err);
	return r < 0 ? r : inputs_add_blob(blobs, near, &out->pack, out->size_bytes, err);
}

void pack_set_pushed(struct store *near, const struct remote_pack *pack)
{
	store_delete(near, &pack->pack, NULL);
}
