/* What a start after a crash makes of what it finds. */
#include "builder.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/text.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct buf read_file(const char *path)
{
    struct err err;
    struct buf bytes = {0};
    cr_assert(file_read(AT_FDCWD, path, 1 << 28, &bytes, &err), "%s", err.text);
    return bytes;
}

static void write_file(const char *path, struct span bytes)
{
    struct err err;
    AUTO(fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    cr_assert(fd_write_all(fd, bytes, path, &err), "%s", err.text);
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static bool has(struct repository *repository, const struct writer *writer, const struct hash *id)
{
    struct err err;
    AUTO(ingest) struct ingest *ingest = session_open(repository, writer, 200);
    uint8_t have;
    cr_assert(ingest_has(ingest, id, 1, &have, &err), "%s", err.text);
    return have == 1;
}

static uint64_t resumes_at(struct repository *repository, const struct writer *writer)
{
    AUTO(ingest) struct ingest *ingest = session_open(repository, writer, 201);
    return ingest_acknowledged(ingest);
}

/* The bytes of a journal with these batches, as a killed process leaves them; `ends` receives where
 * each batch ends. */
static struct buf killed_journal(struct place *place, struct writer *writer, int batches, struct hash *ids,
                                 uint64_t *ends)
{
    struct buf bytes = {0};
    AUTO(free) char *path = xasprintf("%s/open/", place->path);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 3);
    char digits[2 * ID_LEN + 1];
    struct id session = id_of(3);
    hex_encode(session.bytes, ID_LEN, digits);
    AUTO(free) char *journal = xasprintf("%s%s/00000000", path, digits);
    for (int i = 0; i < batches; i++) {
        ids[2 * i] = writer_data(writer, 2 * (uint32_t)i, 40);
        ids[2 * i + 1] = writer_data(writer, 2 * (uint32_t)i + 1, 40);
        session_send(ingest, writer, PACK_DATA);
        session_wait(ingest, writer->number);
        buf_deinit(&bytes);
        bytes = read_file(journal);
        ends[i] = bytes.len;
    }
    return bytes;
}

Test(salvage, of_a_journal_cut_anywhere_the_longest_covered_prefix_is_kept, .timeout = 120)
{
    enum { BATCHES = 3 };
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    struct hash ids[2 * BATCHES];
    uint64_t ends[BATCHES];
    AUTO(buf) struct buf bytes = killed_journal(place, writer, BATCHES, ids, ends);
    for (size_t len = 0; len <= bytes.len; len++) {
        AUTO(place) struct place *crashed = place_new(REPOSITORY_ENCRYPTED);
        place_close(crashed);
        AUTO(free) char *dir = xasprintf("%s/open", crashed->path);
        AUTO(free) char *session = xasprintf("%s/03030303030303030303030303030303", dir);
        AUTO(free) char *journal = xasprintf("%s/00000000", session);
        (void)mkdir(dir, 0700);
        (void)mkdir(session, 0700);
        write_file(journal, span_of(bytes.data, len));
        place_open(crashed);
        uint64_t whole = 0;
        while (whole < BATCHES && ends[whole] <= len)
            whole++;
        cr_assert_eq(resumes_at(crashed->repository, writer), whole, "at %zu bytes", len);
        for (uint64_t i = 0; i < 2 * BATCHES; i++)
            cr_assert_eq(has(crashed->repository, writer, &ids[i]), i < 2 * whole, "at %zu bytes", len);
        cr_assert_not(exists(journal));
        cr_assert_not(exists(session));
        struct repository_info info;
        repository_info(crashed->repository, &info);
        cr_assert_eq(info.chunks, 2 * whole);
    }
}

Test(salvage, a_flipped_byte_ends_the_prefix_before_it)
{
    enum { BATCHES = 2 };
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    struct hash ids[2 * BATCHES];
    uint64_t ends[BATCHES];
    AUTO(buf) struct buf bytes = killed_journal(place, writer, BATCHES, ids, ends);
    for (size_t at = 0; at < bytes.len; at += 13) {
        AUTO(place) struct place *crashed = place_new(REPOSITORY_ENCRYPTED);
        place_close(crashed);
        AUTO(free) char *dir = xasprintf("%s/open", crashed->path);
        AUTO(free) char *session = xasprintf("%s/03030303030303030303030303030303", dir);
        AUTO(free) char *journal = xasprintf("%s/00000000", session);
        (void)mkdir(dir, 0700);
        (void)mkdir(session, 0700);
        bytes.data[at] ^= 0x10;
        write_file(journal, buf_span(&bytes));
        bytes.data[at] ^= 0x10;
        place_open(crashed);
        bool random_part = at >= 48 && at < PACK_HEADER_LEN; /* of the header: any bytes are right */
        uint64_t expected = random_part ? 2 : at < ends[0] ? 0 : 1;
        cr_assert_eq(resumes_at(crashed->repository, writer), expected, "at %zu", at);
    }
}

Test(salvage, a_kill_at_any_moment_leaves_what_was_acknowledged_and_what_was_committed)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct hash old_root = back_up(place->repository, 9, 5000, 4);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    struct hash data = writer_data(writer, 1, 700);
    session_send(ingest, writer, PACK_DATA);
    session_wait(ingest, 1);
    struct hash root = writer_node(writer, 2, NULL, 0, &data, 1);
    session_send(ingest, writer, PACK_META);
    session_wait(ingest, 2);
    {
        AUTO(place) struct place *crashed = place_copy(place);
        cr_assert(restores(crashed->repository, &old_root, NULL));
        cr_assert(has(crashed->repository, writer, &data));
        /* the same run goes on: nothing has to be sent again */
        AUTO(ingest) struct ingest *again = session_open(crashed->repository, writer, 1);
        cr_assert_eq(ingest_acknowledged(again), 2);
        (void)session_commit(again, writer, 1, &root);
        cr_assert(restores(crashed->repository, &root, NULL));
    }
    (void)session_commit(ingest, writer, 1, &root);
    AUTO(place) struct place *crashed = place_copy(place);
    cr_assert(restores(crashed->repository, &root, NULL));
    cr_assert(restores(crashed->repository, &old_root, NULL));
}

/* The journal of a pack that was linked before the crash: one file, two names. */
Test(salvage, a_name_left_beside_a_published_pack_is_removed_and_the_pack_untouched)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct hash root = back_up(place->repository, 1, 0, 5);
    struct index_pack pack;
    struct err err;
    cr_assert(index_pack_from(place->repository->index, 0, &pack, &err));
    char name[BYTES_NAME_LEN];
    bytes_name(&pack, name);
    place_close(place);
    AUTO(free) char *path = xasprintf("%s/%s", place->path, name);
    AUTO(free) char *dir = xasprintf("%s/open/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", place->path);
    AUTO(free) char *left = xasprintf("%s/00000007", dir);
    AUTO(free) char *open_dir = xasprintf("%s/open", place->path);
    (void)mkdir(open_dir, 0700);
    cr_assert_eq(mkdir(dir, 0700), 0);
    cr_assert_eq(link(path, left), 0);
    AUTO(buf) struct buf before = read_file(path);
    place_open(place);
    cr_assert_not(exists(left));
    AUTO(buf) struct buf after = read_file(path);
    cr_assert(span_eq(buf_span(&before), buf_span(&after)));
    cr_assert(restores(place->repository, &root, NULL));
    struct repository_info info;
    repository_info(place->repository, &info);
    cr_assert_eq(info.chunks, 7);
}

/* It is not cut to what a scan still finds: it may be repaired one day. */
Test(salvage, a_damaged_pack_with_a_name_left_beside_it_is_not_touched_either)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    {
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
        for (uint32_t i = 0; i < 2; i++) {
            (void)writer_data(writer, i, 500);
            session_send(ingest, writer, PACK_DATA);
        }
    }
    struct index_pack pack;
    struct err err;
    cr_assert(index_pack_from(place->repository->index, 0, &pack, &err));
    char name[BYTES_NAME_LEN];
    bytes_name(&pack, name);
    place_close(place);
    AUTO(free) char *path = xasprintf("%s/%s", place->path, name);
    AUTO(free) char *open_dir = xasprintf("%s/open", place->path);
    AUTO(free) char *dir = xasprintf("%s/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", open_dir);
    AUTO(free) char *left = xasprintf("%s/00000007", dir);
    AUTO(buf) struct buf before = read_file(path);
    before.data[before.len - 700] ^= 1; /* in the second batch */
    write_file(path, buf_span(&before));
    (void)mkdir(open_dir, 0700);
    (void)mkdir(dir, 0700);
    cr_assert_eq(link(path, left), 0);
    place_open(place);
    cr_assert_not(exists(left));
    AUTO(buf) struct buf after = read_file(path);
    cr_assert(span_eq(buf_span(&before), buf_span(&after)));
}

/* A whole journal with its trailer, not linked: killed between the two. */
Test(salvage, a_finished_journal_becomes_the_same_pack)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct hash root = back_up(place->repository, 1, 0, 5);
    struct index_pack pack;
    struct err err;
    cr_assert(index_pack_from(place->repository->index, 0, &pack, &err));
    char name[BYTES_NAME_LEN];
    bytes_name(&pack, name);
    place_close(place);
    AUTO(free) char *path = xasprintf("%s/%s", place->path, name);
    AUTO(free) char *dir = xasprintf("%s/open/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", place->path);
    AUTO(free) char *left = xasprintf("%s/00000007", dir);
    AUTO(free) char *open_dir = xasprintf("%s/open", place->path);
    (void)mkdir(open_dir, 0700);
    cr_assert_eq(mkdir(dir, 0700), 0);
    AUTO(buf) struct buf before = read_file(path);
    for (int copied = 0; copied < 2; copied++) { /* with the pack gone, and with a copy of it there */
        if (copied)
            write_file(left, buf_span(&before));
        else
            cr_assert_eq(rename(path, left), 0);
        place_open(place);
        cr_assert_not(exists(left));
        AUTO(buf) struct buf after = read_file(path);
        cr_assert(span_eq(buf_span(&before), buf_span(&after)));
        cr_assert(restores(place->repository, &root, NULL));
        place_close(place);
        (void)mkdir(dir, 0700);
    }
    place_open(place);
}

Test(salvage, unfinished_temporary_names_are_removed)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct hash root = back_up(place->repository, 1, 0, 5);
    place_close(place);
    AUTO(free) char *log = xasprintf("%s/log/" FILE_TEMP_PREFIX "00", place->path);
    AUTO(free) char *point = xasprintf("%s/points/" FILE_TEMP_PREFIX "00", place->path);
    write_file(log, span_str("half"));
    write_file(point, span_str("half"));
    place_open(place);
    cr_assert_not(exists(log));
    cr_assert_not(exists(point));
    cr_assert(restores(place->repository, &root, NULL));
}

/* Points are written before their log entry: without it they do not exist. */
Test(salvage, a_point_without_a_log_entry_does_not_exist_and_does_not_disturb)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    struct hash root;
    {
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
        root = session_tree(ingest, writer, 0, 3, 100);
    }
    struct id point = id_of(1);
    AUTO(buf) struct buf file = {0};
    writer_point(writer, &point, &root, &file);
    AUTO(free) char *dir = xasprintf("%s/points", place->path);
    AUTO(free) char *path = xasprintf("%s/01010101010101010101010101010101", dir);
    (void)mkdir(dir, 0700);
    place_close(place);
    write_file(path, buf_span(&file));
    place_open(place);
    struct repository_info info;
    repository_info(place->repository, &info);
    cr_assert_eq(info.points, 0);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    struct ingest_receipt receipt = session_commit(ingest, writer, 1, &root);
    cr_assert_eq(receipt.number, 2);
}
