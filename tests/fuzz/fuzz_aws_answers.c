/* Answers of AWS's services and of the sources of keys: the first byte says which one it is. Keys
 * that are taken fit into headers; a sentence and a code are one line each. */
#include <stdlib.h>
#include <string.h>

#include "common/aws/answers.h"
#include "common/aws/client.h"
#include "common/aws/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef int answer_fn(const char *, size_t, struct aws_keys *, struct error *);

static void check_text(const char *text)
{
	if (!text)
		abort();
	for (; *text; text++)
		if ((unsigned char)*text < ' ')
			abort();
}

static void try_keys(answer_fn *fn, const char *text, size_t len)
{
	struct error err = ERROR_INIT;
	struct aws_keys keys = { 0 };
	int r = fn(text, len, &keys, &err);
	if (r < 0) {
		if (r != -EBADMSG || !err.text[0] || keys.access_key || keys.secret_key)
			abort();
		return;
	}
	check_text(keys.access_key);
	check_text(keys.secret_key);
	if (!*keys.access_key || !*keys.secret_key)
		abort();
	if (keys.session_token)
		check_text(keys.session_token);
	aws_keys_release(&keys);
}

static void try_error(const char *text, size_t len)
{
	struct http_response r = { .status = 403 };
	scoped_free char *code = NULL;
	scoped_free char *message = NULL;
	size_t line = strnlen(text, len) < len ? strnlen(text, len) : 0;
	if (line)
		strv_add_format(&r.headers, "x-amzn-errortype: %s", text);
	buf_add(&r.body, text + line, len - line);
	aws_error_parse(&r, &code, &message);
	check_text(code);
	check_text(message);
	http_response_release(&r);
}

static void try_token(const char *text, size_t len)
{
	struct error err = ERROR_INIT;
	struct sso_token token = { 0 };
	if (aws_answer_sso_token(text, len, &token, &err) == 0)
		check_text(token.token);
	free(token.token);
}

static void try_words(const char *text, size_t len)
{
	scoped_free char *copy = xstrndup(text, strnlen(text, len));
	scoped_strv struct strv words = STRV_INIT;
	if (words_split(copy, &words) && words.count > strlen(copy))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	const char *text = (const char *)data + 1;
	size_t len = size - 1;
	switch (*data) {
	case 's':
		try_keys(aws_answer_sts, text, len);
		break;
	case 'm':
		try_keys(aws_answer_metadata, text, len);
		break;
	case 'p':
		try_keys(aws_answer_process, text, len);
		break;
	case 'o':
		try_keys(aws_answer_sso, text, len);
		break;
	case 't':
		try_token(text, len);
		break;
	case 'w':
		try_words(text, len);
		break;
	default:
		try_error(text, len);
	}
	return 0;
}
