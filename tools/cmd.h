/*
 * Verbs: what `ggfs VERB` can be. Each verb is one constant table: its help text, the page of
 * the manual and its option parser all come from it (help.c, options.c).
 *
 * A verb's run() returns the exit code of the process: EXIT_OK, EXIT_FAILED (the reason has been
 * printed), EXIT_USAGE, or one its description documents. Results go to standard output, all
 * else to standard error.
 */
#ifndef GGFS_TOOLS_CMD_H
#define GGFS_TOOLS_CMD_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/error.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

enum option_kind {
	OPTION_SWITCH, /* bool */
	OPTION_TEXT,   /* const char *: the last one given, borrowed from argv */
	OPTION_LIST,   /* struct strv: all that were given */
	OPTION_NUMBER, /* unsigned, at least 1 */
};

struct verb_option {
	const char *name; /* long name; NULL ends the table */
	char letter;      /* short name, or 0 */
	enum option_kind kind;
	const char *value; /* what the help calls its value; NULL for a switch */
	size_t offset;     /* of the member in the verb's options structure */
	const char *help;
};

struct verb {
	const char *name;
	const char *synopsis;    /* what follows "ggfs NAME" */
	const char *summary;     /* half a line: "makes files out of thunks" */
	const char *description; /* paragraphs parted by empty lines; a line that begins with two
	                            spaces is shown as it stands */
	const struct verb_option *options;
	size_t options_size; /* of the structure that run() gets, zeroed before parsing */
	bool takes_command;  /* options end at the first operand, which begins a command */
	bool hidden;         /* not in the list of verbs */
	bool elsewhere;      /* a verb of ggfs-service: here are its name and summary only */
	int min_operands, max_operands; /* max < 0: any number */
	/* argv holds the operands, NULL-terminated. */
	int (*run)(const void *options, int argc, char **argv);
};

/* The verbs of this program, in the order in which they are listed; ends with NULL. ggfs has most
 * (verbs.c); those that need libcurl or the store's index are ggfs-service's (verbs_service.c),
 * which ggfs runs for them: what is linked is loaded by every call, and ggfs is called often. */
extern const struct verb *const verbs[];
/* What runs when the program is called ggfs-force; NULL: nothing does. */
extern int (*const verbs_placeholder)(int argc, char **argv);

extern const struct verb verb_allow, verb_cancel, verb_cat, verb_config, verb_cost, verb_describe,
        verb_doctor, verb_doctor_cloud, verb_force, verb_graph, verb_hash, verb_infer, verb_init,
        verb_lambda, verb_log, verb_mount, verb_mounts, verb_noforce, verb_retry, verb_service,
        verb_status, verb_stop, verb_thunk, verb_umount, verb_why;

#define OPTION_STORE_HELP "the store; else the mount's, else $GGFS_STORE, else ~/.cache/ggfs"

/* The usual options; struct s must have the member. */
#define OPTION_STORE(s)                                                                            \
	{                                                                                          \
		"store", 's', OPTION_TEXT, "DIR", offsetof(struct s, store), OPTION_STORE_HELP     \
	}
#define OPTION_JSON(s)                                                                             \
	{                                                                                          \
		"json", 0, OPTION_SWITCH, NULL, offsetof(struct s, json),                          \
		        "print JSON, for scripts"                                                  \
	}

/* Prints "ggfs: sentence" on standard error; returns EXIT_FAILED or EXIT_USAGE. */
int cmd_fail(const struct error *err);
int cmd_fail_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
int cmd_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends standard output: EXIT_FAILED, saying so, when it could not all be written; else code. */
int cmd_finish(int code);

/* Parses argv[1..] into options (options_size bytes; release with options_release). Returns the
 * index of the first operand after permuting argv, or -1 (usage, already said), or 0 when help
 * was asked for. */
int options_parse(const struct verb *verb, int argc, char **argv, void *options);
void options_release(const struct verb *verb, void *options);
/* The values of a list option with commas between; NULL when there are none. The caller's to free. */
char *options_joined(const struct strv *list);

/* --help of a verb; the list of verbs; and both as a page of the manual. */
void help_verb(const struct verb *verb);
void help_verbs(void);
void manual_verb(const struct verb *verb);
void manual_verbs(void);

#endif
