#include "director/cli/key_last.h"

#include "common/base/clock.h"
#include "common/base/text.h"
#include "director/cli/confirm.h"
#include "director/cli/generations.h"
#include "director/cli/key_protect.h"
#include "director/cli/key_protectors.h"
#include "director/cli/point.h"

#include <stdio.h>
#include <string.h>

enum { POINTS_NAMED = 20 };

/* Of the key or of a generation after it: that holds the secrets of those before. */
static bool somebody_else_reads(const struct keys *keys, const struct key_entry *key,
                                const uint8_t recipient[SIGN_PK_LEN])
{
    for (size_t i = 0; i < keys->grants.count; i++) {
        const struct statement *grant = keys->grants.items[i];
        const Sealift__GrantBody *body = grant->body.grant;
        struct hash key_id = stored_hash(&body->key_id);
        const struct key_entry *entry = keys_with_id(keys, &key_id);
        if (body->withdrawn || body->half != SEALIFT__HALF__HALF_READ || !entry ||
            (grant->expiry_s && grant->expiry_s < clock_real_ns() / 1000000000) ||
            memcmp(body->recipient.data, recipient, SIGN_PK_LEN) == 0)
            continue;
        if (generations_has(entry, &key->key_id)) return true;
    }
    return false;
}

static void name_points(const struct cli *cli, const struct points *points)
{
    for (size_t i = 0; i < points->count && i < POINTS_NAMED; i++) {
        const struct point *point = points->items[i];
        char hex[2 * ID_LEN + 1], time[21];
        hex_encode(point->id.bytes, ID_LEN, hex);
        time_format(point->time_ns, time);
        output_warning(&cli->output, "nobody opens the point %.12s of '%s', %s, any more", hex,
                       point->body->job, time);
    }
    if (points->count > POINTS_NAMED)
        output_warning(&cli->output, "nor %zu more: 'sealift key show --points' names them",
                       points->count - POINTS_NAMED);
}

bool key_last_confirm(struct cli *cli, const struct args *args, const struct keys *keys,
                      const struct key_entry *key, const uint8_t recipient[SIGN_PK_LEN], struct err *err)
{
    AUTO(points) struct points points = {0};
    char question[IDENTITY_NAME_MAX + 160];
    if (key->own || somebody_else_reads(keys, key, recipient) || key_has_outside_protector(cli->state, key))
        return true;
    if (!key_points(cli, key, KEY_POINTS_OF_ALL, &points, err)) return false;
    name_points(cli, &points);
    (void)snprintf(question, sizeof(question),
                   "withdraw the last copy of the key '%s', which nothing brings back: %zu recovery %s "
                   "lost with it",
                   key->label, points.count, plural(points.count, "point is", "points are"));
    return confirm(args, question, err);
}
