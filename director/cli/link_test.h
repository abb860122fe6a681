/* sealift link test. */
#ifndef SEALIFT_CLI_LINK_TEST_H
#define SEALIFT_CLI_LINK_TEST_H

#include "director/cli/command.h"

command_fn link_test;

#endif
