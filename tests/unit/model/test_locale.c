/* Which locale files a tool takes along. */
#include "engine/model/locale.h"
#include "tests/unit/model/scene.h"

static void names_come_from_the_environment_once_and_never_c(void **state)
{
	(void)state;
	scoped_strv struct strv env = STRV_INIT, names = STRV_INIT;
	strv_add(&env, "LANG=de_DE.UTF-8");
	strv_add(&env, "LC_CTYPE=C");
	strv_add(&env, "LC_ALL=de_DE.UTF-8");
	strv_add(&env, "LC_MESSAGES=/tmp/own");
	locale_names(&env, &names);
	assert_int_equal(names.count, 1);
	assert_string_equal(names.items[0], "de_DE.UTF-8");
}

static void the_files_of_an_installed_locale_are_taken_and_an_absent_one_is_no_error(void **state)
{
	(void)state;
	struct scene s;
	struct error err;
	scene_begin(&s);
	struct view *v = view_new(s.mounts, s.store, s.index);
	scoped_manifest struct manifest m = MANIFEST_INIT;
	/* glibc's own spelling: C.UTF-8 lies in C.utf8. */
	assert_ok(locale_add(v, "C.UTF-8", &m, &err));
	assert_ok(manifest_finish(&m, &err));
	bool installed = access("/usr/lib/locale/C.utf8/LC_CTYPE", R_OK) == 0;
	assert_true(!installed || manifest_find(&m, "usr/lib/locale/C.utf8/LC_CTYPE"));
	size_t count = m.count;
	assert_ok(locale_add(v, "xx_YY.none", &m, &err));
	assert_ok(manifest_finish(&m, &err));
	assert_true(m.count <= count + 1); /* the archive, where there is one */
	view_free(v);
	scene_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_come_from_the_environment_once_and_never_c),
		cmocka_unit_test(
		        the_files_of_an_installed_locale_are_taken_and_an_absent_one_is_no_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
