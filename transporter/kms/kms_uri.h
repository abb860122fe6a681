/* Where a protector outside Sealift is: the URI of an entry `kms` of a configuration.
 *
 *   aws:///KEY?REGION=…[&AUTH=specified|implicit][&AWS_ACCESS_KEY_ID=…&AWS_SECRET_ACCESS_KEY=…]
 *             [&AWS_SESSION_TOKEN=…][&AWS_ENDPOINT=https://…]        (aws-kms:/// means the same)
 *   kmip://HOST[:PORT]/UUID?cert=PATH&key=PATH&ca=PATH
 *   file:///PATH
 *
 * What has a meaning in a URI is written as %XX (RFC 3986, section 2.1). Errors are ERR_CONFIG; they name
 * parameters and never show a value, which may be a secret. Immutable once parsed: any thread. */
#ifndef SEALIFT_KMS_URI_H
#define SEALIFT_KMS_URI_H

#include "common/base/bytes.h"
#include "common/base/err.h"
#include "common/base/secret.h"

#define KMS_URI_MAX 8192
#define KMIP_PORT 5696

enum kms_kind { KMS_FILE, KMS_KMIP, KMS_AWS };

enum aws_auth {
    AWS_SPECIFIED, /* the credentials are in the URI */
    AWS_IMPLICIT,  /* they are where AWS's own programs look for them */
};

struct kms_uri {
    enum kms_kind kind;
    char *key; /* KMIP: the unique identifier; AWS: id, ARN or alias/NAME; file: NULL */

    char *path; /* file: absolute */

    char *host; /* KMIP: a name or an address, without brackets */
    uint16_t port;
    char *cert_file, *key_file, *ca_file; /* absolute */

    char *region; /* AWS */
    enum aws_auth auth;
    char *access_key_id;          /* AWS_SPECIFIED */
    struct secret *secret_key;    /* AWS_SPECIFIED; ends with a NUL that is counted */
    struct secret *session_token; /* AWS_SPECIFIED, in the same way; NULL: none */
    char *endpoint;               /* "https://HOST[:PORT]"; NULL: the region's own */
};

/* "aws", "kmip", "file": as wraps and listings name it */
const char *kms_kind_name(enum kms_kind kind);

/* An endpoint without TLS, which would show the secrets that are wrapped, may only be this very machine. */
bool kms_uri_parse(const char *text, struct kms_uri *out, struct err *err) MUST_CHECK;
void kms_uri_deinit(struct kms_uri *uri);
DEFINE_AUTO_IN_PLACE(kms_uri, struct kms_uri, kms_uri_deinit)

#endif
