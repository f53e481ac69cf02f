#include "engine/remote/wire_impl.h"

#include <inttypes.h>

/* --- writing -----------------------------------------------------------------------------------
 */

/* How many bytes the UTF-8 character at s takes; 0: it is none. RFC 3629. */
static size_t utf8_length(const uint8_t *s, size_t len)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	if (s[0] < 0x80)
		return 1;
	size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc0 ? 2 : 0;
	if (n == 0 || s[0] > 0xf4 || n > len)
		return 0;
	uint32_t code = s[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	bool surrogate = code >= 0xd800 && code <= 0xdfff;
	return code < least[n] || code > 0x10ffff || surrogate ? 0 : n;
}

void json_wire_add_bytes(struct buf *b, const char *bytes, size_t len)
{
	buf_add_char(b, '"');
	for (size_t i = 0; i < len;) {
		size_t plain = i;
		while (plain < len && bytes[plain] >= ' ' && bytes[plain] < 0x7f &&
		       bytes[plain] != '"' && bytes[plain] != '\\')
			plain++;
		buf_add(b, bytes + i, plain - i);
		i = plain;
		if (i == len)
			break;
		uint8_t c = (uint8_t)bytes[i];
		size_t n = utf8_length((const uint8_t *)bytes + i, len - i);
		if (n == 0 || c == 0)
			buf_add_str(b, "\xef\xbf\xbd");
		else if (c == '"' || c == '\\')
			buf_add_format(b, "\\%c", c);
		else if (c < ' ')
			buf_add_format(b, "\\u%04x", c);
		else
			buf_add(b, bytes + i, n);
		i += n ? n : 1;
	}
	buf_add_char(b, '"');
}

static void add_name(struct buf *b, const char *name)
{
	buf_add_str(b, ",\"");
	buf_add_str(b, name);
	buf_add_str(b, "\":");
}

void json_wire_add_text(struct buf *b, const char *name, const char *text)
{
	if (!text)
		return;
	add_name(b, name);
	json_wire_add_bytes(b, text, strlen(text));
}

void json_wire_add_number(struct buf *b, const char *name, uint64_t value)
{
	add_name(b, name);
	/* JSON's readers have signed numbers. */
	buf_add_format(b, "%" PRIu64, value > INT64_MAX ? (uint64_t)INT64_MAX : value);
}

void json_wire_add_true(struct buf *b, const char *name, bool value)
{
	if (!value)
		return;
	add_name(b, name);
	buf_add_str(b, "true");
}

void json_wire_add_digest(struct buf *b, const struct digest *d)
{
	struct digest_hex hex = digest_hex(d);
	buf_add_char(b, '"');
	buf_add(b, hex.text, DIGEST_HEX_SIZE);
	buf_add_char(b, '"');
}

/* --- reading -----------------------------------------------------------------------------------
 */

static int wrong_type(const char *name, struct error *err)
{
	return error_set(err, -EBADMSG, "\"%s\" is not what it should be", name);
}

int json_wire_parse(const char *text, size_t len, json_t **out, struct error *err)
{
	json_error_t reason;
	if (len > REMOTE_HTTP_BYTES_MAX)
		return error_set(err, -EFBIG, "a message of %zu bytes, at most %d can be", len,
		                 REMOTE_HTTP_BYTES_MAX);
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &reason);
	if (!root)
		return error_set(err, -EBADMSG, "not JSON: %s, at byte %d", reason.text,
		                 reason.position);
	const json_t *protocol = json_object_get(root, "protocol");
	if (!json_is_integer(protocol)) {
		json_decref(root);
		return error_set(err, -EBADMSG, "no message of ggfs: no \"protocol\"");
	}
	*out = root;
	json_int_t number = json_integer_value(protocol);
	if (number != REMOTE_PROTOCOL)
		return error_set(err, -EPROTO, "protocol %lld instead of %d", (long long)number,
		                 REMOTE_PROTOCOL);
	return 0;
}

int json_wire_text(const json_t *object, const char *name, char **out, struct error *err)
{
	const json_t *value = json_object_get(object, name);
	if (!value || json_is_null(value))
		return 0;
	if (!json_is_string(value))
		return wrong_type(name, err);
	if (json_string_length(value) > WIRE_TEXT_MAX)
		return error_set(err, -EFBIG, "\"%s\" is over %d bytes", name, WIRE_TEXT_MAX);
	free(*out);
	*out = xstrdup(json_string_value(value));
	return 0;
}

int json_wire_number(const json_t *object, const char *name, uint64_t max, uint64_t *out,
                     struct error *err)
{
	const json_t *value = json_object_get(object, name);
	if (!value || json_is_null(value))
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return wrong_type(name, err);
	if ((uint64_t)json_integer_value(value) > max)
		return error_set(err, -EFBIG, "\"%s\" is over %" PRIu64, name, max);
	*out = (uint64_t)json_integer_value(value);
	return 0;
}

int json_wire_bool(const json_t *object, const char *name, bool *out, struct error *err)
{
	const json_t *value = json_object_get(object, name);
	if (!value || json_is_null(value))
		return 0;
	if (!json_is_boolean(value))
		return wrong_type(name, err);
	*out = json_is_true(value);
	return 0;
}

int json_wire_digest_of(const json_t *value, const char *what, struct digest *out,
                        struct error *err)
{
	if (!json_is_string(value) ||
	    !digest_parse(json_string_value(value), json_string_length(value), out))
		return error_set(err, -EBADMSG, "%s is no digest", what);
	return 0;
}

int json_wire_digest(const json_t *object, const char *name, struct digest *out, struct error *err)
{
	const json_t *value = json_object_get(object, name);
	if (!value || json_is_null(value))
		return 0;
	int r = json_wire_digest_of(value, name, out, err);
	return r < 0 ? r : 1;
}

int json_wire_array(const json_t *object, const char *name, size_t max, json_t **out,
                    struct error *err)
{
	json_t *value = json_object_get(object, name);
	*out = NULL;
	if (!value || json_is_null(value))
		return 0;
	if (!json_is_array(value))
		return wrong_type(name, err);
	if (json_array_size(value) > max)
		return error_set(err, -EFBIG, "more than %zu \"%s\"", max, name);
	*out = value;
	return 0;
}
