#include "director/cli/key_material.h"

#include "common/base/alloc.h"
#include "director/cli/catalog_ask.h"

#include <string.h>

void key_material_deinit(struct key_material *material)
{
    free(material->sections);
    free(material->wraps);
    points_deinit(&material->points);
    keys_deinit(&material->keys);
    *material = (struct key_material){0};
}

static void add_section(struct key_material *material, const Sealift__UnlockSection *section)
{
    material->sections =
        xreallocarray(material->sections, material->section_count + 1, sizeof(*material->sections));
    material->sections[material->section_count++] = section;
}

static void add_wraps(struct key_material *material, const Sealift__UnlockSection *section)
{
    material->wraps =
        xreallocarray(material->wraps, material->wrap_count + section->n_kms + 1, sizeof(*material->wraps));
    for (size_t i = 0; i < section->n_kms; i++)
        material->wraps[material->wrap_count++] = section->kms[i];
}

bool key_material_get(struct cli *cli, const struct point *point, struct key_material *out, struct err *err)
{
    if (!point->unlock) return true;
    struct hash key_id = stored_hash(&point->body->key_id);
    AUTO(key_material) struct key_material material = {0};
    if (!keys_get(cli, &material.keys, err)) return false;
    const struct key_entry *entry = keys_with_id(&material.keys, &key_id);
    if (entry && entry->section) {
        add_section(&material, entry->section);
        add_wraps(&material, entry->section);
    }
    *out = material;
    material = (struct key_material){0};
    return true;
}

struct unlock_more key_material_more(const struct key_material *material)
{
    return (struct unlock_more){.sections = material->sections, .section_count = material->section_count};
}

bool key_material_find_salt(struct cli *cli, const struct point *point, struct key_material *material,
                            struct err *err)
{
    const struct unlock_more more = key_material_more(material);
    if (!point->unlock || point->unlock->origin != SEALIFT__KEY_ORIGIN__KEY_FROM_PASSWORD ||
        unlock_takes_password(point->unlock, &more))
        return true;
    if (!points_get(cli, NULL, NULL, POINTS_THERE, &material->points, err)) return false;
    for (size_t i = 0; i < material->points.count; i++) {
        const Sealift__UnlockSection *section = material->points.items[i]->unlock;
        bool same = section && memcmp(section->key_id.data, point->unlock->key_id.data, HASH_LEN) == 0;
        if (same && unlock_takes_password(section, NULL)) add_section(material, section);
    }
    return true;
}

bool key_material_kms(struct cli *cli, const struct order_request *request,
                      const struct key_material *material, enum order_kms *out, struct err *err)
{
    const Sealift__UnlockSection *section = request->point->unlock;
    const Sealift__Member *opener = NULL, *owner = NULL;
    AUTO(payload_status) Sealift__StatusAnswer *status = NULL;
    *out = ORDER_KMS_NONE;
    if (!section) return true;
    if (!order_opener(cli, request, &opener, &owner, err) || !ask_status(cli, &status, err)) return false;
    const Sealift__TransporterStatus *host = status_of_transporter(status, opener->sign_pk.data);
    for (size_t i = 0; host && i < host->n_kms; i++)
        if (opener == owner || unlock_wraps_fit(section->kms, section->n_kms, host->kms[i]->kind) ||
            unlock_wraps_fit(material->wraps, material->wrap_count, host->kms[i]->kind))
            *out = ORDER_KMS_MAY;
    return true;
}
