/* Each file of what a transporter has seen of statements, cut, emptied or filled with garbage: it does not
 * start as if it had seen less. */
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/text.h"
#include "common/crypto/seal/key.h"
#include "common/wire/stored.h"
#include "tests/support/remove_tree.h"
#include "tests/unit/wire/fixture.h"
#include "transporter/session/authority.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct site site;
static struct site_line line;
static char in_memory[] = "/dev/shm/sealift-state-XXXXXX", on_disk[] = "/tmp/sealift-state-XXXXXX";
static const char *state; /* in memory where that can be: every statement is synced */
static const struct id job = {{7}};

#define JOB_FILE "statements/job-07000000000000000000000000000000"

static bool try_open(struct authority **out, struct err *err)
{
    *err = (struct err){0};
    return authority_open(state, &line, site.source, out, err);
}

static void accept(struct authority *authority, const struct statement *statement)
{
    struct err err = {0};
    struct accepted out;
    cr_assert(authority_accept(authority, buf_span(&statement->bytes), &out, &err), "%s", err.text);
}

/* Three rosters and a job of version 3 have been seen. */
static void setup(void)
{
    struct err err;
    struct hash previous = {{0}};
    AUTO(authority) struct authority *authority = NULL;
    site_init(&site);
    state = mkdtemp(in_memory);
    if (!state) state = mkdtemp(on_disk);
    cr_assert_not_null(state);
    line.site = site.id;
    memcpy(line.admin, site.admin->known.sign_pk, SIGN_PK_LEN);
    cr_assert(try_open(&authority, &err), "%s", err.text);
    for (uint64_t version = 1; version <= 3; version++) {
        struct roster_draft draft = {.version = version, .previous = version > 1 ? &previous : NULL};
        AUTO(statement) struct statement *roster = site_roster(&site, &draft);
        previous = roster->hash;
        accept(authority, roster);
    }
    AUTO(statement) struct statement *newest = site_job(&site, site.admin, &job, 3, "web");
    accept(authority, newest);
}

static void teardown(void)
{
    site_deinit(&site);
    cr_assert(remove_tree(state));
}

TestSuite(local_state, .init = setup, .fini = teardown);

static char *path_of(const char *name)
{
    return xasprintf("%s/%s", state, name);
}

static void spoil(const char *name, struct span bytes)
{
    struct err err;
    AUTO(free) char *path = path_of(name);
    cr_assert(file_replace(AT_FDCWD, path, bytes, 0600, &err), "%s", err.text);
}

static void refused(const char *name, const char *what, const char *says)
{
    struct err err;
    AUTO(authority) struct authority *authority = NULL;
    cr_assert_not(try_open(&authority, &err), "%s %s: it starts", name, what);
    cr_assert(strstr(err.text, says), "%s %s: %s", name, what, err.text);
}

Test(local_state, a_statement_or_roster_cut_emptied_or_changed_is_named_and_no_start_goes_without_it)
{
    static const char *const names[] = {"rosters/0000000001", "rosters/0000000002", "rosters/0000000003",
                                        JOB_FILE};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct err err;
        AUTO(buf) struct buf whole = {0};
        AUTO(free) char *path = path_of(names[i]);
        const char *base = strchr(names[i], '/') + 1;
        cr_assert(file_read(AT_FDCWD, path, STATEMENT_MAX, &whole, &err), "%s", err.text);
        for (size_t len = 0; len < whole.len; len += 1 + whole.len / 20) {
            spoil(names[i], span_of(whole.data, len));
            refused(names[i], "cut", base);
        }
        for (size_t at = 0; at < whole.len; at += 1 + whole.len / 20) {
            AUTO(buf) struct buf flipped = {0};
            buf_put_span(&flipped, buf_span(&whole));
            flipped.data[at] ^= 4;
            spoil(names[i], buf_span(&flipped));
            refused(names[i], "changed", "put the file back from a copy");
        }
        spoil(names[i], buf_span(&whole));
    }
}

Test(local_state, a_roster_that_is_gone_lets_nobody_step_back_to_the_one_before)
{
    AUTO(free) char *second = path_of("rosters/0000000002");
    cr_assert_eq(unlink(second), 0);
    refused("rosters/0000000002", "gone", "roster 0000000002 is gone from the local state");
}

Test(local_state, what_is_put_back_is_as_if_nothing_had_been)
{
    struct err err;
    struct accepted out;
    AUTO(buf) struct buf whole = {0};
    AUTO(free) char *path = path_of(JOB_FILE);
    cr_assert(file_read(AT_FDCWD, path, STATEMENT_MAX, &whole, &err), "%s", err.text);
    spoil(JOB_FILE, span_of("", 0));
    refused(JOB_FILE, "empty", &JOB_FILE[strlen("statements/")]);
    spoil(JOB_FILE, buf_span(&whole));
    AUTO(authority) struct authority *authority = NULL;
    AUTO(statement) struct statement *older = site_job(&site, site.admin, &job, 2, "web");
    cr_assert(try_open(&authority, &err), "%s", err.text);
    cr_assert_not(authority_accept(authority, buf_span(&older->bytes), &out, &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC, "%s", err.text);
}

/* Of the name of a section that was spoiled, the good one is taken when it comes again. */
Test(local_state, a_spoiled_unlock_section_is_taken_again)
{
    struct err err;
    AUTO(authority) struct authority *authority = NULL;
    AUTO(buf) struct buf section = {0};
    AUTO(buf) struct buf kept = {0};
    uint8_t secret[32] = {1};
    AUTO(read_half) struct read_half *half = read_half_new(secret);
    AUTO(buf) struct buf ring = {0};
    keyring_seal(half, &ring);
    Sealift__UnlockSection body = SEALIFT__UNLOCK_SECTION__INIT;
    body.version = 1;
    body.key_id = stored_bytes(span_of(half->key_id.bytes, HASH_LEN));
    body.label = (char *)(uintptr_t) "main";
    body.description = (char *)(uintptr_t) "a test";
    body.origin = SEALIFT__KEY_ORIGIN__KEY_GENERATED;
    body.keyring = stored_bytes(buf_span(&ring));
    body.unlock_pk = stored_bytes(span_of(half->unlock_pk, 32));
    cr_assert(stored_unlock_encode(&body, &section, &err), "%s", err.text);
    struct hash hash = hash_of(buf_span(&section));
    char digits[2 * HASH_LEN + 1];
    hex_encode(hash.bytes, HASH_LEN, digits);
    AUTO(free) char *name = xasprintf("unlock/%s", digits);
    AUTO(free) char *path = path_of(name);
    spoil(name, span_of("garbage", 7));
    cr_assert(try_open(&authority, &err), "%s", err.text);
    cr_assert(authority_accept_unlock(authority, buf_span(&section), &err), "%s", err.text);
    cr_assert(file_read(AT_FDCWD, path, STATEMENT_MAX, &kept, &err), "%s", err.text);
    cr_assert(span_eq(buf_span(&kept), buf_span(&section)));
}
