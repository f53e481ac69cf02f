#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int log_fd = STDERR_FILENO;
static char log_program[32] = "ggfs";

static const char *const level_names[] = { "error", "warning", "info", "debug" };

static enum log_level level_shown(void)
{
	const char *wanted = getenv("GGFS_LOG");
	for (int i = LOG_ERROR; wanted && i <= LOG_DEBUG; i++)
		if (strcmp(wanted, level_names[i]) == 0)
			return (enum log_level)i;
	return log_fd == STDERR_FILENO ? LOG_WARNING : LOG_INFO;
}

int log_open(const char *path, const char *program)
{
	int fd = STDERR_FILENO;
	if (path) {
		fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			return -errno;
	}
	if (log_fd != STDERR_FILENO)
		close(log_fd);
	log_fd = fd;
	snprintf(log_program, sizeof(log_program), "%s", program);
	return 0;
}

void log_line(enum log_level level, const char *format, ...)
{
	if (level > level_shown())
		return;
	char line[4096];
	struct timespec now;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	int used = 0;
	if (log_fd != STDERR_FILENO)
		used = (int)strftime(line, sizeof(line), "%F %T", &tm);
	if (log_fd != STDERR_FILENO)
		used += snprintf(line + used, sizeof(line) - (size_t)used, ".%03ld %d ",
				 now.tv_nsec / 1000000, (int)getpid());
	used += snprintf(line + used, sizeof(line) - (size_t)used, "%s: %s: ", log_program,
			 level_names[level]);
	va_list args;
	va_start(args, format);
	int more = vsnprintf(line + used, sizeof(line) - (size_t)used - 1, format, args);
	va_end(args);
	used += more < 0 ? 0 : more;
	if ((size_t)used > sizeof(line) - 2)
		used = (int)sizeof(line) - 2;
	line[used++] = '\n';
	if (write(log_fd, line, (size_t)used) < 0)
		return; /* nowhere left to complain to */
}
