/* Infer: requests to answers, with the compiler of this machine and no mount. */
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

#include "tests/unit/model/plans.h"
#include "tests/unit/model/scene.h"

static struct infer_request request(const struct scene *s, const char *line)
{
	struct infer_request q = { .cwd = xstrdup(s->tree), .umask = 022 };
	words(line, &q.argv);
	q.tool = xformat("/usr/bin/%s", q.argv.items[0]);
	strv_add(&q.env, "PATH=/usr/bin:/bin");
	return q;
}

static void discovered(struct infer_request *q, const char *text)
{
	q->discovered = true;
	q->discovery = xstrdup(text);
	q->discovery_len = strlen(text);
}

static struct infer_answer answer_to(struct scene *s, struct infer_request *q)
{
	struct error err;
	struct infer_answer a = { 0 };
	assert_ok(infer_ask(s->mounts, s->store, s->index, q, &a, &err));
	return a;
}

static void assert_real_with(struct scene *s, struct infer_request *q, const char *why)
{
	struct infer_answer a = answer_to(s, q);
	if (a.kind != INFER_RUN_REAL || !strstr(a.reason, why))
		fail_msg("kind %d, %s; not real for \"%s\"", a.kind, a.reason ? a.reason : "-",
		         why);
	assert_int_equal(a.file_count, 0);
	infer_answer_release(&a);
	infer_request_release(q);
}

static struct thunk thunk_of(struct scene *s, const struct infer_answer *a)
{
	struct error err;
	struct thunk t = THUNK_INIT;
	assert_true(a->has_thunk);
	assert_ok(thunk_load(s->store, &a->thunk, &t, &err));
	return t;
}

static void a_compile_that_is_not_certain_asks_for_discovery_then_records(void **state)
{
	(void)state;
	struct scene s;
	scene_begin(&s);
	/* a name that changes as it is used is the compiler's business */
	scene_text(&s, "x.c", "#if __LINE__\n#endif\nint x;\n");
	struct infer_request q = request(&s, "gcc -MD -O2 -c x.c");
	struct infer_answer a = answer_to(&s, &q);
	assert_int_equal(a.kind, INFER_DISCOVER);
	const char *line = "discovery";
	assert_text(joined(&a.argv), "/usr/bin/gcc -O2 -M -MT ggfs-source x.c");
	infer_answer_release(&a);
	discovered(&q, "ggfs-source: x.c\n");
	a = answer_to(&s, &q);
	assert_int_equal(a.kind, INFER_RECORDED);
	assert_int_equal(a.exit_status, 0);
	/* the dependency file is in place before anyone can see the object */
	assert_int_equal(a.file_count, 2);
	scoped_free char *depfile = in_tree(&s, "x.d"), *object = in_tree(&s, "x.o");
	assert_string_equal(a.files[0].path, depfile);
	assert_string_equal(a.files[0].bytes, "x.o: x.c\n");
	assert_string_equal(a.files[1].path, object);
	assert_int_equal(a.files[1].mode, 0644);
	struct ref ref = REF_INIT;
	struct error err;
	assert_ok(placeholder_decode(a.files[1].bytes, a.files[1].len, &ref, &err));
	assert_true(digest_equal(&ref.digest, &a.thunk));
	assert_string_equal(ref.output, object + 1);
	ref_release(&ref);
	infer_answer_release(&a);
	infer_request_release(&q);
	scene_end(&s);
}

static void a_compile_is_recorded_at_once_when_the_scanner_is_certain(void **state)
{
	(void)state;
	struct scene s;
	scene_begin(&s);
	scene_text(&s, "x.c",
	           "#define N \"a.h\"\n#include N\n#if A && !defined(B)\n"
	           "#include \"b.h\"\n#else\n#include \"lost.h\"\n#endif\n");
	scene_text(&s, "a.h", "#pragma once\n#include \"./a.h\"\n#define A 1\n");
	scene_text(&s, "d/b.h", "");
	struct infer_request q = request(&s, "gcc -MMD -Id -O2 -c x.c");
	struct infer_answer a = answer_to(&s, &q);
	if (a.kind != INFER_RECORDED)
		fail_msg("kind %d: %s", a.kind, a.reason);
	assert_string_equal(a.files[0].bytes, "x.o: x.c a.h d/b.h\n");
	scoped_thunk struct thunk t = thunk_of(&s, &a);
	assert_int_equal(t.set_count, 1);
	infer_answer_release(&a);
	infer_request_release(&q);
	scene_end(&s);
}

static void a_missing_or_lazy_header_is_left_to_the_compiler(void **state)
{
	(void)state;
	static const char *const texts[] = { "#include \"lost.h\"\n", "#include \"lazy.h\"\n" };
	struct scene s;
	scene_begin(&s);
	scoped_ref struct ref ref = { .kind = REF_THUNK, .output = xstrdup("lazy.h") };
	digest_of(&ref.digest, "t", 1);
	scene_lazy(&s, "lazy.h", &ref);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		scene_text(&s, "x.c", texts[i]);
		struct infer_request q = request(&s, "gcc -c x.c");
		struct infer_answer a = answer_to(&s, &q);
		assert_int_equal(a.kind, INFER_DISCOVER);
		infer_answer_release(&a);
		infer_request_release(&q);
	}
	/* a question for a lazy one does not open it */
	scene_text(&s, "x.c", "#if __has_include(\"lazy.h\")\nint x;\n#endif\n");
	struct infer_request q = request(&s, "gcc -c x.c");
	struct infer_answer a = answer_to(&s, &q);
	assert_int_equal(a.kind, INFER_RECORDED);
	scoped_thunk struct thunk t = thunk_of(&s, &a);
	scoped_free char *lazy = in_tree(&s, "lazy.h");
	const struct manifest_entry *entry = manifest_find(&t.inputs, lazy + 1);
	assert_non_null(entry);
	assert_int_equal(entry->ref.kind, REF_THUNK);
	infer_answer_release(&a);
	infer_request_release(&q);
	scene_end(&s);
}

static void a_thunk_names_tool_arguments_directory_and_what_the_tool_heeds(void **state)
{
	(void)state;
	struct scene s;
	scene_begin(&s);
	scene_text(&s, "x.c", "int x;\n");
	struct infer_request q = request(&s, "gcc -MD -MF f -c x.c");
	strv_add(&q.env, "HOME=/root");
	strv_add(&q.env, "LC_ALL=C");
	strv_add(&q.env, "SOURCE_DATE_EPOCH=1");
	strv_add(&q.env, "SOURCE_DATE_EPOCH=2");
	strv_add(&q.env, "LIBRARY_PATH=/x");
	discovered(&q, "ggfs-source: x.c\n");
	struct infer_answer a = answer_to(&s, &q);
	scoped_thunk struct thunk t = thunk_of(&s, &a);
	const char *line = "thunk";
	assert_string_equal(t.program, "usr/bin/gcc");
	assert_text(joined(&t.args), "gcc -c x.c");
	assert_string_equal(t.cwd, s.tree + 1);
	scoped_free char *env = xformat("LC_ALL=C PATH=/usr/local/bin:/usr/bin:/bin PWD=%s "
	                                "SOURCE_DATE_EPOCH=1",
	                                s.tree);
	assert_text(joined(&t.env), env);
	assert_true(t.has_toolchain);
	assert_int_equal(t.inputs.count, 1);
	infer_answer_release(&a);
	infer_request_release(&q);
	scene_end(&s);
}

static void the_same_call_is_the_same_thunk_and_another_header_another(void **state)
{
	(void)state;
	struct scene s;
	scene_begin(&s);
	scene_text(&s, "x.c", "#include \"a.h\"\n");
	struct digest seen[3];
	static const char *const texts[] = { "int a;\n", "int a;\n", "int b;\n" };
	for (int i = 0; i < 3; i++) {
		scene_text(&s, "a.h", texts[i]);
		struct infer_request q =
		        request(&s, i == 1 ? "gcc -c -MD -MF other x.c" : "gcc -c x.c");
		discovered(&q, "ggfs-source: x.c a.h\n");
		struct infer_answer a = answer_to(&s, &q);
		assert_int_equal(a.kind, INFER_RECORDED);
		seen[i] = a.thunk;
		infer_answer_release(&a);
		infer_request_release(&q);
	}
	assert_true(digest_equal(&seen[0], &seen[1]));
	assert_false(digest_equal(&seen[0], &seen[2]));
	scene_end(&s);
}

static void two_sources_share_their_set_of_headers(void **state)
{
	(void)state;
	struct scene s;
	scene_begin(&s);
	struct digest sets[2];
	scene_text(&s, "a.h", "int a;\n");
	for (int i = 0; i < 2; i++) {
		scoped_free char *name = xformat("x%d.c", i), *line = xformat("gcc -c x%d.c", i);
		scoped_free char *rule = xformat("ggfs-source: x%d.c a.h\n", i);
		scene_text(&s, name, "#include \"a.h\"\n");
		struct infer_request q = request(&s, line);
		discovered(&q, rule);
		struct infer_answer a = answer_to(&s, &q);
		scoped_thunk struct thunk t = thunk_of(&s, &a);
		assert_int_equal(t.set_count, 1);
		sets[i] = t.sets[0].digest;
		infer_answer_release(&a);
		infer_request_release(&q);
	}
	assert_true(digest_equal(&sets[0], &sets[1]));
	scene_end(&s);
}

static void an_object_that_is_lazy_goes_into_the_link_by_its_thunk(void **state)
{
	(void)state;
	struct scene s;
	scene_begin(&s);
	scoped_ref struct ref ref = { .kind = REF_THUNK, .output = xstrdup("o/l.a") };
	digest_of(&ref.digest, "t", 1);
	/* a link has to know whether it is an archive: the thunk must be there */
	scene_lazy(&s, "lost.a", &ref);
	struct infer_request q = request(&s, "gcc -o prog lost.a");
	assert_real_with(&s, &q, "thunk");
	scene_text(&s, "x.c", "int main(void) { return 0; }\n");
	q = request(&s, "gcc -c x.c");
	discovered(&q, "ggfs-source: x.c\n");
	struct infer_answer compiled = answer_to(&s, &q);
	scene_file(&s, "x.o", compiled.files[0].bytes, compiled.files[0].len);
	infer_request_release(&q);
	q = request(&s, "gcc -o prog x.o");
	struct infer_answer linked = answer_to(&s, &q);
	if (linked.kind != INFER_RECORDED)
		fail_msg("%s", linked.reason);
	assert_int_equal(linked.files[0].mode, 0755);
	scoped_thunk struct thunk t = thunk_of(&s, &linked);
	scoped_free char *object = in_tree(&s, "x.o");
	const struct manifest_entry *entry = manifest_find(&t.inputs, object + 1);
	assert_non_null(entry);
	assert_int_equal(entry->ref.kind, REF_THUNK);
	assert_true(digest_equal(&entry->ref.digest, &compiled.thunk));
	infer_answer_release(&compiled);
	infer_answer_release(&linked);
	infer_request_release(&q);
	scene_end(&s);
}

/* Whether the toolchain of what a line makes holds lto1. */
static bool brings_lto1(struct scene *s, const char *line)
{
	struct error err;
	struct infer_request q = request(s, line);
	struct infer_answer a = answer_to(s, &q);
	if (a.kind != INFER_RECORDED)
		fail_msg("%s: %s", line, a.reason);
	const char *made = strstr(line, "-o ") + 3;
	scene_file(s, made, a.files[0].bytes, a.files[0].len);
	scoped_thunk struct thunk t = thunk_of(s, &a);
	scoped_buf struct buf text = BUF_INIT;
	assert_ok(store_get_bytes(s->store, &t.toolchain.digest, SIZE_MAX / 4, &text, &err));
	infer_answer_release(&a);
	infer_request_release(&q);
	return strstr(text.data, "/lto1\n") != NULL;
}

static void a_link_brings_lto1_only_where_it_may_meet_its_objects(void **state)
{
	(void)state;
	struct scene s;
	scene_begin(&s);
	scene_text(&s, "x.c", "int main(void) { return 0; }\n");
	scene_text(&s, "y.c", "int y;\n");
	assert_false(brings_lto1(&s, "gcc -c x.c -o x.o"));
	assert_false(brings_lto1(&s, "gcc x.o -o prog"));
	assert_true(brings_lto1(&s, "gcc x.o -flto -o prog"));
	assert_false(brings_lto1(&s, "gcc -flto -c y.c -o y.o"));
	assert_true(brings_lto1(&s, "gcc x.o y.o -o prog"));
	/* and what is forced already */
	scene_text(&s, "z.o", "not ELF, but it says .gnu.lto_.opts somewhere");
	assert_true(brings_lto1(&s, "gcc x.o z.o -o prog"));
	/* a thunk that nobody remembers is read again */
	mount_table_free(s.mounts);
	s.mounts = mount_table_new();
	mount_table_add(s.mounts, s.tree, open(s.backing, O_PATH | O_DIRECTORY | O_CLOEXEC));
	assert_true(brings_lto1(&s, "gcc x.o y.o -o prog"));
	assert_false(brings_lto1(&s, "gcc x.o -o prog"));
	scene_end(&s);
}

static void a_copy_of_a_lazy_file_stands_for_the_same(void **state)
{
	(void)state;
	struct scene s;
	scene_begin(&s);
	scoped_ref struct ref ref = { .kind = REF_THUNK, .output = xstrdup("o/x.o") };
	digest_of(&ref.digest, "t", 1);
	scene_lazy(&s, "x.o", &ref);
	struct infer_request q = request(&s, "install -m 700 x.o z.o");
	struct infer_answer a = answer_to(&s, &q);
	assert_int_equal(a.kind, INFER_RECORDED);
	assert_false(a.has_thunk);
	assert_int_equal(a.file_count, 1);
	assert_int_equal(a.files[0].mode, 0700);
	struct ref copy = REF_INIT;
	struct error err;
	assert_ok(placeholder_decode(a.files[0].bytes, a.files[0].len, &copy, &err));
	assert_true(ref_equal(&copy, &ref));
	ref_release(&copy);
	infer_answer_release(&a);
	infer_request_release(&q);
	scene_end(&s);
}

static void doubts_end_in_the_real_tool_with_a_reason(void **state)
{
	(void)state;
	struct scene s;
	scene_begin(&s);
	scene_text(&s, "x.c", "int x;\n");
	scene_text(&s, "sub/keep", "");
	scene_link(&s, "out-link", "/tmp");
	scene_link(&s, "o-link", "x.o");
	static const char *const rows[][2] = {
		{ "gcc -c x.c -o conftest.o", "eagerly" },
		{ "ar rc libconftest.a x.c", "eagerly" },
		{ "gcc -c x.c -o tmp.a8Kd0Pq3Zx.o", "eagerly" },
		{ "gcc x.c -o tmp.a8Kd0Pq3Zx", "eagerly" },
		{ "gcc x.c -o busybox_unstripped", "eagerly" },
		{ "gcc -c nope.c", "not there" },
		{ "gcc -c x.c -o nope/x.o", "directory" },
		{ "gcc -c x.c -o /tmp/x.o", "mounted" },
		{ "gcc -c x.c -o out-link/x.o", "mounted" },
		{ "gcc -c x.c -o o-link", "ordinary" },
		{ "gcc -c x.c -o sub", "ordinary" },
		{ "gcc -c x.c -o ..", "directory" },
		{ "gcc -c x.c -MD -MF nope/x.d", "directory" },
		{ "gcc -c x.c -MD -MF sub", "ordinary" },
		{ "gcc -o prog x.c -Wl,-Map=prog", "twice" },
		{ "ar rc l.a nope.o", "not there" },
		{ "gcc -o prog x.c -lnope", "-lnope" },
		{ "strip nope", "not there" },
		{ "nm x.o", "no model" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct infer_request q = request(&s, rows[i][0]);
		discovered(&q, "ggfs-source: x.c\n");
		assert_real_with(&s, &q, rows[i][1]);
	}
	scene_end(&s);
}

static void what_runs_for_real_is_told_which_lazy_files_it_names(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{ "gcc -Wl,--verbose a.o x.c d/b.o -o old", "a.o d/b.o" },
		{ "gcc -Wl,--verbose @words", "a.o d/b.o" },
		{ "ar rcv old a.o d/b.o", "old a.o d/b.o" },
		{ "gcc -### a.o d/b.o", "" },
		{ "gcc -Wl,--verbose a.o x.c", "" }, /* one is opened soon enough */
		{ "cp x.c a.o d/b.o old", "a.o d/b.o" },
		{ "nm a.o d/b.o lost", "a.o d/b.o" },
	};
	struct scene s;
	scene_begin(&s);
	scoped_ref struct ref ref = { .kind = REF_THUNK, .output = xstrdup("o") };
	digest_of(&ref.digest, "t", 1);
	scene_lazy(&s, "a.o", &ref);
	scene_lazy(&s, "d/b.o", &ref);
	scene_lazy(&s, "old", &ref);
	scene_text(&s, "x.c", "");
	scene_text(&s, "words", "a.o -o old d/b.o");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct infer_request q = request(&s, rows[i][0]);
		struct infer_answer a = answer_to(&s, &q);
		assert_int_equal(a.kind, INFER_RUN_REAL);
		scoped_strv struct strv expected = STRV_INIT, relative = STRV_INIT;
		words(rows[i][1], &relative);
		for (size_t j = 0; j < relative.count; j++)
			strv_add_take(&expected, in_tree(&s, relative.items[j]));
		const char *line = rows[i][0];
		scoped_free char *paths = joined(&expected);
		assert_text(joined(&a.argv), paths);
		infer_answer_release(&a);
		infer_request_release(&q);
	}
	scene_end(&s);
}

static void callers_wishes_and_discoverys_failure_end_in_the_real_tool(void **state)
{
	(void)state;
	struct scene s;
	scene_begin(&s);
	scene_text(&s, "x.c", "int x;\n");
	struct infer_request q = request(&s, "gcc -c x.c");
	q.inside_tool = true;
	assert_real_with(&s, &q, "driver");
	q = request(&s, "gcc -c x.c");
	strv_add(&q.eager, "*/tree/x.*");
	assert_real_with(&s, &q, "eagerly");
	q = request(&s, "gcc -c x.c");
	discovered(&q, "");
	q.discovery_status = 1;
	assert_real_with(&s, &q, "preprocess");
	q = request(&s, "gcc -c x.c");
	discovered(&q, "nonsense");
	assert_real_with(&s, &q, "rule");
	q = request(&s, "gcc -c x.c");
	discovered(&q, "ggfs-source: x.c gone.h\n");
	assert_real_with(&s, &q, "gone.h");
	scene_end(&s);
}

static void what_is_called_gcc_but_is_none_has_no_model(void **state)
{
	(void)state;
	struct scene s;
	scene_begin(&s);
	scene_text(&s, "x.c", "int x;\n");
	struct infer_request q = request(&s, "gcc -c x.c");
	scoped_free char *disguised = xformat("%s/gcc", s.top);
	assert_int_equal(symlink("/usr/bin/env", disguised), 0);
	free(q.tool);
	q.tool = xstrdup(disguised);
	assert_real_with(&s, &q, "no model");
	scene_end(&s);
}

static void requests_without_a_place_are_einval(void **state)
{
	(void)state;
	struct scene s;
	scene_begin(&s);
	struct error err;
	struct infer_answer a = { 0 };
	struct infer_request q = request(&s, "gcc -c x.c");
	q.cwd[0] = 'x';
	assert_error(infer_ask(s.mounts, s.store, s.index, &q, &a, &err), -EINVAL);
	infer_request_release(&q);
	q = (struct infer_request){ .cwd = xstrdup("/"), .tool = xstrdup("/usr/bin/gcc") };
	assert_real_with(&s, &q, "no model");
	scene_end(&s);
}

struct asker {
	struct scene *s;
	int number;
	bool recorded;
};

static void *ask_often(void *arg)
{
	struct asker *asker = arg;
	asker->recorded = true;
	for (int i = 0; i < 20; i++) {
		scoped_free char *line = xformat("gcc -c -Dn=%d x.c -o o%d.o", i, asker->number);
		struct infer_request q = request(asker->s, line);
		if (i % 4 == 3)
			discovered(&q, "ggfs-source: x.c a.h\n");
		struct infer_answer a = { 0 };
		int r = infer_ask(asker->s->mounts, asker->s->store, asker->s->index, &q, &a, NULL);
		asker->recorded = asker->recorded && r == 0 && a.kind == INFER_RECORDED;
		infer_answer_release(&a);
		infer_request_release(&q);
	}
	return NULL;
}

static void several_threads_may_ask_at_once(void **state)
{
	(void)state;
	enum { THREADS = 4 };
	struct scene s;
	scene_begin(&s);
	scene_text(&s, "x.c", "#if __has_attribute(unused)\n#include \"a.h\"\n#endif\n"
	                      "#include <stdio.h>\n#include <stdlib.h>\n");
	scene_text(&s, "a.h", "int a;\n");
	pthread_t threads[THREADS];
	struct asker askers[THREADS];
	for (int i = 0; i < THREADS; i++) {
		askers[i] = (struct asker){ &s, i, false };
		assert_int_equal(pthread_create(&threads[i], NULL, ask_often, &askers[i]), 0);
	}
	/* mounts come and go meanwhile */
	for (int i = 0; i < 50; i++) {
		mount_table_add(s.mounts, "/nowhere/at/all", open("/", O_PATH | O_CLOEXEC));
		mount_table_remove(s.mounts, "/nowhere/at/all");
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_true(askers[i].recorded);
	}
	scene_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_compile_that_is_not_certain_asks_for_discovery_then_records),
		cmocka_unit_test(a_compile_is_recorded_at_once_when_the_scanner_is_certain),
		cmocka_unit_test(a_missing_or_lazy_header_is_left_to_the_compiler),
		cmocka_unit_test(a_thunk_names_tool_arguments_directory_and_what_the_tool_heeds),
		cmocka_unit_test(the_same_call_is_the_same_thunk_and_another_header_another),
		cmocka_unit_test(two_sources_share_their_set_of_headers),
		cmocka_unit_test(an_object_that_is_lazy_goes_into_the_link_by_its_thunk),
		cmocka_unit_test(a_link_brings_lto1_only_where_it_may_meet_its_objects),
		cmocka_unit_test(a_copy_of_a_lazy_file_stands_for_the_same),
		cmocka_unit_test(doubts_end_in_the_real_tool_with_a_reason),
		cmocka_unit_test(what_runs_for_real_is_told_which_lazy_files_it_names),
		cmocka_unit_test(callers_wishes_and_discoverys_failure_end_in_the_real_tool),
		cmocka_unit_test(what_is_called_gcc_but_is_none_has_no_model),
		cmocka_unit_test(requests_without_a_place_are_einval),
		cmocka_unit_test(several_threads_may_ask_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
