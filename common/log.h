/*
 * The one way anything below tools/ speaks to a person. Lines go to standard error,
 * or to the file that log_open() named, each with time, process and level; one write
 * a line, so lines of several threads and processes do not mix.
 *
 * Threads: log_open once, before threads start; the rest from any thread.
 */
#ifndef GGFS_COMMON_LOG_H
#define GGFS_COMMON_LOG_H

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* Appends to the file at path from now on (created 0600); NULL goes back to standard error.
 * Returns 0 or -errno. The level shown is that of GGFS_LOG (error|warning|info|debug), else info
 * for files and warning for standard error. */
int log_open(const char *path, const char *program);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

#endif
