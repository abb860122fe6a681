/* What stands before libconfig: a check of the whole text, which lets pass only what libconfig 1.5
 * reads as it is written, and which names the line and the key of what it refuses. Left to itself,
 * libconfig 1.5
 *  - wraps numbers (5000000000 is read as 705032704, 0x1FFFFFFFF as -1) and reads 0600 as 600: here
 *    a number is plain decimal within 32 bits, or refused by its text;
 *  - opens any file that an @include names: here there is none;
 *  - takes the rest of the file for a comment that nothing ends, without a word;
 *  - drops \x00 from a string, and keeps the backslash of escapes it does not know;
 *  - says no more of a mistake than "syntax error" and a line, leaks memory when that is at a
 *    string, and needs a newline after a last comment;
 *  - compares each new name with all others of its group, and recurses to any depth.
 * So the gate reads the same grammar, with limits, and libconfig builds the tree. */
#ifndef SEALIFT_CONF_CONF_GATE_H
#define SEALIFT_CONF_CONF_GATE_H

#include "common/base/bytes.h"
#include "common/base/err.h"

enum {
    CONF_GATE_DEPTH = 16,       /* groups, lists and arrays in one another */
    CONF_GATE_SETTINGS = 8192,  /* names in a file */
    CONF_GATE_ELEMENTS = 65536, /* of lists and arrays in a file */
};

/* ERR_CONFIG, "FILE:LINE: KEY: what is wrong"; `file` is only named. Any bytes. */
bool conf_gate_check(const char *file, struct span text, struct err *err) MUST_CHECK;

#endif
