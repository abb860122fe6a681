/* What a writer would send: real frames under a real seal, in signed batches; and small repositories
 * to put them into. */
#ifndef SEALIFT_TESTS_REPOSITORY_BUILDER_H
#define SEALIFT_TESTS_REPOSITORY_BUILDER_H

#include "common/crypto/seal/frame_key.h"
#include "fault.h"
#include "transporter/repository/ingest.h"
#include "transporter/repository/inside.h"

/* --- a writer --- */

struct writer {
    enum repository_kind kind;
    struct sign_pair *pair;
    struct read_half *key;
    struct write_half *half;
    struct run_key *run;
    struct frame_sealer *sealer;
    struct id site, seal;
    struct hash domain;
    uint8_t dedup[HASH_LEN];
    uint8_t envelope[ENVELOPE_LEN];
    uint64_t number;   /* of the last batch made */
    struct buf frames; /* records of the batch being made */
    struct buf hashes;
    struct buf unlock;
    const uint8_t *origin_pk; /* who had signed what its points were made from; NULL: itself */
};

/* Always the same key and domain; `seed` makes writer key and seal differ. */
struct writer *writer_new(enum repository_kind kind, uint8_t seed);
/* The same, in a dedup domain of its own. */
struct writer *writer_new_in(enum repository_kind kind, uint8_t seed, const char *domain);
void writer_free(struct writer *writer);
DEFINE_AUTO(writer, struct writer *, writer_free)

/* Adds a data frame of `len` bytes that follow from `content` to the batch; its chunk id. */
struct hash writer_data(struct writer *writer, uint32_t content, size_t len);
/* Adds a node that names these; ids need not be sorted. */
struct hash writer_node(struct writer *writer, uint32_t content, const struct hash *nodes, size_t node_count,
                        const struct hash *datas, size_t data_count);
/* The id that such a frame would have. */
struct hash writer_id(const struct writer *writer, enum frame_type type, uint32_t content, size_t len);
/* Ends the batch with its list; appended to `out`. Returns its number. */
uint64_t writer_batch(struct writer *writer, enum pack_class class_, struct buf *out);
/* The point file of a root. */
void writer_point(const struct writer *writer, const struct id *point, const struct hash *root,
                  struct buf *out);
/* The same of a point that a copy sealed anew of `made_from`. */
void writer_point_anew(const struct writer *writer, const struct id *point, const struct hash *root,
                       const struct id *made_from, struct buf *out);

/* --- a repository in a directory of its own --- */

struct place {
    char *root; /* holds the two others; removed in the end */
    char *path; /* the repository */
    char *state;
    struct sign_pair *owner;
    struct id site, id;
    struct repository *repository;
    bool whole; /* with a reserve, when it is created or opened */
};

/* An empty directory in which repository and state will lie; nothing is open. */
struct place *place_empty(void);
/* Creates a repository there, without a reserve unless it is to be whole. */
bool place_create(const struct place *place, enum repository_kind kind, struct err *err);
/* Creates an empty repository and opens it. */
struct place *place_new(enum repository_kind kind);
/* The same under another repository id than all others. */
struct place *place_new_as(enum repository_kind kind, uint8_t id);
void place_free(struct place *place);
DEFINE_AUTO(place, struct place *, place_free)
void place_open(struct place *place);
/* The same on a storage that fails where told. */
struct fault *place_open_faulty(struct place *place);
void place_close(struct place *place);
/* A copy of repository and state as they are on disk this instant, opened: what a start after a crash
 * would see. */
struct place *place_copy(const struct place *place);

bool repository_try_open(const struct place *place, struct repository **out, struct err *err);

/* A shell command, which must succeed. Accidents to files are shortest as commands; there is one more,
 * `flip OFFSET FILE...`, which flips one bit of the byte at OFFSET. */
void shell(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* The same, which may fail. */
bool shell_works(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* --- usual moves; they assert success --- */

struct ingest *session_open(struct repository *repository, const struct writer *writer, uint8_t session);
void session_send(struct ingest *ingest, struct writer *writer, enum pack_class class_);
/* What sending this batch comes to. */
enum err_code session_send_code(struct ingest *ingest, uint64_t number, struct span batch);
/* What committing the point comes to. */
enum err_code session_commit_code(struct ingest *ingest, const struct writer *writer, uint8_t point,
                                  const struct hash *root, struct buf *missing);
/* Waits until the number is acknowledged. */
void session_wait(struct ingest *ingest, uint64_t number);
/* A point of `chunks` data frames below one node below a root; its root. Nothing is committed. */
struct hash session_tree(struct ingest *ingest, struct writer *writer, uint32_t content, size_t chunks,
                         size_t chunk_len);
struct ingest_receipt session_commit(struct ingest *ingest, const struct writer *writer, uint8_t point,
                                     const struct hash *root);
struct id id_of(uint8_t seed);
/* one whole backup: session, tree, commit, close; the root */
struct hash back_up(struct repository *repository, uint8_t seed, uint32_t content, size_t chunks);

/* Every frame below the root is fetched and counted; false if one is missing. */
bool restores(struct repository *repository, const struct hash *root, size_t *frames);

#endif
