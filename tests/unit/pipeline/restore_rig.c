#include "restore_rig.h"

#include "common/base/alloc.h"
#include "common/crypto/record.h"
#include "tests/support/one_frame.h"
#include "transporter/core/entry.h"
#include "transporter/core/refs.h"
#include "transporter/pipeline/backup.h"
#include "transporter/repository/fetch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

/* --- the inlet --- */

struct pass {
    struct faulty_inlet *faulty;
    const struct inlet_sink *sink;
};

static void note_bytes(struct faulty_inlet *faulty, size_t len)
{
    (void)pthread_mutex_lock(&faulty->lock);
    faulty->bytes += len;
    (void)pthread_mutex_unlock(&faulty->lock);
}

static bool pass_envelope(void *arg, struct span envelope, struct err *err)
{
    struct pass *pass = arg;
    note_bytes(pass->faulty, envelope.len);
    return pass->sink->envelope(pass->sink->arg, envelope, err);
}

static bool pass_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    struct pass *pass = arg;
    struct faulty_inlet *faulty = pass->faulty;
    AUTO(buf) struct buf bytes = {0};
    note_bytes(faulty, frame.len);
    if (hash_eq(id, &faulty->missing)) {
        struct err why = {0};
        (void)err_set(&why, ERR_NOT_FOUND, "it is in no pack");
        return pass->sink->missing(pass->sink->arg, id, &why, err);
    }
    if (hash_eq(id, &faulty->replaced))
        return pass->sink->frame(pass->sink->arg, id, buf_span(&faulty->replacement), err);
    bool planted = hash_eq(id, &faulty->planted) && pass->sink->skip == 0;
    if (!planted && !hash_eq(id, &faulty->spoilt)) return pass->sink->frame(pass->sink->arg, id, frame, err);
    buf_put_span(&bytes, frame);
    bytes.data[bytes.len - 1] ^= 1;
    return pass->sink->frame(pass->sink->arg, id, buf_span(&bytes), err);
}

static bool pass_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    struct pass *pass = arg;
    return pass->sink->missing(pass->sink->arg, id, why, err);
}

static size_t enter(struct faulty_inlet *faulty, size_t count)
{
    (void)pthread_mutex_lock(&faulty->lock);
    size_t number = ++faulty->fetches;
    faulty->ids += count;
    if (faulty->meanwhile) faulty->meanwhile(faulty->meanwhile_arg);
    if (number == faulty->block_at) {
        faulty->blocked = true;
        (void)pthread_cond_broadcast(&faulty->changed);
        while (!faulty->cancelled)
            (void)pthread_cond_wait(&faulty->changed, &faulty->lock);
    }
    (void)pthread_mutex_unlock(&faulty->lock);
    return number;
}

static bool fetch(void *self, const struct hash *ids, size_t count, const struct inlet_sink *sink,
                  struct err *err)
{
    struct faulty_inlet *faulty = self;
    struct pass pass = {.faulty = faulty, .sink = sink};
    struct inlet_sink to = {.envelope = pass_envelope,
                            .frame = pass_frame,
                            .missing = pass_missing,
                            .arg = &pass,
                            .skip = sink->skip};
    if (to.skip > 0 && count == 1 && hash_eq(&ids[0], &faulty->planted)) to.skip--;
    size_t number = enter(faulty, count);
    if (faulty->block_at && number >= faulty->block_at) return err_set(err, ERR_CANCELLED, "cancelled");
    if (number == faulty->fail_at) return err_set(err, ERR_UNREACHABLE, "the other side is gone");
    if (number == faulty->tell_nothing_at) return true;
    return faulty->inner.ops->fetch(faulty->inner.self, ids, count, &to, err);
}

static void cancel(void *self)
{
    struct faulty_inlet *faulty = self;
    (void)pthread_mutex_lock(&faulty->lock);
    faulty->cancelled = true;
    (void)pthread_cond_broadcast(&faulty->changed);
    (void)pthread_mutex_unlock(&faulty->lock);
}

struct inlet restore_rig_inlet(struct restore_rig *rig)
{
    static const struct inlet_ops ops = {.fetch = fetch, .cancel = cancel};
    return (struct inlet){.ops = &ops, .self = &rig->faulty, .fetches = rig->faulty.at_once};
}

/* --- making --- */

struct restore_rig *restore_rig_make(enum repository_kind kind)
{
    struct restore_rig *rig = xcalloc(1, sizeof(*rig));
    rig->tree = tree_make();
    rig->out = tree_make();
    rig->site = local_site_make(kind);
    (void)pthread_mutex_init(&rig->faulty.lock, NULL);
    (void)pthread_cond_init(&rig->faulty.changed, NULL);
    return rig;
}

void restore_rig_free(struct restore_rig *rig)
{
    opener_free(rig->opener);
    inlet_repository_free(rig->local);
    local_site_free(rig->site);
    tree_remove(&rig->out);
    tree_remove(&rig->tree);
    buf_deinit(&rig->faulty.replacement);
    (void)pthread_cond_destroy(&rig->faulty.changed);
    (void)pthread_mutex_destroy(&rig->faulty.lock);
    free(rig);
}

static bool newest(void *arg, const struct repository_point *point)
{
    *(struct id *)arg = point->point;
    return true;
}

static void read_point(struct restore_rig *rig, bool sealed)
{
    struct id id = {{0}};
    AUTO(buf) struct buf file = {0};
    AUTO(point) struct point *point = NULL;
    struct repository *repository = rig->site->repository;
    cr_assert(repository_points(repository, newest, &id, &rig->err), "%s", rig->err.text);
    cr_assert(repository_point_read(repository, &id, &file, &rig->err), "%s", rig->err.text);
    cr_assert(point_decode(buf_span(&file), &point, &rig->err), "%s", rig->err.text);
    rig->root = point->root;
    opener_free(rig->opener);
    inlet_repository_free(rig->local);
    rig->local = inlet_repository_new(repository);
    if (sealed) inlet_repository_restrict(rig->local, &point->domain_id);
    rig->opener = opener_new(sealed ? rig->site->keys.read : NULL, KEYS_DOMAIN);
    rig->faulty.inner = inlet_repository_inlet(rig->local);
}

void restore_rig_renew(struct restore_rig *rig)
{
    struct local_site *old = rig->site;
    rig->site = local_site_make(REPOSITORY_ENCRYPTED);
    struct keys fresh = rig->site->keys;
    rig->site->keys = old->keys;
    old->keys = fresh;
    local_site_free(old);
}

void restore_rig_plant(struct restore_rig *rig, enum frame_type type, const struct hash *id)
{
    static uint8_t run = 100;
    struct sealing_options options = keys_sealing(&rig->site->keys, local_site_begin(rig->site, run++));
    options.run = rig->site->keys.run;
    AUTO(sealing) struct sealing *sealing = NULL;
    AUTO(frame_sealer) struct frame_sealer *sealer = NULL;
    AUTO(buf) struct buf frame = {0};
    AUTO(buf) struct buf batch = {0};
    struct err *err = &rig->err;
    cr_assert(sealing_new(&options, &sealing, err), "%s", err->text);
    cr_assert(sealing_sealer(sealing, &sealer, err), "%s", err->text);
    struct span content = span_str("something else");
    struct frame_input input = {
        .type = type, .chunk = *id, .raw_len = (uint32_t)content.len, .stored = content};
    uint8_t *out = buf_grow(&frame, frame_sealed_len(sealer, &input));
    cr_assert(frame_seal(sealer, &input, out, err), "%s", err->text);
    struct hash hash = hash_of(buf_span(&frame));
    record_append(&batch, RECORD_FRAME, buf_span(&frame));
    cr_assert(sealing_send(sealing, type == FRAME_NODE ? PACK_META : PACK_DATA, &batch, &hash, 1, NULL, err),
              "%s", err->text);
    local_site_end(rig->site);
}

struct hash restore_rig_plant_before(struct restore_rig *rig, const char *path, unsigned copies)
{
    struct hash id = restore_rig_chunk_of(rig, path);
    restore_rig_renew(rig);
    for (unsigned i = 0; i < copies; i++)
        restore_rig_plant(rig, FRAME_DATA, &id);
    rig->told_nothing = true;
    restore_rig_back_up(rig);
    struct hash same = restore_rig_chunk_of(rig, path);
    cr_assert(hash_eq(&same, &id));
    return id;
}

static bool has_nothing(void *self, const enum frame_type *types, const struct hash *ids, size_t count,
                        uint8_t *have, struct err *err)
{
    (void)self;
    (void)types;
    (void)ids;
    (void)err;
    memset(have, 0, count);
    return true;
}

void restore_rig_back_up(struct restore_rig *rig)
{
    struct outlet outlet = local_site_begin(rig->site, 1);
    struct outlet_ops deaf = *outlet.ops;
    deaf.ask = has_nothing;
    if (rig->told_nothing) outlet.ops = &deaf;
    struct repository_info info;
    repository_info(rig->site->repository, &info);
    bool sealed = info.kind == REPOSITORY_ENCRYPTED;
    const char *path = rig->tree.path;
    struct sealing_options sealing =
        sealed ? keys_sealing(&rig->site->keys, outlet) : keys_plain(&rig->site->keys, outlet);
    struct backup_options options = {
        .walk = {.paths = &path, .path_count = 1, .now_ns = ((uint64_t)time(NULL) + 3600) * 1000000000u},
        .host = "host",
        .place = SEAL_HERE,
        .writer = sealing.writer,
        .run = sealing.run,
        .half = sealing.half,
        .cipher = sealing.cipher,
        .padding = sealing.padding,
        .compress = sealing.compress,
        .threads = 2,
        .outlet = outlet,
        .identity = keys_identity(&rig->site->keys),
    };
    struct backup_result result;
    struct image_source image = {.path = rig->image};
    options.identity.point = id_random();
    cr_assert(rig->image ? backup_image(&options, &image, &result, &rig->err)
                         : backup_tree(&options, &result, &rig->err),
              "%s", rig->err.text);
    local_site_end(rig->site);
    read_point(rig, sealed);
}

/* --- restoring --- */

void restore_rig_choose(struct restore_rig *rig, const char *path)
{
    size_t at = rig->options.path_count++;
    (void)snprintf(rig->path_text[at], sizeof(rig->path_text[at]), "%s", tree_name(&rig->tree, path));
    rig->paths[at] = span_str(rig->path_text[at]);
    rig->options.paths = rig->paths;
}

static void note_warning(void *arg, struct span path, const struct err *what)
{
    struct restore_rig *rig = arg;
    size_t len = path.len < sizeof(rig->warned_path) ? path.len : sizeof(rig->warned_path) - 1;
    rig->warning_count++;
    memcpy(rig->warned_path, path.data, len);
    rig->warned_path[len] = '\0';
    rig->warned = *what;
}

static void prepare(struct restore_rig *rig)
{
    struct restore_options *options = &rig->options;
    rig->warning_count = 0;
    rig->err = (struct err){0};
    memset(&rig->progress, 0, sizeof(rig->progress));
    options->opener = rig->opener;
    options->inlet = restore_rig_inlet(rig);
    options->root = rig->root;
    if (!options->destination) options->destination = rig->out.path;
    if (!options->threads) options->threads = 2;
    options->progress = &rig->progress;
    options->warning = note_warning;
    options->arg = rig;
    options->cancelled = &rig->cancelled;
}

static bool restore(struct restore_rig *rig)
{
    return rig->image ? restore_object(&rig->options, &rig->result, &rig->err)
                      : restore_tree(&rig->options, &rig->result, &rig->err);
}

static void *run_thread(void *arg)
{
    struct restore_rig *rig = arg;
    rig->done = restore(rig);
    return NULL;
}

void restore_rig_start(struct restore_rig *rig)
{
    prepare(rig);
    cr_assert_eq(pthread_create(&rig->thread, NULL, run_thread, rig), 0);
}

bool restore_rig_join(struct restore_rig *rig)
{
    (void)pthread_join(rig->thread, NULL);
    return rig->done;
}

bool restore_rig_try(struct restore_rig *rig, enum overwrite overwrite)
{
    rig->options.overwrite = overwrite;
    prepare(rig);
    return restore(rig);
}

void restore_rig_run(struct restore_rig *rig, enum overwrite overwrite)
{
    cr_assert(restore_rig_try(rig, overwrite), "%s", rig->err.text);
}

void restore_rig_await_blocked(struct restore_rig *rig)
{
    (void)pthread_mutex_lock(&rig->faulty.lock);
    while (!rig->faulty.blocked)
        (void)pthread_cond_wait(&rig->faulty.changed, &rig->faulty.lock);
    (void)pthread_mutex_unlock(&rig->faulty.lock);
}

/* --- comparing --- */

const char *restore_rig_out(const struct restore_rig *rig, const char *path)
{
    static char name[8192];
    (void)snprintf(name, sizeof(name), "%s/%s", rig->out.path, tree_name(&rig->tree, path));
    return name;
}

bool restore_rig_exists(const struct restore_rig *rig, const char *path)
{
    struct stat there;
    return lstat(restore_rig_out(rig, path), &there) == 0;
}

static void same_xattrs(const char *path, const char *a, const char *b)
{
    char one[4096], other[4096];
    ssize_t len = llistxattr(a, one, sizeof(one));
    cr_assert_eq(llistxattr(b, other, sizeof(other)), len, "%s: xattrs", path);
    for (const char *name = one; len > 0 && name < one + len; name += strlen(name) + 1) {
        char value[512], back[512];
        ssize_t size = lgetxattr(a, name, value, sizeof(value));
        cr_assert(size >= 0 && lgetxattr(b, name, back, sizeof(back)) == size, "%s: %s", path, name);
        cr_assert_eq(memcmp(value, back, (size_t)size), 0, "%s: %s", path, name);
    }
}

static void same_content(const char *path, const struct stat *st, const char *a, const char *b)
{
    if (S_ISLNK(st->st_mode)) {
        char one[512] = {0}, other[512] = {0};
        cr_assert(readlink(a, one, 511) > 0 && readlink(b, other, 511) > 0);
        cr_assert_str_eq(one, other, "%s", path);
    }
    if (!S_ISREG(st->st_mode)) return;
    struct tree whole = {.fd = AT_FDCWD};
    struct hash one = tree_hash(&whole, a), other = tree_hash(&whole, b);
    cr_assert(hash_eq(&one, &other), "%s: content", path);
}

void restore_rig_assert_same(const struct restore_rig *rig, const char *path)
{
    char a[8192], b[8192];
    struct stat one, other;
    (void)snprintf(a, sizeof(a), "%s/%s", rig->tree.path, path);
    (void)snprintf(b, sizeof(b), "%s", restore_rig_out(rig, path));
    cr_assert_eq(lstat(a, &one), 0, "%s", a);
    cr_assert_eq(lstat(b, &other), 0, "%s is not restored", path);
    cr_assert_eq(one.st_mode, other.st_mode, "%s: mode %o", path, other.st_mode);
    cr_assert(one.st_uid == other.st_uid && one.st_gid == other.st_gid, "%s: owner", path);
    cr_assert_eq(one.st_rdev, other.st_rdev, "%s: device", path);
    cr_assert(one.st_mtim.tv_sec == other.st_mtim.tv_sec && one.st_mtim.tv_nsec == other.st_mtim.tv_nsec,
              "%s: mtime", path);
    if (!S_ISDIR(one.st_mode))
        cr_assert(one.st_size == other.st_size && one.st_nlink == other.st_nlink, "%s", path);
    same_xattrs(path, a, b);
    same_content(path, &one, a, b);
}

/* --- looking inside --- */

struct wanted {
    struct restore_rig *rig;
    const char *path;
    struct hash id;
};

static bool find_chunk(void *arg, struct span path, const struct entry *entry, struct err *err)
{
    struct wanted *wanted = arg;
    if (!span_eq(path, span_str(wanted->path))) return true;
    struct reader reader = reader_of(entry->refs);
    struct ref ref = {.kind = REF_HOLE};
    while (ref.kind == REF_HOLE)
        if (!ref_decode(&reader, &ref, err)) return false;
    wanted->id = opener_chunk_id(wanted->rig->opener, FRAME_DATA, &ref.content);
    return true;
}

struct hash restore_rig_chunk_of(struct restore_rig *rig, const char *path)
{
    struct wanted wanted = {.rig = rig, .path = tree_name(&rig->tree, path)};
    cr_assert(restore_list(rig->opener, &rig->faulty.inner, &rig->root, span_of(NULL, 0), find_chunk, &wanted,
                           &rig->err),
              "%s", rig->err.text);
    cr_assert(!hash_is_zero(&wanted.id), "%s", path);
    return wanted.id;
}

void restore_rig_frame(struct restore_rig *rig, const struct hash *id, struct buf *frame)
{
    AUTO(buf) struct buf envelope = {0};
    cr_assert(one_frame(rig->site->repository, id, frame, &envelope, &rig->err), "%s", rig->err.text);
}
