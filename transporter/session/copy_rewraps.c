/* Rewraps go along with copies of the points whose seals they open. They verify without a key, as in the
 * first repository, and what is there already is kept once. */
#include "common/crypto/record.h"
#include "transporter/repository/rewraps.h"
#include "transporter/session/copy.h"
#include "transporter/session/outlet_ingest.h"

enum { PART_BYTES = 256 * 1024 };

struct handing {
    const struct copy_options *options;
    struct buf records;
    uint32_t count;
};
static void handing_deinit(struct handing *handing)
{
    buf_deinit(&handing->records);
}
DEFINE_AUTO_IN_PLACE(handing, struct handing, handing_deinit)

/* What the other side leaves out is of seals that it has not got, or a check here names it. */
static bool flush(struct handing *handing, struct err *err)
{
    const struct outlet *outlet = &handing->options->outlet;
    bool kept = false;
    if (handing->count == 0) return true;
    if (atomic_load(handing->options->cancelled)) return err_set(err, ERR_CANCELLED, "cancelled");
    if (!outlet->ops->keep_rewraps(outlet->self, buf_span(&handing->records), handing->count, &kept, err))
        return false;
    buf_clear(&handing->records);
    handing->count = 0;
    return true;
}

static bool hand_over(void *arg, struct span object, struct err *err)
{
    struct handing *handing = arg;
    record_append(&handing->records, RECORD_REWRAP, object);
    handing->count++;
    return (handing->records.len < PART_BYTES && handing->count < REWRAPS_AT_ONCE) || flush(handing, err);
}

bool copy_rewraps(const struct copy_options *options, struct err *err)
{
    AUTO(handing) struct handing handing = {.options = options};
    if (!options->outlet.ops->keep_rewraps) return true;
    return repository_rewraps_all(options->from, hand_over, &handing, err) && flush(&handing, err);
}
