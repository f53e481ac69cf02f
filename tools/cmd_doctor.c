#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "common/io.h"
#include "engine/engine.h"
#include "fs/mount.h"
#include "tools/cmd.h"
#include "tools/cover.h"
#include "tools/findings.h"
#include "tools/session.h"
#include "tools/standin.h"

enum {
	SAMPLE_BLOBS = 64,        /* verified by default */
	ROOM_LOW_BYTES = 1 << 30, /* less free space than this is worth a word */
};

struct doctor_options {
	const char *store;
	bool json, all, cloud;
};

static void check_fuse(struct findings *f)
{
	struct mount_facts facts;
	mount_facts_get(&facts);
	if (!facts.device_present)
		found(f, FINDING_FAILURE, "/dev/fuse", "load it as root: modprobe fuse",
		      "is missing: nothing can be mounted");
	else if (!facts.device_open)
		found(f, FINDING_FAILURE, "/dev/fuse",
		      "as root: chmod 666 /dev/fuse (or a udev rule with MODE=\"0666\")",
		      "is not open to you: nothing can be mounted");
	else
		found(f, FINDING_OK, "/dev/fuse", NULL, "is there and open to you");
	if (geteuid() != 0 && !facts.fusermount)
		found(f, FINDING_FAILURE, "fusermount3", "install the package fuse3",
		      "is not on PATH; an ordinary user cannot mount without it");
	if (!facts.library_passthrough)
		found(f, FINDING_WARNING, "libfuse",
		      "build with libfuse 3.17 or newer (tools/setup does)",
		      "%s has no passthrough: reads go through the mount process",
		      facts.library_version);
	else if (geteuid() != 0)
		found(f, FINDING_OK, "libfuse", NULL,
		      "%s; passthrough needs root, your reads are cached by the kernel instead",
		      facts.library_version);
	else
		found(f, FINDING_OK, "libfuse", NULL, "%s, with passthrough",
		      facts.library_version);
}

static void check_isolation(struct findings *f)
{
	scoped_free char *why = NULL;
	if (engine_local_isolated(&why))
		found(f, FINDING_OK, "sandbox", NULL, "%s", why ? why : "namespaces");
	else
		found(f, FINDING_WARNING, "sandbox",
		      "as root: sysctl -w user.max_user_namespaces=10000 "
		      "kernel.unprivileged_userns_clone=1",
		      "functions run in the weaker mode (docs/sandbox.md): %s",
		      why ? why : "no namespaces");
	if (cover_possible())
		found(f, FINDING_OK, "infer", NULL, "can lay stand-ins over the tools themselves");
	else
		found(f, FINDING_WARNING, "infer", "allow user namespaces, as above",
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
		found(f, FINDING_WARNING, "toolchain",
		      "install the packages gcc, binutils and make", "not on PATH:%s",
		      missing.data);
	else
		found(f, FINDING_OK, "toolchain", NULL, "gcc, as, ld, ar and make are on PATH");
	scoped_free char *stub = session_helper(STANDIN_PROGRAM);
	if (stub)
		found(f, FINDING_OK, "stand-in", NULL, "%s", stub);
	else
		found(f, FINDING_FAILURE, "stand-in", "install ggfs whole: meson install",
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
		found(f, FINDING_FAILURE, "blobs", "look at the disk", "%s", error_text(&err));
	else if (s.broken)
		found(f, FINDING_WARNING, "blobs",
		      "ggfs doctor --all looks at every one; they are made again",
		      "%zu of %zu were damaged, and are now in quarantine", s.broken, s.seen);
	else
		found(f, FINDING_OK, "blobs", NULL, "%zu looked at (%.1f MB), none damaged", s.seen,
		      (double)s.bytes / 1e6);
}

static void check_room(struct findings *f, struct store *store)
{
	struct statvfs fs;
	if (fstatvfs(store_local_dirfd(store), &fs) < 0)
		return;
	uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	bool low = free_bytes < ROOM_LOW_BYTES;
	found(f, low ? FINDING_WARNING : FINDING_OK, "room",
	      low ? "make room, or put the store elsewhere: GGFS_STORE" : NULL,
	      "%.1f GB free for the store", (double)free_bytes / 1e9);
}

static void check_store(struct findings *f, const char *path, bool all)
{
	struct error err = ERROR_INIT;
	struct store *store = NULL;
	int r = store_open_local(path, false, STORE_SYNC_NONE, &store, &err);
	if (r == -ENOENT) {
		found(f, FINDING_OK, "store", NULL,
		      "%s does not exist yet: the first verb makes it", path);
		return;
	}
	if (r < 0) {
		found(f, FINDING_FAILURE, "store", "use another: GGFS_STORE or --store", "%s",
		      error_text(&err));
		return;
	}
	found(f, FINDING_OK, "store", NULL, "%s opens", path);
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
		found(f, FINDING_OK, "service", NULL, "none runs; it is started when it is needed");
		return;
	}
	if (r == 0)
		r = client_info(c, &info, &err);
	if (r < 0) {
		found(f, FINDING_FAILURE, "service",
		      "ggfs stop; its log is in the store: service/log", "%s", error_text(&err));
		return;
	}
	found(f, FINDING_OK, "service", NULL,
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
		found(f, FINDING_WARNING, "mounts", NULL, "%s", error_text(&err));
	for (size_t i = 0; i < count; i++) {
		if (!list[i].stale)
			continue;
		scoped_free char *todo = xformat("ggfs mount %s heals it", list[i].directory);
		found(f, FINDING_WARNING, "mounts", todo, "%s was left by a process that is gone",
		      list[i].directory);
	}
	mount_list_free(list, count);
}

/* What needs the network is in the program that links it. */
static int look_at_cloud(const char *store, const struct doctor_options *o)
{
	if (o->all)
		return cmd_usage("ggfs doctor looks at --all blobs or at the --cloud, not at both");
	scoped_free char *program = session_helper("ggfs-service");
	if (!program)
		return cmd_fail_text("ggfs-service is neither beside ggfs nor in ../libexec/ggfs");
	execl(program, "ggfs", "doctor-cloud", "--store", store, o->json ? "--json" : NULL,
	      (char *)NULL);
	return cmd_fail_text("cannot run %s: %s", program, strerror(errno));
}

static int run(const void *options, int argc, char **argv)
{
	const struct doctor_options *o = options;
	(void)argc, (void)argv;
	scoped_free char *store = session_store(o->store, NULL);
	struct findings f;
	if (o->cloud)
		return look_at_cloud(store, o);
	findings_begin(&f, o->json);
	check_fuse(&f);
	check_isolation(&f);
	check_tools(&f);
	check_store(&f, store, o->all);
	check_service(&f, store);
	check_mounts(&f);
	return findings_end(&f);
}

static const struct verb_option options[] = {
	OPTION_STORE(doctor_options),
	OPTION_JSON(doctor_options),
	{ "all", 'a', OPTION_SWITCH, NULL, offsetof(struct doctor_options, all),
	  "verify every blob of the store, not a sample" },
	{ "cloud", 0, OPTION_SWITCH, NULL, offsetof(struct doctor_options, cloud),
	  "look at the far store and the workers far away instead" },
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
	               "With --cloud: at the AWS credentials and the clock; at the far store, by "
	               "putting, asking for,\n"
	               "getting and deleting one small object; at the Lambda function and at an "
	               "HTTP worker, by two\n"
	               "requests: one that runs nothing, and one that runs a line of shell there. "
	               "It takes seconds,\n"
	               "costs about $0.0001, and leaves nothing behind. docs/cloud-checks.md has "
	               "what to expect.\n\n"
	               "Exit code: 1 if something is so that ggfs cannot work, else 0.",
	.options = options,
	.options_size = sizeof(struct doctor_options),
	.run = run,
};
