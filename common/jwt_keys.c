/* The keys that tokens are signed with, and the check of a signature. */
#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <string.h>

#include "common/base64.h"
#include "common/jwt.h"

enum { P256_BYTES = 32, RSA_EXPONENT_BYTES_MAX = 8 };

struct key {
	enum jwt_algorithm algorithm;
	char *kid; /* NULL: none */
	EVP_PKEY *pkey;
};

struct jwt_keys {
	struct key keys[JWT_KEYS_MAX];
	size_t count;
};

DEFINE_SCOPED(scoped_bignum_, BIGNUM, BN_free)
DEFINE_SCOPED(scoped_builder_, OSSL_PARAM_BLD, OSSL_PARAM_BLD_free)
DEFINE_SCOPED(scoped_params_, OSSL_PARAM, OSSL_PARAM_free)
DEFINE_SCOPED(scoped_key_context_, EVP_PKEY_CTX, EVP_PKEY_CTX_free)
DEFINE_SCOPED(scoped_digest_context_, EVP_MD_CTX, EVP_MD_CTX_free)
DEFINE_SCOPED(scoped_signature_, ECDSA_SIG, ECDSA_SIG_free)

/* --- keys --------------------------------------------------------------------------------------
 */

static EVP_PKEY *build(const char *type, OSSL_PARAM_BLD *builder)
{
	EVP_PKEY *pkey = NULL;
	scoped(scoped_params_) OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
	scoped(scoped_key_context_) EVP_PKEY_CTX *context =
	        EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	if (!params || !context || EVP_PKEY_fromdata_init(context) != 1 ||
	    EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		return NULL;
	return pkey;
}

static bool member(const json_t *jwk, const char *name, struct buf *out)
{
	const char *text = json_string_value(json_object_get(jwk, name));
	return text && base64url_decode(text, strlen(text), out) && out->len > 0;
}

static EVP_PKEY *rsa_key(const json_t *jwk)
{
	scoped_buf struct buf n = BUF_INIT, e = BUF_INIT;
	if (!member(jwk, "n", &n) || !member(jwk, "e", &e) || n.len > JWT_RSA_BITS_MAX / 8 ||
	    e.len > RSA_EXPONENT_BYTES_MAX)
		return NULL;
	scoped(scoped_bignum_) BIGNUM *modulus = BN_bin2bn((uint8_t *)n.data, (int)n.len, NULL);
	scoped(scoped_bignum_) BIGNUM *exponent = BN_bin2bn((uint8_t *)e.data, (int)e.len, NULL);
	scoped(scoped_builder_) OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	/* An exponent of 1 would make every number a signature of itself. */
	if (!modulus || !exponent || !builder || BN_num_bits(modulus) < JWT_RSA_BITS_MIN ||
	    !BN_is_odd(modulus) || !BN_is_odd(exponent) || BN_is_one(exponent) ||
	    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) != 1 ||
	    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent) != 1)
		return NULL;
	return build("RSA", builder);
}

static EVP_PKEY *p256_key(const json_t *jwk)
{
	const char *curve = json_string_value(json_object_get(jwk, "crv"));
	scoped_buf struct buf point = BUF_INIT, y = BUF_INIT;
	buf_add_char(&point, POINT_CONVERSION_UNCOMPRESSED);
	if (!curve || strcmp(curve, "P-256") != 0 || !member(jwk, "x", &point) ||
	    !member(jwk, "y", &y) || point.len != 1 + P256_BYTES || y.len != P256_BYTES)
		return NULL;
	buf_add(&point, y.data, y.len);
	scoped(scoped_builder_) OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	if (!builder ||
	    OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) != 1 ||
	    OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point.data,
	                                     point.len) != 1)
		return NULL;
	return build("EC", builder); /* which refuses a point that is not on the curve */
}

/* It may be left out, or must be this. */
static bool says(const json_t *jwk, const char *name, const char *wanted)
{
	const json_t *value = json_object_get(jwk, name);
	return !value || (json_is_string(value) && strcmp(json_string_value(value), wanted) == 0);
}

static void take_key(struct jwt_keys *keys, const json_t *jwk)
{
	const char *type = json_string_value(json_object_get(jwk, "kty"));
	const json_t *kid = json_object_get(jwk, "kid");
	struct key key = { 0 };
	if (!type || !says(jwk, "use", "sig") || (kid && !json_is_string(kid)))
		return;
	if (strcmp(type, "RSA") == 0 && says(jwk, "alg", "RS256")) {
		key.algorithm = JWT_RS256;
		key.pkey = rsa_key(jwk);
	} else if (strcmp(type, "EC") == 0 && says(jwk, "alg", "ES256")) {
		key.algorithm = JWT_ES256;
		key.pkey = p256_key(jwk);
	}
	if (!key.pkey)
		return;
	key.kid = kid ? xstrdup(json_string_value(kid)) : NULL;
	keys->keys[keys->count++] = key;
}

int jwt_keys_parse(const char *json, size_t len, struct jwt_keys **out, struct error *err)
{
	json_t *set = len <= JWT_KEYS_BYTES_MAX
	                      ? json_loadb(json, len, JSON_REJECT_DUPLICATES, NULL)
	                      : NULL;
	const json_t *list = json_object_get(set, "keys"), *jwk;
	struct jwt_keys *keys;
	size_t i;
	int r = 0;
	if (!json_is_array(list)) {
		r = error_set(err, -EINVAL, "what should be a set of keys is none");
	} else if (json_array_size(list) > JWT_KEYS_MAX) {
		r = error_set(err, -EINVAL, "a set of more than %d keys", JWT_KEYS_MAX);
	} else {
		keys = xcalloc(1, sizeof(*keys));
		json_array_foreach(list, i, jwk) take_key(keys, jwk);
		*out = keys;
	}
	json_decref(set);
	return r;
}

void jwt_keys_free(struct jwt_keys *keys)
{
	for (size_t i = 0; keys && i < keys->count; i++) {
		free(keys->keys[i].kid);
		EVP_PKEY_free(keys->keys[i].pkey);
	}
	free(keys);
}

size_t jwt_keys_count(const struct jwt_keys *keys)
{
	return keys->count;
}

/* --- signatures --------------------------------------------------------------------------------
 */

/* r and s one after the other (RFC 7518, section 3.4), as the DER that OpenSSL takes. */
static bool to_der(const struct buf *raw, struct buf *out)
{
	if (raw->len != 2 * P256_BYTES)
		return false;
	const uint8_t *bytes = (const uint8_t *)raw->data;
	scoped(scoped_signature_) ECDSA_SIG *signature = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(bytes, P256_BYTES, NULL);
	BIGNUM *s = BN_bin2bn(bytes + P256_BYTES, P256_BYTES, NULL);
	if (!signature || !r || !s || ECDSA_SIG_set0(signature, r, s) != 1) {
		BN_free(r);
		BN_free(s);
		return false;
	}
	uint8_t *der = NULL;
	int len = i2d_ECDSA_SIG(signature, &der);
	if (len > 0)
		buf_add(out, der, (size_t)len);
	OPENSSL_free(der);
	return len > 0;
}

static bool is_signed_by(const struct jwt *t, const struct key *key)
{
	scoped_buf struct buf der = BUF_INIT;
	const struct buf *signature = &t->signature;
	scoped(scoped_digest_context_) EVP_MD_CTX *context = EVP_MD_CTX_new();
	if (t->algorithm == JWT_ES256) {
		if (!to_der(signature, &der))
			return false;
		signature = &der;
	}
	return context && EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key->pkey) == 1 &&
	       EVP_DigestVerify(context, (const uint8_t *)signature->data, signature->len,
	                        (const uint8_t *)t->signed_text, t->signed_len) == 1;
}

int jwt_verify(const struct jwt *t, const struct jwt_keys *keys, struct error *err)
{
	size_t tried = 0, of_kind = 0;
	for (size_t i = 0; i < keys->count; i++)
		of_kind += keys->keys[i].algorithm == t->algorithm;
	for (size_t i = 0; i < keys->count; i++) {
		const struct key *key = &keys->keys[i];
		bool named = t->kid ? key->kid && strcmp(key->kid, t->kid) == 0 : of_kind == 1;
		/* The key says what it is for; a token that says otherwise is not heard. */
		if (key->algorithm != t->algorithm || !named)
			continue;
		tried++;
		if (is_signed_by(t, key))
			return 0;
	}
	return tried ? error_set(err, -EACCES, "the token's signature is wrong")
	             : error_set(err, -ENOKEY, "the token's key is none of the issuer's");
}
