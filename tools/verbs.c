/* The verbs of ggfs. */
#include "tools/cmd.h"
#include "tools/run_placeholder.h"

/* Their tables are in ggfs-service; it has the whole text. */
static const struct verb verb_config_there = {
	.name = "config",
	.summary = "show or change a store's settings",
	.elsewhere = true,
};
static const struct verb verb_lambda_there = {
	.name = "lambda",
	.summary = "the worker on AWS Lambda: puts it there, looks after it",
	.elsewhere = true,
};
static const struct verb verb_service_there = {
	.name = "service",
	.summary = "the process behind a store; started by whoever needs it",
	.hidden = true,
	.elsewhere = true,
};

const struct verb *const verbs[] = {
	&verb_init,  &verb_mount,        &verb_umount,       &verb_mounts,        &verb_infer,
	&verb_force, &verb_status,       &verb_why,          &verb_describe,      &verb_graph,
	&verb_thunk, &verb_hash,         &verb_cat,          &verb_log,           &verb_cost,
	&verb_retry, &verb_cancel,       &verb_stop,         &verb_doctor,        &verb_noforce,
	&verb_allow, &verb_config_there, &verb_lambda_there, &verb_service_there, NULL,
};

int (*const verbs_placeholder)(int argc, char **argv) = run_placeholder;
