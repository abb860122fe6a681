#include "transporter/kms/aws_credentials.h"

#include "common/base/alloc.h"
#include "transporter/kms/aws_source.h"
#include "transporter/kms/json_read.h"
#include "transporter/kms/secret_file.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 64 * 1024 };

void aws_credentials_deinit(struct aws_credentials *credentials)
{
    free(credentials->access_key_id);
    secret_free(credentials->secret_key);
    secret_free(credentials->session_token);
    *credentials = (struct aws_credentials){0};
}

/* --- values --- */

/* They end up in headers: visible ASCII and nothing else. */
static bool is_credential(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= 0x20 || text.data[i] >= 0x7f) return false;
    return text.len > 0 && text.len <= AWS_CREDENTIAL_MAX;
}

static bool is_key_id(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i], letter = c | 0x20;
        if (!(c >= '0' && c <= '9') && !(letter >= 'a' && letter <= 'z') && c != '_') return false;
    }
    return text.len > 0 && text.len <= 128;
}

static struct secret *secret_text(struct span text)
{
    struct secret *secret = secret_new(text.len + 1);
    memcpy(secret->data, text.data, text.len);
    return secret;
}

/* What was found in one place; empty is absent. `names`: what the three are called there. */
static bool take(const struct span found[static 3], const char *const names[static 3],
                 struct aws_credentials *out, enum err_code code, struct err *err)
{
    for (size_t i = 0; i < 3; i++) {
        if (found[i].len == 0 && i < 2) return err_set(err, code, "'%s' is missing", names[i]);
        if (found[i].len > 0 && !(i == 0 ? is_key_id : is_credential)(found[i]))
            return err_set(err, code, "'%s' is too long, or has characters that it cannot have", names[i]);
    }
    *out = (struct aws_credentials){
        .access_key_id = xasprintf("%.*s", (int)found[0].len, (const char *)found[0].data),
        .secret_key = secret_text(found[1]),
        .session_token = found[2].len ? secret_text(found[2]) : NULL,
    };
    return true;
}

/* --- JSON --- */

static bool optional_text(const json_t *object, const char *name, struct span *out, struct err *err)
{
    const char *text = NULL;
    const json_t *value = json_object_get(object, name);
    if (!value || json_is_null(value) || (json_is_string(value) && json_string_length(value) == 0))
        return true;
    if (!json_read_text(object, name, AWS_CREDENTIAL_MAX, &text, err)) return false;
    *out = span_of(text, json_string_length(value));
    return true;
}

bool aws_credentials_of_json(struct span text, struct aws_credentials *out, struct err *err)
{
    static const char *const names[] = {"AccessKeyId", "SecretAccessKey", "Token"};
    struct span found[3] = {{0}};
    AUTO(json_read) json_t *object = NULL;
    if (!json_read(text, &object, err)) return false;
    for (size_t i = 0; i < 3; i++)
        if (!optional_text(object, names[i], &found[i], err)) return false;
    return take(found, names, out, ERR_PROTOCOL, err);
}

/* --- the shared file --- */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct span trim(struct span text)
{
    while (text.len > 0 && is_blank(text.data[0]))
        text = span_of(text.data + 1, text.len - 1);
    while (text.len > 0 && is_blank(text.data[text.len - 1]))
        text.len--;
    return text;
}

static struct span next_line(struct span *rest)
{
    const uint8_t *end = rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;
    struct span line = span_of(rest->data, end ? (size_t)(end - rest->data) : rest->len);
    size_t used = line.len + (end != NULL);
    *rest = span_of(rest->data + used, rest->len - used);
    return line;
}

static const char *const settings[] = {"aws_access_key_id", "aws_secret_access_key", "aws_session_token"};

/* A setting of our profile; the last one counts. */
static bool take_setting(struct span line, struct span found[static 3])
{
    const uint8_t *equals = memchr(line.data, '=', line.len);
    if (!equals) return false;
    struct span name = trim(span_of(line.data, (size_t)(equals - line.data)));
    struct span value = trim(span_of(equals + 1, line.len - (size_t)(equals - line.data) - 1));
    for (size_t i = 0; i < 3; i++)
        if (span_eq(name, span_str(settings[i]))) found[i] = value;
    return true;
}

bool aws_credentials_of_file(struct span text, const char *profile, struct aws_credentials *out,
                             struct err *err)
{
    struct span found[3] = {{0}};
    bool there = false, ours = false;
    if (text.len > 0 && memchr(text.data, '\0', text.len))
        return err_set(err, ERR_CONFIG, "it is not a text file");
    for (size_t number = 1; text.len > 0; number++) {
        struct span whole = next_line(&text), line = trim(whole);
        if (line.len == 0 || line.data[0] == '#' || line.data[0] == ';') continue;
        if (line.data[0] == '[') {
            if (line.data[line.len - 1] != ']')
                return err_set(err, ERR_CONFIG, "line %zu has a '[' without its ']'", number);
            ours = span_eq(trim(span_of(line.data + 1, line.len - 2)), span_str(profile));
            there = there || ours;
        } else if (ours && !is_blank(whole.data[0]) && !take_setting(line, found)) {
            /* what is indented belongs to the setting above, which is none of ours */
            return err_set(err, ERR_CONFIG, "line %zu is not NAME = VALUE", number);
        }
    }
    if (!there) return err_set(err, ERR_NOT_FOUND, "it has no profile '%s'", profile);
    return take(found, settings, out, ERR_CONFIG, err) || err_wrap(err, "profile '%s'", profile);
}

/* --- where they are looked for --- */

static struct span span_or_none(const char *text)
{
    return text ? span_str(text) : (struct span){0};
}

static bool look_in_environment(uint64_t end_ms, struct aws_credentials *out, bool *found, struct err *err)
{
    static const char *const names[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"};
    struct span values[3];
    for (size_t i = 0; i < 3; i++)
        values[i] = span_or_none(aws_variable(names[i]));
    *found = values[0].len > 0 || values[1].len > 0;
    return !*found || take(values, names, out, ERR_CONFIG, err) || err_wrap(err, "the environment");
}

static char *shared_file(void)
{
    const char *path = aws_variable("AWS_SHARED_CREDENTIALS_FILE"), *home = aws_variable("HOME");
    if (path) return xstrdup(path);
    return home ? xasprintf("%s/.aws/credentials", home) : NULL;
}

/* A file or profile that somebody has asked for by name must be there. */
static bool look_in_file(uint64_t end_ms, struct aws_credentials *out, bool *found, struct err *err)
{
    const char *profile = aws_variable("AWS_PROFILE");
    AUTO(free) char *path = shared_file();
    AUTO(secret) struct secret *text = NULL;
    if (!path) return true;
    if (!secret_file_read(path, FILE_MAX, SECRET_FILE_LINKS, &text, err))
        return err->code == ERR_NOT_FOUND && !profile && !aws_variable("AWS_SHARED_CREDENTIALS_FILE");
    *found = aws_credentials_of_file(span_of(text->data, text->len), profile ? profile : "default", out, err);
    return *found || (err->code == ERR_NOT_FOUND && !profile) || err_wrap(err, "'%s'", path);
}

static bool take_specified(const struct kms_uri *uri, struct aws_credentials *out)
{
    const struct secret *token = uri->session_token;
    *out = (struct aws_credentials){
        .access_key_id = xstrdup(uri->access_key_id),
        .secret_key = secret_copy(uri->secret_key->data, uri->secret_key->len),
        .session_token = token ? secret_copy(token->data, token->len) : NULL,
    };
    return true;
}

bool aws_credentials_find(const struct kms_uri *uri, uint64_t end_ms, struct aws_credentials *out,
                          struct err *err)
{
    static bool (*const looks[])(uint64_t, struct aws_credentials *, bool *, struct err *) = {
        look_in_environment, look_in_file, aws_source_container, aws_source_instance};
    if (uri->auth == AWS_SPECIFIED) return take_specified(uri, out);
    for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
        bool found = false;
        if (!looks[i](end_ms, out, &found, err)) {
            if (err->code == ERR_NOT_FOUND) err->code = ERR_CONFIG; /* not the master key is missing */
            return err_wrap(err, "credentials for AWS");
        }
        if (found) return true;
    }
    return err_set(
        err, ERR_CONFIG,
        "there are no credentials for AWS: neither in the environment, nor in the shared file, nor from "
        "a container or an instance");
}
