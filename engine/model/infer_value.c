/* Requests and answers as values: apart from the models, for the stand-in that only passes them on.
 */
#include "engine/model/infer.h"

void infer_request_release(struct infer_request *r)
{
	strv_release(&r->argv);
	strv_release(&r->env);
	strv_release(&r->eager);
	free(r->cwd);
	free(r->tool);
	free(r->discovery);
	*r = (struct infer_request){ 0 };
}

void infer_answer_release(struct infer_answer *a)
{
	free(a->reason);
	strv_release(&a->argv);
	for (size_t i = 0; i < a->file_count; i++) {
		free(a->files[i].path);
		free(a->files[i].bytes);
	}
	free(a->files);
	*a = (struct infer_answer){ 0 };
}
