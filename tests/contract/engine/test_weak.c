/*
 * What the local engine does where no namespace can be had (docs/sandbox.md). Run so by as-user;
 * asks for the weaker mode itself where they can.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "tests/contract/engine/suite.h"

static const struct backend local = { .name = "local, weak", .make = engine_local_new };

static void the_weaker_mode_is_owned_up_to_with_its_reason(void **state)
{
	(void)state;
	scoped_free char *why = NULL;
	assert_false(engine_local_isolated(&why));
	assert_non_null(strstr(why, "weaker"));
	assert_true(strstr(why, "GGFS_SANDBOX") || strstr(why, "namespaces"));
}

static void relative_paths_work(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(f, &t, "copy", "in", "../out", NULL);
	add_input(f, &t, "dir/in", "weak\n");
	t.cwd = xstrdup("dir");
	thunk_add_output(&t, OUTPUT_FILE, "out");
	struct engine_result r = run_well(f, &t);
	expect_text(f, &r, "out", "weak\n");
	engine_result_release(&r);
}

static void toolchains_are_copied(void **state)
{
	struct fixture *f = *state;
	scoped_manifest struct manifest set = MANIFEST_INIT;
	scoped_buf struct buf text = BUF_INIT;
	scoped_thunk struct thunk t = THUNK_INIT;
	struct ref ref = { .kind = REF_BLOB, .size_bytes = 5 };
	assert_int_equal(store_put_bytes(f->store, "tool\n", 5, &ref.digest, NULL), 0);
	manifest_add_file(&set, "usr/x", 0644, &ref);
	manifest_add_link(&set, "y", "usr/x");
	assert_int_equal(manifest_finish(&set, NULL), 0);
	manifest_encode(&set, &text);
	thunk_of_function(f, &t, "copy", "y", "out", NULL);
	t.has_toolchain = true;
	t.toolchain.size_bytes = text.len;
	assert_int_equal(store_put_bytes(f->store, text.data, text.len, &t.toolchain.digest, NULL),
	                 0);
	thunk_add_output(&t, OUTPUT_FILE, "out");
	struct engine_result r = run_well(f, &t);
	expect_text(f, &r, "out", "tool\n");
	engine_result_release(&r);
}

static void an_undeclared_file_fails(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(f, &t, "copy", "in", "out", NULL);
	thunk_add_output(&t, OUTPUT_FILE, "out");
	expect_outcome(f, &t, OUTCOME_FAILED, 1, "exit status 1");
}

static void what_a_function_leaves_running_is_ended_and_the_next_runs(void **state)
{
	struct fixture *f = *state;
	for (int turn = 0; turn < 3; turn++) {
		scoped_thunk struct thunk t = THUNK_INIT;
		thunk_of_function(f, &t, "leave", "out", NULL);
		thunk_add_output(&t, OUTPUT_FILE, "out");
		struct engine_result r = run_well(f, &t);
		expect_text(f, &r, "out", "left\n");
		engine_result_release(&r);
	}
}

static void a_timeout_ends_all_descendants(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(f, &t, "hang", NULL);
	t.timeout_s = 1;
	thunk_add_output(&t, OUTPUT_FILE, "out");
	expect_outcome(f, &t, OUTCOME_TIMED_OUT, 137, "timeout");
}

static void an_output_named_by_its_absolute_path_is_refused(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(f, &t, "write", "/tmp/ggfs-never-written", "x", NULL);
	thunk_add_output(&t, OUTPUT_FILE, "tmp/ggfs-never-written");
	expect_outcome(f, &t, OUTCOME_REFUSED, -1, "/tmp/ggfs-never-written");
	assert_int_equal(access("/tmp/ggfs-never-written", F_OK), -1);
}

static void temporary_files_go_into_a_directory_of_the_functions_own(void **state)
{
	struct fixture *f = *state;
	for (int turn = 0; turn < 2; turn++) {
		scoped_thunk struct thunk t = THUNK_INIT;
		thunk_of_shell(f, &t,
		               "test ! -e \"$TMPDIR/x\" && echo temporary > \"$TMPDIR/x\" && "
		               "read -r line < \"$TMPDIR/x\" && echo \"$line\" > out");
		/* The thunk's own says where the real one is, which it may not write in. */
		if (turn == 1)
			strv_add(&t.env, "TMPDIR=/var/tmp");
		thunk_add_output(&t, OUTPUT_FILE, "out");
		struct engine_result r = run_well(f, &t);
		expect_text(f, &r, "out", "temporary\n");
		engine_result_release(&r);
	}
}

/* gcc's name for one of its programs; absolute, or looked for in PATH. */
static char *program_of_gcc(const char *name)
{
	char line[4096];
	scoped_free char *command = xformat("gcc -print-prog-name=%s", name);
	FILE *answer = popen(command, "r");
	assert_non_null(answer);
	assert_non_null(fgets(line, sizeof(line), answer));
	pclose(answer);
	line[strcspn(line, "\n")] = '\0';
	return line[0] == '/' ? xstrdup(line) : xformat("/usr/bin/%s", line);
}

static void add_program(struct fixture *f, struct thunk *t, const char *path)
{
	add_host_file(f, &t->inputs, path);
	add_libraries(f, &t->inputs, path);
}

static void gcc_makes_an_object(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	scoped_free char *compiler = program_of_gcc("cc1"), *assembler = program_of_gcc("as");
	add_program(f, &t, "/usr/bin/gcc");
	add_program(f, &t, compiler);
	add_program(f, &t, assembler);
	if (access("/usr/include/stdc-predef.h", R_OK) == 0) /* includes itself */
		add_host_file(f, &t.inputs, "/usr/include/stdc-predef.h");
	add_input(f, &t, "dir/one.c", "int one(void)\n{\n\treturn 1;\n}\n");
	t.program = xstrdup("usr/bin/gcc");
	for (const char *const *arg = (const char *const[]){ "gcc", "-c", "one.c", NULL }; *arg;
	     arg++)
		strv_add(&t.args, *arg);
	strv_add(&t.env, "PATH=/usr/bin:/bin");
	t.cwd = xstrdup("dir");
	thunk_add_output(&t, OUTPUT_FILE, "dir/one.o");
	struct engine_result r = run_well(f, &t);
	scoped_free char *object = output_text(f, &r, "dir/one.o");
	assert_memory_equal(object, "\177ELF", 4);
	assert_true(memo_output(&r.memo, "dir/one.o")->size_bytes > 500);
	engine_result_release(&r);
}

static void there_is_no_network_either(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(f, &t, "reach", "out", NULL);
	thunk_add_output(&t, OUTPUT_FILE, "out");
	struct engine_result r = run_well(f, &t);
	scoped_free char *text = output_text(f, &r, "out");
	assert_non_null(strstr(text, "inet EACCES\ninet6 EACCES\n"));
	engine_result_release(&r);
}

#define ROW(test)                                                                                  \
	{                                                                                          \
#test, test, suite_setup, suite_teardown, (void *)(uintptr_t)&local                \
	}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		ROW(the_weaker_mode_is_owned_up_to_with_its_reason),
		ROW(relative_paths_work),
		ROW(toolchains_are_copied),
		ROW(an_undeclared_file_fails),
		ROW(what_a_function_leaves_running_is_ended_and_the_next_runs),
		ROW(a_timeout_ends_all_descendants),
		ROW(an_output_named_by_its_absolute_path_is_refused),
		ROW(temporary_files_go_into_a_directory_of_the_functions_own),
		ROW(gcc_makes_an_object),
		ROW(there_is_no_network_either),
	};
	if (argc < 2 || strcmp(argv[1], "forbidden") != 0)
		setenv("GGFS_SANDBOX", "weak", 1);
	return cmocka_run_group_tests_name("weak", tests, NULL, NULL);
}
