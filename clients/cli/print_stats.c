/*
 * print_stats.c - the statistics as a page of at most 100 columns. Owns nothing. Threads: the main
 * thread.
 */
#include <inttypes.h>

#include "clients/cli/print.h"
#include "clients/cli/units.h"

/* How a remote embedder is asked: "embedder tei: circuit closed, 12 requests, 1 retries", and below
 * it "errors: timeout 1". */
static void print_remote(FILE *out, const struct reprise_embedder_info *embedder)
{
    if (embedder->circuit == NULL || embedder->circuit[0] == '\0')
        return;
    (void)fprintf(out, "embedder %s: circuit %s, %" PRIu64 " requests, %" PRIu64 " retries",
                  embedder->provider, embedder->circuit, embedder->requests, embedder->retries);
    if (embedder->canary_drifts > 0)
        (void)fprintf(out, ", %" PRIu64 " of %" PRIu64 " canaries drifted", embedder->canary_drifts,
                      embedder->canaries);
    for (size_t i = 0; i < embedder->errors_count; i++)
        (void)fprintf(out, "%s%s %" PRIu64, i == 0 ? "\n  errors: " : ", ",
                      embedder->errors[i].reason, embedder->errors[i].count);
    (void)fputc('\n', out);
}

/* Only what has gone without a vector: texts that got one are the semantic tier's lookups. */
static void print_embedders(FILE *out, const struct reprise_stats_reply *reply)
{
    for (size_t i = 0; i < reply->embedders_count; i++) {
        const struct reprise_embedder_info *embedder = &reply->embedders[i];
        const uint64_t counts[] = {embedder->too_long, embedder->overloaded, embedder->late,
                                   embedder->failed};
        static const char *const words[] = {"too long", "no room", "not in time", "failed"};
        bool is_first = true;
        for (size_t n = 0; n < sizeof(counts) / sizeof(counts[0]); n++) {
            if (counts[n] == 0)
                continue;
            (void)fprintf(out, "%s%s %" PRIu64, is_first ? "without a vector: " : ", ", words[n],
                          counts[n]);
            is_first = false;
        }
        if (!is_first)
            (void)fputc('\n', out);
        print_remote(out, embedder);
    }
}

static void print_recovery(FILE *out, const struct reprise_journal_info *journal)
{
    char size[UNITS_TEXT_MAX], took[UNITS_TEXT_MAX];
    if (journal->recovered_entries > 0)
        (void)fprintf(out,
                      "read at start: %" PRIu64 " entries, %" PRIu64 " with their vector, %s, "
                      "in %s\n",
                      journal->recovered_entries, journal->recovered_rows,
                      units_print_bytes(journal->recovered_bytes, size),
                      units_print_ms(journal->recovered_ms > 0 ? journal->recovered_ms : 1, took));
    if (journal->rows_without_space > 0)
        (void)fprintf(out, "%" PRIu64 " vectors are another embedder's: exact tier only\n",
                      journal->rows_without_space);
    if (journal->torn_bytes > 0)
        (void)fprintf(out, "the log's torn end was cut: %s\n",
                      units_print_bytes(journal->torn_bytes, size));
    if (journal->damaged_bytes > 0)
        (void)fprintf(out, "DAMAGED: %s of the log were skipped; reprise fsck says where\n",
                      units_print_bytes(journal->damaged_bytes, size));
    if (journal->read_errors > 0)
        (void)fprintf(out,
                      "READ ERRORS: %" PRIu64 ", %" PRIu64 " files set aside; the server's log "
                      "says where, reprise snapshot create replaces them\n",
                      journal->read_errors, journal->segments_set_aside);
}

static void print_purges(FILE *out, const struct reprise_journal_info *journal)
{
    char waited[UNITS_TEXT_MAX];
    if (journal->purge_pending_ms > 0)
        (void)fprintf(out, "removed %s ago and not off the disk yet\n",
                      units_print_ms(journal->purge_pending_ms, waited));
    else if (journal->purges_settled > 0)
        (void)fprintf(out, "what was removed is off the disk, the last after %s\n",
                      units_print_ms(journal->purge_ms_last, waited));
}

static void print_storage(FILE *out, const struct reprise_stats_reply *reply)
{
    char size[UNITS_TEXT_MAX], live[UNITS_TEXT_MAX];
    const struct reprise_journal_info *journal = reply->journal;
    (void)fprintf(out, "storage %s", reply->storage_state);
    if (journal == NULL) {
        (void)fputs(": a restart loses everything\n", out);
        return;
    }
    if (reply->loading_done < 1)
        (void)fprintf(out, " (%.0f %%)", reply->loading_done * 100);
    (void)fprintf(out, ", log %s in %" PRIu64 " files, %s of it live, by %s\n",
                  units_print_bytes(journal->size_bytes, size), journal->segments,
                  units_print_bytes(journal->live_bytes, live), reply->io_backend);
    if (journal->cause[0] != '\0')
        (void)fprintf(out, "because: %s\n", journal->cause);
    (void)fprintf(out, "i/o: %s\n", journal->io_reason);
    print_recovery(out, journal);
    print_purges(out, journal);
}

static void print_server(FILE *out, const struct reprise_stats_reply *reply)
{
    char uptime[UNITS_TEXT_MAX], size[UNITS_TEXT_MAX], size_max[UNITS_TEXT_MAX];
    (void)fprintf(out, "reprise %s, up %s", reply->version,
                  reply->uptime_s > 0 ? units_print_ms(reply->uptime_s * 1000, uptime) : "0 s");
    for (size_t i = 0; i < reply->embedders_count; i++)
        (void)fprintf(out, ", embedder %s (%" PRIu32 " dimensions)", reply->embedders[i].name,
                      reply->embedders[i].dimension);
    (void)fprintf(out, "\nrequests %" PRIu64 ", answered %" PRIu64 " (%.1f %%), sets %" PRIu64 "\n",
                  reply->total_requests, reply->cached_requests, reply->cache_rate * 100,
                  reply->sets);
    (void)fprintf(out, "entries %" PRIu64, reply->entries);
    if (reply->entries_max > 0)
        (void)fprintf(out, " of %" PRIu64, reply->entries_max);
    (void)fprintf(out, ", %s", units_print_bytes(reply->size_bytes, size));
    if (reply->bytes_max > 0)
        (void)fprintf(out, " of %s", units_print_bytes(reply->bytes_max, size_max));
    (void)fprintf(out, ", evicted %" PRIu64 ", expired %" PRIu64 "\n", reply->evictions,
                  reply->expirations);
    if (reply->leases > 0)
        (void)fprintf(out, "leases %" PRIu64 ", waited for one %" PRIu64 "\n", reply->leases,
                      reply->lease_waits);
    print_storage(out, reply);
    for (size_t i = 0; i < reply->degraded_count; i++)
        (void)fprintf(out, "DEGRADED: %s\n", reply->degraded[i]);
    print_embedders(out, reply);
}

static void print_tiers(FILE *out, const struct reprise_stats_reply *reply)
{
    (void)fprintf(out, "\n%-10s %10s %10s %10s %9s %9s %9s %9s %11s\n", "tier", "lookups", "hits",
                  "misses", "hit rate", "p50", "p99", "entries", "size");
    for (size_t i = 0; i < reply->tiers_count; i++) {
        const struct reprise_tier_stats *tier = &reply->tiers[i];
        char words[64], p50[UNITS_TEXT_MAX], p99[UNITS_TEXT_MAX], size[UNITS_TEXT_MAX];
        (void)fprintf(out,
                      "%-10s %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %7.1f %% %9s %9s %9" PRIu64
                      " %11s\n",
                      print_words(reprise_tier_name(tier->tier), words), tier->lookups, tier->hits,
                      tier->misses, tier->hit_rate * 100, units_print_us(tier->p50_us, p50),
                      units_print_us(tier->p99_us, p99), tier->entries,
                      units_print_bytes(tier->size_bytes, size));
        if (tier->stale_hits + tier->negative_hits > 0)
            (void)fprintf(out, "%-10s %10" PRIu64 " stale, %" PRIu64 " negative: no hits\n", "",
                          tier->stale_hits, tier->negative_hits);
    }
}

static void print_misses(FILE *out, const struct reprise_stats_reply *reply)
{
    if (reply->misses_count == 0)
        return;
    (void)fprintf(out, "\n%-20s %10s\n", "misses", "count");
    for (size_t i = 0; i < reply->misses_count; i++) {
        char words[64];
        (void)fprintf(out, "%-20s %10" PRIu64 "\n",
                      print_words(reprise_miss_reason_name(reply->misses[i].reason), words),
                      reply->misses[i].count);
    }
}

static void print_column(FILE *out, const char *text, size_t columns)
{
    print_clipped(out, text, columns);
    size_t printed = 0;
    for (; text[printed] != '\0' && printed < columns; printed++)
        ;
    (void)fprintf(out, "%*s", (int)(columns - printed + 1), "");
}

static void print_policies(FILE *out, const struct reprise_stats_reply *reply)
{
    if (reply->policies_count == 0)
        return;
    (void)fprintf(out, "\n%-16s %-22s %-10s %9s %9s %8s %8s %11s\n", "namespace", "model", "policy",
                  "threshold", "lookups", "hits", "blocked", "accuracy");
    for (size_t i = 0; i < reply->policies_count; i++) {
        const struct reprise_scope_policy *policy = &reply->policies[i];
        char words[64], accuracy[UNITS_TEXT_MAX] = "-";
        if (policy->recent_accuracy >= 0)
            (void)snprintf(accuracy, sizeof(accuracy), "%.2f (%" PRIu32 ")",
                           policy->recent_accuracy, policy->feedback_count);
        print_column(out, policy->namespace_, 16);
        print_column(out, policy->model, 22);
        (void)fprintf(out, "%-10s %9.4f %9" PRIu64 " %8" PRIu64 " %8" PRIu64 " %11s\n",
                      print_words(reprise_mode_name(policy->mode), words),
                      (double)policy->threshold, policy->lookups, policy->hits,
                      policy->guard_blocked, accuracy);
    }
}

/* Only of scopes that hold vectors. */
static void print_indexes(FILE *out, const struct reprise_stats_reply *reply)
{
    bool is_first = true;
    for (size_t i = 0; i < reply->policies_count; i++) {
        const struct reprise_scope_policy *policy = &reply->policies[i];
        char words[64], recall[UNITS_TEXT_MAX] = "-", done[UNITS_TEXT_MAX] = "";
        if (policy->rows == 0)
            continue;
        if (is_first)
            (void)fprintf(out, "\n%-16s %-22s %10s %-12s %-16s %8s\n", "namespace", "model",
                          "vectors", "search", "index", "recall");
        is_first = false;
        if (policy->recall_sample >= 0)
            (void)snprintf(recall, sizeof(recall), "%.3f", policy->recall_sample);
        if (policy->index_done > 0)
            (void)snprintf(done, sizeof(done), " %.0f %%", policy->index_done * 100);
        print_column(out, policy->namespace_, 16);
        print_column(out, policy->model, 22);
        (void)fprintf(out, "%10" PRIu64 " %-12s %-8s%-8s %8s\n", policy->rows,
                      print_words(reprise_index_kind_name(policy->index_kind), words),
                      policy->index_state, done, recall);
    }
}

void print_stats(FILE *out, const struct reprise_stats_reply *reply)
{
    print_server(out, reply);
    print_tiers(out, reply);
    print_misses(out, reply);
    print_policies(out, reply);
    print_indexes(out, reply);
}
