/* Tokens ('t') and sets of keys ('k'): the first byte says which. What is taken has all an ID token
 * has; no token that was not signed by one of these keys is taken for one that was. */
#include <stdlib.h>
#include <string.h>

#include "common/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Keys whose other halves were thrown away. */
static const char keys_text[] =
        "{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\",\"kid\":\"r\",\"n\":\"wUQKXm_KSC_"
        "60u3e2tLjX4KXpZaUeMlw6C-"
        "xfuowQ4xwLojsl0qtjaEFikWNdHQWEA8Ru5e3B6CZXgjcpPpPzaL3ju2YP0iAanGjbxll3CQV6F9CesKwKuieq4jPN"
        "s2_0DXusVWBKUwmr5zOfK7v4UPPCA4_"
        "JFWdytFpAWxWZdNal2FIQCjzV5sWj3cfLcHvpfC0B6Ue2YiUPpsEKLoQDraxxe6u5uLl0TKguAtAqiAhOFDcbJ7Yiv"
        "fge_51_iUq_i1nD7k-Mj5vivl3DevzKvI9_Agm2VGVEVuPNGImVwAeiyr9Mfu-"
        "sO4k6WXOjlu6ggc0KlYmZctJVawOAc5lsw\"},"
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"e\",\"x\":\"WE5boUzLrJATRv6_PJ3qF041Zc-"
        "u5cCSB43THHHtLnc\",\"y\":\"qmP2iWbolDX8bAt8Ey5tHzEXaXvemkphLxBgO7ND2S0\"}]}";

static void try_keys(const char *text, size_t len, const struct jwt *t)
{
	struct error err = ERROR_INIT;
	struct jwt_keys *keys = NULL;
	int r = jwt_keys_parse(text, len, &keys, &err);
	if (r < 0) {
		if (r != -EINVAL || !err.text[0] || keys)
			abort();
		return;
	}
	if (jwt_keys_count(keys) > JWT_KEYS_MAX)
		abort();
	if (t && jwt_verify(t, keys, &err) == 0)
		abort();
	jwt_keys_free(keys);
}

static void try_token(const char *text, size_t len)
{
	struct error err = ERROR_INIT;
	struct jwt t = { 0 };
	int r = jwt_parse(text, len, &t, &err);
	if (r < 0) {
		if (r != -EINVAL || !err.text[0] || t.issuer || t.kid || t.audiences.items ||
		    t.signature.data)
			abort();
		return;
	}
	if (!t.issuer || !t.subject || t.audiences.count == 0 ||
	    t.audiences.count > JWT_AUDIENCES_MAX || t.expires_s < 0 || t.issued_s < 0 ||
	    t.signed_len >= len || memcmp(t.signed_text, text, t.signed_len) != 0)
		abort();
	const struct jwt_policy policy = { .issuer = t.issuer,
		                           .audience = t.audiences.items[0],
		                           .email = t.email,
		                           .subject = t.subject };
	if (jwt_check(&t, &policy, t.expires_s + JWT_LEEWAY_S, &err) == 0)
		abort();
	try_keys(keys_text, sizeof(keys_text) - 1, &t);
	jwt_release(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scoped_buf struct buf text = BUF_INIT; /* of its own, so that overruns are seen */
	if (!size)
		return 0;
	buf_add(&text, data + 1, size - 1);
	if (*data == 't')
		try_token(text.data ? text.data : "", text.len);
	else if (*data == 'k')
		try_keys(text.data ? text.data : "", text.len, NULL);
	return 0;
}
