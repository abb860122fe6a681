/* The protectors outside that a configuration names, read and validated once:
 *
 *   kms = ( { name = "eu"; uri = "aws:///alias/backup?REGION=eu-central-1&AUTH=implicit"; timeout = "10s"; },
 *           { name = "vault"; uri_file = "/etc/sealift/vault.uri"; } );
 *
 * A URI that holds a secret stands in a file that not everybody can read: `uri_file` names one of its own,
 * mode 0600, or the configuration itself must be such a file. Errors are ERR_CONFIG, name file, line and
 * entry, and never show a URI. Immutable: any thread. */
#ifndef SEALIFT_KMS_SET_H
#define SEALIFT_KMS_SET_H

#include "common/conf/conf.h"
#include "transporter/kms/kms.h"

enum { KMS_SET_MOST = 16 }; /* entries: their names fit a Hello */

struct kms_set;

/* The list `kms` of a group of settings; without one, an empty set. */
bool kms_set_read(struct conf_group at, struct kms_set **out, struct err *err) MUST_CHECK;
/* Of a file that holds this list, one entry at least, and nothing else. */
bool kms_set_load(const char *path, struct kms_set **out, struct err *err) MUST_CHECK;
void kms_set_free(struct kms_set *set);
DEFINE_AUTO(kms_set, struct kms_set *, kms_set_free)

/* NULL is an empty set. Entries are borrowed. */
size_t kms_set_count(const struct kms_set *set);
/* index < kms_set_count */
const struct kms_entry *kms_set_at(const struct kms_set *set, size_t index);
/* NULL: no entry has this name */
const struct kms_entry *kms_set_find(const struct kms_set *set, const char *name);

/* Looks at the files that the URIs name; the error is that of the first entry which cannot work. */
bool kms_set_check(const struct kms_set *set, struct err *err) MUST_CHECK;

#endif
