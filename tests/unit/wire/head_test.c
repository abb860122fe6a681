#include "common/wire/fields.h"
#include "common/wire/head.h"
#include "common/wire/statement.h"

#include <criterion/criterion.h>
#include <string.h>

static uint8_t run[16] = {1}, ticket[32] = {2}, seal[16] = {3};

static void open_message(struct buf *out)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Open open = SEALIFT__OPEN__INIT;
    open.run = (ProtobufCBinaryData){16, run};
    open.attempt = 1;
    open.ticket = (ProtobufCBinaryData){32, ticket};
    open.seal = (ProtobufCBinaryData){16, seal};
    head.kind_case = SEALIFT__HEAD__KIND_OPEN;
    head.open = &open;
    head_encode(&head, out);
}

static enum err_code decode(enum channel channel, struct span bytes, size_t payload, struct err *err)
{
    AUTO(head) Sealift__Head *head = NULL;
    *err = (struct err){0};
    return head_decode(channel, bytes, payload, &head, err) ? ERR_NONE : err->code;
}

Test(head, survives_encoding)
{
    struct err err;
    AUTO(buf) struct buf bytes = {0};
    open_message(&bytes);
    AUTO(head) Sealift__Head *head = NULL;
    cr_assert(head_decode(CHANNEL_DIALLER_TO_LISTENER, buf_span(&bytes), 0, &head, &err), "%s", err.text);
    cr_assert_eq(head->kind_case, SEALIFT__HEAD__KIND_OPEN);
    cr_assert_eq(memcmp(head->open->ticket.data, ticket, 32), 0);
}

Test(head, on_a_foreign_channel_is_refused)
{
    struct err err;
    AUTO(buf) struct buf bytes = {0};
    open_message(&bytes);
    for (int channel = CHANNEL_OPERATOR_TO_DIRECTOR; channel <= CHANNEL_LISTENER_TO_DIALLER; channel++) {
        enum err_code expected = channel == CHANNEL_DIALLER_TO_LISTENER ? ERR_NONE : ERR_PROTOCOL;
        cr_assert_eq(decode((enum channel)channel, buf_span(&bytes), 0, &err), expected);
    }
    cr_assert_str_eq(err.text, "a 'open' message does not belong on this channel");
}

Test(head, of_another_protocol_version_names_both)
{
    struct err err;
    AUTO(buf) struct buf bytes = {0};
    open_message(&bytes);
    cr_assert_eq(bytes.data[0], 0x08); /* field 1, the protocol */
    bytes.data[1] = 2;
    cr_assert_eq(decode(CHANNEL_DIALLER_TO_LISTENER, buf_span(&bytes), 0, &err), ERR_VERSION);
    cr_assert_str_eq(err.text, "the peer speaks protocol version 2, this program version 1");
}

Test(head, with_a_payload_over_the_limit_is_refused)
{
    struct err err;
    AUTO(buf) struct buf bytes = {0};
    open_message(&bytes);
    size_t limit = head_payload_limit(SEALIFT__HEAD__KIND_OPEN);
    cr_assert_eq(decode(CHANNEL_DIALLER_TO_LISTENER, buf_span(&bytes), limit, &err), ERR_NONE);
    cr_assert_eq(decode(CHANNEL_DIALLER_TO_LISTENER, buf_span(&bytes), limit + 1, &err), ERR_LIMIT);
}

Test(head, over_4_kib_is_refused)
{
    struct err err;
    uint8_t big[HEAD_MAX + 1] = {0};
    cr_assert_eq(decode(CHANNEL_DIALLER_TO_LISTENER, span_of(big, sizeof(big)), 0, &err), ERR_LIMIT);
}

Test(head, without_a_kind_or_of_an_unknown_kind_is_refused)
{
    struct err err;
    const uint8_t bare[] = {0x08, 0x01};
    cr_assert_eq(decode(CHANNEL_DIALLER_TO_LISTENER, span_of(bare, sizeof(bare)), 0, &err), ERR_PROTOCOL);
    const uint8_t unknown[] = {0x08, 0x01, 0xfa, 0x3e, 0x00}; /* field 1007 */
    cr_assert_eq(decode(CHANNEL_DIALLER_TO_LISTENER, span_of(unknown, sizeof(unknown)), 0, &err),
                 ERR_VERSION);
}

Test(head, with_an_id_of_a_wrong_length_is_refused)
{
    struct err err;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__RunStop stop = SEALIFT__RUN_STOP__INIT;
    stop.run = (ProtobufCBinaryData){15, run};
    head.kind_case = SEALIFT__HEAD__KIND_RUN_STOP;
    head.run_stop = &stop;
    AUTO(buf) struct buf bytes = {0};
    head_encode(&head, &bytes);
    cr_assert_eq(decode(CHANNEL_OPERATOR_TO_DIRECTOR, buf_span(&bytes), 0, &err), ERR_PROTOCOL);
    cr_assert_str_eq(err.text, "run stop: 'run' has 15 bytes instead of 16");
}

Test(head, cut_or_flipped_never_crashes)
{
    struct err err;
    AUTO(buf) struct buf bytes = {0};
    open_message(&bytes);
    for (size_t len = 0; len < bytes.len; len++)
        cr_assert_neq(decode(CHANNEL_DIALLER_TO_LISTENER, span_of(bytes.data, len), 0, &err), ERR_NONE);
    for (size_t i = 0; i < bytes.len * 8; i++) {
        bytes.data[i / 8] ^= (uint8_t)(1u << (i % 8));
        (void)decode(CHANNEL_DIALLER_TO_LISTENER, buf_span(&bytes), 0, &err);
        bytes.data[i / 8] ^= (uint8_t)(1u << (i % 8));
    }
}

Test(head, knows_every_kind_of_the_schema)
{
    const ProtobufCMessageDescriptor *head = &sealift__head__descriptor;
    for (unsigned i = 0; i < head->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &head->fields[i];
        if (field->type != PROTOBUF_C_TYPE_MESSAGE) continue;
        cr_assert_str_neq(head_name((Sealift__Head__KindCase)field->id), "unknown", "%s", field->name);
    }
}

static void rules_of(const ProtobufCMessageDescriptor *message)
{
    for (unsigned i = 0; i < message->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->fields[i];
        if (field->type == PROTOBUF_C_TYPE_MESSAGE && field->descriptor != message)
            rules_of(field->descriptor);
        if (field->type == PROTOBUF_C_TYPE_BYTES)
            cr_assert(fields_has_rule(field->name), "%s.%s", message->name, field->name);
    }
}

Test(head, every_byte_field_of_messages_and_statements_has_a_length_rule)
{
    const ProtobufCMessageDescriptor *all[] = {
        &sealift__head__descriptor,
        &sealift__signed_statement__descriptor,
        &sealift__statement__descriptor,
        &sealift__roster_body__descriptor,
        &sealift__grant_body__descriptor,
        &sealift__repository_body__descriptor,
        &sealift__job_body__descriptor,
        &sealift__order_body__descriptor,
        &sealift__backup_plan__descriptor,
        &sealift__restore_plan__descriptor,
        &sealift__browse_plan__descriptor,
        &sealift__blobs__descriptor,
        &sealift__status_answer__descriptor,
        &sealift__run_list_answer__descriptor,
        &sealift__point_list_answer__descriptor,
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        rules_of(all[i]);
}
