#include "cargo.h"
#include "common/crypto/record.h"
#include "ends.h"
#include "tests/unit/pipeline/chunks.h"
#include "transporter/pipeline/outlet_repository.h"
#include "transporter/pipeline/restore.h"
#include "transporter/session/inlet_remote.h"
#include "transporter/session/listener_inside.h"
#include "transporter/session/serve_fetch.h"

#include <criterion/criterion.h>
#include <string.h>

enum { PLANTED = 7 }; /* chunks of the cargo */

/* A repository with one point in it, served by the source over the wire to the listening end. */
struct served {
    struct ends *ends;
    struct hash root;        /* chunk id */
    pthread_mutex_t lock;    /* of the dialler, which its thread frees */
    struct dialler *dialler; /* NULL: it is gone */
    pthread_t thread;
    bool done;
    struct err err;
    _Atomic uint64_t sent;
    struct inlet_remote *inlet;
    struct serve_open open; /* where the source opens */
};

/* Other content under the ids of chunks of the cargo, in a pack before those of the point. */
static void plant(struct ends *ends)
{
    struct err err = {0};
    AUTO(ingest) struct ingest *ingest = NULL;
    AUTO(outlet_repository) struct outlet_repository *outlet = NULL;
    AUTO(run_key) struct run_key *run = run_key_new();
    struct ingest_options options = {.session = {{8}},
                                     .kind = INGEST_WRITER,
                                     .seal = run->seal,
                                     .domain = domain_id(ends->keys.write->dedup_key->data),
                                     .min_free_bytes = 1};
    memcpy(options.writer, ends->keys.writer->pk, SIGN_PK_LEN);
    cr_assert(ingest_open(ends->repository, &options, &ingest, &err), "%s", err.text);
    cr_assert(outlet_repository_new(ingest, OUTLET_REPOSITORY_QUEUE, &outlet, &err), "%s", err.text);
    struct sealing_options to = keys_sealing(&ends->keys, outlet_repository_outlet(outlet));
    to.run = run;
    AUTO(sealing) struct sealing *sealing = NULL;
    AUTO(frame_sealer) struct frame_sealer *sealer = NULL;
    AUTO(buf) struct buf batch = {0};
    struct hash hashes[PLANTED];
    cr_assert(sealing_new(&to, &sealing, &err) && sealing_sealer(sealing, &sealer, &err), "%s", err.text);
    for (uint64_t i = 0; i < PLANTED; i++) {
        AUTO(buf) struct buf frame = {0};
        struct hash content = chunk_content(i, CARGO_CHUNK_LEN);
        struct frame_input input = {.type = FRAME_DATA,
                                    .chunk = sealing_id(sealing, FRAME_DATA, &content),
                                    .raw_len = 5,
                                    .stored = span_str("other")};
        uint8_t *out = buf_grow(&frame, frame_sealed_len(sealer, &input));
        cr_assert(frame_seal(sealer, &input, out, &err), "%s", err.text);
        hashes[i] = hash_of(buf_span(&frame));
        record_append(&batch, RECORD_FRAME, buf_span(&frame));
    }
    cr_assert(sealing_send(sealing, PACK_DATA, &batch, hashes, PLANTED, NULL, &err), "%s", err.text);
}

static bool has_nothing(void *self, const enum frame_type *types, const struct hash *ids, size_t count,
                        uint8_t *have, struct err *err)
{
    memset(have, 0, count);
    return true;
}

static void fill(struct served *served, unsigned planted)
{
    struct ends *ends = served->ends;
    struct err err = {0};
    AUTO(ingest) struct ingest *ingest = NULL;
    AUTO(outlet_repository) struct outlet_repository *outlet = NULL;
    struct ingest_options options = {.session = {{9}},
                                     .kind = INGEST_WRITER,
                                     .seal = ends->keys.run->seal,
                                     .domain = domain_id(ends->keys.write->dedup_key->data),
                                     .min_free_bytes = 1};
    memcpy(options.writer, ends->keys.writer->pk, SIGN_PK_LEN);
    cr_assert(ingest_open(ends->repository, &options, &ingest, &err), "%s", err.text);
    cr_assert(outlet_repository_new(ingest, OUTLET_REPOSITORY_QUEUE, &outlet, &err), "%s", err.text);
    struct sealing_options sealing = ends->kind == REPOSITORY_PLAINTEXT
                                         ? keys_plain(&ends->keys, outlet_repository_outlet(outlet))
                                         : keys_sealing(&ends->keys, outlet_repository_outlet(outlet));
    struct outlet_ops deaf = *sealing.outlet.ops; /* or the chunks that were planted would not be sent */
    deaf.ask = has_nothing;
    if (planted) sealing.outlet.ops = &deaf;
    AUTO(cargo) struct cargo cargo;
    AUTO(buf) struct buf missing = {0};
    cargo_open(&cargo, &sealing);
    struct hash root;
    struct commit_receipt receipt;
    const struct id point = {{3}};
    cr_assert(cargo_pack(&cargo, &root), "%s", cargo.err.text);
    cr_assert(cargo_commit(&cargo, &ends->keys, &point, &root, &receipt, &missing), "%s", cargo.err.text);
    served->root = sealing_id(cargo.sealing, FRAME_NODE, &root);
}

static void *serve_main(void *arg)
{
    struct served *served = arg;
    struct hash domain = domain_id(served->ends->keys.write->dedup_key->data);
    bool plain = served->ends->kind == REPOSITORY_PLAINTEXT;
    struct dialler_opened opened;
    const struct serve_fetch_options options = {
        .dialler = served->dialler,
        .repository = served->ends->repository,
        .domain = plain ? NULL : &domain,
        .open = served->open.opener ? &served->open : NULL,
        .sent_bytes = &served->sent,
    };
    served->done =
        dialler_await(served->dialler, &opened, &served->err) && serve_fetch(&options, &served->err);
    (void)pthread_mutex_lock(&served->lock);
    dialler_free(served->dialler, served->done ? NULL : &served->err);
    served->dialler = NULL;
    (void)pthread_mutex_unlock(&served->lock);
    return NULL;
}

/* It may have ended by itself, too. */
static void cancel(struct served *served)
{
    struct err over = {0};
    (void)err_set(&over, ERR_CANCELLED, "over");
    (void)pthread_mutex_lock(&served->lock);
    if (served->dialler) dialler_cancel(served->dialler, &over);
    (void)pthread_mutex_unlock(&served->lock);
}

static struct served *served_with(enum repository_kind kind, unsigned planted)
{
    struct served *served = calloc(1, sizeof(*served));
    struct err err = {0};
    (void)pthread_mutex_init(&served->lock, NULL);
    served->ends = ends_new(kind);
    for (unsigned i = 0; i < planted; i++)
        plant(served->ends);
    fill(served, planted);
    ends_admit(served->ends, CONVERSATION_RECOVERY);
    cr_assert(inlet_remote_new(served->ends->session, &served->inlet, &err), "%s", err.text);
    return served;
}

static struct served *served_new(enum repository_kind kind)
{
    return served_with(kind, 0);
}

static void begin(struct served *served)
{
    static const struct id seal = {{5}};
    struct err err = {0};
    AUTO(buf) struct buf file = {0};
    struct dialler_options options = ends_dialler(served->ends, CONVERSATION_RECOVERY, &seal);
    options.point_file = span_str("the point file");
    cr_assert(dialler_new(&options, &served->dialler, &err), "%s", err.text);
    cr_assert_eq(pthread_create(&served->thread, NULL, serve_main, served), 0);
    cr_assert(inlet_remote_point(served->inlet, &file, &err), "%s", err.text);
    cr_assert(span_eq(buf_span(&file), span_str("the point file")));
    inlet_remote_accept(served->inlet);
}

static void end(struct served *served)
{
    inlet_remote_finish(served->inlet);
    (void)pthread_join(served->thread, NULL);
    cr_assert(served->done, "%s", served->err.text);
}

static void served_free(struct served *served)
{
    inlet_remote_free(served->inlet);
    ends_free(served->ends);
    free(served);
}
DEFINE_AUTO(served, struct served *, served_free)

struct content {
    struct hasher hasher;
    uint64_t bytes;
};

static bool add_content(void *arg, struct span bytes, struct err *err)
{
    struct content *content = arg;
    hasher_add(&content->hasher, bytes.data, bytes.len);
    content->bytes += bytes.len;
    return true;
}

static void assert_content(const struct content *content)
{
    struct hasher expected;
    AUTO(buf) struct buf bytes = {0};
    hasher_init(&expected);
    for (uint64_t i = 0; i < CARGO_CHUNKS; i++) {
        chunk_fill(&bytes, i, CARGO_CHUNK_LEN);
        hasher_add(&expected, bytes.data, bytes.len);
    }
    struct hash is = hasher_result(&content->hasher), ought = hasher_result(&expected);
    cr_assert(hash_eq(&is, &ought), "%llu bytes", (unsigned long long)content->bytes);
}

static void read_by(struct served *served, struct opener *opener, const struct hash *root)
{
    struct inlet inlet = inlet_remote_inlet(served->inlet);
    struct content content = {.bytes = 0};
    struct err err = {0};
    hasher_init(&content.hasher);
    begin(served);
    cr_assert(restore_cat(opener, &inlet, root, span_str("file"), add_content, &content, &err), "%s",
              err.text);
    assert_content(&content);
    end(served);
}

static void read_back(struct served *served)
{
    bool plain = served->ends->kind == REPOSITORY_PLAINTEXT;
    AUTO(opener) struct opener *opener = opener_new(plain ? NULL : served->ends->keys.read, KEYS_DOMAIN);
    read_by(served, opener, &served->root);
}

Test(recovery_session, a_source_that_opens_serves_a_target_without_any_key)
{
    for (unsigned cuts = 0; cuts < 5; cuts += 4) {
        AUTO(served) struct served *served = served_new(REPOSITORY_ENCRYPTED);
        AUTO(opener) struct opener *keyed = opener_new(served->ends->keys.read, KEYS_DOMAIN);
        AUTO(opener) struct opener *opener = opener_new_opened();
        served->open = (struct serve_open){.opener = keyed, .root = served->root};
        atomic_store(&served->ends->relay->cut_after, 1500000);
        atomic_store(&served->ends->relay->cuts_left, cuts);
        static const struct hash zeros = {{0}};
        read_by(served, opener, &zeros);
    }
}

Test(recovery_session, planted_copies_are_passed_over_whoever_opens)
{
    for (int opened = 0; opened < 2; opened++) {
        AUTO(served) struct served *served = served_with(REPOSITORY_ENCRYPTED, 2);
        AUTO(opener) struct opener *keyed = opener_new(served->ends->keys.read, KEYS_DOMAIN);
        AUTO(opener) struct opener *opener = opener_new_opened();
        static const struct hash zeros = {{0}};
        if (opened) served->open = (struct serve_open){.opener = keyed, .root = served->root};
        read_by(served, opened ? opener : keyed, opened ? &zeros : &served->root);
    }
}

Test(recovery_session, a_question_for_a_copy_beyond_all_is_a_breach_of_protocol)
{
    AUTO(served) struct served *served = served_new(REPOSITORY_ENCRYPTED);
    struct inlet inlet = inlet_remote_inlet(served->inlet);
    struct inlet_sink sink = {.skip = INLET_PLACES};
    struct err err = {0};
    begin(served);
    cr_assert_not(inlet.ops->fetch(inlet.self, &served->root, 1, &sink, &err));
    (void)pthread_join(served->thread, NULL);
    cr_assert_not(served->done);
    cr_assert_eq(served->err.code, ERR_PROTOCOL, "%s", served->err.text);
}

Test(recovery_session, what_is_stored_is_read_back_over_the_wire)
{
    for (int plain = 0; plain < 2; plain++) {
        AUTO(served) struct served *served = served_new(plain ? REPOSITORY_PLAINTEXT : REPOSITORY_ENCRYPTED);
        read_back(served);
    }
}

Test(recovery_session, a_connection_cut_anywhere_changes_nothing, .timeout = 120)
{
    static const uint64_t cuts[] = {600, 1300, 2200, 100000, 700000, 2500000};
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        AUTO(served) struct served *served = served_new(REPOSITORY_ENCRYPTED);
        atomic_store(&served->ends->relay->cut_after, cuts[i]);
        atomic_store(&served->ends->relay->cuts_left, 4);
        read_back(served);
        cr_assert(atomic_load(&served->ends->relay->accepted) > 1);
    }
}

/* Each of many windows, with ids that are there and ids that are not. */
struct seen {
    unsigned frames, missing;
};

static bool see_envelope(void *arg, struct span envelope, struct err *err)
{
    return true;
}

static bool see_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    ((struct seen *)arg)->frames++;
    return true;
}

static bool see_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    ((struct seen *)arg)->missing++;
    return true;
}

static void windows(struct served *served)
{
    struct inlet inlet = inlet_remote_inlet(served->inlet);
    struct hash ids[CARGO_CHUNKS + 5];
    struct err err = {0};
    for (uint64_t i = 0; i < CARGO_CHUNKS; i++) {
        struct hash content = chunk_content(i, CARGO_CHUNK_LEN);
        ids[i] = chunk_id(served->ends->keys.write->dedup_key->data, FRAME_DATA, &content);
    }
    for (size_t i = CARGO_CHUNKS; i < CARGO_CHUNKS + 5; i++)
        random_bytes(ids[i].bytes, HASH_LEN);
    for (int round = 0; round < 8; round++) {
        struct seen seen = {0};
        struct inlet_sink sink = {
            .envelope = see_envelope, .frame = see_frame, .missing = see_missing, .arg = &seen};
        cr_assert(inlet.ops->fetch(inlet.self, ids, CARGO_CHUNKS + 5, &sink, &err), "%s", err.text);
        cr_assert(seen.frames == CARGO_CHUNKS && seen.missing == 5, "%u frames, %u missing", seen.frames,
                  seen.missing);
    }
}

Test(recovery_session, each_id_is_told_once_whatever_is_cut, .timeout = 60)
{
    AUTO(served) struct served *served = served_new(REPOSITORY_ENCRYPTED);
    atomic_store(&served->ends->relay->cut_after, 3000000);
    atomic_store(&served->ends->relay->cuts_left, 10);
    begin(served);
    windows(served);
    end(served);
    cr_assert(atomic_load(&served->ends->relay->accepted) > 5);
}

/* Only now: the first connection may take longer on a busy machine. */
static void set_lease(struct listener_session *session, uint64_t lease_ms)
{
    (void)pthread_mutex_lock(&session->listener->lock);
    session->lease_ms = lease_ms;
    (void)pthread_cond_broadcast(&session->arrived);
    (void)pthread_mutex_unlock(&session->listener->lock);
}

Test(recovery_session, a_peer_that_stays_away_ends_it_by_its_lease)
{
    AUTO(served) struct served *served = served_new(REPOSITORY_ENCRYPTED);
    struct inlet inlet = inlet_remote_inlet(served->inlet);
    struct err err = {0};
    begin(served);
    set_lease(served->ends->session, 200);
    atomic_store(&served->ends->relay->refuse, true);
    struct seen seen = {0};
    struct inlet_sink sink = {
        .envelope = see_envelope, .frame = see_frame, .missing = see_missing, .arg = &seen};
    cr_assert_not(inlet.ops->fetch(inlet.self, &served->root, 1, &sink, &err));
    cr_assert_eq(err.code, ERR_UNREACHABLE, "%s", err.text);
    cancel(served);
    (void)pthread_join(served->thread, NULL);
}
