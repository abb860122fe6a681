#include "transporter/kms/http.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "transporter/kms/quiet.h"
#include "transporter/kms/wiping_heap.h"

#include <curl/curl.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <string.h>

void http_answer_deinit(struct http_answer *answer)
{
    secret_free(answer->body);
    *answer = (struct http_answer){0};
}

static CURLcode curl_started;

static void start_curl(void)
{
    curl_started = curl_global_init_mem(CURL_GLOBAL_ALL, wiping_malloc, wiping_free, wiping_realloc,
                                        wiping_strdup, wiping_calloc);
}

static CURL *easy_new(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, start_curl);
    return curl_started == CURLE_OK ? curl_easy_init() : NULL;
}

static void easy_free(CURL *easy)
{
    if (easy) curl_easy_cleanup(easy);
}
DEFINE_AUTO(easy, CURL *, easy_free)

static void list_free(struct curl_slist *list)
{
    curl_slist_free_all(list);
}
DEFINE_AUTO(list, struct curl_slist *, list_free)

/* --- receiving --- */

struct inflow {
    struct http_answer answer;
    size_t header_len;
};

static void inflow_deinit(struct inflow *inflow)
{
    http_answer_deinit(&inflow->answer);
}
DEFINE_AUTO_IN_PLACE(inflow, struct inflow, inflow_deinit)

/* libcurl's callbacks: any other number than the length's ends the transfer. */
static size_t take_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct http_answer *answer = &((struct inflow *)arg)->answer;
    size_t len = size * count;
    if (len > HTTP_BODY_MAX - answer->len) return 0;
    if (len) memcpy(answer->body->data + answer->len, bytes, len);
    answer->len += len;
    return len;
}

static size_t take_header(char *bytes, size_t size, size_t count, void *arg)
{
    struct inflow *inflow = arg;
    size_t len = size * count;
    if (len > HTTP_HEADERS_MAX - inflow->header_len) return 0;
    inflow->header_len += len;
    return len;
}

/* What was received may be a secret: OpenSSL keeps no copy of it. */
static CURLcode on_tls(CURL *easy, void *context, void *arg)
{
    (void)easy, (void)arg;
    (void)SSL_CTX_set_options(context, SSL_OP_CLEANSE_PLAINTEXT);
    return CURLE_OK;
}

/* --- asking --- */

static bool is_tls(const char *url)
{
    return strncmp(url, "https://", 8) == 0;
}

static bool set_limits(CURL *easy, const struct http_question *question)
{
    uint64_t now_ms = clock_steady_ms();
    uint64_t left_ms = question->end_ms > now_ms ? question->end_ms - now_ms : 1;
    long timeout_ms = left_ms < 3600 * 1000 ? (long)left_ms : 3600 * 1000;
    return curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms) == CURLE_OK &&
           /* a name that is still being looked up is left behind, not waited for */
           curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_MAXFILESIZE, (long)HTTP_BODY_MAX) == CURLE_OK;
}

/* Only what the URL says, and nobody in between. */
static bool set_trust(CURL *easy, const struct http_question *question)
{
    const char *scheme = is_tls(question->url) ? "https" : "http";
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, scheme) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_tls) == CURLE_OK &&
           (!question->ca_file || (curl_easy_setopt(easy, CURLOPT_CAINFO, question->ca_file) == CURLE_OK &&
                                   curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK));
}

static bool set_question(CURL *easy, const struct http_question *question, struct curl_slist *headers)
{
    bool sends = strcmp(question->method, "GET") != 0;
    return curl_easy_setopt(easy, CURLOPT_URL, question->url) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
           (!sends ||
            (curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)question->body.len) == CURLE_OK &&
             curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
                              question->body.len ? (const char *)question->body.data : "") == CURLE_OK)) &&
           curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, question->method) == CURLE_OK;
}

static bool set_signer(CURL *easy, const struct http_signer *signer)
{
    if (!signer) return true;
    AUTO(free) char *scope = xasprintf("aws:amz:%s:%s", signer->region, signer->service);
    return curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, scope) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_USERNAME, signer->access_key_id) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PASSWORD, (const char *)signer->secret_key->data) == CURLE_OK;
}

static bool set_inflow(CURL *easy, struct inflow *inflow, char *reason)
{
    return curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, reason) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, inflow) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, inflow) == CURLE_OK;
}

static struct curl_slist *list_of(const char *const *headers)
{
    struct curl_slist *list = NULL;
    for (size_t i = 0; headers && headers[i]; i++) {
        struct curl_slist *longer = curl_slist_append(list, headers[i]);
        if (!longer) alloc_abort(strlen(headers[i]));
        list = longer;
    }
    return list;
}

/* Scheme and host. */
static int place_len(const char *url)
{
    const char *host = strstr(url, "://");
    return (int)(host ? strcspn(host + 3, "/?#") + (size_t)(host + 3 - url) : strlen(url));
}

/* What a server says of itself, as the names in its certificate, comes in libcurl's words. */
static const char *plain(char *reason)
{
    for (char *at = reason; *at; at++)
        if (*at < ' ' || *at > '~') *at = '?';
    return reason;
}

static bool explain(CURLcode code, const char *url, char *reason, struct err *err)
{
    const char *why = *reason ? plain(reason) : curl_easy_strerror(code);
    int len = place_len(url);
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return err_set(err, ERR_UNREACHABLE, "cannot reach %.*s: no answer in time", len, url);
    case CURLE_PEER_FAILED_VERIFICATION:
        return err_set(err, ERR_NOT_AUTHENTIC, "%.*s is not who it should be: %s", len, url, why);
    case CURLE_SSL_CACERT_BADFILE:
        return err_set(err, ERR_CONFIG, "cannot use the file of CAs for %.*s: %s", len, url, why);
    case CURLE_URL_MALFORMAT:
        return err_set(err, ERR_CONFIG, "%.*s is no address: %s", len, url, why);
    case CURLE_WRITE_ERROR:
    case CURLE_FILESIZE_EXCEEDED:
        return err_set(err, ERR_PROTOCOL, "%.*s answers with more than %d bytes", len, url, HTTP_BODY_MAX);
    case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP 0.9 */
    case CURLE_WEIRD_SERVER_REPLY:
        return err_set(err, ERR_PROTOCOL, "%.*s does not answer as HTTP has it: %s", len, url, why);
    default:
        return err_set(err, ERR_UNREACHABLE, "cannot reach %.*s: %s", len, url, why);
    }
}

bool http_ask(const struct http_question *question, struct http_answer *out, struct err *err)
{
    char reason[CURL_ERROR_SIZE] = "";
    AUTO(quiet) struct quiet quiet = quiet_begin();
    AUTO(list) struct curl_slist *headers = NULL;
    AUTO(easy) CURL *easy = easy_new();
    AUTO(inflow) struct inflow inflow = {.answer = {.body = secret_new(HTTP_BODY_MAX + 1)}};
    headers = list_of(question->headers);
    if (!easy) return err_set(err, ERR_FAILED, "cannot start libcurl");
    if (!set_limits(easy, question) || !set_trust(easy, question) || !set_question(easy, question, headers) ||
        !set_signer(easy, question->signer) || !set_inflow(easy, &inflow, reason))
        return err_set(err, ERR_FAILED, "this system's libcurl lacks what is needed");
    CURLcode code = curl_easy_perform(easy);
    if (code != CURLE_OK) return explain(code, question->url, reason, err);
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &inflow.answer.status);
    *out = inflow.answer;
    inflow.answer = (struct http_answer){0};
    return true;
}
