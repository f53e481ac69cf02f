#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/io.h"
#include "tools/cmd.h"
#include "tools/cmd_lambda.h"

enum {
	MEMORY_MIB_STANDARD = 1769, /* one whole processor */
	TMP_MIB_STANDARD = 512,
	TIMEOUT_S_STANDARD = 900,
	WAIT_MS_MAX = 5 * 60 * 1000, /* for the function to be ready */
	LOOK_MS_FIRST = 100,
	LOOK_MS_MAX = 2000,
};

static char *base64(const void *bytes, size_t len)
{
	char *text = xmalloc((len + 2) / 3 * 4 + 1);
	EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);
	return text;
}

static char *sha256_base64(const struct buf *b)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	EVP_Digest(b->data, b->len, digest, &len, EVP_sha256(), NULL);
	return base64(digest, len);
}

/* --- waiting ---------------------------------------------------------------------------------
 */

/* 1: ready; 0: not yet; or why it will never be. */
static int is_ready(const json_t *config, struct error *err)
{
	const char *state = lambda_text(config, "State"),
	           *update = lambda_text(config, "LastUpdateStatus");
	if (strcmp(state, "Failed") == 0)
		return error_set(err, -EIO, "the function cannot be made: %s",
		                 lambda_text(config, "StateReason"));
	if (strcmp(update, "Failed") == 0)
		return error_set(err, -EIO, "the function cannot be updated: %s",
		                 lambda_text(config, "LastUpdateStatusReason"));
	/* Inactive: nobody has called it for weeks; it wakes up by itself. */
	bool there = !*state || strcmp(state, "Active") == 0 || strcmp(state, "Inactive") == 0;
	return there && (!*update || strcmp(update, "Successful") == 0);
}

static void sleep_ms(int64_t ms)
{
	struct timespec wait = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	nanosleep(&wait, NULL);
}

/* Until it can be used, and changed. *out is its configuration then. */
static int wait_ready(struct lambda_session *s, json_t **out, struct error *err)
{
	int64_t until = now_ms() + WAIT_MS_MAX, pause = LOOK_MS_FIRST;
	for (;;) {
		json_t *config = NULL;
		int r = lambda_look(s, &config, err);
		if (r == 0)
			r = is_ready(config, err);
		if (r == 1) {
			*out = config;
			return 0;
		}
		json_decref(config);
		if (r < 0)
			return r;
		if (now_ms() > until)
			return error_set(err, -ETIMEDOUT,
			                 "the function %s is not ready after %d s: see ggfs lambda "
			                 "status",
			                 s->function, WAIT_MS_MAX / 1000);
		sleep_ms(pause);
		pause = 2 * pause < LOOK_MS_MAX ? 2 * pause : LOOK_MS_MAX;
	}
}

/* --- settings --------------------------------------------------------------------------------
 */

/* What is asked for; where nothing is: as it is (config), or the standard (config NULL). */
static json_t *wanted_settings(const struct lambda_options *o, const json_t *config,
                               const struct lambda_package *p)
{
	json_t *w = json_object();
	scoped_free char *description = xformat("ggfs-worker %s", p->version);
	unsigned memory = o->memory ? o->memory : config ? 0 : MEMORY_MIB_STANDARD;
	unsigned tmp = o->tmp ? o->tmp : config ? 0 : TMP_MIB_STANDARD;
	unsigned timeout = o->timeout ? o->timeout : config ? 0 : TIMEOUT_S_STANDARD;
	json_object_set_new(w, "Description", json_string(description));
	json_object_set_new(w, "Handler", json_string("bootstrap"));
	json_object_set_new(w, "Runtime", json_string("provided.al2023"));
	if (memory)
		json_object_set_new(w, "MemorySize", json_integer(memory));
	if (tmp)
		json_object_set_new(w, "EphemeralStorage", json_pack("{s:i}", "Size", (int)tmp));
	if (timeout)
		json_object_set_new(w, "Timeout", json_integer(timeout));
	if (o->role)
		json_object_set_new(w, "Role", json_string(o->role));
	return w;
}

static bool settings_stand(json_t *wanted, const json_t *config)
{
	const char *name;
	json_t *value;
	json_object_foreach(
	        (json_t *)wanted, name,
	        value) if (!json_equal(value, json_object_get(config, name))) return false;
	return true;
}

static int check_options(const struct lambda_options *o)
{
	if (o->worker && o->package)
		return cmd_usage("--worker and --package exclude each other");
	if (o->memory && (o->memory < 128 || o->memory > 10240))
		return cmd_usage("--memory wants 128 to 10240, not %u", o->memory);
	if (o->tmp && (o->tmp < 512 || o->tmp > 10240))
		return cmd_usage("--tmp wants 512 to 10240, not %u", o->tmp);
	if (o->timeout > 900)
		return cmd_usage("--timeout wants 1 to 900, not %u", o->timeout);
	if (o->arch && strcmp(o->arch, "x86_64") != 0 && strcmp(o->arch, "arm64") != 0)
		return cmd_usage("--arch wants x86_64 or arm64, not '%s'", o->arch);
	return 0;
}

/* --- creating and updating -------------------------------------------------------------------
 */

static int create(struct lambda_session *s, const struct lambda_options *o,
                  const struct lambda_package *p, struct error *err)
{
	if (!o->role)
		return error_set(err, -EINVAL,
		                 "there is no function %s yet: to make it, --role is needed, with "
		                 "the ARN of an IAM role that Lambda may take and that has what "
		                 "ggfs lambda policy --for role prints",
		                 s->function);
	scoped_free char *zip = base64(p->zip.data, p->zip.len);
	json_t *body = wanted_settings(o, NULL, p);
	json_object_set_new(body, "FunctionName", json_string(s->function));
	json_object_set_new(body, "Architectures", json_pack("[s]", p->arch));
	json_object_set_new(body, "Code", json_pack("{s:s}", "ZipFile", zip));
	int r = lambda_call(s, "POST", "/2015-03-31/functions", body, NULL, err);
	json_decref(body);
	if (r == 0)
		printf("%s: created, %zu bytes\n", s->function, p->zip.len);
	return r;
}

static int update_code(struct lambda_session *s, const struct lambda_package *p, json_t **config,
                       struct error *err)
{
	const json_t *arch = json_array_get(json_object_get(*config, "Architectures"), 0);
	scoped_free char *sha = sha256_base64(&p->zip);
	if (strcmp(sha, lambda_text(*config, "CodeSha256")) == 0 &&
	    strcmp(arch ? json_string_value(arch) : "x86_64", p->arch) == 0) {
		printf("%s: the code stands already\n", s->function);
		return 0;
	}
	scoped_free char *zip = base64(p->zip.data, p->zip.len);
	scoped_free char *path = xformat("/2015-03-31/functions/%s/code", s->function);
	json_t *body = json_pack("{s:s,s:[s]}", "ZipFile", zip, "Architectures", p->arch);
	int r = lambda_call(s, "PUT", path, body, NULL, err);
	json_decref(body);
	if (r < 0)
		return r;
	printf("%s: new code, %zu bytes\n", s->function, p->zip.len);
	json_decref(steal(config));
	return wait_ready(s, config, err);
}

static int update_settings(struct lambda_session *s, const struct lambda_options *o,
                           const struct lambda_package *p, json_t **config, struct error *err)
{
	scoped_free char *path = xformat("/2015-03-31/functions/%s/configuration", s->function);
	json_t *wanted = wanted_settings(o, *config, p);
	int r = 0;
	if (!settings_stand(wanted, *config)) {
		r = lambda_call(s, "PUT", path, wanted, NULL, err);
		if (r == 0) {
			printf("%s: new settings\n", s->function);
			json_decref(steal(config));
			r = wait_ready(s, config, err);
		}
	}
	json_decref(wanted);
	return r;
}

static int deploy(struct lambda_session *s, const struct lambda_options *o,
                  const struct lambda_package *p, struct error *err)
{
	json_t *config = NULL;
	int r = lambda_look(s, &config, err);
	if (r == -ENOENT) {
		r = create(s, o, p, err);
		if (r == 0)
			r = wait_ready(s, &config, err);
	} else if (r == 0) {
		json_decref(steal(&config));
		/* Somebody else may be at it. */
		r = wait_ready(s, &config, err);
		if (r == 0)
			r = update_code(s, p, &config, err);
		if (r == 0)
			r = update_settings(s, o, p, &config, err);
	}
	if (r == 0)
		printf("%s: ready: ggfs-worker %s, %lld MiB\n", s->function, p->version,
		       (long long)json_integer_value(json_object_get(config, "MemorySize")));
	json_decref(config);
	return r;
}

int lambda_deploy(const struct lambda_options *o)
{
	struct lambda_session s = { 0 };
	struct lambda_package p = { 0 };
	struct error err = ERROR_INIT;
	int wrong = check_options(o);
	if (wrong)
		return wrong;
	int r = o->package ? lambda_package_read(o->package, &p, &err)
	                   : lambda_package_make(o->worker, &p, &err);
	if (r == 0 && o->arch && strcmp(o->arch, p.arch) != 0)
		r = error_set(&err, -EINVAL,
		              "the worker is for %s, not for %s: make the package there with ggfs "
		              "lambda package, and give it with --package",
		              p.arch, o->arch);
	if (r == 0)
		r = lambda_session_open(o, &s, &err);
	if (r == 0)
		r = deploy(&s, o, &p, &err);
	lambda_session_release(&s);
	lambda_package_release(&p);
	return r < 0 ? cmd_fail(&err) : EXIT_OK;
}
