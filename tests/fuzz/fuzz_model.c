/* Any bytes as what the models read: an ELF file, a source scanned for what discovery does not tell,
 * an assembler source, what the compiler's dependency scan printed. The first byte picks. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common/io.h"
#include "engine/model/discovery.h"
#include "engine/model/elf_file.h"
#include "engine/model/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_elf(const char *bytes, size_t len)
{
	struct elf elf = { 0 };
	struct error err = ERROR_INIT;
	scoped_fd int fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0 || write_full(fd, bytes, len) < 0)
		return;
	int r = elf_read(fd, &elf, &err);
	if (r < 0 && !err.text[0])
		abort();
	elf_release(&elf);
}

static void try_discovery(const char *text, size_t len, bool whole_text, bool depfile)
{
	struct plan plan = PLAN_INIT;
	struct headers headers[2] = { 0 };
	struct error err = ERROR_INIT;
	plan.discover_text = whole_text;
	plan_add_source(&plan, "x.c")->has_depfile = depfile;
	plan_add_source(&plan, "y.c")->has_depfile = depfile;
	if (discovery_read(&plan, text, len, headers, 2, &err) < 0 && !err.text[0])
		abort();
	for (int i = 0; i < 2; i++)
		headers_release(&headers[i]);
	model_plan_release(&plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	/* A copy of its own, so that a step past the end is seen. */
	scoped_free char *bytes = xmalloc(size - 1);
	for (size_t i = 1; i < size; i++)
		bytes[i - 1] = (char)data[i];
	size_t len = size - 1;
	struct facts facts = { 0 };
	scoped_strv struct strv names = STRV_INIT;
	switch (data[0] % 6) {
	case 0:
		try_elf(bytes, len);
		break;
	case 1:
		scan_text(bytes, len, &facts);
		facts_release(&facts);
		break;
	case 2:
		scan_assembler(bytes, len, &names);
		break;
	default:
		try_discovery(bytes, len, data[0] % 6 == 4, data[0] % 6 == 5);
		break;
	}
	return 0;
}
