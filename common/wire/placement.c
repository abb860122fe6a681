#include "common/wire/placement.h"

#include <string.h>

static bool refuse(struct err *err, const char *rule)
{
    return err_set(err, ERR_POLICY, "%s", rule);
}

static bool backup_check(const struct placement_facts *facts, struct err *err)
{
    bool source_trusted = facts->source == SEALIFT__ZONE__ZONE_TRUSTED;
    bool target_trusted = facts->target == SEALIFT__ZONE__ZONE_TRUSTED;
    bool plain_store = facts->to_store == SEALIFT__STORE_KIND__STORE_PLAINTEXT;
    switch (facts->placement) {
    case SEALIFT__PLACEMENT__PLACE_SOURCE:
        if (!source_trusted)
            return refuse(err, "encryption on the source needs a source in the trusted zone");
        break;
    case SEALIFT__PLACEMENT__PLACE_TARGET:
        if (!target_trusted)
            return refuse(err, "encryption on the target needs a target in the trusted zone");
        break;
    case SEALIFT__PLACEMENT__PLACE_PLAIN:
        if (!source_trusted || !target_trusted)
            return refuse(err, "a backup without encryption needs both sides in the trusted zone");
        if (!plain_store)
            return refuse(err, "an encrypted-only repository refuses a backup without encryption");
        return true;
    default:
        return refuse(err, "a backup is encrypted on the source, on the target, or not at all");
    }
    if (plain_store)
        return refuse(err, "a plaintext repository takes no encrypted backup: create an encrypted one");
    return true;
}

static bool copy_as_stored_check(const struct placement_facts *facts, struct err *err)
{
    if (facts->from_store != facts->to_store)
        return refuse(err,
                      "a copy as stored needs two repositories of the same kind, encrypted or plaintext");
    if (facts->from_store == SEALIFT__STORE_KIND__STORE_PLAINTEXT &&
        (facts->source != SEALIFT__ZONE__ZONE_TRUSTED || facts->target != SEALIFT__ZONE__ZONE_TRUSTED))
        return refuse(err, "a plaintext repository is copied between trusted transporters only");
    return true;
}

/* One side gets content in clear, from a plaintext repository or by opening it, and seals it. */
static bool copy_sealed_check(const struct placement_facts *facts, struct err *err)
{
    bool at_source = facts->placement == SEALIFT__PLACEMENT__PLACE_SOURCE;
    bool plain = facts->from_store == SEALIFT__STORE_KIND__STORE_PLAINTEXT;
    if ((at_source ? facts->source : facts->target) != SEALIFT__ZONE__ZONE_TRUSTED)
        return refuse(err, at_source
                               ? "a copy that encrypts on the source needs a source in the trusted zone"
                               : "a copy that encrypts on the target needs a target in the trusted zone");
    if (facts->to_store == SEALIFT__STORE_KIND__STORE_PLAINTEXT)
        return refuse(err, "a plaintext repository takes no encrypted copy: create an encrypted one");
    if (plain && facts->source != SEALIFT__ZONE__ZONE_TRUSTED)
        return refuse(err, "a plaintext repository is copied by trusted transporters only");
    if (plain && facts->reencrypt)
        return refuse(err, "a plaintext repository has nothing to re-encrypt: the copy encrypts it as it is");
    if (!plain && !facts->reencrypt)
        return refuse(err, "the points of an encrypted repository are sealed already: a copy moves them as "
                           "they are, or re-encrypts them");
    return true;
}

static bool copy_check(const struct placement_facts *facts, struct err *err)
{
    switch (facts->placement) {
    case SEALIFT__PLACEMENT__PLACE_AS_STORED:
        return copy_as_stored_check(facts, err);
    case SEALIFT__PLACEMENT__PLACE_SOURCE:
    case SEALIFT__PLACEMENT__PLACE_TARGET:
        return copy_sealed_check(facts, err);
    default:
        return refuse(err, "a copy encrypts on the source or on the target, or moves points as they are "
                           "stored");
    }
}

static bool recovery_check(const struct placement_facts *facts, struct err *err)
{
    bool plain = facts->from_store == SEALIFT__STORE_KIND__STORE_PLAINTEXT;
    if (facts->open_at == SEALIFT__OPEN_AT__OPEN_AT_TARGET) {
        if (facts->target != SEALIFT__ZONE__ZONE_TRUSTED)
            return refuse(err,
                          "only a transporter in the trusted zone opens a backup: the target is not in it");
        return true;
    }
    if (facts->open_at == SEALIFT__OPEN_AT__OPEN_AT_SOURCE) {
        if (plain) return refuse(err, "a plaintext repository has nothing to open at the source");
        if (facts->source != SEALIFT__ZONE__ZONE_TRUSTED)
            return refuse(err, "opening at the source needs a repository side in the trusted zone");
        return true;
    }
    return refuse(err, "an order says where a backup is opened: at the target or at the source");
}

bool placement_check(const struct placement_facts *facts, struct err *err)
{
    switch (facts->kind) {
    case SEALIFT__JOB_KIND__JOB_BACKUP:
        return backup_check(facts, err);
    case SEALIFT__JOB_KIND__JOB_COPY:
        return copy_check(facts, err);
    case SEALIFT__JOB_KIND__JOB_NONE:
        return recovery_check(facts, err);
    default:
        return refuse(err, "no rule allows a job of this kind");
    }
}

static bool zone_of(const struct roster *roster, const uint8_t *sign_pk, const char *side, Sealift__Zone *out,
                    struct err *err)
{
    const Sealift__Member *member = roster_transporter(roster, sign_pk);
    if (!member)
        return err_set(err, ERR_NOT_FOUND, "the %s of this run is no transporter of the current roster",
                       side);
    *out = member->zone;
    return true;
}

bool placement_of_job(const Sealift__JobBody *job, const struct roster *roster,
                      const Sealift__RepositoryBody *to, const Sealift__RepositoryBody *from,
                      struct placement_facts *out, struct err *err)
{
    struct placement_facts facts = {
        .kind = job->kind, .placement = job->placement, .to_store = to->kind, .reencrypt = job->reencrypt};
    if (!zone_of(roster, job->source.data, "source", &facts.source, err)) return false;
    if (!zone_of(roster, to->owner.data, "target", &facts.target, err)) return false;
    if (job->kind == SEALIFT__JOB_KIND__JOB_COPY) {
        if (!from) return err_set(err, ERR_NOT_FOUND, "the repository that is copied from is unknown");
        if (memcmp(from->owner.data, job->source.data, SIGN_PK_LEN) != 0)
            return err_set(err, ERR_POLICY, "a copy's source is the owner of the repository it reads");
        facts.from_store = from->kind;
    }
    *out = facts;
    return true;
}

bool placement_of_order(const Sealift__OrderBody *order, const struct roster *roster,
                        const Sealift__RepositoryBody *repository, struct placement_facts *out,
                        struct err *err)
{
    struct placement_facts facts = {
        .kind = SEALIFT__JOB_KIND__JOB_NONE, .open_at = order->open_at, .from_store = repository->kind};
    if (!zone_of(roster, repository->owner.data, "source", &facts.source, err)) return false;
    if (!zone_of(roster, order->target.data, "target", &facts.target, err)) return false;
    *out = facts;
    return true;
}

bool placement_check_alone(const Sealift__OrderBody *order, const struct roster *roster, struct err *err)
{
    const Sealift__Member *member = roster_transporter(roster, order->target.data);
    bool wrap = order->kind == SEALIFT__ORDER_KIND__ORDER_WRAP;
    if (!member)
        return err_set(err, ERR_NOT_FOUND, "the transporter that is to %s is not in the current roster",
                       wrap ? "wrap the key" : "say what it knows of keys");
    if (member->zone == SEALIFT__ZONE__ZONE_TRUSTED) return true;
    return err_set(err, ERR_POLICY, "only a transporter in the trusted zone %s: '%s' is not in it",
                   wrap ? "wraps keys" : "is asked what it knows of keys", member->name);
}
