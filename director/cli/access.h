/* What verbs reach for: local state, the director, the operator's secret keys. Each is opened when it is
 * first asked for and stays until the end of the program. */
#ifndef SEALIFT_CLI_ACCESS_H
#define SEALIFT_CLI_ACCESS_H

#include "director/cli/cli.h"
#include "director/cli/client.h"
#include "director/cli/state.h"

bool access_state(struct cli *cli, struct state **out, struct err *err) MUST_CHECK;
/* The same, and it must belong to a site: ERR_NOT_FOUND says how one gets there. */
bool access_site(struct cli *cli, struct state **out, struct err *err) MUST_CHECK;

/* Connected, and the rosters are those that the director has: verified from the first admin, never an older
 * one. A director that lost the newest ones is given them back. ERR_UNREACHABLE, ERR_POLICY,
 * ERR_NOT_AUTHENTIC. */
bool access_director(struct cli *cli, struct client **out, struct err *err) MUST_CHECK;

/* Puts this operator's own read grants, of which there are copies here, to a director that has lost them.
 * After access_director. ERR_UNREACHABLE; what the director does not take is left. */
bool access_give_back(struct cli *cli, struct err *err) MUST_CHECK;

/* This operator's secret keys: asks for the password once. ERR_NO_KEY: nobody to ask; ERR_WRONG_KEY. */
bool access_identity(struct cli *cli, const struct identity **out, struct err *err) MUST_CHECK;
/* Would access_identity have to ask somebody? Then listing does without. */
bool access_identity_is_free(struct cli *cli);

/* The current roster; after access_director. */
const struct roster *access_roster(const struct cli *cli);
/* ERR_NOT_FOUND names the nearest. Borrowed from the roster. */
bool access_transporter(struct cli *cli, const char *name, const Sealift__Member **out,
                        struct err *err) MUST_CHECK;
/* Does somebody of this name ask to join? Then *why says what lets it in; false: *why is untouched. */
bool access_is_pending(struct cli *cli, const char *name, struct err *why);
/* A note that so many ask to join, and where to look; of none nothing. */
void access_note_pending(const struct cli *cli, size_t count);
/* "?" and 8 digits of the key for who is not in the roster; `out` gets the name. */
void access_name_of(const struct cli *cli, const uint8_t sign_pk[SIGN_PK_LEN],
                    char out[static IDENTITY_NAME_MAX + 1]);

void access_close(struct cli *cli);

#endif
