#include "common/aws/sigv4.h"

#include <openssl/crypto.h>
#include <string.h>

static void wipe(char **text)
{
	if (*text)
		OPENSSL_cleanse(*text, strlen(*text));
	free(steal(text));
}

void aws_keys_release(struct aws_keys *k)
{
	wipe(&k->access_key);
	wipe(&k->secret_key);
	wipe(&k->session_token);
	k->expires_s = 0;
}

void aws_keys_copy(struct aws_keys *to, const struct aws_keys *from)
{
	*to = (struct aws_keys){
		.access_key = xstrdup(from->access_key),
		.secret_key = xstrdup(from->secret_key),
		.session_token = from->session_token ? xstrdup(from->session_token) : NULL,
		.expires_s = from->expires_s,
	};
}
