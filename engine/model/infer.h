/*
 * Infer: what a build's call of a tool becomes. A model (gcc, ld, ar, ...) is a pure
 * function from (argv, environment, files as seen) to a plan; this puts the plan into
 * effect: inputs and thunk into the store, and an answer for the stand-in that asked.
 *
 * What no model understands runs for real: never an error of ours.
 *
 * Threads: infer_ask from any thread, several at once.
 */
#ifndef GGFS_ENGINE_MODEL_INFER_H
#define GGFS_ENGINE_MODEL_INFER_H

#include "common/buf.h"
#include "engine/model/view.h"

struct infer_request {
	struct strv argv; /* argv[0] as the caller wrote it: "gcc", "/usr/bin/ar" */
	struct strv env;  /* whole environment, stand-ins' own variables taken out */
	char *cwd;        /* absolute, as the caller sees it ($PWD if it names the same place) */
	char *tool;       /* absolute path of the real program, outside the stand-ins */
	mode_t umask;
	bool inside_tool;  /* called by a tool itself (COLLECT_GCC): never lazy */
	struct strv eager; /* globs, matched against each output's path and its last component */
	/* The second round, after INFER_DISCOVER: what the asked command printed. */
	bool discovered;
	char *discovery; /* its standard output */
	size_t discovery_len;
	int discovery_status; /* its exit status */
};

void infer_request_release(struct infer_request *r);

enum infer_kind {
	INFER_RUN_REAL, /* open the files of answer.argv, all at once, to have them made in parallel;
	                   execute request.tool with the same argv; reason says why */
	INFER_DISCOVER, /* run answer.argv (argv[0] an absolute path) with the same cwd and
	                   environment, stderr discarded, and ask again with what it printed */
	INFER_RECORDED, /* write the files, print the text, exit */
};

struct infer_file {
	char *path;  /* absolute */
	mode_t mode; /* the umask already applied */
	char *bytes; /* a placeholder, or a depfile's text */
	size_t len;
};

struct infer_answer {
	enum infer_kind kind;
	char *reason;
	struct strv argv;
	struct infer_file *files; /* written beside and renamed into place, in this order */
	size_t file_count, file_capacity;
	int exit_status;
	struct digest thunk; /* RECORDED, when has_thunk */
	bool has_thunk;
};

void infer_answer_release(struct infer_answer *a);

int infer_ask(struct mount_table *mounts, struct store *store, struct index *index,
              const struct infer_request *request, struct infer_answer *out, struct error *err);

/* Whether a program of this name has a model: gcc, gcc-12, x86_64-linux-gnu-gcc-12, ar, ...
 * For `ggfs infer`, which makes one stand-in for each such program found on PATH. */
bool model_known(const char *program_name);

/* --- toolchains ----------------------------------------------------------------------------- */

/*
 * Closure: all files a program needs merely to start: the program (links on the way included),
 * a script's interpreter, an ELF file's interpreter and shared libraries; in turn. Appended to
 * into, unfinished. Contents go into the store. -ENOEXEC when it is neither ELF nor script.
 */
int closure_add(struct view *v, const char *program, struct manifest *into, struct error *err);

#endif
