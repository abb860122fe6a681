/* What `sealift status` says of the director's own state: how old its copies are, and, when it was brought
 * back from one, for whom its schedules wait. */
#ifndef SEALIFT_CLI_CONFIG_STATUS_H
#define SEALIFT_CLI_CONFIG_STATUS_H

#include "director/cli/cli.h"
#include "proto/message.pb-c.h"

/* Sets `self_backup` and `restored` (null where there is nothing) in the document, and says as warnings what
 * needs somebody. */
void config_status_say(const struct cli *cli, const Sealift__StatusAnswer *status, uint64_t now_ns,
                       json_t *document);

#endif
