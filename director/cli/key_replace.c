/* A newer unlock section of a key: grants of it are signed again. */
#include "common/base/clock.h"
#include "director/cli/key_subset.h"
#include "director/cli/put.h"

#include <string.h>

static bool is_in_force(const struct statement *grant, const struct key_entry *key)
{
    const Sealift__GrantBody *body = grant->body.grant;
    return !body->withdrawn && memcmp(body->key_id.data, key->key_id.bytes, HASH_LEN) == 0 &&
           (grant->expiry_s == 0 || grant->expiry_s >= clock_real_ns() / 1000000000);
}

/* In turn: readers, this operator's own copy before all, and then writers. */
static int turn_of(const struct statement *grant, const struct identity_public *self)
{
    const Sealift__GrantBody *body = grant->body.grant;
    if (body->half != SEALIFT__HALF__HALF_READ) return 2;
    return memcmp(body->recipient.data, self->sign_pk, SIGN_PK_LEN) == 0 ? 0 : 1;
}

static const Sealift__Member *recipient_of(const struct cli *cli, const struct statement *grant)
{
    const Sealift__Member *host = roster_transporter(access_roster(cli), grant->body.grant->recipient.data);
    return host ? host : roster_operator(access_roster(cli), grant->body.grant->recipient.data);
}

/* A key, opened, and its section. */
struct newest {
    struct cli *cli;
    const struct key_entry *key;
    const struct read_half *half;
    struct hash hash;
    Sealift__UnlockSection *section;
};
static void newest_deinit(struct newest *newest)
{
    stored_unlock_free(newest->section);
}
DEFINE_AUTO_IN_PLACE(newest, struct newest, newest_deinit)

/* A writer's grant names a section of its own where it is kept to a subset: that is put before. */
static bool put_again(const struct newest *newest, const struct statement *grant,
                      const Sealift__Member *recipient, size_t *count, struct err *err)
{
    AUTO(key_subset) struct key_subset subset = {0};
    AUTO(key_subset) struct key_subset left = {0};
    AUTO(buf) struct buf part = {0};
    struct hash wanted = newest->hash, named = stored_hash(&grant->body.grant->unlock_hash);
    key_subset_of(grant->body.grant, &subset);
    if (subset.chosen) {
        if (!key_subset_section(newest->section, &subset, &left, &part, err)) return false;
        wanted = hash_of(buf_span(&part));
    }
    if (hash_eq(&named, &wanted)) return true;
    if ((subset.chosen && !put_unlock_section(newest->cli, buf_span(&part), err)) ||
        !keys_grant_again(newest->cli, grant, newest->half, &wanted, &left, recipient, err))
        return false;
    key_subset_warn(newest->cli, newest->key->label, recipient->name, &subset, &left);
    (*count)++;
    return true;
}

/* Those who left the roster have nothing to be given; those who may not have it any more keep what they have.
 */
static bool sign_again(const struct newest *newest, const struct statement *grant, size_t *count,
                       struct err *err)
{
    const Sealift__Member *recipient = recipient_of(newest->cli, grant);
    if (!recipient || put_again(newest, grant, recipient, count, err)) return true;
    if (err->code != ERR_POLICY && err->code != ERR_WRONG_KEY) return false;
    output_warning(&newest->cli->output, "the grant of '%s' to '%s' stays as it was: %s", newest->key->label,
                   recipient->name, err->text);
    err_clear(err);
    return true;
}

static bool settle(struct cli *cli, const struct key_entry *key, const struct read_half *half,
                   struct span section, size_t *count, struct err *err)
{
    AUTO(statements) struct statements grants = {0};
    AUTO(newest) struct newest newest = {.cli = cli, .key = key, .half = half, .hash = hash_of(section)};
    struct identity_public self;
    (void)state_identity(cli->state, &self);
    if (!stored_unlock_decode(section, &newest.section, err) ||
        !statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT, &grants, err))
        return false;
    *count = 0;
    for (int turn = 0; turn < 3; turn++)
        for (size_t i = 0; i < grants.count; i++) {
            const struct statement *grant = grants.items[i];
            if (turn_of(grant, &self) != turn || !is_in_force(grant, key)) continue;
            if (!sign_again(&newest, grant, count, err)) return false;
        }
    return true;
}

static bool may_replace(const struct key_entry *key, struct err *err)
{
    if (!key->own) return true;
    return err_set(err, ERR_POLICY,
                   "the own key '%s' never leaves its source, which makes its unlock section: it takes no "
                   "protectors from here",
                   key->label);
}

bool keys_settle(struct cli *cli, const struct key_entry *key, const struct read_half *half, size_t *count,
                 struct err *err)
{
    return may_replace(key, err) && settle(cli, key, half, buf_span(&key->section_bytes), count, err);
}

bool keys_replace_section(struct cli *cli, const struct key_entry *key, const struct read_half *half,
                          struct span section, struct err *err)
{
    size_t count;
    return may_replace(key, err) && put_unlock_section(cli, section, err) &&
           state_keep_unlock(cli->state, section, err) && settle(cli, key, half, section, &count, err);
}
