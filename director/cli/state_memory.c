/* What was seen before: versions of statements, heads of logs. */
#include "common/base/alloc.h"
#include "common/base/text.h"
#include "director/cli/state_inside.h"

#include <stdlib.h>
#include <string.h>

enum { NUMBER_LEN = 24, HEX_LEN = 2 * HASH_LEN + 1 };

static bool number_word(struct span *line, uint64_t *out)
{
    char word[NUMBER_LEN];
    char *end = NULL;
    if (!state_next_word(line, word, sizeof(word)) || word[0] < '0' || word[0] > '9') return false;
    *out = strtoull(word, &end, 10);
    return *end == '\0';
}

static bool hex_word(struct span *line, void *out, size_t len)
{
    char word[HEX_LEN];
    struct err ignored = {0};
    return state_next_word(line, word, sizeof(word)) && hex_decode(word, out, len, &ignored);
}

static bool damaged(const struct state *state, const char *name, size_t number, struct err *err)
{
    return err_set(err, ERR_DAMAGED, "line %zu of '%s/%s' is not as it was written", number, state->dir,
                   name);
}

static bool read_lines(const struct state *state, const char *name, struct buf *out, struct err *err)
{
    if (state_read(state, name, STATE_LINES_MAX, out, err)) return true;
    if (err->code != ERR_NOT_FOUND) return false;
    err_clear(err);
    buf_clear(out);
    return true;
}

/* --- versions --- */

struct version_line {
    Sealift__StatementType type;
    struct id id;
    uint64_t version;
    struct hash hash;
};

static bool parse_version(struct span line, struct version_line *out)
{
    static const Sealift__StatementType types[] = {
        SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY,
        SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER};
    char type[16];
    if (!state_next_word(&line, type, sizeof(type))) return false;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(type, statement_type_name(types[i])) == 0) {
            out->type = types[i];
            return hex_word(&line, out->id.bytes, ID_LEN) && number_word(&line, &out->version) &&
                   hex_word(&line, out->hash.bytes, HASH_LEN) && line.len == 0;
        }
    return false;
}

uint64_t state_version(const struct state *state, Sealift__StatementType type, const struct id *id,
                       struct hash *hash)
{
    uint64_t version = 0;
    struct hash known;
    if (!version_memory_get(state->versions, type, id, &version, &known)) return 0;
    if (hash) *hash = known;
    return version;
}

/* Takes over what the file knows and this memory does not. */
static bool merge(struct state *state, struct span text, struct err *err)
{
    struct span line;
    for (size_t number = 1; state_next_line(&text, &line); number++) {
        struct version_line entry;
        if (!parse_version(line, &entry)) return damaged(state, "versions", number, err);
        if (entry.version > state_version(state, entry.type, &entry.id, NULL))
            version_memory_put(state->versions, entry.type, &entry.id, entry.version, &entry.hash);
    }
    return true;
}

static void write_version(void *arg, Sealift__StatementType type, const struct id *id, uint64_t version,
                          const struct hash *hash)
{
    char id_text[2 * ID_LEN + 1], hash_text[HEX_LEN];
    hex_encode(id->bytes, ID_LEN, id_text);
    hex_encode(hash->bytes, HASH_LEN, hash_text);
    buf_printf(arg, "%s %s %llu %s\n", statement_type_name(type), id_text, (unsigned long long)version,
               hash_text);
}

bool state_load_versions(struct state *state, struct err *err)
{
    struct span text, line;
    if (!read_lines(state, "versions", &state->versions_text, err)) return false;
    text = buf_span(&state->versions_text);
    for (size_t number = 1; state_next_line(&text, &line); number++) {
        struct version_line entry;
        if (!parse_version(line, &entry)) return damaged(state, "versions", number, err);
        version_memory_put(state->versions, entry.type, &entry.id, entry.version, &entry.hash);
    }
    return true;
}

struct version_memory *state_versions(struct state *state)
{
    return state->versions;
}

static bool save_locked(struct state *state, struct err *err)
{
    AUTO(buf) struct buf there = {0};
    AUTO(buf) struct buf text = {0};
    if (!read_lines(state, "versions", &there, err)) return false;
    if (!span_eq(buf_span(&there), buf_span(&state->versions_text)) && !merge(state, buf_span(&there), err))
        return false;
    version_memory_each(state->versions, write_version, &text);
    if (!state_write(state, "versions", buf_span(&text), err)) return false;
    buf_clear(&state->versions_text);
    buf_put_span(&state->versions_text, buf_span(&text));
    return true;
}

bool state_save_versions(struct state *state, struct err *err)
{
    AUTO(buf) struct buf text = {0};
    version_memory_each(state->versions, write_version, &text);
    if (span_eq(buf_span(&text), buf_span(&state->versions_text))) return true;
    if (!state_lock(state, err)) return false;
    bool ok = save_locked(state, err);
    state_unlock_lock(state);
    return ok;
}

/* --- heads --- */

static bool parse_head(struct span line, struct state_head *out)
{
    return hex_word(&line, out->repository.bytes, ID_LEN) && number_word(&line, &out->number) &&
           hex_word(&line, out->hash.bytes, HASH_LEN) && line.len == 0;
}

bool state_load_heads(struct state *state, struct err *err)
{
    AUTO(buf) struct buf text = {0};
    if (!read_lines(state, "heads", &text, err)) return false;
    struct span rest = buf_span(&text), line;
    state->head_count = 0;
    for (size_t number = 1; state_next_line(&rest, &line); number++) {
        struct state_head head;
        if (!parse_head(line, &head)) return damaged(state, "heads", number, err);
        state->heads = xreallocarray(state->heads, state->head_count + 1, sizeof(*state->heads));
        state->heads[state->head_count++] = head;
    }
    return true;
}

static bool save_heads(struct state *state, struct err *err)
{
    AUTO(buf) struct buf text = {0};
    for (size_t i = 0; i < state->head_count; i++) {
        char id[2 * ID_LEN + 1], hash[HEX_LEN];
        hex_encode(state->heads[i].repository.bytes, ID_LEN, id);
        hex_encode(state->heads[i].hash.bytes, HASH_LEN, hash);
        buf_printf(&text, "%s %llu %s\n", id, (unsigned long long)state->heads[i].number, hash);
    }
    return state_write(state, "heads", buf_span(&text), err);
}

static struct state_head *find_head(struct state *state, const struct id *repository)
{
    for (size_t i = 0; i < state->head_count; i++)
        if (id_eq(&state->heads[i].repository, repository)) return &state->heads[i];
    return NULL;
}

static bool follows(const struct state_head *known, uint64_t number, const struct hash *hash, struct err *err)
{
    if (number < known->number)
        return err_set(err, ERR_NOT_AUTHENTIC, "the repository's log stepped back from entry %llu to %llu",
                       (unsigned long long)known->number, (unsigned long long)number);
    if (number == known->number && !hash_eq(hash, &known->hash))
        return err_set(err, ERR_NOT_AUTHENTIC, "entry %llu of the repository's log was replaced by another",
                       (unsigned long long)number);
    return true;
}

static bool witness_locked(struct state *state, const struct state_head *head, struct err *err)
{
    if (!state_load_heads(state, err)) return false; /* what another program saw meanwhile counts too */
    struct state_head *known = find_head(state, &head->repository);
    if (known && !follows(known, head->number, &head->hash, err)) return false;
    if (known && known->number == head->number) return true;
    if (!known) {
        state->heads = xreallocarray(state->heads, state->head_count + 1, sizeof(*state->heads));
        known = &state->heads[state->head_count++];
    }
    *known = *head;
    return save_heads(state, err);
}

bool state_witness_head(struct state *state, const struct id *repository, uint64_t number,
                        const struct hash *hash, struct err *err)
{
    const struct state_head head = {.repository = *repository, .number = number, .hash = *hash};
    if (!state_lock(state, err)) return false;
    bool ok = witness_locked(state, &head, err);
    state_unlock_lock(state);
    return ok;
}

void state_each_head(const struct state *state, state_head_fn *each, void *arg)
{
    for (size_t i = 0; i < state->head_count; i++)
        if (!each(arg, &state->heads[i].repository, state->heads[i].number, &state->heads[i].hash)) return;
}
