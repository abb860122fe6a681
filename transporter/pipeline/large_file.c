#include "transporter/pipeline/cutting.h"
#include "transporter/pipeline/file_content.h"

/* Data up to `end`. *ended: the file is shorter than it was. */
static enum reading cut_data(struct cutting *cutting, const struct file_reader *reader, uint64_t end,
                             bool *ended, struct err *err)
{
    while (cutting->offset < end && !*ended) {
        if (!cutting_may_go_on(cutting, err)) return READING_FAILED;
        size_t step, got;
        uint8_t *out = cutting_room(cutting, &step);
        if (end - cutting->offset < step) step = (size_t)(end - cutting->offset);
        if (!file_reader_read(reader, cutting->offset, out, step, &got, err)) return READING_LOST;
        *ended = got < step;
        if (!cutting_take(cutting, got, err)) return READING_FAILED;
    }
    return READING_DONE;
}

static enum reading cut_extents(struct cutting *cutting, const struct file_reader *reader, struct err *err)
{
    bool ended = false;
    while (!ended) {
        struct extent extent;
        bool found;
        if (!file_reader_extent(reader, cutting->offset, &extent, &found, err)) return READING_LOST;
        if (!found) break;
        if (extent.kind == EXTENT_HOLE) {
            if (!cutting_hole(cutting, extent.length, err)) return READING_FAILED;
            continue;
        }
        enum reading reading = cut_data(cutting, reader, extent.offset + extent.length, &ended, err);
        if (reading != READING_DONE) return reading;
    }
    return READING_DONE;
}

enum reading large_file_read(struct worker *worker, const struct file_reader *reader, struct buf *refs,
                             struct metadata_content *content, struct err *err)
{
    AUTO(cutting) struct cutting cutting = {0};
    if (!cutting_init(&cutting, worker, reader->entry.key.size, err)) return READING_FAILED;
    enum reading reading = cut_extents(&cutting, reader, err);
    if (reading != READING_DONE) return reading;
    return cutting_finish(&cutting, refs, content, err) ? READING_DONE : READING_FAILED;
}
