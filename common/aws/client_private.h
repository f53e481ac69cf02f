/*
 * What the files of the AWS client share. client.c: calls, on the net's thread; client_wait.c:
 * those who wait for one on another thread.
 */
#ifndef GGFS_COMMON_AWS_CLIENT_PRIVATE_H
#define GGFS_COMMON_AWS_CLIENT_PRIVATE_H

#include "common/aws/client.h"
#include "common/aws/credentials.h"

struct aws {
	struct net *net;
	const struct aws_config *config;
	struct aws_clock clock;
	struct credentials *credentials;
	struct aws_call *calls;
	bool closing;
};

struct aws_call {
	struct aws *aws;
	struct aws_call *previous, *next;
	struct aws_request request; /* its strings lie in texts, its headers below */
	char *texts;
	struct strv headers; /* without those of the signature */
	struct sha256_hex hash;
	struct credentials_waiter waiter;
	struct http_transfer *transfer; /* NULL: waits for keys */
	char *access_key;               /* it was signed with */
	bool sent_again;
};

/* On the net's thread: ends all calls and frees the client. */
void aws_end(struct aws *aws);

#endif
