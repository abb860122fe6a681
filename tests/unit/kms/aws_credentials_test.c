#include "transporter/kms/aws_credentials.h"

#include "common/base/alloc.h"

#include <criterion/criterion.h>
#include <string.h>

static const char file[] = "# of the backup host\n"
                           "[default]\r\n"
                           "aws_access_key_id = AKIDDEFAULT\r\n"
                           "aws_secret_access_key=hidden/one+two==\r\n"
                           "\n"
                           "[ backup ]\n"
                           "  ; indented words belong to the setting above\n"
                           "region = eu-central-1\n"
                           "s3 =\n"
                           "    nested\n"
                           "aws_access_key_id=AKIDBACKUP\n"
                           "aws_secret_access_key = hidden2\n"
                           "aws_session_token\t=\thidden3\n"
                           "[half]\n"
                           "aws_access_key_id=AKIDHALF";
static const char json[] =
    "{\"Code\":\"Success\",\"AccessKeyId\":\"ASIAROLE\",\"SecretAccessKey\":\"hidden/x\","
    "\"Token\":\"hidden/t\",\"Expiration\":\"2026-01-01T00:00:00Z\"}";

static void expect_credentials(const struct aws_credentials *found, const char *id, const char *secret,
                               const char *token)
{
    cr_assert_str_eq(found->access_key_id, id);
    cr_assert_str_eq((const char *)found->secret_key->data, secret);
    cr_assert_eq(found->secret_key->len, strlen(secret) + 1);
    cr_assert_eq(found->session_token != NULL, token != NULL);
    if (token) cr_assert_str_eq((const char *)found->session_token->data, token);
}

Test(aws_credentials, of_a_file_are_those_of_the_profile)
{
    struct err err;
    AUTO(aws_credentials) struct aws_credentials ours = {0}, backup = {0};
    cr_assert(aws_credentials_of_file(span_str(file), "default", &ours, &err), "%s", err.text);
    expect_credentials(&ours, "AKIDDEFAULT", "hidden/one+two==", NULL);
    cr_assert(aws_credentials_of_file(span_str(file), "backup", &backup, &err), "%s", err.text);
    expect_credentials(&backup, "AKIDBACKUP", "hidden2", "hidden3");
}

static void expect_refused(const char *text, size_t len, const char *profile, enum err_code code,
                           const char *says)
{
    struct err err = {0};
    AUTO(aws_credentials) struct aws_credentials found = {0};
    cr_assert_not(aws_credentials_of_file(span_of(text, len), profile, &found, &err), "%s", text);
    cr_assert_eq(err.code, code, "%s", err.text);
    cr_assert_str_eq(err.text, says);
    cr_assert_null(found.access_key_id);
}

Test(aws_credentials, of_a_file_that_is_wrong_name_the_place_and_show_nothing)
{
    static const char *const rows[][2] = {
        {"[p]\nhidden", "line 2 is not NAME = VALUE"},
        {"\n[p\n", "line 2 has a '[' without its ']'"},
        {"[", "line 1 has a '[' without its ']'"},
        {"[p]\naws_secret_access_key=hidden", "profile 'p': 'aws_access_key_id' is missing"},
        {"[p]\naws_access_key_id=A\naws_secret_access_key=",
         "profile 'p': 'aws_secret_access_key' is missing"},
        {"[p]\naws_access_key_id=A\naws_secret_access_key=hidden piece",
         "profile 'p': 'aws_secret_access_key' is too long, or has characters that it cannot have"},
        {"[p]\naws_access_key_id=hidden/A\naws_secret_access_key=x",
         "profile 'p': 'aws_access_key_id' is too long, or has characters that it cannot have"},
        {"[p]\naws_access_key_id=A\naws_secret_access_key=x\naws_session_token=hidden\x7f",
         "profile 'p': 'aws_session_token' is too long, or has characters that it cannot have"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect_refused(rows[i][0], strlen(rows[i][0]), "p", ERR_CONFIG, rows[i][1]);
    expect_refused(file, strlen(file), "half", ERR_CONFIG,
                   "profile 'half': 'aws_secret_access_key' is missing");
    expect_refused(file, strlen(file), "Default", ERR_NOT_FOUND, "it has no profile 'Default'");
    expect_refused("", 0, "default", ERR_NOT_FOUND, "it has no profile 'default'");
    expect_refused("[p]\n\0", 5, "p", ERR_CONFIG, "it is not a text file");
}

/* What is another profile's never gets into ours. */
Test(aws_credentials, of_a_file_cut_anywhere_are_its_own_or_none)
{
    struct err err;
    for (size_t len = 0; len < strlen(file); len++) {
        AUTO(aws_credentials) struct aws_credentials found = {0};
        AUTO(free) char *exact = xmalloc(len + 1);
        memcpy(exact, file, len);
        if (!aws_credentials_of_file(span_of(exact, len), "backup", &found, &err)) continue;
        cr_assert_str_eq(found.access_key_id, "AKIDBACKUP");
        cr_assert_eq(strncmp((const char *)found.secret_key->data, "hidden2", found.secret_key->len - 1), 0);
    }
}

Test(aws_credentials, of_json_are_read)
{
    struct err err;
    AUTO(aws_credentials) struct aws_credentials found = {0};
    cr_assert(aws_credentials_of_json(span_str(json), &found, &err), "%s", err.text);
    expect_credentials(&found, "ASIAROLE", "hidden/x", "hidden/t");
}

Test(aws_credentials, of_json_cut_anywhere_are_none)
{
    struct err err;
    for (size_t len = 0; len < strlen(json); len++) {
        AUTO(aws_credentials) struct aws_credentials found = {0};
        AUTO(free) char *exact = xmalloc(len + 1);
        memcpy(exact, json, len);
        cr_assert_not(aws_credentials_of_json(span_of(exact, len), &found, &err));
        cr_assert_eq(err.code, ERR_PROTOCOL);
        cr_assert_null(strstr(err.text, "hidden"));
    }
}

Test(aws_credentials, of_json_that_is_wrong_are_none)
{
    static const char *const texts[] = {
        "{\"AccessKeyId\":\"A\"}",
        "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":7}",
        "{\"AccessKeyId\":\"A b\",\"SecretAccessKey\":\"hidden\"}",
        "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"hid\\u0000den\"}",
        "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"hidden\\r\\nX: y\"}",
        "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"hidden\",\"Token\":[]}",
    };
    struct err err;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        AUTO(aws_credentials) struct aws_credentials found = {0};
        cr_assert_not(aws_credentials_of_json(span_str(texts[i]), &found, &err), "%s", texts[i]);
        cr_assert_eq(err.code, ERR_PROTOCOL);
        cr_assert_null(strstr(err.text, "hidden"), "%s", err.text);
    }
}
