/* The scanner's parts, on text alone: cutting, macros, conditions. What it makes of whole compiles
 * is compared with the compiler in tests/build/model. */
#include <string.h>

#include "engine/model/scanner_cache.h"
#include "engine/model/scanner_expr.h"
#include "engine/model/scanner_options.h"
#include "tests/unit/model/plans.h"

enum { C_MODE = LEX_SLASHES | LEX_RAW | LEX_DIGRAPHS | LEX_DOLLARS };

/* --- a run of a text's directives, without includes ---------------------------------------------
 */

struct run {
	struct lexed *lexed;
	struct macros macros;
	struct questions questions;
};

static bool has_include(void *arg, const struct token *name, bool next)
{
	(void)arg;
	const char *text = name->text + (name->kind == TOKEN_STRING);
	return !next && name->len >= 2 && memcmp(text, "is", 2) == 0;
}

static uint64_t has_feature(void *arg, const struct token *question, const char *of)
{
	(void)arg;
	(void)question;
	return strcmp(of, "gnu::seven") == 0 ? 7 : 0;
}

static void add_builtin(struct macros *m, const char *name, enum builtin builtin)
{
	struct token t = { .kind = TOKEN_NAME, .text = name, .len = (uint32_t)strlen(name) };
	t.id = lex_hash(name, t.len);
	macros_add_builtin(m, &t, builtin);
}

static void run_begin(struct run *r, const char *text, unsigned mode)
{
	*r = (struct run){ .questions = { NULL, has_include, has_feature } };
	r->lexed = lex_file(text, strlen(text), mode);
	r->macros.mode = mode;
	add_builtin(&r->macros, "__LINE__", BUILTIN_CHANGING);
	add_builtin(&r->macros, "__has_include", BUILTIN_HAS_INCLUDE);
	add_builtin(&r->macros, "__has_include_next", BUILTIN_HAS_INCLUDE_NEXT);
	add_builtin(&r->macros, "__has_attribute", BUILTIN_HAS_FEATURE);
	for (uint32_t i = 0; i < r->lexed->directive_count; i++)
		if (r->lexed->directives[i].kind == DIRECTIVE_DEFINE)
			macros_define(&r->macros, r->lexed->directives[i].macro);
}

static void run_end(struct run *r)
{
	macros_release(&r->macros);
	lexed_unref(r->lexed);
}

/* 1 or 0; -1 when there was a doubt. */
static int truth(const char *definitions, const char *expression, unsigned mode)
{
	struct run r;
	scoped_free char *text = xformat("%s#if %s\n#endif\n", definitions, expression);
	run_begin(&r, text, mode);
	int answer = r.lexed->doubt ? -1 : 2;
	for (uint32_t i = 0; answer == 2 && i < r.lexed->directive_count; i++)
		if (r.lexed->directives[i].kind == DIRECTIVE_IF)
			answer = condition(&r.macros, &r.questions, &r.lexed->directives[i]);
	if (r.macros.doubt)
		answer = -1;
	run_end(&r);
	return answer;
}

struct condition_row {
	const char *definitions, *expression;
	int want;
};

static void check_conditions(const struct condition_row *rows, size_t count, unsigned mode)
{
	for (size_t i = 0; i < count; i++) {
		int got = truth(rows[i].definitions, rows[i].expression, mode);
		if (got != rows[i].want)
			fail_msg("%s#if %s: %d", rows[i].definitions, rows[i].expression, got);
	}
}

#define CHECK_CONDITIONS(rows, mode) check_conditions(rows, sizeof(rows) / sizeof((rows)[0]), mode)

static void conditions_follow_the_rules_of_integers(void **state)
{
	(void)state;
	static const struct condition_row rows[] = {
		{ "", "1 + 2 * 3 == 7", 1 },
		{ "", "(1 + 2) * 3 == 9 && !0", 1 },
		{ "", "-1 > 0u", 1 },
		{ "", "-1 > 0", 0 },
		{ "", "0x7fffffffffffffff + 1 < 0", 1 },
		{ "", "0xffffffffffffffff == -1", 1 },
		{ "", "18446744073709551615 > 0", 1 },
		{ "", "010 == 8 && 0b101 == 5 && 10UL == 10ull", 1 },
		{ "", "-8 >> 1 == -4", 1 },
		{ "", "-7 / 2 == -3 && -7 % 2 == -1", 1 },
		{ "", "(2 || 1 / 0) && !(0 && 1 / 0)", 1 },
		{ "", "1 ? 2 : 1 / 0", 1 },
		{ "", "0 ? 1 / 0 : 0", 0 },
		{ "", "1 ? 0 ? 1 : 0 : 1", 0 },
		{ "", "(1 ? -1 : 0u) > 0", 1 },
		{ "", "~0 == -1 && +1 == 1", 1 },
		{ "", "(1 | 2 ^ 3 & 2) == 1", 1 },
		{ "", "1 << 4 == 16", 1 },
		{ "", "'a' == 97 && '\\n' == 10 && '\\x41' == 65", 1 },
		{ "", "'\\377' < 0", 1 },
		{ "#define __CHAR_UNSIGNED__ 1\n", "'\\377' < 0", 0 },
		{ "", "unknown", 0 },
		{ "", "true", 0 },
		{ "", "1 /* a\n b */ == 1 // c", 1 },
		{ "", "1 \\\n == \\\n 1", 1 },
		{ "", "%: == 1", -1 },
	};
	CHECK_CONDITIONS(rows, C_MODE);
}

static void what_a_compiler_would_complain_about_is_doubtful(void **state)
{
	(void)state;
	static const struct condition_row rows[] = {
		{ "", "", -1 },
		{ "", "1 +", -1 },
		{ "", "1 2", -1 },
		{ "", "(1", -1 },
		{ "", "1 / 0", -1 },
		{ "", "1, 2", -1 },
		{ "", "1.5", -1 },
		{ "", "0x", -1 },
		{ "", "09", -1 },
		{ "", "1lul", -1 },
		{ "", "99999999999999999999", -1 },
		{ "", "1 << 64", -1 },
		{ "", "\"text\"", -1 },
		{ "", "'ab'", -1 },
		{ "", "L'a'", -1 },
		{ "", "''", -1 },
		{ "", "defined", -1 },
		{ "", "defined(A", -1 },
		{ "", "defined 1", -1 },
		{ "", "f(1)", -1 },
		{ "", "#cpu(x86_64)", -1 },
		{ "", "__LINE__ > 1", -1 },
		{ "", "a = 1", -1 },
		{ "", "\xc3\xa9", -1 },
		{ "#define F(a) a\n", "F(1", -1 },
		{ "#define F(a) a\n", "F(1, 2)", -1 },
		{ "#define F(a, b) a\n", "F(1)", -1 },
		{ "#define F(a) a ## +\n", "F(1)", -1 },
		{ "#define F(a, ...) a, ## __VA_ARGS__\n", "F(1)", -1 },
		{ "#define F(a, ...) a __VA_OPT__(+ 1)\n", "F(1)", -1 },
	};
	CHECK_CONDITIONS(rows, C_MODE);
}

static void macros_are_expanded_as_the_standard_says(void **state)
{
	(void)state;
	static const struct condition_row rows[] = {
		{ "#define A 1\n", "A", 1 },
		{ "#define A B\n#define B A\n", "A", 0 },
		{ "#define A (A + 1)\n", "A == 1", 1 },
		{ "#define F(x) x + 1\n", "F(1) == 2", 1 },
		{ "#define F(x) x\n", "F (1)", 1 },
		{ "#define F() 3\n", "F() == 3 && F( ) == 3", 1 },
		{ "#define F(a, b) (a > 4 || a == 4 && b >= 3)\n#define G F\n", "G(4, 3)", 1 },
		{ "#define F(x) x\n", "F((1, 2) == 0) == 0", -1 },
		{ "#define F(x, y) x ## y\n#define AB 5\n", "F(A, B) == 5", 1 },
		{ "#define F(x, y) x ## y\n", "F(, 7) == 7 && F(7, ) == 7", 1 },
		{ "#define F(x, y) x ## y\n#define A 1\n#define E(x, y) F(x, y)\n", "E(A, A) == 11",
		  1 },
		{ "#define CAT(a, b, c) a ## b ## c\n", "CAT(1, 2, 3) == 123", 1 },
		{ "#define F(...) __VA_ARGS__\n", "F(1) == 1", 1 },
		{ "#define F(a, ...) a\n", "F(1) == 1 && F(1, 2, 3) == 1", 1 },
		{ "#define F(rest...) rest\n", "F(2) == 2", 1 },
		{ "#define ID(x) x\n#define P ID\n", "P(ID)(3) == 3", -1 },
		/* painted once, it stays what it is */
		{ "#define F(x) x F\n#define E\n", "F(0 ||) (1)", -1 },
		{ "#define D defined(A)\n#define A\n", "D", 1 },
		{ "#define ID(x) x\n#define A 1\n", "ID(defined(A))", -1 },
		{ "#define A\n", "defined A && !defined(B)", 1 },
		{ "#define A(x) x\n", "defined A && A + 1 == 1", 1 },
		{ "", "defined __has_include && defined __LINE__", 1 },
	};
	CHECK_CONDITIONS(rows, C_MODE);
}

static void questions_are_asked_only_where_they_decide(void **state)
{
	(void)state;
	static const struct condition_row rows[] = {
		{ "", "__has_include(<is.h>) && __has_include(\"is.h\")", 1 },
		{ "", "__has_include(<not.h>) || __has_include ( \"not.h\" )", 0 },
		{ "", "__has_include(<is//x.h>)", 1 },
		{ "#define N <is.h>\n", "__has_include(N)", 1 },
		{ "#define N \"is.h\"\n#define H(x) __has_include(x)\n", "H(N) && H(<is.h>)", 1 },
		{ "#define N < is.h>\n", "__has_include(N)", -1 },
		{ "", "__has_include", -1 },
		{ "", "__has_include(is.h)", -1 },
		{ "", "__has_attribute(gnu::seven) == 7 && !__has_attribute(other)", 1 },
		{ "#define H(x) __has_attribute(x)\n", "H(gnu :: seven) == 7", 1 },
		{ "", "__has_attribute()", -1 },
		{ "", "0 && __has_attribute(1)", -1 },
	};
	CHECK_CONDITIONS(rows, C_MODE | LEX_CXX);
}

static void modes_change_how_text_is_cut(void **state)
{
	(void)state;
	assert_int_equal(truth("", "true and not false", C_MODE | LEX_CXX), 1);
	assert_int_equal(truth("", "true and not false", C_MODE), -1);
	assert_int_equal(truth("", "1'000 == 1000", C_MODE | LEX_SEPARATORS), 1);
	assert_int_equal(truth("", "1'000 == 1000", C_MODE), -1);
	assert_int_equal(truth("", "'?\?=' == 35", C_MODE | LEX_TRIGRAPHS), 1);
	assert_int_equal(truth("", "1 ?\?/\n == 1", C_MODE | LEX_TRIGRAPHS), 1);
	/* C90: a division by 2 */
	assert_int_equal(truth("", "1 //**/ 2\n", C_MODE), 1);
	assert_int_equal(truth("", "1 //**/ 2\n", 0), 0);
	assert_int_equal(truth("#define a$ 1\n", "a$", C_MODE), 1);
	assert_int_equal(truth("", "true", C_MODE | LEX_SEPARATORS), -1);
}

/* --- whole texts -------------------------------------------------------------------------------
 */

/* The directives of a text, one letter each. */
static void check_directives(const char *text, unsigned mode, const char *want)
{
	static const char letters[] = "duinIDNEeLFosPp~";
	struct lexed *l = lex_file(text, strlen(text), mode);
	scoped_buf struct buf b = BUF_INIT;
	for (uint32_t i = 0; i < l->directive_count; i++)
		buf_add_char(&b, letters[l->directives[i].kind]);
	if (l->doubt)
		buf_add_char(&b, '!');
	if (strcmp(b.data ? b.data : "", want) != 0)
		fail_msg("%s: %s, not %s", text, b.data, want);
	lexed_unref(l);
}

static void directives_are_found_among_comments_strings_and_splices(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{ "#include <a>\n# /* x */ include \"b\"\n", "ii" },
		{ "int x; #include <a>\n", "" },
		{ "/* */ /*\n*/ #include <a>\n", "i" },
		{ "int x; /*\n*/ #include <a>\n", "" },
		{ "// \\\n#include <a>\n", "" },
		{ "#inc\\\nlude <a>\n#include \\  \n <b>", "ii" },
		{ "char *s = \"/*\";\n#define A\n", "d" },
		{ "char *s = \"\\\"/*\";\n#define A\n", "d" },
		{ "#if 0\ndon't /* x\n#endif\n#define A\n", "IFd" },
		{ "char *s = R\"x(\n#define A\n)\" )x\"; /*\n*/ #define B\n", "" },
		{ "char *s = R\"(\n#define A\n)\";\n#define B\n", "d" },
		{ "FOOR\"(\n#define A\n", "d" },
		{ "%:define A\n", "d" },
		{ "#\n# \n", "" },
		{ "#pragma once\n#pragma GCC system_header\n#pragma omp parallel\n", "os" },
		{ "#pragma push_macro(\"A\")\n#pragma pop_macro ( \"A\" )\n", "Pp" },
		{ "#pragma push_macro(A)\n#pragma GCC poison a\n", "~~" },
		{ "#error it's\n#embed <x>\n# 7 \"x\"\n#assert a(b)\n#import <a>\n", "~~~~~" },
		{ "#warning it's\n#line 3\n#ident \"x\"\n", "" },
		{ "#define A(x) #x\n#define B(x) #y\n#define ## x\n", "d~~" },
		{ "#define A(x, x) x\n#define B(x,) x\n#define C(...\n#define 1\n", "~~~~" },
		{ "#define A x##\n#define defined\n#define\n", "~~~" },
		{ "#if 1\n#elif 2\n#elifdef A\n#else\n#endif\n", "IEeLF" },
		{ "#ifdef A\n#ifndef B\n#endif\n#endif\n", "DNFF" },
		{ "_Pragma(\"push_macro(\\\"A\\\")\")\n", "~" },
		{ "#define P _Pragma(\"once\")\n", "~d" },
		{ "DO(GCC system_header)\nDO(once)\nwait(once, 1);\n", "~" },
		{ "_Pragma(\"GCC diagnostic push\")\n", "" },
		{ "#undef A\n#include_next <a>\n", "un" },
		{ "#define A \\\r\n 1\r\n#include \"a\"\r\n", "di" },
		{ "\xef\xbb\xbf#define A\n", "d" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_directives(rows[i][0], C_MODE, rows[i][1]);
	check_directives("# 33 x\n# hello\n#define A(x) #y\n", LEX_ASSEMBLER | LEX_SLASHES, "d");
	check_directives("?\?=include <a>\n", C_MODE | LEX_TRIGRAPHS, "i");
	check_directives("?\?=include <a>\n", C_MODE, "");
	check_directives("s = R\"(\n#define A\n)\";\n", C_MODE & ~LEX_RAW, "d");
}

static void broken_files_are_doubtful_as_a_whole(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{ "#if 1\n", "I!" },
		{ "#endif\n", "F!" },
		{ "#if 1\n#else\n#else\n#endif\n", "ILL!" },
		{ "/* never", "!" },
		{ "R\"(never", "!" },
		{ "x \\\n R\"(a)\";\n", "!" },
		{ "int a;\rint b;\n", "!" },
		{ "#include <a/*b>\n", "i!" },
		{ "#include \"a\\b\"\n", "i!" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_directives(rows[i][0], C_MODE, rows[i][1]);
	struct lexed *l = lex_file("a\0b", 3, C_MODE);
	assert_non_null(l->doubt);
	lexed_unref(l);
	scoped_buf struct buf deep = BUF_INIT;
	for (int i = 0; i < LEX_DEPTH_MAX + 1; i++)
		buf_add_str(&deep, "#if 1\n");
	l = lex_file(deep.data, deep.len, C_MODE);
	assert_non_null(l->doubt);
	lexed_unref(l);
}

static void an_expansion_without_end_is_cut_off(void **state)
{
	(void)state;
	scoped_buf struct buf b = BUF_INIT;
	buf_add_str(&b, "#define A0 1 + 1\n");
	for (int i = 1; i < 40; i++)
		buf_add_format(&b, "#define A%d A%d + A%d\n", i, i - 1, i - 1);
	assert_int_equal(truth(b.data, "A5 == 64", C_MODE), 1);
	assert_int_equal(truth(b.data, "A39", C_MODE), -1);
	scoped_buf struct buf open = BUF_INIT;
	for (int i = 0; i < 10000; i++)
		buf_add_char(&open, '(');
	assert_int_equal(truth("", open.data, C_MODE), -1);
	buf_reset(&open);
	for (int i = 0; i < 10000; i++)
		buf_add_str(&open, "F(");
	assert_int_equal(truth("#define F(x) x\n", open.data, C_MODE), -1);
}

/* --- computed includes -------------------------------------------------------------------------
 */

static void computed_names_are_put_together(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{ "#define N <h/a.h>\n#include N\n", "h/a.h" },
		{ "#define N \"h/a.h\"\n#include N\n", "\"h/a.h\"" },
		{ "#define S_(x) #x\n#define S(x) S_(x)\n#define P(x) S(h/x.h)\n#include P(a)\n",
		  "\"h/a.h\"" },
		{ "#define S(x) #x\n#include S( a.h )\n", "\"a.h\"" },
		{ "#define C(x) <x.h>\n#include C(sys/a)\n", "sys/a.h" },
		{ "#define linux 1\n#define C(x) <x/a.h>\n#include C(linux)\n", "1/a.h" },
		{ "#define N < a.h>\n#include N\n", NULL },
		{ "#define N <a.h\n#include N\n", NULL },
		{ "#include a.h\n", NULL },
		{ "#include L\"a.h\"\n", NULL },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct run r;
		run_begin(&r, rows[i][0], C_MODE);
		const struct directive *d = &r.lexed->directives[r.lexed->directive_count - 1];
		struct token t;
		macros_begin(&r.macros, d->tokens, d->count);
		macros_next(&r.macros, &t);
		header_name(&r.macros, &t);
		bool right = rows[i][1] ? !r.macros.doubt && t.len == strlen(rows[i][1]) &&
		                                  memcmp(t.text, rows[i][1], t.len) == 0
		                        : r.macros.doubt != NULL;
		if (!right)
			fail_msg("%s: %.*s %s", rows[i][0], (int)t.len, t.text, r.macros.doubt);
		macros_end(&r.macros);
		run_end(&r);
	}
}

static void pushed_macros_come_back(void **state)
{
	(void)state;
	struct run r;
	run_begin(&r, "#define A 1\n#define A 2\n", C_MODE);
	const struct macro *one = r.lexed->directives[0].macro, *two = r.lexed->directives[1].macro;
	struct macros *m = &r.macros;
	assert_ptr_equal(macros_find(m, &one->name)->macro, two);
	assert_true(macros_pop(m, &one->name)); /* nothing was pushed: nothing happens */
	assert_true(macros_push(m, &one->name));
	assert_true(macros_define(m, one));
	assert_true(macros_push(m, &one->name));
	assert_true(macros_undefine(m, &one->name));
	assert_false(macros_defined(m, &one->name));
	assert_true(macros_pop(m, &one->name));
	assert_ptr_equal(macros_find(m, &one->name)->macro, one);
	assert_true(macros_pop(m, &one->name));
	assert_ptr_equal(macros_find(m, &one->name)->macro, two);
	struct token line = { .kind = TOKEN_NAME, .text = "__LINE__", .len = 8 };
	line.id = lex_hash(line.text, line.len);
	assert_false(macros_push(m, &line));
	assert_false(macros_undefine(m, &line));
	run_end(&r);
}

/* --- options -----------------------------------------------------------------------------------
 */

static void options_are_sorted_by_what_they_mean(void **state)
{
	(void)state;
	scoped_strv struct strv argv = STRV_INIT, env = STRV_INIT;
	struct scanner_options o = { 0 };
	struct error err;
	const char *line = "options";
	words("-O2 -Wall -g3 -Wp,-DZ,-UY -DA -D B=2 -UC -Iq -I r -iquote s -isystem t -idirafteru "
	      "-include v -imacros w -std=c99 -nostdinc -fno-canonical-system-headers -pthread",
	      &argv);
	strv_add(&env, "CPATH=:x");
	strv_add(&env, "C_INCLUDE_PATH=y:");
	strv_add(&env, "CPLUS_INCLUDE_PATH=z");
	assert_ok(scanner_options_read(&argv, &env, false, &o, &err));
	assert_text(joined(&o.flags),
	            "-O2 -std=c99 -nostdinc -fno-canonical-system-headers -pthread");
	assert_string_equal(o.macros.data,
	                    "#define A 1\n#define B 2\n#undef C\n#define Z 1\n#undef Y\n");
	assert_text(joined(&o.bracket), "q r . x");
	assert_text(joined(&o.quote), "s");
	assert_text(joined(&o.system), "t y .");
	assert_text(joined(&o.after_all), "u");
	assert_text(joined(&o.includes), "v");
	assert_text(joined(&o.macro_files), "w");
	assert_true(o.no_canonical && o.no_standard);
	scanner_options_release(&o);
}

static void options_without_a_rule_are_enodata(void **state)
{
	(void)state;
	static const char *const rows[] = { "-traditional-cpp", "-fpreprocessed",   "-isystem =x",
		                            "-isysroot x",      "-A x=y",           "-DA=\\",
		                            "-Wp,-DA=/*",       "-finput-charset=x" };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		scoped_strv struct strv argv = STRV_INIT, env = STRV_INIT;
		struct scanner_options o = { 0 };
		struct error err;
		words(rows[i], &argv);
		assert_error(scanner_options_read(&argv, &env, false, &o, &err), -ENODATA);
		scanner_options_release(&o);
	}
}

/* --- the cache ---------------------------------------------------------------------------------
 */

static void the_cache_keeps_files_by_digest_and_mode(void **state)
{
	(void)state;
	struct scanner_cache *c = scanner_cache_new();
	enum { FILES = 3000 };
	for (int i = 0; i < FILES; i++) {
		struct digest d;
		digest_of(&d, &i, sizeof(i));
		struct lexed *l = lex_file("#define A\n", 10, C_MODE);
		assert_null(scanner_cache_file(c, &d, C_MODE));
		scanner_cache_put_file(c, &d, C_MODE, l);
		scanner_cache_put_file(c, &d, C_MODE, l); /* the first one stays */
		struct lexed *kept = scanner_cache_file(c, &d, C_MODE);
		assert_ptr_equal(kept, l);
		assert_null(scanner_cache_file(c, &d, LEX_CXX));
		lexed_unref(kept);
		lexed_unref(l);
	}
	/* what would be more than the cache may hold is not kept */
	struct digest d;
	digest_of(&d, "big", 3);
	struct lexed *big = lex_file("", 0, C_MODE);
	big->memory_bytes = (size_t)SCANNER_CACHE_BYTES_MAX + 1;
	scanner_cache_put_file(c, &d, C_MODE, big);
	assert_null(scanner_cache_file(c, &d, C_MODE));
	lexed_unref(big);
	scanner_cache_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conditions_follow_the_rules_of_integers),
		cmocka_unit_test(what_a_compiler_would_complain_about_is_doubtful),
		cmocka_unit_test(macros_are_expanded_as_the_standard_says),
		cmocka_unit_test(questions_are_asked_only_where_they_decide),
		cmocka_unit_test(modes_change_how_text_is_cut),
		cmocka_unit_test(directives_are_found_among_comments_strings_and_splices),
		cmocka_unit_test(broken_files_are_doubtful_as_a_whole),
		cmocka_unit_test(an_expansion_without_end_is_cut_off),
		cmocka_unit_test(computed_names_are_put_together),
		cmocka_unit_test(pushed_macros_come_back),
		cmocka_unit_test(options_are_sorted_by_what_they_mean),
		cmocka_unit_test(options_without_a_rule_are_enodata),
		cmocka_unit_test(the_cache_keeps_files_by_digest_and_mode),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
