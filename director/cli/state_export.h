/* The director's state as a bundle, made by the director and fetched piece by piece. */
#ifndef SEALIFT_CLI_STATE_EXPORT_H
#define SEALIFT_CLI_STATE_EXPORT_H

#include "common/crypto/bundle.h"
#include "director/cli/access.h"

/* Asks the director for a copy of its state under the lock, and writes it to `path`, which must not exist: it
 * gets its name when it is complete and durable, and opened to its end by the password that the lock was made
 * of. ERR_EXISTS, ERR_POLICY (admins alone), ERR_BUSY; as bundle_reader.h has it for what does not open. */
bool state_export(struct cli *cli, const struct bundle_lock *lock, const struct secret *password,
                  const char *path, struct err *err) MUST_CHECK;

/* Schedules begin, though the director has not heard of all transporters since it was brought back. */
bool state_proceed(struct cli *cli, struct err *err) MUST_CHECK;

/* What later self-backups are sealed to. */
bool state_set_lock(struct cli *cli, const struct bundle_lock *lock, struct err *err) MUST_CHECK;

#endif
