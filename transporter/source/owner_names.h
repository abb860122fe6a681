/* Names of users and groups, asked of the system's databases once each. Any thread. */
#ifndef SEALIFT_SOURCE_OWNER_NAMES_H
#define SEALIFT_SOURCE_OWNER_NAMES_H

#include "common/base/bytes.h"
#include "transporter/source/metadata.h"

#define OWNER_NAME_MAX 255u

enum owner_kind { OWNER_USER, OWNER_GROUP };
/* Empty if nobody has the id, or the name is longer than an entry can hold. Lies in `room`. */
struct span owner_name(struct metadata_names *names, enum owner_kind kind, uint32_t id,
                       char room[static OWNER_NAME_MAX + 1]);

#endif
