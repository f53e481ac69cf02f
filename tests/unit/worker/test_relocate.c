#include "tests/lib/test.h"

#include <elf.h>
#include <string.h>

#include "engine/worker/relocate.h"

#define LINKER "/lib64/ld-linux-x86-64.so.2"

struct scene {
	struct thunk t;
	struct relocate_facts facts;
	struct strv libraries;
	struct relocation out;
};

static int setup(void **state)
{
	struct scene *s = xcalloc(1, sizeof(*s));
	*state = s;
	s->t = THUNK_INIT;
	s->t.program = xstrdup("usr/bin/tool");
	strv_add(&s->t.args, "tool");
	strv_add(&s->t.env, "PATH=/usr/bin");
	s->facts.count = 1;
	s->facts.linker_is_modern = true;
	strv_add(&s->libraries, "usr/lib");
	strv_add(&s->libraries, "opt/x");
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;
	thunk_release(&s->t);
	strv_release(&s->libraries);
	relocation_release(&s->out);
	free(s);
	return 0;
}

static void dynamic(struct program *p, const char *interpreter)
{
	p->kind = PROGRAM_DYNAMIC;
	snprintf(p->interpreter, sizeof(p->interpreter), "%s", interpreter);
}

static void script(struct program *p, const char *interpreter, const char *argument)
{
	p->kind = PROGRAM_SCRIPT;
	snprintf(p->interpreter, sizeof(p->interpreter), "%s", interpreter);
	snprintf(p->argument, sizeof(p->argument), "%s", argument);
}

static int run(struct scene *s, struct error *err)
{
	return relocate(&s->t, &s->facts, "/c/w/0", &s->libraries, &s->out, err);
}

static void expect(const struct strv *v, const char *joined)
{
	scoped_buf struct buf b = BUF_INIT;
	for (size_t i = 0; i < v->count; i++)
		buf_add_format(&b, "%s%s", i ? "|" : "", v->items[i]);
	assert_string_equal(b.data ? b.data : "", joined);
}

#define LINKED                                                                                     \
	"ld.so|--inhibit-cache|--library-path|/c/w/0/root/usr/lib:/c/w/0/root/opt/x|--preload|"    \
	"/c/w/0/relocate.so|--argv0|"

static void a_dynamic_program_is_started_by_its_own_dynamic_linker(void **state)
{
	struct scene *s = *state;
	struct error err;
	dynamic(&s->facts.programs[0], LINKER);
	strv_add(&s->t.args, "/abs/o l");
	s->t.cwd = xstrdup("home/u");
	assert_ok(run(s, &err));
	assert_string_equal(s->out.execute, "/c/w/0/root" LINKER);
	assert_string_equal(s->out.cwd, "/c/w/0/root/home/u");
	expect(&s->out.argv, LINKED "tool|/c/w/0/root/usr/bin/tool|/abs/o l");
	expect(&s->out.env, "PATH=/usr/bin|TZ=UTC0|"
	                    "GGFS_RELOCATE=/c/w/0/root:/c/w/0/root/usr/lib:/c/w/0/root/opt/x");
}

static void a_script_is_read_by_its_interpreter(void **state)
{
	struct scene *s = *state;
	struct error err;
	script(&s->facts.programs[0], "/bin/outer", "-x y");
	script(&s->facts.programs[1], "/bin/sh", "");
	dynamic(&s->facts.programs[2], LINKER);
	s->facts.count = 3;
	strv_add(&s->t.args, "a");
	assert_ok(run(s, &err));
	expect(&s->out.argv, LINKED "/bin/sh|/c/w/0/root/bin/sh|/bin/outer|-x y|/usr/bin/tool|a");
}

static void a_thunk_that_yields_finds_itself(void **state)
{
	struct scene *s = *state;
	struct error err;
	s->t.yields = true;
	dynamic(&s->facts.programs[0], LINKER);
	assert_ok(run(s, &err));
	assert_true(strv_contains(&s->out.env, "GGFS_THUNK=/.ggfs/thunk"));
	assert_true(strv_contains(&s->out.env, "GGFS_YIELD=/.ggfs/yield"));
	relocation_release(&s->out);
	s->facts.programs[0].kind = PROGRAM_STATIC;
	assert_ok(run(s, &err));
	assert_true(strv_contains(&s->out.env, "GGFS_THUNK=/c/w/0/root/.ggfs/thunk"));
	assert_true(strv_contains(&s->out.env, "GGFS_YIELD=/c/w/0/root/.ggfs/yield"));
}

static void the_machines_time_zone_is_not_used(void **state)
{
	struct scene *s = *state;
	struct error err;
	dynamic(&s->facts.programs[0], LINKER);
	s->facts.has_local_time = true;
	assert_ok(run(s, &err));
	assert_true(strv_contains(&s->out.env, "TZ=:/c/w/0/root/etc/localtime"));
	relocation_release(&s->out);
	strv_add(&s->t.env, "TZ=Europe/Berlin");
	assert_ok(run(s, &err));
	assert_true(strv_contains(&s->out.env, "TZ=Europe/Berlin"));
	assert_true(strv_contains(&s->out.env, "TZDIR=/c/w/0/root/usr/share/zoneinfo"));
}

static void a_static_program_runs_as_it_is(void **state)
{
	struct scene *s = *state;
	struct error err;
	s->facts.programs[0].kind = PROGRAM_STATIC;
	strv_add(&s->t.args, "a/b");
	strv_add(&s->t.args, "../c");
	strv_add(&s->t.args, "-o");
	assert_ok(run(s, &err));
	assert_string_equal(s->out.execute, "/c/w/0/root/usr/bin/tool");
	expect(&s->out.argv, "tool|a/b|../c|-o");
	expect(&s->out.env, "PATH=/usr/bin|TZ=UTC0");
}

static void a_static_program_with_an_absolute_path_is_refused(void **state)
{
	struct scene *s = *state;
	static const char *const paths[] = { "/",     "/usr", "a=/usr",          "-I/usr",
		                             "-Ia/b", "a:/b", "cat /etc/passwd", "'/x'",
		                             "@(/y)", "//x" };
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		struct error err;
		s->facts.programs[0].kind = PROGRAM_STATIC;
		strv_release(&s->t.args);
		s->t.args = STRV_INIT;
		strv_add(&s->t.args, "tool");
		strv_add(&s->t.args, paths[i]);
		assert_error(run(s, &err), -EOPNOTSUPP);
		assert_non_null(strstr(err.text, paths[i]));
		relocation_release(&s->out);
	}
}

static void what_cannot_be_started_so_is_refused(void **state)
{
	struct scene *s = *state;
	struct error err;
	s->facts.programs[0].kind = PROGRAM_OTHER;
	assert_error(run(s, &err), -EOPNOTSUPP);
	dynamic(&s->facts.programs[0], "/lib/ld-musl-x86_64.so.1");
	assert_error(run(s, &err), -EOPNOTSUPP);
	relocation_release(&s->out);
	dynamic(&s->facts.programs[0], LINKER);
	s->facts.linker_is_modern = false;
	assert_error(run(s, &err), -EOPNOTSUPP);
	relocation_release(&s->out);
	script(&s->facts.programs[0], "/bin/busybox", "sh");
	s->facts.programs[1].kind = PROGRAM_STATIC;
	s->facts.count = 2;
	assert_error(run(s, &err), -EOPNOTSUPP);
}

static void libraries_are_searched_where_the_dynamic_linker_would(void **state)
{
	(void)state;
	struct error err;
	scoped_manifest struct manifest m = MANIFEST_INIT;
	scoped_strv struct strv found = STRV_INIT;
	static const char *const files[] = { "opt/x/libx.so", "usr/lib/libb.so.1",
		                             "lib/libc.so.6", "usr/lib/x86_64-linux-gnu/liba.so.2",
		                             "usr/bin/so",    "usr/lib/x86_64-linux-gnu/libd.so",
		                             "a.so" };
	struct ref ref = { .kind = REF_BLOB };
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		manifest_add_file(&m, files[i], 0644, &ref);
	manifest_add_link(&m, "usr/lib64/liblink.so.3", "../lib/libb.so.1");
	assert_ok(manifest_finish(&m, &err));
	relocate_libraries(&m, &found);
	expect(&found, "usr/lib/x86_64-linux-gnu|usr/lib64|lib|usr/lib|opt/x");
}

/* --- programs ----------------------------------------------------------------------------------
 */

static void look_at(const char *bytes, size_t len, struct program *p)
{
	char *directory = test_directory();
	scoped_free char *path = xformat("%s/file", directory);
	struct error err;
	assert_ok(replace_file_at(AT_FDCWD, path, bytes, len, 0755, &err));
	scoped_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(program_look(fd, p), 0);
	test_directory_remove(directory);
}

static void scripts_are_read_as_the_kernel_reads_them(void **state)
{
	(void)state;
	static const struct {
		const char *text, *interpreter, *argument;
	} lines[] = {
		{ "#!/bin/sh\n", "/bin/sh", "" },
		{ "#! /usr/bin/env  perl -w \nx", "/usr/bin/env", "perl -w" },
		{ "#!\t/bin/sh\t-e\t\n", "/bin/sh", "-e" },
	};
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct program p;
		look_at(lines[i].text, strlen(lines[i].text), &p);
		assert_int_equal(p.kind, PROGRAM_SCRIPT);
		assert_string_equal(p.interpreter, lines[i].interpreter);
		assert_string_equal(p.argument, lines[i].argument);
	}
}

static void what_is_no_program_is_other(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"", "#", "#!", "#!\n", "#!/bin/sh", "text", "\177ELF"
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct program p;
		look_at(texts[i], strlen(texts[i]), &p);
		assert_int_equal(p.kind, PROGRAM_OTHER);
	}
}

static void elf_headers_that_lie_are_other(void **state)
{
	(void)state;
	struct program p;
	char bytes[512] = { 0 };
	scoped_fd int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread_full(fd, bytes, sizeof(Elf64_Ehdr), 0), sizeof(Elf64_Ehdr));
	Elf64_Ehdr elf;
	memcpy(&elf, bytes, sizeof(elf));
	elf.e_phoff = 1 << 20;
	memcpy(bytes, &elf, sizeof(elf));
	look_at(bytes, sizeof(bytes), &p);
	assert_int_equal(p.kind, PROGRAM_OTHER);
	elf.e_phoff = sizeof(elf);
	elf.e_phnum = 1;
	Elf64_Phdr header = { .p_type = PT_INTERP, .p_offset = sizeof(bytes) - 2, .p_filesz = 100 };
	memcpy(bytes, &elf, sizeof(elf));
	memcpy(bytes + sizeof(elf), &header, sizeof(header));
	look_at(bytes, sizeof(bytes), &p);
	assert_int_equal(p.kind, PROGRAM_OTHER);
	elf.e_machine ^= 1;
	memcpy(bytes, &elf, sizeof(elf));
	look_at(bytes, sizeof(bytes), &p);
	assert_int_equal(p.kind, PROGRAM_OTHER);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_dynamic_program_is_started_by_its_own_dynamic_linker),
		TEST(a_script_is_read_by_its_interpreter),
		TEST(a_thunk_that_yields_finds_itself),
		TEST(the_machines_time_zone_is_not_used),
		TEST(a_static_program_runs_as_it_is),
		TEST(a_static_program_with_an_absolute_path_is_refused),
		TEST(what_cannot_be_started_so_is_refused),
		TEST(libraries_are_searched_where_the_dynamic_linker_would),
		TEST(scripts_are_read_as_the_kernel_reads_them),
		TEST(what_is_no_program_is_other),
		TEST(elf_headers_that_lie_are_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
