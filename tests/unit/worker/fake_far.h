/* A far store in a local directory: what is asked of it happens at once, on another thread. */
#ifndef GGFS_TESTS_FAKE_FAR_H
#define GGFS_TESTS_FAKE_FAR_H

#include "objstore/far.h"

/* Where blobs and memos are. far_new's URL is ignored. */
void fake_far_use(struct store *behind);
/* From now on nothing answers until far_free; 0: it does. */
void fake_far_hang(bool on);
/* So many pushes from now on end with this code. */
void fake_far_fail_pushes(int code, int count);
unsigned fake_far_pulls(void); /* calls, since fake_far_use */

#endif
