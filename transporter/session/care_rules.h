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

/* Whether a job of its own, perhaps deleted, writes the points of this label here: a copy of all jobs has no
 * say in those. */
bool care_label_is_taken(struct authority *authority, const struct id *repository, const char *label);

#endif
