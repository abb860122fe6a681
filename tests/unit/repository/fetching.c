#include "fetching.h"

#include "common/base/alloc.h"
#include "common/crypto/seal_list.h"

#include <criterion/criterion.h>

void told_deinit(struct told *told)
{
    buf_deinit(&told->order);
    buf_deinit(&told->list_hashes);
    buf_deinit(&told->batch);
    for (size_t i = 0; i < told->frame_count; i++)
        buf_deinit(&told->bytes[i]);
}

const char *order(struct told *told)
{
    return buf_cstr(&told->order);
}

static bool on_envelope(void *arg, struct span envelope, struct err *err)
{
    struct told *told = arg;
    struct envelope_view view;
    buf_put_u8(&told->order, 'E');
    record_append(&told->batch, RECORD_ENVELOPE, envelope);
    return envelope_parse(envelope, &view, err);
}

static bool on_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    struct told *told = arg;
    struct frame_view view;
    cr_assert(frame_parse(frame, &view, err), "%s", err->text);
    cr_assert(hash_eq(&view.chunk, id));
    buf_put_u8(&told->order, 'F');
    record_append(&told->batch, RECORD_FRAME, frame);
    told->frames[told->frame_count] = *id;
    buf_put_span(&told->bytes[told->frame_count++], frame);
    if (told->stop_after && told->frame_count == told->stop_after)
        return err_set(err, ERR_CANCELLED, "enough");
    return true;
}

static bool on_list(void *arg, struct span list, struct err *err)
{
    struct told *told = arg;
    struct seal_list_view view;
    cr_assert(seal_list_parse(list, &view, err), "%s", err->text);
    buf_put_u8(&told->order, 'L');
    record_append(&told->batch, RECORD_LIST, list);
    buf_put(&told->list_hashes, view.hashes, view.count * HASH_LEN);
    return true;
}

static bool on_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    struct told *told = arg;
    (void)id, (void)err;
    buf_put_u8(&told->order, 'M');
    told->missing_code = why->code;
    (void)snprintf(told->missing_text, sizeof(told->missing_text), "%s", why->text);
    return true;
}

bool no_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    (void)arg, (void)id, (void)err;
    cr_assert_fail("%s", why->text);
    return false;
}

struct fetch_sink sink_of(struct told *told)
{
    return (struct fetch_sink){
        .envelope = on_envelope, .frame = on_frame, .list = on_list, .missing = on_missing, .arg = told};
}

void fetch_all(struct repository *repository, const struct hash *ids, size_t count, enum fetch_proof proof,
               struct told *told)
{
    const struct fetch_sink sink = sink_of(told);
    struct err err;
    cr_assert(repository_fetch(repository, ids, count, proof, &sink, &err), "%s", err.text);
}

void locate(struct place *place, const struct hash *id, size_t nth, char **path, struct index_location *out)
{
    AUTO(index_view) struct index_view *view = NULL;
    struct index_pack pack;
    struct err err;
    char name[BYTES_NAME_LEN];
    cr_assert(index_view_open(place->repository->index, &view, &err), "%s", err.text);
    cr_assert(index_locate_nth(view, id, INDEX_ANY_DOMAIN, INDEX_FOR_READING, nth, out, &err), "%s",
              err.text);
    cr_assert(index_view_pack(view, out->pack, &pack));
    bytes_name(&pack, name);
    *path = xasprintf("%s/%s", place->path, name);
}
