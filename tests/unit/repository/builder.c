#include "builder.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "tests/support/remove_tree.h"
#include "transporter/repository/fetch.h"
#include "transporter/repository/id_set.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct id id_of(uint8_t seed)
{
    struct id id;
    memset(id.bytes, seed, sizeof(id.bytes));
    return id;
}

/* --- a writer --- */

/* One key for the whole test program, as the writers of a site have. */
static const struct read_half *site_key(void)
{
    static struct read_half *key;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    (void)pthread_mutex_lock(&lock);
    if (!key) {
        uint8_t s[KEY_SECRET_LEN] = {7};
        key = read_half_new(s);
    }
    (void)pthread_mutex_unlock(&lock);
    return key;
}

struct writer *writer_new_in(enum repository_kind kind, uint8_t seed, const char *domain)
{
    struct err err;
    struct writer *writer = xcalloc(1, sizeof(*writer));
    uint8_t bytes[32];
    memset(bytes, seed, sizeof(bytes));
    writer->kind = kind;
    writer->pair = sign_pair_new(bytes);
    writer->site = id_of(0x51);
    writer->seal = id_of(seed);
    if (kind == REPOSITORY_PLAINTEXT) {
        plaintext_dedup_key(writer->dedup);
        cr_assert(frame_sealer_new(NULL, CIPHER_NONE, PADDING_NONE, &writer->sealer, &err), "%s", err.text);
        return writer;
    }
    writer->half = write_half_of(site_key(), domain);
    memcpy(writer->dedup, writer->half->dedup_key->data, HASH_LEN);
    writer->domain = domain_id(writer->dedup);
    writer->run = run_key_new();
    writer->seal = writer->run->seal;
    buf_put_str(&writer->unlock, "an unlock section");
    cr_assert(frame_sealer_new(writer->run, CIPHER_AES_256_GCM, PADDING_NONE, &writer->sealer, &err), "%s",
              err.text);
    cr_assert(envelope_seal(writer->run, writer->half, writer->pair, writer->envelope, &err), "%s", err.text);
    return writer;
}

struct writer *writer_new(enum repository_kind kind, uint8_t seed)
{
    return writer_new_in(kind, seed, "t:source");
}

void writer_free(struct writer *writer)
{
    if (!writer) return;
    frame_sealer_free(writer->sealer);
    run_key_free(writer->run);
    write_half_free(writer->half);
    sign_pair_free(writer->pair);
    buf_deinit(&writer->frames);
    buf_deinit(&writer->hashes);
    buf_deinit(&writer->unlock);
    free(writer);
}

/* Bytes that follow from the number, and that no two numbers share. */
static void make_content(uint32_t content, size_t len, struct buf *out)
{
    uint64_t state = content * UINT64_C(0x9e3779b97f4a7c15) + 1;
    uint8_t *bytes = buf_grow(out, len);
    for (size_t i = 0; i < len; i++) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
        bytes[i] = (uint8_t)(state >> 56);
    }
}

struct hash writer_id(const struct writer *writer, enum frame_type type, uint32_t content, size_t len)
{
    AUTO(buf) struct buf plain = {0};
    make_content(content, len, &plain);
    struct hash hash = hash_of(buf_span(&plain));
    return chunk_id(writer->dedup, type, &hash);
}

static struct hash add_frame(struct writer *writer, struct frame_input *input, uint32_t content, size_t len)
{
    struct err err;
    AUTO(buf) struct buf plain = {0};
    AUTO(buf) struct buf frame = {0};
    make_content(content, len, &plain);
    struct hash hash = hash_of(buf_span(&plain));
    input->chunk = chunk_id(writer->dedup, input->type, &hash);
    input->raw_len = (uint32_t)len;
    input->stored = buf_span(&plain);
    uint8_t *out = buf_grow(&frame, frame_sealed_len(writer->sealer, input));
    cr_assert(frame_seal(writer->sealer, input, out, &err), "%s", err.text);
    struct hash frame_hash = hash_of(buf_span(&frame));
    buf_put(&writer->hashes, frame_hash.bytes, HASH_LEN);
    record_append(&writer->frames, RECORD_FRAME, buf_span(&frame));
    return input->chunk;
}

struct hash writer_data(struct writer *writer, uint32_t content, size_t len)
{
    struct frame_input input = {.type = FRAME_DATA};
    return add_frame(writer, &input, content, len);
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, HASH_LEN);
}

static struct hash *sorted(const struct hash *ids, size_t *count)
{
    struct hash *copy = xreallocarray(NULL, *count + 1, sizeof(*copy));
    if (*count) memcpy(copy, ids, *count * sizeof(*copy));
    qsort(copy, *count, sizeof(*copy), by_bytes);
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++)
        if (kept == 0 || !hash_eq(&copy[kept - 1], &copy[i])) copy[kept++] = copy[i];
    *count = kept;
    return copy;
}

struct hash writer_node(struct writer *writer, uint32_t content, const struct hash *nodes, size_t node_count,
                        const struct hash *datas, size_t data_count)
{
    struct frame_input input = {.type = FRAME_NODE};
    AUTO(free) struct hash *node_ids = sorted(nodes, &node_count);
    AUTO(free) struct hash *data_ids = sorted(datas, &data_count);
    input.nodes = node_ids;
    input.node_count = node_count;
    input.datas = data_ids;
    input.data_count = data_count;
    return add_frame(writer, &input, content, 40);
}

uint64_t writer_batch(struct writer *writer, enum pack_class class_, struct buf *out)
{
    AUTO(buf) struct buf list = {0};
    size_t count = writer->hashes.len / HASH_LEN;
    writer->number++;
    seal_list_encode(writer->pair, class_, &writer->seal, writer->number,
                     (const struct hash *)(const void *)writer->hashes.data, count, &list);
    buf_put_span(out, buf_span(&writer->frames));
    record_append(out, RECORD_LIST, buf_span(&list));
    buf_clear(&writer->frames);
    buf_clear(&writer->hashes);
    return writer->number;
}

void writer_point(const struct writer *writer, const struct id *point, const struct hash *root,
                  struct buf *out)
{
    writer_point_anew(writer, point, root, NULL, out);
}

void writer_point_anew(const struct writer *writer, const struct id *point, const struct hash *root,
                       const struct id *made_from, struct buf *out)
{
    Sealift__PointOrigin origin = SEALIFT__POINT_ORIGIN__INIT;
    struct err err;
    bool sealed = writer->kind == REPOSITORY_ENCRYPTED;
    struct hash unlock_hash = hash_of(buf_span(&writer->unlock));
    Sealift__PointCounts counts = SEALIFT__POINT_COUNTS__INIT;
    Sealift__PointBody body = SEALIFT__POINT_BODY__INIT;
    char job[] = "job", name[] = "writer", domain[] = "t:source", kind[] = "tree";
    body.version = 1;
    body.point = stored_bytes(span_of(point->bytes, ID_LEN));
    body.site = stored_bytes(span_of(writer->site.bytes, ID_LEN));
    body.run = stored_bytes(span_of(point->bytes, ID_LEN));
    body.job = job;
    body.writer = stored_bytes(span_of(writer->pair->pk, SIGN_PK_LEN));
    body.writer_name = name;
    body.root = stored_bytes(span_of(root->bytes, HASH_LEN));
    body.seal = stored_bytes(span_of(writer->seal.bytes, ID_LEN));
    body.cipher = sealed ? CIPHER_AES_256_GCM : CIPHER_NONE;
    body.domain = domain;
    if (sealed) {
        body.key_id = stored_bytes(span_of(writer->half->key_id.bytes, HASH_LEN));
        body.domain_id = stored_bytes(span_of(writer->domain.bytes, HASH_LEN));
        body.unlock_hash = stored_bytes(span_of(unlock_hash.bytes, HASH_LEN));
    }
    body.counts = &counts;
    body.object_kind = kind;
    if (made_from) {
        origin.point = origin.run = stored_bytes(span_of(made_from->bytes, ID_LEN));
        origin.writer =
            writer->origin_pk ? stored_bytes(span_of(writer->origin_pk, SIGN_PK_LEN)) : body.writer;
        origin.writer_name = name;
        body.origin = &origin;
    }
    AUTO(buf) struct buf payload = {0};
    AUTO(buf) struct buf signed_body = {0};
    cr_assert(stored_body_encode(&body, &payload, &err), "%s", err.text);
    stored_sign(writer->pair, "point", buf_span(&payload), &signed_body);
    Sealift__PointFile file = SEALIFT__POINT_FILE__INIT;
    file.body = stored_bytes(buf_span(&signed_body));
    if (sealed) file.unlock = stored_bytes(buf_span(&writer->unlock));
    cr_assert(stored_point_encode(&file, out, &err), "%s", err.text);
}

/* --- a repository --- */

static struct place *place_in(const char *root)
{
    struct place *place = xcalloc(1, sizeof(*place));
    uint8_t seed[32] = {99};
    place->root = xstrdup(root);
    place->path = xasprintf("%s/repository", root);
    place->state = xasprintf("%s/state", root);
    place->owner = sign_pair_new(seed);
    place->site = id_of(0x51);
    place->id = id_of(0x52);
    return place;
}

struct place *place_empty(void)
{
    /* in memory where that is possible: hundreds of repositories, each synced many times */
    char in_memory[] = "/dev/shm/sealift-repository-XXXXXX";
    char on_disk[] = "/tmp/sealift-repository-XXXXXX";
    char *root = mkdtemp(in_memory);
    if (!root) root = mkdtemp(on_disk);
    cr_assert(root);
    return place_in(root);
}

/* The driver of a directory, which mostly sets nothing aside: a reserve in each of hundreds of repositories,
 * and in the copies of them, would cost more than the tests. */
static bool open_storage(const struct place *place, struct storage *out, struct err *err)
{
    static struct storage_ops ops;
    if (!storage_directory_open(place->path, out, err)) return false;
    if (place->whole) return true;
    ops = *out->ops;
    ops.allocate = NULL;
    out->ops = &ops;
    return true;
}

bool place_create(const struct place *place, enum repository_kind kind, struct err *err)
{
    struct storage storage;
    if (!dir_make(place->path, 0700, err) || !open_storage(place, &storage, err)) return false;
    bool done =
        repository_create_on(&storage, &place->site, &place->id, kind, span_of(NULL, 0), place->owner, err);
    storage.ops->close(storage.self);
    return done;
}

bool repository_try_open(const struct place *place, struct repository **out, struct err *err)
{
    struct storage storage;
    struct repository_options options = {
        .path = place->path, .state_dir = place->state, .owner = place->owner};
    if (!open_storage(place, &storage, err)) return false;
    bool done = repository_open_on(&storage, &options, out, err);
    if (!done) storage.ops->close(storage.self);
    return done;
}

void place_open(struct place *place)
{
    struct err err;
    cr_assert(repository_try_open(place, &place->repository, &err), "%s", err.text);
}

struct fault *place_open_faulty(struct place *place)
{
    struct err err;
    struct storage storage;
    struct repository_options options = {
        .path = place->path, .state_dir = place->state, .owner = place->owner};
    cr_assert(storage_directory_open(place->path, &storage, &err), "%s", err.text);
    struct fault *fault = fault_new(&storage);
    storage = fault_storage(fault);
    cr_assert(repository_open_on(&storage, &options, &place->repository, &err), "%s", err.text);
    return fault;
}

void place_close(struct place *place)
{
    repository_close(place->repository);
    place->repository = NULL;
}

struct place *place_new(enum repository_kind kind)
{
    return place_new_as(kind, 0x52);
}

struct place *place_new_as(enum repository_kind kind, uint8_t id)
{
    struct err err;
    struct place *place = place_empty();
    place->id = id_of(id);
    cr_assert(place_create(place, kind, &err), "%s", err.text);
    place_open(place);
    return place;
}

void place_free(struct place *place)
{
    if (!place) return;
    place_close(place);
    (void)remove_tree(place->root);
    sign_pair_free(place->owner);
    free(place->root);
    free(place->path);
    free(place->state);
    free(place);
}

/* A byte written over another may be the same one, where contents are random: a flipped bit never is. */
static const char flip_function[] =
    "flip() { at=$1; shift; for file; do byte=$(od -An -tu1 -j\"$at\" -N1 \"$file\"); "
    "printf \"\\\\$(printf %03o $((byte ^ 32)))\" | "
    "dd of=\"$file\" bs=1 seek=\"$at\" conv=notrunc status=none; done; }; ";

PRINTF_LIKE(1, 0) static bool run(const char *fmt, va_list args)
{
    AUTO(free) char *command = NULL;
    if (vasprintf(&command, fmt, args) < 0) abort();
    AUTO(free) char *whole = xasprintf("%s%s", flip_function, command);
    return system(whole) == 0; /* NOLINT(cert-env33-c): fixed commands on paths of our own */
}

bool shell_works(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    bool done = run(fmt, args);
    va_end(args);
    return done;
}

void shell(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    bool done = run(fmt, args);
    va_end(args);
    cr_assert(done, "%s", fmt);
}

struct place *place_copy(const struct place *place)
{
    struct place *copy = place_empty();
    shell("cp -a '%s/.' '%s/'", place->root, copy->root);
    place_open(copy);
    return copy;
}

/* --- usual moves --- */

struct ingest *session_open(struct repository *repository, const struct writer *writer, uint8_t session)
{
    struct err err;
    struct ingest *ingest = NULL;
    struct ingest_options options = {.session = id_of(session),
                                     .kind = INGEST_WRITER,
                                     .seal = writer->seal,
                                     .domain = writer->domain,
                                     .min_free_bytes = 1};
    memcpy(options.writer, writer->pair->pk, SIGN_PK_LEN);
    cr_assert(ingest_open(repository, &options, &ingest, &err), "%s", err.text);
    if (writer->kind == REPOSITORY_ENCRYPTED)
        cr_assert(ingest_envelope(ingest, span_of(writer->envelope, ENVELOPE_LEN), &err), "%s", err.text);
    return ingest;
}

void session_send(struct ingest *ingest, struct writer *writer, enum pack_class class_)
{
    struct err err;
    AUTO(buf) struct buf batch = {0};
    uint64_t number = writer_batch(writer, class_, &batch);
    cr_assert(ingest_batch(ingest, number, buf_span(&batch), &err), "%s", err.text);
}

void session_wait(struct ingest *ingest, uint64_t number)
{
    for (int i = 0; i < 10000 && ingest_acknowledged(ingest) < number; i++)
        (void)usleep(1000);
    cr_assert_geq(ingest_acknowledged(ingest), number);
}

struct hash session_tree(struct ingest *ingest, struct writer *writer, uint32_t content, size_t chunks,
                         size_t chunk_len)
{
    AUTO(free) struct hash *ids = xcalloc(chunks + 1, sizeof(*ids));
    for (size_t i = 0; i < chunks; i++) {
        ids[i] = writer_data(writer, content + (uint32_t)i, chunk_len);
        if (writer->frames.len > 4 * 1024 * 1024 || i % 1000 == 999) session_send(ingest, writer, PACK_DATA);
    }
    if (writer->hashes.len) session_send(ingest, writer, PACK_DATA);
    struct hash leaf = writer_node(writer, content + 1000000, NULL, 0, ids, chunks);
    struct hash root = writer_node(writer, content + 2000000, &leaf, 1, NULL, 0);
    session_send(ingest, writer, PACK_META);
    return root;
}

struct ingest_receipt session_commit(struct ingest *ingest, const struct writer *writer, uint8_t point,
                                     const struct hash *root)
{
    struct err err;
    struct id id = id_of(point);
    struct ingest_receipt receipt = {0};
    AUTO(buf) struct buf file = {0};
    AUTO(buf) struct buf missing = {0};
    writer_point(writer, &id, root, &file);
    cr_assert(ingest_commit(ingest, &id, root, buf_span(&file), &receipt, &missing, &err), "%s", err.text);
    return receipt;
}

struct hash back_up(struct repository *repository, uint8_t seed, uint32_t content, size_t chunks)
{
    struct repository_info info;
    repository_info(repository, &info);
    AUTO(writer) struct writer *writer = writer_new(info.kind, seed);
    AUTO(ingest) struct ingest *ingest = session_open(repository, writer, seed);
    struct hash root = session_tree(ingest, writer, content, chunks, 1000);
    (void)session_commit(ingest, writer, seed, &root);
    return root;
}

/* --- restoring --- */

struct restore {
    struct hash *queue;
    size_t count, cap, frames, missing;
    struct id_set met;
};

static void want(struct restore *restore, const uint8_t *id)
{
    if (!id_set_add(&restore->met, id)) return;
    if (restore->count == restore->cap) {
        restore->cap = restore->cap ? 2 * restore->cap : 64;
        restore->queue = xreallocarray(restore->queue, restore->cap, sizeof(*restore->queue));
    }
    memcpy(restore->queue[restore->count++].bytes, id, HASH_LEN);
}

static bool got_envelope(void *arg, struct span envelope, struct err *err)
{
    struct envelope_view view;
    return envelope_parse(envelope, &view, err);
}

static bool got_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    struct restore *restore = arg;
    struct frame_view view;
    if (!frame_parse(frame, &view, err)) return false;
    restore->frames++;
    for (size_t i = 0; i < view.node_ids + view.data_ids; i++)
        want(restore, view.clear.data + i * HASH_LEN);
    return hash_eq(&view.chunk, id);
}

static bool got_nothing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    struct restore *restore = arg;
    restore->missing++;
    return true;
}

bool restores(struct repository *repository, const struct hash *root, size_t *frames)
{
    struct restore restore = {0};
    struct fetch_sink sink = {
        .envelope = got_envelope, .frame = got_frame, .missing = got_nothing, .arg = &restore};
    struct err err;
    want(&restore, root->bytes);
    for (size_t at = 0; at < restore.count;) {
        size_t n = restore.count - at < FETCH_MAX_IDS ? restore.count - at : FETCH_MAX_IDS;
        AUTO(free) struct hash *window = xreallocarray(NULL, n, sizeof(*window));
        memcpy(window, restore.queue + at, n * sizeof(*window));
        cr_assert(repository_fetch(repository, window, n, FETCH_FRAMES, &sink, &err), "%s", err.text);
        at += n;
    }
    if (frames) *frames = restore.frames;
    bool whole = restore.missing == 0 && restore.frames == restore.count;
    free(restore.queue);
    id_set_deinit(&restore.met);
    return whole;
}

enum err_code session_send_code(struct ingest *ingest, uint64_t number, struct span batch)
{
    struct err err = {0};
    if (ingest_batch(ingest, number, batch, &err)) return ERR_NONE;
    return err.code;
}

enum err_code session_commit_code(struct ingest *ingest, const struct writer *writer, uint8_t point,
                                  const struct hash *root, struct buf *missing)
{
    struct err err = {0};
    struct id id = id_of(point);
    struct ingest_receipt receipt;
    AUTO(buf) struct buf file = {0};
    writer_point(writer, &id, root, &file);
    if (ingest_commit(ingest, &id, root, buf_span(&file), &receipt, missing, &err)) return ERR_NONE;
    return err.code;
}
