/* What the stand-ins of one infer did, from their report (tools/standin.h). */
#ifndef GGFS_TOOLS_INFER_REPORT_H
#define GGFS_TOOLS_INFER_REPORT_H

#include <stdbool.h>

/* One line on standard error; verbose: before it the steps that ran for real, and why. */
void infer_report_print(const char *path, bool verbose);

#endif
