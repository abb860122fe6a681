/* A small file that holds a secret: regular, of this user or root, and readable by nobody else. */
#ifndef SEALIFT_KMS_SECRET_FILE_H
#define SEALIFT_KMS_SECRET_FILE_H

#include "common/base/err.h"
#include "common/base/secret.h"

enum secret_file_links {
    SECRET_FILE_NO_LINK, /* the path is of the file itself */
    SECRET_FILE_LINKS,   /* it may be a symbolic link: users arrange files of other programs by these */
    SECRET_FILE_MOUNTED, /* so may it, and whoever runs the container decides who reads it */
};

/* At most `most` bytes; behind them stands a NUL, which is not counted. ERR_NOT_FOUND, ERR_CONFIG (what the
 * file must not be), ERR_SYSTEM. */
bool secret_file_read(const char *path, size_t most, enum secret_file_links links, struct secret **out,
                      struct err *err) MUST_CHECK;

#endif
