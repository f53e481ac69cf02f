/* What a look finds, as a value: apart from the force, for those who only pass it on. */
#include "engine/force.h"

void force_look_release(struct force_look *look)
{
	ref_release(&look->ref);
	failure_release(&look->failure);
	*look = (struct force_look){ 0 };
}
