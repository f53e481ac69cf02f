/*
 * Locale: the files of the C library that a tool needs to speak as the caller's environment asks.
 * Without them it speaks the language of "C": plain quotes in messages, no multibyte source names.
 * Message catalogues are not among them: a function's messages are in English.
 *
 * Private to engine/model/.
 */
#ifndef GGFS_ENGINE_MODEL_LOCALE_H
#define GGFS_ENGINE_MODEL_LOCALE_H

#include "engine/model/view.h"

/* Appends the names of the locales that the environment asks for, none twice; not "C" or "POSIX". */
void locale_names(const struct strv *env, struct strv *names);

/* Appends the files of this locale, its own directory's or the archive of all; none if it is not
 * installed. */
int locale_add(struct view *v, const char *name, struct manifest *into, struct error *err);

#endif
