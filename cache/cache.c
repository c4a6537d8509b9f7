/*
 * cache.c - makes the parts of floor 2 and introduces them to each other; the verbs live in lookup,
 * fill, invalidate, feedback and stats. Owns every part. Threads: create and destroy are single,
 * the rest any.
 */
#include "cache/cache.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cache/answer.h"
#include "cache/parts.h"
#include "storage/evict.h"
#include "index/vector.h"

/* clang-format off */
const struct option_row cache_option_rows[] = {
    {"cache.ttl_default", OPTION_DURATION | OPTION_LIVE, "24h", "1s", "30d", NULL, "time",
     "Life of an entry whose Set names none."},
    {"cache.ttl_max", OPTION_DURATION | OPTION_LIVE, "30d", "1s", "365d", NULL, "time",
     "The longest life that a Set may ask for."},
    {"cache.stale_max", OPTION_DURATION | OPTION_LIVE, "24h", "0s", "30d", NULL, "time",
     "The longest time past its TTL that a Set may ask for, stale-while-revalidate and stale-if-error together."},
    {"cache.namespaces_max", OPTION_UINT, "100000", "1", "1000000", NULL, "namespaces",
     "Namespaces there may be; a Set that would make one more is LIMIT_EXCEEDED."},
    {"cache.strict_namespaces", OPTION_FLAG | OPTION_LIVE, "false", NULL, NULL, NULL, "flag",
     "A namespace that nobody has created is refused (NAMESPACE_UNKNOWN), but for default."},
    {"cache.scopes_max", OPTION_UINT, "100000", "1", "1000000", NULL, "scopes",
     "Scopes with a policy state of their own; further ones share one."},
    {"limits.prompt", OPTION_SIZE, "256KiB", "1KiB", "16MiB", NULL, "bytes",
     "Text of the prompt, of the system prompt or of any one message."},
    {"limits.answer", OPTION_SIZE, "2MiB", "1KiB", "15MiB", NULL, "bytes",
     "One answer; larger ones are ENTRY_TOO_LARGE."},
    {"limits.dimension", OPTION_UINT, "4096", "1", "4096", NULL, "numbers",
     "Numbers of a client's vector."},
    {"limits.messages", OPTION_UINT, "1024", "1", "65536", NULL, "messages",
     "Messages of one conversation."},
    {"limits.batch", OPTION_UINT, "256", "1", "4096", NULL, "items",
     "Items of one batch, and ids of one Delete."},
    {"limits.calibrate", OPTION_UINT, "100000", "1", "10000000", NULL, "pairs",
     "Labelled pairs of one Calibrate."},
    {"limits.metadata", OPTION_UINT, "16", "0", "64", NULL, "attributes",
     "Metadata attributes that one entry carries."},
    {"limits.attributes", OPTION_UINT, "16", "0", "64", NULL, "attributes",
     "Attributes that belong to one identity."},
    {"limits.tags", OPTION_UINT, "16", "0", "64", NULL, "tags",
     "Tags of one entry, and of one selector."},
    {"semantic.token_ttl", OPTION_DURATION, "1h", "1min", "24h", NULL, "time",
     "How long a decision token may bring its verdict."},
    {"metrics.scopes_max", OPTION_UINT | OPTION_LIVE, "100", "0", "10000", NULL, "scopes",
     "Scopes that Stats lists, the most used first; scopes and namespaces that /metrics lists."},
    {"monitor.prompts", OPTION_FLAG | OPTION_LIVE, "false", NULL, NULL, NULL, "flag",
     "Show the beginning of prompts to those who watch decisions (Monitor)."},
    {"lease.hold", OPTION_DURATION | OPTION_LIVE, "30s", "100ms", "1h", NULL, "time",
     "How long who computes a missing answer keeps its lease, unless the Get says; then the next in line gets it."},
    {"lease.hold_max", OPTION_DURATION | OPTION_LIVE, "10min", "100ms", "24h", NULL, "time",
     "The longest that a Get may ask for."},
    {"lease.wait_max", OPTION_DURATION | OPTION_LIVE, "60s", "100ms", "1h", NULL, "time",
     "The longest that a Get waits for another's answer."},
    {"lease.count_max", OPTION_UINT, "100000", "1", "10000000", NULL, "leases",
     "Leases held at a time; then Gets are answered as if another held theirs."},
    {"lease.waiters_max", OPTION_UINT | OPTION_LIVE, "1000", "1", "1000000", NULL, "calls",
     "Gets that wait for one key; further ones are told at once that another holds it."},
};
/* clang-format on */
const size_t cache_option_rows_count = sizeof(cache_option_rows) / sizeof(cache_option_rows[0]);

enum { REPORTERS_MAX = 65536 };

/* ---- life ------------------------------------------------------------------------------------ */

/* One secret a purpose: a key that leaks through one part tells nothing about the others. */
static struct digest derive_key(const struct cache_setup *setup, const char *purpose)
{
    const struct digest root = digest_sha256(setup->chance_seed, sizeof(setup->chance_seed));
    return digest_hmac_sha256(root.bytes, purpose, strlen(purpose));
}

static uint64_t option_ms(const struct options *options, const char *name)
{
    return options_us(options, name) / 1000;
}

/* A budget that nobody set is for its own floor to choose. */
static uint64_t option_or(const struct options *options, const char *name, uint64_t fallback)
{
    return options_is_set(options, name) ? options_uint(options, name) : fallback;
}

static void read_limits(struct cache *cache, const struct options *options)
{
    cache->key_limits = (struct key_limits){
        .prompt_bytes = (uint32_t)options_uint(options, "limits.prompt"),
        .messages_max = (uint32_t)options_uint(options, "limits.messages"),
        .attributes_max = (uint32_t)options_uint(options, "limits.attributes"),
        .stop_max = key_limits_standard.stop_max,
        .context_ids_max = key_limits_standard.context_ids_max,
    };
    cache->limits = (struct cache_limits){
        .answer_bytes = options_uint(options, "limits.answer"),
        .dimension = (uint32_t)options_uint(options, "limits.dimension"),
        .batch = (uint32_t)options_uint(options, "limits.batch"),
        .metadata = (uint32_t)options_uint(options, "limits.metadata"),
        .tags = (uint32_t)options_uint(options, "limits.tags"),
    };
    cache->limits.calibrate = (uint32_t)options_uint(options, "limits.calibrate");
    cache_take_live_limits(cache, options);
    assert(cache->limits.dimension > 0);
    assert(cache->limits.dimension <= VECTOR_DIMENSION_MAX);
}

static enum cache_eviction eviction_of(const struct options *options)
{
    const struct evict_rule *rule = store_evict_rule(options_text(options, "evict.policy"));
    if (rule == &evict_lru)
        return EVICTION_LRU;
    return rule == &evict_lfu_aging ? EVICTION_LFU_AGING : EVICTION_S3FIFO;
}

static enum status create_store(struct cache *cache, const struct cache_setup *setup)
{
    const struct options *options = setup->options;
    struct store_options store_options = {
        .memory_bytes = option_or(options, "storage.memory", store_memory_standard()),
        .entries_max = (uint32_t)options_uint(options, "storage.entries_max"),
        .stripes_count = (uint32_t)options_uint(options, "table.stripes"),
        .answer_max = cache->limits.answer_bytes,
        .rule = store_evict_rule(options_text(options, "evict.policy")),
        .died = cache_entry_died,
        .died_context = cache,
    };
    assert(store_options.memory_bytes > 0);
    cache->eviction = eviction_of(options);
    const struct digest key = derive_key(setup, "table");
    memcpy(store_options.hash_key, key.bytes, sizeof(store_options.hash_key));
    return store_create(&store_options, &cache->store);
}

static enum status create_scopes(struct cache *cache, const struct cache_setup *setup)
{
    struct embed_space client;
    embed_client_space(TEXT(""), 1, &client);
    struct scopes_setup scopes_setup = {
        .scopes_max = (uint32_t)options_uint(setup->options, "cache.scopes_max"),
        .epochs = cache->epochs,
        .policy = &cache->policy_at_start,
        .server_threshold = client.threshold_default,
        .lexical_space = embedder_space(cache->lexical)->id,
        .lexical_threshold = embedder_space(cache->lexical)->threshold_default,
        .client_threshold = client.threshold_default,
    };
    if (cache->embedder != NULL) {
        scopes_setup.server_space = embedder_space(cache->embedder)->id;
        scopes_setup.server_threshold = embedder_space(cache->embedder)->threshold_default;
    }
    const struct digest key = derive_key(setup, "scopes");
    memcpy(scopes_setup.hash_key, key.bytes, sizeof(scopes_setup.hash_key));
    return scopes_create(&scopes_setup, &cache->scopes);
}

static enum status create_trust(struct cache *cache, const struct cache_setup *setup)
{
    const struct digest token_key = derive_key(setup, "tokens");
    const struct digest nonce_key = derive_key(setup, "nonces");
    const struct digest reporter_key = derive_key(setup, "reporters");
    memcpy(cache->nonce_key, nonce_key.bytes, sizeof(cache->nonce_key));
    enum status status =
        token_desk_create(token_key.bytes, (int64_t)option_ms(setup->options, "semantic.token_ttl"),
                          TOKEN_NONCES_MAX, &cache->tokens);
    if (status == STATUS_OK)
        status = reporters_create(REPORTERS_MAX, reporter_key.bytes, &cache->reporters);
    return status;
}

static enum status create_leases(struct cache *cache, const struct cache_setup *setup)
{
    struct leases_setup leases_setup = {
        .leases_max = (uint32_t)options_uint(setup->options, "lease.count_max"),
        .waiters_max = (uint32_t)options_uint(setup->options, "lease.waiters_max"),
    };
    const struct digest key = derive_key(setup, "leases");
    memcpy(leases_setup.chance, key.bytes, sizeof(leases_setup.chance));
    return leases_create(&leases_setup, &cache->leases);
}

static enum status create_monitor(struct cache *cache, const struct cache_setup *setup)
{
    const enum status status = monitor_create(&cache->monitor);
    if (status == STATUS_OK)
        monitor_show_prompts(cache->monitor, options_flag(setup->options, "monitor.prompts"));
    return status;
}

static enum status create_embedder(struct cache *cache, const struct cache_setup *setup,
                                   struct failure *failure)
{
    struct embedder_setup embedder_setup = {
        .options = setup->options,
        .pool = setup->pool,
        .clock_us = setup->pool != NULL ? setup->clock_us : NULL,
    };
    const struct digest key = derive_key(setup, "embedder");
    memcpy(&embedder_setup.seed, key.bytes, sizeof(embedder_setup.seed));
    cache->embeds_later = setup->pool != NULL;
    const enum status status = embedder_open(&embedder_setup, &cache->embedder, failure);
    return status == STATUS_OK ? embedder_open_lexical(&cache->lexical) : status;
}

static enum status create_directory(struct cache *cache, const struct cache_setup *setup)
{
    struct directory_setup directory_setup = {.epochs = cache->epochs, .clock_us = setup->clock_us};
    index_settings_read(setup->options, &directory_setup.settings);
    return directory_create(&directory_setup, &cache->directory);
}

static enum status create_parts(struct cache *cache, const struct cache_setup *setup,
                                struct failure *failure)
{
    const struct options *options = setup->options;
    const struct digest names_key = derive_key(setup, "namespaces");
    enum status status = epochs_create(&cache->epochs);
    if (status == STATUS_OK)
        status = create_embedder(cache, setup, failure);
    if (status == STATUS_OK)
        status = create_directory(cache, setup);
    if (status == STATUS_OK)
        status = namespaces_create((uint32_t)options_uint(options, "cache.namespaces_max"),
                                   names_key.bytes, cache->epochs, &cache->namespaces);
    if (status == STATUS_OK)
        status = cache_make_default(cache, names_key.bytes);
    if (status == STATUS_OK)
        status = create_scopes(cache, setup);
    if (status == STATUS_OK)
        status = create_trust(cache, setup);
    if (status == STATUS_OK)
        status = create_leases(cache, setup);
    if (status == STATUS_OK)
        status = create_monitor(cache, setup);
    if (status == STATUS_OK)
        status = histogram_create(&cache->exact_us);
    if (status == STATUS_OK)
        status = histogram_create(&cache->semantic_us);
    if (status == STATUS_OK)
        status = create_store(cache, setup);
    if (status == STATUS_OK)
        status = cache_expect_folder(cache, setup);
    return status;
}

enum status cache_create(const struct cache_setup *setup, struct cache **out_cache,
                         struct failure *failure)
{
    assert(setup->options != NULL);
    assert(setup->version != NULL);
    assert(out_cache != NULL);
    assert(setup->pool == NULL || setup->clock_us != NULL);
    struct cache *cache = calloc(1, sizeof(*cache));
    if (cache == NULL)
        return failure_set(failure, STATUS_NO_MEMORY, "", "no memory for the cache");
    cache->started_ms = setup->started_ms;
    cache->version = setup->version;
    cache->clock_us = setup->clock_us;
    read_limits(cache, setup->options);
    enum status status = cache_check_options(setup->options, failure);
    if (status == STATUS_OK)
        status = cache_start_policy(cache, setup->options, failure);
    if (status == STATUS_OK)
        status = journal_options_read(setup->options, &cache->journal, failure);
    if (status != STATUS_OK)
        goto destroy_cache;
    status = create_parts(cache, setup, failure);
    if (status != STATUS_OK) {
        if (failure != NULL && failure->status == STATUS_OK)
            (void)failure_set(failure, status, "", "the parts of the cache cannot be made: %s",
                              status_text(status));
        goto destroy_cache;
    }
    *out_cache = cache;
    return STATUS_OK;

destroy_cache:
    cache_destroy(&cache);
    return status;
}

/* The mirror of create_parts, bottom to top. Accepts a cache that is only half made. */
void cache_destroy(struct cache **cache)
{
    assert(cache != NULL);
    struct cache *doomed = *cache;
    if (doomed == NULL)
        return;
    *cache = NULL;
    cache_close_folder(doomed);
    store_destroy(&doomed->store);
    histogram_destroy(&doomed->semantic_us);
    histogram_destroy(&doomed->exact_us);
    if (doomed->leases != NULL)
        leases_close(doomed->leases);
    leases_destroy(&doomed->leases);
    monitor_destroy(&doomed->monitor);
    reporters_destroy(&doomed->reporters);
    token_desk_destroy(&doomed->tokens);
    scopes_destroy(&doomed->scopes);
    namespaces_destroy(&doomed->namespaces);
    namespaces_destroy(&doomed->strangers);
    free(doomed->nobody);
    directory_destroy(&doomed->directory);
    embedder_destroy(&doomed->lexical);
    embedder_destroy(&doomed->embedder);
    epochs_destroy(&doomed->epochs);
    cache_end_policy(doomed);
    free(doomed);
}

/* While the folder is read, its reader alone removes entries. */
void cache_tick(struct cache *cache, int64_t now_ms)
{
    if (atomic_load(&cache->is_loaded)) {
        (void)store_sweep(cache->store, now_ms);
        cache_note_changes(cache, now_ms);
        cache_tick_segments(cache, now_ms);
    }
    (void)epoch_collect(cache->epochs);
}

struct monitor *cache_monitor(const struct cache *cache)
{
    return cache->monitor;
}

const struct key_limits *cache_key_limits(const struct cache *cache)
{
    return &cache->key_limits;
}

/* ---- what several verbs ask ------------------------------------------------------------------ */

struct text cache_name_or_default(struct text name)
{
    return name.length > 0 ? name : TEXT("default");
}

bool cache_is_overloaded(enum status embedded)
{
    return embedded == STATUS_OVERLOADED || embedded == STATUS_DEADLINE;
}

void cache_stop_embedding(struct cache *cache)
{
    if (cache->embedder != NULL)
        embedder_stop(cache->embedder);
}

enum status cache_check_vector(const struct cache *cache, const float *vector, uint32_t dimension,
                               struct failure *failure)
{
    if (vector == NULL)
        return STATUS_OK;
    if (dimension > cache->limits.dimension)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "vector",
                           "at most limits.dimension = %u numbers", cache->limits.dimension);
    bool some = false;
    for (uint32_t i = 0; i < dimension; i++) {
        if (!isfinite(vector[i]))
            return failure_set(failure, STATUS_BAD_VECTOR, "vector", "number %u is not finite", i);
        some |= vector[i] != 0;
    }
    if (!some)
        return failure_set(failure, STATUS_BAD_VECTOR, "vector", "all numbers are zero");
    return STATUS_OK;
}

struct partition_key cache_partition_key(const uint8_t scope[16], uint64_t space)
{
    assert(space != 0);
    struct partition_key key = {.space = space};
    memcpy(key.scope, scope, sizeof(key.scope));
    return key;
}

void cache_remove_row(struct cache *cache, const struct entry *entry)
{
    if (entry_space(entry) == 0)
        return;
    assert(entry_sequence(entry) != 0); /* rows at or below it go, and no other */
    struct answer_view view;
    answer_view_read(entry_metadata(entry), &view);
    const struct partition_key key = cache_partition_key(entry_scope(entry), entry_space(entry));
    /* Held before the row goes: so that nobody drops the one that counts it; and in an epoch, for
     * who is about to go may have looked at its holds already. */
    epoch_enter(cache->epochs);
    struct namespace_ *namespace_ = cache_hold_namespace(cache, view.tenant, view.namespace_);
    const size_t removed =
        directory_remove(cache->directory, &key, entry_digest(entry), entry_sequence(entry));
    if (namespace_ != NULL) {
        namespace_uncount(&namespace_->counters.rows, removed);
        namespace_release(namespace_);
    }
    epoch_leave(cache->epochs);
}
