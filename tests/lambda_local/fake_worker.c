/* A ggfs-worker for the tests of `ggfs lambda deploy`: tells its version, and answers each
 * invocation with what it was sent, and what it has in its environment. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TEXT_MAX = 65536 };

/* One request over a connection of its own; the answer, ended by a NUL. */
static int ask(const struct sockaddr_in *api, const char *request, char answer[TEXT_MAX])
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t len = 0;
	ssize_t n;
	if (connect(fd, (const struct sockaddr *)api, sizeof(*api)) < 0 ||
	    write(fd, request, strlen(request)) != (ssize_t)strlen(request))
		exit(1);
	while (len + 1 < TEXT_MAX && (n = read(fd, answer + len, TEXT_MAX - 1 - len)) > 0)
		len += (size_t)n;
	answer[len] = '\0';
	close(fd);
	return len > 0 ? 0 : -1;
}

static const char *variable(const char *name)
{
	const char *value = getenv(name);
	return value ? value : "";
}

static int serve(const struct sockaddr_in *api)
{
	static const char header[] = "Lambda-Runtime-Aws-Request-Id: ";
	static char request[TEXT_MAX], got[TEXT_MAX], body[TEXT_MAX], said[TEXT_MAX];
	if (ask(api,
	        "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\nConnection: "
	        "close\r\n\r\n",
	        got) < 0)
		return -1;
	const char *id = strstr(got, header), *event = strstr(got, "\r\n\r\n");
	if (!id || !event)
		return -1;
	snprintf(body, TEXT_MAX,
	         "{\"sent\":%s,\"LD_LIBRARY_PATH\":\"%s\",\"AWS_CA_BUNDLE\":\"%s\"}", event + 4,
	         variable("LD_LIBRARY_PATH"), variable("AWS_CA_BUNDLE"));
	snprintf(request, TEXT_MAX,
	         "POST /2018-06-01/runtime/invocation/%.36s/response HTTP/1.1\r\nHost: "
	         "x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
	         id + sizeof(header) - 1, strlen(body), body);
	return ask(api, request, said);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--version") == 0)
		return printf("ggfs-worker %s\n", GGFS_VERSION) < 0;
	char address[64];
	snprintf(address, sizeof(address), "%s", variable("AWS_LAMBDA_RUNTIME_API"));
	char *colon = strchr(address, ':');
	if (!colon)
		return 1;
	*colon = '\0';
	struct sockaddr_in api = { .sin_family = AF_INET,
		                   .sin_port = htons((uint16_t)atoi(colon + 1)) };
	inet_pton(AF_INET, address, &api.sin_addr);
	while (serve(&api) == 0)
		;
	return 1;
}
