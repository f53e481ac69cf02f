/*
 * An HTTP server of the tests, in this process, that does as the path says:
 *
 *   /ok          200, "ok"
 *   /bytes/N     200, N bytes
 *   /hold        no answer before server_release
 *   /cut         closes without an answer
 *   /cut-second  as /ok, but cuts the second request that comes for it
 *   /echo        200, the request's body
 *   .../head...  200, the request's head
 *
 * A thread a connection.
 */
#ifndef GGFS_TESTS_UNIT_NET_HTTP_SERVER_H
#define GGFS_TESTS_UNIT_NET_HTTP_SERVER_H

#include <stdbool.h>

struct server;

struct server *server_start(void);
void server_stop(struct server *s);
/* "http://127.0.0.1:PORT/path"; the caller's to free. */
char *server_url(const struct server *s, const char *path);
int server_port(const struct server *s);
/* Requests that have come whole, connections that were made. */
unsigned server_requests(struct server *s);
unsigned server_connections(struct server *s);
/* Lets those go that are held. */
void server_release(struct server *s);

#endif
