/* The input is a URI. What is taken prints as a URI that is taken and prints the same. */
#include "tests/support/kms_uri_print.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(buf) struct buf text = {0}, printed = {0}, again = {0};
    AUTO(kms_uri) struct kms_uri uri = {0}, other = {0};
    struct err err = {0};
    if (size > 1000) return 0; /* printing makes it up to three times as long */
    buf_put(&text, data, size);
    if (!kms_uri_parse(buf_cstr(&text), &uri, &err)) {
        check(err.code == ERR_CONFIG && !uri.key && !uri.path);
        return 0;
    }
    kms_uri_print(&uri, &printed);
    check(kms_uri_parse(buf_cstr(&printed), &other, &err));
    kms_uri_print(&other, &again);
    check(span_eq(buf_span(&printed), buf_span(&again)));
    return 0;
}
