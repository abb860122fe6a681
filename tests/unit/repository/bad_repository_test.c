/* Repositories that are not what they should be: each is refused by a sentence that names what is wrong, and
 * nothing in it is touched. What real daemons make of such stands in tests/system/bad_repository.py. */
#include "sweeping.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "transporter/repository/check.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

static void refused(struct place *place, enum err_code code, const char *says)
{
    struct err err = {0};
    struct repository *repository = NULL;
    cr_assert_not(repository_try_open(place, &repository, &err), "%s: it opens", says);
    cr_assert_eq(err.code, code, "%s", err.text);
    cr_assert(strstr(err.text, says), "%s", err.text);
    cr_assert(strstr(err.text, place->path), "%s", err.text);
}

/* Signs what `change` makes of a log entry, under its number. */
static void resign(struct place *place, uint64_t number, void (*change)(struct buf *payload))
{
    struct err err;
    struct span payload;
    uint8_t signer[SIGN_PK_LEN];
    AUTO(buf) struct buf file = {0};
    AUTO(buf) struct buf changed = {0};
    AUTO(buf) struct buf again = {0};
    AUTO(free) char *path = xasprintf("%s/log/%010" PRIu64, place->path, number);
    cr_assert(file_read(AT_FDCWD, path, STORED_MAX_SIGNED, &file, &err), "%s", err.text);
    cr_assert(stored_verify(buf_span(&file), "log", &payload, signer, &err), "%s", err.text);
    buf_put_span(&changed, payload);
    change(&changed);
    stored_sign(place->owner, "log", buf_span(&changed), &again);
    cr_assert(file_replace(AT_FDCWD, path, buf_span(&again), 0600, &err), "%s", err.text);
}

/* Field 1 of a LogEntry, a varint: 08 01 at its start. */
static void raise_version(struct buf *payload)
{
    cr_assert(payload->len > 2 && payload->data[0] == 0x08 && payload->data[1] == 1);
    payload->data[1] = 2;
}

Test(bad_repository, of_a_newer_format_version_is_refused_and_left_as_it_is)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    place_close(place);
    resign(place, 1, raise_version);
    shell("cp -a '%s' '%s/before'", place->path, place->root);
    refused(place, ERR_VERSION, "log entry 1: ");
    shell("diff -r '%s' '%s/before'", place->path, place->root);
}

Test(bad_repository, with_a_newer_entry_in_its_log_is_refused_by_its_number)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    (void)back_up(place->repository, 1, 0, 3);
    place_close(place);
    shell("rm -r '%s'", place->state);
    resign(place, 2, raise_version);
    refused(place, ERR_VERSION, "log entry 2: ");
}

/* The header's seventh byte is the version. */
Test(bad_repository, a_pack_of_a_newer_version_is_left_alone_and_what_is_in_it_is_wanted)
{
    struct err err;
    struct index_pack pack;
    char name[BYTES_NAME_LEN];
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct hash root = back_up(place->repository, 1, 0, 3);
    cr_assert(index_pack_from(place->repository->index, 0, &pack, &err));
    bytes_name(&pack, name);
    place_close(place);
    shell("chmod u+w '%s/%s' && printf 2 | dd of='%s/%s' bs=1 seek=6 conv=notrunc 2>/dev/null", place->path,
          name, place->path, name);
    shell("rm -r '%s/index'; cp '%s/%s' '%s/before'", place->state, place->path, name, place->root);
    place_open(place);
    cr_assert_not(restores(place->repository, &root, NULL));
    shell("cmp '%s/%s' '%s/before'", place->path, name, place->root);
}

/* --- a directory that goes while it is in use --- */

static enum err_code try_back_up(struct place *place, uint8_t seed, struct err *err)
{
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, seed);
    AUTO(ingest) struct ingest *ingest = NULL;
    AUTO(buf) struct buf batch = {0};
    struct ingest_options options = {
        .session = id_of(seed), .seal = writer->seal, .domain = writer->domain, .min_free_bytes = 1};
    memcpy(options.writer, writer->pair->pk, SIGN_PK_LEN);
    (void)writer_data(writer, 9000, 100);
    uint64_t number = writer_batch(writer, PACK_DATA, &batch);
    bool done = ingest_open(place->repository, &options, &ingest, err) &&
                ingest_envelope(ingest, span_of(writer->envelope, ENVELOPE_LEN), err) &&
                ingest_batch(ingest, number, buf_span(&batch), err);
    return done ? ERR_NONE : err->code;
}

static bool is_checked(struct place *place, struct err *err)
{
    struct check_result result;
    const struct check_sink sink = {0};
    const struct check_options options = {.level = CHECK_PRESENCE};
    return repository_check(place->repository, &options, &sink, &result, err);
}

Test(bad_repository, whose_directory_goes_takes_nothing_and_is_not_sound_until_it_is_back)
{
    struct err err = {0};
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct hash root = back_up(place->repository, 1, 0, 3);
    shell("mv '%s' '%s/away'", place->path, place->root);
    cr_assert_eq(try_back_up(place, 2, &err), ERR_FAILED);
    cr_assert(strstr(err.text, "is gone while it is in use"), "%s", err.text);
    cr_assert(restores(place->repository, &root, NULL));
    cr_assert(!is_checked(place, &err) && err.code == ERR_FAILED, "%s", err.text);
    shell("mkdir '%s'", place->path);
    cr_assert_eq(try_back_up(place, 2, &err), ERR_FAILED);
    cr_assert(strstr(err.text, "another directory lies at"), "%s", err.text);
    shell("rmdir '%s' && mv '%s/away' '%s'", place->path, place->root, place->path);
    cr_assert(restores(place->repository, &root, NULL) && is_checked(place, &err));
    root = back_up(place->repository, 3, 100, 3);
    place_close(place);
    place_open(place);
    cr_assert(restores(place->repository, &root, NULL));
}

/* In the middle of a run, between what was acknowledged and its commit. */
Test(bad_repository, whose_directory_goes_before_the_commit_commits_when_it_is_back)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 2);
    struct hash root = {{0}};
    {
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 2);
        AUTO(buf) struct buf missing = {0};
        root = session_tree(ingest, writer, 100, 3, 1000);
        shell("mv '%s' '%s/away'", place->path, place->root);
        cr_assert_eq(session_commit_code(ingest, writer, 2, &root, &missing), ERR_FAILED);
        shell("mv '%s/away' '%s'", place->root, place->path);
        (void)session_commit(ingest, writer, 2, &root);
    }
    place_close(place);
    place_open(place);
    cr_assert(restores(place->repository, &root, NULL));
}

/* --- packs that are elsewhere --- */

struct missed {
    const char *put, *take;
    enum err_code code;
    const char *text;
};

/* A session that is begun looks for what went away, if that was not just done. */
static void look_again(struct place *place)
{
    atomic_store(&place->repository->look_took_ms, 0);
}

static void says(const char *what, const struct missed *missed, const struct err *err)
{
    const char *text = missed->text;
    cr_assert_eq(err->code, missed->code, "%s: %s", what, err->text);
    cr_assert(strstr(err->text, text), "%s: %s", what, err->text);
}

/* Whatever would write down that packs are lost, or take away what nobody needs. */
static void is_missed_by_all(struct place *place, const struct missed *missed)
{
    struct err err = {0};
    struct sweep_result swept;
    struct check_result checked;
    struct ingest *ingest = NULL;
    look_again(place);
    const struct ingest_options session = {.session = id_of(7), .kind = INGEST_COPY};
    const struct check_sink sink = {0};
    cr_assert_not(ingest_open(place->repository, &session, &ingest, &err));
    says("a session", missed, &err);
    cr_assert_not(repository_sweep(place->repository, &swept, &err));
    says("a sweep", missed, &err);
    for (enum check_level level = CHECK_PRESENCE; level <= CHECK_HASH; level++) {
        const struct check_options options = {.level = level};
        cr_assert_not(repository_check(place->repository, &options, &sink, &checked, &err));
        says("a check", missed, &err);
    }
}

Test(bad_repository, without_its_packs_directory_nothing_is_lost_or_written_until_it_is_back)
{
    static const struct missed rows[] = {
        {"true", "test ! -e packs", ERR_FAILED, "packs/ is missing in the repository: is the disk mounted?"},
        {"ln -s ../aside packs", "rm packs", ERR_DAMAGED, "/packs' is a symbolic link"},
        {"touch packs", "rm packs", ERR_SYSTEM, "/packs': Not a directory"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
        struct hash root = back_up(place->repository, 1, 0, 20);
        AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 2);
        struct ingest *going_on = session_open(place->repository, writer, 2);
        struct hash late = session_tree(going_on, writer, 500, 20, 1000);
        session_wait(going_on, writer->number);
        shell("mv '%s/packs' '%s/aside'", place->path, place->root);
        shell("cd '%s' && %s", place->path, rows[i].put);
        shell("cp -a '%s/log' '%s/log-before'", place->path, place->root);
        is_missed_by_all(place, &rows[i]);
        cr_assert_eq(session_commit_code(going_on, writer, 2, &late, NULL), rows[i].code);
        ingest_close(going_on);
        for (int rebuilt = 0; rebuilt < 2; rebuilt++) {
            place_close(place);
            place->repository = NULL;
            if (rebuilt) shell("rm -r '%s/index'", place->state);
            refused(place, rows[i].code, rows[i].text);
            shell("mv '%s/packs' '%s/there' 2> /dev/null; mv '%s/aside' '%s/packs'", place->path, place->root,
                  place->root, place->path);
            place_open(place);
            cr_assert_eq(packs_in(place, INDEX_LOST) + packs_in(place, INDEX_DAMAGED), 0);
            shell("mv '%s/packs' '%s/aside'; mv '%s/there' '%s/packs' 2> /dev/null || true", place->path,
                  place->root, place->root, place->path);
        }
        is_missed_by_all(place, &rows[i]);
        shell("diff -r '%s/log' '%s/log-before'", place->path, place->root);
        shell("cd '%s' && %s", place->path, rows[i].take);
        shell("mv '%s/aside' '%s/packs'", place->root, place->path);
        cr_assert(restores(place->repository, &root, NULL));
        (void)back_up(place->repository, 3, 1000, 20);
        cr_assert_eq(packs_in(place, INDEX_LOST) + packs_in(place, INDEX_DAMAGED), 0);
        cr_assert_eq(findings_of(place->repository), 0);
    }
}

/* What the message says to do when they are gone for good. */
Test(bad_repository, with_an_empty_packs_directory_has_lost_its_packs)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    (void)back_up(place->repository, 1, 0, 20);
    shell("rm -r '%s/packs' && mkdir '%s/packs'", place->path, place->path);
    look_again(place);
    (void)back_up(place->repository, 2, 0, 20);
    cr_assert_eq(packs_in(place, INDEX_LOST), 2);
    cr_assert_eq(packs_in(place, INDEX_PACK), 2);
}
