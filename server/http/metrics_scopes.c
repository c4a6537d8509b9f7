/*
 * metrics_scopes.c - a line for each scope and each namespace.
 *
 * Clients choose these names. So they are escaped; only the metrics.scopes_max most used are
 * written, that nobody outside decides how long the page gets; and a scope has its id beside its
 * names, because names are cut and two scopes may then look alike: Prometheus gives up a page on
 * which one line stands twice. There is no line for "all others": a scope that joins the most used
 * would take its counts from it, which looks like a restart. The sums over all stand on the page.
 *
 * Owns nothing. Threads: as metrics_scopes.h says.
 */
#include "server/http/metrics_scopes.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/metrics.h"
#include "cache/cache.h"
#include "server/grpc/door.h"

/* ---- scopes ---------------------------------------------------------------------------------- */

/* To be freed; NULL: no memory. scope="<id>",namespace="a",model="b",embedder="c",
 * attributes="x=1;y=2" */
static char *labels_of(const struct cache_scope_stats *scope)
{
    char *labels = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&labels, &bytes);
    if (out == NULL)
        return NULL;
    (void)fprintf(out, "scope=\"%016" PRIx64 "\",namespace=\"", scope->id);
    metric_write_escaped(scope->namespace_, out);
    (void)fputs("\",model=\"", out);
    metric_write_escaped(scope->model, out);
    (void)fputs("\",embedder=\"", out);
    metric_write_escaped(scope->embedder, out);
    (void)fputs("\",attributes=\"", out);
    for (size_t i = 0; i < scope->attributes_count; i++) {
        (void)fputs(i > 0 ? ";" : "", out);
        metric_write_escaped(scope->attributes[i].name, out);
        (void)fputc('=', out);
        metric_write_escaped(scope->attributes[i].value, out);
    }
    (void)fputc('"', out);
    if (fclose(out) != 0) {
        free(labels);
        return NULL;
    }
    return labels;
}

enum scope_metric {
    SCOPE_LOOKUPS,
    SCOPE_HITS,
    SCOPE_GUARDED,
    SCOPE_WOULD_HIT,
    SCOPE_VERDICTS,
    SCOPE_NEAR_VERDICTS,
    SCOPE_THRESHOLD,
    SCOPE_ROWS,
    SCOPE_METRICS
};

static double scope_value(const struct cache_scope_stats *scope, enum scope_metric which)
{
    switch (which) {
    case SCOPE_LOOKUPS:
        return (double)scope->lookups;
    case SCOPE_HITS:
        return (double)scope->hits;
    case SCOPE_GUARDED:
        return (double)scope->guard_blocked;
    case SCOPE_WOULD_HIT:
        return (double)scope->would_hits;
    case SCOPE_VERDICTS:
        return (double)scope->feedback_count;
    case SCOPE_NEAR_VERDICTS:
        return (double)scope->near_verdicts;
    case SCOPE_THRESHOLD:
        return (double)scope->threshold;
    case SCOPE_ROWS:
        return (double)scope->index.rows;
    case SCOPE_METRICS:
        break;
    }
    return 0;
}

void metrics_of_scopes(const struct cache_stats *stats, FILE *out)
{
    /* clang-format off */
    static const struct metric_row rows[SCOPE_METRICS] = {
        [SCOPE_LOOKUPS] = {"reprise_scope_lookups_total", METRIC_COUNTER, "requests", "Semantic lookups of a scope (the metrics.scopes_max most used)."},
        [SCOPE_HITS] = {"reprise_scope_hits_total", METRIC_COUNTER, "requests", "Semantic hits of a scope."},
        [SCOPE_GUARDED] = {"reprise_scope_guard_blocked_total", METRIC_COUNTER, "requests", "Lookups whose best candidate the guard refused."},
        [SCOPE_WOULD_HIT] = {"reprise_scope_would_hits_total", METRIC_COUNTER, "requests", "What policy shadow would have served."},
        [SCOPE_VERDICTS] = {"reprise_scope_verdicts", METRIC_GAUGE, "verdicts", "Recent verdicts that the policy remembers."},
        [SCOPE_NEAR_VERDICTS] = {"reprise_scope_near_verdicts_total", METRIC_COUNTER, "verdicts", "Verdicts on near misses; they move nothing and stand in the shadow report."},
        [SCOPE_THRESHOLD] = {"reprise_scope_threshold", METRIC_GAUGE, "cosine", "The similarity at which a scope serves now."},
        [SCOPE_ROWS] = {"reprise_scope_rows", METRIC_GAUGE, "vectors", "Vectors of a scope."},
    };
    /* clang-format on */
    for (int which = 0; which < SCOPE_METRICS; which++) {
        metric_write_head(&rows[which], out);
        for (size_t i = 0; i < stats->scopes_count; i++) {
            char *labels = labels_of(&stats->scopes[i]);
            if (labels != NULL)
                metric_write_real(&rows[which], labels,
                                  scope_value(&stats->scopes[i], (enum scope_metric)which), out);
            free(labels);
        }
    }
}

/* ---- namespaces ------------------------------------------------------------------------------ */

struct namespace_row {
    struct metric_row row;
    size_t offset; /* of a uint64_t in struct cache_namespace_stats */
};

/* clang-format off */
#define ROW(name, kind, member, unit, meaning) {{name, kind, unit, meaning}, offsetof(struct cache_namespace_stats, member)}
static const struct namespace_row namespace_rows[] = {
    ROW("reprise_namespace_requests_total",    METRIC_COUNTER, requests,    "requests", "Gets of a namespace (the metrics.scopes_max most used)."),
    ROW("reprise_namespace_answered_total",    METRIC_COUNTER, answered,    "requests", "Those of them that got an answer."),
    ROW("reprise_namespace_sets_total",        METRIC_COUNTER, sets,        "entries", "Answers that were stored in a namespace."),
    ROW("reprise_namespace_evictions_total",   METRIC_COUNTER, evictions,   "entries", "Entries of a namespace that went for want of room."),
    ROW("reprise_namespace_expirations_total", METRIC_COUNTER, expirations, "entries", "Entries of a namespace that went at the end of their life."),
    ROW("reprise_namespace_entries",           METRIC_GAUGE,   entries,     "entries", "Entries of a namespace."),
    ROW("reprise_namespace_size_bytes",        METRIC_GAUGE,   size_bytes,  "bytes", "Memory of a namespace's entries."),
};
/* clang-format on */

static void write_namespace(const struct namespace_row *row,
                            const struct cache_namespace_stats *stats, FILE *out)
{
    const uint64_t *value = (const void *)((const char *)stats + row->offset);
    (void)fprintf(out, "%s{namespace=\"", row->row.name);
    metric_write_escaped(stats->name, out);
    (void)fprintf(out, "\"} %" PRIu64 "\n", *value);
}

void metrics_of_namespaces(struct cache *cache, struct arena *arena, FILE *out)
{
    struct cache_namespace_stats *stats = NULL;
    size_t count = 0;
    if (cache_each_namespace_stats(cache, door_tenant, arena, &stats, &count) != STATUS_OK)
        return;
    for (size_t n = 0; n < sizeof(namespace_rows) / sizeof(namespace_rows[0]); n++) {
        metric_write_head(&namespace_rows[n].row, out);
        for (size_t i = 0; i < count; i++)
            write_namespace(&namespace_rows[n], &stats[i], out);
    }
}
