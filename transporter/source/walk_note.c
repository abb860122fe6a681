#include "transporter/source/walk_note.h"

#define PATH_SHOWN 300u

static const struct {
    enum walk_event event;
    enum err_code code;
    const char *text;
} notes[] = {
    [NOTE_NONE] = {WALK_WARNING, ERR_FAILED, ""},
    [NOTE_FAULT] = {WALK_WARNING, ERR_SYSTEM, ""},
    [NOTE_GONE] = {WALK_WARNING, ERR_NOT_FOUND, "vanished while the tree was read"},
    [NOTE_REPLACED] = {WALK_WARNING, ERR_FAILED, "was replaced by something else while the tree was read"},
    [NOTE_LONG_PATH] = {WALK_WARNING, ERR_LIMIT, "has a path that is too long to be stored"},
    [NOTE_LINK_CHOSEN] = {WALK_WARNING, ERR_FAILED,
                          "is a symbolic link: the link is backed up, not what it leads to"},
    [NOTE_LINK_ON_THE_WAY] = {WALK_WARNING, ERR_FAILED,
                              "is a symbolic link: choose the path that it leads to"},
    [NOTE_SOCKET] = {WALK_SKIPPED, ERR_POLICY, "is a socket"},
    [NOTE_ALWAYS_EXCLUDED] = {WALK_SKIPPED, ERR_POLICY, "belongs to sealift itself"},
    [NOTE_PSEUDO] = {WALK_SKIPPED, ERR_POLICY, "is a file system of the kernel's own"},
    [NOTE_OTHER_MOUNT] = {WALK_SKIPPED, ERR_POLICY, "is another file system"},
    [NOTE_TAGGED] = {WALK_SKIPPED, ERR_POLICY, "is marked as a cache by its CACHEDIR.TAG"},
};

enum walk_event walk_note(enum scan_note what, int sys, struct span path, struct err *note)
{
    int len = (int)(path.len > PATH_SHOWN ? PATH_SHOWN : path.len);
    const char *cut = path.len > PATH_SHOWN ? "..." : "";
    if (what == NOTE_FAULT)
        (void)err_sys(note, sys, "cannot read '/%.*s%s'", len, (const char *)path.data, cut);
    else
        (void)err_set(note, notes[what].code, "'/%.*s%s' %s", len, (const char *)path.data, cut,
                      notes[what].text);
    return notes[what].event;
}
