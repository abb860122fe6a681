/* A symmetric key in AWS KMS, which never leaves it. A wrap names the master key that made it, so that wraps
 * by an earlier one still open after the entry names another; what AWS rotates under one ARN, it keeps apart
 * itself. */
#include "transporter/kms/kms_driver.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "transporter/kms/aws_answer.h"
#include "transporter/kms/aws_source.h"
#include "transporter/kms/http.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    PAUSE_FIRST_MS = 100, /* the most that is waited before the second try */
    PAUSE_MOST_MS = 2000,
    SILENT_TRIES = 4, /* of a server that cannot be reached at all: another entry may answer meanwhile */
};

/* --- asking --- */

/* All that the questions of one operation have in common. */
struct session {
    const struct kms_entry *entry;
    uint64_t end_ms;
    char *url;
    struct aws_credentials credentials;
};

static void session_deinit(struct session *session)
{
    free(session->url);
    aws_credentials_deinit(&session->credentials);
}
DEFINE_AUTO_IN_PLACE(session, struct session, session_deinit)

static char *url_of(const struct kms_uri *uri)
{
    const char *china = strncmp(uri->region, "cn-", 3) == 0 ? ".cn" : "";
    return uri->endpoint ? xasprintf("%s/", uri->endpoint)
                         : xasprintf("https://kms.%s.amazonaws.com%s/", uri->region, china);
}

static bool session_open(const struct kms_entry *entry, struct session *out, struct err *err)
{
    AUTO(session)
    struct session session = {.entry = entry, .end_ms = clock_steady_ms() + entry->timeout_ms};
    if (!aws_credentials_find(entry->uri, session.end_ms, &session.credentials, err)) return false;
    session.url = url_of(entry->uri);
    *out = session;
    session = (struct session){0};
    return true;
}

/* Bytes that may say S: room for all of them, so that they are at one place, wiped there. */
static struct buf wiped_new(void)
{
    struct buf bytes = {0};
    buf_reserve(&bytes, AWS_REQUEST_MAX);
    return bytes;
}

static void wiped_deinit(struct buf *bytes)
{
    wipe(bytes->data, bytes->cap);
    buf_deinit(bytes);
}
DEFINE_AUTO_IN_PLACE(wiped, struct buf, wiped_deinit)

struct request {
    const char *operation;
    const struct buf *body;
    const char *hidden; /* what no error may show; or NULL */
};

static struct secret *token_header(const struct secret *token)
{
    static const char name[] = "X-Amz-Security-Token: ";
    if (!token) return NULL;
    struct secret *line = secret_new(sizeof(name) + token->len);
    (void)snprintf((char *)line->data, line->len, "%s%s", name, (const char *)token->data);
    return line;
}

static bool ask_once(const struct session *session, const struct request *request, struct http_answer *out,
                     enum aws_again *again, struct err *err)
{
    char target[64];
    AUTO(secret) struct secret *token = token_header(session->credentials.session_token);
    AUTO(http_answer) struct http_answer answer = {0};
    (void)snprintf(target, sizeof(target), "X-Amz-Target: TrentService.%s", request->operation);
    const char *const headers[] = {"Content-Type: application/x-amz-json-1.1", target,
                                   token ? (const char *)token->data : NULL, NULL};
    const struct http_signer signer = {.region = session->entry->uri->region,
                                       .service = "kms",
                                       .access_key_id = session->credentials.access_key_id,
                                       .secret_key = session->credentials.secret_key};
    const struct http_question question = {.method = "POST",
                                           .url = session->url,
                                           .headers = headers,
                                           .body = buf_span(request->body),
                                           .signer = &signer,
                                           .ca_file = aws_variable("AWS_CA_BUNDLE"),
                                           .end_ms = session->end_ms};
    *again = AWS_FINAL;
    if (!http_ask(&question, &answer, err)) return false;
    if (answer.status != 200) {
        *again = aws_refused(answer.status, http_body(&answer), request->hidden, err);
        return err_wrap(err, "AWS KMS, %s", request->operation);
    }
    *out = answer;
    answer = (struct http_answer){0};
    return true;
}

/* Twice as long each time, and some chance in it, so that many hosts do not come back at once. False: there
 * is no time for that. */
static bool pause_before(unsigned tries, uint64_t end_ms)
{
    uint32_t chance;
    uint64_t most_ms = tries < 5 ? (uint64_t)PAUSE_FIRST_MS << tries : PAUSE_MOST_MS;
    random_bytes(&chance, sizeof(chance));
    if (most_ms > PAUSE_MOST_MS) most_ms = PAUSE_MOST_MS;
    uint64_t wait_ms = most_ms / 2 + chance % (most_ms / 2 + 1);
    if (clock_steady_ms() + wait_ms >= end_ms) return false;
    struct timespec left = {.tv_sec = (time_t)(wait_ms / 1000), .tv_nsec = (long)(wait_ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0) {
    }
    return true;
}

static bool ask(const struct session *session, const struct request *request, struct http_answer *out,
                struct err *err)
{
    enum aws_again again = AWS_FINAL;
    for (unsigned tries = 0, silent = 0;; tries++) {
        if (ask_once(session, request, out, &again, err)) return true;
        if (again == AWS_FINAL && (err->code != ERR_UNREACHABLE || ++silent == SILENT_TRIES)) return false;
        if (!pause_before(tries, session->end_ms)) return false;
    }
}

/* --- the wrap: the name of the master key and what it made, each after its length --- */

struct parts {
    char *key;
    struct span blob;
};

static void parts_deinit(struct parts *parts)
{
    free(parts->key);
}
DEFINE_AUTO_IN_PLACE(parts, struct parts, parts_deinit)

static bool split(struct span wrap, const char *region, struct parts *out, struct err *err)
{
    struct reader reader = reader_of(wrap);
    struct span key = reader_bytes(&reader, reader_u16(&reader));
    struct span blob = reader_bytes(&reader, reader_u16(&reader));
    if (!reader_ok(&reader)) return err_set(err, ERR_TRUNCATED, "the wrap is cut off");
    if (reader_left(&reader) > 0) return err_set(err, ERR_DAMAGED, "the wrap is too long");
    if (!aws_key_ok(key) || blob.len == 0 || blob.len > AWS_BLOB_MAX)
        return err_set(err, ERR_DAMAGED, "the wrap does not name a master key and what it made");
    AUTO(free) char *maker = xasprintf("%.*s", (int)key.len, (const char *)key.data);
    out->key = aws_key_in_region(maker, region);
    out->blob = blob;
    return true;
}

/* What the wrap is bound to ends with the key's id, which is what AWS gets to see of it. */
static struct span context_of(struct span associated)
{
    return span_of(associated.data + associated.len - HASH_LEN, HASH_LEN);
}

static bool aws_wrap(const struct kms_entry *entry, struct span associated,
                     const uint8_t s[static KEY_SECRET_LEN], struct buf *out, struct err *err)
{
    char key[AWS_KEY_MAX + 1];
    struct span plain = span_of(s, KEY_SECRET_LEN);
    AUTO(session) struct session session = {0};
    AUTO(wiped) struct buf body = wiped_new(), hidden = wiped_new();
    AUTO(buf) struct buf blob = {0};
    AUTO(http_answer) struct http_answer answer = {0};
    aws_ask_encrypt(entry->uri->key, plain, context_of(associated), &body);
    base64_encode(plain, &hidden);
    const struct request request = {.operation = "Encrypt", .body = &body, .hidden = buf_cstr(&hidden)};
    if (!session_open(entry, &session, err) || !ask(&session, &request, &answer, err) ||
        !aws_encrypted(http_body(&answer), key, &blob, err))
        return false;
    buf_put_u16(out, (uint16_t)strlen(key));
    buf_put_str(out, key);
    buf_put_u16(out, (uint16_t)blob.len);
    buf_put_span(out, buf_span(&blob));
    return true;
}

static bool aws_unwrap(const struct kms_entry *entry, struct span associated, struct span wrap,
                       struct secret **s, struct err *err)
{
    AUTO(parts) struct parts parts = {0};
    AUTO(session) struct session session = {0};
    AUTO(wiped) struct buf body = wiped_new();
    AUTO(http_answer) struct http_answer answer = {0};
    if (!split(wrap, entry->uri->region, &parts, err)) return false;
    aws_ask_decrypt(parts.key, parts.blob, context_of(associated), &body);
    const struct request request = {.operation = "Decrypt", .body = &body};
    if (!session_open(entry, &session, err)) return false;
    return (ask(&session, &request, &answer, err) && aws_decrypted(http_body(&answer), parts.key, s, err)) ||
           err_wrap(err, "master key %s", parts.key);
}

static bool aws_describe(const struct kms_entry *entry, char out[static KMS_MASTER_MAX], struct err *err)
{
    char key[AWS_KEY_MAX + 1];
    AUTO(session) struct session session = {0};
    AUTO(wiped) struct buf body = wiped_new();
    AUTO(http_answer) struct http_answer answer = {0};
    aws_ask_describe(entry->uri->key, &body);
    const struct request request = {.operation = "DescribeKey", .body = &body};
    if (!session_open(entry, &session, err) || !ask(&session, &request, &answer, err) ||
        !aws_described(http_body(&answer), key, err))
        return false;
    (void)snprintf(out, KMS_MASTER_MAX, "%s", key);
    return true;
}

/* Credentials of the host are those of who asks, which need not be the user of a check. */
static bool aws_check(const struct kms_entry *entry, struct err *err)
{
    return true;
}

const struct kms_driver kms_aws_driver = {.wrap = aws_wrap,
                                          .unwrap = aws_unwrap,
                                          .describe = aws_describe,
                                          .check = aws_check,
                                          .kind = KMS_WRAP_AWS};
