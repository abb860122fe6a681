/* Configurations written out in the tests; in errors they are "test.conf". */
#ifndef SEALIFT_TESTS_UNIT_CONF_TEXTS_H
#define SEALIFT_TESTS_UNIT_CONF_TEXTS_H

#include "common/conf/conf.h"

/* must parse; the caller frees */
struct conf *text_conf(const char *text);

/* `done` is false, the code ERR_CONFIG and the text exactly this */
void expect_error(bool done, const struct err *err, const char *text);

/* `done` is true */
void expect_done(bool done, const struct err *err);

#endif
