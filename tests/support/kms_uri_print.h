/* What was read from the URI of a protector, written as a URI again: for tests that parse that, too. */
#ifndef SEALIFT_TESTS_KMS_URI_PRINT_H
#define SEALIFT_TESTS_KMS_URI_PRINT_H

#include "transporter/kms/kms_uri.h"

/* What is secret shows as "redacted". Appended. */
void kms_uri_print(const struct kms_uri *uri, struct buf *out);

#endif
