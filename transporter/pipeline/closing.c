#include "transporter/pipeline/closing.h"

#include "common/base/clock.h"

bool closing_describe(struct attempt *attempt, const struct chunker_params *chunker, struct span name,
                      struct span entry, struct closing *closing, struct err *err)
{
    AUTO(manifest_writer) struct manifest_writer *writer = manifest_writer_new(attempt_put_node, attempt);
    AUTO(buf) struct buf paths = {0};
    buf_put_u16(&paths, (uint16_t)name.len);
    buf_put_span(&paths, name);
    struct manifest_root about = {
        .kind = closing->object,
        .chunk_min = chunker->min,
        .chunk_average = chunker->average,
        .chunk_max = chunker->max,
        .host = span_str(attempt->options->host),
        .path_count = 1,
        .paths = buf_span(&paths),
    };
    return manifest_add(writer, (struct span){0}, entry, err) &&
           manifest_finish(writer, &about, &closing->root, err);
}

static bool make_point(struct attempt *attempt, const struct closing *closing, struct commit_request *request,
                       struct buf *file, struct err *err)
{
    struct point_draft draft = {
        .root = request->root,
        .counts = request->counts,
        .started_ns = request->started_ns,
        .written_ns = clock_real_ns(),
        .object = closing->object,
        .crash_consistent = closing->crash_consistent,
    };
    if (!point_encode(&attempt->options->identity, attempt->sealing, &draft, file, err)) return false;
    request->point_file = buf_span(file);
    return true;
}

/* What the cache knew is not there any more: nothing that it says can be relied on. */
static bool reset_cache(struct stat_cache *cache, struct err *err)
{
    struct err why = {0};
    if (cache && !stat_cache_reset(cache, &why)) return err_wrap(err, "%s; and", why.text);
    return err_wrap(err, "the repository lacks contents of earlier runs, so everything is read again");
}

bool closing_commit(struct attempt *attempt, const struct closing *closing, struct backup_result *result,
                    struct err *err)
{
    const struct backup_options *options = attempt->options;
    const struct outlet *outlet = &options->outlet;
    AUTO(buf) struct buf missing = {0};
    AUTO(buf) struct buf file = {0};
    struct commit_request request = {
        .point = options->identity.point,
        .root = sealing_id(attempt->sealing, FRAME_NODE, &closing->root),
        .counts = closing->counts,
        .started_ns = closing->started_ns,
        .object = closing->object,
        .crash_consistent = closing->crash_consistent,
    };
    request.counts.warnings = attempt->progress->warnings;
    attempt_publish(attempt);
    if (options->place == SEAL_HERE && !make_point(attempt, closing, &request, &file, err)) return false;
    if (!outlet->ops->commit(outlet->self, &request, &result->receipt, &missing, err)) {
        if (err->code == ERR_NOT_FOUND) return reset_cache(options->cache, err);
        return false;
    }
    result->counts = request.counts;
    result->read_bytes = attempt->progress->read_bytes;
    result->deduplicated_bytes = attempt_deduplicated_bytes(attempt);
    result->sent_bytes = sealing_sent_bytes(attempt->sealing);
    return true;
}
