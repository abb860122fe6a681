#include "transporter/session/run_answers.h"

bool run_answers_send(struct run_answers *answers, enum run_answer which, struct err *err)
{
    struct run *run = answers->run;
    const struct run_hooks *hooks = &run->environment.hooks;
    uint32_t last = which == RUN_ANSWER_LAST;
    uint8_t extra[9];
    AUTO(buf) struct buf context = {0};
    AUTO(buf) struct buf sealed = {0};
    answers->number++;
    le64_put(extra, answers->number);
    extra[8] = (uint8_t)last;
    statement_box_context("answer", run_site(run), &run->subject, span_of(extra, sizeof(extra)), &context);
    if (!box_seal(answers->operator->box_pk.data, buf_span(&context), buf_span(&answers->pending), &sealed,
                  err))
        return false;
    buf_clear(&answers->pending);
    atomic_fetch_add(&run->counters.sent_bytes, sealed.len);
    if (hooks->answer(hooks->arg, &run->id, answers->number, last, buf_span(&sealed))) return true;
    return err_set(err, ERR_CANCELLED, "nobody takes the answers");
}
