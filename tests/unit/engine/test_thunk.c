#include "tests/lib/test.h"

#include <string.h>

#include "engine/engine.h"
#include "engine/thunk.h"
#include "objstore/store.h"

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B64 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

#define FULL                                                                                       \
	"ggfs-thunk 1\n"                                                                           \
	"program usr/bin/gcc\n"                                                                    \
	"arg gcc\n"                                                                                \
	"arg -DX=%20%0A%25%FF\n"                                                                   \
	"arg %\n"                                                                                  \
	"cwd home/u\n"                                                                             \
	"env LANG=C\n"                                                                             \
	"env PATH=/usr/bin\n"                                                                      \
	"input file 0644 blob " A64 " 3 home/u/a.c\n"                                              \
	"input file 0755 thunk " B64 " home/u/gen home/u/gen\n"                                    \
	"input link ../lib usr/lib64\n"                                                            \
	"inputs " A64 " 100\n"                                                                     \
	"inputs " B64 " 200\n"                                                                     \
	"toolchain " A64 " 300\n"                                                                  \
	"output file home/u/a.o\n"                                                                 \
	"output tree home/u/d\n"                                                                   \
	"timeout 60\n"                                                                             \
	"memory 512\n"                                                                             \
	"yields\n"

#define LEAST                                                                                      \
	"ggfs-thunk 1\n"                                                                           \
	"program p\n"                                                                              \
	"arg p\n"                                                                                  \
	"output file o\n"                                                                          \
	"timeout 3600\n"

static struct digest filled(uint8_t byte)
{
	struct digest d;
	memset(d.bytes, byte, sizeof(d.bytes));
	return d;
}

/* The facts of FULL, given in another order, some of them twice. */
static void build_full(struct thunk *t)
{
	struct digest a = filled(0xaa), b = filled(0xbb);
	struct ref blob = { .kind = REF_BLOB, .digest = a, .size_bytes = 3 };
	struct ref made = { .kind = REF_THUNK, .digest = b };
	scoped_free char *output = xstrdup("home/u/gen");
	made.output = output;
	*t = THUNK_INIT;
	t->yields = true;
	t->memory_mib = 512;
	t->timeout_s = 60;
	thunk_add_output(t, OUTPUT_TREE, "home/u/d");
	thunk_add_output(t, OUTPUT_FILE, "home/u/a.o");
	t->has_toolchain = true;
	t->toolchain = (struct sized_digest){ a, 300 };
	thunk_add_set(t, &b, 200);
	thunk_add_set(t, &a, 100);
	thunk_add_set(t, &b, 200);
	manifest_add_link(&t->inputs, "usr/lib64", "../lib");
	manifest_add_file(&t->inputs, "home/u/gen", 0755, &made);
	manifest_add_file(&t->inputs, "home/u/a.c", 0600, &blob);
	strv_add(&t->env, "PATH=/usr/bin");
	strv_add(&t->env, "LANG=C");
	t->cwd = xstrdup("home/u");
	strv_add(&t->args, "gcc");
	strv_add(&t->args, "-DX= \n%\xff");
	strv_add(&t->args, "");
	t->program = xstrdup("usr/bin/gcc");
}

static void the_same_facts_give_the_same_text_in_whatever_order_they_come(void **state)
{
	(void)state;
	struct error err;
	scoped_thunk struct thunk t = THUNK_INIT;
	scoped_buf struct buf text = BUF_INIT;
	build_full(&t);
	assert_ok(thunk_finish(&t, &err));
	thunk_encode(&t, &text);
	assert_string_equal(text.data, FULL);
	struct digest have, want;
	thunk_digest(&t, &have);
	digest_of(&want, FULL, strlen(FULL));
	assert_memory_equal(&have, &want, sizeof(have));
}

static void what_is_decoded_is_encoded_to_the_same_text(void **state)
{
	(void)state;
	struct error err;
	const char *texts[] = { FULL, LEAST };
	for (int i = 0; i < 2; i++) {
		scoped_thunk struct thunk t = THUNK_INIT;
		scoped_buf struct buf text = BUF_INIT;
		assert_ok(thunk_decode(texts[i], strlen(texts[i]), &t, &err));
		thunk_encode(&t, &text);
		assert_string_equal(text.data, texts[i]);
	}
}

static void every_field_is_decoded(void **state)
{
	(void)state;
	struct error err;
	scoped_thunk struct thunk t = THUNK_INIT;
	assert_ok(thunk_decode(FULL, strlen(FULL), &t, &err));
	assert_string_equal(t.program, "usr/bin/gcc");
	assert_int_equal(t.args.count, 3);
	assert_string_equal(t.args.items[1], "-DX= \n%\xff");
	assert_string_equal(t.args.items[2], "");
	assert_string_equal(t.cwd, "home/u");
	assert_int_equal(t.env.count, 2);
	assert_int_equal(t.inputs.count, 3);
	assert_int_equal(t.inputs.entries[1].ref.kind, REF_THUNK);
	assert_int_equal(t.set_count, 2);
	assert_int_equal(t.sets[1].size_bytes, 200);
	assert_true(t.has_toolchain);
	assert_int_equal(t.toolchain.size_bytes, 300);
	assert_int_equal(thunk_output(&t, "home/u/d")->kind, OUTPUT_TREE);
	assert_null(thunk_output(&t, "home/u/x"));
	assert_int_equal(t.timeout_s, 60);
	assert_int_equal(t.memory_mib, 512);
	assert_true(t.yields);
}

#define HEAD "ggfs-thunk 1\nprogram p\narg p\n"
#define TAIL "output file o\ntimeout 3600\n"

static void anything_but_the_canonical_text_is_einval_and_leaves_the_output_alone(void **state)
{
	static const char *const texts[] = {
		"",
		"ggfs-thunk 1",
		"ggfs-thunk 2\nprogram p\narg p\n" TAIL,
		"ggfs-thunk 1\n",
		HEAD "output file o\ntimeout 3600", /* no newline at the end */
		HEAD TAIL "\n",                     /* an empty line */
		HEAD TAIL "yields\nyields\n",       /* twice */
		HEAD TAIL "yields \n",
		"ggfs-thunk 1\narg p\nprogram p\n" TAIL, /* out of order */
		"ggfs-thunk 1\nprogram p\nprogram p\narg p\n" TAIL,
		"ggfs-thunk 1\narg p\n" TAIL,     /* no program */
		"ggfs-thunk 1\nprogram p\n" TAIL, /* no argument */
		HEAD "timeout 3600\n",            /* no output */
		HEAD "output file o\n",           /* no timeout */
		HEAD "output file o\ntimeout 0\n",
		HEAD "output file o\ntimeout 03600\n",
		HEAD "output file o\ntimeout 604801\n",
		HEAD "output file o\ntimeout 99999999999999999999\n",
		HEAD "output file o\ntimeout -1\n",
		HEAD TAIL "memory 0\n",
		HEAD TAIL "memory 4294967296\n",
		HEAD "output dir o\ntimeout 3600\n",
		HEAD "output file \ntimeout 3600\n",
		HEAD "output file p\noutput file o\ntimeout 3600\n", /* unsorted */
		HEAD "output file o\noutput file o\ntimeout 3600\n",
		HEAD "output file o\noutput file o/p\ntimeout 3600\n",
		HEAD "output file ../o\ntimeout 3600\n",
		HEAD "output file /o\ntimeout 3600\n",
		HEAD "output file a//o\ntimeout 3600\n",
		"ggfs-thunk 1\nprogram /p\narg p\n" TAIL,
		"ggfs-thunk 1\nprogram a/../p\narg p\n" TAIL,
		HEAD "cwd .\n" TAIL,
		HEAD "env NAME\n" TAIL,
		HEAD "env =VALUE\n" TAIL,
		HEAD "env B=1\nenv A=1\n" TAIL,
		HEAD "env A=1\nenv A=2\n" TAIL,
		HEAD "arg %41\n" TAIL, /* a needless escape */
		HEAD "arg %0a\n" TAIL,
		HEAD "arg %00\n" TAIL,
		HEAD "arg a b\n" TAIL,
		HEAD "arg \n" TAIL,
		HEAD "arg\n" TAIL,
		HEAD "input file 0644 blob " A64 " 3 b\ninput file 0644 blob " A64 " 3 a\n" TAIL,
		HEAD "input file 0644 blob " A64 " 3 a\ninput file 0644 blob " B64 " 3 a\n" TAIL,
		HEAD "input file 0600 blob " A64 " 3 a\n" TAIL,
		HEAD "input file 0644 blob " A64 " 3 o\ninput file 0644 blob " A64 " 3 o/x\n" TAIL,
		HEAD "input file 0644 blob " A64 " 3 a\noutput file a/o\ntimeout 3600\n",
		HEAD "inputs " B64 " 1\ninputs " A64 " 1\n" TAIL,
		HEAD "inputs " A64 " 1\ninputs " A64 " 1\n" TAIL,
		HEAD "inputs " A64 " 1\ninputs " A64 " 2\n" TAIL,
		HEAD "inputs " A64 "\n" TAIL,
		HEAD "inputs " A64 " \n" TAIL,
		HEAD "inputs " A64 " x\n" TAIL,
		HEAD "inputs A" A64 " 1\n" TAIL,
		HEAD "toolchain " A64 " 1\ntoolchain " A64 " 2\n" TAIL,
		HEAD "unknown x\n" TAIL,
	};
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct thunk t = THUNK_INIT, empty = THUNK_INIT;
		struct error err = ERROR_INIT;
		int r = thunk_decode(texts[i], strlen(texts[i]), &t, &err);
		if (r != -EINVAL || !err.text[0])
			fail_msg("%d for:\n%s", r, texts[i]);
		assert_memory_equal(&t, &empty, sizeof(t));
	}
}

static void an_error_names_the_line(void **state)
{
	struct error err;
	(void)state;
	struct thunk t = THUNK_INIT;
	const char *bad = HEAD "arg %4\n" TAIL, *unsorted = HEAD "env B=1\nenv A=1\n" TAIL;
	assert_error(thunk_decode(bad, strlen(bad), &t, &err), -EINVAL);
	assert_non_null(strstr(err.text, "line 4"));
	assert_error(thunk_decode(unsorted, strlen(unsorted), &t, &err), -EINVAL);
	assert_non_null(strstr(err.text, "line 4"));
}

static void every_truncation_is_refused(void **state)
{
	struct error err;
	(void)state;
	for (size_t len = 0; len < strlen(FULL); len++) {
		/* Without "yields", or without "memory" too, it is another whole thunk. */
		struct thunk t = THUNK_INIT;
		int r = thunk_decode(FULL, len, &t, &err);
		bool whole = len == strlen(FULL) - strlen("yields\n") ||
		             len == strlen(FULL) - strlen("memory 512\nyields\n");
		assert_int_equal(r, whole ? 0 : -EINVAL);
		thunk_release(&t);
	}
}

static void an_oversized_text_is_efbig(void **state)
{
	struct error err;
	(void)state;
	struct thunk t = THUNK_INIT;
	scoped_free char *text = xcalloc(1, THUNK_BYTES_MAX + 1);
	assert_error(thunk_decode(text, THUNK_BYTES_MAX + 1, &t, &err), -EFBIG);
	scoped_buf struct buf many = BUF_INIT;
	buf_add_str(&many, HEAD);
	for (int i = 0; i <= THUNK_OUTPUTS_MAX; i++)
		buf_add_format(&many, "output file o%06d\n", i);
	buf_add_str(&many, "timeout 3600\n");
	assert_error(thunk_decode(many.data, many.len, &t, &err), -EFBIG);
}

static void finishing_refuses_what_breaks_a_rule(void **state)
{
	struct error err;
	(void)state;
	scoped_thunk struct thunk t = THUNK_INIT;
	assert_error(thunk_finish(&t, &err), -EINVAL);
	t.program = xstrdup("bin/p");
	assert_error(thunk_finish(&t, &err), -EINVAL);
	strv_add(&t.args, "p");
	assert_error(thunk_finish(&t, &err), -EINVAL);
	thunk_add_output(&t, OUTPUT_FILE, "o");
	assert_ok(thunk_finish(&t, &err));
	thunk_add_output(&t, OUTPUT_FILE, "./x");
	assert_error(thunk_finish(&t, &err), -EINVAL);
}

static void a_path_may_be_input_and_output(void **state)
{
	struct error err;
	(void)state;
	const char *text = HEAD "input file 0644 blob " A64 " 3 o\n" TAIL;
	scoped_thunk struct thunk t = THUNK_INIT;
	assert_ok(thunk_decode(text, strlen(text), &t, &err));
}

static void a_thunk_is_saved_and_loaded_under_its_digest(void **state)
{
	struct error err;
	(void)state;
	char *directory = test_directory();
	struct store *store;
	struct digest d, want;
	assert_ok(store_open_local(directory, true, STORE_SYNC_NONE, &store, &err));
	struct thunk t = THUNK_INIT;
	build_full(&t);
	assert_ok(thunk_finish(&t, &err));
	assert_ok(thunk_save(store, &t, &d, &err));
	thunk_digest(&t, &want);
	assert_memory_equal(&d, &want, sizeof(d));
	thunk_release(&t);
	assert_ok(thunk_load(store, &d, &t, &err));
	assert_string_equal(t.program, "usr/bin/gcc");
	thunk_release(&t);
	struct digest absent = filled(1);
	assert_error(thunk_load(store, &absent, &t, &err), -ENOENT);
	assert_ok(store_put_bytes(store, "x", 1, &d, &err));
	assert_error(thunk_load(store, &d, &t, &err), -EBADMSG);
	scoped_free char *large = xcalloc(1, THUNK_BYTES_MAX + 1);
	assert_ok(store_put_bytes(store, large, THUNK_BYTES_MAX + 1, &d, &err));
	assert_error(thunk_load(store, &d, &t, &err), -EBADMSG);
	t = THUNK_INIT;
	t.program = xstrdup("p");
	strv_add_take(&t.args, xcalloc(1, THUNK_BYTES_MAX + 1));
	memset(t.args.items[0], 'x', THUNK_BYTES_MAX);
	thunk_add_output(&t, OUTPUT_FILE, "o");
	assert_ok(thunk_finish(&t, &err));
	assert_error(thunk_save(store, &t, &d, &err), -EFBIG);
	thunk_release(&t);
	store_free(store);
	test_directory_remove(directory);
}

static void releasing_an_engine_result_twice_is_fine(void **state)
{
	(void)state;
	struct engine_result r = { .reason = xstrdup("x"), .stderr_tail = xstrdup("y") };
	r.memo.engine = xstrdup("z");
	engine_result_release(&r);
	engine_result_release(&r);
	assert_null(r.reason);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_facts_give_the_same_text_in_whatever_order_they_come),
		cmocka_unit_test(what_is_decoded_is_encoded_to_the_same_text),
		cmocka_unit_test(every_field_is_decoded),
		cmocka_unit_test(
		        anything_but_the_canonical_text_is_einval_and_leaves_the_output_alone),
		cmocka_unit_test(an_error_names_the_line),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(an_oversized_text_is_efbig),
		cmocka_unit_test(finishing_refuses_what_breaks_a_rule),
		cmocka_unit_test(a_path_may_be_input_and_output),
		cmocka_unit_test(a_thunk_is_saved_and_loaded_under_its_digest),
		cmocka_unit_test(releasing_an_engine_result_twice_is_fine),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
