/* A key's S given as a file: 32 bytes, raw or as base64. */
#ifndef SEALIFT_CLI_KEY_FILE_H
#define SEALIFT_CLI_KEY_FILE_H

#include "common/base/secret.h"

/* KEY_SECRET_LEN bytes. ERR_USAGE names the length that was found and the one that is needed. */
bool key_file_read(const char *path, struct secret **out, struct err *err) MUST_CHECK;

#endif
