/* Configuration files, read strictly: libconfig's syntax, less what surprises.
 *
 * A program loads the file, asks for each setting that it knows with the getter of its type, and
 * calls conf_finish, which refuses the file if it holds anything that nobody asked for: a misspelt
 * key is an error, never a default. Every error names the place, and has code ERR_CONFIG:
 *     /etc/sealift/transporter.conf:12: repository.path: must be an absolute path
 * An element of a list is named by its index, from 0: `sources[2].path`.
 *
 * The syntax: `key = value;`, also with `:`; groups { }, lists ( ), arrays [ ], strings in quotes,
 * whole numbers in decimal, true and false, comments with #, // and between slash-star pairs. There
 * is no @include. Sizes and times are strings with a unit, "64MiB" and "30s"; conf_gate.h says why,
 * and what else is refused before libconfig sees the text.
 *
 * Keys do not belong in a configuration. What it holds of other secrets (a proxy's password) is
 * wiped when it is freed, but lies in plain memory meanwhile.
 *
 * One thread at a time. Strings, groups and lists are borrowed, until conf_free. */
#ifndef SEALIFT_CONF_CONF_H
#define SEALIFT_CONF_CONF_H

#include "common/base/auto.h"
#include "common/base/bytes.h"
#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { CONF_FILE_MOST = 1 << 20 }; /* bytes of a file */

struct conf;

/* Nobody but its owner and group may write a configuration. Who may read it: */
enum conf_readers {
    CONF_READ_BY_ALL,
    CONF_READ_BY_OWNER_AND_GROUP, /* it holds secrets: refused if everybody can read it */
};

/* A regular file (symbolic links are followed) of at most CONF_FILE_MOST bytes. err.sys tells why
 * it could not be opened. */
bool conf_load(const char *path, enum conf_readers readers, struct conf **out, struct err *err) MUST_CHECK;
/* The same from memory; `name` stands for the file's in errors. Any bytes. */
bool conf_parse(const char *name, struct span text, struct conf **out, struct err *err) MUST_CHECK;
void conf_free(struct conf *conf);
DEFINE_AUTO(conf, struct conf *, conf_free)

/* ERR_CONFIG for the first setting, in the file's order, that no getter has asked for. */
bool conf_finish(const struct conf *conf, struct err *err) MUST_CHECK;

/* A group of settings, or an empty one in place of one that is not there. Copy it freely. */
struct conf_group {
    struct conf *conf;
    struct config_setting_t *setting; /* NULL: not there */
    const char *path;                 /* of one that is not there */
};

struct conf_group conf_root(struct conf *conf);
/* Who may read the file: for settings that may hold secrets or not. What was not read from a file is the
 * owner's. */
enum conf_readers conf_readers_of(struct conf_group group);
/* whether there is such a setting; does not count as asking for it */
bool conf_has(struct conf_group at, const char *key);
/* whether it is there and a group; does not count as asking for it */
bool conf_has_group(struct conf_group at, const char *key);

bool conf_get_group(struct conf_group at, const char *key, struct conf_group *out,
                    struct err *err) MUST_CHECK;
/* In a group that is not there, required settings are missing and others have their fallbacks. */
bool conf_get_group_or_empty(struct conf_group at, const char *key, struct conf_group *out,
                             struct err *err) MUST_CHECK;

/* Groups one after the other: of a list `( {...}, {...} )`. */
struct conf_list {
    struct conf *conf;
    struct config_setting_t *setting;
    size_t count;
};

/* none if there is no such setting */
bool conf_get_list(struct conf_group at, const char *key, struct conf_list *out, struct err *err) MUST_CHECK;
/* index < list->count */
struct conf_group conf_list_at(const struct conf_list *list, size_t index);

struct conf_strings {
    size_t count;
    const char *const *items; /* none is empty */
};

/* a list or an array of strings; none if there is no such setting */
bool conf_get_strings(struct conf_group at, const char *key, struct conf_strings *out,
                      struct err *err) MUST_CHECK;

/* Values. The plain getters demand the setting; those with `_or` give the fallback if it is not
 * there, and the fallback is not checked. Bounds are inclusive. */

/* not empty: what is not wanted is left out */
bool conf_get_string(struct conf_group at, const char *key, const char **out, struct err *err) MUST_CHECK;
/* `fallback` may be NULL */
bool conf_get_string_or(struct conf_group at, const char *key, const char *fallback, const char **out,
                        struct err *err) MUST_CHECK;
/* absolute, shorter than PATH_MAX */
bool conf_get_path(struct conf_group at, const char *key, const char **out, struct err *err) MUST_CHECK;
bool conf_get_path_or(struct conf_group at, const char *key, const char *fallback, const char **out,
                      struct err *err) MUST_CHECK;
bool conf_get_bool(struct conf_group at, const char *key, bool *out, struct err *err) MUST_CHECK;
bool conf_get_bool_or(struct conf_group at, const char *key, bool fallback, bool *out,
                      struct err *err) MUST_CHECK;
bool conf_get_integer(struct conf_group at, const char *key, int least, int most, int *out,
                      struct err *err) MUST_CHECK;
bool conf_get_integer_or(struct conf_group at, const char *key, int least, int most, int fallback, int *out,
                         struct err *err) MUST_CHECK;
/* bytes, from "64MiB" */
bool conf_get_size(struct conf_group at, const char *key, uint64_t least, uint64_t most, uint64_t *out,
                   struct err *err) MUST_CHECK;
bool conf_get_size_or(struct conf_group at, const char *key, uint64_t least, uint64_t most, uint64_t fallback,
                      uint64_t *out, struct err *err) MUST_CHECK;
/* milliseconds, from "30s" */
bool conf_get_duration(struct conf_group at, const char *key, uint64_t least_ms, uint64_t most_ms,
                       uint64_t *out_ms, struct err *err) MUST_CHECK;
bool conf_get_duration_or(struct conf_group at, const char *key, uint64_t least_ms, uint64_t most_ms,
                          uint64_t fallback_ms, uint64_t *out_ms, struct err *err) MUST_CHECK;

/* A table of the words that a setting may have, up to a NULL word. */
struct conf_word {
    const char *word;
    int value;
};

bool conf_get_word(struct conf_group at, const char *key, const struct conf_word *words, int *out,
                   struct err *err) MUST_CHECK;
bool conf_get_word_or(struct conf_group at, const char *key, const struct conf_word *words, int fallback,
                      int *out, struct err *err) MUST_CHECK;

/* "FILE:LINE: KEY", appended: for what is found wrong with a setting only later. */
void conf_place(struct conf_group at, const char *key, struct buf *out);

/* For what the caller finds wrong itself, in the same form: sets err to "FILE:LINE: KEY: ..." and
 * returns false. The second names an element of a list. */
bool conf_reject(struct conf_group at, const char *key, struct err *err, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
bool conf_reject_item(struct conf_group at, const char *key, size_t index, struct err *err, const char *fmt,
                      ...) PRINTF_LIKE(5, 6);

#ifdef __clang_analyzer__ /* as in common/base/err.h */
#define conf_reject(...) ((void)conf_reject(__VA_ARGS__), false)
#define conf_reject_item(...) ((void)conf_reject_item(__VA_ARGS__), false)
#endif

#endif
