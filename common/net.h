/*
 * Net: the thread on which a process does its networking, with its loop and its HTTP client.
 * One a process is enough; everything that has an http_done_fn lives on it.
 *
 * Threads: net_post and net_call from any thread but its own; the rest from the owner's.
 */
#ifndef GGFS_COMMON_NET_H
#define GGFS_COMMON_NET_H

#include "common/http.h"

struct net;

int net_new(const struct http_options *options, struct net **out, struct error *err);
/* Ends the thread: posted calls are run first, transfers under way are cancelled. NULL is fine. */
void net_free(struct net *net);

struct loop *net_loop(struct net *net);
struct http *net_http(struct net *net);

/* Has fn(arg) called on the thread. */
void net_post(struct net *net, loop_fn *fn, void *arg);
/* One request from a thread that can wait: fills in *response, which is yours to release
 * (http_response_release). Returns response->code. */
int net_call(struct net *net, const struct http_request *request, struct http_response *response);

#endif
