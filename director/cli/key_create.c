#include "director/cli/key_create.h"

#include "common/base/alloc.h"
#include "common/wire/lent.h"
#include "director/cli/key_draft.h"
#include "director/cli/key_protectors.h"
#include "director/cli/key_witness.h"
#include "director/cli/protect.h"
#include "director/cli/put.h"

#include <stdio.h>
#include <string.h>

enum { DESCRIPTION_MAX = 255 };

const struct option_spec key_create_options[] = {
    {"description", "TEXT", "what the key is for; whoever looks for it years later reads this"},
    KEY_DRAFT_OPTIONS,
    {"own", "TRANSPORTER", "register the own key of a source: it never leaves that host"},
    {"dedup-domain", "D", "let all its sources share one deduplication domain (read the note above)"},
    NEW_PASSWORD_OPTIONS,
    {"kms", "ENTRY",
     "have it wrapped by this KMS entry of a trusted transporter, also as ENTRY@TRANSPORTER; as "
     "often as wanted: any one brings it back"},
    {"at", "TRANSPORTER", "who has the KMS entries; not needed where only one has"},
    {0},
};

/* --- making one here --- */

static bool one_origin(const struct args *args, struct err *err)
{
    if (key_draft_ways(args) + (args_value(args, "own") ? 1 : 0) == 1) return true;
    return err_set(err, ERR_USAGE,
                   "say where the key comes from: one of --password, --from-file, --generate, --own");
}

/* The read half for each operator, this one first. */
static bool grant_operators(struct cli *cli, const struct key_entry *key, const struct read_half *half,
                            struct err *err)
{
    struct identity_public self;
    (void)state_identity(cli->state, &self);
    const Sealift__RosterBody *roster = roster_body(access_roster(cli));
    for (int others = 0; others < 2; others++)
        for (size_t i = 0; i < roster->n_operators; i++) {
            bool is_other = memcmp(roster->operators[i]->sign_pk.data, self.sign_pk, SIGN_PK_LEN) != 0;
            if (is_other == (others == 1) && !keys_grant(cli, key, half, roster->operators[i], NULL, err))
                return false;
        }
    return true;
}

static void say_created(const struct cli *cli, const struct key_entry *key)
{
    char fingerprint[KEY_FINGERPRINT_LEN];
    key_fingerprint(&key->key_id, fingerprint);
    output_line(&cli->output,
                json_pack("{s:s, s:o, s:s}", "key", key->label, "id", json_hex(key->key_id.bytes, HASH_LEN),
                          "fingerprint", fingerprint),
                "%s is a key, fingerprint %s", key->label, fingerprint);
    if (key->section && key->section->origin == SEALIFT__KEY_ORIGIN__KEY_FROM_PASSWORD)
        output_note(&cli->output, "the password alone brings it back: write it down and keep it elsewhere");
    key_warn_unprotected(cli, key);
}

static bool create_here(struct cli *cli, const struct args *args, const struct keys *keys,
                        struct key_draft *draft, struct err *err)
{
    if (!key_draft_secret(args, draft, err)) return false;
    AUTO(read_half) struct read_half *half = read_half_new(draft->s->data);
    AUTO(key_entry) struct key_entry key = {.key_id = half->key_id, .description = draft->description};
    (void)snprintf(key.label, sizeof(key.label), "%s", draft->label);
    const struct key_entry *same = keys_with_id(keys, &half->key_id);
    if (same) return err_set(err, ERR_EXISTS, "this is the key '%s', which exists already", same->label);
    AUTO(free) char *shared = NULL;
    if (args_value(args, "dedup-domain"))
        draft->shared_domain = shared = xasprintf("d:%s", args_value(args, "dedup-domain"));
    AUTO(protect_wraps) struct protect_wraps wraps = {0};
    if (!protect_wrap_all(cli, args, args_value(args, "at"), &half->key_id, half->s, &wraps, err))
        return err_wrap(err, "the key '%s' was not made", draft->label);
    draft->kms = wraps.list;
    draft->kms_count = wraps.count;
    if (!key_draft_section(draft, half, &key, err)) return false;
    if (!put_unlock_section(cli, buf_span(&key.section_bytes), err) ||
        !state_keep_unlock(cli->state, buf_span(&key.section_bytes), err) ||
        !grant_operators(cli, &key, half, err))
        return false;
    say_created(cli, &key);
    return true;
}

/* --- own keys of sources --- */

static bool register_own(struct cli *cli, const struct args *args, const struct keys *keys,
                         const struct key_draft *draft, struct err *err)
{
    const Sealift__Member *source = NULL;
    struct state_own_key own = {0};
    if (args_value(args, "kms"))
        return err_set(err, ERR_USAGE, "an own key never leaves its source: no --kms");
    if (args_value(args, "dedup-domain"))
        return err_set(err, ERR_USAGE, "an own key has the domain of its source: no --dedup-domain");
    /* the source's word, not the director's: with another key id it would have backups under a key that
     * nobody has */
    if (!access_transporter(cli, args_value(args, "own"), &source, err) ||
        !key_witness_own(cli, source, &own.key_id, &own.domain, err))
        return false;
    memcpy(own.source, source->sign_pk.data, SIGN_PK_LEN);
    (void)snprintf(own.label, sizeof(own.label), "%s", draft->label);
    (void)snprintf(own.description, sizeof(own.description), "%s", draft->description);
    const struct key_entry *same = keys_with_id(keys, &own.key_id);
    if (same)
        return err_set(err, ERR_EXISTS, "this is the key '%s', which is registered already", same->label);
    if (!state_keep_own_key(cli->state, &own, err)) return false;
    struct key_entry key = {.key_id = own.key_id, .own = true};
    (void)snprintf(key.label, sizeof(key.label), "%s", own.label);
    say_created(cli, &key);
    return true;
}

bool key_create(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(keys) struct keys keys = {0};
    AUTO(key_draft)
    struct key_draft draft = {.label = args_operand(args, 0), .description = args_value(args, "description")};
    if (!identity_name_check(draft.label, err) || !one_origin(args, err)) return false;
    if (!draft.description || !draft.description[0] || strlen(draft.description) > DESCRIPTION_MAX ||
        strchr(draft.description, '\n'))
        return err_set(err, ERR_USAGE, "--description TEXT is needed: one line of at most %d bytes",
                       DESCRIPTION_MAX);
    const char *domain = args_value(args, "dedup-domain");
    if (domain && !identity_name_check(domain, err)) return err_wrap(err, "--dedup-domain");
    if (!keys_get(cli, &keys, err)) return false;
    for (size_t i = 0; i < keys.count; i++)
        if (strcmp(keys.items[i].label, draft.label) == 0)
            return err_set(err, ERR_EXISTS, "there is a key '%s' already", draft.label);
    if (args_value(args, "own")) return register_own(cli, args, &keys, &draft, err);
    return create_here(cli, args, &keys, &draft, err);
}
