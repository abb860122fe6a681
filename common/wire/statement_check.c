/* Whether a statement is to be believed: site, audience, signer, expiry, and what is remembered of earlier
 * ones. */
#include "common/base/text.h"
#include "common/wire/statement.h"

#include <string.h>

static bool newer_than_known(const struct version_memory *memory, const struct statement *statement,
                             struct err *err)
{
    uint64_t known = 0;
    struct hash hash;
    if (!version_memory_get(memory, statement->type, &statement->id, &known, &hash)) return true;
    const char *name = statement_type_name(statement->type);
    if (statement->version < known)
        return err_set(err, ERR_NOT_AUTHENTIC,
                       "%s statement version %llu is older than the known version %llu", name,
                       (unsigned long long)statement->version, (unsigned long long)known);
    if (statement->version > known) return true;
    if (!hash_eq(&statement->hash, &hash))
        return err_set(err, ERR_NOT_AUTHENTIC, "two different %s statements have version %llu", name,
                       (unsigned long long)known);
    return err_set(err, ERR_EXISTS, "this %s statement is known already", name);
}

static bool expires(const struct statement *statement)
{
    return statement->expiry_s != 0 && (statement->type == SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT ||
                                        statement->type == SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER);
}

/* Says by which clock: that of the signer, or this one, may be wrong. */
static bool has_expired(const struct statement *statement, uint64_t now_s, struct err *err)
{
    char expiry[21], now[21];
    time_format(statement->expiry_s * 1000000000, expiry);
    time_format(now_s * 1000000000, now);
    return err_set(err, ERR_NOT_AUTHENTIC,
                   "the %s statement has expired: it was good until %s, and the clock here says %s",
                   statement_type_name(statement->type), expiry, now);
}

bool statement_check(const struct statement *statement, const struct roster *roster, const uint8_t *self,
                     uint64_t now_s, struct version_memory *memory, struct err *err)
{
    const char *name = statement_type_name(statement->type);
    if (statement->type == SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER)
        return err_set(err, ERR_PROTOCOL, "a roster is accepted as the next of its chain only");
    if (!id_eq(&statement->site, roster_site(roster)))
        return err_set(err, ERR_NOT_AUTHENTIC, "the %s statement is of another site", name);
    if (!roster_operator(roster, statement->signer))
        return err_set(err, ERR_NOT_AUTHENTIC, "the signer of the %s statement is no operator of the roster",
                       name);
    if (self && !statement->for_everybody && memcmp(self, statement->audience, SIGN_PK_LEN) != 0)
        return err_set(err, ERR_NOT_AUTHENTIC, "the %s statement is for somebody else", name);
    if (!newer_than_known(memory, statement, err)) return false;
    if (expires(statement) && now_s > statement->expiry_s) return has_expired(statement, now_s, err);
    version_memory_put(memory, statement->type, &statement->id, statement->version, &statement->hash);
    return true;
}

bool statement_keeps_promises(const struct statement *statement, const struct statement *before,
                              struct err *err)
{
    if (statement->type != SEALIFT__STATEMENT_TYPE__STATEMENT_JOB) return true;
    const Sealift__JobBody *new = statement->body.job, *old = before->body.job;
    uint64_t promised_s = old->retention ? old->retention->immutable_s : 0;
    if (promised_s == 0) return true;
    if (!new->retention || new->retention->immutable_s < promised_s)
        return err_set(
            err, ERR_POLICY,
            "the points of the job '%s' are immutable for %llu s, as was signed, and nobody shortens "
            "that",
            old->name, (unsigned long long)promised_s);
    if (!span_eq(span_of(new->repository.data, new->repository.len),
                 span_of(old->repository.data, old->repository.len)) ||
        strcmp(statement_job_label(new), statement_job_label(old)) != 0)
        return err_set(err, ERR_POLICY,
                       "the points of the job '%s' are immutable, as was signed: it goes on under its name "
                       "and in its repository, or another job is made",
                       old->name);
    return true;
}
