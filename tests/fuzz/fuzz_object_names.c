/* Names in a repository's directory, in which anybody may have written: what is taken for an object's is the
 * one name of that object. */
#include "transporter/repository/chain.h"
#include "transporter/repository/inside.h"
#include "transporter/repository/pack.h"
#include "transporter/repository/rewraps.h"
#include "transporter/repository/unlocks.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NAME_MOST = 4096 };

static void same(const char *name, const char *again)
{
    if (strcmp(name, again) != 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[NAME_MOST + 1], again[256];
    struct id id;
    struct hash hash;
    uint64_t entry;
    uint32_t number;
    unsigned nth;
    if (size > NAME_MOST) return 0;
    if (size > 0) memcpy(name, data, size);
    name[size] = '\0';
    if (chain_parse_name(name, &entry)) {
        chain_name(entry, again);
        same(name, again);
    }
    if (pack_parse_name(name, &hash)) {
        pack_name(&hash, again);
        same(name, again);
    }
    if (journal_parse_name(name, &id, &number)) {
        journal_name(&id, number, again);
        same(name, again);
    }
    /* these two are asked about names in their own directories only */
    if (strncmp(name, "unlock/", 7) == 0 && unlock_parse_name(name, &hash, &number)) {
        unlock_name(&hash, number, again);
        same(name, again);
    }
    if (strncmp(name, "rewrap/", 7) == 0 && rewrap_parse_name(name, &id, &nth)) {
        rewrap_name(&id, nth, again);
        same(name, again);
    }
    return 0;
}
