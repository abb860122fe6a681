#include "common/base/alloc.h"
#include "common/wire/stored.h"
#include "transporter/session/run_answers.h"
#include "transporter/session/run_findings.h"
#include "transporter/session/run_unlock.h"
#include "transporter/session/run_verify.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

enum { LISTING_BYTES = 256 * 1024 /* of entries in one answer */ };

/* --- listing --- */

struct listing {
    struct run_answers answers;
    struct span below;
    char *pattern; /* NULL: everything */
    struct buf entry;
};

static bool matches(const struct listing *listing, struct span path)
{
    if (!listing->pattern) return true;
    AUTO(free) char *text = xcalloc(1, path.len + 1);
    memcpy(text, path.data, path.len);
    return fnmatch(listing->pattern, text, 0) == 0;
}

/* path length (2), path, encoded entry (its own length comes first) */
static bool list_entry(void *arg, struct span path, const struct entry *entry, struct err *err)
{
    struct listing *listing = arg;
    struct buf *pending = &listing->answers.pending;
    if (!run_going_on(listing->answers.run, err)) return false;
    if (!path_within(path, listing->below)) {
        err_clear(err);
        return false; /* all that lies below has been told */
    }
    if (!matches(listing, path)) return true;
    buf_clear(&listing->entry);
    if (!entry_encode(entry, &listing->entry, err)) return false;
    size_t len = 2 + path.len + listing->entry.len;
    if (len > RUN_ANSWER_MAX) {
        struct err why = {0};
        (void)err_set(&why, ERR_LIMIT, "the entry is too large to be listed");
        run_warn(listing->answers.run, path, &why);
        return true;
    }
    if (pending->len && pending->len + len > LISTING_BYTES &&
        !run_answers_send(&listing->answers, RUN_ANSWER_MORE, err))
        return false;
    buf_put_u16(pending, (uint16_t)path.len);
    buf_put_span(pending, path);
    buf_put_span(pending, buf_span(&listing->entry));
    atomic_fetch_add(&listing->answers.run->restore.entries, 1);
    return true;
}

static bool list(struct recovery *recovery, struct listing *listing, struct err *err)
{
    return restore_list(recovery->opener, &recovery->inlet, &recovery->root, listing->below, list_entry,
                        listing, err) &&
           run_answers_send(&listing->answers, RUN_ANSWER_LAST, err);
}

/* --- cat --- */

/* A full answer is kept back until it is known whether it is the last. */
static bool write_bytes(void *arg, struct span bytes, struct err *err)
{
    struct run_answers *answers = arg;
    if (!run_going_on(answers->run, err)) return false;
    while (bytes.len) {
        if (answers->pending.len == RUN_ANSWER_MAX && !run_answers_send(answers, RUN_ANSWER_MORE, err))
            return false;
        size_t room = RUN_ANSWER_MAX - answers->pending.len;
        size_t len = bytes.len < room ? bytes.len : room;
        buf_put(&answers->pending, bytes.data, len);
        bytes = span_of(bytes.data + len, bytes.len - len);
        atomic_fetch_add(&answers->run->restore.content_bytes, len);
    }
    return true;
}

static bool cat(struct recovery *recovery, struct span path, struct run_answers *answers, struct err *err)
{
    return restore_cat(recovery->opener, &recovery->inlet, &recovery->root, path, write_bytes, answers,
                       err) &&
           run_answers_send(answers, RUN_ANSWER_LAST, err);
}

/* --- the run --- */

static struct span relative(struct span path)
{
    while (path.len && path.data[0] == '/')
        path = span_of(path.data + 1, path.len - 1);
    return path;
}

static bool explain(struct run *run, const struct recovery *recovery, const Sealift__Member *operator,
                    struct err * err)
{
    struct run_answers answers = {.run = run, .operator= operator};
    if (recovery->point->cipher == CIPHER_NONE)
        return err_set(err, ERR_NOT_ENCRYPTED, "the recovery point is not encrypted: it needs no key");
    bool done = run_unlock_report(run, recovery->repository, recovery->point->unlock_section,
                                  &answers.pending, err) &&
                run_answers_send(&answers, RUN_ANSWER_LAST, err);
    buf_deinit(&answers.pending);
    return done;
}

static bool browse(struct run *run, struct recovery *recovery, const Sealift__BrowsePlan *plan,
                   const Sealift__Member *operator, struct err * err)
{
    struct run_answers answers = {.run = run, .operator= operator};
    struct span path = relative(stored_span(&plan->path));
    bool done;
    if (plan->kind == SEALIFT__BROWSE_KIND__BROWSE_CAT) {
        done = cat(recovery, path, &answers, err);
        wipe(answers.pending.data, answers.pending.cap);
        buf_deinit(&answers.pending);
        return done;
    }
    struct listing listing = {.answers = answers, .below = path};
    AUTO(free) char *pattern = NULL;
    if (plan->pattern.len) {
        pattern = xcalloc(1, plan->pattern.len + 1);
        memcpy(pattern, plan->pattern.data, plan->pattern.len);
        listing.pattern = pattern;
    }
    done = list(recovery, &listing, err);
    buf_deinit(&listing.answers.pending);
    buf_deinit(&listing.entry);
    return done;
}

bool run_browse(struct run *run, struct err *err)
{
    AUTO(secret) struct secret *bytes = NULL;
    AUTO(plan_browse) Sealift__BrowsePlan *plan = NULL;
    struct recovery recovery = {0};
    const Sealift__Member *operator= roster_operator(run->roster, run_order(run)->answer_to.data);
    if (!operator)
        return err_set(err, ERR_NOT_FOUND, "the operator to be answered is not in the current roster");
    if (!recovery_plan(run, &bytes, err) || !plan_browse_decode(span_of(bytes->data, bytes->len), &plan, err))
        return false;
    bool verify = plan->kind == SEALIFT__BROWSE_KIND__BROWSE_VERIFY;
    bool unlock = plan->kind == SEALIFT__BROWSE_KIND__BROWSE_UNLOCK;
    if (!verify && !unlock && plan->kind != SEALIFT__BROWSE_KIND__BROWSE_FILES &&
        plan->kind != SEALIFT__BROWSE_KIND__BROWSE_CAT)
        return err_set(err, ERR_VERSION, "the order's plan asks for an unknown kind of browsing");
    if (!(unlock ? recovery_find : recovery_open)(run, &recovery, err)) return false;
    run->point = recovery.point->point;
    run->has_point = true;
    bool done = unlock   ? explain(run, &recovery, operator, err)
                : verify ? run_verify(run, &recovery, plan, operator, err)
                         : browse(run, &recovery, plan, operator, err);
    recovery_close(&recovery, done ? NULL : err);
    return done && (!run->findings || !run_findings_worst(run->findings, err));
}
