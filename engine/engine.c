#include "engine/engine.h"

void engine_result_release(struct engine_result *r)
{
	memo_release(&r->memo);
	free(r->reason);
	free(r->stderr_tail);
	for (size_t i = 0; i < r->also_count; i++)
		engine_result_release(&r->also[i]);
	free(r->also);
	*r = (struct engine_result){ 0 };
}
