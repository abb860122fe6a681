/* Everything of an entry beyond its stat: extended attributes (with ACLs and capabilities, which are
 * system.posix_acl_* and security.capability), the target of a symbolic link, the names of owner and
 * group. Attributes are read through a descriptor, so that they belong to the same file as the content. */
#ifndef SEALIFT_SOURCE_METADATA_H
#define SEALIFT_SOURCE_METADATA_H

#include "transporter/source/walk.h"

/* Names of users and groups as this system's databases know them, each asked once. Any thread. */
struct metadata_names;
struct metadata_names *metadata_names_new(void);
void metadata_names_free(struct metadata_names *names);
DEFINE_AUTO(metadata_names, struct metadata_names *, metadata_names_free)

/* What reading a regular file has found. */
struct metadata_content {
    uint64_t size; /* bytes read, holes included */
    struct hash file_hash;
    uint8_t flags; /* enum entry_flags */
    uint32_t ref_count;
    struct span refs; /* encoded */
};

/* Appends the encoded entry. fd: the open file, or -1: then it is looked up in entry->dir without
 * following links. content: NULL for all but ENTRY_FILE. Attributes that cannot be read, or have no room in
 * an entry (ERR_LIMIT), are left out and told through `warning` (ERR_NONE if there is nothing to tell). Fails
 * if the entry vanished (ERR_NOT_FOUND) or cannot be encoded (ERR_LIMIT). Any thread. */
bool metadata_encode(struct metadata_names *names, int fd, const struct walk_entry *entry,
                     const struct metadata_content *content, struct buf *out, struct err *warning,
                     struct err *err) MUST_CHECK;

#endif
