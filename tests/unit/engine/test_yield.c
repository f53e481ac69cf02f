#include "tests/lib/test.h"

#include <string.h>

#include "engine/placeholder.h"
#include "engine/yield.h"

static void make_thunk(struct thunk *t)
{
	*t = THUNK_INIT;
	t->program = xstrdup("p");
	strv_add(&t->args, "p");
	thunk_add_output(t, OUTPUT_FILE, "o");
}

static void outside_a_functions_world_it_is_enoent(void **state)
{
	(void)state;
	struct error err;
	struct digest d;
	scoped_thunk struct thunk t = THUNK_INIT;
	unsetenv("GGFS_THUNK");
	unsetenv("GGFS_YIELD");
	assert_error(yield_self(&t, &err), -ENOENT);
	make_thunk(&t);
	assert_ok(thunk_finish(&t, &err));
	assert_error(yield_thunk(&t, &d, &err), -ENOENT);
}

static void a_function_reads_its_own_thunk_and_yields_another(void **state)
{
	(void)state;
	struct error err;
	char *directory = test_directory();
	scoped_free char *self = xformat("%s/self", directory);
	scoped_free char *yields = xformat("%s/yield", directory);
	scoped_free char *output = xformat("%s/out", directory);
	struct thunk t;
	scoped_buf struct buf text = BUF_INIT, written = BUF_INIT;
	struct digest d, again;
	make_thunk(&t);
	assert_ok(thunk_finish(&t, &err));
	thunk_encode(&t, &text);
	assert_ok(replace_file_at(AT_FDCWD, self, text.data, text.len, 0644, &err));
	assert_ok(make_dirs_at(AT_FDCWD, yields, 0755, &err));
	setenv("GGFS_THUNK", self, 1);
	setenv("GGFS_YIELD", yields, 1);
	thunk_release(&t);
	assert_ok(yield_self(&t, &err));
	assert_string_equal(t.program, "p");
	strv_add(&t.args, "more");
	assert_ok(thunk_finish(&t, &err));
	assert_ok(yield_thunk(&t, &d, &err));
	assert_ok(yield_thunk(&t, &again, &err));
	assert_memory_equal(&d, &again, sizeof(d));
	scoped_free char *yielded = xformat("%s/%s", yields, digest_hex(&d).text);
	assert_ok(read_file_at(AT_FDCWD, yielded, &written, 1 << 20, &err));
	scoped_thunk struct thunk back = THUNK_INIT;
	assert_ok(thunk_decode(written.data, written.len, &back, &err));
	assert_int_equal(back.args.count, 2);

	struct ref ref = { .kind = REF_THUNK, .digest = d, .output = xstrdup("o") };
	scoped_ref struct ref placed = REF_INIT;
	assert_ok(yield_output(output, &ref, &err));
	scoped_fd int fd = open(output, O_RDONLY);
	assert_ok(placeholder_read_fd(fd, NULL, &placed, &err));
	assert_true(ref_equal(&ref, &placed));
	ref_release(&ref);
	thunk_release(&t);
	test_directory_remove(directory);
}

static void a_broken_thunk_file_is_einval_and_named(void **state)
{
	(void)state;
	struct error err;
	char *directory = test_directory();
	scoped_free char *self = xformat("%s/self", directory);
	scoped_thunk struct thunk t = THUNK_INIT;
	assert_ok(replace_file_at(AT_FDCWD, self, "nonsense", 8, 0644, &err));
	setenv("GGFS_THUNK", self, 1);
	assert_error(yield_self(&t, &err), -EINVAL);
	assert_non_null(strstr(err.text, self));
	test_directory_remove(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outside_a_functions_world_it_is_enoent),
		cmocka_unit_test(a_function_reads_its_own_thunk_and_yields_another),
		cmocka_unit_test(a_broken_thunk_file_is_einval_and_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
