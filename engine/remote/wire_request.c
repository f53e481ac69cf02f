#include "engine/remote/wire_impl.h"

void remote_request_release(struct remote_request *r)
{
	free(r->version);
	free(r->thunks);
	free(r->next);
	remote_blobs_release(&r->blobs);
	free(r->far_url);
	free(r->far_endpoint);
	free(r->far_region);
	free(r->packs);
	*r = (struct remote_request){ 0 };
}

/* --- writing -----------------------------------------------------------------------------------
 */

static void add_digests(struct buf *b, const char *name, const struct digest *digests, size_t count)
{
	buf_add_format(b, ",\"%s\":[", name);
	for (size_t i = 0; i < count; i++) {
		if (i)
			buf_add_char(b, ',');
		json_wire_add_digest(b, &digests[i]);
	}
	buf_add_char(b, ']');
}

static void add_far(const struct remote_request *r, struct buf *b)
{
	if (!r->far_url)
		return;
	buf_add_str(b, ",\"far\":{\"url\":");
	json_wire_add_bytes(b, r->far_url, strlen(r->far_url));
	json_wire_add_text(b, "endpoint", r->far_endpoint);
	json_wire_add_text(b, "region", r->far_region);
	if (r->far_path_style >= 0)
		json_wire_add_number(b, "path_style", r->far_path_style ? 1 : 0);
	buf_add_char(b, '}');
}

static void add_packs(const struct remote_request *r, struct buf *b)
{
	if (!r->pack_count)
		return;
	buf_add_str(b, ",\"packs\":[");
	for (size_t i = 0; i < r->pack_count; i++) {
		buf_add_format(b, "%s{\"of\":", i ? "," : "");
		json_wire_add_digest(b, &r->packs[i].of);
		buf_add_str(b, ",\"pack\":");
		json_wire_add_digest(b, &r->packs[i].pack);
		json_wire_add_number(b, "size", r->packs[i].size_bytes);
		buf_add_char(b, '}');
	}
	buf_add_char(b, ']');
}

void remote_request_encode(const struct remote_request *r, struct buf *b)
{
	buf_add_format(b, "{\"protocol\":%d", REMOTE_PROTOCOL);
	json_wire_add_text(b, "version", r->version ? r->version : GGFS_VERSION);
	add_digests(b, "thunks", r->thunks, r->thunk_count);
	if (r->next_count)
		add_digests(b, "next", r->next, r->next_count);
	add_far(r, b);
	add_packs(r, b);
	json_wire_add_true(b, "keep_results", r->keep_results);
	json_wire_add_number(b, "inline_max", r->inline_max);
	json_wire_add_blobs(b, &r->blobs);
	buf_add_char(b, '}');
}

/* --- reading -----------------------------------------------------------------------------------
 */

static int read_digests(const json_t *root, const char *name, struct digest **out, size_t *count,
                        struct error *err)
{
	json_t *array = NULL;
	int r = json_wire_array(root, name, REMOTE_THUNKS_MAX, &array, err);
	size_t size = r == 0 && array ? json_array_size(array) : 0;
	if (size == 0)
		return r;
	*out = xcalloc(size, sizeof(**out));
	for (; r == 0 && *count < size; (*count)++)
		r = json_wire_digest_of(json_array_get(array, *count), "a thunk", &(*out)[*count],
		                        err);
	return r;
}

static int read_thunks(const json_t *root, struct remote_request *out, struct error *err)
{
	int r = read_digests(root, "thunks", &out->thunks, &out->thunk_count, err);
	if (r == 0 && out->thunk_count == 0)
		return error_set(err, -EBADMSG, "a request without \"thunks\"");
	return r < 0 ? r : read_digests(root, "next", &out->next, &out->next_count, err);
}

static int read_far(const json_t *root, struct remote_request *out, struct error *err)
{
	const json_t *far = json_object_get(root, "far");
	uint64_t path_style = 2;
	out->far_path_style = -1;
	if (!far || json_is_null(far))
		return 0;
	if (!json_is_object(far))
		return error_set(err, -EBADMSG, "\"far\" is no object");
	int r = json_wire_text(far, "url", &out->far_url, err);
	if (r == 0 && !out->far_url)
		r = error_set(err, -EBADMSG, "\"far\" has no \"url\"");
	if (r == 0)
		r = json_wire_text(far, "endpoint", &out->far_endpoint, err);
	if (r == 0)
		r = json_wire_text(far, "region", &out->far_region, err);
	if (r == 0)
		r = json_wire_number(far, "path_style", 1, &path_style, err);
	if (path_style < 2)
		out->far_path_style = (int)path_style;
	return r;
}

static int read_pack(const json_t *object, struct remote_pack *out, struct error *err)
{
	if (!json_is_object(object))
		return error_set(err, -EBADMSG, "a pack is no object");
	int r = json_wire_digest_of(json_object_get(object, "of"), "a pack's \"of\"", &out->of,
	                            err);
	if (r == 0)
		r = json_wire_digest_of(json_object_get(object, "pack"), "a pack", &out->pack, err);
	return r < 0 ? r : json_wire_number(object, "size", INT64_MAX, &out->size_bytes, err);
}

static int read_packs(const json_t *root, struct remote_request *out, struct error *err)
{
	json_t *array = NULL;
	int r = json_wire_array(root, "packs", REMOTE_PACKS_MAX, &array, err);
	if (r < 0 || !array || json_array_size(array) == 0)
		return r;
	size_t count = json_array_size(array);
	out->packs = xcalloc(count, sizeof(*out->packs));
	for (; r == 0 && out->pack_count < count; out->pack_count++)
		r = read_pack(json_array_get(array, out->pack_count), &out->packs[out->pack_count],
		              err);
	return r;
}

static int read_members(const json_t *root, struct remote_request *out, struct error *err)
{
	uint64_t inline_max = 0;
	int r = read_thunks(root, out, err);
	if (r == 0)
		r = read_far(root, out, err);
	if (r == 0)
		r = read_packs(root, out, err);
	if (r == 0)
		r = json_wire_bool(root, "keep_results", &out->keep_results, err);
	if (r == 0)
		r = json_wire_number(root, "inline_max", UINT32_MAX, &inline_max, err);
	if (r == 0)
		r = json_wire_blobs(root, &out->blobs, err);
	out->inline_max = (uint32_t)inline_max;
	return r;
}

int remote_request_decode(const char *text, size_t len, struct remote_request *out,
                          struct error *err)
{
	json_t *root = NULL;
	int r = json_wire_parse(text, len, &root, err);
	if (r < 0 && r != -EPROTO)
		return r;
	int named = json_wire_text(root, "version", &out->version, r == 0 ? err : NULL);
	if (r == 0)
		r = named;
	if (r == 0 && !out->version)
		r = error_set(err, -EBADMSG, "a request without \"version\"");
	if (r == 0)
		r = read_members(root, out, err);
	json_decref(root);
	if (r < 0 && r != -EPROTO)
		remote_request_release(out);
	return r;
}
