/* A site whose director is lost for good gets another one, with another key: an admin claims it with the
 * site's rosters and one more that names it; the other operators follow. */
#ifndef SEALIFT_CLI_SITE_MOVE_H
#define SEALIFT_CLI_SITE_MOVE_H

#include "director/cli/access.h"

/* The verb: a row of the table in verb_operator.c. */
command_fn site_move;

#endif
