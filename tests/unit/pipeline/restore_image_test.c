#include "loop_device.h"
#include "restore_rig.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "transporter/pipeline/image_cutter.h"
#include "transporter/pipeline/image_target.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MB = 1024 * 1024 };

static struct restore_rig *image_rig(void)
{
    static char path[80];
    struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    (void)snprintf(path, sizeof(path), "%s/image", rig->tree.path);
    rig->image = path;
    return rig;
}

static void assert_same_as(const struct restore_rig *rig, const char *name)
{
    struct stat was, is;
    struct hash one = tree_hash(&rig->tree, "image"), other = tree_hash(&rig->out, name);
    cr_assert(hash_eq(&one, &other), "%s", name);
    cr_assert(fstatat(rig->tree.fd, "image", &was, 0) == 0 && fstatat(rig->out.fd, name, &is, 0) == 0);
    cr_assert_eq(was.st_size, is.st_size);
    cr_assert_eq(was.st_mode, is.st_mode);
    cr_assert_eq(was.st_mtim.tv_sec, is.st_mtim.tv_sec);
    cr_assert_eq(was.st_mtim.tv_nsec, is.st_mtim.tv_nsec);
}

static bool out_exists(const struct restore_rig *rig, const char *name)
{
    struct stat there;
    return fstatat(rig->out.fd, name, &there, AT_SYMLINK_NOFOLLOW) == 0;
}

static void assert_finished(const struct restore_rig *rig)
{
    assert_same_as(rig, "image");
    cr_assert_not(out_exists(rig, "image" IMAGE_TARGET_PART));
    cr_assert_eq(rig->result.content_bytes, rig->progress.total_bytes);
}

/* Bytes in holes, as the file system tells them. */
static off_t hole_bytes(const struct tree *tree, const char *name)
{
    AUTO(fd) int fd = openat(tree->fd, name, O_RDONLY);
    off_t size = lseek(fd, 0, SEEK_END), holes = 0;
    for (off_t at = 0; at < size;) {
        off_t hole = lseek(fd, at, SEEK_HOLE);
        off_t data = lseek(fd, hole, SEEK_DATA);
        if (data < 0) data = size;
        holes += data - hole;
        at = data;
    }
    return holes;
}

static void write_zeros(const struct tree *tree, off_t offset, size_t len)
{
    AUTO(fd) int fd = openat(tree->fd, "image", O_WRONLY);
    AUTO(free) char *zeros = calloc(1, len);
    cr_assert_eq(pwrite(fd, zeros, len, offset), (ssize_t)len);
}

Test(restore_image, holes_and_zeros_are_holes_again)
{
    AUTO(restore_rig) struct restore_rig *rig = image_rig();
    tree_write(&rig->tree, "image", 5 * MB, 1, 3 * MB);
    write_zeros(&rig->tree, 20 * MB, 4 * MB);
    tree_truncate(&rig->tree, "image", 100 * MB + 3);
    cr_assert_eq(fchmodat(rig->tree.fd, "image", 0640, 0), 0);
    restore_rig_back_up(rig);
    restore_rig_run(rig, OVERWRITE_NEVER);
    assert_finished(rig);
    cr_assert_eq(hole_bytes(&rig->out, "image"), 97 * MB + 3);
    cr_assert(rig->result.entries == 1 && rig->result.files == 1);
    cr_assert_eq(rig->warning_count, 0, "%s", rig->warned.text);
}

Test(restore_image, every_size_comes_back)
{
    static const off_t sizes[] = {0, 1, IMAGE_GRANULE, IMAGE_GRANULE + 1, IMAGE_REGION, IMAGE_REGION + 1};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        AUTO(restore_rig) struct restore_rig *rig = image_rig();
        size_t tail = sizes[i] < 100 ? (size_t)sizes[i] : 100;
        tree_write(&rig->tree, "image", sizes[i] - (off_t)tail, 1, tail);
        restore_rig_back_up(rig);
        restore_rig_run(rig, OVERWRITE_NEVER);
        assert_finished(rig);
    }
}

Test(restore_image, a_destination_that_is_no_directory_is_the_files_name)
{
    AUTO(restore_rig) struct restore_rig *rig = image_rig();
    char path[128];
    tree_write(&rig->tree, "image", 0, 1, MB);
    restore_rig_back_up(rig);
    (void)snprintf(path, sizeof(path), "%s/new/copy.img", rig->out.path);
    rig->options.destination = path;
    rig->options.destination_root = rig->out.path;
    restore_rig_run(rig, OVERWRITE_NEVER);
    assert_same_as(rig, "new/copy.img");
    rig->options.destination_root = path; /* only this file is listed */
    restore_rig_run(rig, OVERWRITE_ALWAYS);
    assert_same_as(rig, "new/copy.img");
    cr_assert_eq(rig->result.skipped, 0);
}

Test(restore_image, a_destination_that_ends_with_a_slash_is_a_directory)
{
    AUTO(restore_rig) struct restore_rig *rig = image_rig();
    char path[128], root[128];
    tree_write(&rig->tree, "image", 0, 1, MB);
    restore_rig_back_up(rig);
    (void)snprintf(path, sizeof(path), "%s/new/below//", rig->out.path);
    (void)snprintf(root, sizeof(root), "%s/new/below", rig->out.path);
    rig->options.destination = path;
    rig->options.destination_root = root;
    restore_rig_run(rig, OVERWRITE_NEVER);
    assert_same_as(rig, "new/below/image");
}

/* One change of an image: data, zeros, a hole, or another size. */
static void edit(const struct tree *tree, uint64_t *random, off_t *size)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    uint64_t r = *random >> 16;
    off_t at = (off_t)(r % (uint64_t)(*size + 1));
    size_t len = (size_t)(r >> 20) % (3 * MB) + 1;
    switch (r % 5) {
    case 0:
    case 1:
        tree_write(tree, "image", at, r, len);
        break;
    case 2:
        write_zeros(tree, at, len);
        break;
    case 3: {
        AUTO(fd) int fd = openat(tree->fd, "image", O_WRONLY);
        (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, (off_t)len);
        break;
    }
    default:
        tree_truncate(tree, "image", *size / 2 + (off_t)len);
        break;
    }
    struct stat now;
    cr_assert_eq(fstatat(tree->fd, "image", &now, 0), 0);
    *size = now.st_size;
}

Test(restore_image, whatever_is_edited_comes_back)
{
    AUTO(restore_rig) struct restore_rig *rig = image_rig();
    uint64_t random = 20260722;
    off_t size = 66 * MB;
    tree_write(&rig->tree, "image", 63 * MB, 1, 3 * MB);
    for (int round = 0; round < 12; round++) {
        for (int i = 0; i < 4; i++)
            edit(&rig->tree, &random, &size);
        rig->options.threads = (unsigned)round % 3 + 1;
        restore_rig_back_up(rig);
        restore_rig_run(rig, OVERWRITE_ALWAYS);
        assert_finished(rig);
    }
}

/* --- what is there already --- */

Test(restore_image, overwrite_says_what_becomes_of_a_file)
{
    AUTO(restore_rig) struct restore_rig *rig = image_rig();
    tree_write(&rig->tree, "image", 0, 1, MB);
    restore_rig_back_up(rig);
    tree_write(&rig->out, "image", 0, 2, 1000);
    struct hash old = tree_hash(&rig->out, "image");
    restore_rig_run(rig, OVERWRITE_NEVER);
    struct hash now = tree_hash(&rig->out, "image");
    cr_assert(hash_eq(&old, &now) && rig->result.skipped == 1);
    restore_rig_run(rig, OVERWRITE_CHANGED);
    assert_finished(rig);
    restore_rig_run(rig, OVERWRITE_CHANGED);
    cr_assert_eq(rig->result.skipped, 1, "it is the same by size and time");
    restore_rig_run(rig, OVERWRITE_ALWAYS);
    cr_assert_eq(rig->result.skipped, 0);
    assert_finished(rig);
}

Test(restore_image, a_link_in_its_place_is_replaced_not_followed)
{
    AUTO(restore_rig) struct restore_rig *rig = image_rig();
    tree_write(&rig->tree, "image", 0, 1, MB);
    restore_rig_back_up(rig);
    tree_write(&rig->out, "victim", 0, 2, 1000);
    struct hash old = tree_hash(&rig->out, "victim");
    cr_assert_eq(symlinkat("victim", rig->out.fd, "image"), 0);
    restore_rig_run(rig, OVERWRITE_ALWAYS);
    assert_finished(rig);
    struct hash now = tree_hash(&rig->out, "victim");
    cr_assert(hash_eq(&old, &now));
}

Test(restore_image, a_link_on_the_way_is_refused)
{
    AUTO(restore_rig) struct restore_rig *rig = image_rig();
    char path[128];
    tree_write(&rig->tree, "image", 0, 1, MB);
    restore_rig_back_up(rig);
    tree_dir(&rig->out, "elsewhere");
    cr_assert_eq(symlinkat("elsewhere", rig->out.fd, "link"), 0);
    static const char *const ways[] = {"link", "link/image"};
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", rig->out.path, ways[i]);
        rig->options.destination = path;
        rig->options.destination_root = rig->out.path;
        cr_assert_not(restore_rig_try(rig, OVERWRITE_ALWAYS));
        cr_assert_eq(rig->err.code, ERR_POLICY, "%s", rig->err.text);
    }
    cr_assert_not(out_exists(rig, "elsewhere/image"));
}

/* A run that fails while all its windows are under way has written nothing that another could go on with. */
static void fails_when_half_is_written(void *arg)
{
    struct restore_rig *rig = arg;
    uint64_t until_ms = clock_steady_ms() + 60000;
    while (rig->faulty.fetches >= rig->faulty.fail_at && clock_steady_ms() < until_ms &&
           atomic_load(&rig->progress.content_bytes) < 46 * MB)
        clock_wait(&rig->faulty.changed, &rig->faulty.lock, clock_steady_ms() + 5);
}

Test(restore_image, an_interrupted_one_goes_on_where_it_was)
{
    AUTO(restore_rig) struct restore_rig *rig = image_rig();
    tree_write(&rig->tree, "image", 3 * MB, 1, 90 * MB);
    restore_rig_back_up(rig);
    restore_rig_run(rig, OVERWRITE_NEVER);
    size_t fetches = rig->faulty.fetches, ids = rig->faulty.ids;
    cr_assert_eq(unlinkat(rig->out.fd, "image", 0), 0);
    rig->faulty.fetches = rig->faulty.ids = 0;
    rig->faulty.fail_at = fetches; /* the last one */
    rig->faulty.meanwhile = fails_when_half_is_written;
    rig->faulty.meanwhile_arg = rig;
    cr_assert_not(restore_rig_try(rig, OVERWRITE_NEVER));
    cr_assert_eq(rig->err.code, ERR_UNREACHABLE);
    cr_assert(out_exists(rig, "image" IMAGE_TARGET_PART) && !out_exists(rig, "image"));
    rig->faulty = (struct faulty_inlet){.inner = rig->faulty.inner};
    (void)pthread_mutex_init(&rig->faulty.lock, NULL);
    (void)pthread_cond_init(&rig->faulty.changed, NULL);
    restore_rig_run(rig, OVERWRITE_NEVER);
    assert_finished(rig);
    /* windows under way when the last one failed are fetched again */
    cr_assert_lt(rig->faulty.ids, ids * 3 / 4, "%zu of %zu", rig->faulty.ids, ids);
}

Test(restore_image, nothing_of_an_old_part_shows_through)
{
    AUTO(restore_rig) struct restore_rig *rig = image_rig();
    tree_write(&rig->tree, "image", 4 * MB, 1, MB);
    tree_truncate(&rig->tree, "image", 10 * MB + 5);
    restore_rig_back_up(rig);
    tree_write(&rig->out, "image" IMAGE_TARGET_PART, 0, 9, 12 * MB);
    cr_assert_eq(fchmodat(rig->out.fd, "image" IMAGE_TARGET_PART, 0600, 0), 0);
    restore_rig_run(rig, OVERWRITE_NEVER);
    assert_finished(rig);
}

Test(restore_image, a_part_that_others_could_write_is_not_gone_on_with)
{
    AUTO(restore_rig) struct restore_rig *rig = image_rig();
    tree_write(&rig->tree, "image", 0, 1, MB);
    restore_rig_back_up(rig);
    tree_write(&rig->out, "image" IMAGE_TARGET_PART, 0, 9, 1000); /* mode 0644 */
    cr_assert_not(restore_rig_try(rig, OVERWRITE_ALWAYS));
    cr_assert_eq(rig->err.code, ERR_EXISTS);
    cr_assert_eq(fchmodat(rig->out.fd, "image" IMAGE_TARGET_PART, 0600, 0), 0);
    cr_assert_eq(linkat(rig->out.fd, "image" IMAGE_TARGET_PART, rig->out.fd, "other", 0), 0);
    cr_assert_not(restore_rig_try(rig, OVERWRITE_ALWAYS));
    cr_assert_eq(rig->err.code, ERR_EXISTS);
}

/* --- what may go wrong --- */

Test(restore_image, damage_is_named_and_leaves_no_file_that_looks_whole)
{
    AUTO(restore_rig) struct restore_rig *rig = image_rig();
    tree_write(&rig->tree, "image", 0, 1, 60000);
    restore_rig_back_up(rig);
    AUTO(buf) struct buf bytes = {0};
    cr_assert(file_read(rig->tree.fd, "image", MB, &bytes, &rig->err));
    struct hash content = hash_of(buf_span(&bytes));
    rig->faulty.spoilt = opener_chunk_id(rig->opener, FRAME_DATA, &content);
    cr_assert_not(restore_rig_try(rig, OVERWRITE_NEVER));
    cr_assert_eq(rig->err.code, ERR_DAMAGED, "%s", rig->err.text);
    cr_assert_eq(rig->result.failed, 1);
    cr_assert_not(out_exists(rig, "image"));
}

Test(restore_image, cancelling_ends_it)
{
    AUTO(restore_rig) struct restore_rig *rig = image_rig();
    tree_write(&rig->tree, "image", 0, 1, 10 * MB);
    restore_rig_back_up(rig);
    rig->faulty.block_at = 3;
    restore_rig_start(rig);
    restore_rig_await_blocked(rig);
    rig->cancelled = true;
    cr_assert_not(restore_rig_join(rig));
    cr_assert_eq(rig->err.code, ERR_CANCELLED);
    cr_assert_not(out_exists(rig, "image"));
}

Test(restore_image, of_a_tree_is_refused)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_PLAINTEXT);
    tree_file(&rig->tree, "file", 1, 100);
    restore_rig_back_up(rig);
    rig->image = "";
    cr_assert_not(restore_rig_try(rig, OVERWRITE_NEVER));
    cr_assert_eq(rig->err.code, ERR_USAGE);
    cr_assert_str_eq(rig->err.text, "the recovery point holds files, not an image or a stream");
}

/* --- devices --- */

static void fill_device(const struct loop_device *device, uint64_t seed, size_t len)
{
    struct tree whole = {.fd = AT_FDCWD};
    tree_write(&whole, device->path, 0, seed, len);
}

static struct hash device_hash(const struct loop_device *device, size_t len)
{
    AUTO(buf) struct buf bytes = {0};
    struct err err;
    cr_assert(fd_pread_all(device->fd, buf_grow(&bytes, len), len, 0, device->path, &err), "%s", err.text);
    return hash_of(buf_span(&bytes));
}

/* An image of 8 MB and 5 bytes with a hole, to be restored to the device. */
static struct restore_rig *device_rig(const struct loop_device *device)
{
    struct restore_rig *rig = image_rig();
    tree_write(&rig->tree, "image", 2 * MB, 1, MB);
    tree_truncate(&rig->tree, "image", 8 * MB + 5);
    restore_rig_back_up(rig);
    rig->options.destination = device->path;
    rig->options.destination_root = device->path;
    return rig;
}

Test(restore_image, a_device_holds_nothing_else_afterwards)
{
    AUTO(loop_device) struct loop_device device = loop_device_make(9 * MB);
    AUTO(restore_rig) struct restore_rig *rig = device_rig(&device);
    struct hash wanted = tree_hash(&rig->tree, "image");
    for (int overwrite = OVERWRITE_CHANGED; overwrite <= OVERWRITE_ALWAYS; overwrite++) {
        fill_device(&device, 77, 9 * MB);
        restore_rig_run(rig, (enum overwrite)overwrite);
        struct hash now = device_hash(&device, 8 * MB + 5);
        cr_assert(hash_eq(&wanted, &now));
        cr_assert_eq(rig->warning_count, 1);
        cr_assert_not_null(strstr(rig->warned.text, "its last 1048571 bytes are left"), "%s",
                           rig->warned.text);
    }
    size_t ids = rig->faulty.ids;
    restore_rig_run(rig, OVERWRITE_CHANGED);
    cr_assert_leq(rig->faulty.ids - ids, 2, "nothing is fetched that is there: root and leaf alone");
}

Test(restore_image, a_device_that_may_not_be_written_is_not)
{
    AUTO(loop_device) struct loop_device device = loop_device_make(9 * MB), small = loop_device_make(8 * MB);
    AUTO(restore_rig) struct restore_rig *rig = device_rig(&device);
    fill_device(&device, 77, 9 * MB);
    fill_device(&small, 77, 8 * MB);
    struct hash old = device_hash(&device, 9 * MB), small_old = device_hash(&small, 8 * MB);
    cr_assert_not(restore_rig_try(rig, OVERWRITE_NEVER));
    cr_assert_eq(rig->err.code, ERR_EXISTS);
    rig->options.destination_root = "/dev"; /* all of it is allowed, but it is not named */
    cr_assert_not(restore_rig_try(rig, OVERWRITE_ALWAYS));
    cr_assert_eq(rig->err.code, ERR_POLICY);
    rig->options.destination_root = device.path;
    AUTO(fd) int user = open(device.path, O_RDONLY | O_EXCL | O_CLOEXEC); /* as a mount does */
    cr_assert(user >= 0);
    cr_assert_not(restore_rig_try(rig, OVERWRITE_ALWAYS));
    cr_assert_eq(rig->err.code, ERR_FAILED, "%s", rig->err.text);
    rig->options.destination = rig->options.destination_root = small.path;
    cr_assert_not(restore_rig_try(rig, OVERWRITE_ALWAYS));
    cr_assert_eq(rig->err.code, ERR_LIMIT);
    struct hash now = device_hash(&device, 9 * MB), small_now = device_hash(&small, 8 * MB);
    cr_assert(hash_eq(&old, &now) && hash_eq(&small_old, &small_now));
}

Test(restore_image, of_a_device_comes_back_as_a_file)
{
    AUTO(loop_device) struct loop_device device = loop_device_make(20 * MB);
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    struct stat st;
    fill_device(&device, 5, 6 * MB);
    rig->image = device.path;
    restore_rig_back_up(rig);
    restore_rig_run(rig, OVERWRITE_NEVER);
    const char *name = strrchr(device.path, '/') + 1;
    struct hash was = device_hash(&device, 20 * MB), is = tree_hash(&rig->out, name);
    cr_assert(hash_eq(&was, &is));
    cr_assert_eq(hole_bytes(&rig->out, name), 14 * MB);
    cr_assert(fstatat(rig->out.fd, name, &st, 0) == 0 && (st.st_mode & 07777) == 0600);
}
