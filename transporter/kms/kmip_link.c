#include "transporter/kms/kmip_link.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/resolve.h"
#include "transporter/kms/kmip.h"
#include "transporter/kms/quiet.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { POLL_MOST_MS = 60000 }; /* at a time: poll takes no 64 bits */

struct kmip_link {
    const struct kms_uri *uri;
    uint64_t end_ms; /* of everything, on the monotonic clock */
    int fd;
    SSL_CTX *context;
    SSL *tls;
    bool greeted; /* the server has answered once: it takes our certificate */
};

void kmip_link_close(struct kmip_link *link)
{
    if (!link) return;
    SSL_free(link->tls);
    SSL_CTX_free(link->context);
    if (link->fd >= 0) (void)close(link->fd);
    free(link);
}

static bool unreachable(const struct kmip_link *link, const char *why, struct err *err)
{
    return err_set(err, ERR_UNREACHABLE, "cannot reach the KMIP server %s, port %u: %s", link->uri->host,
                   (unsigned)link->uri->port, why);
}

/* What OpenSSL says of its first error, which is the cause of the others. */
static const char *tls_reason(char out[static 256])
{
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    (void)snprintf(out, 256, "%s", reason ? reason : "the connection was cut");
    ERR_clear_error();
    return out;
}

/* --- waiting --- */

static bool wait_for(const struct kmip_link *link, short events, struct err *err)
{
    for (;;) {
        struct pollfd one = {.fd = link->fd, .events = events};
        uint64_t now_ms = clock_steady_ms();
        if (now_ms >= link->end_ms) return unreachable(link, "no answer in time", err);
        uint64_t left_ms = link->end_ms - now_ms;
        int ready = poll(&one, 1, left_ms < POLL_MOST_MS ? (int)left_ms : POLL_MOST_MS);
        if (ready > 0) return true;
        if (ready < 0 && errno != EINTR) return err_sys(err, errno, "cannot wait for the KMIP server");
    }
}

/* --- TCP --- */

static bool connect_to(struct kmip_link *link, const struct addrinfo *at, struct err *err)
{
    int failure = 0;
    socklen_t len = sizeof(failure);
    AUTO(fd) int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, at->ai_protocol);
    if (fd < 0) return err_sys(err, errno, "cannot make a socket");
    if (connect(fd, at->ai_addr, at->ai_addrlen) != 0) {
        if (errno != EINPROGRESS) return unreachable(link, strerror(errno), err);
        link->fd = fd;
        bool waited = wait_for(link, POLLOUT, err);
        link->fd = -1;
        if (!waited) return false;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &len) != 0) failure = errno;
        if (failure) return unreachable(link, strerror(failure), err);
    }
    link->fd = fd;
    fd = -1;
    return true;
}

/* One address after the other, each with an equal share of the time that is left: one that never answers must
 * not keep the next from being tried. */
static bool connect_to_any(struct kmip_link *link, const struct addrinfo *addresses, struct err *err)
{
    uint64_t end_ms = link->end_ms, count = 0;
    bool ok = false;
    for (const struct addrinfo *at = addresses; at; at = at->ai_next)
        count++;
    (void)unreachable(link, "no answer in time", err);
    for (const struct addrinfo *at = addresses; at && !ok; at = at->ai_next, count--) {
        uint64_t now_ms = clock_steady_ms();
        if (now_ms >= end_ms) break;
        link->end_ms = now_ms + (end_ms - now_ms) / count;
        ok = connect_to(link, at, err);
    }
    link->end_ms = end_ms;
    return ok;
}

static bool dial(struct kmip_link *link, struct err *err)
{
    AUTO(addresses) struct addrinfo *addresses = NULL;
    const struct resolve_end end = {.until_ms = link->end_ms};
    int failed = resolve_host(link->uri->host, link->uri->port, &end, &addresses);
    if (failed == RESOLVE_GIVEN_UP) return unreachable(link, "its name was not found in time", err);
    if (failed == EAI_SYSTEM) return unreachable(link, strerror(errno), err);
    if (failed) return unreachable(link, gai_strerror(failed), err);
    return connect_to_any(link, addresses, err);
}

/* --- TLS --- */

/* Without this, OpenSSL would ask the terminal for the password of a key file. */
static int no_password(char *out, int size, int writing, void *arg)
{
    (void)out, (void)size, (void)writing, (void)arg;
    return 0;
}

static bool cannot_use(const char *what, const char *path, struct err *err)
{
    char reason[256];
    return err_set(err, ERR_CONFIG, "cannot use the %s '%s': %s", what, path, tls_reason(reason));
}

static bool check_key_file(const char *path, struct err *err)
{
    struct stat st;
    if (stat(path, &st) != 0) return err_set(err, ERR_CONFIG, "cannot read '%s': %s", path, strerror(errno));
    return (st.st_mode & (S_IRWXG | S_IRWXO)) == 0 ||
           err_set(err, ERR_CONFIG, "'%s' can be read by others: its mode must be 0600", path);
}

/* OpenSSL would wait for whoever writes into a fifo. */
static bool check_regular(const char *path, struct err *err)
{
    struct stat st;
    if (stat(path, &st) != 0) return err_set(err, ERR_CONFIG, "cannot read '%s': %s", path, strerror(errno));
    return S_ISREG(st.st_mode) || err_set(err, ERR_CONFIG, "'%s' is not a regular file", path);
}

static bool load_files(struct kmip_link *link, struct err *err)
{
    const struct kms_uri *uri = link->uri;
    if (!check_regular(uri->key_file, err) || !check_key_file(uri->key_file, err) ||
        !check_regular(uri->ca_file, err) || !check_regular(uri->cert_file, err))
        return false;
    SSL_CTX_set_default_passwd_cb(link->context, no_password);
    if (SSL_CTX_load_verify_file(link->context, uri->ca_file) != 1)
        return cannot_use("CA file", uri->ca_file, err);
    if (SSL_CTX_use_certificate_chain_file(link->context, uri->cert_file) != 1)
        return cannot_use("certificate", uri->cert_file, err);
    if (SSL_CTX_use_PrivateKey_file(link->context, uri->key_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(link->context) != 1)
        return cannot_use("certificate's key", uri->key_file, err);
    return true;
}

static bool expect_host(SSL *tls, const char *host)
{
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls), host) == 1) return true;
    ERR_clear_error(); /* it is a name */
    SSL_set_hostflags(tls, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(tls, host) == 1 && SSL_set_tlsext_host_name(tls, host) == 1;
}

static bool make_context(struct kmip_link *link, struct err *err)
{
    link->context = SSL_CTX_new(TLS_client_method());
    if (!link->context || SSL_CTX_set_min_proto_version(link->context, TLS1_2_VERSION) != 1)
        return err_set(err, ERR_FAILED, "cannot set up TLS");
    return load_files(link, err);
}

static bool prepare(struct kmip_link *link, struct err *err)
{
    if (!make_context(link, err)) return false;
    /* what was received may be a secret: OpenSSL keeps no copy of it */
    (void)SSL_CTX_set_options(link->context, SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_verify(link->context, SSL_VERIFY_PEER, NULL);
    link->tls = SSL_new(link->context);
    if (!link->tls || !expect_host(link->tls, link->uri->host) || SSL_set_fd(link->tls, link->fd) != 1)
        return err_set(err, ERR_FAILED, "cannot set up TLS");
    return true;
}

/* After a call on the connection that did not succeed: waits for what it needs, or says why it cannot. Where
 * TLS 1.3 is spoken, a server refuses our certificate only after we take the handshake to be done. */
static bool go_on(struct kmip_link *link, int result, struct err *err)
{
    char reason[256];
    int why = SSL_get_error(link->tls, result);
    if (why == SSL_ERROR_WANT_READ) return wait_for(link, POLLIN, err);
    if (why == SSL_ERROR_WANT_WRITE) return wait_for(link, POLLOUT, err);
    long verified = SSL_get_verify_result(link->tls);
    if (verified != X509_V_OK) {
        ERR_clear_error();
        return err_set(err, ERR_NOT_AUTHENTIC, "the KMIP server %s is not who it should be: %s",
                       link->uri->host, X509_verify_cert_error_string(verified));
    }
    bool alert = why == SSL_ERROR_SSL && ERR_GET_REASON(ERR_peek_error()) >= SSL_AD_REASON_OFFSET;
    if (alert && !link->greeted)
        return err_set(err, ERR_POLICY, "the KMIP server %s refuses the connection: %s", link->uri->host,
                       tls_reason(reason));
    return unreachable(link, tls_reason(reason), err);
}

static bool greet(struct kmip_link *link, struct err *err)
{
    for (;;) {
        ERR_clear_error();
        int result = SSL_connect(link->tls);
        if (result == 1) return true;
        if (!go_on(link, result, err)) return false;
    }
}

bool kmip_link_open(const struct kms_uri *uri, uint32_t timeout_ms, struct kmip_link **out, struct err *err)
{
    AUTO(quiet) struct quiet quiet = quiet_begin();
    AUTO(kmip_link) struct kmip_link *link = xcalloc(1, sizeof(*link));
    *link = (struct kmip_link){.uri = uri, .end_ms = clock_steady_ms() + timeout_ms, .fd = -1};
    if (!dial(link, err) || !prepare(link, err) || !greet(link, err)) return false;
    *out = link;
    link = NULL;
    return true;
}

bool kmip_link_check(const struct kms_uri *uri, struct err *err)
{
    AUTO(kmip_link) struct kmip_link *link = xcalloc(1, sizeof(*link));
    *link = (struct kmip_link){.uri = uri, .fd = -1};
    ERR_clear_error();
    return make_context(link, err);
}

/* --- asking --- */

static bool send_all(struct kmip_link *link, struct span bytes, struct err *err)
{
    while (bytes.len > 0) {
        size_t sent = 0;
        ERR_clear_error();
        int result = SSL_write_ex(link->tls, bytes.data, bytes.len, &sent);
        if (result != 1 && !go_on(link, result, err)) return false;
        bytes = span_of(bytes.data + sent, bytes.len - sent);
    }
    return true;
}

static bool receive_all(struct kmip_link *link, uint8_t *out, size_t len, struct err *err)
{
    while (len > 0) {
        size_t got = 0;
        ERR_clear_error();
        int result = SSL_read_ex(link->tls, out, len, &got);
        if (result != 1 && !go_on(link, result, err)) return false;
        out += got;
        len -= got;
    }
    link->greeted = true;
    return true;
}

bool kmip_link_ask(struct kmip_link *link, struct span request, struct secret **answer, struct err *err)
{
    AUTO(quiet) struct quiet quiet = quiet_begin();
    uint8_t header[TTLV_HEADER_LEN];
    size_t len = 0;
    if (!send_all(link, request, err) || !receive_all(link, header, sizeof(header), err)) return false;
    if (!ttlv_message_len(header, KMIP_RESPONSE_MESSAGE, &len, err))
        return err_wrap(err, "the KMIP server's answer");
    AUTO(secret) struct secret *bytes = secret_new(len);
    memcpy(bytes->data, header, sizeof(header));
    if (!receive_all(link, bytes->data + sizeof(header), len - sizeof(header), err)) return false;
    secret_free(*answer);
    *answer = bytes;
    bytes = NULL;
    return true;
}
