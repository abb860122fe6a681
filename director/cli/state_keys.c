/* This operator's own copies of keys, and what is known of the own keys of sources. */
#include "common/base/alloc.h"
#include "common/base/text.h"
#include "director/cli/state_inside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { UNLOCK_MAX = 1024 * 1024, OWN_KEY_MAX = 4096 };

static void name_of(const char *dir, const void *bytes, size_t len, char out[static STATE_PATH_LEN])
{
    char hex[2 * HASH_LEN + 1];
    hex_encode(bytes, len, hex);
    (void)snprintf(out, STATE_PATH_LEN, "%s/%s", dir, hex);
}

bool state_keep_grant(struct state *state, const struct id *id, struct span statement, struct err *err)
{
    char name[STATE_PATH_LEN];
    name_of("grants", id->bytes, ID_LEN, name);
    return state_make_dir(state, "grants", err) && state_write(state, name, statement, err);
}

bool state_grant(const struct state *state, const struct id *id, struct buf *statement, struct err *err)
{
    char name[STATE_PATH_LEN];
    name_of("grants", id->bytes, ID_LEN, name);
    return state_read(state, name, STATEMENT_MAX, statement, err);
}

/* Calls for each file of a directory, which may be missing. */
static bool each_file(const struct state *state, const char *dir,
                      bool (*each)(void *arg, const char *name, struct err *err), void *arg, struct err *err)
{
    int fd = openat(state->fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT || err_sys(err, errno, "cannot open '%s/%s'", state->dir, dir);
    DIR *listing = fdopendir(fd);
    if (!listing) {
        auto_close_fd(fd);
        return err_sys(err, errno, "cannot list '%s/%s'", state->dir, dir);
    }
    bool ok = true;
    for (struct dirent *entry; ok && (entry = readdir(listing));)
        if (entry->d_name[0] != '.') ok = each(arg, entry->d_name, err);
    (void)closedir(listing);
    return ok;
}

struct each_grant {
    const struct state *state;
    state_grant_fn *each;
    void *arg;
};

static bool read_grant(void *arg, const char *name, struct err *err)
{
    const struct each_grant *each = arg;
    char path[STATE_PATH_LEN];
    AUTO(buf) struct buf bytes = {0};
    (void)snprintf(path, sizeof(path), "grants/%.100s", name);
    return state_read(each->state, path, STATEMENT_MAX, &bytes, err) &&
           each->each(each->arg, buf_span(&bytes), err);
}

bool state_each_grant(const struct state *state, state_grant_fn *each, void *arg, struct err *err)
{
    struct each_grant all = {.state = state, .each = each, .arg = arg};
    return each_file(state, "grants", read_grant, &all, err);
}

bool state_keep_unlock(struct state *state, struct span section, struct err *err)
{
    struct hash hash = hash_of(section);
    char name[STATE_PATH_LEN];
    name_of("unlock", hash.bytes, HASH_LEN, name);
    if (faccessat(state->fd, name, F_OK, 0) == 0) return true;
    return state_make_dir(state, "unlock", err) && state_write(state, name, section, err);
}

bool state_unlock(const struct state *state, const struct hash *hash, struct buf *section, struct err *err)
{
    char name[STATE_PATH_LEN];
    name_of("unlock", hash->bytes, HASH_LEN, name);
    AUTO(buf) struct buf bytes = {0};
    if (!state_read(state, name, UNLOCK_MAX, &bytes, err)) return false;
    struct hash found = hash_of(buf_span(&bytes));
    if (!hash_eq(&found, hash)) return err_set(err, ERR_DAMAGED, "'%s/%s' was changed", state->dir, name);
    buf_put_span(section, buf_span(&bytes));
    return true;
}

bool state_has_kit(const struct state *state, const struct hash *key_id)
{
    char name[STATE_PATH_LEN];
    name_of("kits", key_id->bytes, HASH_LEN, name);
    return faccessat(state->fd, name, F_OK, 0) == 0;
}

bool state_mark_kit(struct state *state, const struct hash *key_id, struct err *err)
{
    char name[STATE_PATH_LEN];
    name_of("kits", key_id->bytes, HASH_LEN, name);
    return state_make_dir(state, "kits", err) && state_write(state, name, span_of("", 0), err);
}

/* --- rewrapping that was begun --- */

bool state_begin_rewrap(struct state *state, const struct hash *key_id, struct err *err)
{
    char name[STATE_PATH_LEN];
    name_of("rewraps", key_id->bytes, HASH_LEN, name);
    return state_make_dir(state, "rewraps", err) && state_write(state, name, span_of(NULL, 0), err);
}

bool state_rewrap_begun(const struct state *state, const struct hash *key_id)
{
    char name[STATE_PATH_LEN];
    name_of("rewraps", key_id->bytes, HASH_LEN, name);
    return faccessat(state->fd, name, F_OK, 0) == 0;
}

void state_end_rewrap(struct state *state, const struct hash *key_id)
{
    char name[STATE_PATH_LEN];
    name_of("rewraps", key_id->bytes, HASH_LEN, name);
    (void)unlinkat(state->fd, name, 0);
}

/* --- risks --- */

bool state_accept_risk(struct state *state, const struct hash *key_id, struct err *err)
{
    char name[STATE_PATH_LEN];
    name_of("risks", key_id->bytes, HASH_LEN, name);
    return state_make_dir(state, "risks", err) && state_write(state, name, span_of(NULL, 0), err);
}

bool state_risk_accepted(const struct state *state, const struct hash *key_id)
{
    char name[STATE_PATH_LEN];
    name_of("risks", key_id->bytes, HASH_LEN, name);
    return faccessat(state->fd, name, F_OK, 0) == 0;
}

/* --- own keys: source, domain, label, description, a line each --- */

static bool hex_line(struct span *text, void *out, size_t len)
{
    struct span line;
    char word[2 * HASH_LEN + 1];
    struct err ignored = {0};
    return state_next_line(text, &line) && state_next_word(&line, word, sizeof(word)) && line.len == 0 &&
           hex_decode(word, out, len, &ignored);
}

static bool text_line(struct span *text, char *out, size_t size)
{
    struct span line;
    if (!state_next_line(text, &line) || line.len >= size || memchr(line.data, 0, line.len)) return false;
    memcpy(out, line.data, line.len);
    out[line.len] = '\0';
    return true;
}

static bool load_own_key(void *arg, const char *name, struct err *err)
{
    struct state *state = arg;
    char path[STATE_PATH_LEN];
    AUTO(buf) struct buf bytes = {0};
    struct state_own_key key = {0};
    (void)snprintf(path, sizeof(path), "own/%.100s", name);
    if (!state_read(state, path, OWN_KEY_MAX, &bytes, err)) return false;
    struct span text = buf_span(&bytes);
    if (!hex_decode(name, key.key_id.bytes, HASH_LEN, err) || !hex_line(&text, key.source, SIGN_PK_LEN) ||
        !hex_line(&text, key.domain.bytes, HASH_LEN) || !text_line(&text, key.label, sizeof(key.label)) ||
        !text_line(&text, key.description, sizeof(key.description)) || !identity_name_check(key.label, err))
        return err_set(err, ERR_DAMAGED, "'%s/%s' is not as it was written", state->dir, path);
    state->own_keys = xreallocarray(state->own_keys, state->own_key_count + 1, sizeof(key));
    state->own_keys[state->own_key_count++] = key;
    return true;
}

bool state_load_own_keys(struct state *state, struct err *err)
{
    return each_file(state, "own", load_own_key, state, err);
}

bool state_keep_own_key(struct state *state, const struct state_own_key *key, struct err *err)
{
    char name[STATE_PATH_LEN], source[2 * SIGN_PK_LEN + 1], domain[2 * HASH_LEN + 1];
    name_of("own", key->key_id.bytes, HASH_LEN, name);
    hex_encode(key->source, SIGN_PK_LEN, source);
    hex_encode(key->domain.bytes, HASH_LEN, domain);
    AUTO(buf) struct buf text = {0};
    buf_printf(&text, "%s\n%s\n%s\n%s\n", source, domain, key->label, key->description);
    if (!state_make_dir(state, "own", err) || !state_write(state, name, buf_span(&text), err)) return false;
    state->own_keys = xreallocarray(state->own_keys, state->own_key_count + 1, sizeof(*key));
    state->own_keys[state->own_key_count++] = *key;
    return true;
}

size_t state_own_key_count(const struct state *state)
{
    return state->own_key_count;
}

const struct state_own_key *state_own_key(const struct state *state, size_t index)
{
    return &state->own_keys[index];
}
