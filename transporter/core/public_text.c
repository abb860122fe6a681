#include "transporter/core/public_text.h"

#include <string.h>

/* Behind the path that begins at `at`: its closing quote, or the end of the text. */
static const char *end_of_path(const char *at)
{
    for (at = strchr(at, '\''); at; at = strchr(at + 1, '\''))
        if (at[1] == '\0' || strchr(" :,;.)", at[1])) return at;
    return NULL;
}

void public_text(const char *text, struct buf *out)
{
    const char *path;
    while ((path = strstr(text, "'/"))) {
        const char *end = end_of_path(path + 1);
        buf_put(out, text, (size_t)(path + 1 - text));
        buf_put_str(out, "…");
        if (!end) return;
        text = end;
        buf_put_u8(out, (uint8_t)*text++);
    }
    buf_put_str(out, text);
}
