#include "transporter/session/check_journal.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/secret.h"
#include "common/base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* magic (8), subject (32), keyed hash (32); then records: count (4), when (8), ids (32 each), keyed hash (32)
 * over the hash before and the record */
enum {
    MAGIC_LEN = 8,
    HEAD_LEN = MAGIC_LEN + HASH_LEN,
    RECORD_HEAD_LEN = 4 + 8,
    RECORD_IDS_MAX = 1024,
    IDS_MAX = 2 * 1024 * 1024,
    KEPT_LEN = 16 /* of an id in memory: it is a keyed hash */
};
static const char magic[MAGIC_LEN + 1] = "slcheckj";
static const uint64_t second_ns = 1000000000;

struct kept {
    uint8_t bytes[KEPT_LEN];
};

struct check_journal {
    char *path;
    int fd;
    uint8_t key[HASH_LEN];
    struct hash last; /* the keyed hash of the last record */
    uint64_t end;     /* where the next one goes */
    size_t written;   /* ids in the file */
    struct kept *earlier;
    size_t earlier_count;
    bool damaged;
};

void check_journal_free(struct check_journal *journal)
{
    if (!journal) return;
    if (journal->fd >= 0) (void)close(journal->fd);
    wipe(journal->key, sizeof(journal->key));
    free(journal->earlier);
    free(journal->path);
    free(journal);
}

bool check_journal_was_damaged(const struct check_journal *journal)
{
    return journal->damaged;
}

/* --- what it is of --- */

static struct hash subject_hash(const struct check_subject *subject)
{
    uint8_t level[4];
    le32_put(level, subject->level);
    const struct span parts[] = {span_of(subject->repository.bytes, ID_LEN),
                                 span_of(subject->key.bytes, HASH_LEN),
                                 span_of(subject->domain.bytes, HASH_LEN), span_of(level, sizeof(level))};
    return hash_of_parts(parts, sizeof(parts) / sizeof(parts[0]));
}

/* --- what is in it --- */

static int by_kept(const void *a, const void *b)
{
    return memcmp(a, b, KEPT_LEN);
}

bool check_journal_has(const struct check_journal *journal, const struct hash *id)
{
    return journal->earlier_count > 0 &&
           bsearch(id->bytes, journal->earlier, journal->earlier_count, sizeof(*journal->earlier), by_kept);
}

static struct hash chained(const struct check_journal *journal, const struct hash *before, struct span record)
{
    AUTO(buf) struct buf bytes = {0};
    buf_put(&bytes, before->bytes, HASH_LEN);
    buf_put_span(&bytes, record);
    return hash_keyed(journal->key, buf_span(&bytes));
}

static void take_ids(struct check_journal *journal, const uint8_t *ids, size_t count)
{
    journal->earlier =
        xreallocarray(journal->earlier, journal->earlier_count + count, sizeof(*journal->earlier));
    for (size_t i = 0; i < count; i++)
        memcpy(journal->earlier[journal->earlier_count++].bytes, ids + i * HASH_LEN, KEPT_LEN);
}

static bool is_recent(uint64_t when_ns, uint64_t now_ns)
{
    return when_ns <= now_ns && now_ns - when_ns <= CHECK_JOURNAL_AGE_NS;
}

/* False: there is no further record that was not cut or changed. One that is too old is passed over. */
static bool read_record(struct check_journal *journal, uint64_t now_ns)
{
    struct err ignored;
    uint8_t record[RECORD_HEAD_LEN + RECORD_IDS_MAX * HASH_LEN + HASH_LEN];
    if (!fd_pread_all(journal->fd, record, RECORD_HEAD_LEN, journal->end, journal->path, &ignored))
        return false;
    size_t count = le32_get(record);
    if (count == 0 || count > RECORD_IDS_MAX || journal->written + count > IDS_MAX) return false;
    size_t len = RECORD_HEAD_LEN + count * HASH_LEN;
    struct hash hash;
    if (!fd_pread_all(journal->fd, record + RECORD_HEAD_LEN, len + HASH_LEN - RECORD_HEAD_LEN,
                      journal->end + RECORD_HEAD_LEN, journal->path, &ignored))
        return false;
    memcpy(hash.bytes, record + len, HASH_LEN);
    struct hash wanted = chained(journal, &journal->last, span_of(record, len));
    if (!hash_eq(&hash, &wanted)) return false;
    if (is_recent(le64_get(record + 4), now_ns)) take_ids(journal, record + RECORD_HEAD_LEN, count);
    journal->written += count;
    journal->last = hash;
    journal->end += len + HASH_LEN;
    return true;
}

enum found { FOUND_NOTHING, FOUND_GOOD, FOUND_DAMAGED };

static enum found read_head(struct check_journal *journal, const struct hash *subject)
{
    struct err ignored;
    struct stat st;
    uint8_t head[HEAD_LEN + HASH_LEN];
    static const struct hash none = {{0}};
    if (fstat(journal->fd, &st) != 0 || st.st_size == 0) return FOUND_NOTHING;
    if (!fd_pread_all(journal->fd, head, sizeof(head), 0, journal->path, &ignored) ||
        memcmp(head, magic, MAGIC_LEN) != 0 || memcmp(head + MAGIC_LEN, subject->bytes, HASH_LEN) != 0)
        return FOUND_DAMAGED;
    struct hash wanted = chained(journal, &none, span_of(head, HEAD_LEN));
    if (memcmp(wanted.bytes, head + HEAD_LEN, HASH_LEN) != 0) return FOUND_DAMAGED;
    journal->last = wanted;
    journal->end = sizeof(head);
    return FOUND_GOOD;
}

static bool begin(struct check_journal *journal, const struct hash *subject, struct err *err)
{
    AUTO(buf) struct buf head = {0};
    static const struct hash none = {{0}};
    buf_put(&head, magic, MAGIC_LEN);
    buf_put(&head, subject->bytes, HASH_LEN);
    journal->last = chained(journal, &none, buf_span(&head));
    buf_put(&head, journal->last.bytes, HASH_LEN);
    if (ftruncate(journal->fd, 0) != 0) return err_sys(err, errno, "cannot empty '%s'", journal->path);
    if (!fd_pwrite_all(journal->fd, buf_span(&head), 0, journal->path, err)) return false;
    journal->end = head.len;
    return true;
}

static bool go_on(struct check_journal *journal, uint64_t now_ns, struct err *err)
{
    struct stat st;
    while (read_record(journal, now_ns))
        ;
    if (journal->earlier_count > 1)
        qsort(journal->earlier, journal->earlier_count, sizeof(*journal->earlier), by_kept);
    if (fstat(journal->fd, &st) != 0) return err_sys(err, errno, "cannot read '%s'", journal->path);
    journal->damaged = (uint64_t)st.st_size != journal->end;
    if (journal->damaged && ftruncate(journal->fd, (off_t)journal->end) != 0)
        return err_sys(err, errno, "cannot cut '%s'", journal->path);
    return true;
}

/* --- the files --- */

/* Of checks that nobody will go on with. */
static void remove_old(const char *directory, uint64_t now_ns)
{
    DIR *entries = opendir(directory);
    if (!entries) return;
    for (const struct dirent *entry; (entry = readdir(entries));) {
        struct stat st;
        if (fstatat(dirfd(entries), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
            continue;
        uint64_t written_ns = st.st_mtime < 0 ? 0 : (uint64_t)st.st_mtime * second_ns;
        if (written_ns + CHECK_JOURNAL_AGE_NS < now_ns) (void)unlinkat(dirfd(entries), entry->d_name, 0);
    }
    (void)closedir(entries);
}

static bool open_file(struct check_journal *journal, const char *directory, const struct hash *subject,
                      struct err *err)
{
    char name[2 * ID_LEN + 1];
    hex_encode(subject->bytes, ID_LEN, name);
    journal->path = xasprintf("%s/%s", directory, name);
    journal->fd = open(journal->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (journal->fd < 0) return err_sys(err, errno, "cannot open '%s'", journal->path);
    if (flock(journal->fd, LOCK_EX | LOCK_NB) == 0) return true;
    if (errno != EWOULDBLOCK) return err_sys(err, errno, "cannot lock '%s'", journal->path);
    return err_set(err, ERR_BUSY, "another check is under way");
}

bool check_journal_open(const char *directory, const uint8_t secret[static HASH_LEN],
                        const struct check_subject *subject, enum check_earlier earlier, uint64_t now_ns,
                        struct check_journal **out, struct err *err)
{
    AUTO(check_journal) struct check_journal *journal = xcalloc(1, sizeof(*journal));
    struct hash about = subject_hash(subject);
    struct span part = span_of(secret, HASH_LEN);
    journal->fd = -1;
    hash_derive("sealift v1 check journal", &part, 1, journal->key);
    if (!dir_make(directory, 0700, err)) return false;
    remove_old(directory, now_ns);
    if (!open_file(journal, directory, &about, err)) return false;
    enum found found = earlier == CHECK_EARLIER_DROP ? FOUND_NOTHING : read_head(journal, &about);
    if (!(found == FOUND_GOOD ? go_on(journal, now_ns, err) : begin(journal, &about, err))) return false;
    journal->damaged = journal->damaged || found == FOUND_DAMAGED;
    *out = journal;
    journal = NULL;
    return true;
}

/* --- the check goes on --- */

static bool add_record(struct check_journal *journal, const struct hash *ids, size_t count, uint64_t now_ns,
                       struct err *err)
{
    AUTO(buf) struct buf record = {0};
    buf_put_u32(&record, (uint32_t)count);
    buf_put_u64(&record, now_ns);
    for (size_t i = 0; i < count; i++)
        buf_put(&record, ids[i].bytes, HASH_LEN);
    struct hash hash = chained(journal, &journal->last, buf_span(&record));
    buf_put(&record, hash.bytes, HASH_LEN);
    if (!fd_pwrite_all(journal->fd, buf_span(&record), journal->end, journal->path, err)) return false;
    journal->last = hash;
    journal->end += record.len;
    journal->written += count;
    return true;
}

bool check_journal_add(struct check_journal *journal, const struct hash *ids, size_t count, uint64_t now_ns,
                       struct err *err)
{
    while (count > 0 && journal->written < IDS_MAX) {
        size_t most = IDS_MAX - journal->written;
        size_t some = most < RECORD_IDS_MAX ? most : RECORD_IDS_MAX;
        if (some > count) some = count;
        if (!add_record(journal, ids, some, now_ns, err)) return false;
        ids += some;
        count -= some;
    }
    return true;
}

void check_journal_end(struct check_journal *journal)
{
    (void)unlink(journal->path);
}
