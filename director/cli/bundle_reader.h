/* Reading a bundle of a director's state from its file, piece by piece. Whatever is wrong with the file is
 * said with its name: ERR_DAMAGED (also what is no bundle), ERR_TRUNCATED, ERR_VERSION. */
#ifndef SEALIFT_CLI_BUNDLE_READER_H
#define SEALIFT_CLI_BUNDLE_READER_H

#include "common/crypto/bundle.h"

/* {.fd = -1} is empty. */
struct bundle_reader {
    int fd;
    const char *path; /* borrowed */
    struct bundle_facts facts;
    struct bundle_stream *stream;
    uint64_t at;
};
void bundle_reader_deinit(struct bundle_reader *reader);
DEFINE_AUTO_IN_PLACE(bundle_reader, struct bundle_reader, bundle_reader_deinit)

/* Reads the header and compares the file's length with it: so much is known without the password. */
bool bundle_reader_open(const char *path, struct bundle_reader *out, struct err *err) MUST_CHECK;
/* Derives for about a second. ERR_WRONG_KEY. */
bool bundle_reader_unlock(struct bundle_reader *reader, const struct secret *password,
                          struct err *err) MUST_CHECK;
/* The next piece of the content; NULL after the last. */
bool bundle_reader_next(struct bundle_reader *reader, struct secret **out, struct err *err) MUST_CHECK;
/* Opens the rest, to nowhere. */
bool bundle_reader_rehearse(struct bundle_reader *reader, struct err *err) MUST_CHECK;

#endif
