#include "objstore/s3_xml.h"

#include <ctype.h>
#include <expat.h>
#include <string.h>

struct reading {
	XML_Parser parser;
	struct buf text; /* of the element we are in */
	unsigned depth;
	bool malformed;
	/* Of a page: */
	struct s3_page page;
	struct s3_listed item;
	bool is_page, in_contents, truncated, url_encoded, has_size;
	/* Of an upload: */
	char *upload_id;
	bool is_upload;
};

static void refuse(struct reading *r)
{
	r->malformed = true;
	XML_StopParser(r->parser, XML_FALSE);
}

static void XMLCALL on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	struct reading *r = arg;
	(void)attributes;
	buf_reset(&r->text);
	if (++r->depth > S3_XML_DEPTH_MAX) {
		refuse(r);
		return;
	}
	if (r->depth == 1) {
		r->is_page = strcmp(name, "ListBucketResult") == 0;
		r->is_upload = strcmp(name, "InitiateMultipartUploadResult") == 0;
	} else if (r->depth == 2 && strcmp(name, "Contents") == 0) {
		r->in_contents = true;
		r->has_size = false;
	}
}

static void XMLCALL on_text(void *arg, const XML_Char *text, int len)
{
	struct reading *r = arg;
	if (r->text.len + (size_t)len > S3_TEXT_BYTES_MAX)
		refuse(r);
	else
		buf_add(&r->text, text, (size_t)len);
}

static void take_text(struct reading *r, char **into)
{
	free(*into);
	*into = buf_steal(&r->text, NULL);
}

static void take_size(struct reading *r)
{
	const char *digits = r->text.data ? r->text.data : "";
	size_t len = strlen(digits);
	if (len == 0 || len > 18 || strspn(digits, "0123456789") != len) {
		refuse(r);
		return;
	}
	r->item.size_bytes = strtoull(digits, NULL, 10);
	r->has_size = true;
}

static void end_contents(struct reading *r)
{
	r->in_contents = false;
	if (!r->item.key || !r->has_size || r->page.count == S3_PAGE_KEYS_MAX) {
		refuse(r);
		return;
	}
	array_grow(r->page.items, r->page.count, r->page.capacity);
	r->page.items[r->page.count++] = r->item;
	r->item = (struct s3_listed){ 0 };
}

static void end_in_page(struct reading *r, const char *name)
{
	if (strcmp(name, "Contents") == 0)
		end_contents(r);
	else if (strcmp(name, "IsTruncated") == 0)
		r->truncated = r->text.data && strcmp(r->text.data, "true") == 0;
	else if (strcmp(name, "EncodingType") == 0)
		r->url_encoded = r->text.data && strcmp(r->text.data, "url") == 0;
	else if (strcmp(name, "NextContinuationToken") == 0)
		take_text(r, &r->page.next);
}

static void XMLCALL on_end(void *arg, const XML_Char *name)
{
	struct reading *r = arg;
	if (r->depth == 2 && r->is_page)
		end_in_page(r, name);
	else if (r->depth == 2 && r->is_upload && strcmp(name, "UploadId") == 0)
		take_text(r, &r->upload_id);
	else if (r->depth == 3 && r->in_contents && strcmp(name, "Key") == 0)
		take_text(r, &r->item.key);
	else if (r->depth == 3 && r->in_contents && strcmp(name, "Size") == 0)
		take_size(r);
	buf_reset(&r->text);
	r->depth--;
}

/* Nothing we read has a document type, and entities are of no use but to do harm. */
static void XMLCALL on_doctype(void *arg, const XML_Char *name, const XML_Char *system_id,
                               const XML_Char *public_id, int has_internal_subset)
{
	(void)name, (void)system_id, (void)public_id, (void)has_internal_subset;
	refuse(arg);
}

static int parse(struct reading *r, const char *text, size_t len, struct error *err)
{
	if (len > S3_PAGE_BYTES_MAX)
		return error_set(err, -EPROTO, "an answer of %zu bytes is too large", len);
	r->parser = XML_ParserCreate(NULL);
	if (!r->parser)
		return error_set(err, -ENOMEM, "no memory for a parser");
	XML_SetUserData(r->parser, r);
	XML_SetElementHandler(r->parser, on_start, on_end);
	XML_SetCharacterDataHandler(r->parser, on_text);
	XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
	enum XML_Status status = XML_Parse(r->parser, text, (int)len, 1);
	int fault = XML_GetErrorCode(r->parser);
	XML_ParserFree(r->parser);
	if (status == XML_STATUS_OK && !r->malformed)
		return 0;
	return error_set(err, -EPROTO, "the answer is not the XML of S3: %s",
	                 r->malformed ? "not as documented, or past a limit"
	                              : XML_ErrorString(fault));
}

static void release(struct reading *r)
{
	buf_release(&r->text);
	s3_page_release(&r->page);
	free(r->item.key);
	free(r->upload_id);
}

void s3_page_release(struct s3_page *page)
{
	for (size_t i = 0; i < page->count; i++)
		free(page->items[i].key);
	free(page->items);
	free(page->next);
	*page = (struct s3_page){ 0 };
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

/* In place. A '+' is a space, as in a form. */
static bool percent_decode(char *text)
{
	char *to = text;
	for (const char *from = text; *from; from++) {
		if (*from != '%') {
			*to++ = *from == '+' ? ' ' : *from;
			continue;
		}
		int high = hex_value(from[1]), low = high < 0 ? -1 : hex_value(from[2]);
		if (low < 0 || (high == 0 && low == 0))
			return false;
		*to++ = (char)(high << 4 | low);
		from += 2;
	}
	*to = '\0';
	return true;
}

static int finish_page(struct reading *r, struct error *err)
{
	if (!r->is_page)
		return error_set(err, -EPROTO, "the answer is not a list of objects");
	if (r->truncated && !r->page.next)
		return error_set(err, -EPROTO, "a list is cut short without saying how it goes on");
	for (size_t i = 0; r->url_encoded && i < r->page.count; i++)
		if (!percent_decode(r->page.items[i].key))
			return error_set(err, -EPROTO, "a key in a list is encoded wrongly");
	if (!r->truncated) {
		free(r->page.next);
		r->page.next = NULL;
	}
	return 0;
}

int s3_page_parse(const char *text, size_t len, struct s3_page *out, struct error *err)
{
	struct reading r = { 0 };
	int result = parse(&r, text, len, err);
	if (result == 0)
		result = finish_page(&r, err);
	if (result == 0) {
		*out = r.page;
		r.page = (struct s3_page){ 0 };
	}
	release(&r);
	return result;
}

int s3_upload_parse(const char *text, size_t len, char **upload_id, struct error *err)
{
	struct reading r = { 0 };
	int result = parse(&r, text, len, err);
	if (result == 0 && (!r.upload_id || !*r.upload_id))
		result = error_set(err, -EPROTO, "the answer names no upload");
	if (result == 0)
		*upload_id = steal(&r.upload_id);
	release(&r);
	return result;
}

void s3_complete_format(const char *const *etags, size_t count, struct buf *b)
{
	buf_add_str(b,
	            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (size_t i = 0; i < count; i++) {
		buf_add_format(b, "<Part><PartNumber>%zu</PartNumber><ETag>", i + 1);
		for (const char *c = etags[i]; *c; c++) {
			if (*c == '&')
				buf_add_str(b, "&amp;");
			else if (*c == '<')
				buf_add_str(b, "&lt;");
			else
				buf_add_char(b, *c);
		}
		buf_add_str(b, "</ETag></Part>");
	}
	buf_add_str(b, "</CompleteMultipartUpload>");
}
