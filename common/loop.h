/*
 * An event loop over epoll: descriptors, timers, and calls posted from other threads.
 *
 * Threads: everything but loop_post() and loop_stop() is for the thread that runs the loop
 * (or before it runs). Callbacks run on that thread, one at a time, with no lock held; they
 * may add and remove any watch or timer, their own included.
 */
#ifndef GGFS_COMMON_LOOP_H
#define GGFS_COMMON_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct loop;
struct loop_watch;
struct loop_timer;

typedef void loop_fd_fn(void *arg, uint32_t events); /* events: EPOLLIN, EPOLLOUT, ... */
typedef void loop_fn(void *arg);

int loop_new(struct loop **out, struct error *err);
void loop_free(struct loop *loop); /* posted calls not yet run are run first; watches dropped */

/* Watches fd, which stays the caller's; events may be 0. Level-triggered. */
int loop_watch(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *arg,
	       struct loop_watch **out, struct error *err);
void loop_watch_events(struct loop_watch *watch, uint32_t events);
void loop_unwatch(struct loop_watch *watch); /* NULL is fine; before closing the fd */

/* Calls fn once, delay_ms from now. The handle is good until it fired or was cancelled. */
struct loop_timer *loop_after(struct loop *loop, int64_t delay_ms, loop_fn *fn, void *arg);
void loop_cancel(struct loop_timer *timer); /* NULL is fine */

/* Any thread: has fn(arg) called on the loop's thread, in the order posted. */
void loop_post(struct loop *loop, loop_fn *fn, void *arg);

/* Runs until loop_stop(); 0 or -errno. */
int loop_run(struct loop *loop, struct error *err);
void loop_stop(struct loop *loop); /* any thread, and signal-safe */

#endif
