/* The seals' part of a check: which frames a bad envelope takes along. */
#include "transporter/repository/check_state.h"

static bool is_bad_seal(const struct check *check, const struct id *seal, uint32_t pack)
{
    for (size_t i = 0; i < check->bad_seal_count; i++)
        if (check->bad_seals[i].pack == pack && id_eq(&check->bad_seals[i].seal, seal)) return true;
    return false;
}

/* Whether a good envelope of the seal is in some pack. */
static bool has_good_envelope(struct check *check, const struct id *seal, bool *has, struct err *err)
{
    AUTO(index_view) struct index_view *view = NULL;
    if (!index_view_open(check->repository->index, &view, err)) return false;
    struct index_location at;
    *has = false;
    for (size_t nth = 0; !*has && index_nth_envelope(view, seal, nth, &at); nth++) {
        size_t finding;
        *has = !is_bad_seal(check, seal, at.pack) && !check_find_range(check, at.pack, at.offset, &finding);
    }
    return true;
}

/* The frames of a seal in the pack where its envelope is bad. */
static bool condemn_frames(struct check *check, const struct bad_seal *bad, struct err *err)
{
    struct index_pack pack;
    char name[BYTES_NAME_LEN];
    struct err ignored; /* a table of contents that cannot be read now is a finding of its own */
    AUTO(pack_toc) struct pack_toc toc;
    pack_toc_init(&toc);
    if (!index_pack_get(check->repository->index, bad->pack, &pack, err)) return false;
    bytes_name(&pack, name);
    if (!pack_toc_read_tail(&check->repository->storage, name, pack.size, &toc, &ignored)) return true;
    for (size_t i = 0; i < toc.count; i++) {
        const struct pack_entry *frame = &toc.entries[i];
        if (frame->kind == RECORD_FRAME && frame->envelope == bad->envelope)
            check_add_range(check, bad->pack, frame->offset, (uint64_t)frame->offset + frame->len,
                            bad->finding);
    }
    return true;
}

bool check_seals(struct check *check, struct err *err)
{
    for (size_t i = 0; i < check->bad_seal_count; i++) {
        const struct bad_seal *bad = &check->bad_seals[i];
        bool has;
        if (!has_good_envelope(check, &bad->seal, &has, err) || (!has && !condemn_frames(check, bad, err)))
            return false;
    }
    return true;
}
