/* Whatever answers in S3's stead: a page is within its limits, an upload has a name, or it is
 * -EPROTO. And whatever is taken for one of our keys is the key of its digest. */
#include <stdlib.h>

#include "objstore/s3_place.h"
#include "objstore/s3_xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_key(const char *key)
{
	static char prefix[] = "p/";
	const struct s3_place place = { .prefix = prefix };
	struct digest d;
	if (!s3_key_parse(&place, S3_OBJECTS, key, &d))
		return;
	scoped_free char *again = s3_key(&place, S3_OBJECTS, &d);
	if (strcmp(again, key) != 0)
		abort();
}

static void check_page(const struct s3_page *page)
{
	if (page->count > S3_PAGE_KEYS_MAX ||
	    (page->next && strlen(page->next) > S3_TEXT_BYTES_MAX))
		abort();
	for (size_t i = 0; i < page->count; i++) {
		if (strlen(page->items[i].key) > S3_TEXT_BYTES_MAX)
			abort();
		check_key(page->items[i].key);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_INIT;
	scoped(scoped_s3_page_) struct s3_page page = { 0 };
	scoped_free char *upload_id = NULL;
	int r = s3_page_parse((const char *)data, size, &page, &err);
	if (r == 0)
		check_page(&page);
	else if (r != -EPROTO || !err.text[0] || page.count)
		abort();
	r = s3_upload_parse((const char *)data, size, &upload_id, &err);
	if (r == 0 ? !*upload_id : r != -EPROTO || upload_id)
		abort();
	return 0;
}
