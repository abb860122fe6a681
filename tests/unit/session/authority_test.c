#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/text.h"
#include "common/crypto/seal/key.h"
#include "common/wire/grant.h"
#include "common/wire/stored.h"
#include "tests/support/cpu_time.h"
#include "tests/support/remove_tree.h"
#include "tests/unit/wire/fixture.h"
#include "transporter/session/authority.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct site site;
static struct site_line line;
static struct authority *authority; /* of the source */
static char in_memory[] = "/dev/shm/sealift-authority-XXXXXX", on_disk[] = "/tmp/sealift-authority-XXXXXX";
static const char *state; /* in memory where that can be: every statement is synced */
static const struct id job = {{7}};

static void reopen(void)
{
    struct err err = {0};
    authority_close(authority);
    authority = NULL;
    cr_assert(authority_open(state, &line, site.source, &authority, &err), "%s", err.text);
}

static enum err_code accept(const struct statement *statement, struct err *err)
{
    *err = (struct err){0};
    struct accepted out;
    return authority_accept(authority, buf_span(&statement->bytes), &out, err) ? ERR_NONE : err->code;
}

static void setup(void)
{
    site_init(&site);
    state = mkdtemp(in_memory);
    if (!state) state = mkdtemp(on_disk);
    cr_assert_not_null(state);
    line.site = site.id;
    memcpy(line.admin, site.admin->known.sign_pk, SIGN_PK_LEN);
    reopen();
    struct err err;
    AUTO(statement) struct statement *first = site_roster(&site, &(struct roster_draft){.version = 1});
    cr_assert_eq(accept(first, &err), ERR_NONE, "%s", err.text);
}

static void teardown(void)
{
    authority_close(authority);
    site_deinit(&site);
    cr_assert(remove_tree(state));
}

TestSuite(authority, .init = setup, .fini = teardown);

Test(authority, believes_nothing_before_the_first_roster_and_itself_only_when_listed)
{
    cr_assert(authority_member(authority));
    struct site stranger;
    site_init(&stranger);
    struct err err = {0};
    AUTO(authority) struct authority *other = NULL;
    AUTO(free) char *dir = xasprintf("%s/other", state);
    struct site_line other_line = {.site = stranger.id};
    cr_assert(authority_open(dir, &other_line, stranger.source, &other, &err));
    cr_assert_not(authority_member(other));
    AUTO(statement) struct statement *early = site_job(&stranger, stranger.admin, &job, 1, "web");
    struct accepted out;
    cr_assert_not(authority_accept(other, buf_span(&early->bytes), &out, &err));
    cr_assert_str_eq(err.text, "a job statement before the first roster");
    site_deinit(&stranger);
}

Test(authority, refuses_a_first_roster_of_another_admin)
{
    struct err err = {0};
    AUTO(free) char *dir = xasprintf("%s/other", state);
    AUTO(authority) struct authority *other = NULL;
    struct site_line other_line = line;
    memcpy(other_line.admin, site.helper->known.sign_pk, SIGN_PK_LEN);
    cr_assert(authority_open(dir, &other_line, site.source, &other, &err));
    AUTO(statement) struct statement *first = site_roster(&site, &(struct roster_draft){.version = 1});
    struct accepted out;
    cr_assert_not(authority_accept(other, buf_span(&first->bytes), &out, &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC);
}

Test(authority, keeps_the_highest_version_over_a_restart)
{
    struct err err;
    AUTO(statement) struct statement *newer = site_job(&site, site.admin, &job, 2, "web");
    AUTO(statement) struct statement *older = site_job(&site, site.admin, &job, 1, "web");
    AUTO(statement) struct statement *other = site_job(&site, site.admin, &job, 2, "changed");
    cr_assert_eq(accept(newer, &err), ERR_NONE, "%s", err.text);
    reopen();
    cr_assert_eq(accept(older, &err), ERR_NOT_AUTHENTIC);
    cr_assert_eq(accept(other, &err), ERR_NOT_AUTHENTIC);
    cr_assert_eq(accept(newer, &err), ERR_EXISTS);
    AUTO(statement) struct statement *kept = NULL;
    cr_assert(authority_statement(authority, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &job, &kept, &err));
    cr_assert(hash_eq(&kept->hash, &newer->hash));
}

Test(authority, does_not_step_back_to_an_old_roster_after_a_restart)
{
    struct err err;
    AUTO(statement) struct statement *first = site_roster(&site, &(struct roster_draft){.version = 1});
    const struct roster *roster = authority_roster_take(authority);
    AUTO(statement) struct statement *current = NULL;
    cr_assert(statement_decode(roster_bytes(roster), &current, &err));
    authority_roster_release(authority, roster);
    AUTO(statement)
    struct statement *second =
        site_roster(&site, &(struct roster_draft){.version = 2, .previous = &current->hash});
    cr_assert_eq(accept(second, &err), ERR_NONE, "%s", err.text);
    reopen();
    cr_assert_eq(accept(first, &err), ERR_NOT_AUTHENTIC);
    cr_assert_str_eq(err.text, "roster version 1 is older than the known version 2");
}

Test(authority, a_run_keeps_the_roster_that_it_took)
{
    struct err err;
    const struct roster *taken = authority_roster_take(authority);
    AUTO(statement) struct statement *current = NULL;
    cr_assert(statement_decode(roster_bytes(taken), &current, &err));
    AUTO(statement)
    struct statement *second =
        site_roster(&site, &(struct roster_draft){.version = 2, .previous = &current->hash});
    cr_assert_eq(accept(second, &err), ERR_NONE, "%s", err.text);
    cr_assert_eq(roster_version(taken), 1);
    authority_roster_release(authority, taken);
    const struct roster *now = authority_roster_take(authority);
    cr_assert_eq(roster_version(now), 2);
    authority_roster_release(authority, now);
}

Test(authority, finds_a_statement_that_was_changed_on_disk)
{
    struct err err;
    AUTO(statement) struct statement *good = site_job(&site, site.admin, &job, 1, "web");
    AUTO(statement) struct statement *forged = site_job(&site, site.source, &job, 2, "web");
    cr_assert_eq(accept(good, &err), ERR_NONE);
    AUTO(free) char *path = xasprintf("%s/statements/job-07000000000000000000000000000000", state);
    cr_assert(file_replace(-100, path, buf_span(&forged->bytes), 0600, &err), "%s", err.text);
    authority_close(authority);
    authority = NULL;
    cr_assert_not(authority_open(state, &line, site.source, &authority, &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC);
}

static struct statement *numbered_job(uint32_t number, uint64_t version)
{
    struct id id = {{1}};
    memcpy(id.bytes + 1, &number, sizeof(number));
    return site_job(&site, site.admin, &id, version, "web");
}

/* Each is looked up and verified once: the last costs no more than the first. */
Test(authority, holds_8192_statements_and_takes_the_last_as_fast_as_the_first, .timeout = 120)
{
    enum { MAX = 8192, PART = 1024 };
    struct err err;
    double spent[MAX / PART] = {0};
    for (uint32_t i = 0; i < MAX; i++) {
        AUTO(statement) struct statement *statement = numbered_job(i, 1);
        double before = cpu_seconds();
        cr_assert_eq(accept(statement, &err), ERR_NONE, "%s", err.text);
        spent[i / PART] += cpu_seconds() - before;
    }
    (void)fprintf(stderr, "accepting %d statements: the first in %.3f s, the last in %.3f s of a processor\n",
                  PART, spent[0], spent[MAX / PART - 1]);
    cr_assert_lt(spent[MAX / PART - 1], 2 * spent[0]);
    AUTO(statement) struct statement *more = numbered_job(MAX, 1);
    AUTO(statement) struct statement *newer = numbered_job(MAX - 1, 2);
    cr_assert_eq(accept(more, &err), ERR_LIMIT);
    cr_assert_eq(accept(newer, &err), ERR_NONE, "%s", err.text);
    reopen();
    cr_assert_eq(accept(newer, &err), ERR_EXISTS);
    cr_assert_eq(accept(more, &err), ERR_LIMIT);
}

Test(authority, executes_an_order_once_even_over_a_restart)
{
    struct err err = {0};
    cr_assert(authority_execute_once(authority, &job, &err), "%s", err.text);
    cr_assert_not(authority_execute_once(authority, &job, &err));
    cr_assert_eq(err.code, ERR_EXISTS);
    reopen();
    cr_assert_not(authority_execute_once(authority, &job, &err));
}

/* As many executed orders as are remembered, which expired then. */
static void fill_executed(uint64_t expiry_s)
{
    AUTO(free) char *path = xasprintf("%s/executed", state);
    uint8_t expiry[8];
    le64_put(expiry, expiry_s);
    AUTO(fd) int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (uint32_t i = 0; i < AUTHORITY_EXECUTED_MAX; i++) {
        char name[2 * ID_LEN + 1];
        (void)snprintf(name, sizeof(name), "%032x", i);
        AUTO(fd) int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        cr_assert(fd >= 0 && write(fd, expiry, sizeof(expiry)) == sizeof(expiry));
    }
    reopen();
}

/* One operator must not be able to keep a host from carrying out orders for good. */
Test(authority, forgets_executed_orders_that_expired_long_ago_when_there_are_too_many)
{
    struct err err = {0};
    const struct id old = {{0}}, other = {{8}};
    fill_executed((uint64_t)time(NULL) - 86400);
    cr_assert_not(authority_execute_once(authority, &job, &err));
    cr_assert_eq(err.code, ERR_LIMIT, "%s", err.text);
    fill_executed((uint64_t)time(NULL) - 91 * 86400);
    cr_assert(authority_execute_once(authority, &job, &err), "%s", err.text);
    cr_assert(authority_execute_once(authority, &old, &err), "it is forgotten: %s", err.text);
    cr_assert(authority_execute_once(authority, &other, &err), "%s", err.text);
    cr_assert_not(authority_execute_once(authority, &job, &err));
    cr_assert_eq(err.code, ERR_EXISTS, "what did not expire is remembered");
}

/* A key, its unlock section, and a grant of one half to the source. */
struct key {
    struct read_half *half;
    struct buf unlock;
    struct hash unlock_hash;
};

static void key_init(struct key *key)
{
    uint8_t s[32];
    random_bytes(s, sizeof(s));
    key->half = read_half_new(s);
    key->unlock = (struct buf){0};
    AUTO(buf) struct buf keyring = {0};
    keyring_seal(key->half, &keyring);
    Sealift__UnlockSection section = SEALIFT__UNLOCK_SECTION__INIT;
    section.version = 1;
    section.key_id = stored_bytes(span_of(key->half->key_id.bytes, HASH_LEN));
    section.label = (char *)(uintptr_t) "main";
    section.description = (char *)(uintptr_t) "a test";
    section.origin = SEALIFT__KEY_ORIGIN__KEY_GENERATED;
    section.keyring = stored_bytes(buf_span(&keyring));
    section.unlock_pk = stored_bytes(span_of(key->half->unlock_pk, 32));
    struct err err = {0};
    cr_assert(stored_unlock_encode(&section, &key->unlock, &err), "%s", err.text);
    key->unlock_hash = hash_of(buf_span(&key->unlock));
}

static void key_deinit(struct key *key)
{
    read_half_free(key->half);
    buf_deinit(&key->unlock);
}

static struct statement *grant_until(const struct key *key, Sealift__Half half, const struct hash *domain,
                                     const struct secret *content, uint64_t expiry_s)
{
    const uint8_t *recipient = site.source->known.sign_pk;
    Sealift__GrantBody body = SEALIFT__GRANT_BODY__INIT;
    body.key_id = stored_bytes(span_of(key->half->key_id.bytes, HASH_LEN));
    body.key_label = (char *)(uintptr_t) "main";
    body.recipient = stored_bytes(span_of(recipient, 32));
    body.half = half;
    if (domain) {
        body.domain = (char *)(uintptr_t) "t:web";
        body.domain_id = stored_bytes(span_of(domain->bytes, HASH_LEN));
    }
    body.unlock_hash = stored_bytes(span_of(key->unlock_hash.bytes, HASH_LEN));
    struct id id = grant_id(&key->half->key_id, recipient, half, domain);
    AUTO(buf) struct buf context = {0}, sealed = {0}, encoded = {0}, bytes = {0};
    struct err err = {0};
    grant_box_context(&site.id, &id, &body, &context);
    cr_assert(box_seal(site.source->known.box_pk, buf_span(&context), span_of(content->data, content->len),
                       &sealed, &err));
    body.sealed = stored_bytes(buf_span(&sealed));
    statement_body_encode(&body, &encoded);
    struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT,
                                    .site = site.id,
                                    .audience = recipient,
                                    .id = id,
                                    .version = 1,
                                    .expiry_s = expiry_s,
                                    .body = buf_span(&encoded)};
    struct statement *out = NULL;
    cr_assert(statement_sign(site.admin->sign, &draft, &bytes, &err), "%s", err.text);
    cr_assert(statement_decode(buf_span(&bytes), &out, &err), "%s", err.text);
    return out;
}

static struct statement *grant(const struct key *key, Sealift__Half half, const struct hash *domain,
                               const struct secret *content)
{
    return grant_until(key, half, domain, content, 0);
}

Test(authority, opens_the_write_half_that_was_granted_with_its_unlock_section)
{
    struct err err;
    struct key key;
    key_init(&key);
    AUTO(write_half) struct write_half *write = write_half_of(key.half, "t:web");
    struct hash domain = domain_id(write->dedup_key->data);
    AUTO(secret) struct secret *encoded = write_half_encode(write);
    AUTO(statement) struct statement *statement = grant(&key, SEALIFT__HALF__HALF_WRITE, &domain, encoded);

    AUTO(write_half) struct write_half *got = NULL;
    AUTO(buf) struct buf unlock = {0};
    char label[256];
    cr_assert_not(authority_write_half(authority, &key.half->key_id, &domain, &got, &unlock, label, &err));
    cr_assert_eq(err.code, ERR_NO_KEY);
    cr_assert_eq(accept(statement, &err), ERR_NONE, "%s", err.text);
    cr_assert_not(authority_write_half(authority, &key.half->key_id, &domain, &got, &unlock, label, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND, "the unlock section has not come yet");
    cr_assert(authority_accept_unlock(authority, buf_span(&key.unlock), &err), "%s", err.text);
    reopen();
    cr_assert(authority_write_half(authority, &key.half->key_id, &domain, &got, &unlock, label, &err), "%s",
              err.text);
    cr_assert(hash_eq(&got->key_id, &key.half->key_id));
    cr_assert(span_eq(buf_span(&unlock), buf_span(&key.unlock)));
    cr_assert_str_eq(label, "main");
    AUTO(secret) struct secret *s = NULL;
    cr_assert_not(authority_read_secret(authority, &key.half->key_id, &s, &err),
                  "a write half reads nothing");
    cr_assert_eq(err.code, ERR_NO_KEY);
    key_deinit(&key);
}

Test(authority, refuses_a_read_grant_that_holds_another_key)
{
    struct err err;
    struct key key, other;
    key_init(&key);
    key_init(&other);
    AUTO(statement) struct statement *statement = grant(&key, SEALIFT__HALF__HALF_READ, NULL, other.half->s);
    cr_assert_eq(accept(statement, &err), ERR_NONE, "%s", err.text);
    AUTO(secret) struct secret *s = NULL;
    cr_assert_not(authority_read_secret(authority, &key.half->key_id, &s, &err));
    cr_assert_eq(err.code, ERR_WRONG_KEY);
    key_deinit(&key);
    key_deinit(&other);
}

Test(authority, gives_s_by_a_read_grant)
{
    struct err err;
    struct key key;
    key_init(&key);
    AUTO(statement) struct statement *statement = grant(&key, SEALIFT__HALF__HALF_READ, NULL, key.half->s);
    cr_assert_eq(accept(statement, &err), ERR_NONE, "%s", err.text);
    AUTO(secret) struct secret *s = NULL;
    cr_assert(authority_read_secret(authority, &key.half->key_id, &s, &err), "%s", err.text);
    cr_assert_eq(memcmp(s->data, key.half->s->data, 32), 0);
    key_deinit(&key);
}

/* What a rotation makes of the key; *old stays. */
static void rotated(const struct key *old, struct key *out)
{
    struct err err;
    uint8_t s[32];
    Sealift__UnlockSection *section = NULL;
    random_bytes(s, sizeof(s));
    cr_assert(read_half_rotate(old->half, s, ROTATE_KEEP_DEDUP, &out->half, &err), "%s", err.text);
    cr_assert(stored_unlock_decode(buf_span(&old->unlock), &section, &err), "%s", err.text);
    Sealift__UnlockSection next = *section;
    AUTO(buf) struct buf keyring = {0};
    ProtobufCBinaryData earlier = stored_bytes(span_of(old->half->key_id.bytes, HASH_LEN));
    keyring_seal(out->half, &keyring);
    next.key_id = stored_bytes(span_of(out->half->key_id.bytes, HASH_LEN));
    next.unlock_pk = stored_bytes(span_of(out->half->unlock_pk, 32));
    next.keyring = stored_bytes(buf_span(&keyring));
    next.earlier = &earlier;
    next.n_earlier = 1;
    cr_assert(stored_unlock_encode(&next, &out->unlock, &err), "%s", err.text);
    out->unlock_hash = hash_of(buf_span(&out->unlock));
    stored_unlock_free(section);
}

Test(authority, opens_an_earlier_generation_by_the_grant_of_the_newest)
{
    struct err err;
    struct key key, next = {0}, other;
    key_init(&key);
    key_init(&other);
    rotated(&key, &next);
    AUTO(read_half) struct read_half *half = NULL;
    AUTO(statement) struct statement *old = grant(&key, SEALIFT__HALF__HALF_READ, NULL, key.half->s);
    AUTO(statement) struct statement *fresh = grant(&next, SEALIFT__HALF__HALF_READ, NULL, next.half->s);
    cr_assert_eq(accept(fresh, &err), ERR_NONE, "%s", err.text);
    cr_assert_not(authority_read_half(authority, &key.half->key_id, &half, &err));
    cr_assert_eq(err.code, ERR_NO_KEY, "the section has not come yet");
    cr_assert(authority_accept_unlock(authority, buf_span(&next.unlock), &err), "%s", err.text);
    cr_assert(authority_read_half(authority, &key.half->key_id, &half, &err), "%s", err.text);
    cr_assert(hash_eq(&half->key_id, &next.half->key_id));
    cr_assert_not_null(read_half_secret_of(half, &key.half->key_id));
    read_half_free(half);
    half = NULL;
    cr_assert_not(authority_read_half(authority, &other.half->key_id, &half, &err));
    cr_assert_eq(err.code, ERR_NO_KEY);

    /* the newest one also where there is a grant of the point's own */
    cr_assert_eq(accept(old, &err), ERR_NONE, "%s", err.text);
    cr_assert(authority_accept_unlock(authority, buf_span(&key.unlock), &err), "%s", err.text);
    cr_assert(authority_read_half(authority, &key.half->key_id, &half, &err), "%s", err.text);
    cr_assert(hash_eq(&half->key_id, &next.half->key_id));
    key_deinit(&key);
    key_deinit(&next);
    key_deinit(&other);
}

/* Puts the statement where an earlier acceptance would have put it. */
static void plant(const struct statement *statement)
{
    struct err err = {0};
    char id[2 * ID_LEN + 1];
    hex_encode(statement->id.bytes, ID_LEN, id);
    AUTO(free) char *path = xasprintf("%s/statements/grant-%s", state, id);
    cr_assert(file_replace(-100, path, buf_span(&statement->bytes), 0600, &err), "%s", err.text);
    reopen();
}

Test(authority, a_read_grant_is_over_when_it_expires_and_a_write_grant_is_not)
{
    struct err err;
    struct key key;
    key_init(&key);
    AUTO(write_half) struct write_half *write = write_half_of(key.half, "t:web"), *got = NULL;
    struct hash domain = domain_id(write->dedup_key->data);
    AUTO(secret) struct secret *encoded = write_half_encode(write), *s = NULL;
    AUTO(statement)
    struct statement *reads = grant_until(&key, SEALIFT__HALF__HALF_READ, NULL, key.half->s, 7);
    AUTO(statement)
    struct statement *writes = grant_until(&key, SEALIFT__HALF__HALF_WRITE, &domain, encoded, 7);
    plant(reads);
    plant(writes);
    cr_assert_not(authority_read_secret(authority, &key.half->key_id, &s, &err));
    cr_assert_eq(err.code, ERR_NO_KEY);
    cr_assert_str_eq(err.text, "the read grant of key 'main' has expired");
    AUTO(buf) struct buf unlock = {0};
    char label[256];
    cr_assert(authority_accept_unlock(authority, buf_span(&key.unlock), &err), "%s", err.text);
    cr_assert(authority_write_half(authority, &key.half->key_id, &domain, &got, &unlock, label, &err), "%s",
              err.text);
    key_deinit(&key);
}

static unsigned sections_kept(void)
{
    unsigned count = 0;
    AUTO(free) char *path = xasprintf("%s/unlock", state);
    DIR *listing = opendir(path);
    cr_assert_not_null(listing);
    for (struct dirent *entry; (entry = readdir(listing));)
        count += entry->d_name[0] != '.';
    (void)closedir(listing);
    return count;
}

/* Whoever delivers may make them up: they are signed by nobody. */
static void deliver_made_up(unsigned count)
{
    struct err err;
    for (unsigned i = 0; i < count; i++) {
        struct key key;
        key_init(&key);
        cr_assert(authority_accept_unlock(authority, buf_span(&key.unlock), &err), "%s", err.text);
        key_deinit(&key);
    }
}

Test(authority, keeps_64_unlock_sections_that_no_grant_names_and_each_that_one_does)
{
    struct err err;
    struct key key;
    key_init(&key);
    AUTO(write_half) struct write_half *write = write_half_of(key.half, "t:web"), *got = NULL;
    struct hash domain = domain_id(write->dedup_key->data);
    AUTO(secret) struct secret *encoded = write_half_encode(write);
    AUTO(statement) struct statement *statement = grant(&key, SEALIFT__HALF__HALF_WRITE, &domain, encoded);
    cr_assert(authority_accept_unlock(authority, buf_span(&key.unlock), &err), "%s", err.text);
    deliver_made_up(20);
    cr_assert_eq(accept(statement, &err), ERR_NONE, "%s", err.text);
    deliver_made_up(60);
    cr_assert_eq(sections_kept(), 65);
    reopen();
    deliver_made_up(10);
    cr_assert_eq(sections_kept(), 65);
    AUTO(buf) struct buf unlock = {0};
    char label[256];
    cr_assert(authority_write_half(authority, &key.half->key_id, &domain, &got, &unlock, label, &err), "%s",
              err.text);
    key_deinit(&key);
}

Test(authority, refuses_an_unlock_section_that_does_not_decode)
{
    struct err err = {0};
    cr_assert_not(authority_accept_unlock(authority, span_str("not a section"), &err));
}
