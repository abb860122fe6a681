#include "transporter/session/roster_chain.h"

#include "common/base/alloc.h"
#include "common/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { CHAIN_MAX = 100000, FILE_MODE = 0600, DIR_MODE = 0700, NAME_LEN = 16 };

struct version {
    struct roster *roster;
    size_t users;
    struct version *older;
};

struct operator_key {
    uint8_t sign_pk[SIGN_PK_LEN];
};

struct roster_chain {
    struct site_line line;
    int dir;
    struct version *newest; /* older ones only while they are used */
    struct operator_key *operators;
    size_t operator_count;
};

bool roster_chain_had_operator(const struct roster_chain *chain, const uint8_t sign_pk[SIGN_PK_LEN])
{
    for (size_t i = 0; i < chain->operator_count; i++)
        if (memcmp(chain->operators[i].sign_pk, sign_pk, SIGN_PK_LEN) == 0) return true;
    return false;
}

static void remember_operators(struct roster_chain *chain, const struct roster *roster)
{
    const Sealift__RosterBody *body = roster_body(roster);
    for (size_t i = 0; i < body->n_operators; i++) {
        const uint8_t *sign_pk = body->operators[i]->sign_pk.data;
        if (roster_chain_had_operator(chain, sign_pk)) continue;
        chain->operators =
            xreallocarray(chain->operators, chain->operator_count + 1, sizeof(*chain->operators));
        memcpy(chain->operators[chain->operator_count++].sign_pk, sign_pk, SIGN_PK_LEN);
    }
}

static void drop_unused(struct roster_chain *chain)
{
    if (!chain->newest) return;
    struct version **at = &chain->newest->older;
    while (*at) {
        struct version *version = *at;
        if (version->users > 0) {
            at = &version->older;
            continue;
        }
        *at = version->older;
        roster_free(version->roster);
        free(version);
    }
}

static void make_current(struct roster_chain *chain, struct roster *roster)
{
    struct version *version = xcalloc(1, sizeof(*version));
    version->roster = roster;
    version->older = chain->newest;
    chain->newest = version;
    remember_operators(chain, roster);
    drop_unused(chain);
}

static bool verify(const struct roster_chain *chain, const struct statement *statement, struct roster **out,
                   struct err *err)
{
    if (chain->newest) return roster_next(chain->newest->roster, statement, out, err);
    return roster_first(statement, &chain->line.site, chain->line.admin, out, err);
}

static void file_name(uint64_t version, char out[static NAME_LEN])
{
    (void)snprintf(out, NAME_LEN, "%010llu", (unsigned long long)version);
}

bool roster_chain_add(struct roster_chain *chain, const struct statement *statement, struct err *err)
{
    AUTO(roster) struct roster *roster = NULL;
    if (!verify(chain, statement, &roster, err)) return false;
    if (statement->version > CHAIN_MAX) return err_set(err, ERR_LIMIT, "more than %d rosters", CHAIN_MAX);
    char name[NAME_LEN];
    file_name(statement->version, name);
    if (!file_replace(chain->dir, name, buf_span(&statement->bytes), FILE_MODE, err))
        return err_wrap(err, "cannot keep roster %s", name);
    make_current(chain, roster);
    roster = NULL;
    return true;
}

/* A roster that is gone must not let us step back to the one before it. */
static bool none_from(const struct roster_chain *chain, uint64_t missing, struct err *err)
{
    int fd = openat(chain->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = fd < 0 ? NULL : fdopendir(fd);
    if (!listing) {
        auto_close_fd(fd);
        return err_sys(err, errno, "cannot list the rosters in the local state");
    }
    char name[NAME_LEN];
    bool later = false;
    struct dirent *entry;
    file_name(missing, name);
    while (!later && (errno = 0, entry = readdir(listing)))
        later = entry->d_name[0] != '.' && strcmp(entry->d_name, name) > 0;
    int sys = later ? 0 : errno;
    (void)closedir(listing);
    if (sys != 0) return err_sys(err, sys, "cannot list the rosters in the local state");
    return !later ||
           err_set(err, ERR_DAMAGED,
                   "roster %s is gone from the local state, and a later one is there: put the file back "
                   "from a copy, or remove the later ones as well",
                   name);
}

/* Loads version after version until one is not there. */
static bool load(struct roster_chain *chain, struct err *err)
{
    for (uint64_t number = 1; number <= CHAIN_MAX; number++) {
        char name[NAME_LEN];
        file_name(number, name);
        AUTO(buf) struct buf bytes = {0};
        if (!file_read(chain->dir, name, STATEMENT_MAX, &bytes, err)) {
            if (err->code != ERR_NOT_FOUND) return err_wrap(err, "roster %s", name);
            err_clear(err);
            return none_from(chain, number, err);
        }
        AUTO(statement) struct statement *statement = NULL;
        AUTO(roster) struct roster *roster = NULL;
        if (!statement_decode(buf_span(&bytes), &statement, err) || !verify(chain, statement, &roster, err))
            return err_wrap(
                err,
                "roster %s in the local state (put the file back from a copy, or remove it and the later "
                "ones)",
                name);
        make_current(chain, roster);
        roster = NULL;
    }
    return true;
}

bool roster_chain_open(const char *dir, const struct site_line *line, struct roster_chain **out,
                       struct err *err)
{
    if (!dir_make(dir, DIR_MODE, err)) return false;
    AUTO(roster_chain) struct roster_chain *chain = xcalloc(1, sizeof(*chain));
    chain->line = *line;
    chain->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (chain->dir < 0) return err_sys(err, errno, "cannot open '%s'", dir);
    if (!load(chain, err)) return false;
    *out = chain;
    chain = NULL;
    return true;
}

void roster_chain_close(struct roster_chain *chain)
{
    if (!chain) return;
    while (chain->newest) {
        struct version *version = chain->newest;
        chain->newest = version->older;
        roster_free(version->roster);
        free(version);
    }
    auto_close_fd(chain->dir);
    free(chain->operators);
    free(chain);
}

bool roster_chain_bytes(const struct roster_chain *chain, uint64_t version, struct buf *out, struct err *err)
{
    char name[NAME_LEN];
    if (version > CHAIN_MAX) return err_set(err, ERR_NOT_FOUND, "there is no such roster");
    file_name(version, name);
    return file_read(chain->dir, name, STATEMENT_MAX, out, err);
}

const struct roster *roster_chain_current(const struct roster_chain *chain)
{
    return chain->newest ? chain->newest->roster : NULL;
}

const struct roster *roster_chain_take(struct roster_chain *chain)
{
    if (!chain->newest) return NULL;
    chain->newest->users++;
    return chain->newest->roster;
}

void roster_chain_release(struct roster_chain *chain, const struct roster *roster)
{
    for (struct version *version = chain->newest; version; version = version->older)
        if (version->roster == roster) version->users--;
    drop_unused(chain);
}
