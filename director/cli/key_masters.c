#include "director/cli/key_masters.h"

#include "common/base/alloc.h"
#include "common/base/text.h"
#include "director/cli/key_protectors.h"
#include "director/cli/recover.h"
#include "director/cli/unlock_ask.h"

#include <string.h>

/* NOT_ASKED: no host that could was there; SILENT: an entry did not answer, or answered nonsense. */
enum verdict { NOT_ASKED, OPENS, SILENT, REFUSED, GONE };

/* What made some wraps. */
struct master {
    const Sealift__KmsWrap *wrap; /* one of them; borrowed */
    enum verdict verdict;
    bool by_its_name; /* the reason is that of the entry which the wrap names */
    struct err why;
};

struct masters {
    struct cli *cli;
    const struct key_entry *key;
    const struct points *points;
    struct master *items;
    size_t count;
};
static void masters_deinit(struct masters *masters)
{
    free(masters->items);
}
DEFINE_AUTO_IN_PLACE(masters, struct masters, masters_deinit)

/* --- which there are --- */

static bool is_same(const Sealift__KmsWrap *wrap, const char *kind, const char *entry, const char *master_key)
{
    return strcmp(wrap->kind, kind) == 0 && strcmp(wrap->entry, entry) == 0 &&
           strcmp(wrap->master_key, master_key) == 0;
}

static struct master *find(const struct masters *masters, const char *kind, const char *entry,
                           const char *master_key)
{
    for (size_t i = 0; i < masters->count; i++)
        if (is_same(masters->items[i].wrap, kind, entry, master_key)) return &masters->items[i];
    return NULL;
}

static void add_section(struct masters *masters, const Sealift__UnlockSection *section)
{
    for (size_t i = 0; section && i < section->n_kms; i++) {
        const Sealift__KmsWrap *wrap = section->kms[i];
        if (find(masters, wrap->kind, wrap->entry, wrap->master_key)) continue;
        masters->items = xreallocarray(masters->items, masters->count + 1, sizeof(*masters->items));
        masters->items[masters->count++] = (struct master){.wrap = wrap};
    }
}

/* --- what becomes of each --- */

static enum verdict verdict_of(enum err_code code)
{
    switch (code) {
    case ERR_NONE:
        return OPENS;
    case ERR_NOT_FOUND:
        return GONE;
    case ERR_POLICY:
        return REFUSED;
    case ERR_NO_KEY: /* no entry there fits */
        return NOT_ASKED;
    default:
        return SILENT;
    }
}

/* One entry that opens is enough; else what the entry of the wrap's own name says is what is told. */
static void note(struct master *master, const Sealift__UnlockStep *step)
{
    enum err_code code = step->code ? client_code(step->code) : ERR_NONE;
    enum verdict verdict = verdict_of(code);
    bool by_its_name = strcmp(step->name, step->entry) == 0;
    if (master->verdict == OPENS || verdict == NOT_ASKED) return;
    if (verdict != OPENS && master->verdict != NOT_ASKED && (master->by_its_name || !by_its_name)) return;
    master->verdict = verdict;
    master->by_its_name = by_its_name;
    err_clear(&master->why);
    if (code != ERR_NONE) (void)err_set(&master->why, code, "%s", step->text);
}

static void note_report(struct masters *masters, const Sealift__UnlockReport *report)
{
    for (size_t i = 0; i < report->n_steps; i++) {
        const Sealift__UnlockStep *step = report->steps[i];
        if (step->step != UNLOCK_KMS || step->entry[0] == '\0') continue;
        struct master *master = find(masters, step->kind, step->entry, step->master_key);
        if (master) note(master, step);
    }
}

static bool ask_for(struct masters *masters, const struct point *point, const char *at, struct err *err)
{
    const Sealift__Member *opener = NULL;
    AUTO(key_material) struct key_material material = {0};
    AUTO(payload_unlock) Sealift__UnlockReport *report = NULL;
    if (!recover_opener(masters->cli, point, at, &opener, err) ||
        !key_material_get(masters->cli, point, &material, err) ||
        !unlock_ask(masters->cli, point, opener, &material, &report, err))
        return false;
    note_report(masters, report);
    return true;
}

/* Once for all points that carry the same wraps and have the same opener: the writer tells which that is. */
static bool asked_before(const struct points *points, size_t index)
{
    const Sealift__PointBody *body = points->items[index]->body;
    for (size_t i = 0; i < index; i++) {
        const Sealift__PointBody *other = points->items[i]->body;
        if (span_eq(stored_span(&other->unlock_hash), stored_span(&body->unlock_hash)) &&
            span_eq(stored_span(&other->writer), stored_span(&body->writer)) &&
            id_eq(&points->items[i]->repository, &points->items[index]->repository))
            return true;
    }
    return false;
}

/* Points in a row that nobody was asked for, for one reason. */
struct unasked {
    char first[2 * ID_LEN + 1];
    size_t count;
    struct err why;
};

static void tell_unasked(const struct masters *masters, const struct unasked *unasked)
{
    const struct output *output = &masters->cli->output;
    if (unasked->count == 1)
        output_warning(output, "nobody was asked for the point %.12s: %s", unasked->first, unasked->why.text);
    else if (unasked->count > 1)
        output_warning(output, "nobody was asked for the point %.12s and %zu more: %s", unasked->first,
                       unasked->count - 1, unasked->why.text);
}

static void ask_all(struct masters *masters, const char *at)
{
    struct unasked unasked = {.count = 0};
    for (size_t i = 0; i < masters->points->count; i++) {
        const struct point *point = masters->points->items[i];
        struct err why = {0};
        if (asked_before(masters->points, i) || ask_for(masters, point, at, &why)) continue;
        if (unasked.count > 0 && strcmp(unasked.why.text, why.text) != 0) {
            tell_unasked(masters, &unasked);
            unasked.count = 0;
        }
        if (unasked.count++ == 0) hex_encode(point->id.bytes, ID_LEN, unasked.first);
        unasked.why = why;
    }
    tell_unasked(masters, &unasked);
}

/* --- what it means for the points --- */

static bool is_lost(const struct master *master)
{
    return master && (master->verdict == GONE || master->verdict == REFUSED);
}

static bool carries(const Sealift__UnlockSection *section, const struct master *master)
{
    for (size_t i = 0; section && i < section->n_kms; i++)
        if (is_same(section->kms[i], master->wrap->kind, master->wrap->entry, master->wrap->master_key))
            return true;
    return false;
}

/* A password, or a wrap whose master key is not known to be lost. */
static bool has_way(const struct masters *masters, const Sealift__UnlockSection *section)
{
    if (!section) return false;
    if (section->origin == SEALIFT__KEY_ORIGIN__KEY_FROM_PASSWORD || section->n_passwords > 0) return true;
    for (size_t i = 0; i < section->n_kms; i++) {
        const Sealift__KmsWrap *wrap = section->kms[i];
        if (!is_lost(find(masters, wrap->kind, wrap->entry, wrap->master_key))) return true;
    }
    return false;
}

/* The key's newest section opens its earlier points too, as long as somebody hands it out. */
static bool has_other_way(const struct masters *masters, const struct point *point)
{
    return has_way(masters, point->unlock) || has_way(masters, masters->key->section) ||
           state_has_kit(masters->cli->state, &masters->key->key_id);
}

/* Ids of the points that carry a wrap by it; *dead: those of them that nothing outside opens. */
static json_t *points_with(const struct masters *masters, const struct master *master, json_t *dead)
{
    json_t *list = json_array();
    for (size_t i = 0; i < masters->points->count; i++) {
        const struct point *point = masters->points->items[i];
        if (!carries(point->unlock, master)) continue;
        (void)json_array_append_new(list, json_hex(point->id.bytes, ID_LEN));
        if (is_lost(master) && !has_other_way(masters, point))
            (void)json_array_append_new(dead, json_hex(point->id.bytes, ID_LEN));
    }
    return list;
}

/* --- what is said --- */

static const char *word_of(enum verdict verdict)
{
    static const char *const words[] = {[NOT_ASKED] = "not asked",
                                        [OPENS] = "opens",
                                        [SILENT] = "no answer",
                                        [REFUSED] = "refused",
                                        [GONE] = "gone"};
    return words[verdict];
}

static void warn(const struct masters *masters, const struct master *master, size_t carry, const json_t *dead)
{
    AUTO(buf) struct buf ids = {0};
    const struct output *output = &masters->cli->output;
    if (!is_lost(master)) return;
    for (size_t i = 0; i < json_array_size(dead); i++)
        buf_printf(&ids, "%s%.12s", i ? ", " : "", json_string_value(json_array_get(dead, i)));
    if (ids.len)
        output_warning(output,
                       "the master key %s of the KMS '%s' is %s (%s): nothing else outside opens the points "
                       "%s; as long as an operator has a copy of the key, 'sealift key protect %s --kms %s "
                       "--existing' gives them another way",
                       master->wrap->master_key, master->wrap->entry, word_of(master->verdict),
                       master->why.text, buf_cstr(&ids), masters->key->label, master->wrap->entry);
    else
        output_warning(output,
                       "the master key %s of the KMS '%s' is %s (%s): %zu %s a wrap by it, with "
                       "other ways",
                       master->wrap->master_key, master->wrap->entry, word_of(master->verdict),
                       master->why.text, carry, plural(carry, "point carries", "points carry"));
}

static void say(const struct masters *masters, const struct master *master, json_t *rows, json_t *lines)
{
    const Sealift__KmsWrap *wrap = master->wrap;
    json_t *dead = json_array(), *with = points_with(masters, master, dead);
    const char *why = master->why.code == ERR_NONE ? NULL : master->why.text;
    warn(masters, master, json_array_size(with), dead);
    (void)json_array_append_new(
        lines, json_sprintf("%s of KMS '%s' (%s): %s; %zu %s it", wrap->master_key, wrap->entry, wrap->kind,
                            word_of(master->verdict), json_array_size(with),
                            plural(json_array_size(with), "point carries", "points carry")));
    (void)json_array_append_new(
        rows,
        json_pack("{s:s, s:s, s:s, s:s, s:s?, s:b, s:o, s:o}", "kind", wrap->kind, "entry", wrap->entry,
                  "master_key", wrap->master_key, "result", word_of(master->verdict), "reason", why,
                  "in_newest", carries(masters->key->section, master), "points", with, "only_way_of", dead));
}

void key_masters_ask(struct cli *cli, const struct key_entry *key, const struct points *points,
                     const char *at, json_t *object)
{
    AUTO(masters) struct masters masters = {.cli = cli, .key = key, .points = points};
    add_section(&masters, key->section);
    for (size_t i = 0; i < points->count; i++)
        add_section(&masters, points->items[i]->unlock);
    ask_all(&masters, at);
    json_t *rows = json_array(), *lines = json_array();
    for (size_t i = 0; i < masters.count; i++)
        say(&masters, &masters.items[i], rows, lines);
    (void)json_object_set_new(object, "master_keys", rows);
    if (cli->output.form == OUTPUT_TEXT)
        (void)json_object_set_new(object, "master_list", lines);
    else
        json_decref(lines);
}
