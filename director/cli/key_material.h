/* What is known of a point's key beside the point: its newest unlock section, and, where a salt is missing,
 * the sections in other points. Nothing of it is trusted: what it leads to is checked against the key id. */
#ifndef SEALIFT_CLI_KEY_MATERIAL_H
#define SEALIFT_CLI_KEY_MATERIAL_H

#include "director/cli/keys.h"
#include "director/cli/order.h"
#include "transporter/kms/unlock.h"

struct key_material {
    struct keys keys;
    struct points points; /* only if they were needed */
    const Sealift__UnlockSection **sections;
    size_t section_count;
    Sealift__KmsWrap **wraps; /* those that the point does not have too */
    size_t wrap_count;
};
void key_material_deinit(struct key_material *material);
DEFINE_AUTO_IN_PLACE(key_material, struct key_material, key_material_deinit)

/* What the director and this machine know. `out` must be empty. */
bool key_material_get(struct cli *cli, const struct point *point, struct key_material *out,
                      struct err *err) MUST_CHECK;
/* If nothing so far takes a password of a key that comes from one: the sections of the key's other points. */
bool key_material_find_salt(struct cli *cli, const struct point *point, struct key_material *material,
                            struct err *err) MUST_CHECK;
/* For transporter/kms/unlock.h; borrowed. */
struct unlock_more key_material_more(const struct key_material *material);

/* May the opener of this request have the key from a KMS: does it offer an entry that a wrap fits, or can it
 * read wraps that are not known here? */
bool key_material_kms(struct cli *cli, const struct order_request *request,
                      const struct key_material *material, enum order_kms *out, struct err *err) MUST_CHECK;

#endif
