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

/* After an entry that is not right the chain goes on behind it, as far as that can be told: the next
 * entry's previous hash is then taken as it says. */
static void step_over(struct chain *chain, const struct storage *storage)
{
    chain->number++;
    char name[CHAIN_NAME_LEN];
    struct span payload;
    uint8_t signer[SIGN_PK_LEN];
    struct err ignored;
    AUTO(buf) struct buf file = {0};
    AUTO(stored_log) Sealift__LogEntry *entry = NULL;
    chain_name(chain->number + 1, name);
    if (storage->ops->get(storage->self, name, STORED_MAX_SIGNED, &file, &ignored) &&
        stored_verify(buf_span(&file), "log", &payload, signer, &ignored) &&
        stored_log_decode(payload, &entry, &ignored))
        chain->hash = stored_hash(&entry->previous);
}

bool check_log(struct check *check, struct err *err)
{
    struct repository *repository = check->repository;
    const struct storage *storage = &repository->storage;
    struct repository_info info;
    repository_info(repository, &info);
    struct chain chain = {.site = info.site, .repository = info.repository, .kind = info.kind, .number = 0};
    while (chain.number < info.head_number) {
        AUTO(stored_log) Sealift__LogEntry *entry = NULL;
        struct err why;
        if (chain_next(&chain, storage, &entry, &why)) continue;
        char name[CHAIN_NAME_LEN];
        chain_name(chain.number + 1, name);
        if (why.code == ERR_NOT_FOUND)
            (void)check_add(check, ERR_NOT_FOUND, name, "log entry %" PRIu64 " is missing", chain.number + 1);
        else
            (void)check_add(check, why.code, name, "%s", why.text);
        memcpy(chain.owner, info.owner, SIGN_PK_LEN);
        step_over(&chain, storage);
    }
    return look_beyond(check, err);
}
