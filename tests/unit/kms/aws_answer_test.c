#include "transporter/kms/aws_answer.h"

#include "common/base/alloc.h"

#include <criterion/criterion.h>
#include <string.h>

#define ARN "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

/* As in the examples of the AWS Key Management Service API Reference. */
static const char encrypted[] =
    "{\"CiphertextBlob\":\"AQIDBAUG\",\"EncryptionAlgorithm\":\"SYMMETRIC_DEFAULT\","
    "\"KeyId\":\"" ARN "\"}";
static const char decrypted[] =
    "{\"KeyId\":\"" ARN "\",\"EncryptionAlgorithm\":\"SYMMETRIC_DEFAULT\",\"Plaintext\":\"AAECAwQFBgc=\"}";
static const char described[] = "{\"KeyMetadata\":{\"AWSAccountId\":\"111122223333\",\"Arn\":\"" ARN
                                "\",\"CreationDate\":1.5E9,\"Enabled\":true,\"KeyState\":\"Enabled\","
                                "\"KeyUsage\":\"ENCRYPT_DECRYPT\"}}";

Test(aws_answer, requests_are_as_the_api_has_them)
{
    AUTO(buf) struct buf encrypt = {0}, decrypt = {0}, describe = {0};
    aws_ask_encrypt("alias/a", span_of("\0\1\2\3", 4), span_of("\xab\x0c", 2), &encrypt);
    cr_assert_str_eq(buf_cstr(&encrypt), "{\"KeyId\":\"alias/a\",\"Plaintext\":\"AAECAw==\","
                                         "\"EncryptionContext\":{\"sealift-key-id\":\"ab0c\"}}");
    aws_ask_decrypt(ARN, span_of("\1\2\3", 3), span_of("\xab\x0c", 2), &decrypt);
    cr_assert_str_eq(buf_cstr(&decrypt), "{\"KeyId\":\"" ARN "\",\"CiphertextBlob\":\"AQID\","
                                         "\"EncryptionContext\":{\"sealift-key-id\":\"ab0c\"}}");
    aws_ask_describe("alias/a", &describe);
    cr_assert_str_eq(buf_cstr(&describe), "{\"KeyId\":\"alias/a\"}");
}

Test(aws_answer, a_multi_region_key_is_asked_for_where_we_are)
{
    static const char *const rows[][2] = {
        {"arn:aws:kms:us-east-1:1:key/mrk-12", "arn:aws:kms:eu-west-3:1:key/mrk-12"},
        {"arn:aws-cn:kms:eu-west-3:1:key/mrk-12", "arn:aws-cn:kms:eu-west-3:1:key/mrk-12"},
        {"arn:aws:kms:us-east-1:1:key/12", "arn:aws:kms:us-east-1:1:key/12"},
        {"mrk-12", "mrk-12"},
        {"arn:aws:kms", "arn:aws:kms"},
        {"arn:", "arn:"},
        {"x:y:z:us-east-1:1:key/mrk-12", "x:y:z:us-east-1:1:key/mrk-12"},
        {"alias/mrk-12", "alias/mrk-12"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        AUTO(free) char *found = aws_key_in_region(rows[i][0], "eu-west-3");
        cr_assert_str_eq(found, rows[i][1]);
    }
}

/* The largest that can be asked fits what is reserved for it. */
Test(aws_answer, a_request_is_no_longer_than_its_room)
{
    static uint8_t blob[AWS_BLOB_MAX], context[32];
    char key[AWS_KEY_MAX + 1];
    AUTO(buf) struct buf request = {0};
    memset(key, 'a', AWS_KEY_MAX);
    key[AWS_KEY_MAX] = '\0';
    aws_ask_decrypt(key, span_of(blob, sizeof(blob)), span_of(context, sizeof(context)), &request);
    cr_assert_leq(request.len, AWS_REQUEST_MAX);
}

Test(aws_answer, answers_are_read)
{
    char key[AWS_KEY_MAX + 1];
    struct err err;
    AUTO(buf) struct buf blob = {0};
    AUTO(secret) struct secret *plain = NULL;
    cr_assert(aws_encrypted(span_str(encrypted), key, &blob, &err), "%s", err.text);
    cr_assert_str_eq(key, ARN);
    cr_assert(span_eq(buf_span(&blob), span_of("\1\2\3\4\5\6", 6)));
    cr_assert(aws_decrypted(span_str(decrypted), ARN, &plain, &err), "%s", err.text);
    cr_assert(span_eq(span_of(plain->data, plain->len), span_of("\0\1\2\3\4\5\6\7", 8)));
    memset(key, 0, sizeof(key));
    cr_assert(aws_described(span_str(described), key, &err), "%s", err.text);
    cr_assert_str_eq(key, ARN);
}

static bool takes(struct span answer, struct err *err)
{
    char key[AWS_KEY_MAX + 1];
    AUTO(buf) struct buf blob = {0};
    AUTO(secret) struct secret *plain = NULL;
    *err = (struct err){0};
    bool any = aws_encrypted(answer, key, &blob, err);
    if (!any) cr_assert(err->code == ERR_PROTOCOL && blob.len == 0);
    if (aws_decrypted(answer, ARN, &plain, err)) return true;
    cr_assert(err->code == ERR_PROTOCOL && !plain);
    return aws_described(answer, key, err) || any;
}

static const char *const whole[] = {encrypted, decrypted, described};

Test(aws_answer, cut_anywhere_is_none)
{
    struct err err;
    for (size_t i = 0; i < 3; i++)
        for (size_t len = 0; len < strlen(whole[i]); len++) {
            AUTO(free) uint8_t *exact = xmalloc(len + 1);
            memcpy(exact, whole[i], len);
            cr_assert_not(takes(span_of(exact, len), &err), "%zu of %s", len, whole[i]);
            cr_assert_eq(err.code, ERR_PROTOCOL, "%s", err.text);
        }
}

/* A flipped bit in a name or in the JSON is no answer; one in a value is another value, which others judge.
 */
Test(aws_answer, with_a_flipped_bit_is_read_or_refused)
{
    struct err err;
    for (size_t i = 0; i < 3; i++)
        for (size_t bit = 0; bit < 8 * strlen(whole[i]); bit++) {
            AUTO(free) char *text = xstrdup(whole[i]);
            text[bit / 8] ^= (char)(1 << bit % 8);
            if (!takes(span_of(text, strlen(whole[i])), &err))
                cr_assert(err.code == ERR_PROTOCOL || err.code == ERR_POLICY || err.code == ERR_CONFIG, "%s",
                          err.text);
        }
}

Test(aws_answer, of_other_shapes_is_none)
{
    static const char *const answers[] = {
        "",
        "null",
        "[]",
        "{}",
        "7",
        "{\"KeyId\":7,\"CiphertextBlob\":\"AQID\",\"Plaintext\":\"AQID\"}",
        "{\"KeyId\":\"" ARN "\",\"CiphertextBlob\":[],\"Plaintext\":{}}",
        "{\"KeyId\":\"" ARN "\",\"CiphertextBlob\":\"\",\"Plaintext\":\"\"}",
        "{\"KeyId\":\"" ARN "\",\"CiphertextBlob\":\"A\",\"Plaintext\":\"AQ=\"}",
        "{\"KeyId\":\"" ARN "\",\"CiphertextBlob\":\"AQ\\u0000D\",\"Plaintext\":\"AQID\\u0000\"}",
        "{\"KeyId\":\"a b\",\"CiphertextBlob\":\"AQID\",\"Plaintext\":\"AQID\"}",
        "{\"KeyId\":\"" ARN "\\u0000x\",\"CiphertextBlob\":\"AQID\",\"Plaintext\":\"AQID\"}",
        "{\"KeyId\":\"" ARN "\",\"KeyId\":\"x\",\"CiphertextBlob\":\"AQID\",\"Plaintext\":\"AQID\"}",
        "{\"KeyMetadata\":[]}",
        "{\"KeyMetadata\":{\"Arn\":\"" ARN "\"}}",
        "{\"KeyId\":\"" ARN "\",\"CiphertextBlob\":\"AQID\",\"Plaintext\":\"AQID\"}}",
    };
    struct err err;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        cr_assert_not(takes(span_str(answers[i]), &err), "%s", answers[i]);
        cr_assert_eq(err.code, ERR_PROTOCOL);
    }
}

Test(aws_answer, by_another_master_key_is_none)
{
    struct err err;
    struct secret *plain = NULL;
    cr_assert_not(aws_decrypted(span_str(decrypted), "alias/x", &plain, &err));
    cr_assert_eq(err.code, ERR_PROTOCOL);
}

Test(aws_answer, tells_the_state_of_a_master_key)
{
    static const struct {
        const char *state, *use, *says;
        enum err_code code;
    } rows[] = {
        {"Disabled", "ENCRYPT_DECRYPT", "the master key " ARN " is disabled", ERR_POLICY},
        {"PendingDeletion", "ENCRYPT_DECRYPT", "the master key " ARN " is about to be deleted", ERR_POLICY},
        {"Une\\u0007ven", "ENCRYPT_DECRYPT", "the master key " ARN " cannot be used: its state is 'Une?ven'",
         ERR_POLICY},
        {"Enabled", "SIGN_VERIFY", "the master key " ARN " is not one for encrypting", ERR_CONFIG},
    };
    char key[AWS_KEY_MAX + 1] = "untouched";
    struct err err;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        AUTO(free)
        char *answer =
            xasprintf("{\"KeyMetadata\":{\"Arn\":\"" ARN "\",\"KeyState\":\"%s\",\"KeyUsage\":\"%s\"}}",
                      rows[i].state, rows[i].use);
        cr_assert_not(aws_described(span_str(answer), key, &err));
        cr_assert_eq(err.code, rows[i].code);
        cr_assert_str_eq(err.text, rows[i].says);
        cr_assert_str_eq(key, "untouched");
    }
}

Test(aws_answer, refusals_have_their_names)
{
    static const struct {
        long status;
        const char *answer, *says;
        enum err_code code;
        enum aws_again again;
    } rows[] = {
        {400, "{\"__type\":\"com.amazonaws.kms#DisabledException\",\"message\":\"x is disabled.\"}",
         "the master key is disabled: x is disabled.", ERR_POLICY, AWS_FINAL},
        {400, "{\"__type\":\"NotFoundException:http://x\"}", "there is no such master key", ERR_NOT_FOUND,
         AWS_FINAL},
        {400, "{\"__type\":\"AccessDeniedException\",\"Message\":\"no\\nway\"}",
         "its policies do not let us: no?way", ERR_POLICY, AWS_FINAL},
        {400, "{\"__type\":\"IncorrectKeyException\"}", "the wrap was made by another master key",
         ERR_WRONG_KEY, AWS_FINAL},
        {400, "{\"__type\":\"ThrottlingException\",\"message\":\"Rate exceeded\"}",
         "it throttles: Rate exceeded", ERR_UNREACHABLE, AWS_ASK_AGAIN},
        {400, "{\"__type\":\"ValidationException\",\"message\":\"cannot read 'c2VjcmV0'\"}",
         "the request is not valid", ERR_CONFIG, AWS_FINAL},
        {400, "{\"__type\":\"Novel\",\"message\":7}", "it refuses with 'Novel'", ERR_FAILED, AWS_FINAL},
        {400, "{\"__type\":\"x c2VjcmV0\",\"message\":\"?\"}",
         "the answer has the HTTP status 400 and says nothing more", ERR_PROTOCOL, AWS_FINAL},
        {429, "", "it fails for now, with the HTTP status 429", ERR_UNREACHABLE, AWS_ASK_AGAIN},
        {503, "<html>", "it fails for now, with the HTTP status 503", ERR_UNREACHABLE, AWS_ASK_AGAIN},
        {302, "", "the answer has the HTTP status 302 and says nothing more", ERR_PROTOCOL, AWS_FINAL},
        {400, "[]", "the answer has the HTTP status 400 and says nothing more", ERR_PROTOCOL, AWS_FINAL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct err err = {0};
        cr_assert_eq(aws_refused(rows[i].status, span_str(rows[i].answer), "c2VjcmV0", &err), rows[i].again);
        cr_assert_eq(err.code, rows[i].code, "%s", rows[i].answer);
        cr_assert_str_eq(err.text, rows[i].says);
    }
}
