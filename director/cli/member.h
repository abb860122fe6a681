/* Members of the roster, as people name and compare them. Pure. */
#ifndef SEALIFT_CLI_MEMBER_H
#define SEALIFT_CLI_MEMBER_H

#include "common/crypto/identity.h"
#include "common/wire/statement.h"

/* Borrowed from `known`; role and zone are not set. */
void member_init(Sealift__Member *out, const struct identity_public *known);
void member_fingerprint(const Sealift__Member *member, char out[static FINGERPRINT_TEXT_LEN]);

/* Without regard to case, dashes and spaces. */
bool fingerprint_matches(const char *fingerprint, const char *typed);

const char *zone_name(Sealift__Zone zone);
bool zone_parse(const char *text, Sealift__Zone *out, struct err *err) MUST_CHECK;
const char *role_name(Sealift__Role role);
bool role_parse(const char *text, Sealift__Role *out, struct err *err) MUST_CHECK;

/* A copy of a roster's body whose lists may be added to and taken from; members are borrowed from the
 * original. {0} is empty. */
struct roster_edit {
    Sealift__RosterBody body;
    Sealift__Member **operators, **transporters;
    Sealift__Revocation **revoked;
};
/* Room for one more of each. */
void roster_edit_init(struct roster_edit *edit, const Sealift__RosterBody *body);
void roster_edit_deinit(struct roster_edit *edit);
DEFINE_AUTO_IN_PLACE(roster_edit, struct roster_edit, roster_edit_deinit)

#endif
