#include "transporter/pipeline/point.h"

#include "common/base/alloc.h"
#include "common/wire/lent.h"
#include "common/wire/stored.h"

#include <string.h>

static char *text_field(const char *text)
{
    return lent_text(text ? text : "");
}

static void fill_counts(const struct point_counts *counts, Sealift__PointCounts *out)
{
    out->entries = counts->entries;
    out->files = counts->files;
    out->directories = counts->directories;
    out->content_bytes = counts->content_bytes;
    out->warnings = counts->warnings;
}

static void fill_identity(const struct backup_identity *identity, Sealift__PointBody *body)
{
    body->point = lent_bytes(&identity->point, ID_LEN);
    body->site = lent_bytes(&identity->site, ID_LEN);
    body->run = lent_bytes(&identity->run, ID_LEN);
    body->attempt = identity->attempt;
    body->job = text_field(identity->job);
    body->writer_name = text_field(identity->writer_name);
    body->domain = text_field(identity->domain);
    body->head_number = identity->head_number;
    body->head_hash = lent_bytes(&identity->head_hash, HASH_LEN);
}

static void fill_origin(const struct point_origin *origin, Sealift__PointOrigin *out)
{
    out->point = lent_bytes(&origin->point, ID_LEN);
    out->run = lent_bytes(&origin->run, ID_LEN);
    out->writer = lent_bytes(origin->writer, SIGN_PK_LEN);
    out->writer_name = text_field(origin->writer_name);
    out->writer_time_ns = origin->written_ns;
    out->key_label = text_field(origin->key_label);
}

static bool encode_body(const struct backup_identity *identity, const struct sealing *sealing,
                        const struct point_draft *draft, struct buf *out, struct err *err)
{
    const struct sealing_options *options = sealing_options(sealing);
    Sealift__PointCounts counts;
    sealift__point_counts__init(&counts);
    fill_counts(&draft->counts, &counts);
    Sealift__PointBody body;
    sealift__point_body__init(&body);
    Sealift__PointOrigin origin;
    sealift__point_origin__init(&origin);
    struct hash unlock_hash = hash_of(identity->unlock_section);
    body.version = 1;
    fill_identity(identity, &body);
    body.writer = lent_bytes(options->writer->pk, SIGN_PK_LEN);
    body.root = lent_bytes(&draft->root, HASH_LEN);
    body.seal = lent_bytes(sealing_seal(sealing), ID_LEN);
    body.domain_id = lent_bytes(sealing_domain(sealing), HASH_LEN);
    body.cipher = options->cipher;
    body.counts = &counts;
    body.started_ns = draft->started_ns;
    body.writer_time_ns = draft->written_ns;
    body.object_kind = text_field(object_kind_name(draft->object));
    body.crash_consistent = draft->crash_consistent;
    if (draft->origin) {
        fill_origin(draft->origin, &origin);
        body.origin = &origin;
    }
    if (options->half) {
        body.key_id = lent_bytes(&options->half->key_id, HASH_LEN);
        body.key_label = text_field(identity->key_label);
        body.unlock_hash = lent_bytes(&unlock_hash, HASH_LEN);
    }
    return stored_body_encode(&body, out, err);
}

bool point_encode(const struct backup_identity *identity, const struct sealing *sealing,
                  const struct point_draft *draft, struct buf *out, struct err *err)
{
    const struct sealing_options *options = sealing_options(sealing);
    if (options->half && identity->unlock_section.len == 0)
        return err_set(err, ERR_POLICY, "an encrypted recovery point needs its key's unlock section");
    AUTO(buf) struct buf payload = {0};
    if (!encode_body(identity, sealing, draft, &payload, err)) return false;
    AUTO(buf) struct buf signed_body = {0};
    stored_sign(options->writer, "point", buf_span(&payload), &signed_body);
    Sealift__PointFile file;
    sealift__point_file__init(&file);
    file.body = stored_bytes(buf_span(&signed_body));
    if (options->half) file.unlock = stored_bytes(identity->unlock_section);
    file.writer_roster = stored_bytes(identity->writer_roster);
    return stored_point_encode(&file, out, err);
}

struct point_parts {
    Sealift__PointFile *file;
    Sealift__PointBody *body;
};

static bool object_of(const char *name, enum object_kind *out, struct err *err)
{
    return object_kind_parse(name, out, err) || err_wrap(err, "recovery point");
}

static void read_counts(const Sealift__PointCounts *counts, struct point_counts *out)
{
    if (!counts) return;
    *out = (struct point_counts){
        .entries = counts->entries,
        .files = counts->files,
        .directories = counts->directories,
        .content_bytes = counts->content_bytes,
        .warnings = counts->warnings,
    };
}

static void read_origin(const Sealift__PointOrigin *origin, struct point *point)
{
    if (!origin) return;
    point->has_origin = true;
    point->origin = (struct point_origin){
        .point = stored_id(&origin->point),
        .run = stored_id(&origin->run),
        .writer_name = origin->writer_name,
        .written_ns = origin->writer_time_ns,
        .key_label = origin->key_label,
    };
    memcpy(point->origin.writer, origin->writer.data, SIGN_PK_LEN);
}

static void read_fields(const Sealift__PointFile *file, const Sealift__PointBody *body, struct point *point)
{
    point->site = stored_id(&body->site);
    point->run = stored_id(&body->run);
    point->point = stored_id(&body->point);
    point->seal = stored_id(&body->seal);
    point->attempt = body->attempt;
    point->job = body->job;
    memcpy(point->writer, body->writer.data, SIGN_PK_LEN);
    point->writer_name = body->writer_name;
    point->root = stored_hash(&body->root);
    point->cipher = body->cipher;
    point->key_id = stored_hash(&body->key_id);
    point->key_label = body->key_label;
    point->domain = body->domain;
    point->domain_id = stored_hash(&body->domain_id);
    point->head_number = body->head_number;
    point->head_hash = stored_hash(&body->head_hash);
    point->written_ns = body->writer_time_ns;
    point->started_ns = body->started_ns;
    point->crash_consistent = body->crash_consistent;
    read_counts(body->counts, &point->counts);
    read_origin(body->origin, point);
    point->unlock_section = stored_span(&file->unlock);
    point->writer_roster = stored_span(&file->writer_roster);
}

bool point_decode(struct span file, struct point **out, struct err *err)
{
    AUTO(point) struct point *point = xcalloc(1, sizeof(*point));
    struct point_parts *parts = point->parts = xcalloc(1, sizeof(*parts));
    if (!stored_point_decode(file, &parts->file, err) || !stored_point_open(parts->file, &parts->body, err))
        return false;
    if (!object_of(parts->body->object_kind, &point->object, err)) return false;
    read_fields(parts->file, parts->body, point);
    *out = point;
    point = NULL;
    return true;
}

struct point_origin point_origin_of(const struct point *point)
{
    if (point->has_origin) return point->origin;
    struct point_origin origin = {.point = point->point,
                                  .run = point->run,
                                  .writer_name = point->writer_name,
                                  .written_ns = point->written_ns,
                                  .key_label = point->key_label};
    memcpy(origin.writer, point->writer, SIGN_PK_LEN);
    return origin;
}

void point_free(struct point *point)
{
    if (!point) return;
    stored_point_free(point->parts->file);
    stored_body_free(point->parts->body);
    free(point->parts);
    free(point);
}
