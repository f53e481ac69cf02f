#include <string.h>

#include "common/io.h"
#include "tools/lambda_local/lambda.h"

struct function *function_find(struct service *s, const char *name)
{
	for (struct function *f = s->functions; f; f = f->next)
		if (!f->deleted && strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

struct function *function_new(struct service *s, const char *name)
{
	struct function *f = xcalloc(1, sizeof(*f));
	*f = (struct function){
		.service = s,
		.name = xstrdup(name),
		.arn = xformat("arn:aws:lambda:%s:%s:function:%s", s->options->region,
		               s->options->account, name),
		.reserved = -1,
		.created_ms = now_ms(),
		.starts_left = s->options->scaling,
		.starts_at_ms = now_ms(),
		.next = s->functions,
	};
	s->functions = f;
	return f;
}

static void function_free(struct function *f)
{
	struct function **at = &f->service->functions;
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	free(f->published);
	free(f->name);
	free(f->arn);
	free(f);
}

void function_delete(struct function *f)
{
	f->deleted = true;
	f->references++; /* while its versions go, one by one */
	struct version *latest = steal(&f->latest);
	if (latest) {
		instance_retire(latest);
		version_put(latest);
	}
	for (size_t i = 0; i < f->published_count; i++) {
		instance_retire(f->published[i]);
		version_put(f->published[i]);
	}
	f->published_count = 0;
	if (--f->references == 0)
		function_free(f);
}

struct version *function_version(struct function *f, const char *qualifier)
{
	if (!*qualifier || strcmp(qualifier, "$LATEST") == 0)
		return f->latest;
	for (size_t i = 0; i < f->published_count; i++)
		if (strcmp(f->published[i]->name, qualifier) == 0)
			return f->published[i];
	return NULL;
}

void function_set_latest(struct function *f, struct version *v)
{
	struct version *before = f->latest;
	f->latest = v;
	if (before) {
		f->updated_ms = now_ms();
		instance_retire(before);
		version_put(before);
	}
}

struct version *function_publish(struct function *f, const char *description)
{
	if (f->published_count >= VERSIONS_MAX)
		return NULL;
	const struct version *from = f->latest;
	struct version *v = xcalloc(1, sizeof(*v));
	*v = *from;
	v->references = 1;
	v->idle = NULL;
	v->config = json_deep_copy(from->config);
	if (description)
		json_object_set_new(v->config, "Description", json_string(description));
	if (v->package)
		v->package->references++;
	f->references++;
	snprintf(v->name, sizeof(v->name), "%u", ++f->versions_made);
	array_grow(f->published, f->published_count, f->published_capacity);
	f->published[f->published_count++] = v;
	return v;
}

struct version *version_ref(struct version *v)
{
	v->references++;
	return v;
}

void version_put(struct version *v)
{
	if (!v || --v->references)
		return;
	struct function *f = v->function;
	package_put(f->service, v->package);
	json_decref(v->config);
	free(v);
	if (--f->references == 0 && f->deleted)
		function_free(f);
}

bool function_pending(const struct function *f)
{
	return now_ms() < f->created_ms + f->service->options->pending_ms;
}

bool function_updating(const struct function *f)
{
	return f->updated_ms && now_ms() < f->updated_ms + f->service->options->pending_ms;
}

json_t *version_describe(const struct version *v)
{
	const struct function *f = v->function;
	json_t *o = json_copy(v->config);
	bool latest = strcmp(v->name, "$LATEST") == 0, pending = function_pending(f);
	scoped_free char *arn = latest ? xstrdup(f->arn) : xformat("%s:%s", f->arn, v->name);
	json_object_set_new(o, "FunctionName", json_string(f->name));
	json_object_set_new(o, "FunctionArn", json_string(arn));
	json_object_set_new(o, "Version", json_string(v->name));
	json_object_set_new(o, "CodeSha256", json_string(v->package ? v->package->sha256 : ""));
	json_object_set_new(o, "CodeSize",
	                    json_integer(v->package ? (json_int_t)v->package->size_bytes : 0));
	json_object_set_new(o, "State", json_string(pending ? "Pending" : "Active"));
	if (pending) {
		json_object_set_new(o, "StateReasonCode", json_string("Creating"));
		json_object_set_new(o, "StateReason",
		                    json_string("The function is being created."));
	}
	json_object_set_new(o, "LastUpdateStatus",
	                    json_string(pending || (latest && function_updating(f))
	                                        ? "InProgress"
	                                        : "Successful"));
	return o;
}
