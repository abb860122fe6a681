#include "director/cli/state.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/text.h"
#include "director/cli/state_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

/* --- files --- */

bool state_write(struct state *state, const char *name, struct span bytes, struct err *err)
{
    return file_replace(state->fd, name, bytes, STATE_FILE_MODE, err) ||
           err_wrap(err, "cannot keep '%s' in '%s'", name, state->dir);
}

bool state_read(const struct state *state, const char *name, size_t limit, struct buf *out, struct err *err)
{
    return file_read(state->fd, name, limit, out, err) || err_wrap(err, "in '%s'", state->dir);
}

bool state_make_dir(struct state *state, const char *name, struct err *err)
{
    AUTO(free) char *path = xasprintf("%s/%s", state->dir, name);
    return dir_make(path, STATE_DIR_MODE, err);
}

bool state_lock(struct state *state, struct err *err)
{
    if (state->lock_fd < 0) {
        state->lock_fd = openat(state->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, STATE_FILE_MODE);
        if (state->lock_fd < 0) return err_sys(err, errno, "cannot open '%s/lock'", state->dir);
    }
    while (flock(state->lock_fd, LOCK_EX) != 0)
        if (errno != EINTR) return err_sys(err, errno, "cannot lock '%s'", state->dir);
    return true;
}

void state_unlock_lock(struct state *state)
{
    (void)flock(state->lock_fd, LOCK_UN);
}

bool state_next_line(struct span *text, struct span *line)
{
    if (text->len == 0) return false;
    const uint8_t *end = memchr(text->data, '\n', text->len);
    size_t len = end ? (size_t)(end - text->data) : text->len;
    *line = span_of(text->data, len);
    *text = span_of(text->data + len + (end ? 1 : 0), text->len - len - (end ? 1 : 0));
    return true;
}

bool state_next_word(struct span *line, char *out, size_t size)
{
    const uint8_t *end = line->len ? memchr(line->data, ' ', line->len) : NULL;
    size_t len = end ? (size_t)(end - line->data) : line->len;
    if (len == 0 || len >= size || memchr(line->data, 0, len)) return false;
    memcpy(out, line->data, len);
    out[len] = '\0';
    *line = span_of(line->data + len + (end ? 1 : 0), line->len - len - (end ? 1 : 0));
    return true;
}

/* --- loading --- */

/* A file that may be missing: *found says. */
static bool read_optional(const struct state *state, const char *name, size_t limit, struct buf *out,
                          bool *found, struct err *err)
{
    *found = state_read(state, name, limit, out, err);
    if (*found) return true;
    if (err->code != ERR_NOT_FOUND) return false;
    err_clear(err);
    return true;
}

static bool load_identity(struct state *state, struct err *err)
{
    bool found = false, has_transport = false;
    AUTO(buf) struct buf transport = {0};
    if (!read_optional(state, "identity", IDENTITY_FILE_MAX_LEN, &state->identity, &found, err)) return false;
    if (!found) return true;
    if (!identity_file_peek(buf_span(&state->identity), &state->known, &state->protection, err))
        return err_wrap(err, "'%s/identity'", state->dir);
    if (!read_optional(state, "transport", BOX_SK_LEN, &transport, &has_transport, err)) return false;
    if (!has_transport || transport.len != BOX_SK_LEN)
        return err_set(err, ERR_DAMAGED, "'%s/transport' is missing or has not %d bytes", state->dir,
                       BOX_SK_LEN);
    state->transport = secret_copy(transport.data, transport.len);
    wipe(transport.data, transport.len);
    return true;
}

static bool parse_site(struct span text, struct state_site *out, struct err *err)
{
    struct span first, second;
    char line[SITE_LINE_MAX], director[SITE_LINE_MAX];
    if (!state_next_line(&text, &first) || !state_next_line(&text, &second) ||
        !state_next_word(&first, line, sizeof(line)) || !state_next_word(&second, director, sizeof(director)))
        return err_set(err, ERR_DAMAGED, "two lines are expected");
    return site_line_parse(line, &out->line, err) &&
           director_address_parse(director, DEFAULT_OPERATOR_PORT, &out->director, err);
}

static bool load_site(struct state *state, struct err *err)
{
    AUTO(buf) struct buf text = {0};
    struct state_site site;
    if (!read_optional(state, "site", 4096, &text, &state->pinned, err)) return false;
    if (!state->pinned) return true;
    if (!parse_site(buf_span(&text), &site, err)) return err_wrap(err, "'%s/site'", state->dir);
    state->site = site;
    return true;
}

static bool open_dir(struct state *state, struct err *err)
{
    struct stat about;
    if (!dir_make(state->dir, STATE_DIR_MODE, err)) return err_wrap(err, "the state directory");
    state->fd = open(state->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (state->fd < 0 || fstat(state->fd, &about) != 0)
        return err_sys(err, errno, "cannot open the state directory '%s'", state->dir);
    if ((about.st_mode & 077) != 0 && fchmod(state->fd, STATE_DIR_MODE) != 0)
        return err_sys(err, errno, "cannot close the state directory '%s' to others", state->dir);
    return true;
}

bool state_open(const char *dir, struct state **out, struct err *err)
{
    AUTO(state) struct state *state = xcalloc(1, sizeof(*state));
    state->dir = xstrdup(dir);
    state->fd = state->lock_fd = -1;
    state->versions = version_memory_new();
    if (!open_dir(state, err) || !load_identity(state, err) || !load_site(state, err)) return false;
    if (state->pinned && !state_load_rosters(state, err)) return false;
    if (!state_load_versions(state, err) || !state_load_heads(state, err) || !state_load_own_keys(state, err))
        return false;
    *out = state;
    state = NULL;
    return true;
}

void state_close(struct state *state)
{
    if (!state) return;
    auto_close_fd(state->lock_fd);
    auto_close_fd(state->fd);
    wipe(state->identity.data, state->identity.len);
    buf_deinit(&state->identity);
    secret_free(state->transport);
    roster_free(state->roster);
    free(state->operators);
    version_memory_free(state->versions);
    buf_deinit(&state->versions_text);
    free(state->heads);
    free(state->own_keys);
    free(state->dir);
    free(state);
}

/* --- identity --- */

enum state_identity state_identity(const struct state *state, struct identity_public *known)
{
    if (state->identity.len == 0) return STATE_NO_IDENTITY;
    *known = state->known;
    return state->protection == IDENTITY_PLAIN ? STATE_IDENTITY_PLAIN : STATE_IDENTITY_UNDER_PASSWORD;
}

bool state_keep_identity(struct state *state, const struct identity *identity, const struct secret *file,
                         struct err *err)
{
    const struct secret *transport = identity->transport->sk;
    if (state->identity.len)
        return err_set(err, ERR_EXISTS, "there is an identity already in '%s': that of '%s'", state->dir,
                       state->known.name);
    /* the identity last: with it the other file is there */
    if (!state_write(state, "transport", span_of(transport->data, transport->len), err) ||
        !state_write(state, "identity", span_of(file->data, file->len), err))
        return false;
    state->transport = secret_copy(transport->data, transport->len);
    buf_put(&state->identity, file->data, file->len);
    return identity_file_peek(buf_span(&state->identity), &state->known, &state->protection, err);
}

bool state_open_identity(const struct state *state, const struct secret *password, struct identity **out,
                         struct err *err)
{
    if (state->identity.len == 0)
        return err_set(err, ERR_NOT_FOUND, "there is no identity in '%s'", state->dir);
    return identity_open(buf_span(&state->identity), password, out, err);
}

const struct secret *state_transport(const struct state *state)
{
    return state->transport;
}

bool state_exported(const struct state *state)
{
    return faccessat(state->fd, "exported", F_OK, 0) == 0;
}

bool state_mark_exported(struct state *state, struct err *err)
{
    return state_write(state, "exported", span_of("", 0), err);
}

/* --- the site --- */

const struct state_site *state_site(const struct state *state)
{
    return state->pinned ? &state->site : NULL;
}

static bool write_site(struct state *state, const struct state_site *site, struct err *err)
{
    char line[SITE_LINE_MAX], endpoint[SITE_LINE_MAX], key[2 * BOX_PK_LEN + 1];
    site_line_format(&site->line, line);
    hex_encode(site->director.curve_pk, BOX_PK_LEN, key);
    director_address_endpoint(&site->director, endpoint);
    AUTO(buf) struct buf text = {0};
    buf_printf(&text, "%s\n%s@%s\n", line, key, endpoint + strlen("tcp://"));
    return state_write(state, "site", buf_span(&text), err);
}

bool state_pin_site(struct state *state, const struct state_site *site, struct err *err)
{
    if (state->pinned && !(id_eq(&state->site.line.site, &site->line.site) &&
                           memcmp(state->site.line.admin, site->line.admin, SIGN_PK_LEN) == 0))
        return err_set(err, ERR_EXISTS, "'%s' belongs to another site; use --state for a second one",
                       state->dir);
    if (!write_site(state, site, err)) return false;
    state->site = *site;
    state->pinned = true;
    if (unlinkat(state->fd, "claim", 0) != 0 && errno != ENOENT)
        return err_sys(err, errno, "cannot remove '%s/claim'", state->dir);
    return true;
}

bool state_claim(const struct state *state, struct buf *roster, struct err *err)
{
    return state_read(state, "claim", STATEMENT_MAX, roster, err);
}

bool state_keep_claim(struct state *state, struct span roster, struct err *err)
{
    return state_write(state, "claim", roster, err);
}
