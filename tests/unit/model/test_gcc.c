/* gcc's model: command lines to plans. */
#include "engine/model/discovery.h"
#include "tests/unit/model/plans.h"

static void lazy_calls_have_these_reads_writes_and_arguments(void **state)
{
	(void)state;
	static const struct {
		const char *line, *reads, *outputs, *args;
		unsigned tools;
	} rows[] = {
		{ "gcc -c x.c", "x.c", "x.o:666", "gcc -c x.c", TOOLS_C | TOOLS_ASSEMBLE },
		{ "gcc -c d/x.tar.c", "d/x.tar.c", "x.tar.o:666", "gcc -c d/x.tar.c",
		  TOOLS_C | TOOLS_ASSEMBLE },
		{ "g++ -c x.c -oy.o", "x.c", "y.o:666", "g++ -c x.c -oy.o",
		  TOOLS_CXX | TOOLS_ASSEMBLE },
		{ "x86_64-linux-gnu-g++-12 -c x.c", "x.c", "x.o:666",
		  "x86_64-linux-gnu-g++-12 -c x.c", TOOLS_CXX | TOOLS_ASSEMBLE },
		{ "gcc -S x.c", "x.c", "x.s:666", "gcc -S x.c", TOOLS_C },
		{ "gcc -S -c x.cc", "x.cc", "x.s:666", "gcc -S -c x.cc", TOOLS_CXX },
		{ "gcc -c a.s", "a.s", "a.o:666", "gcc -c a.s", TOOLS_ASSEMBLE },
		{ "gcc -c a.S", "a.S", "a.o:666", "gcc -c a.S", TOOLS_C | TOOLS_ASSEMBLE },
		{ "gcc -x c -c a -x none b.c", "a b.c", "a.o:666 b.o:666",
		  "gcc -x c -c a -x none b.c", TOOLS_C | TOOLS_ASSEMBLE },
		{ "gcc -MD -MF d -MP -MT t -MQ q -c x.c", "x.c", "x.o:666", "gcc -c x.c",
		  TOOLS_C | TOOLS_ASSEMBLE },
		{ "gcc -Wp,-MMD,d,-DA,-UB -c x.c", "x.c", "x.o:666", "gcc -Wp,-DA,-UB -c x.c",
		  TOOLS_C | TOOLS_ASSEMBLE },
		{ "gcc x.o -o p", "", "p:777", "gcc x.o -o p", TOOLS_LINK },
		{ "gcc x.o y.o", "", "a.out:777", "gcc x.o y.o", TOOLS_LINK },
		{ "gcc -shared -Wl,-Map,m x.o -o l.so", "", "l.so:777 m:666",
		  "gcc -shared -Wl,-Map,m x.o -o l.so", TOOLS_LINK },
		{ "gcc -r x.o -o all.o", "", "all.o:666", "gcc -r x.o -o all.o", TOOLS_LINK },
		{ "gcc x.c y.o -o p -lm", "x.c", "p:777", "gcc x.c y.o -o p -lm",
		  TOOLS_C | TOOLS_ASSEMBLE | TOOLS_LINK },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *line = rows[i].line;
		struct plan p = planned("", line);
		if (p.real)
			fail_msg("%s: real: %s", line, p.reason);
		assert_text(joined(&p.reads), rows[i].reads);
		assert_text(outputs_text(&p), rows[i].outputs);
		assert_text(joined(&p.args), rows[i].args);
		assert_int_equal(p.tools, rows[i].tools);
		model_plan_release(&p);
	}
}

static void dependency_files_have_these_names_and_targets(void **state)
{
	(void)state;
	static const struct {
		const char *line, *path, *targets;
		bool user_only, phony;
	} rows[] = {
		{ "gcc -MD -c x.c", "x.d", "x.o", false, false },
		{ "gcc -MD -c s/x.c", "x.d", "x.o", false, false },
		{ "gcc -MMD -MP -c x.c -o o/x.lo", "o/x.d", "o/x.lo", true, true },
		{ "gcc -MD -c x.c -o a.b/x", "a.b/x.d", "a.b/x", false, false },
		{ "gcc -MD -S x.c -o ./x.s", "./x.d", "x.s", false, false },
		{ "gcc -MD -S x.c", "x.d", "x.o", false, false },
		{ "gcc -MD -MF d/f -MT a$b -MQ c$d -c x.c", "d/f", "a$b c$$d", false, false },
		{ "gcc -MMD -MFf -MT./a -c x.c", "f", "a", true, false },
		{ "gcc -Wp,-MD,f -c x.c -o o/x.o", "f", "x.o", false, false },
		{ "gcc -Wp,-MMD,f,-MT,q,-MP -c x.c", "f", "q", true, true },
		{ "gcc -MD -MF f x.c -o prog", "f", "prog", false, false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *line = rows[i].line;
		struct plan p = planned("", line);
		if (p.real)
			fail_msg("%s: real: %s", line, p.reason);
		assert_int_equal(p.source_count, 1);
		assert_true(p.sources[0].has_depfile);
		assert_text(xstrdup(p.sources[0].depfile.path), rows[i].path);
		assert_text(joined(&p.sources[0].depfile.targets), rows[i].targets);
		assert_int_equal(p.sources[0].depfile.user_only, rows[i].user_only);
		assert_int_equal(p.sources[0].depfile.phony, rows[i].phony);
		model_plan_release(&p);
	}
}

static void what_is_not_understood_or_wanted_at_once_is_real(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{ "gcc -E x.c", "-E" },
		{ "gcc -M x.c", "-M" },
		{ "gcc --version", "--version" },
		{ "gcc -v -c x.c", "-v" },
		{ "gcc -dumpversion", "-dumpversion" },
		{ "gcc -print-search-dirs", "-print" },
		{ "gcc -save-temps=obj -c x.c", "-save-temps" },
		{ "gcc -c -", "-" },
		{ "gcc -c x.c -o", "-o" },
		{ "gcc -fplugin=p -c x.c", "-fplugin" },
		{ "gcc -fprofile-use -c x.c", "-fprofile-use" },
		{ "gcc --coverage -c x.c", "--coverage" },
		{ "gcc -ftest-coverage -c x.c", "-ftest-coverage" },
		{ "gcc -B. -c x.c", "-B." },
		{ "gcc -wrapper w -c x.c", "-wrapper" },
		{ "gcc -specs=s -c x.c", "-specs" },
		{ "gcc --sysroot=/s -c x.c", "--sysroot" },
		{ "gcc -I- -c x.c", "-I-" },
		{ "gcc -x fortran -c x.c", "not C" },
		{ "gcc -c a.f90", "not C" },
		{ "gcc -c a.h", "not C" },
		{ "gcc -c x.o", "does not use" },
		{ "gcc", "no input" },
		{ "gcc -c x.c z.c -o o", "one output" },
		{ "gcc -c x.c -o a -o b", "two outputs" },
		{ "gcc -MD -MF f -c x.c z.c", "several sources" },
		{ "gcc -MF f -c x.c", "without -MD" },
		{ "gcc -MD -MMD -c x.c", "-MMD" },
		{ "gcc -MD x.c -o p", "while linking" },
		{ "gcc -Wp,-v -c x.c", "-v" },
		{ "gcc -Wa,-al=l -c x.c", "-al" },
		{ "gcc -Wa,--MD,f -c x.c", "--MD" },
		{ "gcc x.o -o p -Wl,--verbose", "--verbose" },
		{ "gcc x.o -o p -Wl,-o,q", "named to the linker" },
		{ "gcc x.o -o p -Wl,--dependency-file=f", "--dependency-file" },
		{ "gcc x.o -o p -Wl,-t", "-t" },
		{ "gcc -march=native -g -c x.c", "native" },
		{ "gcc -S a.s", "-S of" },
		{ "gcc -fdiagnostics-format=json -c x.c", "-fdiagnostics-format" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_real(rows[i][0], rows[i][1]);
}

static void variables_that_redirect_the_driver_make_it_real(void **state)
{
	(void)state;
	static const char *const rows[] = { "GCC_EXEC_PREFIX=/x", "COMPILER_PATH=/x",
		                            "DEPENDENCIES_OUTPUT=f", "SUNPRO_DEPENDENCIES=f" };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct plan p = planned(rows[i], "gcc -c x.c");
		assert_true(p.real);
		model_plan_release(&p);
	}
	struct plan p = planned("LD_LIBRARY_PATH=/x", "gcc x.o -o p");
	assert_true(p.real);
	model_plan_release(&p);
	p = planned("LD_LIBRARY_PATH=/x", "gcc -c x.c");
	assert_false(p.real);
	model_plan_release(&p);
}

static void directories_of_options_and_environment_are_to_be_there(void **state)
{
	(void)state;
	const char *line = "gcc -Ia -I b -isystem c -iquote d -idirafter e -Wa,-If -c x.c";
	struct plan p = planned("CPATH=g::h C_INCLUDE_PATH=i", line);
	assert_false(p.real);
	assert_text(joined(&p.dirs), "a b c d e f g . h i");
	model_plan_release(&p);
}

static void discovery_gets_what_the_preprocessor_heeds_and_no_outputs(void **state)
{
	(void)state;
	const char *line =
	        "gcc -O2 -I a -DX -MD -MF f -Wl,-x -Wp,-DQ -x c -c x.c -o x.o -include h";
	struct plan p = planned("", line);
	assert_false(p.real);
	assert_text(joined(&p.discover), "-O2 -I a -DX -Wp,-DQ -include h");
	assert_text(joined(&p.discover_sources), "-x c x.c");
	scoped_strv struct strv command = STRV_INIT;
	discovery_command(&p, "/usr/bin/gcc", &command);
	assert_text(joined(&command),
	            "/usr/bin/gcc -O2 -I a -DX -Wp,-DQ -include h -M -MT ggfs-source -x c x.c");
	model_plan_release(&p);
}

static void the_linkers_arguments_keep_their_order(void **state)
{
	(void)state;
	const char *line =
	        "gcc -Ld -static a.o -Wl,--start-group,b.a -lc -Wl,--end-group -Xlinker -s "
	        "-T s.ld -u f -z now -o p";
	struct plan p = planned("", line);
	assert_false(p.real);
	assert_text(joined(&p.search_dirs), "d");
	assert_text(joined(&p.ld_args),
	            "a.o --start-group b.a -lc --end-group -s -Ts.ld -u f -z now");
	assert_text(joined(&p.driver_flags), "-static");
	model_plan_release(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lazy_calls_have_these_reads_writes_and_arguments),
		cmocka_unit_test(dependency_files_have_these_names_and_targets),
		cmocka_unit_test(what_is_not_understood_or_wanted_at_once_is_real),
		cmocka_unit_test(variables_that_redirect_the_driver_make_it_real),
		cmocka_unit_test(directories_of_options_and_environment_are_to_be_there),
		cmocka_unit_test(discovery_gets_what_the_preprocessor_heeds_and_no_outputs),
		cmocka_unit_test(the_linkers_arguments_keep_their_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
