#include "director/loop/self_backup.h"

#include "common/base/alloc.h"
#include "common/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TEMP_NAME ".tmp-director.sealift"
#define NAME_FORMAT "director-%Y%m%dT%H%M%SZ.sealift"
enum { NAME_LEN = sizeof("director-20261122T033000Z.sealift") - 1 };

bool self_backup_begin(const char *directory, char **out, struct err *err)
{
    if (mkdir(directory, 0700) != 0 && errno != EEXIST)
        return err_sys(err, errno, "cannot make '%s'", directory);
    char *path = xasprintf("%s/%s", directory, TEMP_NAME);
    (void)unlink(path);
    *out = path;
    return true;
}

/* The time that a name tells; false: it is not one of ours. */
static bool parse_name(const char *name, uint64_t *time_ns)
{
    struct tm parts = {0};
    if (strlen(name) != NAME_LEN) return false;
    const char *end = strptime(name, NAME_FORMAT, &parts);
    if (!end || *end) return false;
    time_t seconds = timegm(&parts);
    if (seconds < 0) return false;
    *time_ns = (uint64_t)seconds * 1000000000;
    return true;
}

static int is_bundle(const struct dirent *entry)
{
    uint64_t time_ns;
    return parse_name(entry->d_name, &time_ns);
}

struct listing {
    struct dirent **names; /* by name: by time */
    int count;             /* -1: errno */
};

static void listing_deinit(struct listing *listing)
{
    for (int i = 0; i < listing->count; i++)
        free(listing->names[i]);
    free(listing->names);
}
DEFINE_AUTO_IN_PLACE(listing, struct listing, listing_deinit)

uint64_t self_backup_newest(const char *directory)
{
    AUTO(listing) struct listing listing = {0};
    uint64_t time_ns = 0;
    listing.count = scandir(directory, &listing.names, is_bundle, alphasort);
    if (listing.count > 0) (void)parse_name(listing.names[listing.count - 1]->d_name, &time_ns);
    return time_ns;
}

static bool forget_old(const char *directory, int dirfd, unsigned keep, struct err *err)
{
    AUTO(listing) struct listing listing = {0};
    listing.count = scandir(directory, &listing.names, is_bundle, alphasort);
    if (listing.count < 0) return err_sys(err, errno, "cannot list '%s'", directory);
    for (int i = 0; i + (int)keep < listing.count; i++)
        if (unlinkat(dirfd, listing.names[i]->d_name, 0) != 0)
            return err_sys(err, errno, "cannot remove '%s/%s'", directory, listing.names[i]->d_name);
    return true;
}

bool self_backup_publish(const char *directory, const char *written, uint64_t time_ns, unsigned keep,
                         struct err *err)
{
    char name[NAME_LEN + 1];
    struct tm parts;
    time_t seconds = (time_t)(time_ns / 1000000000);
    if (!gmtime_r(&seconds, &parts) || strftime(name, sizeof(name), NAME_FORMAT, &parts) != NAME_LEN)
        return err_set(err, ERR_FAILED, "the clock tells no time that can be a name");
    AUTO(fd) int dirfd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0) return err_sys(err, errno, "cannot open '%s'", directory);
    if (renameat(AT_FDCWD, written, dirfd, name) != 0)
        return err_sys(err, errno, "cannot rename '%s' to '%s'", written, name);
    return dir_sync(dirfd, directory, err) && forget_old(directory, dirfd, keep, err);
}
