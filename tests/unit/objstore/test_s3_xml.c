#include "tests/lib/test.h"

#include <string.h>

#include "objstore/s3_xml.h"

#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define LIST HEAD "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"

static int parse(const char *text, struct s3_page *page, struct error *err)
{
	return s3_page_parse(text, strlen(text), page, err);
}

static void page_has_its_keys_sizes_and_how_it_goes_on(void **state)
{
	(void)state;
	struct error err;
	scoped(scoped_s3_page_) struct s3_page page = { 0 };
	assert_ok(parse(LIST
	                "<EncodingType>url</EncodingType><Name>b</Name><Prefix>p</Prefix>"
	                "<IsTruncated>true</IsTruncated>"
	                "<NextContinuationToken>a+b/c=</NextContinuationToken>"
	                "<Contents><Key>x%20%C3%BC%2B%2541/k</Key><Size>5</Size>"
	                "<Owner><ID>Key</ID><Key>not this</Key></Owner></Contents>"
	                "<Contents><Size>0</Size><Key>a+b</Key></Contents>"
	                "<CommonPrefixes><Prefix>q</Prefix></CommonPrefixes></ListBucketResult>",
	                &page, &err));
	assert_int_equal(page.count, 2);
	assert_string_equal(page.items[0].key, "x \xc3\xbc+%41/k");
	assert_int_equal(page.items[0].size_bytes, 5);
	assert_string_equal(page.items[1].key, "a b");
	assert_string_equal(page.next, "a+b/c=");
}

static void keys_of_a_service_that_does_not_encode_are_taken_as_they_are(void **state)
{
	(void)state;
	struct error err;
	scoped(scoped_s3_page_) struct s3_page page = { 0 };
	assert_ok(parse(LIST
	                "<IsTruncated>false</IsTruncated><NextContinuationToken>x"
	                "</NextContinuationToken><Contents><Key>a+%41&amp;b</Key><Size>1</Size>"
	                "</Contents></ListBucketResult>",
	                &page, &err));
	assert_string_equal(page.items[0].key, "a+%41&b");
	assert_null(page.next);
}

static void what_is_no_list_of_objects_is_eproto_and_leaves_outputs_alone(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"",
		"<html><body>hello</body></html>",
		"not xml",
		LIST,
		LIST "<Contents><Key>k</Key></Contents></ListBucketResult>",
		LIST "<Contents><Size>1</Size></Contents></ListBucketResult>",
		LIST "<Contents><Key>k</Key><Size>-1</Size></Contents></ListBucketResult>",
		LIST "<Contents><Key>k</Key><Size>99999999999999999999</Size></Contents>"
		     "</ListBucketResult>",
		LIST "<IsTruncated>true</IsTruncated></ListBucketResult>",
		LIST
		"<EncodingType>url</EncodingType><Contents><Key>%4</Key><Size>1</Size></Contents>"
		"</ListBucketResult>",
		LIST
		"<EncodingType>url</EncodingType><Contents><Key>%00</Key><Size>1</Size></Contents>"
		"</ListBucketResult>",
		HEAD "<!DOCTYPE l [<!ENTITY a \"aaaa\">]><ListBucketResult></ListBucketResult>",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct error err;
		struct s3_page page = { .count = 77 };
		assert_error(parse(bad[i], &page, &err), -EPROTO);
		assert_int_equal(page.count, 77);
	}
}

static void limits_are_kept(void **state)
{
	(void)state;
	struct error err;
	struct s3_page page = { 0 };
	scoped_buf struct buf deep = BUF_INIT, many = BUF_INIT, text = BUF_INIT;
	for (int i = 0; i < S3_XML_DEPTH_MAX + 1; i++)
		buf_add_str(&deep, "<a>");
	assert_error(parse(deep.data, &page, &err), -EPROTO);
	buf_add_str(&many, LIST);
	for (int i = 0; i < S3_PAGE_KEYS_MAX + 1; i++)
		buf_add_str(&many, "<Contents><Key>k</Key><Size>1</Size></Contents>");
	buf_add_str(&many, "</ListBucketResult>");
	assert_error(parse(many.data, &page, &err), -EPROTO);
	buf_add_str(&text, LIST "<Contents><Key>");
	for (int i = 0; i < S3_TEXT_BYTES_MAX + 1; i++)
		buf_add_char(&text, 'k');
	buf_add_str(&text, "</Key><Size>1</Size></Contents></ListBucketResult>");
	assert_error(parse(text.data, &page, &err), -EPROTO);
}

static void upload_has_its_name(void **state)
{
	(void)state;
	struct error err;
	scoped_free char *id = NULL;
	static const char good[] = HEAD "<InitiateMultipartUploadResult><Bucket>b</Bucket>"
	                                "<Key>k</Key><UploadId>2~x&amp;y</UploadId>"
	                                "</InitiateMultipartUploadResult>";
	static const char bad[] = HEAD "<InitiateMultipartUploadResult><UploadId></UploadId>"
	                               "</InitiateMultipartUploadResult>";
	assert_ok(s3_upload_parse(good, strlen(good), &id, &err));
	assert_string_equal(id, "2~x&y");
	assert_error(s3_upload_parse(bad, strlen(bad), &id, &err), -EPROTO);
	assert_string_equal(id, "2~x&y");
}

static void completion_lists_parts_in_order_and_escapes(void **state)
{
	(void)state;
	static const char *const etags[] = { "\"one\"", "a&<b" };
	scoped_buf struct buf b = BUF_INIT;
	s3_complete_format(etags, 2, &b);
	assert_non_null(strstr(b.data,
	                       "<Part><PartNumber>1</PartNumber><ETag>\"one\"</ETag></Part>"
	                       "<Part><PartNumber>2</PartNumber><ETag>a&amp;&lt;b</ETag></Part>"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(page_has_its_keys_sizes_and_how_it_goes_on),
		cmocka_unit_test(keys_of_a_service_that_does_not_encode_are_taken_as_they_are),
		cmocka_unit_test(what_is_no_list_of_objects_is_eproto_and_leaves_outputs_alone),
		cmocka_unit_test(limits_are_kept),
		cmocka_unit_test(upload_has_its_name),
		cmocka_unit_test(completion_lists_parts_in_order_and_escapes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
