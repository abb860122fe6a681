/* How a connection to the director begins: Join, or Hello and what has happened since the last one. */
#include "transporter/loop/inside.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/wire/stored.h"
#include "transporter/kms/kms_set.h"

static uint64_t own_roster_version(struct authority *authority)
{
    const struct roster *roster = authority_roster_take(authority);
    uint64_t version = roster ? roster_version(roster) : 0;
    authority_roster_release(authority, roster);
    return version;
}

struct offers {
    Sealift__KmsOffer offers[KMS_SET_MOST];
    Sealift__KmsOffer *items[KMS_SET_MOST];
};

static void offer_kms(const struct kms_set *kms, struct offers *out, Sealift__Hello *hello)
{
    hello->n_kms = kms_set_count(kms);
    hello->kms = out->items;
    for (size_t i = 0; i < hello->n_kms; i++) {
        const struct kms_entry *entry = kms_set_at(kms, i);
        Sealift__KmsOffer *offer = out->items[i] = &out->offers[i];
        sealift__kms_offer__init(offer);
        offer->name = stored_lent(entry->name);
        offer->kind = stored_lent(kms_kind_name(entry->uri->kind));
    }
}

static void put_hello(struct control *control)
{
    struct offers offers;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Hello hello = SEALIFT__HELLO__INIT;
    Sealift__OwnKey own = SEALIFT__OWN_KEY__INIT;
    AUTO(buf) struct buf ids = {0};
    run_table_ids(control->runs, &ids);
    size_t count = ids.len / ID_LEN;
    AUTO(free) ProtobufCBinaryData *runs = xcalloc(count + 1, sizeof(*runs));
    for (size_t i = 0; i < count; i++)
        runs[i] = stored_bytes(span_of(ids.data + i * ID_LEN, ID_LEN));
    hello.version = stored_lent(SEALIFT_VERSION);
    hello.roster_version = own_roster_version(control->environment.authority);
    hello.incarnation = stored_bytes(span_of(control->incarnation.bytes, ID_LEN));
    hello.slots = control->options.slots;
    hello.kept_slots = control->options.kept_slots;
    hello.n_runs = count;
    hello.runs = runs;
    if (control->options.reverse_endpoint)
        hello.reverse_endpoint = stored_lent(control->options.reverse_endpoint);
    offer_kms(control->environment.kms, &offers, &hello);
    if (control->options.own_key_id) {
        own.key_id = stored_bytes(span_of(control->options.own_key_id->bytes, HASH_LEN));
        own.domain_id = stored_bytes(span_of(control->options.own_domain_id->bytes, HASH_LEN));
        hello.own_key = &own;
    }
    head.kind_case = SEALIFT__HEAD__KIND_HELLO;
    head.hello = &hello;
    outbox_put(control->outbox, &head, span_of(NULL, 0), OUTBOX_FIRST);
}

static void put_join(struct control *control)
{
    AUTO(buf) struct buf identity = {0};
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Join join = SEALIFT__JOIN__INIT;
    identity_public_encode(&control->environment.self->known, &identity);
    head.kind_case = SEALIFT__HEAD__KIND_JOIN;
    head.join = &join;
    outbox_put(control->outbox, &head, buf_span(&identity), OUTBOX_FIRST);
}

void greeting_say(struct control *control)
{
    if (!authority_member(control->environment.authority)) {
        put_join(control);
        control->joined_ms = clock_steady_ms();
        return;
    }
    put_hello(control);
    control->greeted = true;
    run_news_tell_ready(control->run_news);
    greeting_tell_ends(control);
    repository_news_tell_all(&control->repositories);
}

void greeting_tell_ends(struct control *control)
{
    control->ends_told_ms = clock_steady_ms();
    run_news_tell_ends(control->run_news);
}
