/*
 * Relocate: how a thunk's program is executed in a world that is no root directory
 * (docs/worker.md): arguments, environment and directory, or the reason why this cannot be done
 * faithfully. What is dynamically linked is started by the world's own dynamic linker, with the
 * world's libraries, and with relocate.so before them, through which it sees the world's root as
 * "/". What is linked statically sees the machine's root, and so runs only if it is told no
 * absolute path.
 *
 * Private to engine/worker/. Pure; threads: any.
 */
#ifndef GGFS_ENGINE_WORKER_RELOCATE_H
#define GGFS_ENGINE_WORKER_RELOCATE_H

#include "engine/thunk.h"
#include "engine/worker/program.h"

enum { RELOCATE_SCRIPTS_MAX = 4 }; /* interpreters that are scripts themselves */

/* The library that is loaded into functions; engine/worker/interpose.h. */
extern const unsigned char relocate_bytes[];
extern const size_t relocate_bytes_size;

/* Beside the world's root, where the library looks for them. */
#define RELOCATE_LIBRARY "relocate.so"
#define RELOCATE_REPORT "report"

/* The program and its interpreters, outermost first: scripts, and last what is no script. */
struct relocate_facts {
	struct program programs[RELOCATE_SCRIPTS_MAX + 1];
	size_t count;
	bool linker_is_modern; /* of the last, when it is dynamic */
	bool has_local_time;   /* the world has /etc/localtime */
};

struct relocation {
	char *execute; /* absolute, real */
	char *cwd;     /* likewise */
	struct strv argv, env;
};
void relocation_release(struct relocation *r);

/* job: the directory that holds root/, relocate.so and report; absolute, real, without a colon.
 * libraries: the world's directories of shared libraries, "usr/lib", in the order of search.
 * -EOPNOTSUPP: not faithfully. *out must be zeroed. */
int relocate(const struct thunk *t, const struct relocate_facts *facts, const char *job,
             const struct strv *libraries, struct relocation *out, struct error *err);

/* Directories of shared libraries among the files of a world: the dynamic linker's own first. */
void relocate_libraries(const struct manifest *world, struct strv *out);

#endif
