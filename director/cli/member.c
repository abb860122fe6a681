#include "director/cli/member.h"

#include "common/base/alloc.h"
#include "common/wire/lent.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* of a member whose fields were validated */
static void public_of(const Sealift__Member *member, struct identity_public *out)
{
    *out = (struct identity_public){0};
    (void)snprintf(out->name, sizeof(out->name), "%s", member->name);
    memcpy(out->sign_pk, member->sign_pk.data, SIGN_PK_LEN);
    memcpy(out->box_pk, member->box_pk.data, BOX_PK_LEN);
    memcpy(out->transport_pk, member->curve_pk.data, BOX_PK_LEN);
}

void member_init(Sealift__Member *out, const struct identity_public *known)
{
    sealift__member__init(out);
    out->name = lent_text(known->name);
    out->sign_pk = lent_bytes(known->sign_pk, SIGN_PK_LEN);
    out->box_pk = lent_bytes(known->box_pk, BOX_PK_LEN);
    out->curve_pk = lent_bytes(known->transport_pk, BOX_PK_LEN);
}

void member_fingerprint(const Sealift__Member *member, char out[static FINGERPRINT_TEXT_LEN])
{
    struct identity_public known;
    public_of(member, &known);
    identity_fingerprint(&known, out);
}

bool fingerprint_matches(const char *fingerprint, const char *typed)
{
    for (;;) {
        while (*typed == '-' || *typed == ' ')
            typed++;
        while (*fingerprint == '-')
            fingerprint++;
        if (*fingerprint == '\0' || toupper((unsigned char)*typed) != *fingerprint) break;
        typed++;
        fingerprint++;
    }
    return *fingerprint == '\0' && *typed == '\0';
}

const char *zone_name(Sealift__Zone zone)
{
    return zone == SEALIFT__ZONE__ZONE_TRUSTED ? "trusted" : "untrusted";
}

bool zone_parse(const char *text, Sealift__Zone *out, struct err *err)
{
    if (strcmp(text, "trusted") == 0)
        *out = SEALIFT__ZONE__ZONE_TRUSTED;
    else if (strcmp(text, "untrusted") == 0)
        *out = SEALIFT__ZONE__ZONE_UNTRUSTED;
    else
        return err_set(err, ERR_USAGE, "a trust zone is 'trusted' or 'untrusted', not '%s'", text);
    return true;
}

const char *role_name(Sealift__Role role)
{
    return role == SEALIFT__ROLE__ROLE_ADMIN ? "admin" : "operator";
}

bool role_parse(const char *text, Sealift__Role *out, struct err *err)
{
    if (strcmp(text, "admin") == 0)
        *out = SEALIFT__ROLE__ROLE_ADMIN;
    else if (strcmp(text, "operator") == 0)
        *out = SEALIFT__ROLE__ROLE_OPERATOR;
    else
        return err_set(err, ERR_USAGE, "a role is 'admin' or 'operator', not '%s'", text);
    return true;
}

static void *copy_list(const void *list, size_t count)
{
    void **copy = xcalloc(count + 1, sizeof(void *));
    if (count) memcpy(copy, list, count * sizeof(void *));
    return copy;
}

void roster_edit_init(struct roster_edit *edit, const Sealift__RosterBody *body)
{
    edit->body = *body;
    edit->body.operators = edit->operators = copy_list(body->operators, body->n_operators);
    edit->body.transporters = edit->transporters = copy_list(body->transporters, body->n_transporters);
    edit->body.revoked = edit->revoked = copy_list(body->revoked, body->n_revoked);
}

void roster_edit_deinit(struct roster_edit *edit)
{
    free(edit->operators);
    free(edit->transporters);
    free(edit->revoked);
}
