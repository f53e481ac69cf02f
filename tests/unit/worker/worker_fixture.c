#include "tests/unit/worker/worker_fixture.h"

#include <string.h>

#include "engine/worker/program.h"

static void add_file(struct fixture *f, struct manifest *m, const char *from, const char *to)
{
	struct error err;
	struct ref ref = { .kind = REF_BLOB };
	scoped_fd int fd = open(from, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail_msg("%s is not there", from);
	assert_ok(store_put_fd(f->far, fd, &ref.digest, &ref.size_bytes, &err));
	manifest_add_file(m, to, 0755, &ref);
}

/* The shell, some programs that need the C library alone, that library and the dynamic linker. */
static void make_toolchain(struct fixture *f)
{
	static const char *const programs[] = { "sh", "sleep", "chmod", "cat", "env", "true" };
	scoped_manifest struct manifest m = MANIFEST_INIT;
	scoped_buf struct buf text = BUF_INIT;
	struct error err;
	struct program shell;
	scoped_fd int fd = open("/bin/sh", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && program_look(fd, &shell) == 0 && shell.kind == PROGRAM_DYNAMIC);
	for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++) {
		scoped_free char *from = xformat("/bin/%s", programs[i]);
		scoped_free char *to = xformat("usr/bin/%s", programs[i]);
		add_file(f, &m, from, to);
	}
	scoped_free char *linker = realpath(shell.interpreter, NULL);
	assert_non_null(linker);
	add_file(f, &m, linker, shell.interpreter + 1);
	scoped_free char *libc =
	        xformat("%.*s/libc.so.6", (int)(strrchr(linker, '/') - linker), linker);
	add_file(f, &m, libc, libc + 1);
	manifest_add_link(&m, "bin", "/usr/bin");
	assert_ok(manifest_finish(&m, &err));
	manifest_encode(&m, &text);
	f->toolchain.size_bytes = text.len;
	assert_ok(store_put_bytes(f->far, text.data, text.len, &f->toolchain.digest, &err));
}

void fixture_restart(struct fixture *f, uint64_t cache_bytes)
{
	struct error err;
	/* Not used but handed on to the fake far store. */
	const struct worker_options options = { .cache = f->cache,
		                                .cache_bytes_max = cache_bytes,
		                                .aws = (struct aws *)(uintptr_t)8 };
	worker_free(f->worker);
	f->worker = NULL;
	assert_ok(worker_new(&options, &f->worker, &err));
}

int fixture_setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	struct error err;
	*state = f;
	f->directory = test_directory();
	f->cache = xformat("%s/cache", f->directory);
	scoped_free char *far = xformat("%s/far", f->directory);
	assert_ok(store_open_local(far, true, STORE_SYNC_NONE, &f->far, &err));
	fake_far_use(f->far);
	fixture_restart(f, 0);
	make_toolchain(f);
	return 0;
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;
	worker_free(f->worker);
	remote_answer_release(&f->answer);
	buf_release(&f->text);
	store_free(f->far);
	test_directory_remove(f->directory);
	free(f->cache);
	free(f);
	return 0;
}

void fixture_thunk(struct fixture *f, const char *script, struct thunk *out)
{
	*out = THUNK_INIT;
	out->program = xstrdup("bin/sh");
	strv_add(&out->args, "sh");
	strv_add(&out->args, "-c");
	strv_add(&out->args, script);
	strv_add(&out->env, "PATH=/usr/bin");
	out->cwd = xstrdup("w");
	out->has_toolchain = true;
	out->toolchain = f->toolchain;
	thunk_add_output(out, OUTPUT_FILE, "w/out");
}

void fixture_add_input(struct fixture *f, struct thunk *t, const char *path, const char *text)
{
	struct error err;
	struct ref ref = { .kind = REF_BLOB, .size_bytes = strlen(text) };
	assert_ok(store_put_bytes(f->far, text, strlen(text), &ref.digest, &err));
	manifest_add_file(&t->inputs, path, 0644, &ref);
}

struct digest fixture_save(struct fixture *f, struct thunk *t)
{
	struct error err;
	struct digest d;
	assert_ok(thunk_finish(t, &err));
	assert_ok(thunk_save(f->far, t, &d, &err));
	thunk_release(t);
	return d;
}

void fixture_run(struct fixture *f, const struct digest *thunks, size_t count, int64_t deadline_ms,
                 struct remote_request *request)
{
	struct error err;
	scoped_buf struct buf text = BUF_INIT;
	char url[] = "s3://fake";
	struct remote_request ordinary = {
		.far_url = url, .far_path_style = -1, .keep_results = true, .inline_max = 1 << 20
	};
	struct remote_request *r = request ? request : &ordinary;
	r->thunks = (struct digest *)(uintptr_t)thunks;
	r->thunk_count = count;
	remote_request_encode(r, &text);
	remote_answer_release(&f->answer);
	buf_reset(&f->text);
	const struct worker_limits limits = { .deadline_ms = deadline_ms,
		                              .answer_max = REMOTE_BYTES_MAX };
	worker_handle(f->worker, text.data, text.len, &limits, &f->text);
	assert_true(f->text.len <= REMOTE_BYTES_MAX);
	assert_ok(remote_answer_decode(f->text.data, f->text.len, &f->answer, &err));
	assert_true(f->answer.result_count >= count || f->answer.result_count == 0);
	for (size_t i = 0; i < count && i < f->answer.result_count; i++)
		assert_true(digest_equal(&f->answer.results[i].thunk, &thunks[i]));
}

const struct remote_result *fixture_script(struct fixture *f, const char *script)
{
	struct thunk t;
	fixture_thunk(f, script, &t);
	struct digest d = fixture_save(f, &t);
	fixture_run(f, &d, 1, 0, NULL);
	assert_int_equal(f->answer.result_count, 1);
	return &f->answer.results[0];
}

void fixture_expect_output(struct fixture *f, size_t result, const char *path, const char *text)
{
	const struct remote_result *r = &f->answer.results[result];
	if (r->outcome != OUTCOME_DONE)
		fail_msg("outcome %d: %s\n%s", r->outcome, r->reason, r->stderr_tail);
	const struct ref *ref = memo_output(&r->memo, path);
	assert_non_null(ref);
	const struct remote_blob *blob = remote_blobs_find(&f->answer.blobs, &ref->digest);
	assert_non_null(blob);
	scoped_free char *got = xstrndup(blob->bytes, blob->len);
	assert_string_equal(got, text);
}
