/* How an operator comes to a site: by founding it, by joining it, by an export of an earlier self. */
#ifndef SEALIFT_CLI_SITE_BEGIN_H
#define SEALIFT_CLI_SITE_BEGIN_H

#include "director/cli/access.h"

/* Verbs: rows of the table in verb_operator.c. */
command_fn site_init, site_join, site_export, site_import;

/* Makes an identity (--name, --no-password, --weak) unless there is one. */
bool site_need_identity(struct cli *cli, const struct args *args, struct err *err) MUST_CHECK;
/* The site line on stdout. */
void site_print(struct cli *cli);
/* Says that the site is lost with this machine, as long as it is: one operator and no export. */
void site_warn_if_alone(struct cli *cli);

#endif
