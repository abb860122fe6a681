/* What a walk says of entries that it could not read or does not walk. */
#ifndef SEALIFT_SOURCE_WALK_NOTE_H
#define SEALIFT_SOURCE_WALK_NOTE_H

#include "transporter/source/scan.h"

/* WALK_WARNING or WALK_SKIPPED, with its sentence. */
enum walk_event walk_note(enum scan_note what, int sys, struct span path, struct err *note);

#endif
