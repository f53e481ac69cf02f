/* A bucket under the contract suite: each directory of the suite is a prefix in it. */
#include <string.h>

#include "objstore/far.h"
#include "objstore/s3_place.h"
#include "tests/contract/store/backend.h"
#include "tests/lib/s3_server.h"

static struct s3_server server;

static const char *prefix_of(const char *directory)
{
	return strrchr(directory, '/') + 1;
}

static int s3_open(const char *directory, struct store **out, struct error *err)
{
	int r = server.aws ? 0 : s3_server_open(&server, NULL, err);
	scoped_free char *url =
	        xformat("s3://%s/odd \xc3\xbc + %%41/%s", server.bucket, prefix_of(directory));
	const struct far_options options = {
		.url = url, .endpoint = server.endpoint, .region = "us-east-1", .path_style = -1
	};
	return r < 0 ? r : store_open_s3(server.aws, &options, out, err);
}

static int replace(const char *directory, const char *kind, const struct digest *d,
                   const void *bytes, size_t len, struct error *err)
{
	struct digest_hex hex = digest_hex(d);
	struct http_response response = { 0 };
	scoped_free char *key = xformat("odd%%20%%C3%%BC%%20%%2B%%20%%2541/%s/%s/%.2s/%s",
	                                prefix_of(directory), kind, hex.text, hex.text + 2);
	int status = s3_server_call(&server, "GET", key, NULL, 0, &response);
	http_response_release(&response);
	if (status == 200) {
		status = s3_server_call(&server, "PUT", key, bytes, len, &response);
		http_response_release(&response);
	}
	return status == 200 ? 0 : error_set(err, -EIO, "%s: %d", key, status);
}

static int damage_blob(const char *directory, const struct digest *d, const void *bytes, size_t len,
                       struct error *err)
{
	return replace(directory, "objects", d, bytes, len, err);
}

static int damage_memo(const char *directory, const struct digest *thunk, const void *bytes,
                       size_t len, struct error *err)
{
	return replace(directory, "memo", thunk, bytes, len, err);
}

static void finish(void)
{
	s3_server_close(&server);
}

const struct backend s3_backend = {
	.name = "s3",
	.trusted = false,
	.open = s3_open,
	.damage_blob = damage_blob,
	.damage_memo = damage_memo,
	.missing = s3_server_missing,
	.finish = finish,
};
