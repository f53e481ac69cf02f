/* bench_thunk N INPUTS [STORE]: microseconds to make one thunk in process: built, finished, encoded
 * and hashed; with STORE, also put into that store. 12 arguments, one input set, and INPUTS single ones. */
#include <stdio.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "engine/thunk.h"
#include "objstore/store.h"

enum { ARGUMENTS = 12 };

static int make_thunk(long number, const struct strv *inputs, struct store *store,
                      struct error *err)
{
	scoped_thunk struct thunk t = THUNK_INIT;
	struct ref ref = { .kind = REF_BLOB, .size_bytes = 1000 };
	struct digest d;

	t.program = xstrdup("usr/bin/gcc");
	strv_add(&t.args, "gcc");
	for (int i = 1; i < ARGUMENTS; i++)
		strv_add_format(&t.args, "-DARGUMENT_%d=%ld", i, number);
	strv_add(&t.env, "PATH=/usr/bin:/bin");
	for (size_t i = 0; i < inputs->count; i++) {
		ref.digest.bytes[0] = (uint8_t)i;
		manifest_add_file(&t.inputs, inputs->items[i], 0644, &ref);
	}
	thunk_add_set(&t, &ref.digest, 1000);
	thunk_add_output(&t, OUTPUT_FILE, "home/user/project/object.o");
	int r = thunk_finish(&t, err);
	if (r < 0)
		return r;
	if (store)
		return thunk_save(store, &t, &d, err);
	thunk_digest(&t, &d);
	return 0;
}

int main(int argc, char **argv)
{
	long n = argc > 1 ? atol(argv[1]) : 1000;
	int count = argc > 2 ? atoi(argv[2]) : 2;
	scoped_strv struct strv inputs = STRV_INIT;
	struct error err = ERROR_INIT;
	struct store *store = NULL;
	int r = argc > 3 ? store_open_local(argv[3], true, STORE_SYNC_NONE, &store, &err) : 0;
	for (int i = 0; i < count; i++)
		strv_add_format(&inputs, "home/user/project/include/header_%02d.h", i);
	int64_t start = now_us();

	for (long i = 0; i < n && r >= 0; i++)
		r = make_thunk(i, &inputs, store, &err);
	int64_t took = now_us() - start;
	store_free(store);
	if (r < 0) {
		fprintf(stderr, "bench_thunk: %s\n", error_text(&err));
		return 1;
	}
	printf("%.2f\n", (double)took / (double)n);
	return 0;
}
