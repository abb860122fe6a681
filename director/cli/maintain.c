#include "director/cli/maintain.h"

#include "common/wire/lent.h"

#include <string.h>

bool maintain_start(struct cli *cli, const struct id *repository, const Sealift__Maintenance *work,
                    struct id *run, struct err *err)
{
    struct client *client = NULL;
    AUTO(client_message) struct client_message answer = {0};
    Sealift__Maintenance copy = *work;
    Sealift__MaintenanceStart body = SEALIFT__MAINTENANCE_START__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    body.repository = lent_id(repository);
    body.work = &copy;
    head.kind_case = SEALIFT__HEAD__KIND_MAINTENANCE_START;
    head.maintenance_start = &body;
    if (!access_director(cli, &client, err) ||
        !client_request(client, &head, span_of(NULL, 0), CLIENT_ONCE, &answer, err))
        return false;
    const ProtobufCBinaryData *id = &answer.head->done->run;
    if (id->len != ID_LEN) return err_set(err, ERR_PROTOCOL, "the director's answer names no run");
    memcpy(run->bytes, id->data, ID_LEN);
    return true;
}
