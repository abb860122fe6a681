#include "transporter/source/owner_names.h"

#include "common/base/alloc.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <string.h>

/* A tree may hold any number of ids: what has no place here is asked again. */
#define SLOTS 1024u

struct slot {
    bool used;
    uint32_t id;
    char name[OWNER_NAME_MAX + 1];
};

struct metadata_names {
    pthread_mutex_t mutex;
    struct slot *slots[2]; /* of each kind */
};

struct metadata_names *metadata_names_new(void)
{
    struct metadata_names *names = xcalloc(1, sizeof(*names));
    (void)pthread_mutex_init(&names->mutex, NULL);
    for (unsigned i = 0; i < 2; i++)
        names->slots[i] = xcalloc(SLOTS, sizeof(struct slot));
    return names;
}

void metadata_names_free(struct metadata_names *names)
{
    if (!names) return;
    for (unsigned i = 0; i < 2; i++)
        free(names->slots[i]);
    (void)pthread_mutex_destroy(&names->mutex);
    free(names);
}

static int ask_once(enum owner_kind kind, uint32_t id, char *room, size_t len, const char **name)
{
    *name = NULL;
    if (kind == OWNER_USER) {
        struct passwd user, *found = NULL;
        int failed = getpwuid_r(id, &user, room, len, &found);
        if (found) *name = user.pw_name;
        return failed;
    }
    struct group group, *found = NULL;
    int failed = getgrgid_r(id, &group, room, len, &found);
    if (found) *name = group.gr_name;
    return failed;
}

/* A group's answer holds all of its members, so it may be long. */
static void ask(enum owner_kind kind, uint32_t id, char out[static OWNER_NAME_MAX + 1])
{
    out[0] = 0;
    for (size_t len = 4096; len <= (size_t)16 * 1024 * 1024; len *= 4) {
        AUTO(free) char *room = xmalloc(len);
        const char *name;
        int failed = ask_once(kind, id, room, len, &name);
        if (failed == ERANGE) continue;
        if (!failed && name && strlen(name) <= OWNER_NAME_MAX) memcpy(out, name, strlen(name) + 1);
        return;
    }
}

struct span owner_name(struct metadata_names *names, enum owner_kind kind, uint32_t id,
                       char room[static OWNER_NAME_MAX + 1])
{
    struct slot *slot = &names->slots[kind][id % SLOTS];
    (void)pthread_mutex_lock(&names->mutex);
    if (!slot->used || slot->id != id) {
        ask(kind, id, slot->name);
        slot->used = true;
        slot->id = id;
    }
    size_t len = strlen(slot->name);
    memcpy(room, slot->name, len + 1);
    (void)pthread_mutex_unlock(&names->mutex);
    return span_of(room, len);
}
