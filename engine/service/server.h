/*
 * The service: one process per store. Owns the store's writes, the index, all forces and
 * engines. Listens on <store>/service/socket; <store>/service/lock (flock) makes it the only one;
 * its log is <store>/service/log. Peers of another uid are refused (SO_PEERCRED), root's excepted.
 * It ends by itself when it had no client and no work for the idle time, and when its store has
 * been removed.
 */
#ifndef GGFS_ENGINE_SERVICE_SERVER_H
#define GGFS_ENGINE_SERVICE_SERVER_H

#include <stdint.h>

#include "common/error.h"

enum { SERVER_IDLE_MS_DEFAULT = 60000, SERVER_CLIENTS_MAX = 4096 };

struct server_options {
	const char *store;
	unsigned jobs;   /* 0: as many as processors */
	int64_t idle_ms; /* 0: SERVER_IDLE_MS_DEFAULT */
	int ready_fd;    /* a byte is written here once the socket listens; stays open, but for what
	                    the service runs; -1: none */
	const char *log; /* program to log for in the store's service/log; NULL: where the process
	                    logs anyway */
};

/* Serves until stopped or idle. 0, or -EALREADY when another service has this store, or what
 * the store or index refused to open with. Does not daemonise: the caller did. */
int server_run(const struct server_options *options, struct error *err);

#endif
