/*
 * A command's words as a POSIX shell quotes them ('...', "...", \), and nothing else of a shell:
 * Python's shlex.split, which the AWS CLI uses.
 */
#ifndef GGFS_COMMON_AWS_WORDS_H
#define GGFS_COMMON_AWS_WORDS_H

#include "common/buf.h"

/* Appends the words; false: a quote or a \ without what belongs to it. */
bool words_split(const char *text, struct strv *out);

#endif
