/* What an interrupted check with a key had found good: chunks that opened (`decrypt`), points that came back
 * whole (`restore`). The next check of the same level, key and repository need not fetch them again, within a
 * day. A file in local state, to which records are appended; each carries a keyed hash over all before it, so
 * that what was cut, changed or put together by somebody else counts up to there only. It holds ids, no
 * names. Of what had a finding nothing is kept. */
#ifndef SEALIFT_SESSION_CHECK_JOURNAL_H
#define SEALIFT_SESSION_CHECK_JOURNAL_H

#include "common/base/auto.h"
#include "common/base/err.h"
#include "common/crypto/hash.h"

#define CHECK_JOURNAL_AGE_NS (24ull * 3600 * 1000000000) /* how long what was found good is relied on */

/* What a journal is of. */
struct check_subject {
    struct id repository;
    struct hash key;    /* zeros: not encrypted */
    struct hash domain; /* any bytes that name the dedup domain */
    uint32_t level;
};

struct check_journal;
enum check_earlier { CHECK_EARLIER_TAKE, CHECK_EARLIER_DROP };
/* Opens the one in `directory` (made if need be), or begins it: if there is none, if it is of something else
 * or to be dropped. What is older than a day, or of the future, does not count. `secret`: from which its
 * keyed hashes are. Files that are too old are removed. ERR_BUSY: another check has it open. Times: ns since
 * 1970. */
bool check_journal_open(const char *directory, const uint8_t secret[static HASH_LEN],
                        const struct check_subject *subject, enum check_earlier earlier, uint64_t now_ns,
                        struct check_journal **out, struct err *err) MUST_CHECK;
/* It stays for the next check. */
void check_journal_free(struct check_journal *journal);
DEFINE_AUTO(check_journal, struct check_journal *, check_journal_free)

/* The file had something that does not count: it was cut or changed. */
bool check_journal_was_damaged(const struct check_journal *journal);
/* Found good by the earlier check; what is added since does not count. Any thread. */
bool check_journal_has(const struct check_journal *journal, const struct hash *id);
/* These are good as of now. After two million nothing more is kept. One thread at a time. */
bool check_journal_add(struct check_journal *journal, const struct hash *ids, size_t count, uint64_t now_ns,
                       struct err *err) MUST_CHECK;
/* The check came to its end: the next one looks at everything. */
void check_journal_end(struct check_journal *journal);

#endif
