/* Which packs a check found damaged, by name, in a small file of the owner's local state beside the chunk
 * index. The index may be thrown away and built again from trailers, and these look well in a pack whose
 * frames are not: without the marks new points would rely on it again. Any thread. */
#ifndef SEALIFT_REPOSITORY_DAMAGE_MARKS_H
#define SEALIFT_REPOSITORY_DAMAGE_MARKS_H

#include "common/base/err.h"
#include "common/crypto/hash.h"

struct damage_marks;

/* state_dir: NULL for marks in memory only. A file that is absent, cut, damaged or of another repository
 * holds none: the next check finds again what it said. Never NULL. */
struct damage_marks *damage_marks_load(const char *state_dir, const struct id *repository);
void damage_marks_free(struct damage_marks *marks);

bool damage_marks_has(struct damage_marks *marks, const struct hash *pack);
void damage_marks_add(struct damage_marks *marks, const struct hash *pack);
void damage_marks_remove(struct damage_marks *marks, const struct hash *pack);
/* Makes changes since the last time durable. */
bool damage_marks_save(struct damage_marks *marks, struct err *err) MUST_CHECK;

#endif
