/* The fixed inputs of tests/golden/crypto.py, and the ways to break bytes. */
#ifndef SEALIFT_TEST_FIXTURE_H
#define SEALIFT_TEST_FIXTURE_H

#include "common/crypto/seal/frame_key.h"

#define FIXTURE_CONTENT_LEN 225
#define FIXTURE_PASSWORD "correct h\xc3\xb6rse battery \xe9\xa6\xac"
#define FIXTURE_DOMAIN "t:web"

/* first, first + 1, … */
void fill_run(uint8_t *out, uint8_t first, size_t len);
struct span fixture_content(void);
const uint8_t *fixture_s(void);         /* 32 */
const uint8_t *fixture_s_earlier(void); /* 32 */
struct sign_pair *fixture_writer(void);
struct read_half *fixture_read_half(void);
struct run_key *fixture_run(void);
/* three node ids and two data ids, ascending */
void fixture_ids(struct hash nodes[3], struct hash datas[2]);
/* the input of the golden frames; the ids are those of fixture_ids for a node */
struct frame_input fixture_input(enum frame_type type, const struct hash *nodes, const struct hash *datas);

/* Feeds a parser exact copies, so that a sanitizer sees a read past the end. */
struct subject {
    bool (*accepts)(struct span bytes, const void *context, struct err *err);
    const void *context;
};
bool subject_accepts(const struct subject *subject, struct span bytes, struct err *err);
/* asserts that every proper prefix is refused with `code` */
void check_every_prefix(const struct subject *subject, struct span whole, enum err_code code);
/* asserts that the bytes with any one bit flipped are refused, with one of the codes (ends in ERR_NONE) */
void check_every_bit(const struct subject *subject, struct span whole, const enum err_code *codes);
/* asserts that one more byte at the end is refused as damaged */
void check_trailing_byte(const struct subject *subject, struct span whole);

#endif
