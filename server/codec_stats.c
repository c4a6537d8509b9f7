/*
 * codec_stats.c - Stats: the request's one name, and the reply with its rates. Rates are made here,
 * so that cache/ counts and nothing else; every rate is 0 before the first call, never a division
 * by 0.
 */
#include "server/codec_internal.h"

#include "embed/embedder.h"

enum status codec_read_stats(struct text bytes, const struct codec_limits *limits,
                             struct arena *arena, struct text *out_namespace,
                             struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status = codec_unpack(CODEC_STATS, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    const struct text name = text_of(((const Reprise__V1__StatsRequest *)unpacked)->namespace_);
    if (name.length > 0 && !key_is_namespace(name))
        return failure_set(failure, STATUS_BAD_NAME, "namespace",
                           "1 to 64 of the characters A-Z a-z 0-9 . _ -");
    *out_namespace = name;
    return STATUS_OK;
}

static double rate(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

static void fill_tier(const struct cache_tier_stats *tier, Reprise__V1__Tier name,
                      uint64_t requests, Reprise__V1__TierStats *message)
{
    reprise__v1__tier_stats__init(message);
    message->tier = name;
    message->lookups = tier->lookups;
    message->hits = tier->hits;
    message->misses = tier->misses;
    message->stale_hits = tier->stale_hits;
    message->negative_hits = tier->negative_hits;
    message->hit_rate = rate(tier->hits, tier->lookups);
    message->tier_rate = rate(tier->hits, requests);
    message->entries = tier->entries;
    message->size_bytes = tier->size_bytes;
    message->p50_us = tier->p50_us;
    message->p99_us = tier->p99_us;
}

/* Only reasons that occurred. `list` and `counts` have room for CACHE_MISS_COUNT. */
static size_t fill_misses(const struct cache_stats *stats, Reprise__V1__MissCount *counts,
                          Reprise__V1__MissCount **list)
{
    size_t count = 0;
    for (int reason = 1; reason < CACHE_MISS_COUNT; reason++) {
        if (stats->misses[reason] == 0)
            continue;
        reprise__v1__miss_count__init(&counts[count]);
        counts[count].reason = (Reprise__V1__MissReason)reason;
        counts[count].count = stats->misses[reason];
        list[count] = &counts[count];
        count++;
    }
    return count;
}

struct scope_messages { /* one scope's messages, side by side */
    Reprise__V1__ScopePolicy policy;
    Reprise__V1__PolicyScope scope;
};

static enum status fill_attributes(const struct cache_scope_stats *from, struct arena *arena,
                                   Reprise__V1__PolicyScope *to)
{
    const size_t count = from->attributes_count;
    Reprise__V1__Attribute *attributes = arena_calloc(arena, count, sizeof(*attributes));
    to->attributes = arena_calloc(arena, count, sizeof(Reprise__V1__Attribute *));
    if (attributes == NULL || to->attributes == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        reprise__v1__attribute__init(&attributes[i]);
        attributes[i].name = codec_string(from->attributes[i].name, arena);
        attributes[i].value = codec_string(from->attributes[i].value, arena);
        if (attributes[i].name == NULL || attributes[i].value == NULL)
            return STATUS_NO_MEMORY;
        to->attributes[i] = &attributes[i];
    }
    to->n_attributes = count;
    return STATUS_OK;
}

/* Words of ours, which protobuf-c only reads. */
static char index_words[][10] = {
    [PARTITION_RESTS] = "rests",       [PARTITION_WAITS] = "waits",
    [PARTITION_WATCHED] = "watched",   [PARTITION_BUILDS] = "builds",
    [PARTITION_REWRITES] = "rewrites",
};

static void fill_index(const struct partition_stats *index, Reprise__V1__ScopePolicy *message)
{
    if (index->dimension == 0)
        return;
    message->rows = index->rows;
    message->index_kind =
        (Reprise__V1__IndexKind)(index->kind + 1); /* enum index_kind begins at 0 */
    message->index_state = index_words[index->state];
    message->index_done = rate(index->work_rows_done, index->work_rows);
    if (index->recall_wanted > 0) {
        message->recall_sample_given_case =
            REPRISE__V1__SCOPE_POLICY__RECALL_SAMPLE_GIVEN_RECALL_SAMPLE;
        message->recall_sample = rate(index->recall_found, index->recall_wanted);
    }
}

static enum status fill_scope(const struct cache_scope_stats *from, struct arena *arena,
                              struct scope_messages *to)
{
    reprise__v1__policy_scope__init(&to->scope);
    to->scope.namespace_ = codec_string(from->namespace_, arena);
    to->scope.model = codec_string(from->model, arena);
    to->scope.embedder = codec_string(from->embedder, arena);
    if (to->scope.namespace_ == NULL || to->scope.model == NULL || to->scope.embedder == NULL)
        return STATUS_NO_MEMORY;
    reprise__v1__scope_policy__init(&to->policy);
    to->policy.scope = &to->scope;
    to->policy.mode = (Reprise__V1__PolicyMode)(from->mode + 1); /* enum policy_mode begins at 0 */
    to->policy.threshold = from->threshold;
    to->policy.feedback_count = from->feedback_count;
    to->policy.lookups = from->lookups;
    to->policy.hits = from->hits;
    to->policy.guard_blocked = from->guard_blocked;
    to->policy.would_hits = from->would_hits;
    to->policy.near_verdicts = from->near_verdicts;
    fill_index(&from->index, &to->policy);
    if (from->feedback_count > 0) { /* absent before the first verdict: 0 would mean all wrong */
        to->policy.recent_accuracy_given_case =
            REPRISE__V1__SCOPE_POLICY__RECENT_ACCURACY_GIVEN_RECENT_ACCURACY;
        to->policy.recent_accuracy = rate(from->feedback_right, from->feedback_count);
    }
    return fill_attributes(from, arena, &to->scope);
}

Reprise__V1__ScopePolicy *codec_scope_policy(const struct cache_scope_stats *from,
                                             struct arena *arena)
{
    struct scope_messages *messages = arena_calloc(arena, 1, sizeof(*messages));
    return messages != NULL && fill_scope(from, arena, messages) == STATUS_OK ? &messages->policy
                                                                              : NULL;
}

static enum status fill_policies(const struct cache_stats *stats, struct arena *arena,
                                 Reprise__V1__StatsResponse *message)
{
    struct scope_messages *scopes = arena_calloc(arena, stats->scopes_count, sizeof(*scopes));
    message->policies =
        arena_calloc(arena, stats->scopes_count, sizeof(Reprise__V1__ScopePolicy *));
    if (scopes == NULL || message->policies == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < stats->scopes_count; i++) {
        enum status status = fill_scope(&stats->scopes[i], arena, &scopes[i]);
        if (status != STATUS_OK)
            return status;
        message->policies[i] = &scopes[i].policy;
    }
    message->n_policies = stats->scopes_count;
    return STATUS_OK;
}

enum status codec_embedder(const struct embed_space *space, struct arena *arena,
                           Reprise__V1__EmbedderInfo *message)
{
    char id[EMBED_SPACE_HEX + 1];
    embed_space_hex(space, id);
    reprise__v1__embedder_info__init(message);
    message->space_id = codec_string(text_of(id), arena);
    message->name = codec_string(text_of(space->name), arena);
    message->version = codec_string(text_of(space->version), arena);
    message->dimension = space->dimension;
    message->threshold_default = space->threshold_default;
    message->min_similarity = space->min_similarity;
    const bool has_texts =
        message->name != NULL && message->version != NULL && message->space_id != NULL;
    return has_texts ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status fill_embedder_words(const struct embedder_state *state, struct arena *arena,
                                       Reprise__V1__EmbedderInfo *message)
{
    message->provider = codec_string(text_of(state->provider), arena);
    message->precision = codec_string(text_of(state->precision), arena);
    message->isa = codec_string(text_of(state->isa), arena);
    message->circuit = codec_string(text_of(state->circuit), arena);
    const bool has_all = message->provider != NULL && message->precision != NULL &&
                         message->isa != NULL && message->circuit != NULL;
    return has_all ? STATUS_OK : STATUS_NO_MEMORY;
}

/* Only reasons that occurred. */
static enum status fill_embedder_errors(const struct embedder_state *state, struct arena *arena,
                                        Reprise__V1__EmbedderInfo *message)
{
    const size_t count = state->errors_count;
    Reprise__V1__EmbedderError *errors = arena_calloc(arena, count, sizeof(*errors));
    message->errors = arena_calloc(arena, count, sizeof(*message->errors));
    if (errors == NULL || message->errors == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        if (state->errors[i].count == 0)
            continue;
        reprise__v1__embedder_error__init(&errors[i]);
        errors[i].reason = codec_string(text_of(state->errors[i].reason), arena);
        errors[i].count = state->errors[i].count;
        if (errors[i].reason == NULL)
            return STATUS_NO_MEMORY;
        message->errors[message->n_errors++] = &errors[i];
    }
    return STATUS_OK;
}

static enum status fill_embedder(const struct cache_stats *stats, struct arena *arena,
                                 Reprise__V1__EmbedderInfo *message)
{
    const struct embedder_state *state = &stats->embedder_state;
    enum status status = codec_embedder(stats->embedder, arena, message);
    message->texts = state->texts;
    message->too_long = state->too_long;
    message->overloaded = state->overloaded;
    message->late = state->late;
    message->failed = state->failed;
    if (state->has_tokens) {
        message->tokens_given_case = REPRISE__V1__EMBEDDER_INFO__TOKENS_GIVEN_TOKENS;
        message->tokens = state->tokens;
    }
    message->packs = state->packs;
    message->recent_hits = state->recent_hits;
    message->wordless = state->wordless;
    message->waiting = state->waiting;
    message->requests = state->requests;
    message->retries = state->retries;
    message->openings = state->openings;
    message->canaries = state->canaries;
    message->canary_drifts = state->drifts;
    message->bad_vectors = state->bad_vectors;
    message->uncounted = state->uncounted;
    if (status == STATUS_OK)
        status = fill_embedder_words(state, arena, message);
    return status == STATUS_OK ? fill_embedder_errors(state, arena, message) : status;
}

static const char *storage_word(enum storage_state state)
{
    return state == STORAGE_NONE ? "none" : storage_state_name(state);
}

static enum status fill_degraded(const struct cache_stats *stats, struct arena *arena,
                                 char *list[CACHE_DEGRADED_MAX],
                                 Reprise__V1__StatsResponse *message)
{
    const char *words[CACHE_DEGRADED_MAX];
    const size_t count = cache_degraded(stats, words);
    for (size_t i = 0; i < count; i++)
        list[i] = codec_string(text_of(words[i]), arena);
    message->n_degraded = count;
    message->degraded = list;
    for (size_t i = 0; i < count; i++)
        if (list[i] == NULL)
            return STATUS_NO_MEMORY;
    return STATUS_OK;
}

static enum status fill_storage(const struct cache_stats *stats, struct arena *arena,
                                Reprise__V1__StatsResponse *message)
{
    message->storage_state = codec_string(text_of(storage_word(stats->journal.state)), arena);
    message->io_backend =
        codec_string(text_of(stats->has_folder ? stats->journal.io_backend : ""), arena);
    message->loading_done = stats->journal.loading_done;
    const bool has_texts = message->storage_state != NULL && message->io_backend != NULL;
    return has_texts ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status fill_journal(const struct cache_stats *stats, struct arena *arena,
                                Reprise__V1__JournalInfo *message)
{
    const struct journal_stats *journal = &stats->journal;
    reprise__v1__journal_info__init(message);
    message->io_reason = codec_string(text_of(journal->io_reason), arena);
    message->cause = codec_string(text_of(journal->cause), arena);
    message->size_bytes = journal->bytes;
    message->live_bytes = journal->live_bytes;
    message->segments = journal->segments;
    message->records = journal->records;
    message->batches = journal->batches;
    message->syncs = journal->syncs;
    message->sync_us_last = journal->sync_us_last;
    message->queue_bytes = journal->queue_bytes;
    message->durable_sequence = journal->durable_sequence;
    message->recovered_entries = journal->recovered_entries;
    message->recovered_bytes = journal->recovered_bytes;
    message->recovered_ms = journal->recovered_ms;
    message->recovered_rows = stats->recovered_rows;
    message->rows_without_space = stats->recovered_rowless;
    message->damaged_bytes = journal->damaged_bytes;
    message->torn_bytes = journal->torn_bytes;
    message->read_errors = journal->read_errors;
    message->segments_set_aside = journal->segments_set_aside;
    message->purge_pending_ms = journal->purge_pending_ms;
    message->purge_ms_last = journal->purge_ms_last;
    message->purges_settled = journal->purges_settled;
    return message->io_reason != NULL && message->cause != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

static void fill_totals(const struct cache_stats *stats, Reprise__V1__StatsResponse *message)
{
    message->total_requests = stats->total_requests;
    message->cached_requests = stats->cached_requests;
    message->cache_rate = rate(stats->cached_requests, stats->total_requests);
    message->entries = stats->entries;
    message->size_bytes = stats->size_bytes;
    message->bytes_max = stats->bytes_max;
    message->entries_max = stats->entries_max;
    message->sets = stats->sets;
    message->evictions = stats->evictions;
    message->expirations = stats->expirations;
    message->leases = stats->leases;
    message->calibrated_pairs = stats->calibrated_pairs;
    message->lease_waits = stats->lease_waits;
    message->uptime_s = stats->uptime_s;
}

enum status codec_write_stats(const struct cache_stats *stats, const struct codec_limits *limits,
                              struct arena *arena, struct codec_reply *out, struct failure *failure)
{
    Reprise__V1__StatsResponse message = REPRISE__V1__STATS_RESPONSE__INIT;
    Reprise__V1__TierStats exact, semantic;
    Reprise__V1__TierStats *tiers[] = {&exact, &semantic};
    fill_tier(&stats->exact, REPRISE__V1__TIER__TIER_EXACT, stats->total_requests, &exact);
    fill_tier(&stats->semantic, REPRISE__V1__TIER__TIER_SEMANTIC, stats->total_requests, &semantic);
    message.n_tiers = 2;
    message.tiers = tiers;
    Reprise__V1__MissCount counts[CACHE_MISS_COUNT], *misses[CACHE_MISS_COUNT];
    message.n_misses = fill_misses(stats, counts, misses);
    message.misses = misses;
    fill_totals(stats, &message);
    char *degraded[CACHE_DEGRADED_MAX];
    if (fill_degraded(stats, arena, degraded, &message) != STATUS_OK)
        return codec_spent(failure);
    message.version = codec_string(text_of(stats->version), arena);
    Reprise__V1__EmbedderInfo embedder, *embedders[] = {&embedder};
    if (stats->embedder != NULL && fill_embedder(stats, arena, &embedder) != STATUS_OK)
        return codec_spent(failure);
    message.n_embedders = stats->embedder != NULL ? 1 : 0;
    message.embedders = embedders;
    Reprise__V1__JournalInfo journal;
    if (fill_storage(stats, arena, &message) != STATUS_OK)
        return codec_spent(failure);
    if (stats->has_folder) {
        message.journal = &journal;
        if (fill_journal(stats, arena, &journal) != STATUS_OK)
            return codec_spent(failure);
    }
    struct codec_reply packed;
    if (message.version == NULL || fill_policies(stats, arena, &message) != STATUS_OK ||
        codec_reply_pack(&message.base, arena, &packed) != STATUS_OK)
        return codec_spent(failure);
    enum status status = codec_reply_fits(&packed, limits, failure);
    if (status == STATUS_OK)
        *out = packed;
    return status;
}
