/* JSON from outside, by Jansson, with its memory wiped: an answer may hold a secret. All of Jansson's memory
 * is, in each program that has this in it, from before its main. Any thread. */
#ifndef SEALIFT_KMS_JSON_READ_H
#define SEALIFT_KMS_JSON_READ_H

#include "common/base/auto.h"
#include "common/base/bytes.h"
#include "common/base/err.h"

#include <jansson.h>

static inline void json_read_free(json_t *value)
{
    json_decref(value);
}
DEFINE_AUTO(json_read, json_t *, json_read_free)

/* One object and nothing else, no name in it twice. ERR_PROTOCOL, which shows nothing of it. */
bool json_read(struct span text, json_t **out, struct err *err) MUST_CHECK;

/* The string of this name, of 1 to `most` bytes; borrowed. ERR_PROTOCOL. */
bool json_read_text(const json_t *object, const char *name, size_t most, const char **out,
                    struct err *err) MUST_CHECK;

#endif
