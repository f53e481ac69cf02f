#include "fs/heal.h"

#include <errno.h>
#include <poll.h>

#include "common/io.h"
#include "common/log.h"
#include "fs/mountinfo.h"
#include "fs/unmount.h"

enum {
	LAYERS_MAX = 16,
	ENDING_MS = 5000, /* how long a killed mount process may take to end */
	ENDING_POLL_MS = 10,
	DOUBT_MS = 50,
};

/* Looks into the topmost mount at directory, as unmount_probe(). One whose process has just been
 * killed is waited for until it is dead for all to see: for as long as it is on its way, and, since
 * there is a moment between being told and going, a little longer. */
static int probe(const char *directory, const struct mountinfo_entry *e)
{
	int64_t start = now_ms();
	for (int64_t doubt_until = start + DOUBT_MS;;) {
		int r = unmount_probe(directory);
		if (!e->store || r == -ENOTCONN || r == -ETIMEDOUT)
			return r;
		int64_t now = now_ms();
		if (mountinfo_is_ending(e))
			doubt_until = now + DOUBT_MS;
		if (now >= doubt_until || now - start >= ENDING_MS)
			return r;
		poll(NULL, 0, ENDING_POLL_MS);
	}
}

/* One layer of what is mounted on directory: 1 when it was taken away, 0 when it is not ours to. */
static int heal_layer(const char *directory, const struct mountinfo_entry *e, struct error *err)
{
	int r = probe(directory, e);
	if (e->store && r == -ETIMEDOUT)
		return error_set(err, -EBUSY,
		                 "%s is mounted by a ggfs that does not answer; "
		                 "`ggfs umount --lazy` detaches it",
		                 directory);
	if (e->store && r != -ENOTCONN)
		return error_set(err, -EBUSY, "%s is already mounted by ggfs", directory);
	if (r != -ENOTCONN)
		return 0;
	log_info("%s: taking away a mount whose process has gone", directory);
	r = unmount_directory(directory, true, err);
	return r < 0 ? error_prefix(err, r, "%s is a dead mount", directory) : 1;
}

int heal(const char *directory, struct error *err)
{
	for (int i = 0; i < LAYERS_MAX; i++) {
		struct mountinfo_entry e = { 0 };
		int r = mountinfo_find(directory, &e, err);
		if (r == -ENOENT)
			return 0;
		if (r == 0)
			r = heal_layer(directory, &e, err);
		mountinfo_entry_release(&e);
		if (r <= 0)
			return r;
	}
	return error_set(err, -EBUSY, "%s: dead mounts upon dead mounts", directory);
}
