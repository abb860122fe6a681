/* Rewraps: rewrap/<seal id>/<n>, from 1 without gaps, each the exact Signed rewrap (docs/format.md, sections
 * 3 and 10). One is written once and stands beside the envelopes of its seal. No log entry names them: they
 * say of no point that it is there, and what one opens to is checked against the envelope by whoever opens.
 * Any thread. */
#ifndef SEALIFT_REPOSITORY_REWRAPS_H
#define SEALIFT_REPOSITORY_REWRAPS_H

#include "common/crypto/rewrap.h"
#include "transporter/repository/repository.h"

#define REWRAPS_MOST 64       /* of one seal */
#define REWRAP_OBJECT_MAX 512 /* bytes of one, signature and all */
#define REWRAPS_AT_ONCE 1024  /* records of one question to keep them */

/* One as stored, neither decoded nor verified; borrowed. false ends the reading with *err. */
typedef bool rewraps_fn(void *arg, struct span object, struct err *err);
/* All of a seal, the oldest first. One that cannot be read is passed over: the check names it. */
bool repository_rewraps(struct repository *repository, const struct id *seal, rewraps_fn *each, void *arg,
                        struct err *err) MUST_CHECK;

/* Every rewrap that there is, whatever its seal; in the order of their names, so the oldest of a seal first.
 */
bool repository_rewraps_all(struct repository *repository, rewraps_fn *each, void *arg,
                            struct err *err) MUST_CHECK;

/* What somebody sends to be kept: calls for each of the `count` objects in their records. The objects are as
 * stored ones, neither decoded nor verified. ERR_PROTOCOL: there is something else, too many, or another
 * count. Those before it were told. */
bool rewraps_each_record(struct span records, uint32_t count, rewraps_fn *each, void *arg,
                         struct err *err) MUST_CHECK;

enum rewrap_outcome { REWRAP_KEPT, REWRAP_WAS_THERE };
/* Keeps one durably, unless one by the same signer to the same key is there. It must be signed by whom it
 * names and be of an envelope that is here: ERR_NOT_AUTHENTIC, ERR_DAMAGED, ERR_NOT_FOUND, ERR_LIMIT;
 * ERR_POLICY: opened for reading. */
bool repository_rewrap_keep(struct repository *repository, struct span object, enum rewrap_outcome *out,
                            struct err *err) MUST_CHECK;
/* Whether the failure to keep one is of this one: others may be kept all the same. */
bool rewrap_is_refused(enum err_code code);

/* A seal that has frames here, with a good envelope of it (ENVELOPE_LEN bytes); `envelope` is empty, and
 * `why` says what is wrong, where no envelope reads. false ends it with *err. */
typedef bool seals_fn(void *arg, const struct id *seal, struct span envelope, const struct err *why,
                      struct err *err);
/* At most `most` of them, by id, behind `after` (zeros: from the first). */
bool repository_seals(struct repository *repository, const struct id *after, size_t most, seals_fn *each,
                      void *arg, struct err *err) MUST_CHECK;

/* Decodes and verifies what is stored under this seal. `out` is borrowed from `object`. ERR_NOT_AUTHENTIC
 * (the signature), ERR_DAMAGED (it is of another seal, or no rewrap), ERR_TRUNCATED, ERR_VERSION, ERR_LIMIT.
 */
bool rewrap_object_decode(struct span object, const struct id *seal, struct rewrap_view *out,
                          uint8_t signer[static SIGN_PK_LEN], struct err *err) MUST_CHECK;
#define REWRAP_NAME_LEN 48
void rewrap_name(const struct id *seal, unsigned number, char out[static REWRAP_NAME_LEN]);
bool rewrap_parse_name(const char *name, struct id *seal, unsigned *number);
/* Whether it fits the envelope of its seal here: ERR_NOT_FOUND (the seal is gone), ERR_DAMAGED. */
bool rewrap_fits_here(struct repository *repository, const struct rewrap_view *rewrap,
                      struct err *err) MUST_CHECK;

/* Removes those whose seal has no envelope here any more; after a sweep. As far as that works. */
void rewraps_leftovers(struct repository *repository);

#endif
