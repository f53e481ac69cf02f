/* What every engine promises of a function's files: its inputs, outputs, and what it yields
 * (engine/thunk.h, engine/yield.h). */
#include <string.h>

#include "common/io.h"
#include "engine/placeholder.h"
#include "tests/contract/engine/suite.h"

static void a_declared_input_is_read_where_it_was_declared(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(f, &t, "copy", "/home/u/a b/in.txt", "/home/u/out/x", NULL);
	add_input(f, &t, "home/u/a b/in.txt", "input\n");
	thunk_add_output(&t, OUTPUT_FILE, "home/u/out/x");
	if (refused_without_root(f, &t))
		return;
	struct engine_result r = run_well(f, &t);
	expect_text(f, &r, "home/u/out/x", "input\n");
	engine_result_release(&r);
}

static void an_undeclared_file_is_not_there_and_is_named(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(f, &t, "copy", "/etc/passwd", "out", NULL);
	thunk_add_output(&t, OUTPUT_FILE, "out");
	if (refused_without_root(f, &t))
		return;
	expect_outcome(f, &t, OUTCOME_FAILED, 1,
	               "tried to read /etc/passwd, which is not among its inputs");
}

static void an_undeclared_file_beside_the_working_directory_is_named(void **state)
{
	struct fixture *f = *state;
	scoped_free char *path = xformat("%s/undeclared", f->directory);
	scoped_free char *said = xformat("tried to read %s", path);
	assert_int_equal(replace_file_at(AT_FDCWD, path, "x", 1, 0644, NULL), 0);
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(f, &t, "copy", "./undeclared", "out", NULL);
	t.cwd = xstrdup(f->directory + 1);
	thunk_add_output(&t, OUTPUT_FILE, "out");
	/* Who is to be blamed is found out by tracing, which a worker may not. */
	expect_outcome(f, &t, OUTCOME_FAILED, 1, f->backend->relocated ? "exit status 1" : said);
}

static void nothing_that_exists_here_is_named_without_cause(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(f, &t, "copy", "/no/such/file", "out", NULL);
	thunk_add_output(&t, OUTPUT_FILE, "out");
	if (refused_without_root(f, &t))
		return;
	assert_int_equal(thunk_finish(&t, NULL), 0);
	struct engine_result r = run(f, &t);
	assert_int_equal(r.outcome, OUTCOME_FAILED);
	assert_string_equal(r.reason, "exit status 1");
	assert_string_equal(r.stderr_tail, "/no/such/file: No such file or directory\n");
	assert_true(r.memo.has_stderr);
	engine_result_release(&r);
}

static void inputs_are_read_only_and_outputs_that_are_inputs_are_not(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(f, &t, "modes", "out", "in", "both", "bin/f", NULL);
	add_input(f, &t, "in", "i");
	add_input(f, &t, "both", "b");
	thunk_add_output(&t, OUTPUT_FILE, "out");
	thunk_add_output(&t, OUTPUT_FILE, "both");
	struct engine_result r = run_well(f, &t);
	expect_text(f, &r, "out", "in 0444 ro\nboth 0644 rw\nbin/f 0555 ro\n");
	engine_result_release(&r);
}

static void an_output_that_is_an_input_is_a_copy(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	struct digest before;
	digest_of(&before, "archive\n", 8);
	thunk_of_function(f, &t, "append", "lib.a", "more\n", NULL);
	add_input(f, &t, "lib.a", "archive\n");
	thunk_add_output(&t, OUTPUT_FILE, "lib.a");
	struct engine_result r = run_well(f, &t);
	expect_text(f, &r, "lib.a", "archive\nmore\n");
	assert_int_equal(store_verify(f->store, &before, NULL), 0);
	engine_result_release(&r);
}

static void a_function_cannot_change_an_object_of_the_store(void **state)
{
	struct fixture *f = *state;
	static const size_t sizes[] = { 100, 1 << 20 };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		scoped_thunk struct thunk t = THUNK_INIT;
		scoped_free char *text = xmalloc(sizes[i] + 1);
		struct digest d;
		memset(text, 'x', sizes[i]);
		text[sizes[i]] = '\0';
		digest_of(&d, text, sizes[i]);
		thunk_of_function(f, &t, "deface", "in", "out", NULL);
		add_input(f, &t, "in", text);
		thunk_add_output(&t, OUTPUT_FILE, "out");
		struct engine_result r = run_well(f, &t);
		assert_int_equal(store_verify(f->store, &d, NULL), 0);
		engine_result_release(&r);
	}
}

static void a_missing_output_is_named(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(f, &t, "write", "one", "1", NULL);
	thunk_add_output(&t, OUTPUT_FILE, "one");
	thunk_add_output(&t, OUTPUT_FILE, "two/three");
	expect_outcome(f, &t, OUTCOME_FAILED, 0, "two/three");
}

static void an_output_of_another_kind_is_refused(void **state)
{
	struct fixture *f = *state;
	static const char *const kinds[] = { "link", "fifo", "directory" };
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		scoped_thunk struct thunk t = THUNK_INIT;
		thunk_of_function(f, &t, "odd", kinds[i], "out", NULL);
		thunk_add_output(&t, OUTPUT_FILE, "out");
		expect_outcome(f, &t, OUTCOME_FAILED, 0, "its output out");
	}
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(f, &t, "write", "out", "file", NULL);
	thunk_add_output(&t, OUTPUT_TREE, "out");
	expect_outcome(f, &t, OUTCOME_FAILED, 0, "out is no directory");
}

static void an_output_nobody_may_read_is_kept_all_the_same(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(f, &t, "odd", "unreadable", "out", NULL);
	thunk_add_output(&t, OUTPUT_FILE, "out");
	struct engine_result r = run_well(f, &t);
	expect_text(f, &r, "out", "unreadable\n");
	engine_result_release(&r);
}

static void a_directory_output_is_a_tree(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(f, &t, "tree", "dir/tree", NULL);
	thunk_add_output(&t, OUTPUT_TREE, "dir/tree");
	struct engine_result r = run_well(f, &t);
	assert_int_equal(memo_output(&r.memo, "dir/tree")->kind, REF_TREE);
	scoped_free char *text = output_text(f, &r, "dir/tree");
	scoped_manifest struct manifest m = MANIFEST_INIT;
	assert_int_equal(manifest_decode(text, strlen(text), &m, NULL), 0);
	assert_int_equal(m.count, 5);
	assert_int_equal(manifest_find(&m, "a/b/file")->mode, 0644);
	assert_int_equal(manifest_find(&m, "script")->mode, 0755);
	assert_int_equal(manifest_find(&m, "secret")->kind, ENTRY_FILE);
	assert_int_equal(manifest_find(&m, "empty")->kind, ENTRY_DIR);
	assert_string_equal(manifest_find(&m, "a/link")->target, "../x");
	engine_result_release(&r);
}

static void a_tree_is_an_input_with_all_that_is_in_it(void **state)
{
	struct fixture *f = *state;
	scoped_manifest struct manifest tree = MANIFEST_INIT;
	scoped_buf struct buf text = BUF_INIT;
	struct ref file = { .kind = REF_BLOB, .size_bytes = 5 }, ref = { .kind = REF_TREE };
	assert_int_equal(store_put_bytes(f->store, "deep\n", 5, &file.digest, NULL), 0);
	manifest_add_file(&tree, "x/y", 0644, &file);
	manifest_add_link(&tree, "z", "x/y");
	assert_int_equal(manifest_finish(&tree, NULL), 0);
	manifest_encode(&tree, &text);
	assert_int_equal(store_put_bytes(f->store, text.data, text.len, &ref.digest, NULL), 0);
	ref.size_bytes = text.len;
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(f, &t, "copy", "top/z", "out", NULL);
	manifest_add_file(&t.inputs, "top", 0755, &ref);
	thunk_add_output(&t, OUTPUT_FILE, "out");
	struct engine_result r = run_well(f, &t);
	expect_text(f, &r, "out", "deep\n");
	engine_result_release(&r);
}

static void add_set(struct fixture *f, struct thunk *t, struct manifest *set, bool toolchain)
{
	scoped_buf struct buf text = BUF_INIT;
	struct digest d;
	assert_int_equal(manifest_finish(set, NULL), 0);
	manifest_encode(set, &text);
	assert_int_equal(store_put_bytes(f->store, text.data, text.len, &d, NULL), 0);
	if (!toolchain) {
		thunk_add_set(t, &d, text.len);
		return;
	}
	t->has_toolchain = true;
	t->toolchain = (struct sized_digest){ .digest = d, .size_bytes = text.len };
}

static void input_sets_and_toolchains_are_inputs_and_single_ones_win(void **state)
{
	struct fixture *f = *state;
	for (int toolchain = 0; toolchain < 2; toolchain++) {
		scoped_thunk struct thunk t = THUNK_INIT;
		scoped_manifest struct manifest set = MANIFEST_INIT;
		struct ref ref = { .kind = REF_BLOB, .size_bytes = 4 };
		assert_int_equal(store_put_bytes(f->store, "set\n", 4, &ref.digest, NULL), 0);
		manifest_add_file(&set, "usr/include/a.h", 0644, &ref);
		manifest_add_file(&set, "usr/include/b.h", 0644, &ref);
		manifest_add_link(&set, "lib", "usr/include");
		add_set(f, &t, &set, toolchain);
		thunk_of_shell(f, &t,
		               "while read -r x; do echo \"$x\"; done < /lib/a.h > /out;"
		               "while read -r x; do echo \"$x\"; done < /usr/include/b.h >> /out;"
		               "while read -r x; do echo \"$x\"; done < /usr/include/c.h >> /out");
		/* The shell's libraries lie under /lib or /lib64 as well: real paths instead. */
		for (size_t i = 0; i < t.inputs.count; i++) {
			char *path = t.inputs.entries[i].path;
			if (strncmp(path, "lib/", 4) == 0) {
				t.inputs.entries[i].path = xformat("usr/include/%s", path + 4);
				free(path);
			}
		}
		add_input(f, &t, "usr/include/b.h", "single\n");
		add_input(f, &t, "usr/include/c.h", "beside\n");
		thunk_add_output(&t, OUTPUT_FILE, "out");
		struct engine_result r = run_well(f, &t);
		expect_text(f, &r, "out", "set\nsingle\nbeside\n");
		engine_result_release(&r);
	}
}

static void inputs_that_contradict_each_other_are_refused(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	scoped_manifest struct manifest set = MANIFEST_INIT;
	struct ref ref = { .kind = REF_BLOB };
	assert_int_equal(store_put_bytes(f->store, "", 0, &ref.digest, NULL), 0);
	manifest_add_link(&set, "dir", "elsewhere");
	add_set(f, &t, &set, true);
	thunk_of_function(f, &t, "write", "out", "x", NULL);
	manifest_add_file(&t.inputs, "dir/file", 0644, &ref);
	thunk_add_output(&t, OUTPUT_FILE, "out");
	expect_outcome(f, &t, OUTCOME_REFUSED, -1, "dir/file");
}

static void an_absent_input_is_named_by_its_digest(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	struct ref ref = { .kind = REF_BLOB, .size_bytes = 6 };
	digest_of(&ref.digest, "absent", 6);
	thunk_of_function(f, &t, "write", "out", "x", NULL);
	manifest_add_file(&t.inputs, "in", 0644, &ref);
	thunk_add_output(&t, OUTPUT_FILE, "out");
	assert_int_equal(thunk_finish(&t, NULL), 0);
	struct engine_result r = run(f, &t);
	assert_int_equal(r.outcome, OUTCOME_BAD_INPUT);
	assert_true(r.has_absent);
	assert_true(digest_equal(&r.absent, &ref.digest));
	assert_int_equal(r.exit_status, -1);
	assert_non_null(strstr(r.reason, "in"));
	engine_result_release(&r);
}

static void an_absent_input_set_is_named_by_its_digest(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	struct digest d;
	digest_of(&d, "set", 3);
	thunk_of_function(f, &t, "write", "out", "x", NULL);
	thunk_add_set(&t, &d, 3);
	thunk_add_output(&t, OUTPUT_FILE, "out");
	assert_int_equal(thunk_finish(&t, NULL), 0);
	struct engine_result r = run(f, &t);
	assert_int_equal(r.outcome, OUTCOME_BAD_INPUT);
	assert_true(r.has_absent && digest_equal(&r.absent, &d));
	engine_result_release(&r);
}

static void an_input_of_another_size_than_promised_is_bad(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	struct ref ref = { .kind = REF_BLOB };
	assert_int_equal(store_put_bytes(f->store, "four", 4, &ref.digest, NULL), 0);
	ref.size_bytes = 5;
	thunk_of_function(f, &t, "write", "out", "x", NULL);
	manifest_add_file(&t.inputs, "in", 0644, &ref);
	thunk_add_output(&t, OUTPUT_FILE, "out");
	/* A worker sees it as it lays the input out. */
	expect_outcome(f, &t, OUTCOME_BAD_INPUT, -1, f->backend->relocated ? " in" : "size");
}

/* A thunk whose function puts the input "thunk" into the yield directory and the input
 * "placeholder" to its output. */
static void yielding(struct fixture *f, struct thunk *t, const char *yielded, const struct ref *ref)
{
	char placeholder[PLACEHOLDER_SIZE + 1] = "";
	if (ref)
		assert_int_equal(placeholder_encode(ref, placeholder, NULL), 0);
	thunk_of_function(f, t, "yield", NULL);
	add_input(f, t, "thunk", yielded);
	add_input(f, t, "placeholder", placeholder);
	thunk_add_output(t, OUTPUT_FILE, "out");
	thunk_add_output(t, OUTPUT_FILE, "self");
	t->yields = true;
}

static char *small_thunk(struct digest *d)
{
	scoped_thunk struct thunk t = THUNK_INIT;
	scoped_buf struct buf b = BUF_INIT;
	t.program = xstrdup("bin/x");
	strv_add(&t.args, "x");
	thunk_add_output(&t, OUTPUT_FILE, "result");
	assert_int_equal(thunk_finish(&t, NULL), 0);
	thunk_digest(&t, d);
	thunk_encode(&t, &b);
	return buf_steal(&b, NULL);
}

static void what_a_function_yields_becomes_a_thunk(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	char output[] = "result";
	struct ref ref = { .kind = REF_THUNK, .output = output };
	scoped_free char *text = small_thunk(&ref.digest);
	yielding(f, &t, text, &ref);
	assert_int_equal(thunk_finish(&t, NULL), 0);
	scoped_buf struct buf self = BUF_INIT;
	thunk_encode(&t, &self);
	struct engine_result r = run_well(f, &t);
	assert_true(ref_equal(memo_output(&r.memo, "out"), &ref));
	expect_text(f, &r, "self", self.data);
	scoped_thunk struct thunk stored = THUNK_INIT;
	assert_int_equal(thunk_load(f->store, &ref.digest, &stored, NULL), 0);
	engine_result_release(&r);
}

static void a_yield_that_is_no_thunk_is_refused(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	yielding(f, &t, "ggfs-thunk 1\nnonsense\n", NULL);
	expect_outcome(f, &t, OUTCOME_FAILED, 0, "is no thunk");
}

static void a_placeholder_of_an_absent_thunk_is_refused(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	char output[] = "result";
	struct ref ref = { .kind = REF_THUNK, .output = output };
	scoped_free char *text = small_thunk(&ref.digest);
	ref.digest.bytes[0] ^= 1;
	yielding(f, &t, text, &ref);
	expect_outcome(f, &t, OUTCOME_FAILED, 0, "did not yield");
}

static void a_placeholder_of_a_function_that_does_not_yield_is_plain_bytes(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	char output[] = "result", placeholder[PLACEHOLDER_SIZE + 1] = "";
	struct ref ref = { .kind = REF_THUNK, .output = output };
	assert_int_equal(placeholder_encode(&ref, placeholder, NULL), 0);
	thunk_of_function(f, &t, "copy", "in", "out", NULL);
	add_input(f, &t, "in", placeholder);
	thunk_add_output(&t, OUTPUT_FILE, "out");
	struct engine_result r = run_well(f, &t);
	assert_int_equal(memo_output(&r.memo, "out")->kind, REF_BLOB);
	expect_text(f, &r, "out", placeholder);
	engine_result_release(&r);
}

int main(void)
{
	struct CMUnitTest tests[] = {
		CONTRACT_TEST(a_declared_input_is_read_where_it_was_declared),
		CONTRACT_TEST(an_undeclared_file_is_not_there_and_is_named),
		CONTRACT_TEST(an_undeclared_file_beside_the_working_directory_is_named),
		CONTRACT_TEST(nothing_that_exists_here_is_named_without_cause),
		CONTRACT_TEST(inputs_are_read_only_and_outputs_that_are_inputs_are_not),
		CONTRACT_TEST(an_output_that_is_an_input_is_a_copy),
		CONTRACT_TEST(a_function_cannot_change_an_object_of_the_store),
		CONTRACT_TEST(a_missing_output_is_named),
		CONTRACT_TEST(an_output_of_another_kind_is_refused),
		CONTRACT_TEST(an_output_nobody_may_read_is_kept_all_the_same),
		CONTRACT_TEST(a_directory_output_is_a_tree),
		CONTRACT_TEST(a_tree_is_an_input_with_all_that_is_in_it),
		CONTRACT_TEST(input_sets_and_toolchains_are_inputs_and_single_ones_win),
		CONTRACT_TEST(inputs_that_contradict_each_other_are_refused),
		CONTRACT_TEST(an_absent_input_is_named_by_its_digest),
		CONTRACT_TEST(an_absent_input_set_is_named_by_its_digest),
		CONTRACT_TEST(an_input_of_another_size_than_promised_is_bad),
		CONTRACT_TEST(what_a_function_yields_becomes_a_thunk),
		CONTRACT_TEST(a_yield_that_is_no_thunk_is_refused),
		CONTRACT_TEST(a_placeholder_of_an_absent_thunk_is_refused),
		CONTRACT_TEST(a_placeholder_of_a_function_that_does_not_yield_is_plain_bytes),
	};
	return suite_run(tests, sizeof(tests) / sizeof(*tests));
}
