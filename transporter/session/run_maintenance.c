/* A maintenance run: what the owner of a repository does with it alone. The director says when and which;
 * what may be removed is decided here, by what operators have signed. */
#include "transporter/session/run_inside.h"

bool run_maintenance(struct run *run, struct err *err)
{
    switch (run->work.kind) {
    case SEALIFT__MAINTENANCE_KIND__MAINTENANCE_CHECK:
        return run_inspect(run, err);
    case SEALIFT__MAINTENANCE_KIND__MAINTENANCE_PRUNE:
        return run_prune(run, err);
    case SEALIFT__MAINTENANCE_KIND__MAINTENANCE_SWEEP:
        return run_sweep(run, err);
    case SEALIFT__MAINTENANCE_KIND__MAINTENANCE_REINDEX:
        return run_reindex(run, err);
    default:
        return err_set(err, ERR_PROTOCOL, "a maintenance run that does not say what is to be done");
    }
}
