/*
 * methods.c - the path table: every method of the public files, sorted by path for a binary search.
 * What is not in it is answered UNIMPLEMENTED. Owns nothing. Threads: any.
 */
#include "server/grpc/methods.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "server/grpc/handlers.h"
#include "server/grpc/health.h"
#include "server/grpc/reflection.h"

/* clang-format off */
static const struct method methods[] = {
    {.path = "/grpc.health.v1.Health/Check", .acceptor = SLOT_GENERIC, .always = true,
     .handle = health_check},
    {.path = "/grpc.health.v1.Health/Watch", .acceptor = SLOT_GENERIC, .stream = true, .while_loading = true,
     .handle = health_watch, .written = health_written, .closed = health_closed},
    {.path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", .acceptor = SLOT_GENERIC,
     .stream = true, .reflection = true, .while_loading = true,
     .handle = reflection_answer, .ended = reflection_ended, .written = reflection_written},
    {.path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", .acceptor = SLOT_GENERIC,
     .stream = true, .reflection = true, .while_loading = true,
     .handle = reflection_answer, .ended = reflection_ended, .written = reflection_written},
    {.path = "/reprise.v1.Admin/Compact", .acceptor = SLOT_GENERIC,
     .handle = handle_compact, .woken = compact_woken},
    {.path = "/reprise.v1.Admin/CreateNamespace", .acceptor = SLOT_GENERIC,
     .handle = handle_create_namespace, .woken = tend_namespace_woken},
    {.path = "/reprise.v1.Admin/CreateSnapshot", .acceptor = SLOT_GENERIC,
     .handle = handle_create_snapshot, .woken = create_snapshot_woken},
    {.path = "/reprise.v1.Admin/DeleteSnapshot", .acceptor = SLOT_GENERIC, .handle = handle_delete_snapshot},
    {.path = "/reprise.v1.Admin/DropNamespace", .acceptor = SLOT_GENERIC,
     .handle = handle_drop_namespace, .woken = tend_namespace_woken},
    {.path = "/reprise.v1.Admin/GetConfig", .acceptor = SLOT_GENERIC, .while_loading = true,
     .handle = handle_get_config},
    {.path = "/reprise.v1.Admin/GetEntry", .acceptor = SLOT_GENERIC, .handle = handle_get_entry},
    {.path = "/reprise.v1.Admin/GetNamespace", .acceptor = SLOT_GENERIC, .handle = handle_get_namespace},
    {.path = "/reprise.v1.Admin/Import", .acceptor = SLOT_GENERIC, .handle = handle_import},
    {.path = "/reprise.v1.Admin/ListNamespaces", .acceptor = SLOT_GENERIC, .handle = handle_list_namespaces},
    {.path = "/reprise.v1.Admin/ListSnapshots", .acceptor = SLOT_GENERIC, .handle = handle_list_snapshots},
    {.path = "/reprise.v1.Admin/Monitor", .acceptor = SLOT_GENERIC, .stream = true,
     .handle = handle_monitor, .woken = watch_woken, .written = watch_written, .closed = watch_closed},
    {.path = "/reprise.v1.Admin/Scroll", .acceptor = SLOT_GENERIC, .handle = handle_scroll},
    {.path = "/reprise.v1.Admin/SetConfig", .acceptor = SLOT_GENERIC, .handle = handle_set_config},
    {.path = "/reprise.v1.Admin/Stats", .acceptor = SLOT_GENERIC, .while_loading = true, .handle = handle_stats},
    {.path = "/reprise.v1.Admin/UpdateNamespace", .acceptor = SLOT_GENERIC,
     .handle = handle_update_namespace, .woken = tend_namespace_woken},
    {.path = "/reprise.v1.Admin/WatchStats", .acceptor = SLOT_GENERIC, .stream = true, .while_loading = true,
     .handle = handle_watch_stats, .woken = watch_woken, .written = watch_written, .closed = watch_closed},
    {.path = "/reprise.v1.Cache/BatchGet", .acceptor = SLOT_BATCH_GET, .handle = handle_batch_get},
    {.path = "/reprise.v1.Cache/BatchSet", .acceptor = SLOT_BATCH_SET,
     .handle = handle_batch_set, .woken = batch_set_woken},
    {.path = "/reprise.v1.Cache/Delete", .acceptor = SLOT_GENERIC, .handle = handle_delete, .woken = delete_woken},
    {.path = "/reprise.v1.Cache/Explain", .acceptor = SLOT_GENERIC, .handle = handle_explain},
    {.path = "/reprise.v1.Cache/Get", .acceptor = SLOT_GET,
     .handle = handle_get, .woken = get_woken, .closed = get_closed},
    {.path = "/reprise.v1.Cache/GetStream", .acceptor = SLOT_GENERIC, .stream = true, .finishes = true,
     .handle = handle_get_stream, .woken = get_stream_woken, .written = get_stream_written,
     .closed = get_stream_closed},
    {.path = "/reprise.v1.Cache/Invalidate", .acceptor = SLOT_GENERIC,
     .handle = handle_invalidate, .woken = invalidate_woken},
    {.path = "/reprise.v1.Cache/ReleaseLease", .acceptor = SLOT_GENERIC, .handle = handle_release_lease},
    {.path = "/reprise.v1.Cache/Search", .acceptor = SLOT_GENERIC, .handle = handle_search},
    {.path = "/reprise.v1.Cache/Set", .acceptor = SLOT_SET, .handle = handle_set, .woken = set_woken},
    {.path = "/reprise.v1.Cache/SetStream", .acceptor = SLOT_GENERIC, .stream = true, .finishes = true,
     .handle = handle_set_stream, .ended = set_stream_ended, .woken = set_woken},
    {.path = "/reprise.v1.Cache/Touch", .acceptor = SLOT_GENERIC, .handle = handle_touch},
    {.path = "/reprise.v1.Feedback/BatchReport", .acceptor = SLOT_GENERIC, .handle = handle_batch_report},
    {.path = "/reprise.v1.Feedback/Calibrate", .acceptor = SLOT_GENERIC, .stream = true, .finishes = true,
     .handle = handle_calibrate, .ended = calibrate_ended},
    {.path = "/reprise.v1.Feedback/DescribePolicy", .acceptor = SLOT_GENERIC, .handle = handle_describe_policy},
    {.path = "/reprise.v1.Feedback/GetPolicy", .acceptor = SLOT_GENERIC, .handle = handle_get_policy},
    {.path = "/reprise.v1.Feedback/GetShadowReport", .acceptor = SLOT_GENERIC, .handle = handle_shadow_report},
    {.path = "/reprise.v1.Feedback/Report",  .acceptor = SLOT_GENERIC,   .handle = handle_report},
    {.path = "/reprise.v1.Feedback/SetPolicy", .acceptor = SLOT_GENERIC,
     .handle = handle_set_policy, .woken = tend_namespace_woken},
};
/* clang-format on */

enum { METHODS_COUNT = sizeof(methods) / sizeof(methods[0]) };

const struct method *methods_all(size_t *out_count)
{
    *out_count = METHODS_COUNT;
    return methods;
}

static int compare(const void *key, const void *element)
{
    const struct text *path = key;
    const struct method *method = element;
    size_t length = strlen(method->path);
    size_t shorter = path->length < length ? path->length : length;
    int order = shorter > 0 ? memcmp(path->bytes, method->path, shorter) : 0;
    if (order != 0)
        return order;
    return (path->length > length) - (path->length < length);
}

const struct method *methods_find(struct text path)
{
    return bsearch(&path, methods, METHODS_COUNT, sizeof(methods[0]), compare);
}

/* Four of them, asked for at start. */
const struct method *methods_registered(enum slot_kind acceptor)
{
    static _Atomic(const struct method *) known[SLOT_KINDS]; /* looked for once: every Get asks */
    assert(acceptor < SLOT_GENERIC);
    const struct method *method = atomic_load_explicit(&known[acceptor], memory_order_relaxed);
    for (size_t i = 0; method == NULL; i++) {
        assert(i < METHODS_COUNT); /* each acceptor has its method */
        if (methods[i].acceptor != acceptor)
            continue;
        method = &methods[i];
        atomic_store_explicit(&known[acceptor], method, memory_order_relaxed);
    }
    return method;
}
