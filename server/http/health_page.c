/*
 * health_page.c - /health: one JSON object for people and load balancers. 200 while the server
 * serves, 503 while it loads or drains; what is degraded is named, and is no reason for a 503: a
 * cache that has lost its disk or its embedder still serves. Owns nothing. Threads: the door's own.
 */
#include <cjson/cJSON.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "cache/cache.h"
#include "server/grpc/door.h"
#include "server/grpc/listener.h"
#include "server/http/pages.h"

static const char *word_of(enum listener_readiness readiness)
{
    static const char *const words[] = {[LISTENER_LOADING] = "loading",
                                        [LISTENER_SERVING] = "healthy",
                                        [LISTENER_DRAINING] = "draining"};
    return words[readiness];
}

static bool fill(cJSON *object, enum listener_readiness readiness, const struct cache_stats *stats)
{
    const char *words[CACHE_DEGRADED_MAX];
    bool whole = cJSON_AddStringToObject(object, "status", word_of(readiness)) != NULL;
    whole &= cJSON_AddStringToObject(object, "version", stats->version) != NULL;
    whole &= cJSON_AddNumberToObject(object, "uptime_s", (double)stats->uptime_s) != NULL;
    whole &= cJSON_AddNumberToObject(object, "loading_done", stats->journal.loading_done) != NULL;
    cJSON *degraded = cJSON_AddArrayToObject(object, "degraded");
    const size_t count = cache_degraded(stats, words);
    for (size_t i = 0; degraded != NULL && i < count; i++)
        whole &= cJSON_AddItemToArray(degraded, cJSON_CreateString(words[i])) != 0;
    return whole && degraded != NULL;
}

static char *text_of_health(enum listener_readiness readiness, const struct cache_stats *stats)
{
    cJSON *object = cJSON_CreateObject();
    char *text = NULL;
    if (object != NULL && fill(object, readiness, stats))
        text = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    return text;
}

void page_of_health(const struct http_sources *sources, struct page *out_page)
{
    struct arena *arena = NULL;
    struct cache_stats stats;
    const enum listener_readiness readiness = listener_readiness(sources->grpc);
    *out_page = (struct page){.status = readiness == LISTENER_SERVING ? 200 : 503,
                              .type = "application/json"};
    if (arena_create(&arena) != STATUS_OK)
        return;
    if (cache_stats(sources->cache, door_tenant, TEXT(""), arena, clock_wall_ms(), &stats) ==
        STATUS_OK)
        out_page->body = text_of_health(readiness, &stats);
    arena_destroy(&arena);
    out_page->body_bytes = out_page->body != NULL ? strlen(out_page->body) : 0;
}
