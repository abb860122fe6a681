#include "transporter/session/copy_anew.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "transporter/session/asked.h"

#include <string.h>

enum { COMMITS_MOST = 10000, KEYS_MOST = 256 };

/* What opens the points of one key and dedup domain; kept, with the run keys of the seals that it has met. */
struct opening {
    struct hash key_id, domain;
    char *domain_name; /* borrowed by the opener */
    struct read_half *half;
    struct opener *opener;
};

struct anew {
    const struct copy_anew_options *options;
    struct reencrypt *reencrypt;
    struct opening openings[KEYS_MOST];
    size_t opening_count;
    bool only_this; /* the failure concerns one point */
};

static void anew_deinit(struct anew *anew)
{
    reencrypt_free(anew->reencrypt);
    for (size_t i = 0; i < anew->opening_count; i++) {
        opener_free(anew->openings[i].opener);
        read_half_free(anew->openings[i].half);
        free(anew->openings[i].domain_name);
    }
}
DEFINE_AUTO_IN_PLACE(anew, struct anew, anew_deinit)

/* --- which points --- */

static struct id id_at(const struct buf *ids, size_t index)
{
    struct id id;
    memcpy(id.bytes, ids->data + index * ID_LEN, ID_LEN);
    return id;
}

/* Appends those whose copy is not there. */
static bool find_lacking(struct anew *anew, const struct buf *all, struct buf *out, struct err *err)
{
    const struct outlet *outlet = &anew->options->sealing.outlet;
    AUTO(free) struct hash *asked = xcalloc(ASKED_MAX, sizeof(*asked));
    enum frame_type types[ASKED_MAX];
    uint8_t have[ASKED_MAX];
    size_t total = all->len / ID_LEN;
    for (size_t at = 0, some; at < total; at += some) {
        some = total - at < ASKED_MAX ? total - at : ASKED_MAX;
        for (size_t i = 0; i < some; i++) {
            struct id from = id_at(all, at + i);
            struct id id = sealing_point_of(reencrypt_sealing(anew->reencrypt), &from);
            asked[i] = (struct hash){{0}};
            memcpy(asked[i].bytes, id.bytes, ID_LEN);
            types[i] = (enum frame_type)ASKED_POINT;
        }
        if (!outlet->ops->ask(outlet->self, types, asked, some, have, err)) return false;
        for (size_t i = 0; i < some; i++) {
            if (have[i] == ASKED_LACKS) buf_put(out, all->data + (at + i) * ID_LEN, ID_LEN);
            if (have[i] == ASKED_REMOVED) atomic_fetch_add(anew->options->skipped, 1);
        }
    }
    return true;
}

/* --- what opens them --- */

static struct opening *find_opening(struct anew *anew, const struct point *point)
{
    for (size_t i = 0; i < anew->opening_count; i++)
        if (hash_eq(&anew->openings[i].key_id, &point->key_id) &&
            hash_eq(&anew->openings[i].domain, &point->domain_id))
            return &anew->openings[i];
    return NULL;
}

/* Of a plaintext repository key and domain are zeros, and there is no half. */
static bool get_opener(struct anew *anew, const struct point *point, struct opener **out, struct err *err)
{
    const struct copy_anew_options *options = anew->options;
    struct opening *opening = find_opening(anew, point);
    AUTO(read_half) struct read_half *half = NULL;
    if (opening) {
        *out = opening->opener;
        return true;
    }
    if (anew->opening_count == KEYS_MOST)
        return err_set(err, ERR_LIMIT, "points under more than %d keys and dedup domains", KEYS_MOST);
    if (point->cipher != CIPHER_NONE && !options->open_key(options->arg, point, &half, err)) return false;
    opening = &anew->openings[anew->opening_count++];
    *opening = (struct opening){
        .key_id = point->key_id, .domain = point->domain_id, .domain_name = xstrdup(point->domain)};
    opening->half = half;
    half = NULL;
    opening->opener = opener_new(opening->half, opening->domain_name);
    *out = opening->opener;
    return true;
}

/* --- one point --- */

static bool make_file(struct anew *anew, const struct point *point, const struct hash *root, struct buf *file,
                      struct err *err)
{
    struct backup_identity identity = anew->options->identity;
    struct point_origin origin = point_origin_of(point);
    struct point_draft draft = {
        .root = *root,
        .counts = point->counts,
        .started_ns = point->started_ns,
        .written_ns = clock_real_ns(),
        .object = point->object,
        .crash_consistent = point->crash_consistent,
        .origin = &origin,
    };
    identity.point = sealing_point_of(reencrypt_sealing(anew->reencrypt), &point->point);
    identity.job = point->job;
    return point_encode(&identity, reencrypt_sealing(anew->reencrypt), &draft, file, err);
}

/* Sends what is missing and commits, until nothing is. */
static bool commit(struct anew *anew, const struct reencrypt_from *from, const struct commit_request *request,
                   struct commit_receipt *receipt, struct err *err)
{
    const struct outlet *outlet = &anew->options->sealing.outlet;
    AUTO(buf) struct buf before = {0};
    for (int round = 0; round < COMMITS_MOST; round++) {
        AUTO(buf) struct buf missing = {0};
        struct hash root;
        if (outlet->ops->commit(outlet->self, request, receipt, &missing, err)) return true;
        if (err->code != ERR_NOT_FOUND || missing.len == 0) return false;
        if (span_eq(buf_span(&before), buf_span(&missing)))
            return err_wrap(err, "chunks are missing at the other side although they were sent");
        if (!reencrypt_point(anew->reencrypt, from, &missing, &root, err)) {
            anew->only_this = reencrypt_lost(anew->reencrypt);
            return false;
        }
        buf_clear(&before);
        buf_put_span(&before, buf_span(&missing));
    }
    return err_set(err, ERR_LIMIT, "more than %d commits of one point", COMMITS_MOST);
}

static bool seal_anew(struct anew *anew, const struct point *point, struct opener *opener, struct err *err)
{
    const struct copy_anew_options *options = anew->options;
    struct reencrypt_from from = {
        .opener = opener, .inlet = options->from.inlet(options->from.self, point), .root = point->root};
    struct hash content;
    struct commit_receipt receipt;
    AUTO(buf) struct buf file = {0};
    if (!reencrypt_point(anew->reencrypt, &from, NULL, &content, err)) {
        anew->only_this = reencrypt_lost(anew->reencrypt);
        return false;
    }
    struct commit_request request = {
        .point = sealing_point_of(reencrypt_sealing(anew->reencrypt), &point->point),
        .root = sealing_id(reencrypt_sealing(anew->reencrypt), FRAME_NODE, &content),
        .counts = point->counts,
        .started_ns = point->started_ns,
    };
    if (!make_file(anew, point, &request.root, &file, err)) return false;
    request.point_file = buf_span(&file);
    if (!commit(anew, &from, &request, &receipt, err)) return false;
    atomic_fetch_add(options->points, 1);
    options->copied(options->arg, &request.point, &receipt, buf_span(&file));
    return true;
}

static bool is_of_one(const struct err *err)
{
    return err->code == ERR_NOT_FOUND || err->code == ERR_DAMAGED || err->code == ERR_TRUNCATED ||
           err->code == ERR_NOT_AUTHENTIC || err->code == ERR_VERSION || err->code == ERR_LIMIT;
}

static bool copy_one(struct anew *anew, const struct id *id, struct err *err)
{
    const struct copy_anew_options *options = anew->options;
    AUTO(buf) struct buf file = {0};
    AUTO(point) struct point *point = NULL;
    struct opener *opener = NULL;
    anew->only_this = false;
    if (!options->from.read(options->from.self, id, &file, err)) {
        anew->only_this = is_of_one(err);
        return false;
    }
    anew->only_this = true;
    if (!point_decode(buf_span(&file), &point, err)) return false;
    if (!id_eq(&point->point, id))
        return err_set(err, ERR_NOT_AUTHENTIC, "the point file is of another point than it was asked for");
    if (options->job && options->job[0] && strcmp(options->job, point->job) != 0) return true;
    if (!options->check(options->arg, point, err) || !get_opener(anew, point, &opener, err)) return false;
    anew->only_this = false;
    return seal_anew(anew, point, opener, err);
}

static bool copy_lacking(struct anew *anew, const struct buf *points, struct err *err)
{
    const struct copy_anew_options *options = anew->options;
    struct err first = {0};
    for (size_t i = 0; i < points->len / ID_LEN; i++) {
        struct id id = id_at(points, i);
        if (atomic_load(options->cancelled)) return err_set(err, ERR_CANCELLED, "cancelled");
        if (copy_one(anew, &id, err)) continue;
        if (!anew->only_this) return false;
        options->warning(options->arg, &id, err);
        if (first.code == ERR_NONE) first = *err;
    }
    if (first.code == ERR_NONE) return true;
    *err = first;
    return err_wrap(err, "a recovery point could not be copied");
}

bool copy_anew(const struct copy_anew_options *options, struct err *err)
{
    AUTO(anew) struct anew anew = {.options = options};
    struct reencrypt_options reencrypt = {
        .sealing = options->sealing, .opened_bytes = options->opened_bytes, .cancelled = options->cancelled};
    AUTO(buf) struct buf all = {0};
    AUTO(buf) struct buf wanted = {0};
    return reencrypt_new(&reencrypt, &anew.reencrypt, err) &&
           options->from.points(options->from.self, &all, err) && find_lacking(&anew, &all, &wanted, err) &&
           copy_lacking(&anew, &wanted, err);
}
