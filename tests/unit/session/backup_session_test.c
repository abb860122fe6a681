#include "cargo.h"
#include "ends.h"
#include "transporter/session/outlet_remote.h"

#include <criterion/criterion.h>
#include <string.h>

/* One backup over the wire. */
enum mode { SEALED_HERE, SEALED_AT_TARGET, PLAIN, MODES };

static struct sealing_options sealing_of(const struct ends *ends, enum mode mode, struct outlet outlet)
{
    if (mode == SEALED_AT_TARGET) return keys_raw(outlet);
    return mode == PLAIN ? keys_plain(&ends->keys, outlet) : keys_sealing(&ends->keys, outlet);
}

static struct ends *ends_of(enum mode mode)
{
    struct ends *ends = ends_new(mode == PLAIN ? REPOSITORY_PLAINTEXT : REPOSITORY_ENCRYPTED);
    ends_serve(ends, mode == SEALED_HERE ? CONVERSATION_SEALED : CONVERSATION_UNSEALED,
               mode == SEALED_AT_TARGET);
    return ends;
}

static void back_up(struct ends *ends, enum mode mode)
{
    const struct id seal = ends->keys.run->seal;
    struct dialler *dialler = ends_dial(ends, ends->conversation, &seal);
    struct sealing_options options = sealing_of(ends, mode, outlet_remote(dialler));
    AUTO(cargo) struct cargo cargo;
    cargo_open(&cargo, &options);
    struct hash root;
    struct commit_receipt receipt = {0};
    AUTO(buf) struct buf missing = {0};
    cr_assert(cargo_pack(&cargo, &root), "%s", cargo.err.text);
    cr_assert(cargo_commit(&cargo, &ends->keys, &seal, &root, &receipt, &missing), "%s", cargo.err.text);
    dialler_free(dialler, NULL);
    cr_assert(ends_join(ends), "%s", ends->serve_err.text);
    cr_assert_eq(receipt.number, 2);
    cr_assert(receipt.stored_bytes > 0);
    cr_assert_eq(ends->committed, 1);
    cr_assert_eq(ends_points(ends), 1);
    cargo_assert_stored(&cargo, &ends->keys, ends->repository, &root);
}

Test(backup_session, what_a_source_sends_is_committed_at_the_target)
{
    for (enum mode mode = 0; mode < MODES; mode++) {
        AUTO(ends) struct ends *ends = ends_of(mode);
        back_up(ends, mode);
    }
}

/* Cuts fall into the handshake, into Open, into batches, between batch and acknowledgement. */
Test(backup_session, a_connection_cut_anywhere_changes_nothing, .timeout = 120)
{
    static const struct {
        uint64_t after;
        unsigned cuts;
    } cases[] = {{100, 3},   {700, 3},     {1100, 3},    {1500, 3},   {2500, 3},
                 {60000, 4}, {1100000, 8}, {2300001, 5}, {4000000, 4}};
    for (enum mode mode = 0; mode < MODES; mode++) {
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            if (mode != SEALED_HERE && i < 5) continue;
            AUTO(ends) struct ends *ends = ends_of(mode);
            atomic_store(&ends->relay->cut_after, cases[i].after);
            atomic_store(&ends->relay->cuts_left, cases[i].cuts);
            back_up(ends, mode);
            cr_assert(atomic_load(&ends->relay->accepted) > 1, "case %zu: %u connections", i,
                      atomic_load(&ends->relay->accepted));
        }
    }
}
