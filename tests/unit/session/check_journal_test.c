/* What an interrupted check leaves to the next one counts as far as it is whole, recent and of the same
 * thing. */
#include "transporter/session/check_journal.h"

#include "common/base/file.h"
#include "tests/unit/base/scratch.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { IDS = 3 };
static const uint64_t NOW = 1700000000000000000;
static const uint8_t secret[HASH_LEN] = {1, 2, 3};
static const struct check_subject subject = {.repository = {{1}}, .key = {{2}}, .domain = {{3}}, .level = 1};

static struct hash id_of(unsigned number)
{
    struct hash id = {{0}};
    id.bytes[0] = (uint8_t)(200 - number);
    id.bytes[HASH_LEN - 1] = (uint8_t)number;
    return id;
}

static struct check_journal *open_at(const struct scratch *scratch, const struct check_subject *about,
                                     enum check_earlier earlier, uint64_t now_ns)
{
    char directory[300];
    struct check_journal *journal = NULL;
    struct err err;
    (void)snprintf(directory, sizeof(directory), "%s/verified", scratch->path);
    cr_assert(check_journal_open(directory, secret, about, earlier, now_ns, &journal, &err), "%s", err.text);
    return journal;
}

static size_t count_of(const struct check_journal *journal)
{
    size_t count = 0;
    for (unsigned i = 0; i < IDS; i++) {
        struct hash id = id_of(i);
        count += check_journal_has(journal, &id);
    }
    return count;
}

/* One record for each id. */
static void add_all(struct check_journal *journal)
{
    struct err err;
    for (unsigned i = 0; i < IDS; i++) {
        struct hash id = id_of(i);
        cr_assert(check_journal_add(journal, &id, 1, NOW, &err), "%s", err.text);
    }
}

static void leave(const struct scratch *scratch)
{
    AUTO(check_journal) struct check_journal *journal = open_at(scratch, &subject, CHECK_EARLIER_TAKE, NOW);
    cr_assert_eq(count_of(journal), 0);
    add_all(journal);
    cr_assert_eq(count_of(journal), 0, "only what was there before counts");
}

static size_t left(const struct scratch *scratch, uint64_t now_ns)
{
    AUTO(check_journal)
    struct check_journal *journal = open_at(scratch, &subject, CHECK_EARLIER_TAKE, now_ns);
    return count_of(journal);
}

/* The only file. */
static void file_in(const struct scratch *scratch, char path[600])
{
    char directory[300];
    (void)snprintf(directory, sizeof(directory), "%s/verified", scratch->path);
    DIR *entries = opendir(directory);
    cr_assert(entries);
    path[0] = '\0';
    for (const struct dirent *entry; (entry = readdir(entries));)
        if (entry->d_name[0] != '.') (void)snprintf(path, 600, "%s/%s", directory, entry->d_name);
    (void)closedir(entries);
}

Test(check_journal, keeps_what_an_interrupted_check_found_good_and_no_more)
{
    AUTO(scratch) struct scratch scratch = scratch_make();
    leave(&scratch);
    cr_assert_eq(left(&scratch, NOW + 1), IDS);
    AUTO(check_journal)
    struct check_journal *journal = open_at(&scratch, &subject, CHECK_EARLIER_TAKE, NOW + 1);
    struct hash other = id_of(IDS);
    cr_assert_not(check_journal_has(journal, &other));
    cr_assert_not(check_journal_was_damaged(journal));
}

Test(check_journal, counts_for_a_day_and_not_when_it_is_of_the_future)
{
    AUTO(scratch) struct scratch scratch = scratch_make();
    leave(&scratch);
    cr_assert_eq(left(&scratch, NOW + CHECK_JOURNAL_AGE_NS), IDS);
    cr_assert_eq(left(&scratch, NOW + CHECK_JOURNAL_AGE_NS + 1), 0);
    cr_assert_eq(left(&scratch, NOW - 1), 0);
}

Test(check_journal, is_gone_after_the_end_and_when_it_is_dropped)
{
    AUTO(scratch) struct scratch scratch = scratch_make();
    char path[600];
    leave(&scratch);
    struct check_journal *journal = open_at(&scratch, &subject, CHECK_EARLIER_TAKE, NOW);
    check_journal_end(journal);
    check_journal_free(journal);
    file_in(&scratch, path);
    cr_assert_str_empty(path);
    leave(&scratch);
    check_journal_free(open_at(&scratch, &subject, CHECK_EARLIER_DROP, NOW));
    cr_assert_eq(left(&scratch, NOW), 0);
}

Test(check_journal, is_of_one_repository_key_domain_and_level)
{
    AUTO(scratch) struct scratch scratch = scratch_make();
    leave(&scratch);
    struct check_subject others[4] = {subject, subject, subject, subject};
    others[0].repository.bytes[0] ^= 1;
    others[1].key.bytes[0] ^= 1;
    others[2].domain.bytes[0] ^= 1;
    others[3].level ^= 1;
    for (size_t i = 0; i < 4; i++) {
        AUTO(check_journal)
        struct check_journal *journal = open_at(&scratch, &others[i], CHECK_EARLIER_TAKE, NOW);
        cr_assert_eq(count_of(journal), 0, "%zu", i);
    }
    cr_assert_eq(left(&scratch, NOW), IDS, "it is still there");
}

Test(check_journal, is_refused_while_another_check_has_it)
{
    AUTO(scratch) struct scratch scratch = scratch_make();
    char directory[300];
    struct check_journal *other = NULL;
    struct err err;
    AUTO(check_journal) struct check_journal *journal = open_at(&scratch, &subject, CHECK_EARLIER_TAKE, NOW);
    (void)snprintf(directory, sizeof(directory), "%s/verified", scratch.path);
    cr_assert_not(check_journal_open(directory, secret, &subject, CHECK_EARLIER_TAKE, NOW, &other, &err));
    cr_assert_eq(err.code, ERR_BUSY);
}

/* Cut or changed anywhere, or made with another secret: what comes before counts, and no id that was not
 * there. */
Test(check_journal, counts_up_to_what_was_cut_or_changed)
{
    AUTO(scratch) struct scratch scratch = scratch_make();
    AUTO(buf) struct buf good = {0};
    char path[600];
    struct err err;
    leave(&scratch);
    file_in(&scratch, path);
    cr_assert(file_read(AT_FDCWD, path, 4096, &good, &err), "%s", err.text);
    const size_t head = 72, record = 76; /* 8 + 32 + 32, and 4 + 8 + 32 + 32 */
    cr_assert_eq(good.len, head + IDS * record);
    for (size_t i = 0; i < good.len; i++) {
        AUTO(buf) struct buf bad = {0};
        size_t whole = i < head ? 0 : (i - head) / record;
        cr_assert(file_replace(AT_FDCWD, path, span_of(good.data, i), 0600, &err));
        cr_assert_eq(left(&scratch, NOW), whole, "cut to %zu", i);
        buf_put_span(&bad, buf_span(&good));
        bad.data[i] ^= 1;
        cr_assert(file_replace(AT_FDCWD, path, buf_span(&bad), 0600, &err));
        AUTO(check_journal)
        struct check_journal *journal = open_at(&scratch, &subject, CHECK_EARLIER_TAKE, NOW);
        cr_assert_eq(count_of(journal), whole, "byte %zu", i);
        cr_assert(check_journal_was_damaged(journal), "byte %zu", i);
    }
    static const uint8_t other[HASH_LEN] = {9};
    char directory[300];
    AUTO(check_journal) struct check_journal *journal = NULL;
    (void)snprintf(directory, sizeof(directory), "%s/verified", scratch.path);
    cr_assert(file_replace(AT_FDCWD, path, buf_span(&good), 0600, &err));
    cr_assert(check_journal_open(directory, other, &subject, CHECK_EARLIER_TAKE, NOW, &journal, &err));
    cr_assert_eq(count_of(journal), 0);
}

/* What is added after a cut follows the good part. */
Test(check_journal, goes_on_behind_a_cut_record)
{
    AUTO(scratch) struct scratch scratch = scratch_make();
    AUTO(buf) struct buf good = {0};
    char path[600];
    struct err err;
    leave(&scratch);
    file_in(&scratch, path);
    cr_assert(file_read(AT_FDCWD, path, 4096, &good, &err), "%s", err.text);
    cr_assert(file_replace(AT_FDCWD, path, span_of(good.data, good.len - 1), 0600, &err));
    struct check_journal *journal = open_at(&scratch, &subject, CHECK_EARLIER_TAKE, NOW);
    struct hash last = id_of(IDS - 1);
    cr_assert_eq(count_of(journal), IDS - 1);
    cr_assert(check_journal_add(journal, &last, 1, NOW, &err), "%s", err.text);
    check_journal_free(journal);
    cr_assert_eq(left(&scratch, NOW), IDS);
}
