#include "common/conf/conf_gate.h"

#include "common/base/alloc.h"
#include "common/conf/conf_lex.h"

#include <stdarg.h>
#include <string.h>

/* Where the parser is: a name, or an index where name is NULL. */
struct step {
    const struct step *up;
    const char *name;
    size_t len;
    size_t index;
    unsigned depth;
};

struct gate {
    const char *file;
    struct conf_lexer lexer;
    struct conf_token token; /* the next, not yet taken */
    const struct step *here;
    size_t settings;
    size_t elements;
    struct err *err;
};

static void put_path(struct buf *out, const struct step *step)
{
    if (!step) return;
    put_path(out, step->up);
    if (!step->name) {
        buf_printf(out, "[%zu]", step->index);
        return;
    }
    if (step->up) buf_put_str(out, ".");
    buf_put(out, step->name, step->len);
}

static PRINTF_LIKE(3, 4) bool fail(struct gate *gate, unsigned line, const char *fmt, ...)
{
    AUTO(buf) struct buf path = {0};
    char text[256];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    (void)err_set(gate->err, ERR_CONFIG, "%s", text);
    put_path(&path, gate->here);
    if (path.len > 0) (void)err_wrap(gate->err, "%s", buf_cstr(&path));
    return err_wrap(gate->err, "%s:%u", gate->file, line);
}

/* Takes the token, and reads the next. */
static void advance(struct gate *gate)
{
    gate->token = conf_lexer_next(&gate->lexer);
}

static bool at_mark(const struct gate *gate, char mark)
{
    return gate->token.kind == CONF_TOKEN_MARK && *gate->token.text == mark;
}

static bool unexpected(struct gate *gate, const char *due)
{
    const struct conf_token *token = &gate->token;

    if (token->kind == CONF_TOKEN_BAD) return fail(gate, token->line, "%s", gate->lexer.problem);
    if (token->kind == CONF_TOKEN_END) return fail(gate, token->line, "the file ends where %s is due", due);
    if (token->kind == CONF_TOKEN_STRING) return fail(gate, token->line, "a string where %s is due", due);
    return fail(gate, token->line, "'%.*s' where %s is due", (int)token->len, token->text, due);
}

static bool take(struct gate *gate, char mark, const char *due)
{
    if (!at_mark(gate, mark)) return unexpected(gate, due);
    advance(gate);
    return true;
}

static bool check_value(struct gate *gate, const struct step *step);

/* The names of one group. */
struct names {
    struct conf_token *items;
    size_t count;
};

static void names_deinit(struct names *names)
{
    free(names->items);
}
DEFINE_AUTO_IN_PLACE(names, struct names, names_deinit)

static bool add_name(struct gate *gate, struct names *names)
{
    const struct conf_token *name = &gate->token;

    for (size_t i = 0; i < names->count; i++) {
        const struct conf_token *other = &names->items[i];
        if (other->len == name->len && memcmp(other->text, name->text, name->len) == 0)
            return fail(gate, name->line, "is set twice (first on line %u)", other->line);
    }
    if (++gate->settings > CONF_GATE_SETTINGS)
        return fail(gate, name->line, "more than %d settings", CONF_GATE_SETTINGS);
    if ((names->count & (names->count - 1)) == 0)
        names->items =
            xreallocarray(names->items, names->count ? 2 * names->count : 1, sizeof(*names->items));
    names->items[names->count++] = *name;
    return true;
}

static bool check_setting(struct gate *gate, const struct step *group, struct names *names)
{
    struct step step = {
        .up = group,
        .name = gate->token.text,
        .len = gate->token.len,
        .depth = group ? group->depth : 0,
    };
    const struct step *before = gate->here;

    gate->here = &step;
    if (!add_name(gate, names)) return false;
    advance(gate);
    if (!take(gate, at_mark(gate, ':') ? ':' : '=', "'='") || !check_value(gate, &step)) return false;
    gate->here = before;
    if (at_mark(gate, ';') || at_mark(gate, ',')) advance(gate);
    return true;
}

static bool check_settings(struct gate *gate, const struct step *group)
{
    AUTO(names) struct names names = {0};

    while (gate->token.kind == CONF_TOKEN_NAME)
        if (!check_setting(gate, group, &names)) return false;
    return true;
}

static bool check_scalar(struct gate *gate)
{
    switch (gate->token.kind) {
    case CONF_TOKEN_NUMBER:
    case CONF_TOKEN_BOOL:
        advance(gate);
        return true;
    case CONF_TOKEN_STRING: /* strings in a row are one string */
        while (gate->token.kind == CONF_TOKEN_STRING)
            advance(gate);
        return true;
    case CONF_TOKEN_NAME:
        return unexpected(gate, "a value (strings stand in quotes)");
    default:
        return unexpected(gate, "a value");
    }
}

/* The elements of an array are scalars of one type. */
static bool check_array_element(struct gate *gate, const struct step *step, enum conf_token_kind *kind)
{
    if (step->index > 0 && gate->token.kind != *kind)
        return unexpected(gate, "another element of the same type");
    *kind = gate->token.kind;
    return check_scalar(gate);
}

/* up to `close`, which is ']' for an array and ')' for a list */
static bool check_elements(struct gate *gate, const struct step *list, char close)
{
    struct step step = {.up = list, .depth = list->depth};
    const struct step *before = gate->here;
    enum conf_token_kind kind = CONF_TOKEN_END;

    for (; step.index > 0 || !at_mark(gate, close); step.index++) {
        gate->here = &step;
        if (++gate->elements > CONF_GATE_ELEMENTS)
            return fail(gate, gate->token.line, "more than %d elements", CONF_GATE_ELEMENTS);
        if (close == ']' ? !check_array_element(gate, &step, &kind) : !check_value(gate, &step)) return false;
        gate->here = before;
        if (!at_mark(gate, ',')) break;
        advance(gate);
    }
    return true;
}

static bool check_value(struct gate *gate, const struct step *step)
{
    struct step inside = *step;

    if (gate->token.kind != CONF_TOKEN_MARK) return check_scalar(gate);
    if (++inside.depth > CONF_GATE_DEPTH)
        return fail(gate, gate->token.line, "more than %d levels", CONF_GATE_DEPTH);
    if (at_mark(gate, '{')) {
        advance(gate);
        return check_settings(gate, &inside) && take(gate, '}', "a setting or '}'");
    }
    if (at_mark(gate, '(')) {
        advance(gate);
        return check_elements(gate, &inside, ')') && take(gate, ')', "',' or ')'");
    }
    if (at_mark(gate, '[')) {
        advance(gate);
        return check_elements(gate, &inside, ']') && take(gate, ']', "',' or ']'");
    }
    return unexpected(gate, "a value");
}

bool conf_gate_check(const char *file, struct span text, struct err *err)
{
    struct gate gate = {.file = file, .lexer = conf_lexer_of(text), .err = err};

    advance(&gate);
    if (!check_settings(&gate, NULL)) return false;
    return gate.token.kind == CONF_TOKEN_END || unexpected(&gate, "a setting");
}
