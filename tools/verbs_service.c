/* The verbs of ggfs-service, which ggfs runs. */
#include "tools/cmd.h"

const struct verb *const verbs[] = { &verb_config, &verb_doctor_cloud, &verb_lambda, &verb_service,
	                             NULL };

int (*const verbs_placeholder)(int argc, char **argv) = NULL;
