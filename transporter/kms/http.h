/* One question over HTTP/1.1, by libcurl: with TLS verified, through no proxy, following no redirection, and
 * with an answer of bounded size in bounded time. What is asked and answered may be a secret: the body of an
 * answer is in guarded memory, and what libcurl holds is wiped when it is freed. Any thread. */
#ifndef SEALIFT_KMS_HTTP_H
#define SEALIFT_KMS_HTTP_H

#include "common/base/bytes.h"
#include "common/base/err.h"
#include "common/base/secret.h"

enum {
    HTTP_BODY_MAX = 32 * 1024, /* of an answer */
    HTTP_HEADERS_MAX = 32 * 1024,
};

/* AWS Signature Version 4, which libcurl makes over the method, host, headers and body. */
struct http_signer {
    const char *region, *service;
    const char *access_key_id;
    const struct secret *secret_key; /* ends with a NUL that is counted */
};

struct http_question {
    const char *method;         /* GET, PUT or POST */
    const char *url;            /* https:// or http://; holds no secret: errors may show it */
    const char *const *headers; /* "Name: value", up to NULL; or NULL */
    struct span body;
    const struct http_signer *signer; /* NULL: not signed */
    const char *ca_file;              /* who vouches for servers; NULL: the system's list */
    uint64_t end_ms;                  /* on the steady clock: all is over by then */
};

struct http_answer {
    long status;
    struct secret *body;
    size_t len; /* of the body; behind it stands a NUL */
};

void http_answer_deinit(struct http_answer *answer);
DEFINE_AUTO_IN_PLACE(http_answer, struct http_answer, http_answer_deinit)

static inline struct span http_body(const struct http_answer *answer)
{
    return span_of(answer->body->data, answer->len);
}

/* Whatever its status. ERR_UNREACHABLE; ERR_NOT_AUTHENTIC (not the server that the URL says); ERR_PROTOCOL
 * (no HTTP, or too much of it); ERR_CONFIG (the URL, or the CA file). */
bool http_ask(const struct http_question *question, struct http_answer *out, struct err *err) MUST_CHECK;

#endif
