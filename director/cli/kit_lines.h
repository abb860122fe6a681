/* Sealed bytes as lines that people print, file, and type in again:
 *
 *   7  ABCDE FGHIJ KLMNO PQRST UVWXY Z2345 67ABC DEFGH  IJKL
 *
 * a number from 1, 25 bytes in base32 (RFC 4648; the last line has fewer), and 20 bits of a hash over both,
 * so that a typing error is found in its line. The bytes begin with how many they are (docs/format.md section
 * 14). Lines that begin with no number are text for people and are passed over. */
#ifndef SEALIFT_CLI_KIT_LINES_H
#define SEALIFT_CLI_KIT_LINES_H

#include "common/base/bytes.h"
#include "common/base/err.h"

enum {
    KIT_SEALED_MAX = 256 * 1024,
    KIT_LENGTH_AT = 4, /* where the sealed bytes say how many they are: u32 */
    KIT_LINE_MAX = 256 /* characters of a line that is read */
};

/* Appends the lines. */
void kit_lines_write(struct span sealed, struct buf *out);

struct kit_reader {
    struct buf sealed;
    unsigned lines; /* taken so far */
};
void kit_reader_deinit(struct kit_reader *reader);
DEFINE_AUTO_IN_PLACE(kit_reader, struct kit_reader, kit_reader_deinit)

/* Takes the next line of text, in upper or lower case, with blanks anywhere; 0, 1 and 8 count as O, I and B.
 * ERR_DAMAGED: a typing error in it; ERR_TRUNCATED: a line before it is missing. Then it may come again. */
bool kit_reader_take(struct kit_reader *reader, struct span line, struct err *err) MUST_CHECK;
/* Are these all? */
bool kit_reader_done(const struct kit_reader *reader);
/* Takes lines of a whole text. ERR_TRUNCATED as well when the last are missing, ERR_DAMAGED when it has none.
 */
bool kit_reader_take_text(struct kit_reader *reader, struct span text, struct err *err) MUST_CHECK;

#endif
