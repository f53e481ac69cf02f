#include <fcntl.h>
#include <string.h>

#include "common/io.h"
#include "tools/lambda_local/lambda.h"

/* What is not AWS's: /_ggfs/, for whoever tests. Unsigned. */

static void get_code(struct service *s, struct web_request *r, const char *name)
{
	struct web_answer a = { .status = 200 };
	struct error err = ERROR_INIT;
	const char *slash = strchr(name, '/');
	scoped_free char *function = slash ? xstrndup(name, (size_t)(slash - name)) : xstrdup(name);
	struct function *f = function_find(s, function);
	struct version *v = f ? function_version(f, slash ? slash + 1 : "") : NULL;
	if (!v || !v->package ||
	    read_file_at(AT_FDCWD, v->package->zip, &a.body, PACKAGE_ZIP_MAX, &err) < 0) {
		buf_release(&a.body);
		answer_error(r, 404, "NoSuchKey", NULL, "there is no such package");
		return;
	}
	strv_add(&a.headers, "Content-Type: application/zip");
	web_answer(r, &a);
}

/* All instances end, as Lambda lets them now and then: idle ones at once, others after their work.
 */
static void recycle(struct service *s, struct web_request *r)
{
	for (struct function *f = s->functions; f; f = f->next) {
		if (f->latest)
			instance_retire(f->latest);
		for (size_t i = 0; i < f->published_count; i++)
			instance_retire(f->published[i]);
	}
	answer_empty(r, 204);
}

static void set_faults(struct service *s, struct web_request *r)
{
	struct error err = ERROR_INIT;
	if (faults_parse(&s->faults, r->body.data ? r->body.data : "", &err) < 0)
		answer_error(r, 400, "InvalidParameterValueException", NULL, "%s",
		             error_text(&err));
	else
		answer_empty(r, 204);
}

void control_handle(struct service *s, struct web_request *r)
{
	static const char code[] = "/_ggfs/code/";
	bool get = strcmp(r->method, "GET") == 0, post = strcmp(r->method, "POST") == 0;
	if (get && strcmp(r->path, "/_ggfs/counters") == 0)
		answer_json(r, 200, service_counters(s));
	else if (get && strncmp(r->path, code, sizeof(code) - 1) == 0)
		get_code(s, r, r->path + sizeof(code) - 1);
	else if (post && strcmp(r->path, "/_ggfs/recycle") == 0)
		recycle(s, r);
	else if (post && strcmp(r->path, "/_ggfs/faults") == 0)
		set_faults(s, r);
	else
		answer_error(r, 404, "UnknownOperationException", NULL, "there is no such path");
}
