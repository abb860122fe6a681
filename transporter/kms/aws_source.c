#include "transporter/kms/aws_source.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "transporter/kms/http.h"
#include "transporter/kms/secret_file.h"

#include <stdlib.h>
#include <string.h>

enum {
    TOKEN_MAX = 8192,
    INSTANCE_WAIT_MS = 1000, /* the service is on the same machine; elsewhere nothing answers */
};

const char *aws_variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* Visible ASCII: goes into a header or a path. */
static bool is_plain(const char *text, size_t most)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if (text[i] <= 0x20 || text[i] >= 0x7f) return false;
    return len > 0 && len <= most;
}

/* A header line that holds a secret: Name: value. */
static struct secret *header_of(const char *name, const char *value)
{
    size_t room = strlen(name) + 2 + strlen(value) + 1;
    struct secret *line = secret_new(room);
    (void)snprintf((char *)line->data, room, "%s: %s", name, value);
    return line;
}

static enum err_code code_of(long status)
{
    if (status >= 500) return ERR_UNREACHABLE;
    return status >= 400 ? ERR_POLICY : ERR_PROTOCOL;
}

static bool ask(const char *method, const char *url, const struct secret *header, uint64_t end_ms,
                struct http_answer *out, struct err *err)
{
    const char *headers[] = {header ? (const char *)header->data : NULL, NULL};
    AUTO(http_answer) struct http_answer answer = {0};
    const struct http_question question = {.method = method,
                                           .url = url,
                                           .headers = headers,
                                           .ca_file = aws_variable("AWS_CA_BUNDLE"),
                                           .end_ms = end_ms};
    if (!http_ask(&question, &answer, err)) return false;
    if (answer.status != 200)
        return err_set(err, code_of(answer.status), "the answer has the HTTP status %ld", answer.status);
    *out = answer;
    answer = (struct http_answer){0};
    return true;
}

/* --- a container --- */

/* A secret goes there: by TLS, or to this machine or the places of AWS that are reached without any router.
 */
static bool may_be_asked(const char *url)
{
    static const char *const hosts[] = {"127.0.0.1",     "localhost",      "[::1]",
                                        "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
    if (strncmp(url, "https://", 8) == 0) return true;
    if (strncmp(url, "http://", 7) != 0) return false;
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        size_t len = strlen(hosts[i]);
        if (strncmp(url + 7, hosts[i], len) == 0 && strchr(":/?", url[7 + len])) return true;
    }
    return false;
}

static bool container_url(char **out, struct err *err)
{
    const char *relative = aws_variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = aws_variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    if (!relative && !full) return true;
    if (relative && (relative[0] != '/' || !is_plain(relative, 2048)))
        return err_set(err, ERR_CONFIG, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not a path");
    if (!relative && (!is_plain(full, 2048) || !may_be_asked(full)))
        return err_set(err, ERR_CONFIG,
                       "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https://, or http:// of this machine");
    *out = relative ? xasprintf("http://169.254.170.2%s", relative) : xstrdup(full);
    return true;
}

static bool container_header(struct secret **out, struct err *err)
{
    const char *path = aws_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *token = aws_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    AUTO(secret) struct secret *text = NULL;
    if (path) {
        if (!secret_file_read(path, TOKEN_MAX, SECRET_FILE_MOUNTED, &text, err)) return false;
        if (text->len > 0 && text->data[text->len - 1] == '\n') text->data[text->len - 1] = '\0';
        token = (const char *)text->data;
    }
    if (!token) return true;
    if (!is_plain(token, TOKEN_MAX)) return err_set(err, ERR_CONFIG, "the container's token is not one");
    *out = header_of("Authorization", token);
    return true;
}

bool aws_source_container(uint64_t end_ms, struct aws_credentials *out, bool *found, struct err *err)
{
    AUTO(free) char *url = NULL;
    AUTO(secret) struct secret *header = NULL;
    AUTO(http_answer) struct http_answer answer = {0};
    if (!container_url(&url, err)) return false;
    if (!url) return true;
    *found = container_header(&header, err) && ask("GET", url, header, end_ms, &answer, err) &&
             aws_credentials_of_json(http_body(&answer), out, err);
    return *found || err_wrap(err, "the container's endpoint");
}

/* --- an instance --- */

#define INSTANCE_ENDPOINT "http://169.254.169.254"
#define INSTANCE_ROLES "/latest/meta-data/iam/security-credentials/"

/* A session of version 2: a PUT, which a fooled proxy or browser on the machine would not send. */
static bool instance_session(const char *endpoint, uint64_t end_ms, struct secret **header, struct err *err)
{
    AUTO(free) char *url = xasprintf("%s/latest/api/token", endpoint);
    AUTO(secret) struct secret *lifetime = header_of("X-aws-ec2-metadata-token-ttl-seconds", "60");
    AUTO(http_answer) struct http_answer answer = {0};
    if (!ask("PUT", url, lifetime, end_ms, &answer, err)) return false;
    const char *token = (const char *)answer.body->data;
    if (strlen(token) != answer.len || !is_plain(token, TOKEN_MAX))
        return err_set(err, ERR_PROTOCOL, "it gives no token");
    *header = header_of("X-aws-ec2-metadata-token", token);
    return true;
}

/* The name of the role, which is in the first line of the list. */
static bool instance_role(const char *endpoint, const struct secret *header, uint64_t end_ms, char **out,
                          struct err *err)
{
    AUTO(free) char *url = xasprintf("%s" INSTANCE_ROLES, endpoint);
    AUTO(http_answer) struct http_answer answer = {0};
    if (!ask("GET", url, header, end_ms, &answer, err)) return err_wrap(err, "the instance's role");
    AUTO(free) char *role = xstrdup((const char *)answer.body->data);
    role[strcspn(role, "\r\n")] = '\0';
    if (!is_plain(role, 128) || strpbrk(role, "/?#%"))
        return err_set(err, ERR_PROTOCOL, "it does not name the instance's role");
    *out = role;
    role = NULL;
    return true;
}

bool aws_source_instance(uint64_t end_ms, struct aws_credentials *out, bool *found, struct err *err)
{
    const char *disabled = aws_variable("AWS_EC2_METADATA_DISABLED");
    const char *endpoint = aws_variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    uint64_t wait_ms = clock_steady_ms() + INSTANCE_WAIT_MS;
    AUTO(secret) struct secret *header = NULL;
    AUTO(free) char *role = NULL;
    AUTO(http_answer) struct http_answer answer = {0};
    if (disabled && strcasecmp(disabled, "true") == 0) return true;
    if (!endpoint) endpoint = INSTANCE_ENDPOINT;
    if (endpoint[strlen(endpoint) - 1] == '/' || strncmp(endpoint, "http://", 7) != 0 ||
        !is_plain(endpoint, 256))
        return err_set(err, ERR_CONFIG,
                       "AWS_EC2_METADATA_SERVICE_ENDPOINT must be http://HOST, without a '/' at its end");
    if (!instance_session(endpoint, wait_ms < end_ms ? wait_ms : end_ms, &header, err))
        return err->code == ERR_UNREACHABLE || err_wrap(err, "the instance's metadata service");
    *found = instance_role(endpoint, header, end_ms, &role, err);
    if (*found) {
        AUTO(free) char *url = xasprintf("%s" INSTANCE_ROLES "%s", endpoint, role);
        *found = ask("GET", url, header, end_ms, &answer, err) &&
                 aws_credentials_of_json(http_body(&answer), out, err);
    }
    return *found || err_wrap(err, "the instance's metadata service");
}
