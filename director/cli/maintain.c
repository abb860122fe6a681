#include "director/cli/maintain.h"

#include "common/wire/lent.h"
#include "director/cli/put.h"

bool maintain_start(struct cli *cli, const struct id *repository, const Sealift__Maintenance *work,
                    struct id *run, struct err *err)
{
    Sealift__Maintenance copy = *work;
    Sealift__MaintenanceStart body = SEALIFT__MAINTENANCE_START__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    body.repository = lent_id(repository);
    body.work = &copy;
    head.kind_case = SEALIFT__HEAD__KIND_MAINTENANCE_START;
    head.maintenance_start = &body;
    return put_request(cli, &head, span_of(NULL, 0), CLIENT_ONCE, run, err);
}
