/* Keys that tests of the pipeline seal and open with. */
#ifndef SEALIFT_TEST_KEYS_H
#define SEALIFT_TEST_KEYS_H

#include "transporter/pipeline/point.h"
#include "transporter/pipeline/sealing.h"

#define KEYS_DOMAIN "t:source"

struct keys {
    struct read_half *read;
    struct write_half *write;
    struct sign_pair *writer;
    struct run_key *run;
    struct buf unlock;
};

struct keys keys_make(void);
void keys_drop(struct keys *keys);
DEFINE_AUTO_IN_PLACE(keys, struct keys, keys_drop)

/* lz4, the default cipher, padding: into `outlet` */
struct sealing_options keys_sealing(const struct keys *keys, struct outlet outlet);
/* the same for a plaintext repository */
struct sealing_options keys_plain(const struct keys *keys, struct outlet outlet);
/* for a source whose target seals */
struct sealing_options keys_raw(struct outlet outlet);
struct backup_identity keys_identity(const struct keys *keys);

/* Opens a frame (with `envelope` unless it is plain) and decompresses it. false: it does not open to the
 * chunk that it names. */
bool keys_open(const struct keys *keys, struct span envelope, struct span frame, struct buf *plain);

#endif
