/* History cannot be rolled back, rewritten or forked unseen. */
#include "builder.h"

#include "common/base/alloc.h"
#include "common/base/file.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static enum err_code open_code(const struct place *place, struct err *err)
{
    struct repository *repository = NULL;
    err->code = ERR_NONE;
    if (repository_try_open(place, &repository, err)) repository_close(repository);
    return err->code;
}

static void in_log(const struct place *place, const char *script)
{
    shell("cd '%s/log' && %s", place->path, script);
}

static struct place *with_points(int count)
{
    struct place *place = place_new(REPOSITORY_ENCRYPTED);
    for (int i = 0; i < count; i++)
        (void)back_up(place->repository, (uint8_t)(i + 1), (uint32_t)i * 50, 2);
    return place;
}

Test(log, a_shorter_log_than_before_names_both_numbers)
{
    struct err err;
    for (int lost = 0; lost < 2; lost++) { /* also when the index is gone and only the head is remembered */
        AUTO(place) struct place *place = with_points(3);
        place_close(place);
        in_log(place, "rm 0000000004");
        if (lost) {
            shell("rm -r '%s/index'", place->state);
        }
        cr_assert_eq(open_code(place, &err), ERR_NOT_AUTHENTIC, "%s", err.text);
        cr_assert(strstr(err.text, "ends at entry 3") && strstr(err.text, "entry 4 was seen"), "%s",
                  err.text);
    }
}

Test(log, another_entry_under_a_seen_number_is_a_rewritten_history)
{
    struct err err;
    for (int lost = 0; lost < 2; lost++) {
        AUTO(place) struct place *place = with_points(2);
        AUTO(place) struct place *fork = place_copy(place);
        (void)back_up(place->repository, 10, 500, 2);
        (void)back_up(fork->repository, 11, 600, 2);
        place_close(place);
        place_close(fork);
        shell("cp -a '%s/.' '%s/'", fork->path, place->path);
        if (lost) {
            shell("rm -r '%s/index'", place->state);
        }
        cr_assert_eq(open_code(place, &err), ERR_NOT_AUTHENTIC, "%s", err.text);
        cr_assert(strstr(err.text, "entry 4"), "%s", err.text);
    }
}

Test(log, every_flipped_byte_of_an_entry_is_seen_when_the_log_is_read_anew)
{
    struct err err;
    AUTO(place) struct place *place = with_points(2);
    place_close(place);
    AUTO(free) char *path = xasprintf("%s/log/0000000002", place->path);
    AUTO(free) char *state = place->state;
    place->state = xasprintf("%s/fresh", place->root);
    AUTO(buf) struct buf bytes = {0};
    cr_assert(file_read(AT_FDCWD, path, 1 << 20, &bytes, &err));
    for (size_t at = 0; at < bytes.len; at += 3) {
        bytes.data[at] ^= 1;
        cr_assert_eq(unlink(path), 0);
        cr_assert(file_create(AT_FDCWD, path, buf_span(&bytes), 0600, &err), "%s", err.text);
        bytes.data[at] ^= 1;
        cr_assert_neq(open_code(place, &err), ERR_NONE, "byte %zu", at);
    }
}

Test(log, missing_swapped_and_foreign_entries_are_named)
{
    static const struct {
        const char *script;
        enum err_code code;
        const char *text;
    } cases[] = {
        {"rm 0000000003", ERR_DAMAGED, "the log is broken"},
        {"mv 0000000002 x; mv 0000000003 0000000002; mv x 0000000003", ERR_NOT_AUTHENTIC,
         "entry 2 says that it is number 3"},
        {"cp 0000000003 0000000002", ERR_NOT_AUTHENTIC, "entry 2 says that it is number 3"},
        {": > 0000000002", ERR_DAMAGED, "log entry 2"},
        {"rm 0000000001", ERR_NOT_FOUND, "no log"},
        {"head -c 5000000 /dev/zero > 0000000002", ERR_LIMIT, "larger than"},
        {"rm 0000000002; mkfifo 0000000002", ERR_DAMAGED, "the log is broken"},
        {"rm 0000000002; ln -s 0000000003 0000000002", ERR_DAMAGED, "the log is broken"},
    };
    struct err err;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO(place) struct place *place = with_points(3);
        place_close(place);
        in_log(place, cases[i].script);
        shell("rm -r '%s'", place->state);
        cr_expect_eq(open_code(place, &err), cases[i].code, "%s: %s", cases[i].script, err.text);
        cr_expect(strstr(err.text, cases[i].text), "%s: %s", cases[i].script, err.text);
    }
}

Test(log, entries_of_another_repository_or_owner_are_refused)
{
    struct err err;
    uint8_t seed[32] = {5};
    AUTO(sign_pair) struct sign_pair *stranger = sign_pair_new(seed);
    for (int foreign_owner = 0; foreign_owner < 2; foreign_owner++) {
        AUTO(place) struct place *place = with_points(1);
        place_close(place);
        struct storage storage;
        cr_assert(storage_directory_open(place->path, &storage, &err));
        struct chain chain = {0};
        for (int i = 0; i < 2; i++) {
            AUTO(stored_log) Sealift__LogEntry *entry = NULL;
            cr_assert(chain_next(&chain, &storage, &entry, &err), "%s", err.text);
        }
        if (!foreign_owner) chain.repository = id_of(0x66);
        Sealift__LogEntry entry = SEALIFT__LOG_ENTRY__INIT;
        struct id point = id_of(1);
        entry.kind = SEALIFT__LOG_KIND__LOG_REMOVED;
        entry.object = stored_bytes(span_of(point.bytes, ID_LEN));
        cr_assert(chain_append(&chain, &storage, foreign_owner ? stranger : place->owner, &entry, &err), "%s",
                  err.text);
        storage.ops->close(storage.self);
        cr_assert_eq(open_code(place, &err), ERR_NOT_AUTHENTIC, "%s", err.text);
    }
}

Test(log, removed_and_undeleted_points_come_and_go)
{
    struct err err;
    AUTO(place) struct place *place = with_points(2);
    static const int kinds[] = {SEALIFT__LOG_KIND__LOG_REMOVED, SEALIFT__LOG_KIND__LOG_UNDELETED};
    for (int i = 0; i < 2; i++) {
        Sealift__LogEntry entry = SEALIFT__LOG_ENTRY__INIT;
        struct id point = id_of(1);
        entry.kind = (Sealift__LogKind)kinds[i];
        entry.object = stored_bytes(span_of(point.bytes, ID_LEN));
        struct chain chain = place->repository->chain;
        cr_assert(chain_append(&chain, &place->repository->storage, place->owner, &entry, &err));
        place_close(place);
        place_open(place);
        struct repository_info info;
        repository_info(place->repository, &info);
        cr_assert_eq(info.points, i == 0 ? 1 : 2);
    }
}

Test(log, chunks_of_condemned_packs_are_wanted_again_but_still_read)
{
    struct err err;
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct hash root = back_up(place->repository, 1, 0, 3);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 2);
    struct hash data = writer_id(writer, FRAME_DATA, 0, 1000);
    struct index_pack pack;
    cr_assert(index_pack_from(place->repository->index, 0, &pack, &err));
    ProtobufCBinaryData name = stored_bytes(span_of(pack.name.bytes, HASH_LEN));
    Sealift__LogEntry entry = SEALIFT__LOG_ENTRY__INIT;
    struct hash list = hash_of(span_of(pack.name.bytes, HASH_LEN));
    entry.kind = SEALIFT__LOG_KIND__LOG_CONDEMNED;
    entry.n_packs = 1;
    entry.packs = &name;
    entry.object_hash = stored_bytes(span_of(list.bytes, HASH_LEN));
    struct chain chain = place->repository->chain;
    cr_assert(chain_append(&chain, &place->repository->storage, place->owner, &entry, &err), "%s", err.text);
    for (int rebuilt = 0; rebuilt < 2; rebuilt++) {
        place_close(place);
        if (rebuilt) {
            shell("rm -r '%s/index'", place->state);
        }
        place_open(place);
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 2);
        uint8_t have = 1;
        cr_assert(ingest_has(ingest, &data, 1, &have, &err));
        cr_assert_eq(have, 0);
        cr_assert(restores(place->repository, &root, NULL));
    }
}

Test(log, two_owners_of_one_repository_cannot_both_write)
{
    struct err err;
    AUTO(place) struct place *place = with_points(1);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 9);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 9);
    struct hash root = session_tree(ingest, writer, 700, 2, 100);
    /* as another machine would that got past the lock */
    struct chain chain = place->repository->chain;
    Sealift__LogEntry entry = SEALIFT__LOG_ENTRY__INIT;
    struct id point = id_of(1);
    entry.kind = SEALIFT__LOG_KIND__LOG_REMOVED;
    entry.object = stored_bytes(span_of(point.bytes, ID_LEN));
    cr_assert(chain_append(&chain, &place->repository->storage, place->owner, &entry, &err));

    struct id id = id_of(9);
    struct ingest_receipt receipt;
    AUTO(buf) struct buf file = {0};
    AUTO(buf) struct buf missing = {0};
    writer_point(writer, &id, &root, &file);
    cr_assert_not(ingest_commit(ingest, &id, &root, buf_span(&file), &receipt, &missing, &err));
    cr_assert_eq(err.code, ERR_BUSY, "%s", err.text);
    cr_assert_not(ingest_commit(ingest, &id, &root, buf_span(&file), &receipt, &missing, &err));
    cr_assert_eq(err.code, ERR_FAILED, "%s", err.text);
    cr_assert_not(repository_is_stuck(place->repository), "opened anew it would go on beside the other one");
}

static bool note_time(void *arg, uint64_t number, struct span file)
{
    struct err err;
    uint64_t *last = arg;
    struct span payload;
    uint8_t signer[SIGN_PK_LEN];
    AUTO(stored_log) Sealift__LogEntry *entry = NULL;
    cr_assert(stored_verify(file, "log", &payload, signer, &err), "%s", err.text);
    cr_assert(stored_log_decode(payload, &entry, &err), "%s", err.text);
    cr_assert_eq(entry->number, number);
    cr_assert_geq(entry->time_ns, *last);
    *last = entry->time_ns;
    return true;
}

Test(log, times_never_step_back)
{
    struct err err;
    AUTO(place) struct place *place = with_points(2);
    /* as if the clock had been far ahead once */
    uint64_t future = place->repository->chain.time_ns + UINT64_C(1000000000) * 3600;
    place->repository->chain.time_ns = future;
    (void)back_up(place->repository, 10, 500, 2);
    (void)back_up(place->repository, 11, 600, 2);
    uint64_t last = 0;
    cr_assert(repository_log(place->repository, 1, note_time, &last, &err), "%s", err.text);
    cr_assert_geq(last, future);
    place_close(place);
    place_open(place);
}
