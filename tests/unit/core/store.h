/* Nodes in memory, by content hash: what a repository is to the manifest. */
#ifndef SEALIFT_TEST_STORE_H
#define SEALIFT_TEST_STORE_H

#include "transporter/core/manifest.h"

struct store {
    struct stored {
        struct hash content;
        struct buf node;
    } * nodes; /* open addressing by the first bytes of the hash; an empty node is free */
    size_t slots;
    size_t count; /* distinct nodes */
    size_t puts;
    size_t loads;
    size_t fail_at; /* the put or load, counted from 1, that fails; 0: none */
    bool forget;    /* counts and hashes alone */
};

void store_deinit(struct store *store);
DEFINE_AUTO_IN_PLACE(store, struct store, store_deinit)
bool store_put(void *store, struct span node, struct hash *content, struct err *err);
bool store_load(void *store, const struct hash *content, struct buf *node, struct err *err);
/* NULL if it is not there */
struct buf *store_find(struct store *store, const struct hash *content);
/* puts bytes under a hash that is not theirs: for lies */
void store_put_as(struct store *store, const struct hash *content, struct span node);

/* An entry of a made-up tree. */
struct sample {
    const char *parent;
    const char *name;
    enum entry_type type;
    uint64_t size;
    int64_t mtime_ns;
};
/* appends its encoding: one data reference if it has a size */
void sample_encode(const struct sample *sample, struct buf *out);
void sample_add(struct manifest_writer *writer, const struct sample *sample);
struct hash manifest_close(struct manifest_writer *writer);

/* Reads what was stored. */
struct manifest_reader *store_reader(struct store *store, const struct hash *root);
/* "parent/name" */
void sample_path(const struct sample *sample, struct buf *out);
/* The next entry is this one. */
void expect_next(struct manifest_reader *reader, const struct sample *sample);
/* There is none. */
void expect_end(struct manifest_reader *reader);

#endif
