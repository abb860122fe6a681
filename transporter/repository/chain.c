#include "transporter/repository/chain.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/text.h"
#include "common/wire/statement.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#define NAME_PREFIX "log/"
#define NAME_DIGITS 10
#define NUMBER_MAX UINT64_C(9999999999)

#define HEAD_MAGIC "SLHEAD1"
#define HEAD_LEN (8 + ID_LEN + 8 + HASH_LEN)

void chain_name(uint64_t number, char out[static CHAIN_NAME_LEN])
{
    memcpy(out, NAME_PREFIX, sizeof(NAME_PREFIX) - 1);
    for (unsigned i = CHAIN_NAME_LEN - 2; i >= sizeof(NAME_PREFIX) - 1; i--, number /= 10)
        out[i] = (char)('0' + number % 10);
    out[CHAIN_NAME_LEN - 1] = 0;
}

bool chain_parse_name(const char *name, uint64_t *number)
{
    if (strlen(name) != CHAIN_NAME_LEN - 1 || strncmp(name, NAME_PREFIX, sizeof(NAME_PREFIX) - 1) != 0)
        return false;
    uint64_t value = 0;
    for (const char *digit = name + sizeof(NAME_PREFIX) - 1; *digit; digit++) {
        if (*digit < '0' || *digit > '9') return false;
        value = value * 10 + (uint64_t)(*digit - '0');
    }
    if (value == 0) return false;
    *number = value;
    return true;
}

struct span_of_log {
    uint64_t from, highest, above;
};

static bool note_entry(void *arg, const char *name, uint64_t size)
{
    struct span_of_log *seen = arg;
    uint64_t number;
    if (!chain_parse_name(name, &number)) return true;
    if (number > seen->highest) seen->highest = number;
    if (number > seen->from) seen->above++;
    return true;
}

bool chain_highest(const struct storage *storage, uint64_t *last, struct err *err)
{
    struct span_of_log seen = {0};
    if (!storage->ops->list(storage->self, "log", note_entry, &seen, err)) return false;
    *last = seen.highest;
    return true;
}

bool chain_last(const struct storage *storage, uint64_t from, uint64_t *last, struct err *err)
{
    struct span_of_log seen = {.from = from};
    if (!storage->ops->list(storage->self, "log", note_entry, &seen, err)) return false;
    if (seen.highest > from && seen.highest - from != seen.above)
        return err_set(err, ERR_DAMAGED,
                       "the log is broken: of the entries %" PRIu64 " to %" PRIu64 " only %" PRIu64
                       " are there",
                       from + 1, seen.highest, seen.above);
    *last = seen.highest;
    return true;
}

/* The founder is who signed for this repository; where nobody did (in benches) nobody can give it away. */
static void note_founder(struct chain *chain, const Sealift__LogEntry *entry)
{
    struct err ignored;
    AUTO(statement) struct statement *statement = NULL;
    struct span bytes = span_of(entry->statement.data, entry->statement.len);
    if (bytes.len == 0 || !statement_decode(bytes, &statement, &ignored) ||
        statement->type != SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY ||
        !id_eq(&statement->id, &chain->repository) || !id_eq(&statement->site, &chain->site))
        return;
    memcpy(chain->founder, statement->signer, SIGN_PK_LEN);
    chain->owner_version = statement->version;
}

static bool may_say(const struct chain *chain, const uint8_t operator_pk[static SIGN_PK_LEN])
{
    static const uint8_t nobody[SIGN_PK_LEN] = {0};
    if (memcmp(chain->founder, nobody, SIGN_PK_LEN) != 0 &&
        memcmp(chain->founder, operator_pk, SIGN_PK_LEN) == 0)
        return true;
    return chain->operators && chain->operators->known(chain->operators->arg, operator_pk);
}

/* What an `owner` entry with this statement, signed by `signer`, would say. */
static bool check_owner(const struct chain *chain, struct span bytes,
                        const uint8_t signer[static SIGN_PK_LEN], uint64_t *version, struct err *err)
{
    AUTO(statement) struct statement *statement = NULL;
    if (!statement_decode(bytes, &statement, err)) return false;
    char id[2 * ID_LEN + 1];
    hex_encode(chain->repository.bytes, ID_LEN, id);
    bool repository = statement->type == SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY;
    if (!id_eq(&statement->site, &chain->site))
        return err_set(err, ERR_POLICY,
                       "the directory holds the repository %s of another site: only statements of that one "
                       "count there; 'sealift offline' reads and restores it",
                       id);
    if (repository && !id_eq(&statement->id, &chain->repository))
        return err_set(err, ERR_POLICY, "the directory holds another repository, %s", id);
    if (!repository || memcmp(statement->body.repository->owner.data, signer, SIGN_PK_LEN) != 0)
        return err_set(err, ERR_NOT_AUTHENTIC,
                       "the statement does not make its signer the repository's owner");
    if (statement->version <= chain->owner_version)
        return err_set(err, ERR_NOT_AUTHENTIC,
                       "the repository's owner was named by a newer statement than this one: it was attached "
                       "elsewhere");
    if (!may_say(chain, statement->signer))
        return err_set(err, ERR_NOT_AUTHENTIC,
                       "the operator who names another owner is not the one who made the repository, and no "
                       "other is known here");
    *version = statement->version;
    return true;
}

/* What the first entry says is where a chain starts. */
static bool start(struct chain *chain, const Sealift__LogEntry *entry, const uint8_t *signer, struct err *err)
{
    if (entry->kind != SEALIFT__LOG_KIND__LOG_CREATED)
        return err_set(err, ERR_DAMAGED, "log entry 1 is not 'created'");
    chain->site = stored_id(&entry->site);
    chain->repository = stored_id(&entry->repository);
    chain->kind = entry->plaintext ? REPOSITORY_PLAINTEXT : REPOSITORY_ENCRYPTED;
    memcpy(chain->owner, signer, SIGN_PK_LEN);
    note_founder(chain, entry);
    return true;
}

static bool takes_over(struct chain *chain, const Sealift__LogEntry *entry, const uint8_t *signer,
                       struct err *err)
{
    struct span statement = span_of(entry->statement.data, entry->statement.len);
    if (!check_owner(chain, statement, signer, &chain->owner_version, err))
        return err_wrap(err, "log entry %" PRIu64, chain->number + 1);
    memcpy(chain->owner, signer, SIGN_PK_LEN);
    return true;
}

static bool follows(const struct chain *chain, const Sealift__LogEntry *entry, const uint8_t *signer,
                    struct err *err)
{
    uint64_t number = chain->number + 1;
    struct id repository = stored_id(&entry->repository);
    struct hash previous = stored_hash(&entry->previous);
    if (entry->number != number)
        return err_set(err, ERR_NOT_AUTHENTIC, "log entry %" PRIu64 " says that it is number %" PRIu64,
                       number, entry->number);
    if (!id_eq(&repository, &chain->repository))
        return err_set(err, ERR_NOT_AUTHENTIC, "log entry %" PRIu64 " is of another repository", number);
    if (memcmp(signer, chain->owner, SIGN_PK_LEN) != 0)
        return err_set(err, ERR_NOT_AUTHENTIC,
                       "log entry %" PRIu64 " is not signed by the repository's owner", number);
    if (!hash_eq(&previous, &chain->hash))
        return err_set(err, ERR_NOT_AUTHENTIC, "log entry %" PRIu64 " does not follow entry %" PRIu64, number,
                       chain->number);
    if (entry->time_ns < chain->time_ns)
        return err_set(err, ERR_NOT_AUTHENTIC, "log entry %" PRIu64 " is older than entry %" PRIu64, number,
                       chain->number);
    return true;
}

static bool step(struct chain *chain, struct span file, Sealift__LogEntry **out, struct err *err)
{
    struct span payload;
    uint8_t signer[SIGN_PK_LEN];
    AUTO(stored_log) Sealift__LogEntry *entry = NULL;
    if (!stored_verify(file, "log", &payload, signer, err) || !stored_log_decode(payload, &entry, err))
        return err_wrap(err, "log entry %" PRIu64, chain->number + 1);
    struct chain next = *chain;
    if (chain->number == 0 && !start(&next, entry, signer, err)) return false;
    if (entry->kind == SEALIFT__LOG_KIND__LOG_OWNER && !takes_over(&next, entry, signer, err)) return false;
    if (!follows(&next, entry, signer, err)) return false;
    next.number++;
    next.hash = hash_of(file);
    next.time_ns = entry->time_ns;
    *chain = next;
    *out = entry;
    entry = NULL;
    return true;
}

bool chain_next(struct chain *chain, const struct storage *storage, Sealift__LogEntry **entry,
                struct err *err)
{
    char name[CHAIN_NAME_LEN];
    chain_name(chain->number + 1, name);
    AUTO(buf) struct buf file = {0};
    return storage->ops->get(storage->self, name, STORED_MAX_SIGNED, &file, err) &&
           step(chain, buf_span(&file), entry, err);
}

struct lowest_of_log {
    uint64_t above, number; /* number 0: none */
};

static bool note_lowest(void *arg, const char *name, uint64_t size)
{
    struct lowest_of_log *lowest = arg;
    uint64_t number;
    if (!chain_parse_name(name, &number) || number <= lowest->above) return true;
    if (lowest->number == 0 || number < lowest->number) lowest->number = number;
    return true;
}

/* Up to the next entry that is there: a name may be any number, and is not to be counted up to. */
static void skip_missing(struct chain *chain, const struct storage *storage)
{
    struct lowest_of_log lowest = {.above = chain->number + 1};
    struct err ignored;
    bool listed = storage->ops->list(storage->self, "log", note_lowest, &lowest, &ignored);
    chain->number = listed && lowest.number ? lowest.number - 1 : chain->number + 1;
}

void chain_skip(struct chain *chain, const struct storage *storage)
{
    char name[CHAIN_NAME_LEN];
    struct span payload;
    uint8_t signer[SIGN_PK_LEN];
    uint64_t size;
    struct err err;
    AUTO(buf) struct buf file = {0};
    AUTO(stored_log) Sealift__LogEntry *entry = NULL;
    chain_name(chain->number + 1, name);
    if (!storage->ops->size(storage->self, name, &size, &err) && err.code == ERR_NOT_FOUND)
        skip_missing(chain, storage);
    else
        chain->number++;
    chain_name(chain->number + 1, name);
    if (storage->ops->get(storage->self, name, STORED_MAX_SIGNED, &file, &err) &&
        stored_verify(buf_span(&file), "log", &payload, signer, &err) &&
        stored_log_decode(payload, &entry, &err))
        chain->hash = stored_hash(&entry->previous);
}

/* After a failed put: only a name that is surely absent leaves the log as it was. */
static void judge_failed_put(struct chain *chain, const struct storage *storage, const char *name,
                             struct span file)
{
    struct err why;
    AUTO(buf) struct buf there = {0};
    bool read = storage->ops->get(storage->self, name, STORED_MAX_SIGNED, &there, &why);
    if (!read && why.code == ERR_NOT_FOUND) return;
    chain->state = read && !span_eq(buf_span(&there), file) ? CHAIN_TAKEN : CHAIN_DOUBTFUL;
}

static bool put_entry(struct chain *chain, const struct storage *storage, struct span file, struct err *err)
{
    char name[CHAIN_NAME_LEN];
    chain_name(chain->number + 1, name);
    if (storage->ops->put_if_absent(storage->self, name, file, err)) return true;
    if (err->code == ERR_EXISTS) {
        chain->state = CHAIN_TAKEN;
        return err_set(err, ERR_BUSY, "another owner has written log entry %" PRIu64, chain->number + 1);
    }
    judge_failed_put(chain, storage, name, file);
    return err_wrap(err, "log entry %" PRIu64, chain->number + 1);
}

bool chain_append(struct chain *chain, const struct storage *storage, const struct sign_pair *owner,
                  Sealift__LogEntry *entry, struct err *err)
{
    if (chain->state == CHAIN_DOUBTFUL)
        return err_set(
            err, ERR_FAILED,
            "an earlier log entry failed half-way: the repository is opened anew as soon as no run "
            "uses it");
    if (chain->state == CHAIN_TAKEN)
        return err_set(
            err, ERR_FAILED,
            "another owner has written into the log: end that one, then start this transporter anew");
    struct chain next = *chain;
    if (entry->kind == SEALIFT__LOG_KIND__LOG_OWNER && !takes_over(&next, entry, owner->pk, err))
        return false;
    if (chain->number >= NUMBER_MAX) return err_set(err, ERR_LIMIT, "the log is full");
    uint64_t now = clock_real_ns();
    entry->version = 1;
    entry->number = chain->number + 1;
    entry->time_ns = now > chain->time_ns ? now : chain->time_ns;
    entry->repository = stored_bytes(span_of(chain->repository.bytes, ID_LEN));
    entry->previous = stored_bytes(span_of(chain->hash.bytes, HASH_LEN));
    AUTO(buf) struct buf payload = {0};
    AUTO(buf) struct buf file = {0};
    if (!stored_log_encode(entry, &payload, err)) return false;
    stored_sign(owner, "log", buf_span(&payload), &file);
    if (!put_entry(chain, storage, buf_span(&file), err)) return false;
    memcpy(chain->owner, owner->pk, SIGN_PK_LEN);
    chain->owner_version = next.owner_version;
    chain->number++;
    chain->hash = hash_of(buf_span(&file));
    chain->time_ns = entry->time_ns;
    return true;
}

/* --- the remembered head --- */

static bool decode_head(struct span bytes, struct chain_head *out)
{
    struct chain_head head;
    struct reader reader = reader_of(bytes);
    struct span magic = reader_bytes(&reader, 8);
    reader_copy(&reader, head.repository.bytes, ID_LEN);
    head.number = reader_u64(&reader);
    reader_copy(&reader, head.hash.bytes, HASH_LEN);
    if (!reader_done(&reader) || !span_eq(magic, span_of(HEAD_MAGIC, 8))) return false;
    *out = head;
    return true;
}

bool chain_recall(const char *state_dir, struct chain_head *out, struct err *err)
{
    AUTO(free) char *path = xasprintf("%s/head", state_dir);
    AUTO(buf) struct buf bytes = {0};
    bool there = file_read(AT_FDCWD, path, HEAD_LEN, &bytes, err);
    if (!there && err->code == ERR_NOT_FOUND) {
        *out = (struct chain_head){0};
        return true;
    }
    if (!there && err->code != ERR_LIMIT) return false;
    if (there && decode_head(buf_span(&bytes), out)) return true;
    return err_set(
        err, ERR_DAMAGED,
        "'%s', which says what was seen of its log, is damaged: compare the repository with a copy "
        "of it, then remove that file",
        path);
}

bool chain_remember(const char *state_dir, const struct chain *chain, struct err *err)
{
    AUTO(free) char *path = xasprintf("%s/head", state_dir);
    AUTO(buf) struct buf bytes = {0};
    buf_put(&bytes, HEAD_MAGIC, 8);
    buf_put(&bytes, chain->repository.bytes, ID_LEN);
    buf_put_u64(&bytes, chain->number);
    buf_put(&bytes, chain->hash.bytes, HASH_LEN);
    return file_replace(AT_FDCWD, path, buf_span(&bytes), 0600, err);
}

bool chain_matches(const struct chain *chain, const struct chain_head *head, struct err *err)
{
    if (!id_eq(&head->repository, &chain->repository)) {
        char have[2 * ID_LEN + 1];
        char want[2 * ID_LEN + 1];
        hex_encode(chain->repository.bytes, ID_LEN, have);
        hex_encode(head->repository.bytes, ID_LEN, want);
        return err_set(err, ERR_NOT_AUTHENTIC, "this is the repository %s, the state kept here belongs to %s",
                       have, want);
    }
    if (!hash_eq(&head->hash, &chain->hash))
        return err_set(err, ERR_NOT_AUTHENTIC,
                       "log entry %" PRIu64 " is not the one that was there before: history was rewritten",
                       head->number);
    return true;
}
