/*
 * JSON Web Tokens as OpenID Connect's ID tokens are: RFC 7515 (compact serialization), 7517 (keys),
 * 7518 (RS256 and ES256, no other algorithm) and 7519; OpenID Connect Core 1.0, section 2.
 *
 * Everything in a token comes from whoever sent it: nothing of it is to be trusted before
 * jwt_verify() and jwt_check() have both returned 0. No sentence has any part of a token in it.
 *
 * Threads: pure functions; keys are immutable.
 */
#ifndef GGFS_COMMON_JWT_H
#define GGFS_COMMON_JWT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"

enum {
	JWT_BYTES_MAX = 16 << 10,
	JWT_AUDIENCES_MAX = 16,
	JWT_KEYS_MAX = 64,
	JWT_KEYS_BYTES_MAX = 256 << 10,
	JWT_RSA_BITS_MIN = 2048,
	JWT_RSA_BITS_MAX = 8192,
	JWT_LEEWAY_S = 60, /* clocks differ */
};

enum jwt_algorithm { JWT_RS256, JWT_ES256 };

struct jwt {
	enum jwt_algorithm algorithm;
	char *kid; /* of the key that signed it; NULL: not said */
	char *issuer, *subject;
	char *email; /* NULL: none, or not verified by the issuer */
	struct strv audiences;
	int64_t expires_s, issued_s, not_before_s; /* since 1970; not_before_s 0: not said */
	char *signed_text;
	size_t signed_len;
	struct buf signature;
};

/* Strict; -EINVAL: no such token, or of another algorithm. out must be zeroed, and is so again on
 * failure. */
int jwt_parse(const char *text, size_t len, struct jwt *out, struct error *err);
void jwt_release(struct jwt *t);

struct jwt_keys;
/* A JWK set. Keys of other kinds, for other uses or too weak are left out; keys_count tells how
 * many are there. -EINVAL: no JWK set, or too many keys. */
int jwt_keys_parse(const char *json, size_t len, struct jwt_keys **out, struct error *err);
void jwt_keys_free(struct jwt_keys *keys); /* NULL is fine */
size_t jwt_keys_count(const struct jwt_keys *keys);

/* -ENOKEY: none of the keys is the one the token names (one that names none needs a set with a
 * single key of its kind); -EACCES: the signature is wrong. */
int jwt_verify(const struct jwt *t, const struct jwt_keys *keys, struct error *err);

/* Who is let in. */
struct jwt_policy {
	const char *issuer, *audience;
	const char *email;   /* NULL: any */
	const char *subject; /* likewise */
};
/* -EACCES: not he, not for us, or not now. */
int jwt_check(const struct jwt *t, const struct jwt_policy *policy, int64_t now_s,
              struct error *err);

#endif
