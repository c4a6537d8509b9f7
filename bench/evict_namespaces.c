/*
 * evict_namespaces.c - hit ratios of a namespace that evicts by a rule of its own, through the
 * service's own Get and Set (cache/), without a network. First each rule in a namespace with a
 * budget, alone in its server, on the traces of evict.c: what the quota of a namespace makes of the
 * rule, beside the rule in the table. Then the zipf namespace beside a neighbour without a budget
 * that only ever brings new keys, so that the server evicts as well, by each `evict.policy`.
 *
 * Prints lines of two kinds: "alone" trace, percent, a ratio for each rule; "beside" own rule, a
 * ratio for each policy of the server. The seeds are fixed: every run prints the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/options.h"
#include "base/thread.h"
#include "bench/evict_traces.h"
#include "cache/cache.h"
#include "embed/embedder.h"
#include "index/directory.h"
#include "storage/journal.h"
#include "storage/store.h"
#include "trust/policy.h"

enum { RULES = 3, START_MS = 1000000, FLAG_MAX = 64 };
static const char *const rule_names[RULES] = {"s3fifo", "lru", "lfu_aging"};
static const enum cache_eviction rules[RULES] = {EVICTION_S3FIFO, EVICTION_LRU, EVICTION_LFU_AGING};

struct server {
    struct options *options;
    struct cache *cache;
    struct arena *arena;
    int64_t now_ms; /* one more at every request, for lru goes by it */
};

static void must(enum status status, const char *what)
{
    if (status == STATUS_OK)
        return;
    (void)fprintf(stderr, "%s: %s\n", what, status_text(status));
    exit(1);
}

/* One stripe, so that the server's budget is one queue as well. entries_max 0: as memory allows. */
static struct server open_server(const char *policy, uint32_t entries_max)
{
    const struct option_table tables[] = {
        {cache_option_rows, cache_option_rows_count},
        {store_option_rows, store_option_rows_count},
        {journal_option_rows, journal_option_rows_count},
        {index_option_rows, index_option_rows_count},
        {embed_option_rows, embed_option_rows_count},
        {policy_option_rows, policy_option_rows_count},
    };
    char policy_flag[FLAG_MAX], entries_flag[FLAG_MAX];
    (void)snprintf(policy_flag, sizeof(policy_flag), "--evict-policy=%s", policy);
    (void)snprintf(entries_flag, sizeof(entries_flag), "--storage-entries-max=%u", entries_max);
    char *arguments[] = {"bench",      "--embed-provider=none", "--storage-path=",
                         policy_flag,  "--table-stripes=1",     "--storage-memory=1GiB",
                         entries_flag, "--index-memory=32MiB"};
    struct server server = {.now_ms = START_MS};
    struct failure failure = {0};
    must(options_create(tables, sizeof(tables) / sizeof(tables[0]), &server.options), "options");
    must(options_read_flags(server.options, sizeof(arguments) / sizeof(arguments[0]), arguments,
                            stderr),
         "flags");
    const struct cache_setup setup = {.options = server.options,
                                      .chance_seed = {1, 2, 3, 4, 5, 6, 7, 8},
                                      .started_ms = START_MS,
                                      .version = "bench"};
    must(cache_create(&setup, &server.cache, &failure), failure.message);
    must(arena_create(&server.arena), "arena");
    return server;
}

static void close_server(struct server *server)
{
    cache_destroy(&server->cache);
    arena_destroy(&server->arena);
    options_destroy(&server->options);
}

static void create(struct server *server, const char *name, enum cache_eviction rule,
                   uint32_t entries_max)
{
    struct cache_namespace_view view;
    struct failure failure = {0};
    struct cache_namespace_change change = {.name = text_of(name),
                                            .fields = NAMESPACE_EVICTION |
                                                      (entries_max > 0 ? NAMESPACE_ENTRIES_MAX : 0),
                                            .settings = cache_namespace_settings_none};
    change.settings.eviction = rule;
    change.settings.entries_max = entries_max;
    must(cache_create_namespace(server->cache, &change, server->arena, NULL, &view, &failure),
         failure.message);
    arena_reset(server->arena);
}

/* A Get, and after a miss the Set. Temperature 1: the exact tier alone. */
static bool ask(struct server *server, const char *namespace_, uint32_t key)
{
    char prompt[16];
    (void)snprintf(prompt, sizeof(prompt), "%u", key);
    const struct identity identity = {.namespace_ = text_of(namespace_),
                                      .model = TEXT("m"),
                                      .prompt = text_of(prompt),
                                      .params = {.temperature_given = true, .temperature = 1}};
    const struct cache_get_request request = {.identity = identity};
    struct cache_get get;
    struct failure failure = {0};
    enum cache_step step = CACHE_DONE;
    const int64_t now_ms = server->now_ms++;
    must(cache_get_begin(server->cache, &request, server->arena, now_ms, 0, &get, &step, &failure),
         failure.message);
    if (step != CACHE_DONE)
        must(STATUS_INTERNAL, "a Get of the exact tier asked for more");
    const bool hit = get.reply.tier != CACHE_TIER_NONE;
    cache_get_release(&get);
    if (!hit) {
        const struct cache_set_request set = {.identity = identity, .content = TEXT("answer")};
        struct cache_set_reply reply;
        must(cache_set(server->cache, &set, server->arena, now_ms, &reply, &failure),
             failure.message);
    }
    arena_reset(server->arena);
    return hit;
}

static double alone(const struct evict_trace *trace, enum cache_eviction rule, uint32_t size)
{
    struct server server = open_server("s3fifo", 0);
    uint32_t hits = 0;
    create(&server, "own", rule, size);
    for (uint32_t i = 0; i < TRACE_REQUESTS; i++)
        hits += ask(&server, "own", trace->keys[i]);
    close_server(&server);
    return 100.0 * hits / TRACE_REQUESTS;
}

/* The neighbour brings a new key at every request: it has room for as many as the budget is. */
static double beside(const struct evict_trace *trace, enum cache_eviction rule, const char *policy,
                     uint32_t size)
{
    struct server server = open_server(policy, 2 * size);
    uint32_t hits = 0;
    create(&server, "own", rule, size);
    for (uint32_t i = 0; i < TRACE_REQUESTS; i++) {
        hits += ask(&server, "own", trace->keys[i]);
        (void)ask(&server, "neighbour", i);
    }
    close_server(&server);
    return 100.0 * hits / TRACE_REQUESTS;
}

int main(void)
{
    static const uint32_t percents[] = {1, 10};
    double *sums = evict_zipf();
    must(thread_register(THREAD_COMPUTE), "thread");
    for (unsigned shape = 0; shape < TRACE_SHAPES; shape++) {
        struct evict_trace trace = evict_trace_make((enum evict_shape)shape, sums);
        for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
            const uint32_t size = trace.unique_count / 100 * percents[i];
            (void)printf("alone\t%s\t%u", trace.name, percents[i]);
            for (size_t rule = 0; rule < RULES; rule++)
                (void)printf("\t%.1f", alone(&trace, rules[rule], size));
            (void)printf("\n");
            (void)fflush(stdout);
        }
        free(trace.keys);
    }
    struct evict_trace trace = evict_trace_make(SHAPE_ZIPF, sums);
    for (size_t rule = 0; rule < RULES; rule++) {
        (void)printf("beside\t%s", rule_names[rule]);
        for (size_t policy = 0; policy < RULES; policy++)
            (void)printf("\t%.1f", beside(&trace, rules[rule], rule_names[policy],
                                          trace.unique_count / 100 * 10));
        (void)printf("\n");
        (void)fflush(stdout);
    }
    free(trace.keys);
    free(sums);
    thread_unregister();
    return 0;
}
