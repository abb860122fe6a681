#include "transporter/kms/kms_uri.h"

#include "common/base/alloc.h"
#include "common/base/text.h"

#include <string.h>

enum {
    PARAMETERS_MAX = 6, /* of one scheme */
    HOST_MAX = 253,
    KEY_MAX = 2048,
    VALUE_MAX = 4096,
};

enum parameter_kind {
    PARAMETER_NEEDED,
    PARAMETER_OPTIONAL,
};

struct parameter {
    const char *name;
    enum parameter_kind kind;
};

enum { AWS_REGION, AWS_AUTH, AWS_KEY_ID, AWS_SECRET, AWS_TOKEN, AWS_ENDPOINT };
static const struct parameter aws_parameters[PARAMETERS_MAX + 1] = {
    [AWS_REGION] = {"REGION", PARAMETER_NEEDED},
    [AWS_AUTH] = {"AUTH", PARAMETER_OPTIONAL},
    [AWS_KEY_ID] = {"AWS_ACCESS_KEY_ID", PARAMETER_OPTIONAL},
    [AWS_SECRET] = {"AWS_SECRET_ACCESS_KEY", PARAMETER_OPTIONAL},
    [AWS_TOKEN] = {"AWS_SESSION_TOKEN", PARAMETER_OPTIONAL},
    [AWS_ENDPOINT] = {"AWS_ENDPOINT", PARAMETER_OPTIONAL},
};

enum { KMIP_CERT, KMIP_KEY, KMIP_CA };
static const struct parameter kmip_parameters[PARAMETERS_MAX + 1] = {
    [KMIP_CERT] = {"cert", PARAMETER_NEEDED},
    [KMIP_KEY] = {"key", PARAMETER_NEEDED},
    [KMIP_CA] = {"ca", PARAMETER_NEEDED},
};

static const struct parameter file_parameters[PARAMETERS_MAX + 1] = {{NULL, PARAMETER_OPTIONAL}};

/* A URI in its parts, decoded; each ends with a NUL that is counted, and any may be a secret. */
struct parts {
    struct span authority; /* as it stands: it is never encoded */
    struct secret *path;   /* with the slash that it begins with */
    struct secret *values[PARAMETERS_MAX];
};

static void parts_deinit(struct parts *parts)
{
    secret_free(parts->path);
    for (size_t i = 0; i < PARAMETERS_MAX; i++)
        secret_free(parts->values[i]);
}
DEFINE_AUTO_IN_PLACE(parts, struct parts, parts_deinit)

void kms_uri_deinit(struct kms_uri *uri)
{
    free(uri->key);
    free(uri->path);
    free(uri->host);
    free(uri->cert_file);
    free(uri->key_file);
    free(uri->ca_file);
    free(uri->region);
    free(uri->access_key_id);
    secret_free(uri->secret_key);
    secret_free(uri->session_token);
    free(uri->endpoint);
    *uri = (struct kms_uri){0};
}

/* --- characters --- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alphanumeric(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* All characters are letters, digits or among `others`. */
static bool consists_of(const char *text, const char *others)
{
    for (; *text; text++)
        if (!is_alphanumeric(*text) && !strchr(others, *text)) return false;
    return true;
}

/* One character at *at, which moves on. What decodes to a control character is refused: none of the values
 * has one, and they end up in headers and messages. */
static bool decode_one(struct span text, size_t *at, uint8_t *out)
{
    uint8_t c = text.data[*at];
    if (c == '%') {
        if (text.len - *at < 3) return false;
        int high = hex_digit((char)text.data[*at + 1]), low = hex_digit((char)text.data[*at + 2]);
        if (high < 0 || low < 0) return false;
        c = (uint8_t)(high << 4 | low);
        *at += 2;
    } else if (c == '#' || c == ' ') {
        return false;
    }
    *at += 1;
    *out = c;
    return c >= 0x20 && c != 0x7f;
}

static bool decode(struct span text, const char *what, struct secret **out, struct err *err)
{
    if (text.len > VALUE_MAX)
        return err_set(err, ERR_CONFIG, "%s is longer than %d characters", what, VALUE_MAX);
    AUTO(secret) struct secret *decoded = secret_new(text.len + 1);
    size_t len = 0;
    for (size_t at = 0; at < text.len; len++)
        if (!decode_one(text, &at, &decoded->data[len]))
            return err_set(err, ERR_CONFIG,
                           "%s has a character that is not allowed there, or a '%%' without two hex digits",
                           what);
    *out = secret_copy(decoded->data, len + 1);
    return true;
}

static char *text_of(const struct secret *part)
{
    return part ? xstrdup((const char *)part->data) : NULL;
}

/* --- parts --- */

static bool find_parameter(const struct parameter *parameters, struct span name, size_t *out, struct err *err)
{
    for (size_t i = 0; parameters[i].name; i++)
        if (span_eq(span_str(parameters[i].name), name)) {
            *out = i;
            return true;
        }
    /* a name that is none may be a value in its place: only what looks like a name is shown */
    for (size_t i = 0; i < name.len; i++)
        if (!is_alphanumeric((char)name.data[i]) && name.data[i] != '_') name.len = 0;
    if (name.len == 0 || name.len > 32)
        return err_set(err, ERR_CONFIG, "what follows '?' must be NAME=VALUE&NAME=VALUE…");
    return err_set(err, ERR_CONFIG, "unknown parameter '%.*s'", (int)name.len, (const char *)name.data);
}

static bool take_parameter(const struct parameter *parameters, struct span text, struct parts *parts,
                           struct err *err)
{
    const uint8_t *equals = text.len > 0 ? memchr(text.data, '=', text.len) : NULL;
    struct span name = span_of(text.data, equals ? (size_t)(equals - text.data) : 0);
    size_t at = 0;
    if (!find_parameter(parameters, name, &at, err)) return false;
    if (parts->values[at])
        return err_set(err, ERR_CONFIG, "the parameter '%s' stands there twice", parameters[at].name);
    struct span value = span_of(equals + 1, text.len - name.len - 1);
    if (value.len == 0) return err_set(err, ERR_CONFIG, "the parameter '%s' is empty", parameters[at].name);
    char what[64];
    (void)snprintf(what, sizeof(what), "the parameter '%s'", parameters[at].name);
    return decode(value, what, &parts->values[at], err);
}

static bool take_parameters(const struct parameter *parameters, const char *text, struct parts *parts,
                            struct err *err)
{
    for (;;) {
        size_t len = strcspn(text, "&");
        if (!take_parameter(parameters, span_of(text, len), parts, err)) return false;
        if (text[len] == '\0') return true;
        text += len + 1;
    }
}

static bool split(const char *text, const struct parameter *parameters, struct parts *out, struct err *err)
{
    size_t authority = strcspn(text, "/?#");
    size_t path = strcspn(text + authority, "?");
    const char *query = text + authority + path;
    out->authority = span_of(text, authority);
    if (!decode(span_of(text + authority, path), "its path", &out->path, err)) return false;
    if (*query && !take_parameters(parameters, query + 1, out, err)) return false;
    for (size_t i = 0; parameters[i].name; i++)
        if (parameters[i].kind == PARAMETER_NEEDED && !out->values[i])
            return err_set(err, ERR_CONFIG, "the parameter '%s' is missing", parameters[i].name);
    return true;
}

/* --- values --- */

static bool no_authority(const struct parts *parts, struct err *err)
{
    return parts->authority.len == 0 ||
           err_set(err, ERR_CONFIG, "there must be three slashes after the ':', and no host between them");
}

/* What stands behind the path's slash. */
static bool take_key(const struct parts *parts, const char *others, char **out, struct err *err)
{
    const char *path = (const char *)parts->path->data;
    size_t len = strlen(path);
    if (len < 2) return err_set(err, ERR_CONFIG, "it names no key");
    if (len > KEY_MAX || !consists_of(path + 1, others))
        return err_set(err, ERR_CONFIG, "its key is not one: letters, digits and '%s' make it", others);
    *out = xstrdup(path + 1);
    return true;
}

static bool take_path(const struct secret *value, const char *what, char **out, struct err *err)
{
    const char *path = (const char *)value->data;
    if (path[0] != '/' || path[1] == '\0')
        return err_set(err, ERR_CONFIG, "%s is not the absolute path of a file", what);
    *out = xstrdup(path);
    return true;
}

static bool take_port(struct span text, uint16_t *out, struct err *err)
{
    uint32_t port = 0;
    for (size_t i = 0; i < text.len && i < 6; i++)
        port = is_digit((char)text.data[i]) ? port * 10 + (uint32_t)(text.data[i] - '0') : UINT16_MAX + 1;
    if (text.len == 0 || text.len > 5 || port == 0 || port > UINT16_MAX)
        return err_set(err, ERR_CONFIG, "its port is not a number from 1 to 65535");
    *out = (uint16_t)port;
    return true;
}

/* HOST, HOST:PORT, [ADDRESS] or [ADDRESS]:PORT; without a port *port is left as it is. */
static bool take_host(struct span authority, char **host, uint16_t *port, struct err *err)
{
    bool bracketed = authority.len > 0 && authority.data[0] == '[';
    const char *text = (const char *)authority.data + bracketed;
    size_t room = authority.len - bracketed, len = 0;
    const char *others = bracketed ? ".:" : ".-_";
    while (len < room && (is_alphanumeric(text[len]) || strchr(others, text[len])) && text[len])
        len++;
    size_t end = len;
    if (bracketed && end < room && text[end] == ']') end++;
    bool closed = !bracketed || end > len;
    if (len == 0 || len > HOST_MAX || !closed || (end < room && text[end] != ':'))
        return err_set(err, ERR_CONFIG, "its host is not a name, an IPv4 address or an [IPv6 address]");
    if (end < room && !take_port(span_of(text + end + 1, room - end - 1), port, err)) return false;
    *host = xasprintf("%.*s", (int)len, text);
    return true;
}

static bool is_this_machine(const char *host)
{
    return strcmp(host, "localhost") == 0 || strcmp(host, "127.0.0.1") == 0 || strcmp(host, "::1") == 0;
}

static bool take_endpoint(const struct secret *value, char **out, struct err *err)
{
    const char *text = (const char *)value->data;
    bool tls = strncmp(text, "https://", 8) == 0;
    if (!tls && strncmp(text, "http://", 7) != 0)
        return err_set(err, ERR_CONFIG, "the parameter 'AWS_ENDPOINT' begins with https://");
    AUTO(free) char *host = NULL;
    uint16_t port = 0;
    if (!take_host(span_str(text + (tls ? 8 : 7)), &host, &port, err))
        return err_wrap(err, "the parameter 'AWS_ENDPOINT'");
    if (!tls && !is_this_machine(host))
        return err_set(err, ERR_CONFIG,
                       "the parameter 'AWS_ENDPOINT' must be https:// for every other machine than this one: "
                       "secrets go there");
    *out = xstrdup(text);
    return true;
}

static bool take_auth(const struct parts *parts, enum aws_auth *out, struct err *err)
{
    const char *text = parts->values[AWS_AUTH] ? (const char *)parts->values[AWS_AUTH]->data : "specified";
    bool implicit = strcmp(text, "implicit") == 0;
    if (!implicit && strcmp(text, "specified") != 0)
        return err_set(err, ERR_CONFIG, "the parameter 'AUTH' is 'specified' or 'implicit'");
    *out = implicit ? AWS_IMPLICIT : AWS_SPECIFIED;
    return true;
}

static bool take_credentials(struct parts *parts, struct kms_uri *uri, struct err *err)
{
    for (size_t i = AWS_KEY_ID; i <= AWS_TOKEN; i++) {
        if (uri->auth == AWS_IMPLICIT && parts->values[i])
            return err_set(err, ERR_CONFIG, "the parameter '%s' does not go with AUTH=implicit",
                           aws_parameters[i].name);
        if (uri->auth == AWS_SPECIFIED && !parts->values[i] && i != AWS_TOKEN)
            return err_set(err, ERR_CONFIG,
                           "the parameter '%s' is missing, which AUTH=specified needs (AUTH=implicit takes "
                           "credentials from this host)",
                           aws_parameters[i].name);
    }
    uri->access_key_id = text_of(parts->values[AWS_KEY_ID]);
    if (uri->access_key_id && !consists_of(uri->access_key_id, "_"))
        return err_set(err, ERR_CONFIG, "the parameter 'AWS_ACCESS_KEY_ID' is not an access key's id");
    uri->secret_key = parts->values[AWS_SECRET];
    uri->session_token = parts->values[AWS_TOKEN];
    parts->values[AWS_SECRET] = parts->values[AWS_TOKEN] = NULL;
    return true;
}

/* --- schemes --- */

static bool take_file(struct parts *parts, struct kms_uri *uri, struct err *err)
{
    return no_authority(parts, err) && take_path(parts->path, "its path", &uri->path, err);
}

static bool take_kmip(struct parts *parts, struct kms_uri *uri, struct err *err)
{
    uri->port = KMIP_PORT;
    return take_host(parts->authority, &uri->host, &uri->port, err) &&
           take_key(parts, "-_.", &uri->key, err) &&
           take_path(parts->values[KMIP_CERT], "the parameter 'cert'", &uri->cert_file, err) &&
           take_path(parts->values[KMIP_KEY], "the parameter 'key'", &uri->key_file, err) &&
           take_path(parts->values[KMIP_CA], "the parameter 'ca'", &uri->ca_file, err);
}

static bool take_aws(struct parts *parts, struct kms_uri *uri, struct err *err)
{
    if (!no_authority(parts, err) || !take_key(parts, ":/_-", &uri->key, err)) return false;
    uri->region = text_of(parts->values[AWS_REGION]);
    if (strlen(uri->region) > 63 || !consists_of(uri->region, "-"))
        return err_set(err, ERR_CONFIG, "the parameter 'REGION' is not the name of a region");
    if (!take_auth(parts, &uri->auth, err) || !take_credentials(parts, uri, err)) return false;
    return !parts->values[AWS_ENDPOINT] || take_endpoint(parts->values[AWS_ENDPOINT], &uri->endpoint, err);
}

static const struct scheme {
    const char *prefix;
    enum kms_kind kind;
    const struct parameter *parameters;
    bool (*take)(struct parts *parts, struct kms_uri *uri, struct err *err);
} schemes[] = {
    {"file://", KMS_FILE, file_parameters, take_file},
    {"kmip://", KMS_KMIP, kmip_parameters, take_kmip},
    {"aws://", KMS_AWS, aws_parameters, take_aws},
    {"aws-kms://", KMS_AWS, aws_parameters, take_aws},
};

bool kms_uri_parse(const char *text, struct kms_uri *out, struct err *err)
{
    if (strlen(text) > KMS_URI_MAX)
        return err_set(err, ERR_CONFIG, "the URI is longer than %d characters", KMS_URI_MAX);
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        const struct scheme *scheme = &schemes[i];
        size_t len = strlen(scheme->prefix);
        if (strncmp(text, scheme->prefix, len) != 0) continue;
        AUTO(parts) struct parts parts = {0};
        AUTO(kms_uri) struct kms_uri uri = {.kind = scheme->kind};
        if (!split(text + len, scheme->parameters, &parts, err) || !scheme->take(&parts, &uri, err))
            return err_wrap(err, "the %s… URI", scheme->prefix);
        *out = uri;
        uri = (struct kms_uri){0};
        return true;
    }
    return err_set(err, ERR_CONFIG, "the URI begins with none of aws:///, kmip:// and file:///");
}

const char *kms_kind_name(enum kms_kind kind)
{
    static const char *const names[] = {[KMS_FILE] = "file", [KMS_KMIP] = "kmip", [KMS_AWS] = "aws"};
    return names[kind];
}
