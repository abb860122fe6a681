/* One question to a KMIP server, over TLS 1.2 or later with certificates on both sides. The server's must be
 * signed by the CA of the URI, and be of the URI's host. */
#ifndef SEALIFT_KMS_KMIP_LINK_H
#define SEALIFT_KMS_KMIP_LINK_H

#include "transporter/kms/kms_uri.h"

struct kmip_link;

/* Connects. All that is done with the link ends `timeout_ms` after this call begins, of which each address of
 * the host gets its share. ERR_UNREACHABLE; ERR_CONFIG (the certificate, key or CA file); ERR_NOT_AUTHENTIC
 * (the server is not who the URI says); ERR_POLICY (it does not want our certificate). */
bool kmip_link_open(const struct kms_uri *uri, uint32_t timeout_ms, struct kmip_link **out,
                    struct err *err) MUST_CHECK;
void kmip_link_close(struct kmip_link *link);
DEFINE_AUTO(kmip_link, struct kmip_link *, kmip_link_close)

/* The files that the URI names, without connecting. ERR_CONFIG. */
bool kmip_link_check(const struct kms_uri *uri, struct err *err) MUST_CHECK;

/* The answer takes the place of what `answer` held, one whole message; it may hold a secret. ERR_UNREACHABLE,
 * ERR_PROTOCOL, ERR_POLICY. */
bool kmip_link_ask(struct kmip_link *link, struct span request, struct secret **answer,
                   struct err *err) MUST_CHECK;

#endif
