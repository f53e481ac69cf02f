#include "tools/json.h"

#include <stdio.h>
#include <string.h>

/* The length of the valid UTF-8 sequence at the front of text, or 0. */
static size_t utf8_length(const unsigned char *text, size_t len)
{
	static const struct {
		unsigned char mask, lead;
		size_t length;
		unsigned least;
	} kinds[] = { { 0x80, 0x00, 1, 0 },
		      { 0xe0, 0xc0, 2, 0x80 },
		      { 0xf0, 0xe0, 3, 0x800 },
		      { 0xf8, 0xf0, 4, 0x10000 } };
	for (size_t k = 0; k < 4; k++) {
		if ((text[0] & kinds[k].mask) != kinds[k].lead)
			continue;
		if (kinds[k].length > len)
			return 0;
		unsigned point = text[0] & (unsigned char)~kinds[k].mask;
		for (size_t i = 1; i < kinds[k].length; i++) {
			if ((text[i] & 0xc0) != 0x80)
				return 0;
			point = point << 6 | (text[i] & 0x3f);
		}
		bool surrogate = point >= 0xd800 && point <= 0xdfff;
		return point < kinds[k].least || point > 0x10ffff || surrogate ? 0
		                                                               : kinds[k].length;
	}
	return 0;
}

json_t *json_text_n(const char *text, size_t len)
{
	scoped_buf struct buf clean = BUF_INIT;
	for (size_t i = 0; i < len;) {
		size_t n = utf8_length((const unsigned char *)text + i, len - i);
		if (n && text[i])
			buf_add(&clean, text + i, n);
		else
			buf_add_str(&clean, "\xef\xbf\xbd");
		i += n ? n : 1;
	}
	return json_stringn(clean.data ? clean.data : "", clean.len);
}

json_t *json_text(const char *text)
{
	return text ? json_text_n(text, strlen(text)) : json_null();
}

json_t *json_digest(const struct digest *d)
{
	return json_string(digest_hex(d).text);
}

json_t *json_list(const struct strv *v)
{
	json_t *list = json_array();
	for (size_t i = 0; i < v->count; i++)
		json_array_append_new(list, json_text(v->items[i]));
	return list;
}

json_t *json_ref(const struct ref *ref)
{
	static const char *const kinds[] = {
		[REF_BLOB] = "blob", [REF_TREE] = "tree", [REF_THUNK] = "thunk"
	};
	json_t *o = json_object();
	json_object_set_new(o, "kind", json_string(kinds[ref->kind]));
	json_object_set_new(o, "digest", json_digest(&ref->digest));
	if (ref->kind != REF_THUNK)
		json_object_set_new(o, "size", json_integer((json_int_t)ref->size_bytes));
	if (ref->output)
		json_object_set_new(o, "output", json_text(ref->output));
	if (ref->selection)
		json_object_set_new(o, "selection", json_text(ref->selection));
	return o;
}

void json_print(json_t *value)
{
	json_dumpf(value, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(value);
}
