/* The input is what AWS KMS or a place of credentials answers, or a shared file of credentials. What is taken
 * keeps to its limits; what is not has an error. */
#include "transporter/kms/aws_answer.h"
#include "transporter/kms/aws_credentials.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) abort();
}

static void check_credentials(const struct aws_credentials *found)
{
    check(found->access_key_id[0] != '\0' &&
          strlen((const char *)found->secret_key->data) + 1 == found->secret_key->len);
    check(!strpbrk((const char *)found->secret_key->data, "\r\n ") &&
          !strpbrk(found->access_key_id, "\r\n :/"));
    check(!found->session_token || !strpbrk((const char *)found->session_token->data, "\r\n "));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char arn[] = "arn:aws:kms:eu-test-1:1:key/1"; /* of the seeds */
    struct span bytes = span_of(data, size);
    char key[AWS_KEY_MAX + 1];
    struct err err = {0};
    AUTO(buf) struct buf blob = {0};
    AUTO(secret) struct secret *plain = NULL;
    AUTO(aws_credentials) struct aws_credentials json = {0}, file = {0};
    if (aws_encrypted(bytes, key, &blob, &err))
        check(blob.len > 0 && blob.len <= AWS_BLOB_MAX && aws_key_ok(span_str(key)));
    if (aws_decrypted(bytes, arn, &plain, &err)) check(plain->len > 0 && plain->len <= AWS_BLOB_MAX);
    if (aws_described(bytes, key, &err)) check(aws_key_ok(span_str(key)));
    (void)aws_refused(400, bytes, "AAECAw==", &err);
    check(err.code != ERR_NONE && !strstr(err.text, "AAECAw=="));
    if (aws_credentials_of_json(bytes, &json, &err)) check_credentials(&json);
    if (aws_credentials_of_file(bytes, "default", &file, &err)) check_credentials(&file);
    return 0;
}
