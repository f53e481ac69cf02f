#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "common/io.h"
#include "engine/engine.h"
#include "fs/mount.h"
#include "tools/cmd.h"
#include "tools/cover.h"
#include "tools/json.h"
#include "tools/session.h"
#include "tools/standin.h"

enum {
	SAMPLE_BLOBS = 64,        /* verified by default */
	ROOM_LOW_BYTES = 1 << 30, /* less free space than this is worth a word */
};

struct doctor_options {
	const char *store;
	bool json, all;
};

enum verdict { VERDICT_OK, VERDICT_WARNING, VERDICT_FAILURE };

struct findings {
	bool as_json;
	json_t *list;
	unsigned warnings, failures;
};

/* One finding; todo is what to do about it, NULL when it is fine. */
static void found(struct findings *f, enum verdict verdict, const char *subject, const char *todo,
                  const char *format, ...) __attribute__((format(printf, 5, 6)));

static void found(struct findings *f, enum verdict verdict, const char *subject, const char *todo,
                  const char *format, ...)
{
	static const char *const words[] = { "ok", "warning", "failure" };
	char text[ERROR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	f->warnings += verdict == VERDICT_WARNING;
	f->failures += verdict == VERDICT_FAILURE;
	if (f->as_json) {
		json_t *o = json_object();
		json_object_set_new(o, "subject", json_text(subject));
		json_object_set_new(o, "verdict", json_text(words[verdict]));
		json_object_set_new(o, "text", json_text(text));
		json_object_set_new(o, "todo", json_text(todo));
		json_array_append_new(f->list, o);
		return;
	}
	printf("%-8s %-12s %s\n", words[verdict], subject, text);
	if (todo)
		printf("%-8s %-12s -> %s\n", "", "", todo);
}

static void check_fuse(struct findings *f)
{
	struct mount_facts facts;
	mount_facts_get(&facts);
	if (!facts.device_present)
		found(f, VERDICT_FAILURE, "/dev/fuse", "load it as root: modprobe fuse",
		      "is missing: nothing can be mounted");
	else if (!facts.device_open)
		found(f, VERDICT_FAILURE, "/dev/fuse",
		      "as root: chmod 666 /dev/fuse (or a udev rule with MODE=\"0666\")",
		      "is not open to you: nothing can be mounted");
	else
		found(f, VERDICT_OK, "/dev/fuse", NULL, "is there and open to you");
	if (geteuid() != 0 && !facts.fusermount)
		found(f, VERDICT_FAILURE, "fusermount3", "install the package fuse3",
		      "is not on PATH; an ordinary user cannot mount without it");
	if (!facts.library_passthrough)
		found(f, VERDICT_WARNING, "libfuse",
		      "build with libfuse 3.17 or newer (tools/setup does)",
		      "%s has no passthrough: reads go through the mount process",
		      facts.library_version);
	else if (geteuid() != 0)
		found(f, VERDICT_OK, "libfuse", NULL,
		      "%s; passthrough needs root, your reads are cached by the kernel instead",
		      facts.library_version);
	else
		found(f, VERDICT_OK, "libfuse", NULL, "%s, with passthrough",
		      facts.library_version);
}

static void check_isolation(struct findings *f)
{
	scoped_free char *why = NULL;
	if (engine_local_isolated(&why))
		found(f, VERDICT_OK, "sandbox", NULL, "%s", why ? why : "namespaces");
	else
		found(f, VERDICT_WARNING, "sandbox",
		      "as root: sysctl -w user.max_user_namespaces=10000 "
		      "kernel.unprivileged_userns_clone=1",
		      "functions run in the weaker mode (docs/sandbox.md): %s",
		      why ? why : "no namespaces");
	if (cover_possible())
		found(f, VERDICT_OK, "infer", NULL, "can lay stand-ins over the tools themselves");
	else
		found(f, VERDICT_WARNING, "infer", "allow user namespaces, as above",
		      "stand-ins come by PATH only: tools called by their full path run for real");
}

static bool on_path(const char *name)
{
	const char *path = getenv("PATH");
	scoped_free char *owner = xstrdup(path ? path : "/usr/bin:/bin");
	char *rest = owner, *dir;
	while ((dir = strsep(&rest, ":"))) {
		scoped_free char *file = xformat("%s/%s", dir, name);
		if (*dir && access(file, X_OK) == 0)
			return true;
	}
	return false;
}

static void check_tools(struct findings *f)
{
	static const char *const needed[] = { "gcc", "as", "ld", "ar", "make" };
	scoped_buf struct buf missing = BUF_INIT;
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!on_path(needed[i]))
			buf_add_format(&missing, " %s", needed[i]);
	if (missing.len)
		found(f, VERDICT_WARNING, "toolchain",
		      "install the packages gcc, binutils and make", "not on PATH:%s",
		      missing.data);
	else
		found(f, VERDICT_OK, "toolchain", NULL, "gcc, as, ld, ar and make are on PATH");
	scoped_free char *stub = session_helper(STANDIN_PROGRAM);
	if (stub)
		found(f, VERDICT_OK, "stand-in", NULL, "%s", stub);
	else
		found(f, VERDICT_FAILURE, "stand-in", "install ggfs whole: meson install",
		      "%s is neither beside this ggfs nor in ../libexec/ggfs", STANDIN_PROGRAM);
}

struct sample {
	struct store *store;
	size_t left, seen, broken;
	uint64_t bytes;
};

static int verify_blob(void *arg, const struct digest *d, uint64_t size_bytes)
{
	struct sample *s = arg;
	struct error err = ERROR_INIT;
	if (s->left == 0)
		return 1;
	s->left--;
	s->seen++;
	s->bytes += size_bytes;
	if (store_verify(s->store, d, &err) == -EBADMSG)
		s->broken++;
	return 0;
}

static void check_blobs(struct findings *f, struct store *store, bool all)
{
	struct error err = ERROR_INIT;
	struct sample s = { .store = store, .left = all ? SIZE_MAX : SAMPLE_BLOBS };
	int r = store_iterate(store, verify_blob, &s, &err);
	if (r < 0)
		found(f, VERDICT_FAILURE, "blobs", "look at the disk", "%s", error_text(&err));
	else if (s.broken)
		found(f, VERDICT_WARNING, "blobs",
		      "ggfs doctor --all looks at every one; they are made again",
		      "%zu of %zu were damaged, and are now in quarantine", s.broken, s.seen);
	else
		found(f, VERDICT_OK, "blobs", NULL, "%zu looked at (%.1f MB), none damaged", s.seen,
		      (double)s.bytes / 1e6);
}

static void check_room(struct findings *f, struct store *store)
{
	struct statvfs fs;
	if (fstatvfs(store_local_dirfd(store), &fs) < 0)
		return;
	uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	bool low = free_bytes < ROOM_LOW_BYTES;
	found(f, low ? VERDICT_WARNING : VERDICT_OK, "room",
	      low ? "make room, or put the store elsewhere: GGFS_STORE" : NULL,
	      "%.1f GB free for the store", (double)free_bytes / 1e9);
}

static void check_store(struct findings *f, const char *path, bool all)
{
	struct error err = ERROR_INIT;
	struct store *store = NULL;
	int r = store_open_local(path, false, STORE_SYNC_NONE, &store, &err);
	if (r == -ENOENT) {
		found(f, VERDICT_OK, "store", NULL,
		      "%s does not exist yet: the first verb makes it", path);
		return;
	}
	if (r < 0) {
		found(f, VERDICT_FAILURE, "store", "use another: GGFS_STORE or --store", "%s",
		      error_text(&err));
		return;
	}
	found(f, VERDICT_OK, "store", NULL, "%s opens", path);
	check_room(f, store);
	check_blobs(f, store, all);
	store_free(store);
}

static void check_service(struct findings *f, const char *store)
{
	struct error err = ERROR_INIT;
	scoped_client struct client *c = NULL;
	struct client_service_info info = { 0 };
	int r = session_open_running(store, NULL, &c, &err);
	if (r == -ECONNREFUSED) {
		found(f, VERDICT_OK, "service", NULL, "none runs; it is started when it is needed");
		return;
	}
	if (r == 0)
		r = client_info(c, &info, &err);
	if (r < 0) {
		found(f, VERDICT_FAILURE, "service",
		      "ggfs stop; its log is in the store: service/log", "%s", error_text(&err));
		return;
	}
	found(f, VERDICT_OK, "service", NULL,
	      "process %d, ggfs %s, engine %s with %u jobs, %zu mounts", info.pid, info.version,
	      info.engine, info.jobs, info.mounts.count);
	client_service_info_release(&info);
}

static void check_mounts(struct findings *f)
{
	struct mount_info *list = NULL;
	size_t count = 0;
	struct error err = ERROR_INIT;
	if (mount_list(&list, &count, &err) < 0)
		found(f, VERDICT_WARNING, "mounts", NULL, "%s", error_text(&err));
	for (size_t i = 0; i < count; i++) {
		if (!list[i].stale)
			continue;
		scoped_free char *todo = xformat("ggfs mount %s heals it", list[i].directory);
		found(f, VERDICT_WARNING, "mounts", todo, "%s was left by a process that is gone",
		      list[i].directory);
	}
	mount_list_free(list, count);
}

static int run(const void *options, int argc, char **argv)
{
	const struct doctor_options *o = options;
	(void)argc, (void)argv;
	scoped_free char *store = session_store(o->store, NULL);
	struct findings f = { .as_json = o->json, .list = o->json ? json_array() : NULL };
	check_fuse(&f);
	check_isolation(&f);
	check_tools(&f);
	check_store(&f, store, o->all);
	check_service(&f, store);
	check_mounts(&f);
	if (o->json)
		json_print(f.list);
	else
		printf("%u failures, %u warnings\n", f.failures, f.warnings);
	return f.failures ? EXIT_FAILED : EXIT_OK;
}

static const struct verb_option options[] = {
	OPTION_STORE(doctor_options),
	OPTION_JSON(doctor_options),
	{ "all", 'a', OPTION_SWITCH, NULL, offsetof(struct doctor_options, all),
	  "verify every blob of the store, not a sample" },
	{ 0 },
};

const struct verb verb_doctor = {
	.name = "doctor",
	.synopsis = "[OPTION]...",
	.summary = "tell what this machine and store can do, and what to mend",
	.description = "Looks at /dev/fuse, libfuse, namespaces, the toolchain, the store, its "
	               "service and the mounts,\n"
	               "and says of each whether it is fine and what to do if not. Damaged blobs "
	               "it meets are put\n"
	               "aside, so that they are made again. Changes nothing else.\n\n"
	               "Exit code: 1 if something is so that ggfs cannot work, else 0.",
	.options = options,
	.options_size = sizeof(struct doctor_options),
	.run = run,
};
