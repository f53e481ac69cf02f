#include "tests/unit/worker/jwt_maker.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <stdlib.h>
#include <string.h>

static void must(bool good)
{
	if (!good)
		abort();
}

void base64url_add(struct buf *b, const void *bytes, size_t len)
{
	size_t padded = (len + 2) / 3 * 4;
	scoped_free char *text = xmalloc(padded + 1);
	EVP_EncodeBlock((uint8_t *)text, bytes, (int)len);
	for (char *c = text; *c && *c != '='; c++)
		buf_add_char(b, *c == '+' ? '-' : *c == '/' ? '_' : *c);
}

/* r and s, 32 bytes each, from the DER that OpenSSL makes. */
static void raw_of_der(struct buf *signature)
{
	const uint8_t *der = (const uint8_t *)signature->data;
	uint8_t raw[64];
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &der, (long)signature->len);
	must(s && BN_bn2binpad(ECDSA_SIG_get0_r(s), raw, 32) == 32 &&
	     BN_bn2binpad(ECDSA_SIG_get0_s(s), raw + 32, 32) == 32);
	ECDSA_SIG_free(s);
	buf_reset(signature);
	buf_add(signature, raw, sizeof(raw));
}

void sign_bytes(EVP_PKEY *key, const void *bytes, size_t bytes_len, struct buf *out)
{
	uint8_t signature[1024];
	size_t len = sizeof(signature);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	must(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
	     EVP_DigestSign(context, signature, &len, bytes, bytes_len) == 1);
	EVP_MD_CTX_free(context);
	buf_add(out, signature, len);
	if (EVP_PKEY_is_a(key, "EC"))
		raw_of_der(out);
}

char *make_unsigned(const char *header, const char *claims)
{
	struct buf b = BUF_INIT;
	base64url_add(&b, header, strlen(header));
	buf_add_char(&b, '.');
	base64url_add(&b, claims, strlen(claims));
	return buf_steal(&b, NULL);
}

char *make_token(EVP_PKEY *key, const char *header, const char *claims)
{
	struct buf token = BUF_INIT;
	scoped_buf struct buf signature = BUF_INIT;
	scoped_free char *text = make_unsigned(header, claims);
	sign_bytes(key, text, strlen(text), &signature);
	buf_add_format(&token, "%s.", text);
	base64url_add(&token, signature.data, signature.len);
	return buf_steal(&token, NULL);
}

static void add_number(struct buf *out, EVP_PKEY *key, const char *param, const char *name, int len)
{
	uint8_t bytes[1024];
	BIGNUM *n = NULL;
	must(EVP_PKEY_get_bn_param(key, param, &n) == 1);
	len = len ? len : BN_num_bytes(n);
	must(BN_bn2binpad(n, bytes, len) == len);
	BN_free(n);
	buf_add_format(out, ",\"%s\":\"", name);
	base64url_add(out, bytes, (size_t)len);
	buf_add_char(out, '"');
}

char *make_jwk(EVP_PKEY *key, const char *kid, const char *more)
{
	struct buf b = BUF_INIT;
	if (EVP_PKEY_is_a(key, "RSA")) {
		buf_add_str(&b, "{\"kty\":\"RSA\"");
		add_number(&b, key, OSSL_PKEY_PARAM_RSA_N, "n", 0);
		add_number(&b, key, OSSL_PKEY_PARAM_RSA_E, "e", 0);
	} else {
		buf_add_str(&b, "{\"kty\":\"EC\",\"crv\":\"P-256\"");
		add_number(&b, key, OSSL_PKEY_PARAM_EC_PUB_X, "x", 32);
		add_number(&b, key, OSSL_PKEY_PARAM_EC_PUB_Y, "y", 32);
	}
	if (kid)
		buf_add_format(&b, ",\"kid\":\"%s\"", kid);
	buf_add_format(&b, "%s}", more);
	return buf_steal(&b, NULL);
}
