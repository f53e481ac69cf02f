/*
 * The text of ~/.aws/config and credentials, as the AWS CLI reads it: sections, "name = value" (or
 * ':'), whole-line comments with '#' or ';', continuation lines that are indented further than
 * their name, and nested settings:
 *
 *     [profile build]
 *     s3 =
 *       addressing_style = path
 *
 * which are called "s3.addressing_style" here. A section or a name that is there twice is
 * malformed, as it is for the CLI. No sentence has any part of a value in it.
 *
 * Threads: pure functions.
 */
#ifndef GGFS_COMMON_AWS_INI_H
#define GGFS_COMMON_AWS_INI_H

#include "common/buf.h"
#include "common/error.h"

enum { INI_SECTIONS_MAX = 4096, INI_SETTINGS_MAX = 1024 /* of a section */ };

struct ini_setting {
	char *name; /* in lower case, but for the part after the '.' */
	char *value;
};

struct ini_section {
	char *header;      /* what is between the brackets */
	char *kind, *name; /* of "profile x" and 'profile "x y"'; kind "" when there is one word */
	struct ini_setting *settings;
	size_t count, capacity;
};

struct ini {
	struct ini_section *sections;
	size_t count, capacity;
};

/* -EINVAL: malformed, naming file and line. */
int ini_parse(const char *text, size_t len, const char *file, struct ini *out, struct error *err);
void ini_release(struct ini *ini); /* wipes the values */

/* Borrowed, or NULL. kind NULL: the section whose whole header is the name. */
const struct ini_section *ini_section(const struct ini *ini, const char *kind, const char *name);
/* Borrowed, or NULL, also for a NULL section. */
const char *ini_get(const struct ini_section *section, const char *name);

#endif
