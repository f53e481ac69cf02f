/* A store of its own for each test, with the real service behind it. */
#ifndef GGFS_TESTS_CONTRACT_SERVICE_FIXTURE_H
#define GGFS_TESTS_CONTRACT_SERVICE_FIXTURE_H

#include "engine/service/client.h"
#include "engine/service/conn.h"
#include "engine/thunk.h"
#include "tests/lib/test.h"

enum { FIXTURE_WAIT_MS = 30000 };

struct fixture {
	char *top;   /* a directory */
	char *store; /* beneath it; not there until a service makes it */
	struct client_options options;
	struct client *client; /* opened, unless the test begins without */
	struct ref function;   /* the test's program, as a blob */
};

int fixture_set_up(void **state);         /* opens client, puts the function */
int fixture_set_up_without(void **state); /* no service yet */
int fixture_tear_down(void **state);      /* stops the service, however it stands */

/* Fills in client and function where set_up_without has not. */
void fixture_connect(struct fixture *x);

/* The greeting of a client that is made by hand, on a blocking end. */
void fixture_greet(struct conn *c);

/* A thunk that writes text into "out" after so long; or one that fails with this message. */
struct ref fixture_slow(struct fixture *x, unsigned ms, const char *text);
struct ref fixture_failing(struct fixture *x, const char *message);

/* The process behind the client's store, by its own word. */
int fixture_service_pid(struct fixture *x);
/* Waits until count jobs run, as told on a connection of its own. */
void fixture_wait_running(struct fixture *x, unsigned count);

void fixture_assert_blob(struct fixture *x, const struct ref *ref, const char *text);

#endif
