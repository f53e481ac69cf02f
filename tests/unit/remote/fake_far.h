/*
 * A far store in memory, in the place of objstore/far.h's functions: a set of digests, whose
 * bytes lie in a second local store. Does and fails as it is told.
 */
#ifndef GGFS_TESTS_FAKE_FAR_H
#define GGFS_TESTS_FAKE_FAR_H

#include "objstore/far.h"

/* bytes: another store than near; both are lent. */
struct far *fake_far_new(struct net *net, struct store *near, struct store *bytes);
void fake_far_free(struct far *far);
/* What pushes and pulls answer from now on; 0: what is true. */
void fake_far_fails(struct far *far, int code);
/* Answers nothing, until this is called with false. */
void fake_far_holds(struct far *far, bool hold);
/* It is emptied behind everybody's back: known blobs stay known. */
void fake_far_lose(struct far *far, const struct digest *d);
bool fake_far_has(struct far *far, const struct digest *d);
unsigned fake_far_pushes(struct far *far); /* calls */
unsigned fake_far_puts(struct far *far);   /* blobs that went */
unsigned fake_far_memos(struct far *far);

#endif
