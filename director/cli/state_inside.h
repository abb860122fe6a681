/* Private to state*.c. */
#ifndef SEALIFT_CLI_STATE_INSIDE_H
#define SEALIFT_CLI_STATE_INSIDE_H

#include "director/cli/state.h"

enum {
    STATE_FILE_MODE = 0600,
    STATE_DIR_MODE = 0700,
    STATE_LINES_MAX = 16 * 1024 * 1024, /* bytes of `versions`, `heads` */
    STATE_PATH_LEN = 128,               /* of a path below the directory */
};

struct state_head {
    struct id repository;
    uint64_t number;
    struct hash hash;
};

struct state_operator {
    uint8_t sign_pk[SIGN_PK_LEN];
};

struct state {
    char *dir;
    int fd;
    int lock_fd;

    struct buf identity; /* the key file; empty: none */
    enum identity_protection protection;
    struct identity_public known;
    struct secret *transport;

    bool pinned;
    struct state_site site;

    struct roster *roster;
    struct state_operator *operators; /* of all rosters */
    size_t operator_count;

    struct version_memory *versions;
    struct buf versions_text; /* as it stood in the file when it was last read */
    struct state_head *heads;
    size_t head_count;

    struct state_own_key *own_keys;
    size_t own_key_count;
};

/* While it is held no other program changes what is here. */
bool state_lock(struct state *state, struct err *err) MUST_CHECK;
void state_unlock_lock(struct state *state);

bool state_write(struct state *state, const char *name, struct span bytes, struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND */
bool state_read(const struct state *state, const char *name, size_t limit, struct buf *out,
                struct err *err) MUST_CHECK;
bool state_make_dir(struct state *state, const char *name, struct err *err) MUST_CHECK;

bool state_load_rosters(struct state *state, struct err *err) MUST_CHECK;
bool state_load_versions(struct state *state, struct err *err) MUST_CHECK;
bool state_load_heads(struct state *state, struct err *err) MUST_CHECK;
bool state_load_own_keys(struct state *state, struct err *err) MUST_CHECK;

/* The next line of a text without its line end; false at the end. */
bool state_next_line(struct span *text, struct span *line);
/* The next word of a line, which is cut off it, as a string; false if it is missing or too long. */
bool state_next_word(struct span *line, char *out, size_t size);

#endif
