/* The view: files behind a mountpoint, links, placeholders; closures of programs. */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "common/io.h"
#include "engine/model/mount_table.h"
#include "engine/model/view_impl.h"
#include "tests/unit/model/scene.h"

static struct ref some_thunk(void)
{
	struct ref ref = { .kind = REF_THUNK, .output = xstrdup("out/x.o") };
	digest_of(&ref.digest, "t", 1);
	return ref;
}

static enum view_kind look(struct scene *s, const char *path, char **real, struct manifest *links)
{
	struct error err;
	struct view *v = view_new(s->mounts, s->store, s->index);
	struct view_file f = { 0 };
	scoped_free char *full = path[0] == '/' ? xstrdup(path) : in_tree(s, path);
	assert_ok(view_look(v, full, &f, links, &err));
	if (real)
		*real = f.real_path ? xstrdup(f.real_path) : NULL;
	enum view_kind kind = f.kind;
	view_file_release(&f);
	view_free(v);
	return kind;
}

static void files_are_seen_in_the_backing_directory(void **state)
{
	(void)state;
	struct scene s;
	scene_begin(&s);
	scene_text(&s, "a/x.c", "int x;\n");
	scoped_free char *real = NULL;
	assert_int_equal(look(&s, "a/x.c", &real, NULL), VIEW_FILE);
	scoped_free char *want = in_tree(&s, "a/x.c");
	assert_string_equal(real, want);
	assert_int_equal(look(&s, "a", NULL, NULL), VIEW_DIR);
	assert_int_equal(look(&s, "a/", NULL, NULL), VIEW_DIR);
	assert_int_equal(look(&s, "a/../a/./x.c", NULL, NULL), VIEW_FILE);
	assert_int_equal(look(&s, "a/y.c", NULL, NULL), VIEW_ABSENT);
	assert_int_equal(look(&s, "a/x.c/z", NULL, NULL), VIEW_ABSENT);
	assert_int_equal(look(&s, s.tree, NULL, NULL), VIEW_DIR);
	assert_int_equal(look(&s, "/", NULL, NULL), VIEW_DIR);
	assert_int_equal(look(&s, "/dev/null", NULL, NULL), VIEW_OTHER);
	scene_end(&s);
}

static void mounts_that_were_removed_are_not_looked_behind(void **state)
{
	(void)state;
	struct scene s;
	scene_begin(&s);
	scene_text(&s, "x.c", "int x;\n");
	scoped_free char *path = in_tree(&s, "x.c"), *beside = xformat("%s-not", s.tree);
	assert_true(mount_table_covers(s.mounts, path));
	assert_true(mount_table_covers(s.mounts, s.tree));
	assert_false(mount_table_covers(s.mounts, beside));
	mount_table_remove(s.mounts, s.tree);
	assert_false(mount_table_covers(s.mounts, path));
	assert_int_equal(look(&s, "x.c", NULL, NULL), VIEW_ABSENT);
	scene_end(&s);
}

/* As the kernel would list a mount of ours there. */
static void write_mountinfo(struct scene *s, const char *directory, const char *store)
{
	struct error err = ERROR_INIT;
	scoped_free char *file = xformat("%s/mountinfo", s->top);
	scoped_free char *text = xformat("22 1 0:5 / / rw - ext4 /dev/sda rw\n"
	                                 "42 22 0:39 / %s rw,nosuid - fuse.ggfs ggfs:%s rw\n",
	                                 directory, store);
	assert_ok(replace_file_at(AT_FDCWD, file, text, strlen(text), 0644, &err));
	mount_table_free(s->mounts);
	s->mounts = mount_table_of(file);
}

/* A file stands where the mount would be: whoever sees it looked through the mountpoint. */
static void scene_unknown_mount(struct scene *s, const char *store)
{
	struct error err = ERROR_INIT;
	scoped_free char *file = in_tree(s, "x.c"), *named = xformat("%s/%s", s->top, store);
	assert_ok(replace_file_at(AT_FDCWD, file, "through", 7, 0644, &err));
	assert_ok(make_dirs_at(AT_FDCWD, named, 0755, &err));
	write_mountinfo(s, s->tree, named);
}

static int look_code(struct scene *s, const char *path)
{
	struct error err;
	struct view *v = view_new(s->mounts, s->store, s->index);
	struct view_file f = { 0 };
	scoped_free char *full = in_tree(s, path);
	int r = view_look(v, full, &f, NULL, &err);
	assert_int_equal(view_check(v, NULL), r);
	view_file_release(&f);
	if (r < 0)
		assert_error(view_look(v, "/", &f, NULL, &err), r); /* it sees nothing any more */
	view_free(v);
	return r;
}

static void a_mount_that_is_not_known_is_never_looked_through(void **state)
{
	(void)state;
	struct scene s;
	scene_begin(&s);
	scene_unknown_mount(&s, "store");
	int64_t begun = now_ms();
	assert_int_equal(look_code(&s, "x.c"), -ESTALE);
	assert_true(now_ms() - begun >= MOUNT_AWAIT_MS);
	int64_t again = now_ms();
	assert_int_equal(look_code(&s, "no/such/file"), -ESTALE);
	assert_int_equal(look_code(&s, "."), -ESTALE);
	assert_true(now_ms() - again < MOUNT_AWAIT_MS); /* it was waited for already */
	scene_end(&s);
}

static void *add_later(void *arg)
{
	struct scene *s = arg;
	nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	mount_table_add(s->mounts, s->tree, open(s->backing, O_PATH | O_DIRECTORY | O_CLOEXEC));
	return NULL;
}

static void a_mount_that_becomes_known_meanwhile_is_seen(void **state)
{
	(void)state;
	struct scene s;
	pthread_t thread;
	struct error err;
	scene_begin(&s);
	scene_unknown_mount(&s, "store");
	scene_text(&s, "x.c", "behind it");
	assert_int_equal(pthread_create(&thread, NULL, add_later, &s), 0);
	struct view *v = view_new(s.mounts, s.store, s.index);
	scoped_free char *path = in_tree(&s, "x.c");
	scoped_buf struct buf text = BUF_INIT;
	assert_ok(view_read(v, path, 100, &text, &err));
	assert_string_equal(text.data, "behind it");
	view_free(v);
	pthread_join(thread, NULL);
	scene_end(&s);
}

static void nothing_is_waited_for_once_the_service_ends(void **state)
{
	(void)state;
	struct scene s;
	scene_begin(&s);
	scene_unknown_mount(&s, "store");
	mount_table_hurry(s.mounts);
	int64_t begun = now_ms();
	assert_int_equal(look_code(&s, "x.c"), -ESTALE);
	assert_true(now_ms() - begun < MOUNT_AWAIT_MS);
	scene_end(&s);
}

static void a_mount_of_another_store_is_looked_through(void **state)
{
	(void)state;
	struct scene s;
	scene_begin(&s);
	scene_unknown_mount(&s, "other-store");
	assert_int_equal(look(&s, "x.c", NULL, NULL), VIEW_FILE);
	scene_end(&s);
}

static void a_mount_beneath_a_mount_comes_first(void **state)
{
	(void)state;
	struct scene s;
	scene_begin(&s);
	scene_text(&s, "inner/outside", "1");
	scoped_free char *inner = in_tree(&s, "inner"), *other = xformat("%s/other", s.top);
	scoped_free char *file = xformat("%s/within", other);
	struct error err;
	assert_ok(make_dirs_at(AT_FDCWD, other, 0755, &err));
	assert_ok(replace_file_at(AT_FDCWD, file, "2", 1, 0644, &err));
	mount_table_add(s.mounts, inner, open(other, O_PATH | O_DIRECTORY | O_CLOEXEC));
	assert_int_equal(look(&s, "inner/within", NULL, NULL), VIEW_FILE);
	assert_int_equal(look(&s, "inner/outside", NULL, NULL), VIEW_ABSENT);
	scene_end(&s);
}

static void links_passed_and_directories_left_are_reported(void **state)
{
	(void)state;
	struct scene s;
	scene_begin(&s);
	scene_text(&s, "a/b/x.c", "int x;\n");
	scene_text(&s, "c/keep", "");
	scene_link(&s, "dir", "a/b");
	scene_link(&s, "file", "dir/x.c");
	scoped_manifest struct manifest links = MANIFEST_INIT;
	struct error err;
	assert_int_equal(look(&s, "c/../file", NULL, &links), VIEW_FILE);
	assert_ok(manifest_finish(&links, &err));
	static const char *const want[] = { "c", "dir", "file" };
	assert_int_equal(links.count, 3);
	for (size_t i = 0; i < 3; i++) {
		scoped_free char *path = in_tree(&s, want[i]);
		assert_string_equal(links.entries[i].path, path + 1);
	}
	assert_int_equal(links.entries[0].kind, ENTRY_DIR);
	assert_string_equal(links.entries[1].target, "a/b");
	assert_string_equal(links.entries[2].target, "dir/x.c");
	scene_end(&s);
}

static void dots_behind_a_link_lead_where_the_kernel_goes(void **state)
{
	(void)state;
	struct scene s;
	scene_begin(&s);
	scene_text(&s, "a/b/keep", "");
	scene_text(&s, "a/x.h", "1");
	scene_link(&s, "dir", "a/b");
	assert_int_equal(look(&s, "dir/../x.h", NULL, NULL), VIEW_FILE);
	assert_int_equal(look(&s, "x.h", NULL, NULL), VIEW_ABSENT);
	scene_end(&s);
}

static void links_in_a_circle_are_absent(void **state)
{
	(void)state;
	struct scene s;
	scene_begin(&s);
	scene_link(&s, "a", "b");
	scene_link(&s, "b", "a");
	scene_link(&s, "self", "self/x");
	scene_link(&s, "dangling", "nowhere");
	assert_int_equal(look(&s, "a", NULL, NULL), VIEW_ABSENT);
	assert_int_equal(look(&s, "a/x", NULL, NULL), VIEW_ABSENT);
	assert_int_equal(look(&s, "self", NULL, NULL), VIEW_ABSENT);
	assert_int_equal(look(&s, "dangling", NULL, NULL), VIEW_ABSENT);
	scene_end(&s);
}

static void names_longer_than_the_kernel_takes_are_absent(void **state)
{
	(void)state;
	struct scene s;
	scene_begin(&s);
	scoped_buf struct buf name = BUF_INIT;
	for (int i = 0; i < 300; i++)
		buf_add_char(&name, 'x');
	assert_int_equal(look(&s, name.data, NULL, NULL), VIEW_ABSENT);
	for (int i = 0; i < 20000; i++)
		buf_add_str(&name, "/x");
	assert_int_equal(look(&s, name.data, NULL, NULL), VIEW_ABSENT);
	scene_end(&s);
}

static void placeholders_are_lazy_and_damaged_ones_an_error(void **state)
{
	(void)state;
	struct scene s;
	struct error err;
	scene_begin(&s);
	scoped_ref struct ref ref = some_thunk();
	scene_lazy(&s, "x.o", &ref);
	char bytes[PLACEHOLDER_SIZE];
	memset(bytes, ' ', sizeof(bytes));
	scene_file(&s, "ordinary", bytes, sizeof(bytes));
	memcpy(bytes, PLACEHOLDER_FIRST_LINE, strlen(PLACEHOLDER_FIRST_LINE));
	scene_file(&s, "damaged", bytes, sizeof(bytes));
	struct view *v = view_new(s.mounts, s.store, s.index);
	struct view_file f = { 0 };
	scoped_free char *lazy = in_tree(&s, "x.o"), *damaged = in_tree(&s, "damaged");
	assert_ok(view_look(v, lazy, &f, NULL, &err));
	assert_int_equal(f.kind, VIEW_LAZY);
	assert_true(ref_equal(&f.ref, &ref));
	view_file_release(&f);
	assert_error(view_open(v, lazy, &err), -ENODATA);
	assert_error(view_look(v, damaged, &f, NULL, &err), -EBADMSG);
	assert_null(f.real_path);
	assert_int_equal(look(&s, "ordinary", NULL, NULL), VIEW_FILE);
	view_free(v);
	scene_end(&s);
}

static void what_is_in_a_lazy_directory_is_not_absent_but_unknown(void **state)
{
	(void)state;
	struct scene s;
	struct error err;
	scene_begin(&s);
	scoped_ref struct ref ref = some_thunk();
	scene_lazy(&s, "inc", &ref);
	scene_text(&s, "plain", "a file");
	scene_link(&s, "way", "inc");
	struct view *v = view_new(s.mounts, s.store, s.index);
	struct view_file f = { 0 };
	scoped_free char *below_file = in_tree(&s, "plain/x.h");
	assert_ok(view_look(v, below_file, &f, NULL, &err));
	assert_int_equal(f.kind, VIEW_ABSENT);
	assert_false(view_passed_unmade(v));
	static const char *const paths[] = { "inc/x.h", "inc/sub/x.h", "way/x.h", "inc/../x.h",
		                             "inc/" };
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		scoped_free char *path = in_tree(&s, paths[i]);
		assert_error(view_look(v, path, &f, NULL, &err), -ENODATA);
	}
	assert_true(view_passed_unmade(v));
	view_free(v);
	scene_end(&s);
}

static void inputs_are_blobs_of_the_store_or_refs(void **state)
{
	(void)state;
	struct scene s;
	struct error err;
	scene_begin(&s);
	scoped_ref struct ref ref = some_thunk();
	scene_lazy(&s, "x.o", &ref);
	scene_text(&s, "x.c", "int x;\n");
	struct view *v = view_new(s.mounts, s.store, s.index);
	scoped_manifest struct manifest m = MANIFEST_INIT;
	scoped_free char *lazy = in_tree(&s, "x.o"), *plain = in_tree(&s, "x.c");
	scoped_free char *absent = in_tree(&s, "nope");
	for (int i = 0; i < 2; i++) {
		assert_ok(view_input(v, plain, &m, &err));
		assert_ok(view_input(v, lazy, &m, &err));
	}
	assert_error(view_input(v, absent, &m, &err), -ENOENT);
	assert_error(view_input(v, s.tree, &m, &err), -EISDIR);
	assert_ok(manifest_finish(&m, &err));
	assert_int_equal(m.count, 2);
	struct digest d;
	digest_of(&d, "int x;\n", 7);
	assert_int_equal(m.entries[0].ref.kind, REF_BLOB);
	assert_true(digest_equal(&m.entries[0].ref.digest, &d));
	assert_int_equal(m.entries[0].ref.size_bytes, 7);
	assert_ok(store_has(s.store, &d, NULL, &err));
	assert_true(ref_equal(&m.entries[1].ref, &ref));
	view_free(v);
	scene_end(&s);
}

static void a_blob_that_the_store_lost_is_put_again(void **state)
{
	(void)state;
	struct scene s;
	struct error err;
	scene_begin(&s);
	scene_text(&s, "x.c", "int x;\n");
	scoped_free char *path = in_tree(&s, "x.c");
	struct digest d;
	digest_of(&d, "int x;\n", 7);
	for (int i = 0; i < 2; i++) {
		struct view *v = view_new(s.mounts, s.store, s.index);
		scoped_manifest struct manifest m = MANIFEST_INIT;
		assert_ok(view_input(v, path, &m, &err));
		assert_ok(store_has(s.store, &d, NULL, &err));
		assert_ok(store_delete(s.store, &d, &err));
		view_free(v);
	}
	scene_end(&s);
}

static void a_changed_file_is_another_blob(void **state)
{
	(void)state;
	struct scene s;
	struct error err;
	scene_begin(&s);
	static const char *const texts[] = { "int x;\n", "int y;\n" };
	scoped_free char *path = in_tree(&s, "x.c");
	for (int i = 0; i < 2; i++) {
		scene_text(&s, "x.c", texts[i]);
		struct view *v = view_new(s.mounts, s.store, s.index);
		scoped_manifest struct manifest m = MANIFEST_INIT;
		struct digest d;
		digest_of(&d, texts[i], 7);
		assert_ok(view_input(v, path, &m, &err));
		assert_true(digest_equal(&m.entries[0].ref.digest, &d));
		view_free(v);
	}
	scene_end(&s);
}

/* --- closures ------------------------------------------------------------------------------- */

static void the_closure_of_a_program_holds_its_loader_libraries_and_links(void **state)
{
	(void)state;
	struct scene s;
	struct error err;
	scene_begin(&s);
	struct view *v = view_new(s.mounts, s.store, s.index);
	scoped_manifest struct manifest m = MANIFEST_INIT;
	assert_ok(closure_add(v, "/bin/sh", &m, &err));
	assert_ok(manifest_finish(&m, &err));
	bool loader = false, libc = false;
	for (size_t i = 0; i < m.count; i++) {
		loader = loader || strstr(m.entries[i].path, "ld-linux");
		libc = libc ||
		       (m.entries[i].kind == ENTRY_FILE && strstr(m.entries[i].path, "libc.so.6"));
	}
	assert_true(loader && libc);
	view_free(v);
	scene_end(&s);
}

static void the_closure_of_a_script_holds_its_interpreter(void **state)
{
	(void)state;
	struct scene s;
	struct error err;
	scene_begin(&s);
	scene_text(&s, "script", "#! /bin/sh -e\n");
	struct view *v = view_new(s.mounts, s.store, s.index);
	scoped_manifest struct manifest of_script = MANIFEST_INIT, of_shell = MANIFEST_INIT;
	scoped_free char *path = in_tree(&s, "script");
	assert_ok(closure_add(v, path, &of_script, &err));
	assert_ok(closure_add(v, "/bin/sh", &of_shell, &err));
	assert_ok(manifest_finish(&of_script, &err));
	assert_ok(manifest_finish(&of_shell, &err));
	assert_int_equal(of_script.count, of_shell.count + 1);
	view_free(v);
	scene_end(&s);
}

static void what_cannot_run_has_no_closure(void **state)
{
	(void)state;
	struct scene s;
	struct error err;
	scene_begin(&s);
	scene_text(&s, "text", "hello\n");
	scene_text(&s, "empty", "");
	scene_text(&s, "lost", "#!/nowhere/sh\n");
	scene_text(&s, "endless", "#!/proc/self/cwd/no\n");
	static const char *const names[] = { "text", "empty", "lost", "endless", "nope" };
	static const int codes[] = { -ENOEXEC, -ENOEXEC, -ENOENT, -ENOENT, -ENOENT };
	struct view *v = view_new(s.mounts, s.store, s.index);
	for (size_t i = 0; i < 5; i++) {
		scoped_manifest struct manifest m = MANIFEST_INIT;
		scoped_free char *path = in_tree(&s, names[i]);
		assert_error(closure_add(v, path, &m, &err), codes[i]);
	}
	view_free(v);
	scene_end(&s);
}

static void truncated_and_scrambled_programs_are_errors_or_closures(void **state)
{
	(void)state;
	struct scene s;
	struct error err;
	scene_begin(&s);
	scoped_buf struct buf program = BUF_INIT;
	assert_ok(read_file_at(AT_FDCWD, "/bin/true", &program, 1 << 20, &err));
	scoped_free char *path = in_tree(&s, "p");
	unsigned seed = 1;
	for (int i = 0; i < 300; i++) {
		scoped_buf struct buf bad = BUF_INIT;
		size_t len = i < 100 ? (size_t)i * 16 : program.len;
		buf_add(&bad, program.data, len < program.len ? len : program.len);
		for (int k = 0; i >= 100 && k < 8; k++) {
			seed = seed * 1103515245 + 12345;
			/* headers, program headers and the dynamic section's neighbourhood */
			bad.data[4 + (seed >> 8) % 1024] = (char)(seed >> 20);
		}
		scene_file(&s, "p", bad.data ? bad.data : "", bad.len);
		struct view *v = view_new(s.mounts, s.store, s.index);
		scoped_manifest struct manifest m = MANIFEST_INIT;
		int r = closure_add(v, path, &m, &err);
		assert_true(r <= 0);
		view_free(v);
	}
	scene_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_seen_in_the_backing_directory),
		cmocka_unit_test(mounts_that_were_removed_are_not_looked_behind),
		cmocka_unit_test(a_mount_that_is_not_known_is_never_looked_through),
		cmocka_unit_test(a_mount_that_becomes_known_meanwhile_is_seen),
		cmocka_unit_test(nothing_is_waited_for_once_the_service_ends),
		cmocka_unit_test(a_mount_of_another_store_is_looked_through),
		cmocka_unit_test(a_mount_beneath_a_mount_comes_first),
		cmocka_unit_test(links_passed_and_directories_left_are_reported),
		cmocka_unit_test(dots_behind_a_link_lead_where_the_kernel_goes),
		cmocka_unit_test(links_in_a_circle_are_absent),
		cmocka_unit_test(names_longer_than_the_kernel_takes_are_absent),
		cmocka_unit_test(placeholders_are_lazy_and_damaged_ones_an_error),
		cmocka_unit_test(what_is_in_a_lazy_directory_is_not_absent_but_unknown),
		cmocka_unit_test(inputs_are_blobs_of_the_store_or_refs),
		cmocka_unit_test(a_blob_that_the_store_lost_is_put_again),
		cmocka_unit_test(a_changed_file_is_another_blob),
		cmocka_unit_test(the_closure_of_a_program_holds_its_loader_libraries_and_links),
		cmocka_unit_test(the_closure_of_a_script_holds_its_interpreter),
		cmocka_unit_test(what_cannot_run_has_no_closure),
		cmocka_unit_test(truncated_and_scrambled_programs_are_errors_or_closures),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
