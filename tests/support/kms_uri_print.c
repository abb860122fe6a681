#include "tests/support/kms_uri_print.h"

#include <ctype.h>
#include <string.h>

/* What is not a character of a value is encoded, and so is what would end it. */
static void put_encoded(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (isalnum((unsigned char)*text) || strchr("-._~/:", *text))
            buf_put_u8(out, (uint8_t)*text);
        else
            buf_printf(out, "%%%02X", (unsigned)(uint8_t)*text);
    }
}

static void put_value(struct buf *out, char before, const char *name, const char *value)
{
    buf_printf(out, "%c%s=", before, name);
    put_encoded(out, value);
}

static void print_aws(const struct kms_uri *uri, struct buf *out)
{
    buf_put_str(out, "aws:///");
    put_encoded(out, uri->key);
    put_value(out, '?', "REGION", uri->region);
    put_value(out, '&', "AUTH", uri->auth == AWS_IMPLICIT ? "implicit" : "specified");
    if (uri->access_key_id) put_value(out, '&', "AWS_ACCESS_KEY_ID", uri->access_key_id);
    if (uri->secret_key) put_value(out, '&', "AWS_SECRET_ACCESS_KEY", "redacted");
    if (uri->session_token) put_value(out, '&', "AWS_SESSION_TOKEN", "redacted");
    if (uri->endpoint) put_value(out, '&', "AWS_ENDPOINT", uri->endpoint);
}

static void print_kmip(const struct kms_uri *uri, struct buf *out)
{
    buf_printf(out, strchr(uri->host, ':') ? "kmip://[%s]:%u/" : "kmip://%s:%u/", uri->host,
               (unsigned)uri->port);
    put_encoded(out, uri->key);
    put_value(out, '?', "cert", uri->cert_file);
    put_value(out, '&', "key", uri->key_file);
    put_value(out, '&', "ca", uri->ca_file);
}

void kms_uri_print(const struct kms_uri *uri, struct buf *out)
{
    switch (uri->kind) {
    case KMS_FILE:
        buf_put_str(out, "file://");
        put_encoded(out, uri->path);
        return;
    case KMS_KMIP:
        print_kmip(uri, out);
        return;
    case KMS_AWS:
        print_aws(uri, out);
        return;
    }
}
