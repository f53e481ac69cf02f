/*
 * Scan: what a source or header holds that header discovery does not tell, found by looking
 * for words, comments and strings included: may find too much, never too little.
 *
 * Private to engine/model/. Threads: pure functions; a value has one owner.
 */
#ifndef GGFS_ENGINE_MODEL_SCAN_H
#define GGFS_ENGINE_MODEL_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

struct facts {
	bool includes_binary; /* .incbin or .include: read by the assembler */
	bool dates;           /* __DATE__, __TIME__ */
	bool timestamp;       /* __TIMESTAMP__ */
	bool file_dates;      /* #pragma GCC dependency, which compares times of files */
	bool text_matters;    /* what -M overlooks: __COUNTER__, push_macro by _Pragma */
	bool lto;             /* of link inputs (lto.h); never set by a scan */
	bool asks_computed;   /* __has_include of something that is no literal */
	struct strv dotted;   /* includes whose names hold "..", without quotes */
	struct strv asked;    /* names __has_include asks for, with their first quote: "<a.h" */
};

void facts_release(struct facts *f);
void facts_copy(struct facts *to, const struct facts *from); /* to must be empty */

/* out must be empty. */
void scan_text(const char *text, size_t len, struct facts *out);

/* Of an assembler source: each file that .include and .incbin name, in order. False when one
 * cannot be told from the text alone. */
bool scan_assembler(const char *text, size_t len, struct strv *names);

#endif
