/* Rewraps in a repository: kept once, found with the envelope, told apart by the check, taken with their
 * seal. */
#include "builder.h"
#include "common/crypto/record.h"
#include "common/crypto/seal/rewrap_key.h"
#include "common/wire/stored.h"
#include "transporter/repository/check.h"
#include "transporter/repository/fetch.h"
#include "transporter/repository/rewraps.h"

#include <criterion/criterion.h>
#include <string.h>

/* A backup of its own seal, and what rewraps it. */
struct rig {
    struct place *place;
    struct writer *writer;
    struct hash root;
    struct read_half *next; /* the key of all writers, rotated */
    struct sign_pair *host;
};

static void rig_init(struct rig *rig)
{
    struct err err;
    uint8_t old_s[32] = {7}, s[32]; /* as builder.c makes the key of all writers */
    memset(s, 0x77, sizeof(s));
    *rig = (struct rig){.place = place_new(REPOSITORY_ENCRYPTED),
                        .writer = writer_new(REPOSITORY_ENCRYPTED, 1),
                        .host = sign_pair_new(NULL)};
    rig->root = back_up(rig->place->repository, 1, 100, 3);
    AUTO(read_half) struct read_half *old = read_half_new(old_s);
    memcpy(old->psk->data, rig->writer->half->psk->data, old->psk->len);
    cr_assert(hash_eq(&old->key_id, &rig->writer->half->key_id));
    cr_assert(read_half_rotate(old, s, ROTATE_KEEP_DEDUP, &rig->next, &err), "%s", err.text);
}

static void rig_deinit(struct rig *rig)
{
    read_half_free(rig->next);
    sign_pair_free(rig->host);
    writer_free(rig->writer);
    place_free(rig->place);
}

struct seal_seen {
    struct id seal;
    uint8_t envelope[ENVELOPE_LEN];
    size_t count;
};

static bool see_seal(void *arg, const struct id *seal, struct span envelope, const struct err *why,
                     struct err *err)
{
    struct seal_seen *seen = arg;
    (void)err;
    cr_assert_null(why);
    cr_assert_eq(envelope.len, ENVELOPE_LEN);
    seen->seal = *seal;
    memcpy(seen->envelope, envelope.data, ENVELOPE_LEN);
    seen->count++;
    return true;
}

static struct seal_seen only_seal(struct repository *repository)
{
    static const struct id first = {{0}};
    struct seal_seen seen = {.count = 0};
    struct err err;
    cr_assert(repository_seals(repository, &first, 10, see_seal, &seen, &err), "%s", err.text);
    cr_assert_eq(seen.count, 1);
    return seen;
}

static void make(const struct rig *rig, const uint8_t *envelope, const struct sign_pair *host,
                 struct buf *out)
{
    uint8_t payload[REWRAP_LEN];
    struct err err;
    cr_assert(rewrap_make(span_of(envelope, ENVELOPE_LEN), rig->next, host->pk, payload, &err), "%s",
              err.text);
    stored_sign(host, REWRAP_SIGNATURE_NAME, span_of(payload, sizeof(payload)), out);
    cr_assert_leq(out->len, REWRAP_OBJECT_MAX);
}

static enum err_code keep(const struct rig *rig, struct span object, enum rewrap_outcome *out)
{
    struct err err = {0};
    bool kept = repository_rewrap_keep(rig->place->repository, object, out, &err);
    if (!kept) cr_log_info("not kept: %s", err.text);
    return kept ? ERR_NONE : err.code;
}

struct told {
    size_t rewraps, envelopes;
    struct span expected;
};

static bool on_rewrap(void *arg, struct span envelope, struct span object, struct err *err)
{
    struct told *told = arg;
    (void)err;
    cr_assert_eq(envelope.len, ENVELOPE_LEN);
    cr_assert(span_eq(object, told->expected));
    cr_assert_eq(told->envelopes, 0, "before the envelope");
    told->rewraps++;
    return true;
}

static bool on_envelope(void *arg, struct span envelope, struct err *err)
{
    (void)envelope;
    (void)err;
    ((struct told *)arg)->envelopes++;
    return true;
}

static bool on_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    (void)arg, (void)id, (void)frame, (void)err;
    return true;
}

static bool on_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    (void)arg, (void)id, (void)why, (void)err;
    cr_assert_fail("nothing is missing");
    return true;
}

Test(rewraps, one_is_kept_once_by_each_signer_and_told_with_the_envelope)
{
    struct rig rig;
    rig_init(&rig);
    struct seal_seen seal = only_seal(rig.place->repository);
    enum rewrap_outcome outcome;
    AUTO(buf) struct buf object = {0};
    AUTO(buf) struct buf again = {0};
    struct err err;
    make(&rig, seal.envelope, rig.host, &object);
    make(&rig, seal.envelope, rig.host, &again); /* other bytes: another ephemeral key */
    cr_assert_eq(keep(&rig, buf_span(&object), &outcome), ERR_NONE);
    cr_assert_eq(outcome, REWRAP_KEPT);
    cr_assert_eq(keep(&rig, buf_span(&again), &outcome), ERR_NONE);
    cr_assert_eq(outcome, REWRAP_WAS_THERE);
    struct told told = {.expected = buf_span(&object)};
    const struct fetch_sink sink = {
        .envelope = on_envelope, .rewrap = on_rewrap, .frame = on_frame, .missing = on_missing, .arg = &told};
    cr_assert(repository_fetch(rig.place->repository, &rig.root, 1, FETCH_FRAMES, &sink, &err), "%s",
              err.text);
    cr_assert_eq(told.rewraps, 1);
    cr_assert_eq(told.envelopes, 1);
    rig_deinit(&rig);
}

Test(rewraps, what_is_of_no_seal_here_or_of_another_envelope_is_not_kept)
{
    struct rig rig;
    rig_init(&rig);
    struct seal_seen seal = only_seal(rig.place->repository);
    enum rewrap_outcome outcome;
    struct err err;
    AUTO(writer) struct writer *stranger = writer_new(REPOSITORY_ENCRYPTED, 9); /* whose seal is not here */
    AUTO(buf) struct buf absent = {0};
    AUTO(buf) struct buf other = {0};
    AUTO(buf) struct buf flipped = {0};
    make(&rig, stranger->envelope, rig.host, &absent);
    cr_assert_eq(keep(&rig, buf_span(&absent), &outcome), ERR_NOT_FOUND);
    /* another envelope of the very seal that is here */
    uint8_t envelope[ENVELOPE_LEN];
    stranger->run->seal = seal.seal;
    cr_assert(envelope_seal(stranger->run, stranger->half, stranger->pair, envelope, &err), "%s", err.text);
    make(&rig, envelope, rig.host, &other);
    cr_assert_eq(keep(&rig, buf_span(&other), &outcome), ERR_DAMAGED);
    make(&rig, seal.envelope, rig.host, &flipped);
    flipped.data[40] ^= 1;
    cr_assert_eq(keep(&rig, buf_span(&flipped), &outcome), ERR_NOT_AUTHENTIC);
    rig_deinit(&rig);
}

Test(rewraps, every_cut_and_every_flipped_byte_of_an_object_is_refused)
{
    struct rig rig;
    rig_init(&rig);
    struct seal_seen seal = only_seal(rig.place->repository);
    struct rewrap_view view;
    struct err err;
    uint8_t signer[SIGN_PK_LEN];
    AUTO(buf) struct buf object = {0};
    make(&rig, seal.envelope, rig.host, &object);
    cr_assert(rewrap_object_decode(buf_span(&object), &seal.seal, &view, signer, &err), "%s", err.text);
    for (size_t len = 0; len < object.len; len++)
        cr_assert_not(rewrap_object_decode(span_of(object.data, len), &seal.seal, &view, signer, &err));
    for (size_t at = 0; at < object.len; at++) {
        object.data[at] ^= 1;
        cr_assert_not(rewrap_object_decode(buf_span(&object), &seal.seal, &view, signer, &err), "byte %zu",
                      at);
        object.data[at] ^= 1;
    }
    struct id other = id_of(200);
    cr_assert_not(rewrap_object_decode(buf_span(&object), &other, &view, signer, &err));
    cr_assert_eq(err.code, ERR_DAMAGED);
    rig_deinit(&rig);
}

/* --- records that somebody sends --- */

struct handed {
    size_t count;
    struct err err;
};

static bool on_object(void *arg, struct span object, struct err *err)
{
    struct handed *handed = arg;
    cr_assert_leq(object.len, (size_t)REWRAP_OBJECT_MAX);
    handed->count++;
    return true;
}

static enum err_code hand(struct span records, uint32_t count, struct handed *handed)
{
    *handed = (struct handed){0};
    bool taken = rewraps_each_record(records, count, on_object, handed, &handed->err);
    return taken ? ERR_NONE : handed->err.code;
}

Test(rewraps, of_records_that_are_sent_every_cut_kind_and_count_is_looked_at)
{
    static const uint8_t object[100] = {1};
    struct handed handed;
    AUTO(buf) struct buf one = {0}, three = {0}, other = {0}, many = {0};
    record_append(&one, RECORD_REWRAP, span_of(object, sizeof(object)));
    for (int i = 0; i < 3; i++)
        record_append(&three, RECORD_REWRAP, span_of(object, sizeof(object)));
    cr_assert_eq(hand(buf_span(&three), 3, &handed), ERR_NONE, "%s", handed.err.text);
    cr_assert_eq(handed.count, 3);
    cr_assert_eq(hand(buf_span(&three), 2, &handed), ERR_PROTOCOL, "one more than was said");
    cr_assert_eq(hand(buf_span(&three), 4, &handed), ERR_PROTOCOL, "one less");
    for (size_t len = 0; len < three.len; len++) {
        AUTO(buf) struct buf exact = {0};
        buf_put(&exact, three.data, len);
        cr_assert_eq(hand(buf_span(&exact), 3, &handed), ERR_PROTOCOL, "%zu bytes", len);
        cr_assert_eq(handed.count, len / one.len, "%zu bytes", len);
    }
    for (size_t bit = 0; bit < 8 * three.len; bit++) { /* a record's check leaves none unseen */
        three.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_eq(hand(buf_span(&three), 3, &handed), ERR_PROTOCOL, "bit %zu", bit);
        three.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    record_append(&other, RECORD_ENVELOPE, span_of(object, sizeof(object)));
    cr_assert_eq(hand(buf_span(&other), 1, &handed), ERR_PROTOCOL, "another kind");
    for (int i = 0; i <= REWRAPS_AT_ONCE; i++)
        record_append(&many, RECORD_REWRAP, span_of(object, 1));
    cr_assert_eq(hand(buf_span(&many), REWRAPS_AT_ONCE + 1, &handed), ERR_PROTOCOL, "too many");
    cr_assert_eq(handed.count, (size_t)REWRAPS_AT_ONCE);
}

Test(rewraps, of_a_seal_the_first_that_finds_no_room_is_refused_and_what_is_there_stays)
{
    struct rig rig;
    rig_init(&rig);
    struct seal_seen seal = only_seal(rig.place->repository);
    enum rewrap_outcome outcome = REWRAP_WAS_THERE;
    struct err err = {0};
    AUTO(buf) struct buf first = {0}, last = {0};
    make(&rig, seal.envelope, rig.host, &first);
    cr_assert_eq(keep(&rig, buf_span(&first), &outcome), ERR_NONE);
    for (int i = 1; i < REWRAPS_MOST; i++) {
        AUTO(sign_pair) struct sign_pair *host = sign_pair_new(NULL);
        AUTO(buf) struct buf object = {0};
        make(&rig, seal.envelope, host, &object);
        cr_assert_eq(keep(&rig, buf_span(&object), &outcome), ERR_NONE);
        cr_assert_eq(outcome, REWRAP_KEPT);
    }
    AUTO(sign_pair) struct sign_pair *one_more = sign_pair_new(NULL);
    make(&rig, seal.envelope, one_more, &last);
    cr_assert_not(repository_rewrap_keep(rig.place->repository, buf_span(&last), &outcome, &err));
    cr_assert_eq(err.code, ERR_LIMIT);
    cr_assert_str_eq(err.text, "a seal has 64 rewraps, and no room for more");
    cr_assert(rewrap_is_refused(err.code), "others may be kept all the same");
    cr_assert_eq(keep(&rig, buf_span(&first), &outcome), ERR_NONE);
    cr_assert_eq(outcome, REWRAP_WAS_THERE);
    rig_deinit(&rig);
}

/* --- the check --- */

struct verdict {
    const struct sign_pair *member, *admitted;
    size_t findings, remarks;
    enum err_code code;
};

static bool is_admitted(void *arg, const uint8_t writer[SIGN_PK_LEN])
{
    const struct verdict *verdict = arg;
    return !verdict->admitted || memcmp(writer, verdict->admitted->pk, SIGN_PK_LEN) == 0 ||
           (verdict->member && memcmp(writer, verdict->member->pk, SIGN_PK_LEN) == 0);
}

static bool is_member(void *arg, const uint8_t host[SIGN_PK_LEN])
{
    const struct verdict *verdict = arg;
    return !verdict->member || memcmp(host, verdict->member->pk, SIGN_PK_LEN) == 0;
}

static void on_finding(void *arg, const struct check_finding *finding)
{
    struct verdict *verdict = arg;
    if (strncmp(finding->object, "rewrap/", 7) != 0) return;
    *(finding->code == ERR_NONE ? &verdict->remarks : &verdict->findings) += 1;
    if (finding->code != ERR_NONE) verdict->code = finding->code;
}

static struct verdict check(const struct rig *rig, const struct sign_pair *admitted,
                            const struct sign_pair *member)
{
    struct verdict verdict = {.admitted = admitted, .member = member};
    const struct check_sink sink = {
        .finding = on_finding, .admitted = is_admitted, .is_member = is_member, .arg = &verdict};
    const struct check_options options = {.level = CHECK_PRESENCE};
    struct check_result result;
    struct err err = {0};
    cr_assert(repository_check(rig->place->repository, &options, &sink, &result, &err), "%s", err.text);
    return verdict;
}

static void plant(const struct rig *rig, const struct id *seal, unsigned number, struct span object)
{
    const struct storage *storage = &rig->place->repository->storage;
    char name[REWRAP_NAME_LEN];
    struct err err;
    rewrap_name(seal, number, name);
    cr_assert(storage->ops->put_if_absent(storage->self, name, object, &err), "%s", err.text);
}

Test(rewraps, the_check_names_a_foreign_and_a_revoked_signer_and_one_that_was_moved)
{
    struct rig rig;
    rig_init(&rig);
    struct seal_seen seal = only_seal(rig.place->repository);
    enum rewrap_outcome outcome;
    AUTO(sign_pair) struct sign_pair *other = sign_pair_new(NULL);
    AUTO(buf) struct buf object = {0};
    AUTO(buf) struct buf better = {0};
    make(&rig, seal.envelope, rig.host, &object);
    cr_assert_eq(keep(&rig, buf_span(&object), &outcome), ERR_NONE);
    struct verdict verdict = check(&rig, NULL, NULL);
    cr_assert_eq(verdict.findings + verdict.remarks, 0);
    verdict = check(&rig, other, NULL);
    cr_assert_eq(verdict.findings, 1, "never admitted");
    cr_assert_eq(verdict.code, ERR_NOT_AUTHENTIC);
    verdict = check(&rig, rig.host, other);
    cr_assert_eq(verdict.findings, 1, "revoked");
    cr_assert_eq(verdict.code, ERR_NOT_AUTHENTIC);
    make(&rig, seal.envelope, other, &better);
    cr_assert_eq(keep(&rig, buf_span(&better), &outcome), ERR_NONE);
    cr_assert_eq(outcome, REWRAP_KEPT, "another signer's does not stand in its way");
    verdict = check(&rig, rig.host, other);
    cr_assert_eq(verdict.findings, 0, "another host has made one since");
    cr_assert_eq(verdict.remarks, 1);
    struct id elsewhere = id_of(200);
    plant(&rig, &elsewhere, 1, buf_span(&object));
    verdict = check(&rig, NULL, NULL);
    cr_assert_eq(verdict.findings, 1);
    cr_assert_eq(verdict.code, ERR_DAMAGED);
    rig_deinit(&rig);
}

Test(rewraps, those_of_a_seal_that_is_gone_are_taken_away_and_no_others)
{
    struct rig rig;
    rig_init(&rig);
    struct seal_seen seal = only_seal(rig.place->repository);
    enum rewrap_outcome outcome;
    struct err err;
    AUTO(buf) struct buf object = {0};
    AUTO(buf) struct buf read = {0};
    const struct storage *storage = &rig.place->repository->storage;
    char name[REWRAP_NAME_LEN];
    struct id gone = id_of(200);
    make(&rig, seal.envelope, rig.host, &object);
    cr_assert_eq(keep(&rig, buf_span(&object), &outcome), ERR_NONE);
    plant(&rig, &gone, 1, buf_span(&object));
    rewraps_leftovers(rig.place->repository);
    rewrap_name(&gone, 1, name);
    cr_assert_not(storage->ops->get(storage->self, name, REWRAP_OBJECT_MAX, &read, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
    rewrap_name(&seal.seal, 1, name);
    cr_assert(storage->ops->get(storage->self, name, REWRAP_OBJECT_MAX, &read, &err), "%s", err.text);
    rig_deinit(&rig);
}
