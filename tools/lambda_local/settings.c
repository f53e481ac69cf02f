#include <string.h>
#include <time.h>

#include "tools/lambda_local/lambda.h"

/* Settings of a function as requests bring them, and their bounds (Lambda quotas, API reference of
 * CreateFunction). */
enum {
	MEMORY_MIB_MIN = 128,
	MEMORY_MIB_MAX = 10240,
	TMP_MIB_MIN = 512,
	TMP_MIB_MAX = 10240,
	TIMEOUT_S_DEFAULT = 3,
	TIMEOUT_S_MAX = 900,
	ENVIRONMENT_BYTES_MAX = 4096,
};

static json_t *defaults(void)
{
	return json_pack("{s:s,s:s,s:i,s:i,s:{s:i},s:[s],s:s,s:s,s:{s:s}}", "Description", "",
	                 "Handler", "bootstrap", "Timeout", TIMEOUT_S_DEFAULT, "MemorySize",
	                 MEMORY_MIB_MIN, "EphemeralStorage", "Size", TMP_MIB_MIN, "Architectures",
#if defined(__aarch64__)
	                 "arm64",
#else
	                 "x86_64",
#endif
	                 "Runtime", "provided.al2023", "PackageType", "Zip", "TracingConfig",
	                 "Mode", "PassThrough");
}

static int bounded(const json_t *value, const char *name, json_int_t min, json_int_t max,
                   unsigned *out, struct error *err)
{
	json_int_t n = json_integer_value(value);
	if (!json_is_integer(value) || n < min || n > max)
		return error_set(err, -EINVAL,
		                 "1 validation error detected: Value '%lld' at '%s' failed to "
		                 "satisfy constraint: Member must be between %lld and %lld",
		                 (long long)n, name, (long long)min, (long long)max);
	*out = (unsigned)n;
	return 0;
}

/* Lambda sets these itself. */
static bool is_reserved(const char *name)
{
	static const char *const reserved[] = {
		"_HANDLER",          "_X_AMZN_TRACE_ID",      "AWS_DEFAULT_REGION",
		"AWS_REGION",        "AWS_EXECUTION_ENV",     "AWS_ACCESS_KEY",
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
		"LAMBDA_TASK_ROOT",  "LAMBDA_RUNTIME_DIR",    "AWS_LAMBDA_RUNTIME_API",
	};
	if (strncmp(name, "AWS_LAMBDA_", 11) == 0)
		return true;
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (strcmp(name, reserved[i]) == 0)
			return true;
	return false;
}

static int check_environment(const json_t *environment, struct error *err)
{
	const char *name;
	json_t *value;
	size_t bytes = 0;
	json_t *variables = json_object_get(environment, "Variables");
	json_object_foreach(variables, name, value)
	{
		if (!json_is_string(value))
			return error_set(err, -EINVAL, "the value of variable %s is no string",
			                 name);
		if (is_reserved(name))
			return error_set(err, -EINVAL,
			                 "Lambda was unable to configure your environment "
			                 "variables because the environment variables you have "
			                 "provided contains reserved keys that are currently not "
			                 "supported for modification. Reserved keys used in this "
			                 "request: %s",
			                 name);
		bytes += strlen(name) + json_string_length(value);
	}
	if (bytes > ENVIRONMENT_BYTES_MAX)
		return error_set(err, -EINVAL,
		                 "Lambda was unable to configure your environment variables "
		                 "because the environment variables you have provided exceeded "
		                 "the 4KB limit.");
	return 0;
}

static int check_strings(const json_t *config, struct error *err)
{
	static const char *const names[] = { "Description", "Handler", "Runtime", "Role" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const json_t *value = json_object_get(config, names[i]);
		if (value && !json_is_string(value))
			return error_set(err, -EINVAL, "%s is no string", names[i]);
	}
	const json_t *role = json_object_get(config, "Role");
	if (!role || strncmp(json_string_value(role), "arn:", 4) != 0)
		return error_set(err, -EINVAL,
		                 "1 validation error detected: Value at 'role' failed to satisfy "
		                 "constraint: Member must satisfy regular expression pattern: "
		                 "arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+");
	const char *runtime = json_string_value(json_object_get(config, "Runtime"));
	if (strncmp(runtime ? runtime : "", "provided", 8) != 0)
		return error_set(err, -EINVAL,
		                 "this Lambda has no managed runtimes: runtime '%s' is not "
		                 "provided.al2023 or provided.al2",
		                 runtime ? runtime : "");
	return 0;
}

static int check(struct version *v, struct error *err)
{
	const json_t *config = v->config;
	const json_t *tmp = json_object_get(json_object_get(config, "EphemeralStorage"), "Size");
	int r;
	if ((r = bounded(json_object_get(config, "MemorySize"), "memorySize", MEMORY_MIB_MIN,
	                 MEMORY_MIB_MAX, &v->memory_mib, err)) < 0 ||
	    (r = bounded(json_object_get(config, "Timeout"), "timeout", 1, TIMEOUT_S_MAX,
	                 &v->timeout_s, err)) < 0 ||
	    (r = bounded(tmp, "ephemeralStorage.size", TMP_MIB_MIN, TMP_MIB_MAX, &v->tmp_mib,
	                 err)) < 0 ||
	    (r = check_strings(config, err)) < 0)
		return r;
	return check_environment(json_object_get(config, "Environment"), err);
}

static void set_revision(json_t *config)
{
	char id[REQUEST_ID_LEN + 1], text[64];
	struct timespec now;
	struct tm parts;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &parts);
	size_t len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(text + len, sizeof(text) - len, ".%03ld+0000", now.tv_nsec / 1000000);
	json_object_set_new(config, "LastModified", json_string(text));
	request_id_make(id);
	json_object_set_new(config, "RevisionId", json_string(id));
}

int version_new(struct function *f, const struct version *before, json_t *request,
                struct package *package, struct version **out, struct error *err)
{
	static const char *const taken[] = { "Description", "Handler", "Timeout",
		                             "MemorySize",  "Role",    "EphemeralStorage",
		                             "Environment", "Runtime", "Architectures" };
	struct version *v = xcalloc(1, sizeof(*v));
	v->config = before ? json_deep_copy(before->config) : defaults();
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		json_t *value = json_object_get(request, taken[i]);
		if (value && !json_is_null(value))
			json_object_set(v->config, taken[i], value);
	}
	int r = check(v, err);
	if (r < 0) {
		json_decref(v->config);
		free(v);
		return r;
	}
	set_revision(v->config);
	v->references = 1;
	v->function = f;
	f->references++;
	v->package = package ? package : before ? before->package : NULL;
	if (v->package)
		v->package->references++;
	snprintf(v->name, sizeof(v->name), "$LATEST");
	*out = v;
	return 0;
}
