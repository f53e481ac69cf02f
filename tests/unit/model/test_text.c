/* What is read and written as text: dependency files, discovery, scans of sources. */
#include <string.h>

#include "engine/model/depfile.h"
#include "engine/model/discovery.h"
#include "engine/model/scan.h"
#include "tests/unit/model/plans.h"

static void names_are_quoted_for_make(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{ "a.o", "a.o" },   { "a b", "a\\ b" },          { "a\\ b", "a\\\\\\ b" },
		{ "a\\b", "a\\b" }, { "a#b$c:d", "a\\#b$$c:d" }, { "", "" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		scoped_buf struct buf b = BUF_INIT;
		depfile_quote(rows[i][0], &b);
		assert_string_equal(b.data ? b.data : "", rows[i][1]);
	}
}

static void phony_targets_are_all_but_the_source(void **state)
{
	(void)state;
	scoped_strv struct strv listed = STRV_INIT;
	struct plan_depfile d = { 0 };
	words("./x.c a.h ./b#.h a.h", &listed);
	strv_add(&d.targets, "x.o");
	scoped_buf struct buf plain = BUF_INIT, phony = BUF_INIT;
	depfile_write(&d, &listed, &plain);
	assert_string_equal(plain.data, "x.o: x.c a.h b\\#.h a.h\n");
	d.phony = true;
	depfile_write(&d, &listed, &phony);
	assert_string_equal(phony.data, "x.o: x.c a.h b\\#.h a.h\na.h:\nb\\#.h:\na.h:\n");
	strv_release(&d.targets);
}

static void long_lines_are_broken_before_column_72(void **state)
{
	(void)state;
	scoped_strv struct strv listed = STRV_INIT;
	struct plan_depfile d = { 0 };
	strv_add(&d.targets, "x.o");
	strv_add(&listed, "x.c");
	for (int i = 0; i < 12; i++)
		strv_add(&listed, "0123456789abcdefghi");
	scoped_buf struct buf b = BUF_INIT;
	depfile_write(&d, &listed, &b);
	for (const char *line = b.data; *line;) {
		size_t len = strcspn(line, "\n");
		assert_true(len <= 72 + 2);
		line += len + (line[len] == '\n');
	}
	assert_non_null(strstr(b.data, "x.o: x.c 0123456789abcdefghi 0123456789abcdefghi "
	                               "0123456789abcdefghi \\\n "));
	strv_release(&d.targets);
}

static void rules_are_read_with_their_quotes_undone(void **state)
{
	(void)state;
	static const char text[] =
	        "ggfs-source: x.c /usr/a.h \\\n d\\ e.h a\\#b.h c$$d.h e\\\\\\ f.h g\\h.h\n"
	        "ggfs-source: y.c\n";
	struct plan p = PLAN_INIT;
	struct headers h[2] = { 0 };
	struct error err;
	assert_ok(discovery_read(&p, text, strlen(text), h, 2, &err));
	static const char *const want[] = { "x.c",   "/usr/a.h", "d e.h", "a#b.h",
		                            "c$d.h", "e\\ f.h",  "g\\h.h" };
	assert_int_equal(h[0].read.count, 7);
	for (size_t i = 0; i < 7; i++) {
		assert_string_equal(h[0].read.items[i], want[i]);
		assert_string_equal(h[0].listed.items[i], want[i]);
	}
	assert_int_equal(h[1].read.count, 1);
	headers_release(&h[0]);
	headers_release(&h[1]);
}

static void preprocessed_text_tells_what_is_read_and_its_rule_what_is_listed(void **state)
{
	(void)state;
	static const char text[] =
	        "# 0 \"x.c\"\n# 0 \"<built-in>\"\n# 0 \"<command-line>\"\n# 1 \"/usr/p.h\" 1 3 4\n"
	        "# 0 \"<command-line>\" 2\n# 1 \"x.c\"\n# 1 \"a\\\"\\\\b\\303.h\" 1\nint a;\n"
	        "# 2 \"x.c\" 2\nggfs-source: not yet\n# 1 \"/usr/s.h\" 1 3\n# 3 \"x.c\" 2\n"
	        "# 7 \"claimed.y\"\n# 1 \"/usr/s.h\" 1 3\n# 13 \"late.y\" 3 1\n"
	        "ggfs-source: x.c a\"\\b\303.h \\\n again.h again.h\n"
	        "# 0 \"y.c\"\n# 1 \"/usr/s.h\" 1 3\nggfs-source: y.c\n";
	struct plan p = { .discover_text = true };
	plan_add_source(&p, "x.c")->has_depfile = true;
	plan_add_source(&p, "y.c")->has_depfile = true;
	struct headers h[2] = { 0 };
	struct error err;
	const char *line = "text";
	assert_ok(discovery_read(&p, text, strlen(text), h, 2, &err));
	assert_text(joined(&h[0].read), "x.c /usr/p.h a\"\\b\303.h /usr/s.h");
	assert_text(joined(&h[0].listed), "x.c a\"\\b\303.h again.h again.h");
	assert_text(joined(&h[1].read), "y.c /usr/s.h");
	assert_text(joined(&h[1].listed), "y.c");
	headers_release(&h[0]);
	headers_release(&h[1]);
	model_plan_release(&p);
}

static void preprocessed_text_needs_its_rule_only_for_a_dependency_file(void **state)
{
	(void)state;
	static const char text[] = "# 0 \"x.c\"\nint x;\n";
	struct plan p = { .discover_text = true };
	struct headers h = { 0 };
	struct error err;
	assert_ok(discovery_read(&p, text, strlen(text), &h, 1, &err));
	assert_int_equal(h.read.count, 1);
	headers_release(&h);
	plan_add_source(&p, "x.c")->has_depfile = true;
	assert_error(discovery_read(&p, text, strlen(text), &h, 1, &err), -EBADMSG);
	headers_release(&h);
	model_plan_release(&p);
}

static void what_the_compiler_would_not_print_is_ebadmsg(void **state)
{
	(void)state;
	static const char *const rows[] = { "", "x.o: x.c\n", "ggfs-source:\n",
		                            "ggfs-source: x.c\nmore\n" };
	struct error err;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct plan p = PLAN_INIT;
		struct headers h = { 0 };
		assert_error(discovery_read(&p, rows[i], strlen(rows[i]), &h, 1, &err), -EBADMSG);
		headers_release(&h);
	}
	struct plan p = { .discover_text = true };
	struct headers h = { 0 };
	assert_error(discovery_read(&p, "int x;\n", 7, &h, 1, &err), -EBADMSG);
	headers_release(&h);
}

static void scans_find_what_discovery_does_not_tell(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		struct facts want;
		const char *asked, *dotted;
	} rows[] = {
		{ "int x;", { 0 }, "", "" },
		{ "asm(\".incbin \\\"f\\\"\");", { .includes_binary = true }, "", "" },
		{ "asm(\"\\n\\t.include \\\"f\\\"\");", { .includes_binary = true }, "", "" },
		{ "o.include = 1; p->x.include;", { 0 }, "", "" },
		{ "__DATE__", { .dates = true }, "", "" },
		{ "a __TIME__ b", { .dates = true }, "", "" },
		{ "__TIMESTAMP__", { .timestamp = true }, "", "" },
		{ "__COUNTER__", { .text_matters = true }, "", "" },
		{ "#pragma push_macro(\"M\")\n # pragma pop_macro(\"M\")", { 0 }, "", "" },
		{ "_Pragma(\"push_macro(\\\"M\\\")\")", { .text_matters = true }, "", "" },
		{ "#define P _Pragma(\"pop_macro(\\\"M\\\")\")", { .text_matters = true }, "", "" },
		{ "#pragma GCC dependency \"f\"", { .file_dates = true }, "", "" },
		{ "a dependency", { 0 }, "", "" },
		{ "#ifdef __has_include\n#if defined(__has_include)", { 0 }, "", "" },
		{ "#if __has_include(<a.h>) || __has_include_next ( \"b c.h\" )",
		  { 0 },
		  "<a.h \"b c.h",
		  "" },
		{ "__has_include__(<a.h>) __glibc_has_include (<a.h>)", { 0 }, "<a.h", "" },
		{ "__has_include(X)", { .asks_computed = true }, "", "" },
		{ "__has_include(<a\n", { .asks_computed = true }, "", "" },
		{ "#include \"../a.h\"\n# include <b/../c.h>\nx = \"../d\";",
		  { 0 },
		  "",
		  "../a.h b/../c.h" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *line = rows[i].text;
		struct facts got = { 0 };
		scan_text(line, strlen(line), &got);
		const struct facts *want = &rows[i].want;
		if (got.includes_binary != want->includes_binary || got.dates != want->dates ||
		    got.timestamp != want->timestamp || got.text_matters != want->text_matters ||
		    got.file_dates != want->file_dates || got.asks_computed != want->asks_computed)
			fail_msg("%s: other facts", line);
		assert_text(joined(&got.asked), rows[i].asked);
		assert_text(joined(&got.dotted), rows[i].dotted);
		facts_release(&got);
	}
}

static void files_named_to_the_assembler_are_found_or_doubted(void **state)
{
	(void)state;
	const char *line = "text";
	scoped_strv struct strv names = STRV_INIT, none = STRV_INIT;
	const char *sure = ".include \"a.s\"\n x.incbin_not: .incbin\t\"b.bin\", 3\n.includes y\n";
	assert_true(scan_assembler(sure, strlen(sure), &names));
	assert_text(joined(&names), "a.s b.bin");
	static const char *const doubtful[] = { ".incbin FILE\n", ".include \"a\\\"b\"\n",
		                                ".incbin \"a", ".include" };
	for (size_t i = 0; i < 4; i++)
		assert_false(scan_assembler(doubtful[i], strlen(doubtful[i]), &none));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_quoted_for_make),
		cmocka_unit_test(phony_targets_are_all_but_the_source),
		cmocka_unit_test(long_lines_are_broken_before_column_72),
		cmocka_unit_test(rules_are_read_with_their_quotes_undone),
		cmocka_unit_test(preprocessed_text_tells_what_is_read_and_its_rule_what_is_listed),
		cmocka_unit_test(preprocessed_text_needs_its_rule_only_for_a_dependency_file),
		cmocka_unit_test(what_the_compiler_would_not_print_is_ebadmsg),
		cmocka_unit_test(scans_find_what_discovery_does_not_tell),
		cmocka_unit_test(files_named_to_the_assembler_are_found_or_doubted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
