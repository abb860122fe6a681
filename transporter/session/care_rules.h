/* What rules the points of a job in a repository: by the statements of jobs that this host has verified, its
 * repository's statement, and its own configuration. Who asks for a prune has no say in it. */
#ifndef SEALIFT_SESSION_CARE_RULES_H
#define SEALIFT_SESSION_CARE_RULES_H

#include "transporter/core/policy.h"
#include "transporter/repository/care.h"
#include "transporter/session/authority.h"

/* `asked`: whose retention is applied; NULL: nobody's, an order names the one point. Where several jobs write
 * points of this label here, what the rule of any of them keeps stays; a job without a rule keeps all. Copies
 * of all jobs are among them where the label is not taken. The immutability is the longest that any job which
 * ever wrote them promised, one that was deleted included. `label` and `statement` are borrowed. */
struct care_rule care_rule_of(struct authority *authority, const struct statement *repository,
                              const struct policy *policy, const char *label, const Sealift__Retention *asked,
                              struct span statement);

/* Whose word the points of a label are here, as operators have signed it. */
struct care_writers {
    const struct roster *roster; /* borrowed */
    /* who signs what backups of this label, and copies that seal it anew, write here */
    struct care_named {
        uint8_t writer[SIGN_PK_LEN];
        enum { CARE_NOBODY, CARE_ONE, CARE_SEVERAL } count;
    } of_backups, of_copies;
};
void care_writers_of(struct authority *authority, const struct roster *roster,
                     const struct statement *repository, const char *label, struct care_writers *out);

/* For care_rule.line; `arg` is a struct care_writers. Points are of a line with those of the same signer and
 * origin. What came when either was revoked already is of another line: what a stolen key added counts
 * against nothing that is true, once its host is revoked since before. Two things that operators sign make a
 * writer another's heir: that the label's jobs here name him and not the other; and that he was let in under
 * the name of the other, who was revoked. Origins that were never admitted are all one. */
void care_line_of(const void *arg, uint64_t time_ns, struct care_line *line, struct care_line *heir);

/* Whether a job of its own, perhaps deleted, writes the points of this label here: a copy of all jobs has no
 * say in those. */
bool care_label_is_taken(struct authority *authority, const struct id *repository, const char *label);

#endif
