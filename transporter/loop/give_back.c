/* A director that lost its state, or has an old one, is given back what operators signed: rosters,
 * repositories, jobs, grants with their unlock sections. It judges each as if an operator had put it. */
#include "transporter/loop/inside.h"

#include "common/base/log.h"
#include "common/wire/stored.h"

#include <stdio.h>

struct giving {
    struct control *control;
    size_t count;
};

static void give(struct giving *giving, Sealift__GiveBackKind what, struct span payload)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__GiveBack body = SEALIFT__GIVE_BACK__INIT;
    body.what = what;
    head.kind_case = SEALIFT__HEAD__KIND_GIVE_BACK;
    head.give_back = &body;
    outbox_put(giving->control->outbox, &head, payload, OUTBOX_WHOLE);
    giving->count++;
}

static void give_rosters(struct giving *giving, uint64_t from)
{
    struct authority *authority = giving->control->environment.authority;
    for (uint64_t version = from;; version++) {
        struct err err;
        AUTO(buf) struct buf bytes = {0};
        if (!authority_roster_bytes(authority, version, &bytes, &err)) return;
        give(giving, SEALIFT__GIVE_BACK_KIND__GIVE_BACK_STATEMENT, buf_span(&bytes));
    }
}

static void give_statement(void *arg, const struct statement *statement)
{
    give(arg, SEALIFT__GIVE_BACK_KIND__GIVE_BACK_STATEMENT, buf_span(&statement->bytes));
}

/* The hashes of sections, joined; the authority must not be asked for them while it lists. */
static void note_section(void *arg, const struct statement *grant)
{
    const ProtobufCBinaryData *hash = &grant->body.grant->unlock_hash;
    if (hash->len == HASH_LEN) buf_put(arg, hash->data, HASH_LEN);
}

static void give_sections(struct giving *giving)
{
    struct authority *authority = giving->control->environment.authority;
    AUTO(buf) struct buf hashes = {0};
    authority_each(authority, SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT, note_section, &hashes);
    struct reader reader = reader_of(buf_span(&hashes));
    while (reader_left(&reader) > 0) {
        struct hash hash;
        struct err err;
        AUTO(buf) struct buf bytes = {0};
        reader_copy(&reader, hash.bytes, HASH_LEN);
        if (authority_unlock_bytes(authority, &hash, &bytes, &err))
            give(giving, SEALIFT__GIVE_BACK_KIND__GIVE_BACK_UNLOCK, buf_span(&bytes));
    }
}

void give_back_all(struct control *control, uint64_t roster_version)
{
    static const Sealift__StatementType types[] = {SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY,
                                                   SEALIFT__STATEMENT_TYPE__STATEMENT_JOB,
                                                   SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT};
    struct giving giving = {.control = control};
    char count[24];
    give_rosters(&giving, roster_version + 1);
    give_sections(&giving);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        authority_each(control->environment.authority, types[i], give_statement, &giving);
    (void)snprintf(count, sizeof(count), "%zu", giving.count);
    give(&giving, SEALIFT__GIVE_BACK_KIND__GIVE_BACK_END, span_of(NULL, 0));
    log_event(LOG_INFO, "gave_back", "objects", count, "reason",
              "the director's state was brought back from a copy, or made anew", NULL);
}
