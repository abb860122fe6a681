#include "transporter/kms/kmip.h"

#include "tests/unit/crypto/golden.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* What tests/golden/ttlv.py says. */
#define KEY "7f1c-42"
static const char iv[] = "\0\1\2\3\4\5\6\7\10\11\12\13";
static const char *const aad = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                         *const plain = "pppppppppppppppppppppppppppppppp",
                         *const sealed = "ssssssssssssssssssssssssssssssss", *const tag = "tttttttttttttttt",
                         *const material = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";

static struct kmip_sealed parts(void)
{
    return (struct kmip_sealed){
        .iv = span_of(iv, KMIP_IV_LEN), .data = span_str(sealed), .tag = span_str(tag)};
}

static void expect_golden(const struct buf *request, const char *name)
{
    AUTO(buf) struct buf expected = golden("ttlv", name);
    cr_assert(span_eq(buf_span(request), buf_span(&expected)), "%s", name);
    cr_assert(request->len <= KMIP_REQUEST_MAX);
}

Test(kmip, requests_are_as_another_implementation_makes_them)
{
    AUTO(buf) struct buf encrypt = {0}, decrypt = {0}, get = {0}, query = {0}, discover = {0};
    struct kmip_sealed of = parts();
    kmip_encrypt(KEY, of.iv, span_str(aad), span_str(plain), &encrypt);
    expect_golden(&encrypt, "encrypt");
    kmip_decrypt(KEY, &of, span_str(aad), &decrypt);
    expect_golden(&decrypt, "decrypt");
    kmip_get(KEY, &get);
    expect_golden(&get, "get");
    kmip_query(&query);
    expect_golden(&query, "query");
    kmip_discover_versions(&discover);
    expect_golden(&discover, "discover");
}

/* Each kind of answer, read with the question that it answers. */
static bool read_encrypted(struct span answer, struct err *err)
{
    struct kmip_sealed out = {0};
    if (!kmip_encrypted(answer, KEY, 32, &out, err)) {
        cr_assert_null(out.data.data);
        return false;
    }
    cr_assert(out.data.len == 32 && out.tag.len == KMIP_TAG_LEN);
    return true;
}

static bool read_decrypted(struct span answer, struct err *err)
{
    struct span out;
    return kmip_decrypted(answer, KEY, &out, err);
}

static bool read_got(struct span answer, struct err *err)
{
    struct span out;
    return kmip_got(answer, KEY, &out, err);
}

static bool read_queried(struct span answer, struct err *err)
{
    struct kmip_abilities out;
    return kmip_queried(answer, &out, err);
}

static const struct reading {
    const char *name;
    bool (*read)(struct span answer, struct err *err);
} readings[] = {
    {"encrypted", read_encrypted}, {"decrypted", read_decrypted}, {"got", read_got},
    {"queried", read_queried},     {"versions", kmip_versions},   {"denied", read_decrypted},
};
enum { ANSWERS = 5, READINGS = 6 };

Test(kmip, answers_of_another_implementation_are_read)
{
    AUTO(buf)
    struct buf encrypted = golden("ttlv", "encrypted"), decrypted = golden("ttlv", "decrypted"),
               got = golden("ttlv", "got"), queried = golden("ttlv", "queried"),
               versions = golden("ttlv", "versions");
    struct kmip_sealed of;
    struct kmip_abilities able;
    struct span bytes;
    struct err err = {0};
    cr_assert(kmip_encrypted(buf_span(&encrypted), KEY, 32, &of, &err), "%s", err.text);
    cr_assert(span_eq(of.data, span_str(sealed)) && span_eq(of.tag, span_str(tag)));
    cr_assert(kmip_decrypted(buf_span(&decrypted), KEY, &bytes, &err), "%s", err.text);
    cr_assert(span_eq(bytes, span_str(plain)));
    cr_assert(kmip_got(buf_span(&got), KEY, &bytes, &err), "%s", err.text);
    cr_assert(span_eq(bytes, span_str(material)));
    cr_assert(kmip_queried(buf_span(&queried), &able, &err), "%s", err.text);
    cr_assert(able.encrypt && able.get && !able.decrypt);
    cr_assert(kmip_versions(buf_span(&versions), &err), "%s", err.text);
}

Test(kmip, an_answer_to_another_question_or_about_another_key_is_none)
{
    for (size_t question = 0; question < ANSWERS; question++)
        for (size_t answer = 0; answer < ANSWERS; answer++) {
            AUTO(buf) struct buf bytes = golden("ttlv", readings[answer].name);
            struct err err = {0};
            bool ok = readings[question].read(buf_span(&bytes), &err);
            cr_assert_eq(ok, question == answer, "%s for %s", readings[answer].name, readings[question].name);
            if (!ok) cr_assert_eq(err.code, ERR_PROTOCOL, "%s", err.text);
        }
    AUTO(buf) struct buf bytes = golden("ttlv", "decrypted");
    struct span out;
    struct kmip_sealed of;
    struct err err;
    cr_assert_not(kmip_decrypted(buf_span(&bytes), "7f1c-43", &out, &err));
    cr_assert_str_eq(err.text, "the KMIP server's answer to Decrypt: it is about another key");
    AUTO(buf) struct buf longer = golden("ttlv", "encrypted");
    cr_assert_not(kmip_encrypted(buf_span(&longer), KEY, 31, &of, &err));
    cr_assert_str_eq(err.text,
                     "the KMIP server's answer to Encrypt: the sealed data has 32 bytes instead of 31");
    AUTO(buf) struct buf request = golden("ttlv", "decrypt");
    cr_assert_not(kmip_decrypted(buf_span(&request), KEY, &out, &err));
    cr_assert_str_eq(err.text, "the KMIP server's answer to Decrypt: it is no response message");
}

Test(kmip, tells_what_the_server_says_apart)
{
    static const struct {
        const char *name, *says;
        enum err_code code;
    } rows[] = {
        {"not_found", "the KMIP server refuses Decrypt: Could not locate object: 7f1c-42 (reason 0x01)",
         ERR_NOT_FOUND},
        {"denied", "the KMIP server refuses Decrypt: not?yours (reason 0x0c)", ERR_POLICY},
        {"failed", "the KMIP server refuses Decrypt: it says no more (reason 0x100)", ERR_FAILED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        AUTO(buf) struct buf bytes = golden("ttlv", rows[i].name);
        struct err err = {0};
        cr_assert_not(read_decrypted(buf_span(&bytes), &err));
        cr_assert_str_eq(err.text, rows[i].says);
        cr_assert_eq(err.code, rows[i].code);
    }
    AUTO(buf) struct buf none = golden("ttlv", "no_versions");
    struct err err = {0};
    cr_assert_not(kmip_versions(buf_span(&none), &err));
    cr_assert_eq(err.code, ERR_VERSION);
}

/* The minor version's number is the last byte of the 7th item's value, in all of them at the same place. */
Test(kmip, another_version_is_not_guessed_at)
{
    for (size_t i = 0; i < ANSWERS; i++) {
        AUTO(buf) struct buf bytes = golden("ttlv", readings[i].name);
        struct err err = {0};
        cr_assert_eq(bytes.data[51], 4);
        bytes.data[51] = 3;
        cr_assert_not(readings[i].read(buf_span(&bytes), &err));
        cr_assert_str_eq(err.text, "the KMIP server answers in version 1.3 instead of 1.4");
        cr_assert_eq(err.code, ERR_VERSION);
    }
}

Test(kmip, an_answer_cut_at_any_length_is_none)
{
    for (size_t i = 0; i < READINGS; i++) {
        AUTO(buf) struct buf bytes = golden("ttlv", readings[i].name);
        for (size_t len = 0; len < bytes.len; len++) {
            AUTO(free) uint8_t *exact = malloc(len ? len : 1);
            struct err err = {0};
            memcpy(exact, bytes.data, len);
            cr_assert_not(readings[i].read(span_of(exact, len), &err), "%s at %zu", readings[i].name, len);
            cr_assert_eq(err.code, ERR_PROTOCOL);
        }
    }
}

Test(kmip, an_answer_with_any_bit_flipped_is_refused_or_still_sound)
{
    for (size_t i = 0; i < READINGS; i++) {
        AUTO(buf) struct buf bytes = golden("ttlv", readings[i].name);
        for (size_t bit = 0; bit < bytes.len * 8; bit++) {
            struct err err = {0};
            bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            if (!readings[i].read(buf_span(&bytes), &err))
                cr_assert(err.code != ERR_NONE && err.text[0] != '\0');
            bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}
