#include "transporter/repository/rewraps.h"

#include "common/base/text.h"
#include "common/crypto/envelope.h"
#include "common/crypto/record.h"
#include "common/wire/stored.h"
#include "transporter/repository/frame_reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DIRECTORY "rewrap"

/* --- names --- */

void rewrap_name(const struct id *seal, unsigned number, char out[static REWRAP_NAME_LEN])
{
    char hex[2 * ID_LEN + 1];
    hex_encode(seal->bytes, ID_LEN, hex);
    (void)snprintf(out, REWRAP_NAME_LEN, DIRECTORY "/%s/%u", hex, number);
}

bool rewrap_parse_name(const char *name, struct id *seal, unsigned *number)
{
    static const size_t hex_at = sizeof(DIRECTORY), number_at = sizeof(DIRECTORY) + 2 * ID_LEN + 1;
    char hex[2 * ID_LEN + 1] = {0}, again[REWRAP_NAME_LEN];
    struct id found;
    struct err ignored;
    unsigned value = 0;
    if (strlen(name) <= number_at || strlen(name) > number_at + 2) return false;
    memcpy(hex, name + hex_at, 2 * ID_LEN);
    if (!hex_decode(hex, found.bytes, ID_LEN, &ignored)) return false;
    for (const char *digit = name + number_at; *digit; digit++) {
        if (*digit < '0' || *digit > '9') return false;
        value = 10 * value + (unsigned)(*digit - '0');
    }
    rewrap_name(&found, value, again);
    if (value == 0 || value > REWRAPS_MOST || strcmp(again, name) != 0) return false;
    *seal = found;
    *number = value;
    return true;
}

/* --- objects --- */

bool rewrap_object_decode(struct span object, const struct id *seal, struct rewrap_view *out,
                          uint8_t signer[static SIGN_PK_LEN], struct err *err)
{
    struct rewrap_view view;
    struct span payload;
    if (object.len > REWRAP_OBJECT_MAX)
        return err_set(err, ERR_LIMIT, "the rewrap has %zu bytes, at most %d are allowed", object.len,
                       REWRAP_OBJECT_MAX);
    if (!stored_verify(object, REWRAP_SIGNATURE_NAME, &payload, signer, err) ||
        !rewrap_parse(payload, &view, err))
        return false;
    if (seal && !id_eq(&view.seal, seal)) return err_set(err, ERR_DAMAGED, "the rewrap is of another seal");
    *out = view;
    return true;
}

/* A good envelope of the seal, from whichever pack. ERR_NOT_FOUND: no pack has one. */
static bool find_envelope(struct repository *repository, const struct id *seal, struct buf *out,
                          struct err *err)
{
    struct index_location at;
    struct index_pack pack;
    {
        AUTO(index_view) struct index_view *view = NULL;
        if (!index_view_open(repository->index, &view, err)) return false;
        if (!index_nth_envelope(view, seal, 0, &at) || !index_view_pack(view, at.pack, &pack))
            return err_set(err, ERR_NOT_FOUND, "no pack has an envelope of this seal");
    }
    return frame_reader_envelope(repository, &pack, seal, out, err);
}

bool rewrap_fits_here(struct repository *repository, const struct rewrap_view *rewrap, struct err *err)
{
    AUTO(buf) struct buf envelope = {0};
    if (!find_envelope(repository, &rewrap->seal, &envelope, err)) return false;
    struct hash hash = hash_of(buf_span(&envelope));
    return hash_eq(&hash, &rewrap->envelope) ||
           err_set(err, ERR_DAMAGED, "the rewrap is of another envelope than the seal has here");
}

/* --- reading --- */

static bool get(struct repository *repository, const struct id *seal, unsigned number, struct buf *out,
                struct err *err)
{
    const struct storage *storage = &repository->storage;
    char name[REWRAP_NAME_LEN];
    rewrap_name(seal, number, name);
    return storage->ops->get(storage->self, name, REWRAP_OBJECT_MAX, out, err);
}

bool repository_rewraps(struct repository *repository, const struct id *seal, rewraps_fn *each, void *arg,
                        struct err *err)
{
    for (unsigned number = 1; number <= REWRAPS_MOST; number++) {
        AUTO(buf) struct buf object = {0};
        struct err why = {0};
        bool read = get(repository, seal, number, &object, &why);
        if (!read && why.code == ERR_NOT_FOUND) return true;
        if (read && !each(arg, buf_span(&object), err)) return false;
    }
    return true;
}

static bool tell_seal(struct repository *repository, const struct id *seal, seals_fn *each, void *arg,
                      struct err *err)
{
    AUTO(buf) struct buf envelope = {0};
    struct err why = {0};
    bool found = find_envelope(repository, seal, &envelope, &why);
    if (!found && why.code == ERR_NOT_FOUND) return true; /* of a pack that is gone */
    return each(arg, seal, found ? buf_span(&envelope) : span_of(NULL, 0), found ? NULL : &why, err);
}

bool repository_seals(struct repository *repository, const struct id *after, size_t most, seals_fn *each,
                      void *arg, struct err *err)
{
    struct id at = *after;
    for (size_t told = 0; told < most; told++) {
        {
            AUTO(index_view) struct index_view *view = NULL;
            if (!index_view_open(repository->index, &view, err)) return false;
            if (!index_next_seal(view, &at)) return true;
        }
        if (!tell_seal(repository, &at, each, arg, err)) return false;
    }
    return true;
}

/* --- writing --- */

struct looking {
    const struct rewrap_view *rewrap;
    const uint8_t *signer;
    bool found;
};

static bool look(void *arg, struct span object, struct err *err)
{
    struct looking *looking = arg;
    struct rewrap_view view;
    struct err ignored;
    uint8_t signer[SIGN_PK_LEN];
    (void)err;
    if (rewrap_object_decode(object, &looking->rewrap->seal, &view, signer, &ignored) &&
        memcmp(signer, looking->signer, SIGN_PK_LEN) == 0 &&
        hash_eq(&view.key_id, &looking->rewrap->key_id) &&
        hash_eq(&view.envelope, &looking->rewrap->envelope))
        looking->found = true;
    return true;
}

/* Another run may keep one for the same key meanwhile: what took the number is looked at. */
static bool put(struct repository *repository, struct looking *looking, struct span object, struct err *err)
{
    const struct storage *storage = &repository->storage;
    for (unsigned number = 1; number <= REWRAPS_MOST; number++) {
        AUTO(buf) struct buf other = {0};
        struct err ignored;
        char name[REWRAP_NAME_LEN];
        rewrap_name(&looking->rewrap->seal, number, name);
        if (storage->ops->put_if_absent(storage->self, name, object, err)) return true;
        if (err->code != ERR_EXISTS) return false;
        err_clear(err);
        if (get(repository, &looking->rewrap->seal, number, &other, &ignored))
            (void)look(looking, buf_span(&other), &ignored);
        if (looking->found) return true;
    }
    return err_set(err, ERR_LIMIT, "a seal has %d rewraps, and no room for more", REWRAPS_MOST);
}

bool repository_rewrap_keep(struct repository *repository, struct span object, enum rewrap_outcome *out,
                            struct err *err)
{
    struct rewrap_view view;
    uint8_t signer[SIGN_PK_LEN];
    if (!repository->owner) return err_set(err, ERR_POLICY, "the repository is open for reading only");
    if (!rewrap_object_decode(object, NULL, &view, signer, err) || !rewrap_fits_here(repository, &view, err))
        return false;
    struct looking looking = {.rewrap = &view, .signer = signer};
    if (!repository_rewraps(repository, &view.seal, look, &looking, err)) return false;
    if (!looking.found && !put(repository, &looking, object, err)) return false;
    *out = looking.found ? REWRAP_WAS_THERE : REWRAP_KEPT;
    return true;
}

bool rewraps_each_record(struct span records, uint32_t count, rewraps_fn *each, void *arg, struct err *err)
{
    uint32_t seen = 0;
    for (size_t at = 0; at < records.len; seen++) {
        struct record_view record;
        struct err why = {0};
        if (seen >= REWRAPS_AT_ONCE ||
            !record_parse(span_of(records.data + at, records.len - at), &record, &why) ||
            record.kind != RECORD_REWRAP)
            return err_set(err, ERR_PROTOCOL, "what is to be kept is no rewrap");
        if (!each(arg, record.payload, err)) return false;
        at += record.total_len;
    }
    return seen == count || err_set(err, ERR_PROTOCOL, "another count of rewraps than was said");
}

bool rewrap_is_refused(enum err_code code)
{
    return code == ERR_NOT_FOUND || code == ERR_DAMAGED || code == ERR_LIMIT;
}

/* --- all of them --- */

static bool note_name(void *arg, const char *name, uint64_t size)
{
    struct id seal;
    unsigned number;
    (void)size;
    if (rewrap_parse_name(name, &seal, &number)) buf_put(arg, name, strlen(name) + 1);
    return true;
}

static bool note_seal(void *arg, const char *name, uint64_t size)
{
    struct id seal;
    unsigned number;
    (void)size;
    if (rewrap_parse_name(name, &seal, &number) && number == 1) buf_put(arg, seal.bytes, ID_LEN);
    return true;
}

bool repository_rewraps_all(struct repository *repository, rewraps_fn *each, void *arg, struct err *err)
{
    const struct storage *storage = &repository->storage;
    AUTO(buf) struct buf seals = {0};
    if (!storage->ops->list(storage->self, DIRECTORY, note_seal, &seals, err)) {
        if (err->code != ERR_NOT_FOUND) return false;
        err_clear(err);
    }
    for (size_t at = 0; at < seals.len; at += ID_LEN) {
        struct id seal;
        memcpy(seal.bytes, seals.data + at, ID_LEN);
        if (!repository_rewraps(repository, &seal, each, arg, err)) return false;
    }
    return true;
}

/* --- what is left over --- */

static bool is_gone(struct repository *repository, const char *name)
{
    struct id seal;
    unsigned number;
    struct index_location at;
    struct err ignored;
    AUTO(index_view) struct index_view *view = NULL;
    return rewrap_parse_name(name, &seal, &number) && index_view_open(repository->index, &view, &ignored) &&
           !index_nth_envelope(view, &seal, 0, &at);
}

void rewraps_leftovers(struct repository *repository)
{
    const struct storage *storage = &repository->storage;
    AUTO(buf) struct buf names = {0};
    struct err ignored;
    if (!storage->ops->list(storage->self, DIRECTORY, note_name, &names, &ignored)) return;
    for (size_t at = 0; at < names.len; at += strlen((const char *)names.data + at) + 1) {
        const char *name = (const char *)names.data + at;
        if (is_gone(repository, name)) (void)!storage->ops->remove(storage->self, name, &ignored);
    }
}
