/*
 * The scanner's search for headers, as libcpp's files.cc and incpath.cc do it: the quote and
 * bracket chains without their duplicates, and which names are one file to the compiler.
 *
 * Private to the scanner. Threads: one owner.
 */
#ifndef GGFS_ENGINE_MODEL_SCANNER_SEARCH_H
#define GGFS_ENGINE_MODEL_SCANNER_SEARCH_H

#include "engine/model/scanner_lex.h"
#include "engine/model/view_impl.h"

enum { SEARCH_FILES_MAX = 100000 };

struct search_dir {
	char *name;
	bool system;
	dev_t dev;
	ino_t ino;
	struct search_dir *next;         /* where the search goes on */
	struct search_dir *all, *beside; /* lists for the owner */
};

/* One for each name that was looked for from one place on, as libcpp's struct _cpp_file. */
struct search_file {
	char *name;
	const struct search_dir *dir; /* where it was found; never NULL */
	char *path;                   /* as the compiler spells it; NULL when it was not found */
	char *asked_path;             /* before that was made shorter; NULL when it was not */
	struct view_file look;        /* FILE or LAZY when found */
	bool read, asked;             /* for the lists of what is read */
	bool once;
	unsigned stacked;    /* how often it was entered */
	struct lexed *lexed; /* owned; NULL until it is entered */
	struct ref blob;
	struct search_file *all;
};

struct search {
	struct view *v;
	const char *cwd;
	bool canonical;                     /* paths in system directories are made shorter */
	struct search_dir *quote, *bracket; /* may be NULL */
	struct search_dir no_path;          /* for names that are not searched for */
	struct search_dir *beside, *dirs;
	struct search_file *files;
	size_t file_count;
	struct search_slot **slots;
	const char *doubt; /* a constant */
};

void search_begin(struct search *s, struct view *v, const char *cwd);
void search_release(struct search *s);

/* Appends a directory to a chain that is being made; chains are joined by search_chains(). */
void search_add(struct search *s, struct search_dir **chain, const char *name, bool system);
/* Removes what is absent or twice, and joins: quote, bracket, system. */
int search_chains(struct search *s, struct search_dir *quote, struct search_dir *bracket,
                  struct search_dir *system, struct error *err);

/* The directory of names beside the file at path. */
const struct search_dir *search_beside(struct search *s, const char *path, bool system);
const struct search_dir *search_here(struct search *s); /* "./": for -include */

/* The file of this name, from start on. Its path is NULL when there is none. */
int search_find(struct search *s, const char *name, const struct search_dir *start,
                struct search_file **out, struct error *err);

#endif
