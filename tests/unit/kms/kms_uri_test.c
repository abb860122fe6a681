#include "transporter/kms/kms_uri.h"

#include "common/base/alloc.h"
#include "tests/support/kms_uri_print.h"

#include <criterion/criterion.h>
#include <string.h>

#define AWS_KEYS "&AWS_ACCESS_KEY_ID=AKIDEXAMPLE&AWS_SECRET_ACCESS_KEY=s3cret"

static void expect_printed(const char *text, const char *printed)
{
    AUTO(kms_uri) struct kms_uri uri = {0};
    AUTO(buf) struct buf out = {0};
    struct err err = {0};
    cr_assert(kms_uri_parse(text, &uri, &err), "%s: %s", text, err.text);
    kms_uri_print(&uri, &out);
    cr_assert_str_eq(buf_cstr(&out), printed);
}

static void expect_refused(const char *text, const char *says)
{
    AUTO(kms_uri) struct kms_uri uri = {0};
    struct err err = {0};
    cr_assert_not(kms_uri_parse(text, &uri, &err), "%s", text);
    cr_assert_eq(err.code, ERR_CONFIG);
    cr_assert_str_eq(err.text, says);
    cr_assert_null(uri.key);
}

Test(kms_uri, of_a_file_has_its_path)
{
    AUTO(kms_uri) struct kms_uri uri = {0};
    struct err err = {0};
    cr_assert(kms_uri_parse("file:///etc/sealift/a%20b%2fc.key", &uri, &err), "%s", err.text);
    cr_assert_eq(uri.kind, KMS_FILE);
    cr_assert_str_eq(uri.path, "/etc/sealift/a b/c.key");
}

Test(kms_uri, of_a_kmip_server_has_host_port_key_and_files)
{
    AUTO(kms_uri) struct kms_uri uri = {0};
    struct err err = {0};
    cr_assert(kms_uri_parse("kmip://kms.example:15696/7f-1?cert=/c.pem&ca=/ca.pem&key=/k.pem", &uri, &err),
              "%s", err.text);
    cr_assert_eq(uri.kind, KMS_KMIP);
    cr_assert_str_eq(uri.host, "kms.example");
    cr_assert_eq(uri.port, 15696);
    cr_assert_str_eq(uri.key, "7f-1");
    cr_assert_str_eq(uri.cert_file, "/c.pem");
    cr_assert_str_eq(uri.key_file, "/k.pem");
    cr_assert_str_eq(uri.ca_file, "/ca.pem");
}

Test(kms_uri, of_aws_has_key_region_and_credentials)
{
    AUTO(kms_uri) struct kms_uri uri = {0};
    struct err err = {0};
    cr_assert(kms_uri_parse("aws:///arn:aws:kms:eu-west-1:1:key/ab-cd?REGION=eu-west-1" AWS_KEYS
                            "%2F%2b%3D&AWS_SESSION_TOKEN=t+o/k=",
                            &uri, &err),
              "%s", err.text);
    cr_assert_eq(uri.kind, KMS_AWS);
    cr_assert_eq(uri.auth, AWS_SPECIFIED);
    cr_assert_str_eq(uri.key, "arn:aws:kms:eu-west-1:1:key/ab-cd");
    cr_assert_str_eq(uri.region, "eu-west-1");
    cr_assert_str_eq(uri.access_key_id, "AKIDEXAMPLE");
    cr_assert_str_eq((const char *)uri.secret_key->data, "s3cret/+=");
    cr_assert_str_eq((const char *)uri.session_token->data, "t+o/k=");
    cr_assert_null(uri.endpoint);
}

Test(kms_uri, is_printed_without_what_is_secret)
{
    static const char *const rows[][2] = {
        {"file:///a%20b", "file:///a%20b"},
        {"kmip://[::1]/u?cert=/c&key=/k%26&ca=/a", "kmip://[::1]:5696/u?cert=/c&key=/k%26&ca=/a"},
        {"kmip://10.0.0.1/u?cert=/c&key=/k&ca=/a", "kmip://10.0.0.1:5696/u?cert=/c&key=/k&ca=/a"},
        {"aws-kms:///alias/x?REGION=a&AUTH=implicit", "aws:///alias/x?REGION=a&AUTH=implicit"},
        {"aws:///x?REGION=a" AWS_KEYS "&AWS_SESSION_TOKEN=tok&AWS_ENDPOINT=https://[fe80::1]:8443",
         "aws:///x?REGION=a&AUTH=specified&AWS_ACCESS_KEY_ID=AKIDEXAMPLE&AWS_SECRET_ACCESS_KEY=redacted"
         "&AWS_SESSION_TOKEN=redacted&AWS_ENDPOINT=https://%5Bfe80::1%5D:8443"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect_printed(rows[i][0], rows[i][1]);
        expect_printed(rows[i][1], rows[i][1]);
    }
}

Test(kms_uri, names_a_parameter_that_is_unknown_doubled_missing_or_empty)
{
    expect_refused("aws:///x?REGION=a&COLOUR=s3cret", "the aws://… URI: unknown parameter 'COLOUR'");
    expect_refused("aws:///x?REGION=a&REGION=b",
                   "the aws://… URI: the parameter 'REGION' stands there twice");
    expect_refused("aws:///x?AUTH=implicit", "the aws://… URI: the parameter 'REGION' is missing");
    expect_refused("aws:///x?REGION=", "the aws://… URI: the parameter 'REGION' is empty");
    expect_refused("aws:///x?region=a", "the aws://… URI: unknown parameter 'region'");
    expect_refused("kmip://h/u?cert=/c&key=/k", "the kmip://… URI: the parameter 'ca' is missing");
    expect_refused("file:///p?mode=0600", "the file://… URI: unknown parameter 'mode'");
    expect_refused("file:///p?", "the file://… URI: what follows '?' must be NAME=VALUE&NAME=VALUE…");
    expect_refused("aws:///x?REGION=a&&", "the aws://… URI: what follows '?' must be NAME=VALUE&NAME=VALUE…");
}

/* A secret with a '&' or '=' that was not encoded falls apart into what looks like names. */
Test(kms_uri, shows_no_piece_of_a_value_as_a_name)
{
    static const char *const texts[] = {
        "aws:///x?REGION=a&AWS_SECRET_ACCESS_KEY=top&hidden+piece=1",
        "aws:///x?REGION=a&AWS_SECRET_ACCESS_KEY=top&hidden",
        "aws:///x?REGION=a&AWS_SECRET_ACCESS_KEY=hidden%zz",
        "aws:///x?REGION=a&AWS_SECRET_ACCESS_KEY=hidden piece",
        "aws:///x?REGION=a&AWS_SESSION_TOKEN=hidden&AWS_SESSION_TOKEN=hidden",
        ("aws:///x?REGION=hidden/piece" AWS_KEYS),
        "aws:///x?REGION=a&AUTH=hidden",
        "aws:///x?REGION=a&AWS_ACCESS_KEY_ID=hidden/piece&AWS_SECRET_ACCESS_KEY=x",
        ("aws:///x?REGION=a" AWS_KEYS "&AWS_ENDPOINT=https://hidden@piece"),
        "hidden:///x",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        AUTO(kms_uri) struct kms_uri uri = {0};
        struct err err = {0};
        cr_assert_not(kms_uri_parse(texts[i], &uri, &err), "%s", texts[i]);
        cr_assert_null(strstr(err.text, "hidden"), "%s", err.text);
    }
}

Test(kms_uri, wants_the_credentials_that_its_way_of_access_needs)
{
    expect_refused("aws:///x?REGION=a&AWS_ACCESS_KEY_ID=A",
                   "the aws://… URI: the parameter 'AWS_SECRET_ACCESS_KEY' is missing, which AUTH=specified "
                   "needs (AUTH=implicit takes credentials from this host)");
    expect_refused("aws:///x?REGION=a&AUTH=implicit&AWS_SESSION_TOKEN=t",
                   "the aws://… URI: the parameter 'AWS_SESSION_TOKEN' does not go with AUTH=implicit");
    expect_refused("aws:///x?REGION=a&AUTH=none",
                   "the aws://… URI: the parameter 'AUTH' is 'specified' or 'implicit'");
}

Test(kms_uri, decodes_strictly)
{
    static const char *const texts[] = {
        "file:///a%",
        "file:///a%2",
        "file:///a%2g",
        "file:///a%00b",
        "file:///a%0ab",
        "file:///a\nb",
        "file:///a b",
        "file:///a#b",
        "file:///a%7fb",
        "file:///a%-1b",
        "file:///a%%",
        "kmip://h/%00?cert=/c&key=/k&ca=/a",
        "kmip://h/u?cert=/c%0d&key=/k&ca=/a",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        AUTO(kms_uri) struct kms_uri uri = {0};
        struct err err = {0};
        cr_assert_not(kms_uri_parse(texts[i], &uri, &err), "%s", texts[i]);
        cr_assert_not_null(strstr(err.text, "two hex digits"), "%s: %s", texts[i], err.text);
    }
}

Test(kms_uri, refuses_hosts_ports_and_paths_that_are_none)
{
    static const char *const texts[] = {
        "",
        "file",
        "file://",
        "file:///",
        "file://host/path",
        "file:relative",
        "aws://key?REGION=a&AUTH=implicit",
        "aws:///?REGION=a&AUTH=implicit",
        "aws:///a%20b?REGION=a&AUTH=implicit",
        "aws:///a?REGION=a.evil&AUTH=implicit",
        "kmip:///u?cert=/c&key=/k&ca=/a",
        "kmip://h?cert=/c&key=/k&ca=/a",
        "kmip://h/?cert=/c&key=/k&ca=/a",
        "kmip://h:0/u?cert=/c&key=/k&ca=/a",
        "kmip://h:65536/u?cert=/c&key=/k&ca=/a",
        "kmip://h:/u?cert=/c&key=/k&ca=/a",
        "kmip://h:1x/u?cert=/c&key=/k&ca=/a",
        "kmip://h:99999999999999999999/u?cert=/c&key=/k&ca=/a",
        "kmip://u@h/u?cert=/c&key=/k&ca=/a",
        "kmip://[::1/u?cert=/c&key=/k&ca=/a",
        "kmip://[]/u?cert=/c&key=/k&ca=/a",
        "kmip://[::1]x/u?cert=/c&key=/k&ca=/a",
        "kmip://::1/u?cert=/c&key=/k&ca=/a",
        "kmip://h/u?cert=c&key=/k&ca=/a",
        "kmip://h/u?cert=/&key=/k&ca=/a",
        "aws:///x?REGION=a&AUTH=implicit&AWS_ENDPOINT=ftp://h",
        "aws:///x?REGION=a&AUTH=implicit&AWS_ENDPOINT=https://h/path",
        "aws:///x?REGION=a&AUTH=implicit&AWS_ENDPOINT=https://",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        AUTO(kms_uri) struct kms_uri uri = {0};
        struct err err = {0};
        cr_assert_not(kms_uri_parse(texts[i], &uri, &err), "%s", texts[i]);
        cr_assert_eq(err.code, ERR_CONFIG);
    }
}

/* What is wrapped goes there as it is. */
Test(kms_uri, wants_tls_for_every_other_machine)
{
    expect_refused("aws:///x?REGION=a&AUTH=implicit&AWS_ENDPOINT=http://127.0.0.1.example:80",
                   "the aws://… URI: the parameter 'AWS_ENDPOINT' must be https:// for every other machine "
                   "than this one: secrets go there");
    static const char *const good[] = {"http://127.0.0.1:8000", "http://[::1]:8000", "http://localhost",
                                       "https://kms.example"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        AUTO(free) char *text = xasprintf("aws:///x?REGION=a&AUTH=implicit&AWS_ENDPOINT=%s", good[i]);
        AUTO(kms_uri) struct kms_uri uri = {0};
        struct err err = {0};
        cr_assert(kms_uri_parse(text, &uri, &err), "%s", err.text);
        cr_assert_str_eq(uri.endpoint, good[i]);
    }
}

Test(kms_uri, has_limits)
{
    AUTO(buf) struct buf text = {0};
    AUTO(kms_uri) struct kms_uri uri = {0};
    struct err err = {0};
    buf_put_str(&text, "file:///");
    memset(buf_grow(&text, 5000), 'a', 5000);
    cr_assert_not(kms_uri_parse(buf_cstr(&text), &uri, &err));
    cr_assert_str_eq(err.text, "the file://… URI: its path is longer than 4096 characters");
    memset(buf_grow(&text, 5000), 'a', 5000);
    cr_assert_not(kms_uri_parse(buf_cstr(&text), &uri, &err));
    cr_assert_str_eq(err.text, "the URI is longer than 8192 characters");
}

/* Whatever is cut off or flipped: no crash, and what is taken prints as what parses to the same. */
static void expect_stable(const char *text)
{
    AUTO(kms_uri) struct kms_uri uri = {0}, again = {0};
    AUTO(buf) struct buf first = {0}, second = {0};
    struct err err = {0};
    if (!kms_uri_parse(text, &uri, &err)) {
        cr_assert_eq(err.code, ERR_CONFIG);
        return;
    }
    kms_uri_print(&uri, &first);
    cr_assert(kms_uri_parse(buf_cstr(&first), &again, &err), "%s: %s", buf_cstr(&first), err.text);
    kms_uri_print(&again, &second);
    cr_assert(span_eq(buf_span(&first), buf_span(&second)));
}

Test(kms_uri, cut_or_flipped_anywhere_is_refused_or_stable)
{
    static const char *const texts[] = {"file:///etc/a%20b", "kmip://[::1]:56/u-1?cert=/c&key=/k%26&ca=/a",
                                        "aws:///alias/x?REGION=eu-1" AWS_KEYS
                                        "&AWS_SESSION_TOKEN=t&AWS_ENDPOINT=https://h:1"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        size_t len = strlen(texts[i]);
        for (size_t cut = 0; cut <= len; cut++) {
            AUTO(free) char *text = xasprintf("%.*s", (int)cut, texts[i]);
            expect_stable(text);
        }
        for (size_t bit = 0; bit < len * 8; bit++) {
            AUTO(free) char *text = xstrdup(texts[i]);
            text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
            expect_stable(text);
        }
    }
}
