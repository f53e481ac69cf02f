/* Any bytes as a placeholder, also such that only its ref is left to chance. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/placeholder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(const char *bytes, size_t len)
{
	struct ref ref = REF_INIT;
	struct error err = ERROR_INIT;
	char again[PLACEHOLDER_SIZE];
	if (placeholder_decode(bytes, len, &ref, &err) < 0) {
		if (!err.text[0] || ref.output)
			abort();
		return;
	}
	if (placeholder_encode(&ref, again, &err) < 0 || memcmp(again, bytes, sizeof(again)) != 0)
		abort();
	ref_release(&ref);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char head[] = PLACEHOLDER_FIRST_LINE "ggfs-placeholder 1\n";
	char bytes[PLACEHOLDER_SIZE];
	size_t room = sizeof(bytes) - strlen(head) - 1;
	decode((const char *)data, size);
	memset(bytes, ' ', sizeof(bytes));
	memcpy(bytes, head, strlen(head));
	if (size)
		memcpy(bytes + strlen(head), data, size < room ? size : room);
	bytes[sizeof(bytes) - 1] = '\n';
	decode(bytes, sizeof(bytes));
	return 0;
}
