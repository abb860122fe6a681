#include "transporter/session/want_answer.h"

void want_answer_begin(struct want_answer *answer, const struct data_message *want)
{
    answer->connection = want->connection;
    answer->want = want->head->serial;
    answer->stale = false;
}

static bool send(struct want_answer *answer, Sealift__Head *head, struct buf *payload, struct err *err)
{
    size_t len = payload->len;
    if (!dialler_answer(answer->dialler, answer->connection, head, payload, &answer->stale, err))
        return false;
    if (answer->stale) return err_set(err, ERR_UNREACHABLE, "the connection was lost");
    atomic_fetch_add(answer->sent_bytes, len);
    return true;
}

bool want_answer_part(struct want_answer *answer, struct buf *part, struct err *err)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Frames frames = SEALIFT__FRAMES__INIT;
    if (part->len == 0) return true;
    frames.want = answer->want;
    head.kind_case = SEALIFT__HEAD__KIND_FRAMES;
    head.frames = &frames;
    return send(answer, &head, part, err);
}

bool want_answer_end(struct want_answer *answer, struct buf *missing, struct err *err)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__FetchEnd end = SEALIFT__FETCH_END__INIT;
    end.want = answer->want;
    end.missing = (uint32_t)(missing->len / HASH_LEN);
    head.kind_case = SEALIFT__HEAD__KIND_FETCH_END;
    head.fetch_end = &end;
    return send(answer, &head, missing, err);
}
