/* Near over far under the contract suite: what is damaged is the near copy. */
#include <sys/stat.h>

#include "objstore/far.h"
#include "tests/contract/store/backend.h"

static int open_over(const struct backend *far_kind, const char *directory, struct store **out,
                     struct error *err)
{
	struct store *near = NULL, *far = NULL;
	scoped_free char *far_directory = xformat("%s/quarantine/far", directory);
	int r = local_backend.open(directory, &near, err);
	/* In a place that the near store has and never looks into, so that it goes with it. */
	if (r == 0 && mkdir(far_directory, 0700) < 0)
		r = error_errno(err, "%s", far_directory);
	if (r == 0)
		r = far_kind->open(far_kind == &s3_backend ? directory : far_directory, &far, err);
	if (r == 0)
		r = store_open_near_far(near, far, out, err);
	if (r < 0) {
		store_free(near);
		store_free(far);
	}
	return r;
}

static int open_over_fake(const char *directory, struct store **out, struct error *err)
{
	return open_over(&fake_backend, directory, out, err);
}

static int open_over_s3(const char *directory, struct store **out, struct error *err)
{
	return open_over(&s3_backend, directory, out, err);
}

static int damage_blob(const char *directory, const struct digest *d, const void *bytes, size_t len,
                       struct error *err)
{
	return local_backend.damage_blob(directory, d, bytes, len, err);
}

static int damage_memo(const char *directory, const struct digest *thunk, const void *bytes,
                       size_t len, struct error *err)
{
	return local_backend.damage_memo(directory, thunk, bytes, len, err);
}

static const char *missing_s3(void)
{
	return s3_backend.missing();
}

static void finish_s3(void)
{
	s3_backend.finish();
}

const struct backend near_far_backend = {
	.name = "near-far",
	.trusted = true,
	.open = open_over_fake,
	.damage_blob = damage_blob,
	.damage_memo = damage_memo,
};

const struct backend near_s3_backend = {
	.name = "near-s3",
	.trusted = true,
	.open = open_over_s3,
	.damage_blob = damage_blob,
	.damage_memo = damage_memo,
	.missing = missing_s3,
	.finish = finish_s3,
};
