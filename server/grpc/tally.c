/*
 * tally.c - a counter for each method and code. Owns nothing. Threads: any.
 */
#include "server/grpc/tally.h"

#include <stdbool.h>

#include "base/check.h"
#include "server/grpc/methods.h"

/* As https://grpc.github.io/grpc/core/md_doc_statuscodes.html spells them. */
static const char *const codes[] = {
    [GRPC_STATUS_OK] = "OK",
    [GRPC_STATUS_CANCELLED] = "CANCELLED",
    [GRPC_STATUS_UNKNOWN] = "UNKNOWN",
    [GRPC_STATUS_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
    [GRPC_STATUS_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
    [GRPC_STATUS_NOT_FOUND] = "NOT_FOUND",
    [GRPC_STATUS_ALREADY_EXISTS] = "ALREADY_EXISTS",
    [GRPC_STATUS_PERMISSION_DENIED] = "PERMISSION_DENIED",
    [GRPC_STATUS_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
    [GRPC_STATUS_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
    [GRPC_STATUS_ABORTED] = "ABORTED",
    [GRPC_STATUS_OUT_OF_RANGE] = "OUT_OF_RANGE",
    [GRPC_STATUS_UNIMPLEMENTED] = "UNIMPLEMENTED",
    [GRPC_STATUS_INTERNAL] = "INTERNAL",
    [GRPC_STATUS_UNAVAILABLE] = "UNAVAILABLE",
    [GRPC_STATUS_DATA_LOSS] = "DATA_LOSS",
    [GRPC_STATUS_UNAUTHENTICATED] = "UNAUTHENTICATED",
};
enum { CODES = sizeof(codes) / sizeof(codes[0]) };

static const struct metric_row row = {
    "reprise_grpc_replies_total", METRIC_COUNTER, "calls",
    "Calls that were answered, by method (none: the path is no method's) and code."};

enum status tally_create(struct counters **out_tally)
{
    size_t methods_count = 0;
    (void)methods_all(&methods_count);
    return counters_create((uint32_t)(methods_count + 1) * CODES, out_tally);
}

void tally_count(struct counters *tally, const struct method *method, grpc_status_code code)
{
    size_t methods_count = 0;
    const struct method *methods = methods_all(&methods_count);
    const size_t which = method != NULL ? (size_t)(method - methods) : methods_count;
    assert(which <= methods_count);
    assert((unsigned)code < CODES);
    counters_add(tally, (uint32_t)(which * CODES + (unsigned)code), 1);
}

static void write_method(const struct counters *tally, size_t which, const char *name, FILE *out)
{
    for (uint32_t code = 0; code < CODES; code++) {
        const uint64_t count = counters_read(tally, (uint32_t)which * CODES + code);
        char labels[METRIC_LABELS_MAX];
        if (count == 0 && code != GRPC_STATUS_OK)
            continue;
        (void)snprintf(labels, sizeof(labels), "rpc=\"%s\",code=\"%s\"", name, codes[code]);
        metric_write_value(&row, labels, count, out);
    }
}

void tally_metrics(const struct counters *tally, FILE *out)
{
    size_t methods_count = 0;
    const struct method *methods = methods_all(&methods_count);
    metric_write_head(&row, out);
    for (size_t i = 0; i < methods_count; i++)
        write_method(tally, i, methods[i].path + 1, out); /* "reprise.v1.Cache/Get" */
    write_method(tally, methods_count, "none", out);
}
