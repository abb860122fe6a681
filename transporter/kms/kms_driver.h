/* What each kind of protector does for kms.c, which adds and checks what is common. Private to this folder.
 */
#ifndef SEALIFT_KMS_DRIVER_H
#define SEALIFT_KMS_DRIVER_H

#include "transporter/kms/kms.h"

/* The second byte of a wrap. */
enum kms_wrap_kind {
    KMS_WRAP_FILE = 1,
    KMS_WRAP_KMIP = 2,
    KMS_WRAP_AWS = 3,
};

struct kms_driver {
    /* `associated` binds what is wrapped to its key. Appends all that follows the wrap's kind. */
    bool (*wrap)(const struct kms_entry *entry, struct span associated,
                 const uint8_t s[static KEY_SECRET_LEN], struct buf *out, struct err *err);
    /* Of any length: what it is worth is checked by who calls. */
    bool (*unwrap)(const struct kms_entry *entry, struct span associated, struct span wrap, struct secret **s,
                   struct err *err);
    bool (*describe)(const struct kms_entry *entry, char out[static KMS_MASTER_MAX], struct err *err);
    bool (*check)(const struct kms_entry *entry, struct err *err);
    enum kms_wrap_kind kind;
};

extern const struct kms_driver kms_file_driver, kms_kmip_driver, kms_aws_driver;

#endif
