/* The offline verbs that have a file of their own; the table is in verb_offline.c. */
#ifndef SEALIFT_CLI_OFFLINE_VERBS_H
#define SEALIFT_CLI_OFFLINE_VERBS_H

#include "director/cli/command.h"

command_fn offline_check;
command_fn offline_restore;
command_fn offline_cat;

#endif
