#include <string.h>

#include "common/io.h"
#include "tools/lambda_local/lambda.h"

enum { EMULATED_MEMORY_MIB = 64 };

uint64_t billed_ms(const struct invocation *inv)
{
	return (inv->duration_us + inv->init_us + 999) / 1000;
}

static unsigned memory_used_mib(const struct invocation *inv)
{
	if (inv->service->options->emulate)
		return EMULATED_MEMORY_MIB;
	unsigned used = (unsigned)((inv->rss_kib_max + 1023) / 1024);
	return used < inv->version->memory_mib ? used : inv->version->memory_mib;
}

static void add(struct invocation *inv, const struct buf *line)
{
	invocation_log(inv, line->data, line->len);
	FILE *log = inv->service->function_log;
	if (log) {
		fwrite(line->data, 1, line->len, log);
		fflush(log);
	}
}

void report_start(struct invocation *inv)
{
	if (!inv->tail && !inv->service->function_log)
		return;
	scoped_buf struct buf line = BUF_INIT;
	buf_add_format(&line, "START RequestId: %s Version: %s\n", inv->id, inv->version->name);
	add(inv, &line);
}

void report_end(struct invocation *inv)
{
	if (!inv->tail && !inv->service->function_log)
		return;
	scoped_buf struct buf line = BUF_INIT;
	buf_add_format(&line, "END RequestId: %s\n", inv->id);
	buf_add_format(&line,
	               "REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %llu ms\t"
	               "Memory Size: %u MB\tMax Memory Used: %u MB\t",
	               inv->id, (double)inv->duration_us / 1000, (unsigned long long)billed_ms(inv),
	               inv->version->memory_mib, memory_used_mib(inv));
	if (inv->init_us)
		buf_add_format(&line, "Init Duration: %.2f ms\t", (double)inv->init_us / 1000);
	buf_add_char(&line, '\n');
	add(inv, &line);
}

void report_record(struct invocation *inv, unsigned status)
{
	FILE *log = inv->service->log;
	if (!log)
		return;
	json_t *o = json_pack(
	        "{s:s,s:s,s:s,s:i,s:s,s:b,s:I,s:I,s:I,s:I,s:I,s:i,s:i,s:I,s:I}", "request", inv->id,
	        "function", inv->version->function->name, "version", inv->version->name, "status",
	        (int)status, "fault", fault_name(inv->fault), "cold", inv->cold, "at_ms",
	        (json_int_t)(wall_ns() / 1000000), "waited_us",
	        (json_int_t)(inv->run_us ? inv->run_us - inv->arrived_us : 0), "duration_us",
	        (json_int_t)inv->duration_us, "init_us", (json_int_t)inv->init_us, "billed_ms",
	        (json_int_t)billed_ms(inv), "memory_mib", (int)inv->version->memory_mib,
	        "memory_used_mib", (int)memory_used_mib(inv), "request_bytes",
	        (json_int_t)inv->payload.len, "answer_bytes", (json_int_t)inv->answer.len);
	if (inv->fault_reason)
		json_object_set_new(o, "reason", json_string(inv->fault_reason));
	if (inv->event)
		json_object_set_new(o, "event", json_true());
	if (inv->function_error)
		json_object_set_new(o, "function_error", json_string("Unhandled"));
	scoped_free char *text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	fprintf(log, "%s\n", text);
	fflush(log);
}
