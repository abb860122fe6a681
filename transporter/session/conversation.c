#include "transporter/session/conversation.h"

#include "transporter/repository/repository.h"
#include "transporter/session/data_path.h"

#include <stddef.h>
#include <string.h>

#define ON(conversation) (1u << (conversation))
#define SEALED ON(CONVERSATION_SEALED)
#define UNSEALED ON(CONVERSATION_UNSEALED)
#define COPY ON(CONVERSATION_COPY)
#define RECOVERY ON(CONVERSATION_RECOVERY)
#define WRITES (SEALED | UNSEALED | COPY)
#define PROBE ON(CONVERSATION_PROBE)
#define ALL (WRITES | RECOVERY | PROBE)

struct row {
    unsigned conversations;
    enum conversation_state state;
    Sealift__Head__KindCase kind;
    enum conversation_state next;
};

#define KIND(name) SEALIFT__HEAD__KIND_##name
#define STATE(name) CONVERSATION_##name

static const struct row listener_rows[] = {
    {ALL, STATE(NEW), KIND(OPEN), STATE(READY)},
    {ALL, STATE(READY), KIND(FAIL), STATE(ENDED)},
    {ALL, STATE(STREAM), KIND(FAIL), STATE(ENDED)},
    {WRITES, STATE(DONE), KIND(FAIL), STATE(ENDED)},
    {WRITES, STATE(DONE), KIND(DONE), STATE(ENDED)},

    {SEALED, STATE(READY), KIND(ENVELOPE), STATE(STREAM)},
    {UNSEALED | COPY, STATE(READY), KIND(BATCH), STATE(STREAM)},
    {WRITES, STATE(READY), KIND(ASK), STATE(READY)},
    {WRITES, STATE(READY), KIND(COMMIT), STATE(STREAM)},
    {COPY, STATE(READY), KIND(DONE), STATE(ENDED)}, /* there was nothing to copy */

    {WRITES, STATE(STREAM), KIND(BATCH), STATE(STREAM)},
    {WRITES, STATE(STREAM), KIND(ASK), STATE(STREAM)},
    {WRITES, STATE(STREAM), KIND(COMMIT), STATE(STREAM)},

    /* a copy goes on with its next point, or with what was missing */
    {COPY, STATE(DONE), KIND(BATCH), STATE(STREAM)},
    {COPY, STATE(DONE), KIND(ASK), STATE(DONE)},
    {COPY, STATE(DONE), KIND(COMMIT), STATE(STREAM)},

    {COPY, STATE(READY), KIND(KEEP_UNLOCK), STATE(READY)},
    {COPY, STATE(STREAM), KIND(KEEP_UNLOCK), STATE(STREAM)},
    {COPY, STATE(DONE), KIND(KEEP_UNLOCK), STATE(DONE)},

    {RECOVERY, STATE(READY), KIND(FRAMES), STATE(STREAM)},
    {RECOVERY, STATE(READY), KIND(FETCH_END), STATE(STREAM)},
    {RECOVERY, STATE(STREAM), KIND(FRAMES), STATE(STREAM)},
    {RECOVERY, STATE(STREAM), KIND(FETCH_END), STATE(STREAM)},
    /* only in answer to Done, of which whoever fetches knows */
    {RECOVERY, STATE(READY), KIND(DONE), STATE(ENDED)},
    {RECOVERY, STATE(STREAM), KIND(DONE), STATE(ENDED)},

    {PROBE, STATE(READY), KIND(DONE), STATE(ENDED)},
};

static const struct row dialler_rows[] = {
    {ALL, STATE(NEW), KIND(OPENED), STATE(STREAM)},
    {ALL, STATE(NEW), KIND(FAIL), STATE(ENDED)},
    {ALL, STATE(STREAM), KIND(FAIL), STATE(ENDED)},

    {WRITES, STATE(STREAM), KIND(HAVE), STATE(STREAM)},
    {WRITES | PROBE, STATE(STREAM), KIND(ACK), STATE(STREAM)},
    {WRITES, STATE(STREAM), KIND(RECEIPT), STATE(STREAM)},
    {WRITES, STATE(STREAM), KIND(MISSING), STATE(STREAM)},

    {RECOVERY, STATE(STREAM), KIND(WANT), STATE(STREAM)},
    {RECOVERY, STATE(STREAM), KIND(CREDIT), STATE(STREAM)},
    {RECOVERY, STATE(STREAM), KIND(DONE), STATE(ENDED)},
    /* credit for what the opener had not looked at when it was done */
    {RECOVERY, STATE(ENDED), KIND(CREDIT), STATE(ENDED)},
};

static const char *const state_names[] = {
    [CONVERSATION_NEW] = "before it is opened", [CONVERSATION_READY] = "when it is just opened",
    [CONVERSATION_STREAM] = "while data flows", [CONVERSATION_DONE] = "after its last answer",
    [CONVERSATION_ENDED] = "after its end",
};

static bool step(const struct row *rows, size_t count, enum conversation_kind conversation,
                 enum conversation_state state, Sealift__Head__KindCase kind, enum conversation_state *next,
                 struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].kind != kind || rows[i].state != state || !(rows[i].conversations & ON(conversation)))
            continue;
        *next = rows[i].next;
        return true;
    }
    return err_set(err, ERR_PROTOCOL, "a '%s' message does not belong into this conversation %s",
                   head_name(kind), state_names[state]);
}

bool conversation_listener(enum conversation_kind conversation, enum conversation_state state,
                           Sealift__Head__KindCase kind, enum conversation_state *next, struct err *err)
{
    return step(listener_rows, sizeof(listener_rows) / sizeof(listener_rows[0]), conversation, state, kind,
                next, err);
}

bool conversation_dialler(enum conversation_kind conversation, enum conversation_state state,
                          Sealift__Head__KindCase kind, enum conversation_state *next, struct err *err)
{
    return step(dialler_rows, sizeof(dialler_rows) / sizeof(dialler_rows[0]), conversation, state, kind, next,
                err);
}

/* --- failures --- */

struct public_text {
    enum err_code code;
    const char *text;
};

static const struct public_text public_texts[] = {
    {ERR_USAGE, "the request cannot be carried out as it stands"},
    {ERR_FAILED, "the run failed"},
    {ERR_NOT_FOUND, "something that the run needs is not there"},
    {ERR_POLICY, "a rule forbids it"},
    {ERR_BUSY, "something that the run needs is in use"},
    {ERR_UNREACHABLE, "the other side cannot be reached"},
    {ERR_CANCELLED, "the run was cancelled"},
    {ERR_NO_KEY, "a key is missing"},
    {ERR_WRONG_KEY, "a key does not fit"},
    {ERR_DAMAGED, "stored data is damaged"},
    {ERR_TRUNCATED, "stored data is cut short"},
    {ERR_NOT_ENCRYPTED, "data is not encrypted where it must be"},
    {ERR_SALT_MISSING, "the salt of a password is missing"},
    {ERR_NOT_AUTHENTIC, "something is not authentic"},
    {ERR_SYSTEM, "a system call failed"},
    {ERR_NO_SPACE, "there is no space left"},
    {ERR_EXISTS, "it exists already"},
    {ERR_VERSION, "something is of a version that is not known here"},
    {ERR_PROTOCOL, "the protocol was broken"},
    {ERR_LIMIT, "a limit was exceeded"},
    {ERR_CONFIG, "the configuration does not allow it"},
};

static const struct public_text *find_text(enum err_code code)
{
    for (size_t i = 0; i < sizeof(public_texts) / sizeof(public_texts[0]); i++)
        if (public_texts[i].code == code) return &public_texts[i];
    return NULL;
}

/* The one path that all may hear of is the repository's, which its statement has: in what a failed opening
 * begins with, "repository 'NAME': cannot open the repository 'PATH'". A name has no quotation mark. */
static bool is_of_an_opening(const char *text)
{
    static const char by_name[] = "repository '", opening[] = "': " REPOSITORY_NOT_OPENED;
    if (strncmp(text, by_name, sizeof(by_name) - 1) != 0) return false;
    const char *name_end = strchr(text + sizeof(by_name) - 1, '\'');
    return name_end && strncmp(name_end, opening, sizeof(opening) - 1) == 0;
}

/* Errors that say more by their own texts. But what is wrong with a chunk is said of the first file that it
 * takes away, and whoever sent the chunk must not hear which that is. */
static bool tells_itself(const struct err *err)
{
    bool may = err->code == ERR_NOT_AUTHENTIC || err->code == ERR_VERSION || err->code == ERR_PROTOCOL;
    return may && (is_of_an_opening(err->text) || !strstr(err->text, "'/"));
}

const char *conversation_public_text(const struct err *err)
{
    const struct public_text *known = find_text(err->code);
    if (!known) return "the run failed";
    if (strcmp(err->text, CONVERSATION_SHUT_DOWN) == 0) return err->text;
    if (err->code == ERR_UNREACHABLE && strncmp(err->text, DATA_PATH_GONE, strlen(DATA_PATH_GONE)) == 0)
        return err->text;
    return tells_itself(err) ? err->text : known->text;
}

enum err_code conversation_fail_code(uint32_t code)
{
    const struct public_text *known = find_text((enum err_code)code);
    return known ? known->code : ERR_FAILED;
}
