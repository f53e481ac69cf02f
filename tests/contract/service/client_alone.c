/* A program with nothing of ours but the client. SQLite is on its command line and linked only where
 * it is needed: so long as nothing needs it, programs with the client can be static and small. */
#include <errno.h>
#include <stdio.h>

#include "engine/service/client.h"

int sqlite3_open_v2(const char *name, void **out, int flags, const char *vfs)
	__attribute__((weak));

int main(void)
{
	struct error err = ERROR_INIT;
	struct client *c = NULL;
	struct client_options options = { .store = "/no/such/store", .never_start = true };
	int code = client_open(&options, &c, &err);
	printf("1..2\n%s 1 - a_client_alone_finds_out_that_there_is_no_service\n"
	       "%s 2 - a_client_alone_draws_in_no_database\n",
	       code == -ECONNREFUSED ? "ok" : "not ok", sqlite3_open_v2 ? "not ok" : "ok");
	client_free(c);
	return code == -ECONNREFUSED && !sqlite3_open_v2 ? 0 : 1;
}
