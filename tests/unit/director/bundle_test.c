/* What a bundle is made of: the table, a consistent copy of the catalog, the file that comes out, and the
 * directory of self-backups. */
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "director/catalog/catalog_copy.h"
#include "director/catalog/director_key.h"
#include "director/core/bundle_table.h"
#include "director/loop/bundle_file.h"
#include "director/loop/self_backup.h"
#include "tests/unit/base/scratch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static struct scratch dir;
static struct catalog *catalog;
static struct err err;

static void setup(void)
{
    dir = scratch_make();
    cr_assert(catalog_create(dir.path, &err), "%s", err.text);
    cr_assert(catalog_open(dir.path, &catalog, &err), "%s", err.text);
}

static void teardown(void)
{
    catalog_close(catalog);
    scratch_remove(&dir);
}

TestSuite(bundle_file, .init = setup, .fini = teardown);

/* ---- the table */

static void put_table(struct buf *out, uint64_t *content_len)
{
    struct bundle_table table = {.sizes = {160, 900, 40960}};
    bundle_table_encode(&table, out);
    *content_len = out->len + 160 + 900 + 40960;
}

Test(bundle_table, comes_back_and_tells_its_own_length)
{
    AUTO(buf) struct buf bytes = {0};
    struct bundle_table table;
    uint64_t len = 0;
    size_t used = 0;
    put_table(&bytes, &len);
    cr_assert_leq(bytes.len, (size_t)BUNDLE_TABLE_MAX);
    cr_assert(bundle_table_decode(buf_span(&bytes), len, &table, &used, &err), "%s", err.text);
    cr_assert_eq(used, bytes.len);
    cr_assert_eq(table.sizes[BUNDLE_CATALOG], 40960);
}

Test(bundle_table, a_cut_at_every_length_and_every_flipped_bit_is_damage)
{
    AUTO(buf) struct buf bytes = {0};
    struct bundle_table table;
    uint64_t len = 0;
    size_t used;
    put_table(&bytes, &len);
    for (size_t cut = 0; cut < bytes.len; cut++) {
        AUTO(buf) struct buf copy = {0};
        buf_put(&copy, bytes.data, cut);
        cr_assert_not(bundle_table_decode(buf_span(&copy), len, &table, &used, &err));
        cr_assert_eq(err.code, ERR_DAMAGED);
    }
    for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_not(bundle_table_decode(buf_span(&bytes), len, &table, &used, &err), "bit %zu", bit);
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    cr_assert_not(bundle_table_decode(buf_span(&bytes), len + 1, &table, &used, &err));
}

/* ---- a copy of the catalog */

static void put_unlock(uint8_t number)
{
    struct hash hash = {{number}}, key = {{1}};
    uint8_t bytes[4000] = {number};
    cr_assert(catalog_unlock_put(catalog, &hash, &key, span_of(bytes, sizeof(bytes)), &err), "%s", err.text);
}

static bool count_one(void *arg, const struct hash *hash, const struct hash *key_id, struct err *ignored)
{
    (*(size_t *)arg)++;
    return true;
}

static size_t count_in(const char *state_dir)
{
    AUTO(catalog) struct catalog *copy = NULL;
    size_t count = 0;
    cr_assert(catalog_open(state_dir, &copy, &err), "%s", err.text);
    cr_assert(catalog_unlocks(copy, count_one, &count, &err), "%s", err.text);
    return count;
}

Test(bundle_file, a_copy_of_the_catalog_has_what_was_put_while_it_was_made)
{
    for (uint8_t i = 1; i < 250; i++)
        put_unlock(i);
    AUTO(free) char *other = xasprintf("%s/other", dir.path);
    AUTO(free) char *path = xasprintf("%s/" CATALOG_FILE, other);
    cr_assert_eq(mkdir(other, 0700), 0);
    AUTO(catalog_copy) struct catalog_copy *copy = NULL;
    bool done = false;
    cr_assert(catalog_copy_begin(catalog, path, &copy, &err), "%s", err.text);
    put_unlock(250);
    while (!done)
        cr_assert(catalog_copy_step(copy, &done, &err), "%s", err.text);
    cr_assert_eq(count_in(other), 250);
}

Test(bundle_file, a_copy_that_is_not_finished_leaves_no_file)
{
    AUTO(free) char *path = xasprintf("%s/copy", dir.path);
    struct catalog_copy *copy = NULL;
    cr_assert(catalog_copy_begin(catalog, path, &copy, &err), "%s", err.text);
    catalog_copy_free(copy);
    cr_assert_neq(access(path, F_OK), 0);
    cr_assert_not(catalog_copy_begin(catalog, dir.path, &copy, &err));
    cr_assert_eq(err.code, ERR_EXISTS);
}

/* ---- the file */

static struct bundle_source source_of(void)
{
    return (struct bundle_source){.catalog = catalog, .state_dir = dir.path, .time_ns = 9};
}

Test(bundle_file, is_sealed_and_holds_the_key_and_the_catalog)
{
    AUTO(net_key) struct net_key *key = NULL;
    AUTO(box_pair) struct box_pair *pair = box_pair_new(NULL);
    struct bundle_lock lock = {.limits = PWHASH_INTERACTIVE};
    memcpy(lock.pk, pair->pk, BOX_PK_LEN);
    cr_assert(director_key_create(dir.path, &key, &err), "%s", err.text);
    struct bundle_source source = source_of();
    AUTO(free) char *path = xasprintf("%s/out", dir.path);
    AUTO(bundle_file) struct bundle_file *file = NULL;
    bool done = false;
    cr_assert(bundle_file_begin(&source, &lock, path, &file, &err), "%s", err.text);
    while (!done)
        cr_assert(bundle_file_step(file, &done, &err), "%s", err.text);

    AUTO(buf) struct buf bytes = {0};
    AUTO(bundle_stream) struct bundle_stream *stream = NULL;
    AUTO(secret) struct secret *piece = NULL;
    cr_assert(file_read(AT_FDCWD, path, 1 << 20, &bytes, &err), "%s", err.text);
    cr_assert_eq(bytes.len, bundle_file_size(file));
    cr_assert(bundle_open_begin(span_of(bytes.data, BUNDLE_HEADER_LEN), pair, &stream, &err), "%s", err.text);
    cr_assert(bundle_open_piece(stream,
                                span_of(bytes.data + BUNDLE_HEADER_LEN, bytes.len - BUNDLE_HEADER_LEN),
                                &piece, &err),
              "%s", err.text);
    struct bundle_table table;
    size_t used;
    cr_assert(bundle_table_decode(span_of(piece->data, BUNDLE_TABLE_MAX), piece->len, &table, &used, &err),
              "%s", err.text);
    cr_assert_eq(memcmp(piece->data + used, "sealift-director-key 1\n", 23), 0);
    cr_assert_eq(memcmp(piece->data + used + table.sizes[BUNDLE_KEY], "SQLite format 3", 16), 0);
}

Test(bundle_file, one_that_fails_or_is_given_up_leaves_nothing)
{
    AUTO(box_pair) struct box_pair *pair = box_pair_new(NULL);
    struct bundle_lock lock = {.limits = PWHASH_INTERACTIVE};
    memcpy(lock.pk, pair->pk, BOX_PK_LEN);
    struct bundle_source source = source_of();
    AUTO(free) char *path = xasprintf("%s/out", dir.path);
    AUTO(free) char *copy = xasprintf("%s/.tmp-bundle.sqlite", dir.path);
    struct bundle_file *file = NULL;
    bool done = false, ok = true;
    cr_assert(bundle_file_begin(&source, &lock, path, &file, &err), "%s", err.text);
    while (ok && !done) /* there is no key */
        ok = bundle_file_step(file, &done, &err);
    cr_assert_not(ok);
    cr_assert_eq(err.code, ERR_NOT_FOUND, "%s", err.text);
    bundle_file_free(file);
    cr_assert_neq(access(path, F_OK), 0);
    cr_assert_neq(access(copy, F_OK), 0);
}

/* ---- the directory of self-backups */

static void publish(const char *there, uint64_t second, unsigned keep)
{
    AUTO(free) char *path = NULL;
    cr_assert(self_backup_begin(there, &path, &err), "%s", err.text);
    cr_assert(file_create(AT_FDCWD, path, span_str("x"), 0600, &err), "%s", err.text);
    cr_assert(self_backup_publish(there, path, second * 1000000000, keep, &err), "%s", err.text);
}

Test(bundle_file, self_backups_keep_the_newest_and_leave_other_files_alone)
{
    AUTO(free) char *there = xasprintf("%s/copies", dir.path);
    AUTO(free) char *mine = xasprintf("%s/director-notes.sealift", there);
    AUTO(free) char *old = xasprintf("%s/director-20251124T160000Z.sealift", there);
    cr_assert_eq(self_backup_newest(there), 0);
    publish(there, 1764000000, 2);
    cr_assert_eq(access(old, F_OK), 0);
    cr_assert(file_create(AT_FDCWD, mine, span_str("x"), 0600, &err), "%s", err.text);
    publish(there, 1764000001, 2);
    publish(there, 1764086400, 2);
    cr_assert_neq(access(old, F_OK), 0);
    cr_assert_eq(access(mine, F_OK), 0);
    cr_assert_eq(self_backup_newest(there), UINT64_C(1764086400) * 1000000000);
}

Test(bundle_file, self_backups_make_no_directory_above_their_own)
{
    AUTO(free) char *there = xasprintf("%s/not/mounted", dir.path);
    char *path = NULL;
    cr_assert_not(self_backup_begin(there, &path, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
}
