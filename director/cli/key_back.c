#include "director/cli/key_back.h"

#include "common/base/text.h"
#include "common/wire/grant.h"
#include "common/wire/lent.h"
#include "director/cli/generations.h"
#include "director/cli/key_witness.h"
#include "director/cli/point.h"
#include "director/cli/put.h"

#include <stdio.h>
#include <string.h>

struct coming_back {
    struct cli *cli;
    const struct identity *identity;
    const struct id *order;
    struct keys keys;
    struct point *point;    /* if it had to be looked up */
    struct key_entry other; /* of the point, where the director knows no such key */
    const struct key_entry *key;
    struct secret *s;
    const char *why_not; /* the box opens, and is of no use */
};

static void coming_back_deinit(struct coming_back *coming)
{
    keys_deinit(&coming->keys);
    point_free(coming->point);
    buf_deinit(&coming->other.section_bytes);
    secret_free(coming->s);
}
DEFINE_AUTO_IN_PLACE(coming_back, struct coming_back, coming_back_deinit)

/* --- taking it --- */

/* Is it this key, of this order? */
static bool open_for(struct coming_back *coming, const struct key_entry *key, struct span sealed)
{
    struct err ignored;
    AUTO(buf) struct buf context = {0};
    AUTO(secret) struct secret *s = NULL;
    order_key_back_context(&state_site(coming->cli->state)->line.site, coming->order, &key->key_id, &context);
    if (!key->section || !box_open(coming->identity->box, buf_span(&context), sealed, &s, &ignored))
        return false;
    if (!key_is(s, &key->key_id)) {
        coming->why_not = "what the transporter gave back is not the key";
        return false;
    }
    coming->key = key;
    coming->s = s;
    s = NULL;
    return true;
}

static bool open_for_known(struct coming_back *coming, struct span sealed)
{
    for (size_t i = 0; i < coming->keys.count; i++)
        if (open_for(coming, &coming->keys.items[i], sealed)) return true;
    return false;
}

static bool name_is_taken(const struct coming_back *coming, const struct key_entry *key)
{
    for (size_t i = 0; i < coming->keys.count; i++)
        if (strcmp(coming->keys.items[i].label, key->label) == 0 &&
            !stored_unlock_covers(key->section, &coming->keys.items[i].key_id))
            return true;
    return false;
}

/* A director that was made anew knows points before it knows their keys. What the point says of its key
 * besides the secret is the writer's word. */
static bool open_for_point(struct coming_back *coming, const struct id *id, struct span sealed)
{
    struct err ignored;
    char hex[2 * ID_LEN + 1];
    hex_encode(id->bytes, ID_LEN, hex);
    if (!point_resolve(coming->cli, hex, NULL, &coming->point, &ignored) || !coming->point->unlock)
        return false;
    const struct point *point = coming->point;
    struct key_entry *key = &coming->other;
    key->key_id = stored_hash(&point->body->key_id);
    key->unlock_hash = stored_hash(&point->body->unlock_hash);
    key->section = coming->point->unlock;
    buf_put_span(&key->section_bytes, stored_span(&point->file->unlock));
    (void)snprintf(key->label, sizeof(key->label), "%s", point->unlock->label);
    if (!open_for(coming, key, sealed)) return false;
    if (!name_is_taken(coming, key)) return true;
    coming->why_not = "another key here has its name";
    return false;
}

/* --- the copies --- */

/* Withdrawn by somebody else than the one who withdraws from himself? Then it is not for a KMS to undo it. */
static bool is_withdrawn(const struct coming_back *coming, const Sealift__Member *operator)
{
    struct id id = grant_id(&coming->key->key_id, operator->sign_pk.data, SEALIFT__HALF__HALF_READ, NULL);
    const struct statement *grant = statements_with_id(&coming->keys.grants, &id);
    const uint8_t *self = coming->identity->known.sign_pk;
    if (!grant || !grant->body.grant->withdrawn) return false;
    return memcmp(operator->sign_pk.data, self, SIGN_PK_LEN) != 0 ||
           memcmp(grant->signer, self, SIGN_PK_LEN) != 0;
}

static bool has_copy(struct coming_back *coming, const Sealift__Member *operator)
{
    struct err ignored;
    const struct hash *key_id = &coming->key->key_id;
    AUTO(secret) struct secret *s = NULL;
    if (memcmp(operator->sign_pk.data, coming->identity->known.sign_pk, SIGN_PK_LEN) == 0)
        return keys_own_secret(coming->cli, key_id, &s, &ignored);
    return keys_grant_of(&coming->keys, key_id, operator->sign_pk.data, NULL) != NULL;
}

static bool give_copies(struct coming_back *coming, size_t *given, struct err *err)
{
    AUTO(read_half) struct read_half *half = NULL;
    const struct key_entry *key = coming->key;
    const Sealift__RosterBody *roster = roster_body(access_roster(coming->cli));
    if (!read_half_open(coming->s->data, &key->key_id, stored_span(&key->section->keyring), &half, err))
        return false;
    for (size_t i = 0; i < roster->n_operators; i++) {
        const Sealift__Member *operator= roster->operators[i];
        if (is_withdrawn(coming, operator) || has_copy(coming, operator)) continue;
        if (*given == 0 && !put_unlock_section(coming->cli, buf_span(&key->section_bytes), err)) return false;
        if (!keys_grant(coming->cli, key, half, operator, NULL, err)) return false;
        (*given)++;
    }
    return true;
}

static void restore_copies(struct coming_back *coming)
{
    struct err err = {0};
    size_t given = 0;
    const struct output *output = &coming->cli->output;
    if (!give_copies(coming, &given, &err))
        output_warning(output, "the key '%s' came back, but not to all operators: %s", coming->key->label,
                       err.text);
    if (given > 0)
        output_note(output, "password hash restored: a KMS opened key '%s', and %zu %s a copy of it again",
                    coming->key->label, given, plural(given, "operator has", "operators have"));
    if (given > 0 && coming->key == &coming->other)
        output_warning(output,
                       "nobody here knew the key '%s': its protectors are those that the writer of the point "
                       "named; see which of them open it: 'sealift key show %s --ask'",
                       coming->key->label, coming->key->label);
}

/* --- */

static const Sealift__SealedCopy *copy_for(const Sealift__Warnings *warnings, const uint8_t *sign_pk)
{
    for (size_t i = 0; i < warnings->n_keys_back; i++)
        if (memcmp(warnings->keys_back[i]->recipient.data, sign_pk, SIGN_PK_LEN) == 0)
            return warnings->keys_back[i];
    return NULL;
}

void key_back_take(struct cli *cli, const struct id *order, const struct id *point,
                   const Sealift__Warnings *warnings)
{
    AUTO(coming_back) struct coming_back coming = {.cli = cli, .order = order};
    struct err err = {0};
    if (warnings->n_keys_back == 0) return;
    if (!access_identity(cli, &coming.identity, &err) || !keys_get_newest(cli, NULL, &coming.keys, &err)) {
        output_warning(&cli->output, "a key came back with the run and cannot be taken: %s", err.text);
        return;
    }
    const Sealift__SealedCopy *copy = copy_for(warnings, coming.identity->known.sign_pk);
    if (!copy) return;
    struct span sealed = stored_span(&copy->sealed);
    if (open_for_known(&coming, sealed) || (point && open_for_point(&coming, point, sealed)))
        restore_copies(&coming);
    else
        output_warning(&cli->output, "a key that came back with the run is left alone: %s",
                       coming.why_not ? coming.why_not : "it is not for this order");
}
