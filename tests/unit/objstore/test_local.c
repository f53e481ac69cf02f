/* What only the local directory store promises; what all stores do is in tests/contract/store. */
#include "tests/lib/test.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "objstore/local.h"
#include "objstore/store_impl.h"

static int set_up(void **state)
{
	*state = test_directory();
	return 0;
}

static int tear_down(void **state)
{
	umount2(*state, MNT_DETACH); /* in case a test with a mount failed */
	test_directory_remove(*state);
	return 0;
}

static struct store *open_store(const char *directory)
{
	struct error err;
	struct store *s;
	assert_ok(store_open_local(directory, true, STORE_SYNC_NONE, &s, &err));
	return s;
}

static void write_file(const char *directory, const char *name, const char *text)
{
	struct error err;
	scoped_free char *path = xformat("%s/%s", directory, name);
	assert_ok(replace_file_at(AT_FDCWD, path, text, strlen(text), 0600, &err));
}

static bool exists(const char *directory, const char *name)
{
	scoped_free char *path = xformat("%s/%s", directory, name);
	return access(path, F_OK) == 0;
}

static int count_entries(const char *directory, const char *name)
{
	scoped_free char *path = xformat("%s/%s", directory, name);
	scoped_dir DIR *dir = opendir(path);
	int count = 0;
	assert_non_null(dir);
	while (readdir(dir))
		count++;
	return count - 2;
}

static void store_is_made_with_its_parents_and_opens_again(void **state)
{
	struct error err;
	struct store *s;
	scoped_free char *path = xformat("%s/a/b/store", (char *)*state);
	assert_error(store_open_local(path, false, STORE_SYNC_NONE, &s, &err), -ENOENT);
	store_free(open_store(path));
	assert_ok(store_open_local(path, false, STORE_SYNC_NONE, &s, &err));
	store_free(s);
	scoped_buf struct buf format = BUF_INIT;
	scoped_free char *file = xformat("%s/format", path);
	assert_ok(read_file_at(AT_FDCWD, file, &format, 100, &err));
	assert_string_equal(format.data, "ggfs-store 1\n");
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
}

static void directory_that_holds_other_things_is_refused(void **state)
{
	struct error err;
	struct store *s;
	write_file(*state, "thesis.tex", "years of work");
	assert_error(store_open_local(*state, true, STORE_SYNC_NONE, &s, &err), -ENOTEMPTY);
	assert_error(store_open_local(*state, false, STORE_SYNC_NONE, &s, &err), -ENOENT);
	assert_int_equal(count_entries(*state, "."), 1);
}

static void store_is_made_where_only_the_service_was_first(void **state)
{
	struct error err;
	scoped_free char *service = xformat("%s/service", (char *)*state);
	assert_ok(make_dirs_at(AT_FDCWD, service, 0700, &err));
	write_file(*state, "format.99999999.0.tmp", "ggfs-"); /* a creation that was cut short */
	store_free(open_store(*state));
}

static void newer_store_is_eproto_and_left_alone(void **state)
{
	struct error err;
	struct store *s;
	write_file(*state, "format", "ggfs-store 2\n");
	for (int create = 0; create < 2; create++)
		assert_error(store_open_local(*state, create, STORE_SYNC_NONE, &s, &err), -EPROTO);
	assert_int_equal(count_entries(*state, "."), 1);
}

static void format_that_cannot_be_understood_is_eproto(void **state)
{
	static const char *const wrong[] = { "",
		                             "\n",
		                             "ggfs-store\n",
		                             "ggfs-store 1",
		                             "git 1\n",
		                             "ggfs-store 01\n",
		                             "ggfs-store 0\n",
		                             "ggfs-store 1 x\n" };
	struct error err;
	struct store *s;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		write_file(*state, "format", wrong[i]);
		assert_error(store_open_local(*state, true, STORE_SYNC_NONE, &s, &err), -EPROTO);
	}
	scoped_free char *huge = xcalloc(1, 10000);
	memset(huge, 'x', 9999);
	write_file(*state, "format", huge);
	assert_error(store_open_local(*state, true, STORE_SYNC_NONE, &s, &err), -EPROTO);
}

static void store_of_somebody_else_is_refused_to_root_too(void **state)
{
	struct error err;
	struct store *s;
	const char *theirs = "/"; /* root's, for an ordinary user */
	if (geteuid() == 0) {
		store_free(open_store(*state));
		assert_int_equal(chown(*state, 65534, 65534), 0);
		theirs = *state;
	}
	assert_error(store_open_local(theirs, true, STORE_SYNC_NONE, &s, &err), -EPERM);
	assert_error(store_open_local(theirs, false, STORE_SYNC_NONE, &s, &err), -EPERM);
}

static void store_that_others_may_write_in_is_refused(void **state)
{
	struct error err;
	struct store *s;
	store_free(open_store(*state));
	assert_int_equal(chmod(*state, 0777), 0);
	assert_error(store_open_local(*state, true, STORE_SYNC_NONE, &s, &err), -EPERM);
}

static void file_is_no_store(void **state)
{
	struct error err;
	struct store *s;
	scoped_free char *path = xformat("%s/file", (char *)*state);
	write_file(*state, "file", "x");
	assert_error(store_open_local(path, true, STORE_SYNC_NONE, &s, &err), -ENOTDIR);
}

enum { CREATORS = 8 };

static void *create_store(void *directory)
{
	struct store *s;
	struct error err = ERROR_INIT;
	if (store_open_local(directory, true, STORE_SYNC_NONE, &s, &err) < 0)
		return xstrdup(err.text);
	store_free(s);
	return NULL;
}

static void store_made_by_many_at_once_is_made_for_all(void **state)
{
	pthread_t threads[CREATORS];
	scoped_free char *path = xformat("%s/store", (char *)*state);
	for (int i = 0; i < CREATORS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, create_store, path), 0);
	for (int i = 0; i < CREATORS; i++) {
		void *wrong;
		pthread_join(threads[i], &wrong);
		if (wrong)
			fail_msg("%s", (char *)wrong);
	}
}

static void object_is_read_only_whatever_the_umask_and_stands_where_its_path_says(void **state)
{
	struct error err;
	struct store *s = open_store(*state);
	struct digest d;
	struct stat st;
	mode_t before = umask(077);
	assert_ok(store_put_bytes(s, "abc", 3, &d, &err));
	umask(before);
	struct store_object_path path = store_object_path(&d);
	assert_string_equal(
	        path.text,
	        "objects/bd/dd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
	assert_int_equal(fstatat(store_local_dirfd(s), path.text, &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0444);
	assert_int_equal(st.st_size, 3);
	store_free(s);
}

static void object_that_is_there_is_not_replaced(void **state)
{
	struct error err;
	struct store *s = open_store(*state);
	struct store_put *p;
	struct digest d;
	struct stat first, second;
	assert_ok(store_put_begin(s, &p, &err));
	assert_ok(store_put_write(p, "abc", 3, &err));
	assert_ok(store_put_bytes(s, "abc", 3, &d, &err));
	assert_int_equal(fstatat(store_local_dirfd(s), store_object_path(&d).text, &first, 0), 0);
	assert_ok(store_put_finish(p, NULL, &d, &err));
	assert_int_equal(fstatat(store_local_dirfd(s), store_object_path(&d).text, &second, 0), 0);
	assert_int_equal(first.st_ino, second.st_ino);
	assert_int_equal(count_entries(*state, "tmp"), 0);
	store_free(s);
}

static void broken_object_is_kept_in_quarantine(void **state)
{
	struct error err;
	struct store *s = open_store(*state);
	struct digest d;
	assert_ok(store_put_bytes(s, "abc", 3, &d, &err));
	write_file(*state, store_object_path(&d).text, "xyz");
	assert_error(store_verify(s, &d, &err), -EBADMSG);
	scoped_free char *aside = xformat("quarantine/%s", digest_hex(&d).text);
	assert_true(exists(*state, aside));
	store_free(s);
}

static void flushed_store_stores_as_well(void **state)
{
	struct error err;
	struct store *s;
	struct digest d;
	assert_ok(store_open_local(*state, true, STORE_SYNC_DATA, &s, &err));
	assert_ok(store_put_bytes(s, "abc", 3, &d, &err));
	assert_ok(store_verify(s, &d, &err));
	store_free(s);
}

static void strangers_files_are_not_taken_for_objects(void **state)
{
	struct error err;
	struct store *s = open_store(*state);
	struct digest d;
	assert_ok(store_put_bytes(s, "abc", 3, &d, &err));
	write_file(*state, "objects/bd/short", "x");
	write_file(*state, "objects/README", "x");
	scoped_free char *link = xformat("%s/objects/bd/%062d", (char *)*state, 0);
	assert_int_equal(symlink("/etc/passwd", link), 0);
	scoped_free char *hex = xformat("bd%062d", 0);
	struct digest linked;
	assert_true(digest_parse(hex, 64, &linked));
	assert_error(store_get(s, &linked, &err), -ELOOP);
	uint64_t size = 0;
	assert_ok(store_has(s, &d, &size, &err));
	assert_int_equal(size, 3);
	store_free(s);
}

static void store_removed_under_our_feet_is_trouble_and_not_absence(void **state)
{
	struct error err;
	scoped_free char *path = xformat("%s/store", (char *)*state);
	struct store *s = open_store(path);
	struct digest d;
	assert_ok(remove_tree_at(AT_FDCWD, path, &err));
	assert_error(store_put_bytes(s, "abc", 3, &d, &err), -EIO);
	store_free(s);
}

static pid_t dead_process(void)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return pid;
}

static void leftovers_of_dead_processes_go_and_those_of_living_ones_stay(void **state)
{
	store_free(open_store(*state));
	scoped_free char *dead = xformat("tmp/%d.7", (int)dead_process());
	scoped_free char *living = xformat("tmp/%d.7", (int)getppid());
	scoped_free char *ours = xformat("tmp/%d.999999", (int)getpid());
	write_file(*state, dead, "half");
	write_file(*state, living, "half");
	write_file(*state, ours, "half");
	store_free(open_store(*state));
	assert_false(exists(*state, dead));
	assert_true(exists(*state, living));
	assert_true(exists(*state, ours));
}

static void trees_of_dead_processes_go_whole_and_links_in_them_are_not_followed(void **state)
{
	store_free(open_store(*state));
	scoped_free char *dead = xformat("tmp/%d.toolchain.7", (int)dead_process());
	scoped_free char *deep = xformat("%s/%s/usr/lib", (const char *)*state, dead);
	scoped_free char *file = xformat("%s/usr/lib/libc.so", dead);
	scoped_free char *link = xformat("%s/%s/usr/outside", (const char *)*state, dead);
	scoped_free char *living =
	        xformat("%s/tmp/%d.toolchain.7/usr", (const char *)*state, (int)getppid());
	assert_int_equal(make_dirs_at(AT_FDCWD, deep, 0755, NULL), 0);
	assert_int_equal(make_dirs_at(AT_FDCWD, living, 0755, NULL), 0);
	write_file(*state, file, "half");
	assert_int_equal(symlink("../../../objects", link), 0);
	store_free(open_store(*state));
	assert_false(exists(*state, dead));
	assert_true(exists(*state, "objects"));
	assert_int_equal(access(living, F_OK), 0);
}

static void put_killed_half_way_leaves_no_blob_and_no_file(void **state)
{
	struct error err;
	store_free(open_store(*state));
	pid_t pid = fork();
	if (pid == 0) {
		struct store *s;
		struct store_put *p;
		if (store_open_local(*state, false, STORE_SYNC_NONE, &s, NULL) < 0 ||
		    store_put_begin(s, &p, NULL) < 0 || store_put_write(p, "abc", 3, NULL) < 0)
			_exit(1);
		raise(SIGKILL);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	struct store *s = open_store(*state);
	struct digest d;
	digest_of(&d, "abc", 3);
	assert_error(store_has(s, &d, NULL, &err), -ENOENT);
	assert_int_equal(count_entries(*state, "tmp"), 0);
	store_free(s);
}

/* A put by each way, and a memo that is replaced; nothing else may be left. */
static void write_everything(const char *directory, struct store *s)
{
	struct error err;
	struct store_put *p;
	struct digest bytes, stream;
	scoped_memo struct memo memo = MEMO_INIT, again = MEMO_INIT;
	memo.engine = xstrdup("local");
	memset(&memo.thunk, 7, sizeof(memo.thunk));
	assert_ok(store_put_bytes(s, "bytes", 5, &bytes, &err));
	assert_ok(store_put_begin(s, &p, &err));
	assert_ok(store_put_write(p, "stream", 6, &err));
	assert_ok(store_put_finish(p, NULL, &stream, &err));
	assert_ok(store_put_begin(s, &p, &err));
	store_put_abort(p);
	assert_ok(store_memo_put(s, &memo, &err));
	memo.micros = 42;
	assert_ok(store_memo_put(s, &memo, &err));
	assert_ok(store_memo_get(s, &memo.thunk, &again, &err));
	assert_int_equal(again.micros, 42);
	assert_ok(store_verify(s, &bytes, &err));
	assert_ok(store_verify(s, &stream, &err));
	assert_int_equal(count_entries(directory, "tmp"), 0);
}

static struct local *local_of(const struct store *s)
{
	void *impl;
	store_ops_of(s, &impl);
	return impl;
}

static void filesystem_without_unnamed_files_stores_as_well(void **state)
{
	struct error err;
	struct store *s = open_store(*state);
	struct store_put *p;
	local_of(s)->named = true;
	write_everything(*state, s);
	assert_ok(store_put_begin(s, &p, &err));
	assert_int_equal(count_entries(*state, "tmp"), 1);
	store_put_abort(p);
	store_free(s);
}

static void kernel_that_names_files_only_through_proc_stores_as_well(void **state)
{
	struct store *s = open_store(*state);
	local_of(s)->via_proc = true;
	write_everything(*state, s);
	store_free(s);
}

static void what_is_being_written_has_no_name_where_that_can_be_had(void **state)
{
	struct error err;
	struct store *s = open_store(*state);
	struct store_put *p;
	write_everything(*state, s);
	assert_ok(store_put_begin(s, &p, &err));
	assert_int_equal(count_entries(*state, "tmp"), local_of(s)->named ? 1 : 0);
	store_put_abort(p);
	store_free(s);
}

/* Elsewhere there is nothing to be asked for, and the store is made all the same. */
static void shards_of_a_new_store_are_spread_over_an_ext4(void **state)
{
	static const char *const names[] = { "objects", "memo" };
	struct statfs filesystem;
	struct store *s = open_store(*state);
	assert_int_equal(fstatfs(store_local_dirfd(s), &filesystem), 0);
	for (size_t i = 0; i < 2 && filesystem.f_type == EXT4_SUPER_MAGIC; i++) {
		scoped_fd int dir =
		        openat(store_local_dirfd(s), names[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		int flags = 0;
		assert_int_equal(ioctl(dir, FS_IOC_GETFLAGS, &flags), 0);
		assert_true(flags & FS_TOPDIR_FL);
	}
	store_free(s);
}

static void fill(const char *directory)
{
	scoped_free char *path = xformat("%s/filler", directory);
	scoped_free char *bytes = xcalloc(1, 64 << 10);
	scoped_fd int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write_full(fd, bytes, 64 << 10) == 0)
		;
	while (write(fd, bytes, 1) == 1)
		;
}

static void put_on_full_disk(const char *directory)
{
	struct error err;
	struct store *s = open_store(directory);
	struct digest d, before;
	struct store_put *p;
	scoped_memo struct memo memo = MEMO_INIT;
	memo.engine = xstrdup("local");
	memset(&d, 3, sizeof(d));
	before = d;
	scoped_free char *large = xcalloc(1, 2 << 20);
	fill(directory);
	assert_error(store_put_bytes(s, large, 2 << 20, &d, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "no space"));
	assert_memory_equal(&d, &before, sizeof(d));
	assert_error(store_memo_put(s, &memo, &err), -ENOSPC);
	scoped_fd int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_error(store_put_fd(s, fd, &d, NULL, &err), -ENOSPC);
	int r = store_put_begin(s, &p, &err);
	if (r == 0) {
		assert_error(store_put_write(p, large, 2 << 20, &err), -ENOSPC);
		store_put_abort(p);
	}
	assert_int_equal(count_entries(directory, "tmp"), 0);
	scoped_free char *filler = xformat("%s/filler", directory);
	assert_int_equal(unlink(filler), 0);
	assert_ok(store_put_bytes(s, large, 1 << 20, &d, &err));
	assert_ok(store_memo_put(s, &memo, &err));
	store_free(s);
}

static void full_disk_is_enospc_nothing_is_left_and_room_made_is_used(void **state)
{
	if (geteuid() != 0 || mount("tmpfs", *state, "tmpfs", 0, "size=4m,mode=0700") < 0) {
		print_message("# not tried: a small tmpfs cannot be mounted here\n");
		const char *must_work = getenv("GGFS_MUST_WORK");
		if (must_work && strcmp(must_work, "1") == 0)
			fail();
		skip();
	}
	put_on_full_disk(*state);
	assert_int_equal(umount(*state), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(store_is_made_with_its_parents_and_opens_again),
		T(directory_that_holds_other_things_is_refused),
		T(store_is_made_where_only_the_service_was_first),
		T(newer_store_is_eproto_and_left_alone),
		T(format_that_cannot_be_understood_is_eproto),
		T(store_of_somebody_else_is_refused_to_root_too),
		T(store_that_others_may_write_in_is_refused),
		T(file_is_no_store),
		T(store_made_by_many_at_once_is_made_for_all),
		T(object_is_read_only_whatever_the_umask_and_stands_where_its_path_says),
		T(object_that_is_there_is_not_replaced),
		T(broken_object_is_kept_in_quarantine),
		T(flushed_store_stores_as_well),
		T(strangers_files_are_not_taken_for_objects),
		T(store_removed_under_our_feet_is_trouble_and_not_absence),
		T(leftovers_of_dead_processes_go_and_those_of_living_ones_stay),
		T(trees_of_dead_processes_go_whole_and_links_in_them_are_not_followed),
		T(put_killed_half_way_leaves_no_blob_and_no_file),
		T(shards_of_a_new_store_are_spread_over_an_ext4),
		T(what_is_being_written_has_no_name_where_that_can_be_had),
		T(filesystem_without_unnamed_files_stores_as_well),
		T(kernel_that_names_files_only_through_proc_stores_as_well),
		T(full_disk_is_enospc_nothing_is_left_and_room_made_is_used),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
