// One function for each noun puts its routes into the router. A new noun is a new file handlers_<noun>.cpp and a line here.
#pragma once

#include "api/router.h"

namespace st8::api {

void add_health_routes(Router& router);       // /healthz, /readyz, /metrics, /v1/status
void add_apply_routes(Router& router);        // /v1/apply, /v1/unset
void add_state_routes(Router& router);        // /v1/state, /v1/state/batch, /v1/resolve
void add_document_routes(Router& router);     // /v1/documents/{key...}
void add_diff_routes(Router& router);         // /v1/diff
void add_history_routes(Router& router);      // /v1/log, /v1/revisions, /v1/history
void add_checkpoint_routes(Router& router);   // /v1/checkpoints
void add_copy_routes(Router& router);         // /v1/rollback, /v1/restore
void add_merge_routes(Router& router);        // /v1/merge, /v1/cherry-pick, /v1/revert
void add_branch_routes(Router& router);       // /v1/branches
void add_namespace_routes(Router& router);    // /v1/namespaces
void add_operation_routes(Router& router);    // /v1/operations
void add_watch_routes(Router& router);        // /v1/watch
void add_maintenance_routes(Router& router);  // /v1/gc, /v1/fsck, /v1/backup
void add_schema_routes(Router& router);       // /v1/schema
void add_ofrep_routes(Router& router);        // /ofrep/v1/evaluate/flags

}  // namespace st8::api
