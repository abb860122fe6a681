#include "transporter/pipeline/restore_run.h"
#include "tree.h"

#include "common/base/file.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* A run with a destination and nothing else. */
struct flush_rig {
    struct tree out;
    struct restore_options options;
    struct destination *destination;
    struct restore_run run;
};

static const struct inlet_ops no_ops;

static void rig_make(struct flush_rig *rig)
{
    struct err err = {0};
    *rig = (struct flush_rig){.out = tree_make(), .options.inlet.ops = &no_ops};
    rig->run.options = &rig->options;
    cr_assert(destination_open(NULL, rig->out.path, &rig->destination, &rig->run.fresh, &err), "%s",
              err.text);
    rig->run.destination = rig->destination;
    (void)pthread_mutex_init(&rig->run.lock, NULL);
    (void)pthread_cond_init(&rig->run.window_moved, NULL);
    restore_queue_init(&rig->run.frames, 1);
    cr_assert(restore_flush_start(&rig->run.flush, &rig->run, &err), "%s", err.text);
}

static void rig_free(struct flush_rig *rig)
{
    destination_close(rig->destination);
    restore_queue_deinit(&rig->run.frames);
    (void)pthread_cond_destroy(&rig->run.window_moved);
    (void)pthread_mutex_destroy(&rig->run.lock);
    tree_remove(&rig->out);
}

/* Leaves the destination a descriptor that cannot be synced. */
static void break_destination(struct flush_rig *rig)
{
    struct err err = {0};
    AUTO(fd) int null = open("/dev/null", O_PATH | O_CLOEXEC);
    for (int fd = 3; fd < 256 && destination_sync(rig->destination, &err); fd++) {
        char name[64], path[4096];
        (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
        ssize_t len = readlink(name, path, sizeof(path) - 1);
        path[len > 0 ? len : 0] = '\0';
        if (fd != rig->out.fd && strcmp(path, rig->out.path) == 0) cr_assert_eq(dup2(null, fd), fd);
    }
    cr_assert_not(destination_sync(rig->destination, &err));
}

static void expect_failed_sync(struct flush_rig *rig)
{
    (void)pthread_mutex_lock(&rig->run.lock);
    while (rig->run.fatal.code == ERR_NONE)
        (void)pthread_cond_wait(&rig->run.window_moved, &rig->run.lock);
    (void)pthread_mutex_unlock(&rig->run.lock);
    restore_flush_end(&rig->run.flush);
    struct err err = {0};
    cr_assert_not(restore_going_on(&rig->run, &err));
    cr_assert_str_eq(err.text, "cannot sync the destination: Bad file descriptor");
}

Test(restore_flush, an_error_of_the_disk_stops_the_restore_at_once, .timeout = 120)
{
    struct flush_rig rig;
    rig_make(&rig);
    break_destination(&rig);
    restore_flush_note(&rig.run.flush, RESTORE_FLUSH_BYTES - 10);
    restore_flush_note(&rig.run.flush, 20);
    expect_failed_sync(&rig);
    rig_free(&rig);
}

Test(restore_flush, the_rest_is_synced_while_the_restore_finishes, .timeout = 120)
{
    struct flush_rig rig;
    rig_make(&rig);
    break_destination(&rig);
    restore_flush_note(&rig.run.flush, RESTORE_FLUSH_REST_BYTES);
    restore_flush_rest(&rig.run.flush);
    expect_failed_sync(&rig);
    rig_free(&rig);
}

Test(restore_flush, leaves_a_little_to_the_sync_in_the_end)
{
    struct flush_rig rig;
    rig_make(&rig);
    break_destination(&rig);
    restore_flush_note(&rig.run.flush, RESTORE_FLUSH_REST_BYTES - 1);
    restore_flush_rest(&rig.run.flush);
    restore_flush_end(&rig.run.flush);
    struct err err = {0};
    cr_assert(restore_going_on(&rig.run, &err), "%s", err.text);
    rig_free(&rig);
}
