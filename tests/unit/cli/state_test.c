#include "director/cli/state.h"

#include "common/wire/lent.h"
#include "tests/unit/base/scratch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A site of one admin, and rosters of it. */
struct site {
    struct scratch scratch;
    struct identity *admin;
    struct state_site pinned;
    struct hash previous;
};

static struct state *open_state(const struct site *site)
{
    struct err err = {0};
    struct state *state = NULL;
    cr_assert(state_open(site->scratch.path, &state, &err), "%s", err.text);
    return state;
}

static void site_init(struct site *site)
{
    struct err err = {0};
    *site = (struct site){.scratch = scratch_make()};
    cr_assert(identity_new("anna", &site->admin, &err));
    site->pinned.line.site = id_random();
    memcpy(site->pinned.line.admin, site->admin->known.sign_pk, SIGN_PK_LEN);
    memset(site->pinned.line.director.curve_pk, 7, 32);
    (void)snprintf(site->pinned.line.director.host, sizeof(site->pinned.line.director.host), "::1");
    site->pinned.line.director.port = 9447;
    site->pinned.director = site->pinned.line.director;
    site->pinned.director.port = 9446;
}

static void site_deinit(struct site *site)
{
    identity_free(site->admin);
    scratch_remove(&site->scratch);
}
DEFINE_AUTO_IN_PLACE(site, struct site, site_deinit)

/* The next roster; `mark` makes two of the same version differ. */
static void sign_roster(struct site *site, uint64_t version, uint8_t mark, struct buf *out)
{
    struct err err = {0};
    const struct identity_public *known = &site->admin->known;
    Sealift__Member member = SEALIFT__MEMBER__INIT, *members[] = {&member};
    member.name = (char *)(uintptr_t)known->name;
    member.sign_pk = lent_bytes(known->sign_pk, 32);
    member.box_pk = lent_bytes(known->box_pk, 32);
    member.curve_pk = lent_bytes(known->transport_pk, 32);
    member.role = SEALIFT__ROLE__ROLE_ADMIN;
    uint8_t curve[32];
    memset(curve, mark, sizeof(curve));
    Sealift__RosterBody body = SEALIFT__ROSTER_BODY__INIT;
    body.n_operators = 1;
    body.operators = members;
    body.director_curve_pk = lent_bytes(curve, 32);
    if (version > 1) body.previous = lent_bytes(site->previous.bytes, HASH_LEN);
    AUTO(buf) struct buf encoded = {0};
    statement_body_encode(&body, &encoded);
    const struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER,
                                          .site = site->pinned.line.site,
                                          .version = version,
                                          .body = buf_span(&encoded)};
    cr_assert(statement_sign(site->admin->sign, &draft, out, &err), "%s", err.text);
}

static void write_file(const struct site *site, const char *name, const char *text)
{
    int fd = openat(site->scratch.fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}

static void refuses_to_open(const struct site *site, enum err_code code, const char *part)
{
    struct err err = {0};
    struct state *state = NULL;
    cr_assert_not(state_open(site->scratch.path, &state, &err));
    cr_assert_eq(err.code, code, "%s", err.text);
    cr_assert_not_null(strstr(err.text, part), "'%s' in: %s", part, err.text);
    cr_assert_null(state);
}

Test(state, the_directory_is_for_its_owner_alone)
{
    AUTO(site) struct site site;
    site_init(&site);
    cr_assert_eq(fchmod(site.scratch.fd, 0755), 0);
    AUTO(state) struct state *state = open_state(&site);
    struct stat about;
    cr_assert_eq(fstat(site.scratch.fd, &about), 0);
    cr_assert_eq(about.st_mode & 0777, 0700);
}

Test(state, keeps_an_identity_once)
{
    AUTO(site) struct site site;
    struct err err = {0};
    struct identity_public known;
    site_init(&site);
    AUTO(secret) struct secret *file = identity_encode(site.admin);
    {
        AUTO(state) struct state *state = open_state(&site);
        cr_assert_eq(state_identity(state, &known), STATE_NO_IDENTITY);
        cr_assert(state_keep_identity(state, site.admin, file, &err), "%s", err.text);
        cr_assert_not(state_keep_identity(state, site.admin, file, &err));
        cr_assert_eq(err.code, ERR_EXISTS);
    }
    AUTO(state) struct state *state = open_state(&site);
    AUTO(identity) struct identity *opened = NULL;
    cr_assert_eq(state_identity(state, &known), STATE_IDENTITY_PLAIN);
    cr_assert_str_eq(known.name, "anna");
    cr_assert(state_open_identity(state, NULL, &opened, &err));
    cr_assert_eq(memcmp(state_transport(state)->data, opened->transport->sk->data, 32), 0);
    struct stat about;
    cr_assert_eq(fstatat(site.scratch.fd, "identity", &about, 0), 0);
    cr_assert_eq(about.st_mode & 0777, 0600);
    cr_assert_eq(fstatat(site.scratch.fd, "transport", &about, 0), 0);
    cr_assert_eq(about.st_mode & 0777, 0600);
}

Test(state, an_identity_without_its_transport_key_is_damaged)
{
    AUTO(site) struct site site;
    struct err err = {0};
    site_init(&site);
    AUTO(secret) struct secret *file = identity_encode(site.admin);
    {
        AUTO(state) struct state *state = open_state(&site);
        cr_assert(state_keep_identity(state, site.admin, file, &err));
    }
    write_file(&site, "transport", "short");
    refuses_to_open(&site, ERR_DAMAGED, "transport");
}

Test(state, the_site_is_pinned_and_no_other_takes_its_place)
{
    AUTO(site) struct site site;
    struct err err = {0};
    site_init(&site);
    {
        AUTO(state) struct state *state = open_state(&site);
        cr_assert_null(state_site(state));
        cr_assert(state_pin_site(state, &site.pinned, &err), "%s", err.text);
    }
    AUTO(state) struct state *state = open_state(&site);
    const struct state_site *pinned = state_site(state);
    cr_assert_not_null(pinned);
    cr_assert(id_eq(&pinned->line.site, &site.pinned.line.site));
    cr_assert_eq(pinned->line.director.port, 9447);
    cr_assert_eq(pinned->director.port, 9446);
    cr_assert_str_eq(pinned->director.host, "::1");
    struct state_site other = site.pinned;
    other.line.site = id_random();
    cr_assert_not(state_pin_site(state, &other, &err));
    cr_assert_eq(err.code, ERR_EXISTS);
}

Test(state, the_chain_of_rosters_is_verified_kept_and_never_steps_back)
{
    AUTO(site) struct site site;
    struct err err = {0};
    AUTO(buf) struct buf first = {0}, second = {0}, fork = {0}, kept = {0};
    site_init(&site);
    sign_roster(&site, 1, 7, &first);
    site.previous = hash_of(buf_span(&first));
    sign_roster(&site, 2, 7, &second);
    sign_roster(&site, 2, 8, &fork);
    {
        AUTO(state) struct state *state = open_state(&site);
        cr_assert_not(state_add_roster(state, buf_span(&first), &err), "no site is pinned");
        cr_assert(state_pin_site(state, &site.pinned, &err));
        cr_assert_not(state_add_roster(state, buf_span(&second), &err), "the chain begins with the first");
        cr_assert(state_add_roster(state, buf_span(&first), &err), "%s", err.text);
        cr_assert(state_add_roster(state, buf_span(&second), &err), "%s", err.text);
    }
    AUTO(state) struct state *state = open_state(&site);
    cr_assert_eq(roster_version(state_roster(state)), 2);
    cr_assert(state_had_operator(state, site.admin->known.sign_pk));
    cr_assert_not(state_add_roster(state, buf_span(&first), &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC, "%s", err.text);
    cr_assert_not(state_add_roster(state, buf_span(&fork), &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC, "%s", err.text);
    cr_assert(state_roster_bytes(state, 1, &kept, &err));
    cr_assert(span_eq(buf_span(&kept), buf_span(&first)));
}

Test(state, a_roster_that_was_changed_on_disk_is_named)
{
    AUTO(site) struct site site;
    struct err err = {0};
    AUTO(buf) struct buf first = {0};
    site_init(&site);
    sign_roster(&site, 1, 7, &first);
    {
        AUTO(state) struct state *state = open_state(&site);
        cr_assert(state_pin_site(state, &site.pinned, &err));
        cr_assert(state_add_roster(state, buf_span(&first), &err));
    }
    int fd = openat(site.scratch.fd, "rosters/0000000001", O_WRONLY);
    cr_assert_eq(pwrite(fd, "!", 1, (off_t)first.len - 1), 1);
    (void)close(fd);
    refuses_to_open(&site, ERR_NOT_AUTHENTIC, "roster 1");
}

/* --- versions --- */

static struct id id_of(uint8_t byte)
{
    struct id id;
    memset(id.bytes, byte, sizeof(id.bytes));
    return id;
}

static struct hash hash_like(uint8_t byte)
{
    struct hash hash;
    memset(hash.bytes, byte, sizeof(hash.bytes));
    return hash;
}

static void see(struct state *state, uint8_t id, uint64_t version)
{
    struct id which = id_of(id);
    struct hash hash = hash_like((uint8_t)version);
    version_memory_put(state_versions(state), SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &which, version, &hash);
}

static uint64_t seen(const struct state *state, uint8_t id)
{
    struct id which = id_of(id);
    struct hash hash = {{0}};
    uint64_t version = state_version(state, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &which, &hash);
    struct hash expected = hash_like((uint8_t)version);
    cr_assert(version == 0 || hash_eq(&hash, &expected));
    return version;
}

Test(state, two_programs_remember_what_either_saw)
{
    AUTO(site) struct site site;
    struct err err = {0};
    site_init(&site);
    AUTO(state) struct state *one = open_state(&site), *two = open_state(&site);
    see(one, 1, 10);
    see(one, 2, 5);
    cr_assert(state_save_versions(one, &err), "%s", err.text);
    see(two, 2, 9);
    see(two, 3, 7);
    cr_assert(state_save_versions(two, &err), "%s", err.text);
    see(one, 1, 11);
    cr_assert(state_save_versions(one, &err), "%s", err.text);
    AUTO(state) struct state *later = open_state(&site);
    cr_assert_eq(seen(later, 1), 11);
    cr_assert_eq(seen(later, 2), 9, "the higher one stays");
    cr_assert_eq(seen(later, 3), 7);
    cr_assert_eq(seen(later, 4), 0);
}

Test(state, nothing_new_is_nothing_written)
{
    AUTO(site) struct site site;
    struct err err = {0};
    struct stat before, after;
    site_init(&site);
    AUTO(state) struct state *state = open_state(&site);
    see(state, 1, 10);
    cr_assert(state_save_versions(state, &err));
    cr_assert_eq(fstatat(site.scratch.fd, "versions", &before, 0), 0);
    cr_assert(state_save_versions(state, &err));
    cr_assert_eq(fstatat(site.scratch.fd, "versions", &after, 0), 0);
    cr_assert_eq(before.st_ino, after.st_ino);
}

Test(state, a_damaged_memory_is_named_with_its_line)
{
    static const char *const bad[] = {"job", "job 00 1 00\n", "job zz 1 00", "nothing 00 1 00",
                                      ("job 01010101010101010101010101010101 x "
                                       "0101010101010101010101010101010101010101010101010101010101010101\n")};
    AUTO(site) struct site site;
    site_init(&site);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        write_file(&site, "versions", bad[i]);
        refuses_to_open(&site, ERR_DAMAGED, "line 1");
    }
}

/* --- heads --- */

static bool witness(struct state *state, uint8_t repository, uint64_t number, uint8_t hash, struct err *err)
{
    struct id id = id_of(repository);
    struct hash head = hash_like(hash);
    return state_witness_head(state, &id, number, &head, err);
}

Test(state, heads_of_logs_never_step_back_and_never_fork)
{
    AUTO(site) struct site site;
    struct err err = {0};
    site_init(&site);
    {
        AUTO(state) struct state *state = open_state(&site);
        cr_assert(witness(state, 1, 5, 50, &err), "%s", err.text);
        cr_assert(witness(state, 1, 5, 50, &err));
        cr_assert(witness(state, 1, 9, 90, &err));
        cr_assert(witness(state, 2, 1, 10, &err));
    }
    AUTO(state) struct state *state = open_state(&site);
    cr_assert_not(witness(state, 1, 8, 80, &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC);
    cr_assert_not_null(strstr(err.text, "from entry 9 to 8"), "%s", err.text);
    cr_assert_not(witness(state, 1, 9, 91, &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC);
    cr_assert(witness(state, 1, 10, 100, &err), "it goes on where it was: %s", err.text);
    cr_assert(witness(state, 2, 1, 10, &err));
}

Test(state, what_another_program_witnessed_counts_too)
{
    AUTO(site) struct site site;
    struct err err = {0};
    site_init(&site);
    AUTO(state) struct state *one = open_state(&site), *two = open_state(&site);
    cr_assert(witness(one, 1, 9, 90, &err));
    cr_assert_not(witness(two, 1, 8, 80, &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC);
}

/* --- keys --- */

Test(state, an_unlock_section_that_was_changed_is_damaged)
{
    AUTO(site) struct site site;
    struct err err = {0};
    AUTO(buf) struct buf out = {0};
    site_init(&site);
    AUTO(state) struct state *state = open_state(&site);
    struct hash hash = hash_of(span_str("section"));
    cr_assert_not(state_unlock(state, &hash, &out, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
    cr_assert(state_keep_unlock(state, span_str("section"), &err), "%s", err.text);
    cr_assert(state_unlock(state, &hash, &out, &err));
    cr_assert(span_eq(buf_span(&out), span_str("section")));
    char name[80] = "unlock/", *at = name + strlen(name);
    for (size_t i = 0; i < HASH_LEN; i++)
        at += snprintf(at, 3, "%02x", hash.bytes[i]);
    write_file(&site, name, "Section");
    cr_assert_not(state_unlock(state, &hash, &out, &err));
    cr_assert_eq(err.code, ERR_DAMAGED);
}

Test(state, own_keys_of_sources_are_kept_with_their_words)
{
    AUTO(site) struct site site;
    struct err err = {0};
    struct state_own_key key = {.key_id = hash_like(1), .domain = hash_like(2), .label = "web-own"};
    site_init(&site);
    memset(key.source, 3, sizeof(key.source));
    (void)snprintf(key.description, sizeof(key.description), "kept by the web team");
    {
        AUTO(state) struct state *state = open_state(&site);
        cr_assert(state_keep_own_key(state, &key, &err), "%s", err.text);
    }
    AUTO(state) struct state *state = open_state(&site);
    cr_assert_eq(state_own_key_count(state), 1);
    const struct state_own_key *loaded = state_own_key(state, 0);
    cr_assert(hash_eq(&loaded->key_id, &key.key_id) && hash_eq(&loaded->domain, &key.domain));
    cr_assert_eq(memcmp(loaded->source, key.source, sizeof(key.source)), 0);
    cr_assert_str_eq(loaded->label, "web-own");
    cr_assert_str_eq(loaded->description, "kept by the web team");
}
