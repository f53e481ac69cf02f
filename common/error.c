#include "common/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, int code, const char *format, ...)
{
	if (!err)
		return code;
	va_list args;
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	err->code = code;
	return code;
}

int error_errno(struct error *err, const char *format, ...)
{
	int saved = errno;
	if (!err)
		return -saved;
	va_list args;
	va_start(args, format);
	int used = vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	if (used >= 0 && (size_t)used < sizeof(err->text)) {
		char reason[256];
		snprintf(err->text + used, sizeof(err->text) - (size_t)used, ": %s",
			 strerror_r(saved, reason, sizeof(reason)));
	}
	err->code = -saved;
	return -saved;
}

int error_prefix(struct error *err, int code_if_null, const char *format, ...)
{
	if (!err)
		return code_if_null;
	char text[ERROR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	int used = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (used >= 0 && (size_t)used < sizeof(text))
		snprintf(text + used, sizeof(text) - (size_t)used, ": %s", err->text);
	memcpy(err->text, text, sizeof(err->text));
	return err->code;
}

const char *error_text(const struct error *err)
{
	return err->text[0] ? err->text : strerror(-err->code);
}
