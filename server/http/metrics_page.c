/*
 * metrics_page.c - /metrics: all that Stats says and what the gRPC door counts, in the text that
 * Prometheus reads.
 *
 * A value without labels is one row of `plain`. A family whose values differ by a label is a
 * function below. Every reason has its line, so that an alert sees a 0 and not a gap.
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 *
 * Owns nothing. Threads: the door's own, which may enter an epoch.
 * NOT HERE. What has a line for each scope and namespace (metrics_scopes.c), process_* (process.c).
 */
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/pool.h"
#include "cache/cache.h"
#include "server/grpc/door.h"
#include "server/grpc/listener.h"
#include "server/http/metrics_scopes.h"
#include "server/http/pages.h"
#include "server/http/process.h"

struct facts {
    struct cache_stats cache;
    struct listener_stats grpc;
    uint32_t compute_waiting, compute_threads;
};

/* ---- one value a name ------------------------------------------------------------------------ */

struct plain_row {
    struct metric_row row;
    size_t offset, size; /* of a uint32_t or uint64_t in struct facts... */
    double per;          /* ...so many of which are one; 0: it is a whole number */
};

/* clang-format off */
#define ROW(name, kind, member, unit, meaning) {{name, kind, unit, meaning}, offsetof(struct facts, member), sizeof(((struct facts *)0)->member), 0}
#define ROW_MS(name, kind, member, meaning) {{name, kind, "seconds", meaning}, offsetof(struct facts, member), sizeof(((struct facts *)0)->member), 1e3}
#define ROW_US(name, kind, member, meaning) {{name, kind, "seconds", meaning}, offsetof(struct facts, member), sizeof(((struct facts *)0)->member), 1e6}
static const struct plain_row plain[] = {
    ROW("reprise_uptime_seconds",               METRIC_GAUGE,   cache.uptime_s,            "seconds", "Since the start."),
    ROW("reprise_requests_total",               METRIC_COUNTER, cache.total_requests,      "requests", "Gets, each item of a batch counted."),
    ROW("reprise_answered_total",               METRIC_COUNTER, cache.cached_requests,     "requests", "Gets that got an answer."),
    ROW("reprise_sets_total",                   METRIC_COUNTER, cache.sets,                "entries", "Answers that were stored."),
    ROW("reprise_evictions_total",              METRIC_COUNTER, cache.evictions,           "entries", "Entries that went for want of room."),
    ROW("reprise_expirations_total",            METRIC_COUNTER, cache.expirations,         "entries", "Entries that went at the end of their life."),
    ROW("reprise_leases_total",                 METRIC_COUNTER, cache.leases,              "requests", "Gets that were told to compute the answer."),
    ROW("reprise_lease_waits_total",            METRIC_COUNTER, cache.lease_waits,         "requests", "Gets that waited for another's answer."),
    ROW("reprise_calibrated_pairs_total",       METRIC_COUNTER, cache.calibrated_pairs,    "pairs", "Labelled pairs that Calibrate has compared."),
    ROW("reprise_entries",                      METRIC_GAUGE,   cache.entries,             "entries", "Entries stored."),
    ROW("reprise_entries_max",                  METRIC_GAUGE,   cache.entries_max,         "entries", "storage.entries_max; 0: no limit."),
    ROW("reprise_size_bytes",                   METRIC_GAUGE,   cache.size_bytes,          "bytes", "Memory of the entries."),
    ROW("reprise_size_max_bytes",               METRIC_GAUGE,   cache.bytes_max,           "bytes", "storage.memory."),
    ROW("reprise_index_rows",                   METRIC_GAUGE,   cache.index.rows,          "vectors", "Vectors in the index, dead ones too."),
    ROW("reprise_index_dead_rows",              METRIC_GAUGE,   cache.index.dead_rows,     "vectors", "Vectors of entries that are gone, not yet rewritten away."),
    ROW("reprise_index_graph_rows",             METRIC_GAUGE,   cache.index.graph_rows,    "vectors", "Vectors that graphs and lists cover."),
    ROW("reprise_index_partitions",             METRIC_GAUGE,   cache.index.partitions,    "scopes", "Scopes that have vectors."),
    ROW("reprise_index_segments",               METRIC_GAUGE,   cache.index.segments,      "segments", "Graphs and lists."),
    ROW("reprise_index_bytes",                  METRIC_GAUGE,   cache.index.size_bytes,    "bytes", "Memory of the index."),
    ROW("reprise_index_max_bytes",              METRIC_GAUGE,   cache.index.bytes_max,     "bytes", "index.memory."),
    ROW("reprise_index_refused_total",          METRIC_COUNTER, cache.index.refused,       "vectors", "Vectors that found no room: their entries are exact only."),
    ROW("reprise_index_builds_total",           METRIC_COUNTER, cache.index.builds,        "builds", "Graphs and lists that were put in use."),
    ROW("reprise_index_builds_refused_total",   METRIC_COUNTER, cache.index.builds_refused, "builds", "Builds without room in the budget; their rows stay flat."),
    ROW("reprise_index_builds_running",         METRIC_GAUGE,   cache.index_work.running,  "builds", "Builds and rewrites that run now."),
    ROW("reprise_index_builds_queued",          METRIC_GAUGE,   cache.index_work.queued,   "scopes", "Scopes that wait for a builder; some of them need nothing."),
    ROW("reprise_index_build_rows_left",        METRIC_GAUGE,   cache.index_work.rows_left, "vectors", "Vectors that the running ones have yet to take in. A rewrite copies them first, then builds over them."),
    ROW("reprise_index_rewrites_total",         METRIC_COUNTER, cache.index.rewrites,      "builds", "Builds that left dead rows behind."),
    ROW("reprise_index_graphs_given_up_total",  METRIC_COUNTER, cache.index.graphs_given_up, "graphs", "Graphs of cold scopes that went for their memory."),
    ROW("reprise_index_rows_given_up_total",    METRIC_COUNTER, cache.index.rows_given_up, "vectors", "Living vectors of unused scopes that went for their memory."),
    ROW("reprise_index_recall_wanted_total",    METRIC_COUNTER, cache.index.recall_wanted, "vectors", "Neighbours that exact repetitions of sampled searches found."),
    ROW("reprise_index_recall_found_total",     METRIC_COUNTER, cache.index.recall_found,  "vectors", "Those of them that the search had found; the quotient is the recall."),
    ROW("reprise_index_kept_total",             METRIC_COUNTER, cache.segments_kept,       "times", "Graphs and lists were written to the data folder while serving, so that a start after a kill has them."),
    ROW("reprise_index_not_kept_total",         METRIC_COUNTER, cache.segments_not_kept,   "times", "This failed: the disk refused it, or has too little room."),
    ROW("reprise_journal_bytes",                METRIC_GAUGE,   cache.journal.bytes,       "bytes", "The journal's files."),
    ROW("reprise_journal_live_bytes",           METRIC_GAUGE,   cache.journal.live_bytes,  "bytes", "What compaction would keep of them."),
    ROW("reprise_journal_segments",             METRIC_GAUGE,   cache.journal.segments,    "files", "Segments."),
    ROW("reprise_journal_records_total",        METRIC_COUNTER, cache.journal.records,     "records", "Records written."),
    ROW("reprise_journal_batches_total",        METRIC_COUNTER, cache.journal.batches,     "writes", "Writes, each of many records."),
    ROW("reprise_journal_syncs_total",          METRIC_COUNTER, cache.journal.syncs,       "syncs", "Syncs of the disk."),
    ROW_US("reprise_journal_last_sync_seconds", METRIC_GAUGE,   cache.journal.sync_us_last, "What the last sync of the disk took."),
    ROW("reprise_journal_queue_bytes",          METRIC_GAUGE,   cache.journal.queue_bytes, "bytes", "Records that wait to be written."),
    ROW("reprise_journal_read_errors_total",    METRIC_COUNTER, cache.journal.read_errors, "errors", "Reads that the disk refused or that were damaged."),
    ROW_MS("reprise_purge_pending_seconds",     METRIC_GAUGE,   cache.journal.purge_pending_ms, "How long bytes of something removed have been in the journal; 0: none are."),
    ROW_MS("reprise_purge_last_seconds",        METRIC_GAUGE,   cache.journal.purge_ms_last, "How long the last of them were."),
    ROW("reprise_purges_settled_total",         METRIC_COUNTER, cache.journal.purges_settled, "times", "How often all of them were off the disk."),
    ROW("reprise_journal_segments_set_aside",   METRIC_GAUGE,   cache.journal.segments_set_aside, "files", "Files of the journal with a damaged place, until a snapshot replaces them."),
    ROW("reprise_recovered_entries",            METRIC_GAUGE,   cache.journal.recovered_entries, "entries", "Entries that the last start brought back."),
    ROW("reprise_recovered_rows",               METRIC_GAUGE,   cache.recovered_rows,      "vectors", "Vectors that the last start brought back."),
    ROW("reprise_recovered_rows_without_space", METRIC_GAUGE,   cache.recovered_rowless,   "vectors", "Vectors of another embedder: their entries answer exact questions alone."),
    ROW("reprise_recovered_bytes",              METRIC_GAUGE,   cache.journal.recovered_bytes, "bytes", "Bytes of the journal that the last start read."),
    ROW_MS("reprise_recovery_seconds",          METRIC_GAUGE,   cache.journal.recovered_ms, "What the last start needed for it."),
    ROW("reprise_recovered_damaged_bytes",      METRIC_GAUGE,   cache.journal.damaged_bytes, "bytes", "What the last start found damaged and left out."),
    ROW("reprise_recovered_torn_bytes",         METRIC_GAUGE,   cache.journal.torn_bytes,  "bytes", "What the last start cut from the journal's end."),
    ROW("reprise_grpc_calls_total",             METRIC_COUNTER, grpc.calls,                "calls", "Calls that were let in."),
    ROW("reprise_grpc_inflight",                METRIC_GAUGE,   grpc.inflight,             "calls", "Calls between arrival and reply."),
    ROW("reprise_grpc_streams",                 METRIC_GAUGE,   grpc.streams,              "calls", "Streams that are open."),
    ROW("reprise_compute_waiting",              METRIC_GAUGE,   compute_waiting,           "jobs", "Jobs that wait for a compute thread."),
    ROW("reprise_compute_threads",              METRIC_GAUGE,   compute_threads,           "threads", "Compute threads."),
};
/* clang-format on */

static void write_plain(const struct facts *facts, FILE *out)
{
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        const char *at = (const char *)facts + plain[i].offset;
        uint64_t value = 0;
        assert(plain[i].size == sizeof(uint32_t) || plain[i].size == sizeof(uint64_t));
        if (plain[i].size == sizeof(uint32_t))
            value = *(const uint32_t *)at;
        else
            value = *(const uint64_t *)at;
        metric_write_head(&plain[i].row, out);
        if (plain[i].per > 0)
            metric_write_real(&plain[i].row, "", (double)value / plain[i].per, out);
        else
            metric_write_value(&plain[i].row, "", value, out);
    }
}

/* ---- families -------------------------------------------------------------------------------- */

struct reason {
    const char *labels;
    uint64_t count;
};

static void write_family(const struct metric_row *row, const struct reason *reasons, size_t count,
                         FILE *out)
{
    metric_write_head(row, out);
    for (size_t i = 0; i < count; i++)
        metric_write_value(row, reasons[i].labels, reasons[i].count, out);
}

static void write_tiers(const struct cache_stats *stats, FILE *out)
{
    /* clang-format off */
    static const struct metric_row
        lookups = {"reprise_lookups_total", METRIC_COUNTER, "requests", "Lookups, by tier."},
        hits = {"reprise_hits_total", METRIC_COUNTER, "requests", "Lookups that found an answer, by tier; stale: past its life, negative: an upstream's error."};
    /* clang-format on */
    const struct reason asked[] = {{"tier=\"exact\"", stats->exact.lookups},
                                   {"tier=\"semantic\"", stats->semantic.lookups}};
    const struct reason found[] = {
        {"tier=\"exact\",kind=\"fresh\"", stats->exact.hits},
        {"tier=\"exact\",kind=\"stale\"", stats->exact.stale_hits},
        {"tier=\"exact\",kind=\"negative\"", stats->exact.negative_hits},
        {"tier=\"semantic\",kind=\"fresh\"", stats->semantic.hits},
    };
    write_family(&lookups, asked, sizeof(asked) / sizeof(asked[0]), out);
    write_family(&hits, found, sizeof(found) / sizeof(found[0]), out);
}

static void write_misses(const struct cache_stats *stats, FILE *out)
{
    static const struct metric_row row = {"reprise_misses_total", METRIC_COUNTER, "requests",
                                          "Gets without an answer, by reason."};
    static const char *const reasons[CACHE_MISS_COUNT] = {
        [CACHE_MISS_NO_CANDIDATE] = "no_candidate",
        [CACHE_MISS_BELOW_CUT] = "below_cut",
        [CACHE_MISS_GUARD_BLOCKED] = "guard_blocked",
        [CACHE_MISS_EXPIRED] = "expired",
        [CACHE_MISS_TOO_OLD] = "too_old",
        [CACHE_MISS_NOT_FOUND] = "not_found",
        [CACHE_MISS_NOT_ELIGIBLE] = "not_eligible",
        [CACHE_MISS_DISABLED] = "disabled",
        [CACHE_MISS_BYPASSED] = "bypassed",
        [CACHE_MISS_WAIT_TIMEOUT] = "wait_timeout",
        [CACHE_MISS_LEADER_FAILED] = "leader_failed",
        [CACHE_MISS_EMBEDDER_DOWN] = "embedder_down",
        [CACHE_MISS_OVERLOADED] = "overloaded",
        [CACHE_MISS_TEXT_TOO_LONG] = "text_too_long",
    };
    metric_write_head(&row, out);
    for (int i = 0; i < CACHE_MISS_COUNT; i++) {
        char labels[METRIC_LABELS_MAX];
        if (reasons[i] == NULL)
            continue;
        (void)snprintf(labels, sizeof(labels), "reason=\"%s\"", reasons[i]);
        metric_write_value(&row, labels, stats->misses[i], out);
    }
}

static void write_shed(const struct listener_stats *grpc, FILE *out)
{
    /* clang-format off */
    static const struct metric_row
        refused = {"reprise_grpc_refused_total", METRIC_COUNTER, "calls", "Calls that were refused or answered exact only, by reason."},
        ended = {"reprise_grpc_ended_total", METRIC_COUNTER, "calls", "Calls that ended without their reply being taken, by reason."};
    /* clang-format on */
    const struct reason no[] = {
        {"reason=\"inflight\"", grpc->shed_inflight},
        {"reason=\"queue\"", grpc->shed_queue},
        {"reason=\"late\"", grpc->shed_late},
        {"reason=\"streams\"", grpc->shed_streams},
        {"reason=\"draining\"", grpc->refused_draining},
        {"reason=\"loading\"", grpc->refused_loading},
    };
    const struct reason end[] = {
        {"reason=\"cancelled\"", grpc->dropped_cancelled},
        {"reason=\"deadline\"", grpc->dropped_deadline},
        {"reason=\"read_timeout\"", grpc->read_timeouts},
        {"reason=\"send_timeout\"", grpc->send_timeouts},
    };
    write_family(&refused, no, sizeof(no) / sizeof(no[0]), out);
    write_family(&ended, end, sizeof(end) / sizeof(end[0]), out);
}

static void write_states(const struct cache_stats *stats, FILE *out)
{
    static const struct metric_row row = {
        "reprise_degraded", METRIC_GAUGE, "0 or 1",
        "What does not work as it should; the words of Stats.degraded."};
    const char *words[CACHE_DEGRADED_MAX];
    const size_t count = cache_degraded(stats, words);
    metric_write_head(&row, out);
    for (size_t i = 0; cache_degraded_words[i] != NULL; i++) {
        char labels[METRIC_LABELS_MAX];
        bool is_so = false;
        for (size_t n = 0; n < count; n++)
            is_so = is_so || strcmp(words[n], cache_degraded_words[i]) == 0;
        (void)snprintf(labels, sizeof(labels), "state=\"%s\"", cache_degraded_words[i]);
        metric_write_value(&row, labels, is_so, out);
    }
}

/* The state and the way to the disk, as labels. */
static void write_storage(const struct journal_stats *journal, FILE *out)
{
    static const struct metric_row state = {"reprise_storage_state", METRIC_GAUGE, "0 or 1",
                                            "The state of the disk is the one that has a 1."},
                                   io = {"reprise_storage_io_info", METRIC_GAUGE, "1",
                                         "How files are read and written, as a label."};
    static const enum storage_state states[] = {STORAGE_NONE, STORAGE_LOADING, STORAGE_DURABLE,
                                                STORAGE_MEMORY_ONLY, STORAGE_READ_ONLY};
    char labels[METRIC_LABELS_MAX];
    metric_write_head(&state, out);
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        (void)snprintf(labels, sizeof(labels), "state=\"%s\"", storage_state_name(states[i]));
        metric_write_value(&state, labels, journal->state == states[i], out);
    }
    const char *backend = journal->io_backend != NULL ? journal->io_backend : "";
    (void)snprintf(labels, sizeof(labels), "backend=\"%s\"", backend[0] != '\0' ? backend : "none");
    metric_write_head(&io, out);
    metric_write_value(&io, labels, 1, out);
}

static void write_server(const struct facts *facts, enum listener_readiness readiness, FILE *out)
{
    /* clang-format off */
    static const struct metric_row
        build = {"reprise_build_info", METRIC_GAUGE, "1", "The version, as a label."},
        ready = {"reprise_ready", METRIC_GAUGE, "0 or 1", "1: calls are served; 0: loading or draining."},
        loading = {"reprise_loading_ratio", METRIC_GAUGE, "ratio", "How much of the data folder has been read; 1: all."};
    /* clang-format on */
    char labels[METRIC_LABELS_MAX];
    (void)snprintf(labels, sizeof(labels), "version=\"%s\"", facts->cache.version);
    metric_write_head(&build, out);
    metric_write_value(&build, labels, 1, out);
    metric_write_head(&ready, out);
    metric_write_value(&ready, "", readiness == LISTENER_SERVING, out);
    metric_write_head(&loading, out);
    metric_write_real(&loading, "", facts->cache.journal.loading_done, out);
}

static void write_latencies(const struct cache *cache, FILE *out)
{
    static const struct metric_row row = {"reprise_hit_seconds", METRIC_HISTOGRAM, "seconds",
                                          "From a Get's arrival to its answer, of hits, by tier; "
                                          "of exact hits one in four of an "
                                          "entry's is timed."},
                                   sync = {"reprise_journal_sync_seconds", METRIC_HISTOGRAM,
                                           "seconds", "What syncs of the disk took."};
    const struct histogram *sync_us = cache_sync_us(cache);
    metric_write_head(&row, out);
    metric_write_histogram(&row, "tier=\"exact\"", cache_exact_us(cache), out);
    metric_write_histogram(&row, "tier=\"semantic\"", cache_semantic_us(cache), out);
    metric_write_head(&sync, out);
    if (sync_us != NULL)
        metric_write_histogram(&sync, "", sync_us, out);
}

/* ---- the page -------------------------------------------------------------------------------- */

static void write_all(const struct http_sources *sources, const struct facts *facts,
                      struct arena *arena, FILE *out)
{
    write_server(facts, listener_readiness(sources->grpc), out);
    write_states(&facts->cache, out);
    write_storage(&facts->cache.journal, out);
    write_plain(facts, out);
    write_tiers(&facts->cache, out);
    write_misses(&facts->cache, out);
    write_latencies(sources->cache, out);
    write_shed(&facts->grpc, out);
    listener_metrics(sources->grpc, out);
    metrics_of_scopes(&facts->cache, out);
    metrics_of_namespaces(sources->cache, arena, out);
    cache_embedder_metrics(sources->cache, out);
    process_metrics(out);
}

static enum status gather(const struct http_sources *sources, struct arena *arena,
                          struct facts *out_facts)
{
    listener_stats(sources->grpc, &out_facts->grpc);
    out_facts->compute_waiting = pool_waiting(sources->compute);
    out_facts->compute_threads = pool_threads(sources->compute);
    return cache_stats(sources->cache, door_tenant, TEXT(""), arena, clock_wall_ms(),
                       &out_facts->cache);
}

void page_of_metrics(const struct http_sources *sources, struct page *out_page)
{
    struct arena *arena = NULL;
    struct facts facts;
    char *body = NULL;
    size_t bytes = 0;
    *out_page = (struct page){.status = 200, .type = "text/plain; version=0.0.4; charset=utf-8"};
    if (arena_create(&arena) != STATUS_OK)
        return;
    FILE *out = gather(sources, arena, &facts) == STATUS_OK ? open_memstream(&body, &bytes) : NULL;
    if (out != NULL) {
        write_all(sources, &facts, arena, out);
        if (fclose(out) == 0) {
            out_page->body = body;
            out_page->body_bytes = bytes;
        } else {
            free(body);
        }
    }
    arena_destroy(&arena);
}
