#include "engine/engine.h"

void engine_result_release(struct engine_result *r)
{
	memo_release(&r->memo);
	free(r->reason);
	free(r->stderr_tail);
	*r = (struct engine_result){ 0 };
}
