/* Who we are to AWS. Where the URI does not say it, it is looked for where AWS's own programs look, in this
 * order:
 *
 *   the environment        AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
 *   the shared file        AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials, profile AWS_PROFILE or
 * "default" the container          AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or …_FULL_URI,
 * AWS_CONTAINER_AUTHORIZATION_TOKEN(_FILE) the instance           its metadata service, version 2;
 * AWS_EC2_METADATA_SERVICE_ENDPOINT, AWS_EC2_METADATA_DISABLED
 *
 * A source that is there and wrong is an error, not passed over. Roles that must be assumed, single sign-on
 * and programs that print credentials are not known. Errors never show a value. */
#ifndef SEALIFT_KMS_AWS_CREDENTIALS_H
#define SEALIFT_KMS_AWS_CREDENTIALS_H

#include "transporter/kms/kms_uri.h"

enum { AWS_CREDENTIAL_MAX = 8192 }; /* characters of one of them */

struct aws_credentials {
    char *access_key_id;
    struct secret *secret_key;    /* ends with a NUL that is counted */
    struct secret *session_token; /* in the same way; NULL: none */
};

void aws_credentials_deinit(struct aws_credentials *credentials);
DEFINE_AUTO_IN_PLACE(aws_credentials, struct aws_credentials, aws_credentials_deinit)

/* Of AUTH=specified those of the URI, else what is found by `end_ms` on the steady clock. ERR_CONFIG: none,
 * or wrong ones; ERR_UNREACHABLE, ERR_PROTOCOL, ERR_POLICY: who should give them. Reads the environment:
 * nobody may change it meanwhile. */
bool aws_credentials_find(const struct kms_uri *uri, uint64_t end_ms, struct aws_credentials *out,
                          struct err *err) MUST_CHECK;

/* The two pure parts, for any bytes; any thread. */

/* The text of a shared file. ERR_NOT_FOUND: it has no such profile; ERR_CONFIG names a line or a setting. */
bool aws_credentials_of_file(struct span text, const char *profile, struct aws_credentials *out,
                             struct err *err) MUST_CHECK;
/* The JSON of a container's or an instance's endpoint. ERR_PROTOCOL. */
bool aws_credentials_of_json(struct span text, struct aws_credentials *out, struct err *err) MUST_CHECK;

#endif
