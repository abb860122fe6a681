/* Marks of damaged packs outlive the process, however many there are. */
#include "builder.h"

#include <criterion/criterion.h>

static struct hash name_of(uint32_t number)
{
    struct hash name = {{0}};
    for (int i = 0; i < 4; i++) /* ascending, as the file has them */
        name.bytes[i] = (uint8_t)(number >> (24 - 8 * i));
    return name;
}

Test(damage_marks, more_than_two_million_of_them_are_there_after_a_restart, .timeout = 60)
{
    enum { COUNT = 2 * 1024 * 1024 + 10 };
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct err err;
    struct damage_marks *marks = damage_marks_load(place->root, &place->id);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct hash name = name_of(i);
        damage_marks_add(marks, &name);
    }
    bool saved = damage_marks_save(marks, &err);
    damage_marks_free(marks);
    cr_assert(saved, "%s", err.text);
    marks = damage_marks_load(place->root, &place->id);
    struct hash first = name_of(0), last = name_of(COUNT - 1), none = name_of(COUNT);
    bool all = damage_marks_has(marks, &first) && damage_marks_has(marks, &last);
    bool more = damage_marks_has(marks, &none);
    damage_marks_free(marks);
    cr_assert(all);
    cr_assert_not(more);
}
