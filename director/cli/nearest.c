#include "director/cli/nearest.h"

#include <string.h>

enum { LEN_MAX = 63 };

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static unsigned distance_of(const char *a, const char *b)
{
    size_t rows = strnlen(a, LEN_MAX), columns = strnlen(b, LEN_MAX);
    unsigned cost[LEN_MAX + 1][LEN_MAX + 1];
    for (size_t j = 0; j <= columns; j++)
        cost[0][j] = (unsigned)j;
    for (size_t i = 1; i <= rows; i++) {
        cost[i][0] = (unsigned)i;
        for (size_t j = 1; j <= columns; j++) {
            unsigned edit = cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            cost[i][j] = least(edit, least(cost[i - 1][j], cost[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                cost[i][j] = least(cost[i][j], cost[i - 2][j - 2] + 1);
        }
    }
    return cost[rows][columns];
}

const char *nearest_word(const char *word, const char *const *candidates, size_t count)
{
    unsigned third = (unsigned)(strlen(word) / 3);
    unsigned best = third > 2 ? third + 1 : 3;
    const char *found = NULL;
    for (size_t i = 0; i < count; i++) {
        unsigned distance = distance_of(word, candidates[i]);
        if (distance >= best || distance >= strlen(candidates[i])) continue;
        best = distance;
        found = candidates[i];
    }
    return found;
}
