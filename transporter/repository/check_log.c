/* The log's part of a check: each entry, from the first on. */
#include "transporter/repository/check_state.h"

#include <inttypes.h>
#include <string.h>

struct log_listing {
    uint64_t head;
    uint64_t beyond; /* the lowest number above the head, 0: none */
};

static bool note_entry(void *arg, const char *name, uint64_t size)
{
    struct log_listing *listing = arg;
    uint64_t number;
    if (!chain_parse_name(name, &number) || number <= listing->head) return true;
    if (listing->beyond == 0 || number < listing->beyond) listing->beyond = number;
    return true;
}

/* Another owner's entries, or what a stolen key wrote. */
static bool look_beyond(struct check *check, struct err *err)
{
    const struct storage *storage = &check->repository->storage;
    struct repository_info info;
    struct log_listing listing = {0};
    repository_info(check->repository, &info);
    listing.head = info.head_number;
    if (!storage->ops->list(storage->self, "log", note_entry, &listing, err)) return false;
    /* a commit may have come meanwhile: wait until it is through */
    (void)pthread_mutex_lock(&check->repository->commit_lock);
    (void)pthread_mutex_unlock(&check->repository->commit_lock);
    repository_info(check->repository, &info);
    if (listing.beyond <= info.head_number) return true;
    char name[CHAIN_NAME_LEN];
    chain_name(listing.beyond, name);
    if (!check->repository->owner)
        (void)check_add(check, ERR_NONE, name, "a log entry that came after the repository was opened");
    else
        (void)check_add(check, ERR_NOT_AUTHENTIC, name,
                        "log entry %" PRIu64 " is behind the head that the owner knows, %" PRIu64,
                        listing.beyond, info.head_number);
    return true;
}

/* Of one entry, or of several that are missing. */
static void tell_skipped(struct check *check, uint64_t first, uint64_t last, const struct err *why)
{
    char name[CHAIN_NAME_LEN];
    chain_name(first, name);
    if (why->code != ERR_NOT_FOUND)
        (void)check_add(check, why->code, name, "%s", why->text);
    else if (first == last)
        (void)check_add(check, ERR_NOT_FOUND, name, "log entry %" PRIu64 " is missing", first);
    else
        (void)check_add(check, ERR_NOT_FOUND, name, "log entries %" PRIu64 " to %" PRIu64 " are missing",
                        first, last);
}

bool check_log(struct check *check, struct err *err)
{
    struct repository *repository = check->repository;
    const struct storage *storage = &repository->storage;
    struct repository_info info;
    repository_info(repository, &info);
    struct chain chain = {.site = info.site,
                          .repository = info.repository,
                          .kind = info.kind,
                          .number = 0,
                          .operators = repository->operators};
    while (chain.number < info.head_number) {
        AUTO(stored_log) Sealift__LogEntry *entry = NULL;
        struct err why;
        if (chain_next(&chain, storage, &entry, &why)) continue;
        uint64_t first = chain.number + 1;
        memcpy(chain.owner, info.owner, SIGN_PK_LEN);
        chain_skip(&chain, storage);
        tell_skipped(check, first, chain.number, &why);
    }
    return look_beyond(check, err);
}
