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

/* What is put in is what encoding with it makes, with a serial and without. */
Test(head, that_is_numbered_later_is_the_one_encoding_of_it)
{
    static const uint64_t numbers[] = {1, 127, 128, 300, UINT32_MAX, UINT64_MAX}, serials[] = {0, 5, 4000000};
    struct err err;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        for (size_t k = 0; k < sizeof(serials) / sizeof(serials[0]); k++) {
            AUTO(buf) struct buf plain = {0}, numbered = {0};
            AUTO(head) Sealift__Head *decoded = NULL;
            Sealift__Head head = SEALIFT__HEAD__INIT;
            Sealift__Batch batch = SEALIFT__BATCH__INIT;
            batch.number = 7;
            head.serial = serials[k];
            head.kind_case = SEALIFT__HEAD__KIND_BATCH;
            head.batch = &batch;
            head_encode(&head, &plain);
            head_number(buf_span(&plain), numbers[i], &numbered);
            cr_assert(head_decode(CHANNEL_DIALLER_TO_LISTENER, buf_span(&numbered), 0, &decoded, &err), "%s",
                      err.text);
            cr_assert_eq(decoded->sequence, numbers[i]);
            cr_assert_eq(decoded->serial, serials[k]);
            cr_assert_eq(decoded->batch->number, 7);
        }
    }
}

Test(head, with_a_sequence_number_is_only_for_the_data_port)
{
    struct err err;
    AUTO(buf) struct buf bytes = {0};
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Stripes stripes = SEALIFT__STRIPES__INIT;
    head.sequence = 1;
    head.kind_case = SEALIFT__HEAD__KIND_STRIPES;
    head.stripes = &stripes;
    head_encode(&head, &bytes);
    cr_assert_eq(decode(CHANNEL_DIALLER_TO_LISTENER, buf_span(&bytes), 0, &err), ERR_NONE);
    cr_assert_eq(decode(CHANNEL_LISTENER_TO_DIALLER, buf_span(&bytes), 0, &err), ERR_PROTOCOL);
    cr_assert_str_eq(err.text, "a 'stripes' message with a sequence number");
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

/* --- what two hosts are told of the way to each other --- */

static uint8_t name[32] = {4}, peer[32] = {5};

static void probe_message(size_t name_len, struct buf *out)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Probe probe = SEALIFT__PROBE__INIT;
    probe.id = (ProtobufCBinaryData){16, run};
    probe.ticket = (ProtobufCBinaryData){32, ticket};
    probe.peer = (ProtobufCBinaryData){32, peer};
    probe.side = SEALIFT__RUN_SIDE__SIDE_TARGET;
    probe.connection = SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS;
    probe.proxy = (char *)(uintptr_t) "meet.example:9449";
    probe.rendezvous = (ProtobufCBinaryData){name_len, name};
    head.kind_case = SEALIFT__HEAD__KIND_PROBE;
    head.probe = &probe;
    head_encode(&head, out);
}

Test(head, of_a_probe_carries_the_way)
{
    struct err err;
    AUTO(buf) struct buf bytes = {0};
    AUTO(head) Sealift__Head *head = NULL;
    probe_message(32, &bytes);
    cr_assert(head_decode(CHANNEL_DIRECTOR_TO_TRANSPORTER, buf_span(&bytes), 0, &head, &err), "%s", err.text);
    cr_assert_eq(head->probe->connection, SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS);
    cr_assert_str_eq(head->probe->proxy, "meet.example:9449");
    cr_assert_eq(memcmp(head->probe->rendezvous.data, name, 32), 0);
    for (int channel = CHANNEL_OPERATOR_TO_DIRECTOR; channel <= CHANNEL_LISTENER_TO_DIALLER; channel++)
        cr_assert_eq(decode((enum channel)channel, buf_span(&bytes), 0, &err),
                     channel == CHANNEL_DIRECTOR_TO_TRANSPORTER ? ERR_NONE : ERR_PROTOCOL);
}

Test(head, of_a_probe_cut_or_flipped_never_crashes)
{
    struct err err;
    AUTO(buf) struct buf bytes = {0};
    probe_message(32, &bytes);
    for (size_t len = 0; len < bytes.len; len++)
        cr_assert_neq(decode(CHANNEL_DIRECTOR_TO_TRANSPORTER, span_of(bytes.data, len), 0, &err), ERR_NONE);
    for (size_t i = 0; i < bytes.len * 8; i++) {
        bytes.data[i / 8] ^= (uint8_t)(1u << (i % 8));
        (void)decode(CHANNEL_DIRECTOR_TO_TRANSPORTER, buf_span(&bytes), 0, &err);
        bytes.data[i / 8] ^= (uint8_t)(1u << (i % 8));
    }
}

Test(head, with_a_rendezvous_of_another_length_is_refused)
{
    struct err err;
    static const size_t lengths[] = {1, 16, 31};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        AUTO(buf) struct buf bytes = {0};
        probe_message(lengths[i], &bytes);
        cr_assert_eq(decode(CHANNEL_DIRECTOR_TO_TRANSPORTER, buf_span(&bytes), 0, &err), ERR_PROTOCOL);
    }
    cr_assert_str_eq(err.text, "probe: 'rendezvous' has 31 bytes instead of 32");
}

Test(head, of_an_assignment_with_a_connection_of_a_later_version_is_refused)
{
    struct err err;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Assign assign = SEALIFT__ASSIGN__INIT;
    assign.run = (ProtobufCBinaryData){16, run};
    assign.subject_id = (ProtobufCBinaryData){16, run};
    assign.ticket = (ProtobufCBinaryData){32, ticket};
    assign.connection = (Sealift__Connection)4;
    head.kind_case = SEALIFT__HEAD__KIND_ASSIGN;
    head.assign = &assign;
    AUTO(buf) struct buf bytes = {0};
    head_encode(&head, &bytes);
    cr_assert_eq(decode(CHANNEL_DIRECTOR_TO_TRANSPORTER, buf_span(&bytes), 0, &err), ERR_VERSION);
    cr_assert_str_eq(err.text, "message: 'connection' has the unknown value 4");
}

/* As many runs and KMS entries as a transporter may have, with the longest names. */
Test(head, of_the_longest_hello_fits)
{
    enum { SLOTS_MOST = 128, KMS_MOST = 16, NAME_MOST = 63, HOST_MOST = 255 };
    struct err err;
    char long_name[NAME_MOST + 1] = {0}, endpoint[HOST_MOST + 7] = {0};
    memset(long_name, 'n', NAME_MOST);
    memset(endpoint, 'h', HOST_MOST);
    memcpy(endpoint + HOST_MOST, ":65535", 6);
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Hello hello = SEALIFT__HELLO__INIT;
    Sealift__OwnKey own = SEALIFT__OWN_KEY__INIT;
    ProtobufCBinaryData runs[SLOTS_MOST];
    Sealift__KmsOffer offers[KMS_MOST], *kms[KMS_MOST];
    for (size_t i = 0; i < SLOTS_MOST; i++)
        runs[i] = (ProtobufCBinaryData){16, run};
    for (size_t i = 0; i < KMS_MOST; i++) {
        kms[i] = &offers[i];
        sealift__kms_offer__init(kms[i]);
        offers[i].name = long_name;
        offers[i].kind = (char *)(uintptr_t) "file";
    }
    hello.version = (char *)(uintptr_t) "10.20.30";
    hello.roster_version = UINT64_MAX;
    hello.incarnation = (ProtobufCBinaryData){16, run};
    hello.slots = SLOTS_MOST;
    hello.n_runs = SLOTS_MOST;
    hello.runs = runs;
    hello.n_kms = KMS_MOST;
    hello.kms = kms;
    own.key_id = own.domain_id = (ProtobufCBinaryData){32, name};
    hello.own_key = &own;
    hello.reverse_endpoint = endpoint;
    head.kind_case = SEALIFT__HEAD__KIND_HELLO;
    head.hello = &hello;
    AUTO(buf) struct buf bytes = {0};
    head_encode(&head, &bytes);
    cr_assert_eq(decode(CHANNEL_TRANSPORTER_TO_DIRECTOR, buf_span(&bytes), 0, &err), ERR_NONE, "%s",
                 err.text);
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

static void link_message(size_t key_len, struct buf *out)
{
    static uint8_t source[32] = {1}, target[32] = {2};
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__LinkPut put = SEALIFT__LINK_PUT__INIT;
    Sealift__Link link = SEALIFT__LINK__INIT;
    link.source = (ProtobufCBinaryData){key_len, source};
    link.target = (ProtobufCBinaryData){32, target};
    link.connection = SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS;
    link.proxy = (char *)(uintptr_t) "meet:1";
    put.link = &link;
    head.kind_case = SEALIFT__HEAD__KIND_LINK_PUT;
    head.link_put = &put;
    head_encode(&head, out);
}

Test(head, of_a_link_is_an_operators_has_these_bytes_and_names_both_keys)
{
    struct err err;
    AUTO(buf) struct buf bytes = {0};
    AUTO(head) Sealift__Head *head = NULL;
    static const uint8_t front[] = {0x08, 0x01, 0xb2, 0x02, 0x50, 0x0a, 0x4e, 0x0a, 0x20, 0x01};
    static const uint8_t end[] = {0x18, 0x03, 0x22, 0x06, 'm', 'e', 'e', 't', ':', '1'};
    link_message(32, &bytes);
    cr_assert_eq(memcmp(bytes.data, front, sizeof(front)), 0);
    cr_assert_eq(memcmp(bytes.data + bytes.len - sizeof(end), end, sizeof(end)), 0);
    cr_assert(head_decode(CHANNEL_OPERATOR_TO_DIRECTOR, buf_span(&bytes), 0, &head, &err), "%s", err.text);
    cr_assert_str_eq(head->link_put->link->proxy, "meet:1");
    for (int channel = CHANNEL_DIRECTOR_TO_OPERATOR; channel <= CHANNEL_LISTENER_TO_DIALLER; channel++)
        cr_assert_eq(decode((enum channel)channel, buf_span(&bytes), 0, &err), ERR_PROTOCOL);
    cr_assert_eq(decode(CHANNEL_OPERATOR_TO_DIRECTOR, buf_span(&bytes), 1, &err), ERR_LIMIT);
    static const size_t lengths[] = {0, 16, 31};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        AUTO(buf) struct buf other = {0};
        link_message(lengths[i], &other);
        cr_assert_eq(decode(CHANNEL_OPERATOR_TO_DIRECTOR, buf_span(&other), 0, &err), ERR_PROTOCOL);
    }
}

Test(head, of_a_link_cut_or_flipped_never_crashes)
{
    struct err err;
    AUTO(buf) struct buf bytes = {0};
    link_message(32, &bytes);
    for (size_t len = 0; len < bytes.len; len++)
        cr_assert_neq(decode(CHANNEL_OPERATOR_TO_DIRECTOR, span_of(bytes.data, len), 0, &err), ERR_NONE);
    for (size_t i = 0; i < bytes.len * 8; i++) {
        bytes.data[i / 8] ^= (uint8_t)(1u << (i % 8));
        (void)decode(CHANNEL_OPERATOR_TO_DIRECTOR, buf_span(&bytes), 0, &err);
        bytes.data[i / 8] ^= (uint8_t)(1u << (i % 8));
    }
}

Test(payload, of_links_survives_encoding_and_not_being_cut)
{
    static uint8_t key[32] = {1};
    struct err err;
    Sealift__Link link = SEALIFT__LINK__INIT, *links[] = {&link, &link};
    link.source = link.target = (ProtobufCBinaryData){32, key};
    link.connection = SEALIFT__CONNECTION__CONNECTION_REVERSE;
    Sealift__LinkListAnswer answer = SEALIFT__LINK_LIST_ANSWER__INIT;
    answer.n_links = 2;
    answer.links = links;
    AUTO(buf) struct buf bytes = {0};
    payload_link_list_encode(&answer, &bytes);
    AUTO(payload_link_list) Sealift__LinkListAnswer *decoded = NULL;
    cr_assert(payload_link_list_decode(buf_span(&bytes), &decoded, &err), "%s", err.text);
    cr_assert_eq(decoded->n_links, 2);
    cr_assert_eq(decoded->links[1]->connection, SEALIFT__CONNECTION__CONNECTION_REVERSE);
    for (size_t len = 1; len < bytes.len; len++) {
        AUTO(payload_link_list) Sealift__LinkListAnswer *cut = NULL;
        bool whole = len == bytes.len / 2; /* one link alone */
        cr_assert_eq(payload_link_list_decode(span_of(bytes.data, len), &cut, &err), whole, "%zu", len);
    }
}
