/*
 * What `ggfs infer` and the stand-ins have agreed on: variables of the environment, and the
 * report, a file to which each stand-in appends one line:
 *
 *     recorded
 *     real REASON<TAB>COMMAND
 */
#ifndef GGFS_TOOLS_STANDIN_H
#define GGFS_TOOLS_STANDIN_H

#define STANDIN_PROGRAM "ggfs-stub"
#define STANDIN_DIRECTORY "GGFS_STUBS" /* the directory of stand-ins; set: this is an infer */
#define STANDIN_EAGER "GGFS_EAGER"     /* globs, one a line */
#define STANDIN_REPORT "GGFS_REPORT"   /* path of the report */
#define STANDIN_BINARY "GGFS_BIN"      /* the ggfs that starts a service */
#define STANDIN_CCACHE "GGFS_CCACHE"   /* set: CCACHE_DISABLE is infer's, not the user's */

enum { STANDIN_LINE_MAX = 1000 };

#endif
