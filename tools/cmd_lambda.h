/*
 * What the actions of `ggfs lambda` share: the function that is meant and calls to Lambda's API;
 * the package of a worker; policies.
 *
 * Threads: the verb's own; calls block.
 */
#ifndef GGFS_TOOLS_CMD_LAMBDA_H
#define GGFS_TOOLS_CMD_LAMBDA_H

#include <jansson.h>
#include <stdbool.h>

#include "common/aws/client.h"
#include "engine/settings.h"

enum {
	LAMBDA_PACKAGE_MAX = 50 << 20, /* zipped, sent directly (Lambda quotas) */
	LAMBDA_TRIES = 5,              /* of a call that meets 429, 5xx or a lost connection */
};

struct lambda_options {
	const char *store, *function, *role, *arch, *worker, *package, *output, *document;
	unsigned memory, tmp, timeout;
	bool json;
};

/* --- the session ------------------------------------------------------------------------------
 */

struct lambda_session {
	struct settings *settings;
	struct net *net;
	struct aws_config *config;
	struct aws *aws;
	char *function, *region, *endpoint;
	/* Of one call, to be changed by whoever cannot wait: 0: LAMBDA_TRIES; 0: no limit. */
	unsigned tries;
	int64_t whole_ms;
};

/* The settings alone: function and region, nothing that talks to anybody. */
int lambda_session_read(const struct lambda_options *o, struct lambda_session *s,
                        struct error *err);
int lambda_session_open(const struct lambda_options *o, struct lambda_session *s,
                        struct error *err);
void lambda_session_release(struct lambda_session *s);

/* One request, sent once, of which path, query and http are given; the path follows the endpoint's.
 * What comes, also a refusal, is the caller's to judge and to release. -EINVAL: the endpoint is no
 * URL; else response->code. */
int lambda_ask(struct lambda_session *s, const struct aws_request *request,
               struct http_response *response, struct error *err);
/* One call; path follows the endpoint ("/2015-03-31/functions/NAME"), perhaps with a query, body
 * may be NULL. *out (may be NULL) is the answer, to be given back. -ENOENT: Lambda knows no such
 * function; -EEXIST: there is one already; -EBUSY: it is being changed just now; -EACCES: not
 * allowed; else -EIO. */
int lambda_call(struct lambda_session *s, const char *method, const char *path, const json_t *body,
                json_t **out, struct error *err);
/* The function's configuration. */
int lambda_look(struct lambda_session *s, json_t **out, struct error *err);
/* How many of it may run at once: what is reserved for it, or what the account has left. */
int lambda_concurrency(struct lambda_session *s, json_int_t *out, bool *reserved,
                       struct error *err);
/* Of an object that Lambda answered with; "" and 0 where there is none. */
const char *lambda_text(const json_t *object, const char *name);
json_int_t lambda_number(const json_t *object, const char *name);

/* --- packages (cmd_lambda_package.c, cmd_lambda_zip.c) ----------------------------------------
 */

/* Which version a package is of and for which machine: noted in it. */
struct lambda_package {
	struct buf zip;
	char *version, *arch; /* "x86_64", "arm64" */
};
void lambda_package_release(struct lambda_package *p);
/* Of the worker that belongs to this ggfs, or of the program named. -EINVAL: of another version, or
 * none at all; -EFBIG: too large for Lambda. */
int lambda_package_make(const char *worker, struct lambda_package *out, struct error *err);
/* A file that `ggfs lambda package` wrote. */
int lambda_package_read(const char *path, struct lambda_package *out, struct error *err);

/* What a program needs: its loader ("" when it is static), yours to free, and the absolute paths of
 * its libraries, by name. */
int lambda_program_needs(const char *program, char **loader, struct strv *libraries,
                         struct error *err);

struct zip;
struct zip *zip_new(void);
/* The contents of a file, or these bytes; each name once, in the order of names. */
int zip_add_file(struct zip *z, const char *name, const char *path, bool executable,
                 struct error *err);
int zip_add(struct zip *z, const char *name, const void *bytes, size_t len, bool executable,
            struct error *err);
int zip_finish(struct zip *z, struct buf *out, struct error *err);
void zip_free(struct zip *z); /* NULL is fine */
/* The contents of one entry of at most max bytes. -ENOENT: there is none. */
int zip_find(const void *bytes, size_t len, const char *name, size_t max, struct buf *out,
             struct error *err);

/* --- actions ---------------------------------------------------------------------------------
 */

/* Each returns an exit code, having said what it did. */
int lambda_deploy(const struct lambda_options *o);
int lambda_policy(const struct lambda_options *o);

#endif
