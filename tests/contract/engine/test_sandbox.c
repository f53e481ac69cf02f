/* What the local engine alone promises: its sandbox, and what it leaves behind (docs/sandbox.md).
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "engine/local/blame.h"
#include "engine/local/run.h"
#include "engine/local/toolchain.h"
#include "engine/local/world.h"
#include "tests/contract/engine/suite.h"

static const struct backend local = { .name = "local", .make = engine_local_new };

/* --- looking at processes --------------------------------------------------------------------- */

/* Processes whose command line has this argument: a function in whatever namespace. */
static int count_processes(const char *argument)
{
	scoped_dir DIR *proc = opendir("/proc");
	int count = 0;
	for (const struct dirent *e; proc && (e = readdir(proc));) {
		scoped_buf struct buf b = BUF_INIT;
		scoped_free char *path = xformat("%s/cmdline", e->d_name);
		if (strtol(e->d_name, NULL, 10) <= 0 ||
		    read_file_at(dirfd(proc), path, &b, 1 << 20, NULL) < 0)
			continue;
		count += memmem(b.data ? b.data : "", b.len, argument, strlen(argument)) != NULL;
	}
	return count;
}

static bool some_run(void *argument)
{
	return count_processes(argument) > 0;
}

static bool none_runs(void *argument)
{
	return count_processes(argument) == 0;
}

static unsigned count_entries(const char *path)
{
	unsigned count = 0;
	scoped_dir DIR *dir = opendir(path);
	while (dir && readdir(dir))
		count++;
	return count;
}

/* Mounts of sandboxes that can be seen from here: there should never be one. */
static unsigned count_mounts(void)
{
	unsigned count = 0;
	char line[4096];
	scoped_file FILE *f = fopen("/proc/self/mountinfo", "r");
	while (f && fgets(line, sizeof(line), f))
		count += strstr(line, " - tmpfs ggfs ") || strstr(line, " - overlay ggfs ");
	return count;
}

/* A word that is on no other command line. */
static char *unique_word(void)
{
	return xformat("ggfs-test-%d-%lld", (int)getpid(), (long long)now_us());
}

/* The program's own children: runners. */
static pid_t first_child(void)
{
	scoped_dir DIR *tasks = opendir("/proc/self/task");
	for (const struct dirent *e; tasks && (e = readdir(tasks));) {
		scoped_buf struct buf b = BUF_INIT;
		scoped_free char *path = xformat("%s/children", e->d_name);
		if (e->d_name[0] != '.' &&
		    read_file_at(dirfd(tasks), path, &b, 1 << 16, NULL) == 0 && b.len > 0)
			return (pid_t)strtol(b.data, NULL, 10);
	}
	return -1;
}

static void thunk_that_hangs(struct fixture *f, struct thunk *t, const char *word)
{
	thunk_of_function(f, t, "hang", word, NULL);
	thunk_add_output(t, OUTPUT_FILE, "out");
	assert_int_equal(thunk_finish(t, NULL), 0);
}

static void run_trivial(struct fixture *f)
{
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(f, &t, "write", "out", "made\n", NULL);
	thunk_add_output(&t, OUTPUT_FILE, "out");
	struct engine_result r = run_well(f, &t);
	expect_text(f, &r, "out", "made\n");
	engine_result_release(&r);
}

/* --- isolation -------------------------------------------------------------------------------- */

static void the_world_holds_what_was_declared_and_no_more(void **state)
{
	struct fixture *f = *state;
	for (int turn = 0; turn < 2; turn++) { /* nothing of the first is left for the second */
		scoped_thunk struct thunk t = THUNK_INIT;
		scoped_free char *name = xformat("only-%d", turn);
		thunk_of_function(f, &t, "list", "/listing", "/", NULL);
		add_input(f, &t, name, "x");
		thunk_add_output(&t, OUTPUT_FILE, "listing");
		struct engine_result r = run_well(f, &t);
		scoped_free char *text = output_text(f, &r, "listing");
		scoped_strv struct strv names = STRV_INIT;
		char *save = NULL;
		for (char *n = strtok_r(text, "\n", &save); n; n = strtok_r(NULL, "\n", &save))
			strv_add(&names, n);
		strv_sort(&names);
		static const char *const expected[] = { ".",       "..", "bin", "dev",
			                                "listing", NULL, "tmp" };
		assert_int_equal(names.count, 7);
		for (size_t i = 0; i < names.count; i++)
			assert_string_equal(names.items[i], expected[i] ? expected[i] : name);
		engine_result_release(&r);
	}
}

static void the_ways_out_are_closed(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(f, &t, "reach", "out", NULL);
	thunk_add_output(&t, OUTPUT_FILE, "out");
	struct engine_result r = run_well(f, &t);
	expect_text(f, &r, "out",
	            "inet EACCES\ninet6 EACCES\npacket EACCES\nnetlink EACCES\nunix 0\n"
	            "unshare EPERM\nmount EPERM\nchroot EPERM\nptrace EPERM\nbpf EPERM\n"
	            "io_uring ENOSYS\nmknod EPERM\nshmget EPERM\nkill 0\n");
	engine_result_release(&r);
}

static void devices_work(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_shell(f, &t,
	               "echo x > /dev/null && : > /out && ! echo x > /dev/full 2>/out && "
	               "! echo x > /dev/new");
	thunk_add_output(&t, OUTPUT_FILE, "out");
	struct engine_result r = run_well(f, &t);
	engine_result_release(&r);
}

static void a_full_world_is_no_room_and_not_the_functions_failure(void **state)
{
	(void)state;
	struct fixture f;
	setenv("GGFS_WORLD_BYTES", "4194304", 1);
	fixture_begin(&f, &local, 1);
	unsetenv("GGFS_WORLD_BYTES");
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(&f, &t, "fill", "out", NULL);
	thunk_add_output(&t, OUTPUT_FILE, "out");
	expect_outcome(&f, &t, OUTCOME_NO_ROOM, 1, "was full");
	run_trivial(&f);
	fixture_end(&f);
}

/* --- hostile manifests ------------------------------------------------------------------------ */

static void a_link_on_the_way_is_never_followed_out(void **state)
{
	(void)state;
	char *directory = test_directory();
	scoped_free char *world = xformat("%s/world", directory);
	assert_int_equal(mkdir(world, 0755), 0);
	scoped_fd int root = open(world, O_RDONLY | O_DIRECTORY);
	assert_int_equal(symlinkat(directory, root, "there"), 0);
	static const struct job_entry rows[][2] = {
		{ { .kind = JOB_ENTRY_LINK, .path = "d", .bytes = "..", .size_bytes = 2 },
		  { .kind = JOB_ENTRY_BYTES, .path = "d/escaped", .mode = 0644 } },
		{ { .kind = JOB_ENTRY_BYTES, .path = "there/escaped", .mode = 0644 }, { 0 } },
		{ { .kind = JOB_ENTRY_DIR, .path = "there/escaped" }, { 0 } },
		{ { .kind = JOB_ENTRY_BYTES, .path = "../escaped", .mode = 0644 }, { 0 } },
		{ { .kind = JOB_ENTRY_LINK,
		    .path = "there/escaped",
		    .bytes = "x",
		    .size_bytes = 1 },
		  { 0 } },
		{ { .kind = JOB_ENTRY_BYTES, .path = "/escaped", .mode = 0644 }, { 0 } },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		size_t failed = SIZE_MAX, count = rows[i][1].path ? 2 : 1;
		int r = world_lay_out(root, -1, rows[i], count, WORLD_COPY_ALL, &failed);
		assert_true(r < 0);
		assert_true(failed < count);
		scoped_free char *escaped = xformat("%s/escaped", directory);
		assert_int_equal(access(escaped, F_OK), -1);
	}
	test_directory_remove(directory);
}

static void an_output_is_not_read_through_a_link_the_function_made(void **state)
{
	struct fixture *f = *state;
	scoped_thunk struct thunk t = THUNK_INIT;
	thunk_of_function(f, &t, "odd", "link", "out", NULL);
	thunk_add_output(&t, OUTPUT_FILE, "out");
	expect_outcome(f, &t, OUTCOME_FAILED, 0, "symbolic link");
}

/* --- what is left behind ---------------------------------------------------------------------- */

static void two_hundred_jobs_leave_nothing_behind(void **state)
{
	(void)state;
	enum { COUNT = 200 };
	static struct thunk thunks[COUNT];
	static struct pending p[COUNT];
	struct fixture f;
	fixture_begin(&f, &local, 4);
	unsigned fds = count_entries("/proc/self/fd");
	unsigned temporary = count_entries(f.directory);
	for (size_t i = 0; i < COUNT; i++) {
		scoped_free char *text = xformat("%zu", i);
		thunks[i] = THUNK_INIT;
		/* Some leave processes, some fail. */
		thunk_of_function(&f, &thunks[i], i % 3 ? "write" : "leave", i % 7 ? "out" : "no",
		                  text, NULL);
		thunk_add_output(&thunks[i], OUTPUT_FILE, "out");
		assert_int_equal(thunk_finish(&thunks[i], NULL), 0);
		pending_start(&f, &p[i], &thunks[i]);
	}
	for (size_t i = 0; i < COUNT; i++) {
		pending_wait(&p[i]);
		if (p[i].result.outcome != (i % 7 ? OUTCOME_DONE : OUTCOME_FAILED))
			fail_msg("%zu: outcome %d: %s; it said: %s", i, p[i].result.outcome,
			         p[i].result.reason, p[i].result.stderr_tail);
		pending_release(&p[i]);
		thunk_release(&thunks[i]);
	}
	f.engine->ops->free(f.engine);
	f.engine = NULL;
	assert_int_equal(count_entries("/proc/self/fd"), fds);
	assert_int_equal(count_mounts(), 0);
	assert_int_equal(count_entries(f.directory), temporary);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	scoped_free char *tmp = xformat("%s/store/tmp", f.directory);
	assert_int_equal(count_entries(tmp), 2);
	fixture_end(&f);
}

static void children_of_a_killed_function_are_gone_when_it_is_answered(void **state)
{
	struct fixture *f = *state;
	scoped_free char *word = unique_word();
	scoped_thunk struct thunk t = THUNK_INIT;
	struct pending p;
	thunk_that_hangs(f, &t, word);
	pending_start(f, &p, &t);
	assert_true(eventually(some_run, word));
	f->engine->ops->cancel(f->engine, p.ticket);
	pending_wait(&p);
	assert_int_equal(count_processes(word), 0);
	pending_release(&p);
}

static void a_killed_runner_loses_its_job_and_the_next_one_runs(void **state)
{
	struct fixture *f = *state;
	scoped_free char *word = unique_word();
	scoped_thunk struct thunk t = THUNK_INIT;
	struct pending p;
	thunk_that_hangs(f, &t, word);
	pending_start(f, &p, &t);
	assert_true(eventually(some_run, word));
	pid_t runner = first_child();
	assert_true(runner > 1);
	assert_int_equal(kill(runner, SIGKILL), 0);
	pending_wait(&p);
	assert_int_equal(p.result.outcome, OUTCOME_LOST);
	pending_release(&p);
	assert_true(eventually(none_runs, word));
	run_trivial(f);
}

static void a_runner_killed_while_it_is_idle_is_not_noticed(void **state)
{
	(void)state;
	struct fixture f;
	fixture_begin(&f, &local, 1);
	run_trivial(&f);
	pid_t runner = first_child();
	assert_true(runner > 1);
	assert_int_equal(kill(runner, SIGKILL), 0);
	siginfo_t dead; /* it stays the engine's to wait for */
	assert_int_equal(waitid(P_PID, (id_t)runner, &dead, WEXITED | WNOWAIT), 0);
	run_trivial(&f);
	fixture_end(&f);
}

static void functions_end_when_their_engine_is_killed(void **state)
{
	(void)state;
	scoped_free char *word = unique_word();
	char *directory = test_directory();
	pid_t pid = fork();
	if (pid == 0) {
		struct fixture f;
		scoped_thunk struct thunk t = THUNK_INIT;
		struct pending p;
		setenv("TMPDIR", directory, 1);
		fixture_begin(&f, &local, 2);
		thunk_that_hangs(&f, &t, word);
		pending_start(&f, &p, &t);
		for (;;)
			pause();
	}
	assert_true(eventually(some_run, word));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(eventually(none_runs, word));
	test_directory_remove(directory);
}

static void toolchains_are_unpacked_once_and_shared(void **state)
{
	struct fixture *f = *state;
	scoped_manifest struct manifest set = MANIFEST_INIT;
	scoped_buf struct buf text = BUF_INIT;
	struct digest d;
	add_host_file(f, &set, getenv("GGFS_TEST_FUNCTION"));
	free(set.entries[0].path);
	set.entries[0].path = xstrdup("usr/bin/f");
	manifest_add_link(&set, "bin", "usr/bin");
	assert_int_equal(manifest_finish(&set, NULL), 0);
	manifest_encode(&set, &text);
	assert_int_equal(store_put_bytes(f->store, text.data, text.len, &d, NULL), 0);
	ino_t inode = 0;
	for (int turn = 0; turn < 3; turn++) {
		scoped_thunk struct thunk t = THUNK_INIT;
		scoped_free char *word = xformat("%d", turn);
		t.program = xstrdup("bin/f");
		strv_add(&t.args, "f");
		strv_add(&t.args, "write");
		strv_add(&t.args, "usr/lib/out");
		strv_add(&t.args, word);
		t.has_toolchain = true;
		t.toolchain = (struct sized_digest){ .digest = d, .size_bytes = text.len };
		thunk_add_output(&t, OUTPUT_FILE, "usr/lib/out");
		struct engine_result r = run_well(f, &t);
		expect_text(f, &r, "usr/lib/out", word);
		engine_result_release(&r);
		scoped_free char *path = xformat("toolchains/%s/usr/bin/f", digest_hex(&d).text);
		struct stat st;
		assert_int_equal(fstatat(store_local_dirfd(f->store), path, &st, 0), 0);
		assert_int_equal(st.st_mode & 07777, 0555);
		assert_true(turn == 0 || st.st_ino == inode);
		inode = st.st_ino;
	}
}

static void without_overlays_a_toolchain_is_laid_out_file_by_file(void **state)
{
	struct fixture *f = *state;
	struct run_context c = { .store = f->store, .no_overlay = true };
	struct slot slot;
	scoped_thunk struct thunk t = THUNK_INIT;
	scoped_manifest struct manifest set = MANIFEST_INIT;
	scoped_buf struct buf text = BUF_INIT;
	add_input(f, &t, "single", "x");
	manifest_add_file(&set, "usr/small", 0644, &t.inputs.entries[0].ref);
	manifest_add_link(&set, "link", "usr/small");
	assert_int_equal(manifest_finish(&set, NULL), 0);
	manifest_encode(&set, &text);
	t.has_toolchain = true;
	t.toolchain.size_bytes = text.len;
	assert_int_equal(store_put_bytes(f->store, text.data, text.len, &t.toolchain.digest, NULL),
	                 0);
	thunk_of_function(f, &t, "copy", "link", "out", NULL);
	thunk_add_output(&t, OUTPUT_FILE, "out");
	assert_int_equal(thunk_finish(&t, NULL), 0);
	assert_int_equal(slot_options_init(&c.slots, store_local_dirfd(f->store), NULL), 0);
	c.toolchains = toolchains_new(f->store);
	slot_init(&slot, &c.slots);
	struct engine_job job = { .thunk = &t };
	struct engine_result r = { 0 };
	run_thunk(&c, &slot, &job, -1, &r);
	assert_int_equal(r.outcome, OUTCOME_DONE);
	expect_text(f, &r, "out", "x");
	assert_int_equal(faccessat(store_local_dirfd(f->store), "toolchains", F_OK, 0), -1);
	engine_result_release(&r);
	/* Unpacked, as it is when the kernel first refuses an overlay. */
	const struct toolchain *unpacked = NULL;
	struct digest absent;
	assert_int_equal(toolchains_get(c.toolchains, &t.toolchain, true, &unpacked, &absent, NULL),
	                 0);
	r = (struct engine_result){ 0 };
	run_thunk(&c, &slot, &job, -1, &r);
	assert_int_equal(r.outcome, OUTCOME_DONE);
	expect_text(f, &r, "out", "x");
	engine_result_release(&r);
	toolchains_put(c.toolchains, unpacked);
	slot_stop(&slot);
	toolchains_free(c.toolchains);
	slot_options_release(&c.slots);
}

/* --- the same bytes as without a sandbox ------------------------------------------------------ */

static void add_program(struct fixture *f, struct manifest *m, const char *path)
{
	add_host_file(f, m, path);
	add_libraries(f, m, path);
}

/* What a command of this machine prints: one line, the caller's to free. */
static char *answer_of(const char *command)
{
	char line[PATH_MAX] = "";
	FILE *f = popen(command, "r");
	if (f && fgets(line, sizeof(line), f))
		line[strcspn(line, "\n")] = '\0';
	if (f)
		pclose(f);
	return xstrdup(line);
}

static void a_compiler_gives_the_same_bytes_as_in_the_real_directory(void **state)
{
	struct fixture *f = *state;
	static const char source[] = "#include \"x.h\"\nint main(void) { return x(1); }\n";
	static const char header[] = "static inline int x(int a) { return a + __LINE__; }\n";
	scoped_fd int dir = open(f->directory, O_RDONLY | O_DIRECTORY);
	assert_int_equal(replace_file_at(dir, "x.c", source, strlen(source), 0644, NULL), 0);
	assert_int_equal(replace_file_at(dir, "x.h", header, strlen(header), 0644, NULL), 0);
	scoped_free char *command = xformat("cd %s && gcc -g -O2 -c x.c -o x.o", f->directory);
	assert_int_equal(system(command), 0);
	scoped_manifest struct manifest set = MANIFEST_INIT;
	scoped_free char *cc1 = answer_of("realpath $(gcc -print-prog-name=cc1)");
	scoped_free char *as = answer_of("command -v $(gcc -print-prog-name=as)");
	scoped_free char *gcc = answer_of("command -v gcc");
	add_program(f, &set, gcc);
	add_program(f, &set, cc1);
	add_program(f, &set, as);
	add_host_file(f, &set, "/usr/include/stdc-predef.h");
	scoped_thunk struct thunk t = THUNK_INIT;
	scoped_buf struct buf text = BUF_INIT, plain = BUF_INIT, made = BUF_INIT;
	assert_int_equal(manifest_finish(&set, NULL), 0);
	manifest_encode(&set, &text);
	t.has_toolchain = true;
	t.toolchain.size_bytes = text.len;
	assert_int_equal(store_put_bytes(f->store, text.data, text.len, &t.toolchain.digest, NULL),
	                 0);
	t.program = xstrdup(gcc + 1);
	static const char *const args[] = { "gcc", "-g", "-O2", "-c", "x.c", "-o", "x.o" };
	for (size_t i = 0; i < sizeof(args) / sizeof(*args); i++)
		strv_add(&t.args, args[i]);
	strv_add(&t.env, "PATH=/usr/local/bin:/usr/bin:/bin");
	t.cwd = xstrdup(f->directory + 1);
	scoped_free char *c = xformat("%s/x.c", t.cwd), *h = xformat("%s/x.h", t.cwd),
	                 *o = xformat("%s/x.o", t.cwd);
	add_input(f, &t, c, source);
	add_input(f, &t, h, header);
	thunk_add_output(&t, OUTPUT_FILE, o);
	struct engine_result r = run_well(f, &t);
	assert_int_equal(read_file_at(dir, "x.o", &plain, 1 << 20, NULL), 0);
	assert_int_equal(
	        store_get_bytes(f->store, &memo_output(&r.memo, o)->digest, 1 << 20, &made, NULL),
	        0);
	assert_int_equal(made.len, plain.len);
	assert_memory_equal(made.data, plain.data, plain.len);
	engine_result_release(&r);
}

/* --- reasons ---------------------------------------------------------------------------------- */

static void only_files_that_exist_here_and_are_no_custom_are_blamed(void **state)
{
	(void)state;
	scoped_strv struct strv missing = STRV_INIT;
	assert_null(blame_missing(&missing, 3));
	strv_add(&missing, "no/such/file");
	strv_add(&missing, "etc");
	strv_add(&missing, "proc/self/exe");
	assert_null(blame_missing(&missing, 3));
	strv_add(&missing, "etc/passwd");
	strv_add(&missing, "etc/group");
	scoped_free char *one = blame_missing(&missing, 1), *both = blame_missing(&missing, 2);
	assert_string_equal(one, "it tried to read /etc/group and 1 more, which are not among its "
	                         "inputs");
	assert_string_equal(both,
	                    "it tried to read /etc/group, /etc/passwd, which are not among its "
	                    "inputs");
}

static void namespaces_are_said_to_isolate(void **state)
{
	(void)state;
	scoped_free char *why = NULL;
	setenv("GGFS_SANDBOX", "namespaces", 1);
	assert_true(engine_local_isolated(&why));
	assert_non_null(strstr(why, "namespaces"));
	unsetenv("GGFS_SANDBOX");
}

static void without_a_runner_there_is_no_engine(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct engine *engine = NULL;
	const char *set = getenv("GGFS_RUNNER");
	scoped_free char *runner = set ? xstrdup(set) : NULL;
	setenv("GGFS_RUNNER", "/no/such/runner", 1);
	assert_true(engine_local_new(f->store, 1, &engine, &err) < 0);
	assert_non_null(strstr(err.text, "/no/such/runner"));
	assert_null(engine);
	if (runner)
		setenv("GGFS_RUNNER", runner, 1);
	else
		unsetenv("GGFS_RUNNER");
}

#define ROW(test)                                                                                  \
	{                                                                                          \
#test, test, suite_setup, suite_teardown, (void *)(uintptr_t)&local                \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(the_world_holds_what_was_declared_and_no_more),
		ROW(the_ways_out_are_closed),
		ROW(devices_work),
		cmocka_unit_test(a_full_world_is_no_room_and_not_the_functions_failure),
		cmocka_unit_test(a_link_on_the_way_is_never_followed_out),
		ROW(an_output_is_not_read_through_a_link_the_function_made),
		cmocka_unit_test(two_hundred_jobs_leave_nothing_behind),
		ROW(children_of_a_killed_function_are_gone_when_it_is_answered),
		ROW(a_killed_runner_loses_its_job_and_the_next_one_runs),
		cmocka_unit_test(a_runner_killed_while_it_is_idle_is_not_noticed),
		cmocka_unit_test(functions_end_when_their_engine_is_killed),
		ROW(toolchains_are_unpacked_once_and_shared),
		ROW(without_overlays_a_toolchain_is_laid_out_file_by_file),
		ROW(a_compiler_gives_the_same_bytes_as_in_the_real_directory),
		cmocka_unit_test(only_files_that_exist_here_and_are_no_custom_are_blamed),
		cmocka_unit_test(namespaces_are_said_to_isolate),
		ROW(without_a_runner_there_is_no_engine),
	};
	return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
