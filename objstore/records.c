/* The index's records as values: apart from SQLite, for those who only pass them on. */
#include <stdlib.h>

#include "objstore/index.h"

void failure_release(struct failure *f)
{
	free(f->reason);
	free(f->stderr_tail);
	free(f->engine);
	*f = (struct failure){ 0 };
}

void log_record_release(struct log_record *r)
{
	free(r->label);
	free(r->asker);
	free(r->engine);
	free(r->stderr_tail);
	*r = (struct log_record){ 0 };
}
