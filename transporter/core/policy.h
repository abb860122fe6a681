/* Local policy: what this transporter's own configuration allows, whatever anybody signs. Pure.
 * Paths are absolute, without "." or ".."; a root allows itself and everything below it. */
#ifndef SEALIFT_TCORE_POLICY_H
#define SEALIFT_TCORE_POLICY_H

#include "common/base/bytes.h"
#include "common/base/err.h"

#include <stddef.h>

/* A command that the configuration lists: executed as it stands, without a shell. */
struct policy_command {
    char *name;
    char **argv;    /* up to a NULL; NULL: there is none */
    char **restore; /* of a stream: what takes its content back, on stdin */
    uint64_t timeout_ms;
};

struct policy {
    char **read_roots; /* what backups may read */
    size_t read_count;
    char **restore_roots; /* where restores may write */
    size_t restore_count;
    char **repository_roots; /* where repositories may be created */
    size_t repository_count;
    char **plaintext_to; /* names of transporters that may get our data unsealed, inside CURVE */
    size_t plaintext_count;
    struct policy_command *streams; /* whose output may be backed up */
    size_t stream_count;
    struct policy_command *scripts; /* what jobs may run before and after */
    size_t script_count;
    uint32_t keep_least; /* the floor for our repositories */
    uint64_t keep_age_s;
};
void policy_deinit(struct policy *policy);

/* ERR_POLICY; the text names the path and the setting that would have to allow it. */
bool policy_may_read(const struct policy *policy, struct span path, struct err *err) MUST_CHECK;
/* Whether the path itself is one of the roots, not only below one. */
bool policy_lists_read(const struct policy *policy, const char *path);
/* *root becomes the (longest) root that allows it, borrowed. A text says nothing of links in the path: who
 * writes there opens the root and follows none below it. */
bool policy_may_restore(const struct policy *policy, struct span path, const char **root,
                        struct err *err) MUST_CHECK;
bool policy_may_store(const struct policy *policy, struct span path, struct err *err) MUST_CHECK;
bool policy_may_send_plaintext(const struct policy *policy, const char *transporter,
                               struct err *err) MUST_CHECK;

/* The command of that name; what it is for is there. ERR_POLICY names it and the setting. */
enum policy_use { POLICY_STREAM_BACKUP, POLICY_STREAM_RESTORE, POLICY_SCRIPT };
bool policy_command(const struct policy *policy, enum policy_use use, const char *name,
                    const struct policy_command **out, struct err *err) MUST_CHECK;

#endif
