/* The tokens of a configuration file, for conf_gate.c. A token that libconfig 1.5 would read
 * otherwise than it is written is bad. */
#ifndef SEALIFT_CONF_CONF_LEX_H
#define SEALIFT_CONF_CONF_LEX_H

#include "common/base/bytes.h"

enum conf_token_kind {
    CONF_TOKEN_END,
    CONF_TOKEN_NAME,
    CONF_TOKEN_STRING, /* text: quotes and escapes and all */
    CONF_TOKEN_NUMBER,
    CONF_TOKEN_BOOL,
    CONF_TOKEN_MARK, /* one of = : , ; { } ( ) [ ] */
    CONF_TOKEN_BAD,  /* could not be read: lexer->problem */
};

struct conf_token {
    enum conf_token_kind kind;
    const char *text; /* borrowed, not terminated */
    size_t len;
    unsigned line;
};

enum { CONF_NAME_LEN_MOST = 64 };

struct conf_lexer {
    const char *at;
    const char *end;
    unsigned line;
    char problem[160];
};

struct conf_lexer conf_lexer_of(struct span text);

/* After CONF_TOKEN_END or CONF_TOKEN_BAD there is no next. */
struct conf_token conf_lexer_next(struct conf_lexer *lexer);

#endif
