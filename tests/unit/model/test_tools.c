/* The other models, names and response files. */
#include "engine/model/infer.h"
#include "tests/unit/model/plans.h"

static void names_with_targets_and_versions_are_known(void **state)
{
	(void)state;
	static const char *const known[] = { "gcc",
		                             "gcc-12",
		                             "gcc-4.8",
		                             "x86_64-linux-gnu-gcc-12",
		                             "arm-none-eabi-g++",
		                             "c++",
		                             "cc",
		                             "as",
		                             "ld",
		                             "ld.bfd",
		                             "x86_64-linux-gnu-ld",
		                             "ar",
		                             "ranlib",
		                             "strip",
		                             "objcopy",
		                             "cp",
		                             "install" };
	static const char *const unknown[] = { "gcc-ar",   "x86_64-linux-gnu-gcc-ar-12",
		                               "gccgo",    "clang",
		                               "gcc-nm",   "cpp",
		                               "bcc",      "my-gcc",
		                               "gcc-12x",  "gcc-",
		                               "xinstall", "a-b-cp",
		                               "",         "tar",
		                               "ld.gold",  "git-cc",
		                               "nm",       "basename",
		                               "cc1" };
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!model_known(known[i]))
			fail_msg("%s is not known", known[i]);
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		if (model_known(unknown[i]))
			fail_msg("%s is known", unknown[i]);
}

static void lazy_calls_have_these_reads_and_writes(void **state)
{
	(void)state;
	static const struct {
		const char *line, *reads, *outputs;
		bool if_deterministic;
	} rows[] = {
		{ "ar rcs new.a x.o y.o", "x.o y.o", "new.a:666", true },
		{ "ar rcD old.a x.o", "old.a x.o", "old.a:600!", false },
		{ "ar cDPrST new.a", "", "new.a:666", false },
		{ "ar -rc --thin new.a x.o", "x.o", "new.a:666", true },
		{ "ar rcu new.a x.o", "x.o", "new.a:666", true },
		{ "ar s old.a", "old.a", "old.a:600!", true },
		{ "ar qc new.a x.o", "x.o", "new.a:666", true },
		{ "ar --plugin d/liblto_plugin.so -csrD new.a x.o", "d/liblto_plugin.so x.o",
		  "new.a:666", false },
		{ "ar --plugin=d/liblto_plugin.so -rcs new.a x.o", "d/liblto_plugin.so x.o",
		  "new.a:666", true },
		{ "ranlib --plugin d/liblto_plugin.so -D old.a", "d/liblto_plugin.so old.a",
		  "old.a:600!", false },
		{ "ranlib old.a", "old.a", "old.a:600!", true },
		{ "ranlib -D old.a", "old.a", "old.a:600!", false },
		{ "strip prog", "prog", "prog:755!", true },
		{ "strip -g x.o y.o", "x.o y.o", "x.o:640! y.o:644!", true },
		{ "strip -K f --strip-unneeded -o s prog", "prog", "s:755!", true },
		{ "objcopy -O binary -R .note x.o x.bin", "x.o", "x.bin:640!", true },
		{ "objcopy --prefix-symbols=p x.o", "x.o", "x.o:640!", true },
		{ "as x.s -o x.o", "x.s", "x.o:666", false },
		{ "as --64 -I d a.s b.s -o x.o", "a.s b.s", "x.o:666", false },
		{ "ld -r -o all.o x.o y.o", "", "all.o:666", false },
		{ "ld -m elf_x86_64 -z now -T s --build-id=none -Map=m -o p x.o", "", "m:666 p:777",
		  false },
		{ "ld -X -EL -maarch64linux --fix-cortex-a53-843419 --fix-cortex-a53-835769 -o p "
		  "x.o",
		  "", "p:777", false },
		{ "cp x.o z.o", "x.o", "z.o:640", false },
		{ "cp -f x.o prog dir", "x.o prog", "dir/x.o:640 dir/prog:755", false },
		{ "install -c -m 600 x.o z", "x.o", "z:600!", false },
		{ "install prog old.a", "prog", "old.a:755!", false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *line = rows[i].line;
		struct plan p = planned("", line);
		if (p.real)
			fail_msg("%s: real: %s", line, p.reason);
		assert_text(joined(&p.reads), rows[i].reads);
		assert_text(outputs_text(&p), rows[i].outputs);
		assert_int_equal(p.if_deterministic, rows[i].if_deterministic);
		model_plan_release(&p);
	}
}

static void what_is_not_understood_or_wanted_at_once_is_real(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{ "ar t old.a", "ar t" },
		{ "ar rcU old.a x.o", "rcU" },
		{ "ar rv old.a x.o", "rv" },
		{ "ar x old.a", "ar x" },
		{ "ar d old.a x.o", "ar d" },
		{ "ar mPiT x.o old.a", "mPiT" },
		{ "ar -M", "ar M" },
		{ "ar", "without" },
		{ "ar rc dir x.o", "not a file" },
		{ "ar --version", "--version" },
		{ "ar rc --plugin p new.a", "--plugin" },
		{ "ar --plugin=LLVMgold.so -rc new.a x.o", "--plugin" },
		{ "ar rc --plugin", "--plugin" },
		{ "ranlib new.a", "not a file" },
		{ "ranlib -U old.a", "-U" },
		{ "ranlib", "without" },
		{ "strip", "no files" },
		{ "strip -p prog", "-p" },
		{ "strip -v prog", "-v" },
		{ "strip -o s x.o y.o", "one output" },
		{ "objcopy --add-section a=b x.o", "--add-section" },
		{ "objcopy --dump-section a=b x.o", "--dump-section" },
		{ "objcopy x.o a b", "too many" },
		{ "objcopy -j", "-j" },
		{ "as", "standard input" },
		{ "as -a x.s -o x.o", "-a" },
		{ "as --MD f x.s -o x.o", "--MD" },
		{ "ld -v", "-v" },
		{ "ld --verbose", "--verbose" },
		{ "ld -o p", "nothing" },
		{ "ld -R s x.o -o p", "-R" },
		{ "ld --help", "--help" },
		{ "ld x.o -o", "without its value" },
		{ "cp x.c z.c", "not lazy" },
		{ "cp x.o", "too few" },
		{ "cp -p x.o z.o", "-p" },
		{ "cp x.o prog", "there already" },
		{ "cp x.o y.o nope", "no directory" },
		{ "cp x.o nope/", "no directory" },
		{ "install -d a b", "-d" },
		{ "install -s prog z", "-s" },
		{ "install -m u+x prog z", "-m" },
		{ "install prog dir2/", "no directory" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_real(rows[i][0], rows[i][1]);
}

static void the_linkers_options_are_read_with_their_values(void **state)
{
	(void)state;
	static const struct {
		const char *line;
		enum ld_kind kind;
		const char *text;
	} rows[] = {
		{ "a.o", LD_FILE, "a.o" },
		{ "-lm", LD_LIBRARY, "m" },
		{ "-l m", LD_LIBRARY, "m" },
		{ "-l:x.a", LD_LIBRARY, ":x.a" },
		{ "--library=m", LD_LIBRARY, "m" },
		{ "-L/d", LD_SEARCH_DIR, "/d" },
		{ "--library-path /d", LD_SEARCH_DIR, "/d" },
		{ "-T s", LD_SCRIPT, "s" },
		{ "-Ts", LD_SCRIPT, "s" },
		{ "--script=s", LD_SCRIPT, "s" },
		{ "-Ttext 0", LD_FLAG, "0" },
		{ "-Ttext=0", LD_FLAG, "0" },
		{ "--version-script=v", LD_TEXT, "v" },
		{ "-version-script v", LD_TEXT, "v" },
		{ "-static", LD_STATIC, "static" },
		{ "-Bdynamic", LD_DYNAMIC, "Bdynamic" },
		{ "-rpath /r", LD_RPATH, "/r" },
		{ "--rpath-link=/r", LD_RPATH_LINK, "/r" },
		{ "-melf_i386", LD_EMULATION, "elf_i386" },
		{ "-o p", LD_OUTPUT, "p" },
		{ "-Map=m", LD_MAP, "m" },
		{ "-soname s", LD_FLAG, "s" },
		{ "-z relro", LD_FLAG, "relro" },
		{ "-O2", LD_FLAG, "-O2" },
		{ "--build-id", LD_FLAG, "build-id" },
		{ "-E", LD_FLAG, "-E" },
		{ "-unknown-thing", LD_FLAG, "nknown-thing" },
		{ "--unknown-thing", LD_REFUSED, "--unknown-thing" },
		{ "-M", LD_REFUSED, "-M" },
		{ "-", LD_REFUSED, "-" },
		{ "-v", LD_REFUSED, "-v" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *line = rows[i].line;
		scoped_strv struct strv args = STRV_INIT;
		words(line, &args);
		size_t at = 0;
		struct ld_arg a = ld_next(&args, &at);
		if (a.kind != rows[i].kind)
			fail_msg("%s is of kind %d instead of %d", line, a.kind, rows[i].kind);
		assert_text(xstrdup(a.text), rows[i].text);
		assert_int_equal(at, args.count);
	}
}

static void response_files_are_expanded_with_their_quotes(void **state)
{
	(void)state;
	const char *line = "gcc @rsp @nope";
	scoped_strv struct strv argv = STRV_INIT, out = STRV_INIT;
	words(line, &argv);
	assert_int_equal(response_expand(&argv, &told_all, &out), 0);
	assert_text(joined(&out), "gcc -O2 -DA=b c -DQ=\"z\" -c x.c -o r.o @nope");
	assert_int_equal(out.count, 9);
}

static void response_files_that_are_lazy_or_name_themselves_are_refused(void **state)
{
	(void)state;
	scoped_strv struct strv lazy = STRV_INIT, endless = STRV_INIT, out = STRV_INIT;
	words("gcc @lazy.rsp", &lazy);
	words("gcc @itself", &endless);
	assert_int_equal(response_expand(&lazy, &told_all, &out), -ENODATA);
	assert_int_equal(response_expand(&endless, &told_all, &out), -ENODATA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_with_targets_and_versions_are_known),
		cmocka_unit_test(lazy_calls_have_these_reads_and_writes),
		cmocka_unit_test(what_is_not_understood_or_wanted_at_once_is_real),
		cmocka_unit_test(the_linkers_options_are_read_with_their_values),
		cmocka_unit_test(response_files_are_expanded_with_their_quotes),
		cmocka_unit_test(response_files_that_are_lazy_or_name_themselves_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
