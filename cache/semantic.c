/*
 * semantic.c - Get, second half: vector, search, decision; on a compute thread. The vector is made
 * here, or by the embedder while no thread waits for it.
 *
 * THE STEPS. The scope's partition is searched inside an epoch; what it finds are digests. Each is
 * fetched from the store with a reference and must be alive, not newer than its row, and equal in
 * all 16 bytes of its compatibility id (the index compares 4). So an entry that died, expired or
 * was replaced between search and read is passed over. At most 8 survivors go to the policy; the
 * one to serve is fetched once more, now counted, and if it has died meanwhile the policy is asked
 * again without it.
 *
 * Owns nothing beyond the references of a walk and of a reply. Threads: see cache.h.
 */
#include <math.h>

#include "base/check.h"
#include "cache/freshness.h"
#include "cache/lookup.h"
#include "cache/parts.h"
#include "index/vector.h"

enum {
    HITS_FIRST = 12,              /* the candidates, and 4 that have died meanwhile; with what the
                                     index adds (26) still less than index.ef_search's 32   */
    HITS_AGAIN = SEARCH_HITS_MAX, /* if dead or too old ones took more of them              */
};

/* ---- candidates ------------------------------------------------------------------------------ */

struct near {            /* a row whose entry has been fetched */
    struct entry *entry; /* a reference              */
    float similarity;
    struct guard_signature signature;
};

struct walk { /* one semantic lookup */
    struct embed_space space;
    struct guard_signature query;
    uint32_t dimension; /* of the rows; 0: there are none */
    struct search search;
    struct near nears[CACHE_CANDIDATES_MAX];
    size_t nears_count;
};

static void find_space(const struct cache_get *get, struct embed_space *out_space)
{
    const bool some = lookup_space(get, out_space);
    assert(some); /* begin has found rows */
    assert(out_space->id != 0);
    assert(out_space->dimension > 0);
}

/* Of a vector that the client has brought: BAD_VECTOR is the client's. Else as embedder_embed. */
static enum status make_vector(struct cache_get *get, uint32_t dimension, struct failure *failure)
{
    const struct cache_get_request *request = get->request;
    get->unit = arena_calloc(get->arena, dimension, sizeof(float));
    if (get->unit == NULL)
        return STATUS_NO_MEMORY;
    if (request->vector == NULL)
        return embedder_embed(get->maker, get->key.query, get->arena, get->unit);
    if (vector_normalise(request->vector, request->dimension, get->unit))
        return STATUS_OK;
    return failure_set(failure, STATUS_BAD_VECTOR, "vector", "%s", status_text(STATUS_BAD_VECTOR));
}

static void search_rows(struct cache *cache, const struct cache_get *get, struct walk *walk,
                        int64_t now_ms, uint32_t hits_max)
{
    assert(get->unit != NULL);
    assert(hits_max <= SEARCH_HITS_MAX);
    struct search *search = &walk->search;
    search->unit = get->unit;
    search->dimension = walk->space.dimension;
    memcpy(&search->tag, get->key.compatibility.bytes, sizeof(search->tag));
    search->now_ms = now_ms;
    search->hits_max = hits_max;
    search->hits_count = 0;
    const struct partition_key key = cache_partition_key(get->key.scope.bytes, walk->space.id);
    epoch_enter(cache->epochs);
    const struct partition *partition = directory_find(cache->directory, &key);
    walk->dimension = partition != NULL ? partition_dimension(partition) : 0;
    if (partition != NULL && walk->dimension == search->dimension) {
        if (get->unseen != NULL)
            partition_search_unseen(partition, search);
        else
            partition_search(partition, search);
    }
    epoch_leave(cache->epochs);
    assert(search->hits_count <= hits_max);
}

/* Within its TTL, and as young as the request wants it: stale answers are the exact tier's. */
static bool is_fresh(struct cache_get *get, const struct store_hit *found, int64_t now_ms)
{
    struct cache_control control = get->request->control;
    struct freshness freshness;
    bool stale = false;
    if ((entry_marks(found->entry) & ENTRY_TIMED) == 0 && !lookup_is_controlled(get))
        return true;
    const struct freshness_moment moment = {entry_created_ms(found->entry), found->expires_ms,
                                            now_ms};
    freshness_read(found->entry, &freshness);
    control.max_stale_ms = 0;
    const enum cache_miss refused = freshness_judge(&freshness, &control, &moment, &stale);
    if (refused == CACHE_MISS_TOO_OLD && get->refused == CACHE_MISS_NONE)
        get->refused = refused;
    return refused == CACHE_MISS_NONE && !stale;
}

/* The row's entry with a reference, or NULL if it may not stand for the row any more. */
static struct entry *fetch(struct cache *cache, struct cache_get *get, const struct search_hit *hit,
                           int64_t now_ms)
{
    struct store_hit found;
    if (store_find(cache->store, &hit->id, now_ms, STORE_PEEK, &found) != STORE_FOUND)
        return NULL;
    assert(found.entry != NULL);
    if (entry_sequence(found.entry) <= hit->sequence &&
        memcmp(entry_compatibility(found.entry), get->key.compatibility.bytes, ENTRY_ID_BYTES) ==
            0 &&
        is_fresh(get, &found, now_ms))
        return found.entry;
    entry_release(found.entry);
    return NULL;
}

static void drop_nears(struct walk *walk)
{
    for (size_t i = 0; i < walk->nears_count; i++)
        entry_release(walk->nears[i].entry);
    walk->nears_count = 0;
}

static void collect(struct cache *cache, struct cache_get *get, struct walk *walk, int64_t now_ms)
{
    static_assert(sizeof(struct guard_signature) <= INDEX_SIDE_BYTES, "lies beside the vector");
    drop_nears(walk);
    assert(walk->nears_count == 0);
    for (uint32_t i = 0; i < walk->search.hits_count && walk->nears_count < CACHE_CANDIDATES_MAX;
         i++) {
        const struct search_hit *hit = &walk->search.hits[i];
        assert(i == 0 || hit->similarity <= hit[-1].similarity);
        struct entry *entry = fetch(cache, get, hit, now_ms);
        if (entry == NULL)
            continue;
        struct near *near = &walk->nears[walk->nears_count++];
        near->entry = entry;
        near->similarity = hit->similarity;
        memcpy(&near->signature, hit->side, sizeof(near->signature));
    }
}

static enum status find_nears(struct cache *cache, struct cache_get *get, struct walk *walk,
                              int64_t now_ms, struct failure *failure)
{
    search_rows(cache, get, walk, now_ms, HITS_FIRST);
    if (walk->dimension != 0 && walk->dimension != walk->space.dimension)
        return failure_set(failure, STATUS_DIM_MISMATCH, "vector",
                           "%u numbers, and the scope's rows have %u", walk->space.dimension,
                           walk->dimension);
    collect(cache, get, walk, now_ms);
    if (walk->nears_count < CACHE_CANDIDATES_MAX && walk->search.hits_count == HITS_FIRST) {
        search_rows(cache, get, walk, now_ms, HITS_AGAIN);
        collect(cache, get, walk, now_ms);
    }
    return STATUS_OK;
}

/* ---- decision -------------------------------------------------------------------------------- */

/* A shared state knows nothing of namespaces: one that has a policy of its own decides by that. */
static bool has_terms(const struct cache *cache, const struct cache_get *get,
                      const struct walk *walk, const struct scope *scope,
                      struct policy_terms *out_terms)
{
    const struct policy_wishes *wishes = &namespace_wants(get->namespace_)->policy;
    if (scope->id != 0 || policy_wishes_equal(wishes, &policy_wishes_none))
        return false;
    struct policy_settings settings;
    cache_overlay_policy(cache, wishes, &settings);
    *out_terms = policy_settings_terms(&settings, walk->space.threshold_default);
    return true;
}

static struct decision ask_policy(const struct cache *cache, struct cache_get *get,
                                  const struct walk *walk, struct scope *scope)
{
    struct policy_terms terms;
    struct candidate candidates[CACHE_CANDIDATES_MAX];
    assert(scope->policy != NULL);
    assert(walk->nears_count <= CACHE_CANDIDATES_MAX);
    for (size_t i = 0; i < walk->nears_count; i++)
        candidates[i] = (struct candidate){.similarity = walk->nears[i].similarity,
                                           .signature = &walk->nears[i].signature};
    const float asked = get->request->min_similarity_given ? get->request->min_similarity : 0;
    if (has_terms(cache, get, walk, scope, &terms))
        return policy_decide_by(&terms, &walk->query, candidates, walk->nears_count,
                                walk->space.min_similarity, asked);
    return policy_decide(scope->policy, &walk->query, candidates, walk->nears_count,
                         walk->space.min_similarity, asked);
}

/* Counts the hit on the entry; false if it is not the one any more that was decided upon. */
static bool take(struct cache *cache, struct cache_get *get, const struct near *near,
                 int64_t now_ms)
{
    assert(get->reply.found.entry == NULL);
    struct store_hit found;
    const enum store_touch touch = get->unseen != NULL ? STORE_PEEK : STORE_COUNT_HIT;
    if (store_find(cache->store, entry_digest(near->entry), now_ms, touch, &found) != STORE_FOUND)
        return false;
    if (found.entry != near->entry) {
        entry_release(found.entry);
        return false;
    }
    if (get->unseen == NULL && (entry_marks(found.entry) & ENTRY_TIMED) != 0)
        freshness_renew(cache, &found, now_ms);
    get->reply.found = found;
    return true;
}

static void forget(struct walk *walk, size_t index)
{
    assert(index < walk->nears_count);
    entry_release(walk->nears[index].entry);
    walk->nears_count--;
    memmove(&walk->nears[index], &walk->nears[index + 1],
            (walk->nears_count - index) * sizeof(walk->nears[0]));
}

/* Until one is served, or none is left to serve. */
static struct decision decide(struct cache *cache, struct cache_get *get, struct walk *walk,
                              struct scope *scope, int64_t now_ms)
{
    for (;;) {
        const struct decision decision = ask_policy(cache, get, walk, scope);
        if (decision.verdict != POLICY_SERVE)
            return decision;
        assert(decision.chosen < walk->nears_count);
        if (take(cache, get, &walk->nears[decision.chosen], now_ms))
            return decision;
        forget(walk, decision.chosen);
    }
}

/* SipHash of a counter under a secret key: no two alike by more than chance, and nobody can guess
 * the next. */
static uint64_t next_nonce(struct cache *cache)
{
    const uint64_t count = atomic_fetch_add_explicit(&cache->nonces_count, 1, memory_order_relaxed);
    return digest_siphash(cache->nonce_key, &count, sizeof(count));
}

/* Of a near miss below the threshold as well: its verdict is not one on the threshold. */
static bool chosen_is_blocked(const struct decision *decision)
{
    const bool is_nearest =
        decision->verdict == POLICY_GUARD_BLOCKED || decision->verdict == POLICY_BELOW_CUT;
    return is_nearest && decision->nearest_guards != 0;
}

static void make_token(struct cache *cache, struct cache_get *get, const struct decision *decision,
                       const struct near *near, const struct scope *scope, int64_t now_ms)
{
    assert(decision->verdict != POLICY_NO_CANDIDATE);
    assert(now_ms >= 0);
    struct token token = {
        .kind = decision->verdict == POLICY_SERVE ? TOKEN_HIT : TOKEN_NEAR_MISS,
        .guard_blocked = chosen_is_blocked(decision),
        .issued_s = (uint32_t)(now_ms / 1000),
        .scope = scope->id,
        .generation = (uint32_t)entry_sequence(near->entry),
        .similarity = near->similarity,
        .guards = decision->guards,
        .nonce = next_nonce(cache),
    };
    memcpy(&token.entry, entry_digest(near->entry)->bytes, sizeof(token.entry));
    token_make(cache->tokens, &token, get->reply.token);
}

/* Room for the candidates of the reply, if they are wanted; false when memory is spent. */
static bool make_room(struct cache_get *get)
{
    if (!lookup_wants(get, CACHE_INCLUDE_CANDIDATES))
        return true;
    struct cache_get_reply *reply = &get->reply;
    reply->candidates =
        arena_calloc(get->arena, CACHE_CANDIDATES_MAX, sizeof(reply->candidates[0]));
    return reply->candidates != NULL;
}

static void show_candidates(const struct cache *cache, struct cache_get *get, struct walk *walk)
{
    assert(get->reply.candidates != NULL);
    assert(walk->nears_count <= CACHE_CANDIDATES_MAX);
    const unsigned rules = cache_guard_rules(cache, namespace_wants(get->namespace_));
    for (size_t i = 0; i < walk->nears_count; i++) {
        const struct near *near = &walk->nears[i];
        get->reply.candidates[i] = (struct cache_candidate){
            .entry_id = *entry_digest(near->entry),
            .similarity = fminf(fmaxf(near->similarity, 0), 1),
            .guards = guard_check(&walk->query, &near->signature, rules),
            .entry = entry_acquire(near->entry),
        };
    }
    get->reply.candidates_count = walk->nears_count;
}

static void show_decision(struct cache *cache, struct cache_get *get,
                          const struct decision *decision, const struct walk *walk,
                          const struct scope *scope, int64_t now_ms)
{
    assert(decision->chosen < walk->nears_count);
    assert(decision->threshold >= 0);
    assert(decision->threshold <= 1);
    const struct near *near = &walk->nears[decision->chosen];
    struct cache_get_reply *reply = &get->reply;
    reply->decided = true;
    reply->similarity = fminf(fmaxf(near->similarity, 0), 1);
    reply->threshold = decision->threshold;
    reply->guards = decision->guards;
    if (get->unseen == NULL)
        make_token(cache, get, decision, near, scope, now_ms);
    if (decision->verdict == POLICY_SERVE)
        return;
    reply->near_miss = true;
    reply->near_entry_id = *entry_digest(near->entry);
    reply->near_similarity = reply->similarity;
}

static void settle_decision(struct cache *cache, struct cache_get *get, enum policy_verdict verdict,
                            struct scope *scope)
{
    const uint64_t one = get->unseen != NULL ? 0 : 1;
    namespace_count(&scope->lookups, one);
    switch (verdict) {
    case POLICY_SERVE:
        assert(get->reply.found.entry != NULL);
        assert(get->reply.decided);
        get->reply.tier = CACHE_TIER_SEMANTIC;
        lookup_settle_exact(get);
        namespace_count(&scope->hits, one);
        namespace_count(&lookup_counters(get)->semantic_hits, 1);
        if (get->unseen == NULL)
            histogram_add(cache->semantic_us, lookup_elapsed_us(cache, get));
        lookup_settle_time(cache, get);
        cache_note_get(cache, get, MONITOR_HIT);
        break;
    case POLICY_WOULD_SERVE:
        namespace_count(&scope->would_hits, one);
        lookup_settle_semantic_miss(cache, get, CACHE_MISS_DISABLED);
        break;
    case POLICY_GUARD_BLOCKED:
        namespace_count(&scope->guard_blocked, one);
        lookup_settle_semantic_miss(cache, get, CACHE_MISS_GUARD_BLOCKED);
        break;
    case POLICY_BELOW_CUT:
        lookup_settle_semantic_miss(cache, get, CACHE_MISS_BELOW_CUT);
        break;
    case POLICY_NO_CANDIDATE:
        lookup_settle_semantic_miss(cache, get, CACHE_MISS_NO_CANDIDATE);
        break;
    }
}

static void count_by_threshold(struct scope *scope, const struct decision *decision)
{
    struct shadow *shadow = scope_shadow(scope);
    if (shadow != NULL)
        shadow_see(shadow, decision->clean_similarity);
}

static void answer_from(struct cache *cache, struct cache_get *get, struct walk *walk,
                        int64_t now_ms)
{
    struct scope *scope = scopes_find(cache->scopes, get->key.scope.bytes, walk->space.id);
    const struct decision decision = decide(cache, get, walk, scope, now_ms);
    if (decision.verdict != POLICY_NO_CANDIDATE)
        show_decision(cache, get, &decision, walk, scope, now_ms);
    if (decision.verdict != POLICY_NO_CANDIDATE && get->unseen == NULL)
        count_by_threshold(scope, &decision);
    if (lookup_wants(get, CACHE_INCLUDE_CANDIDATES))
        show_candidates(cache, get, walk);
    get->reply.timing.decide_us = lookup_lap(cache, get);
    settle_decision(cache, get, decision.verdict, scope);
}

static enum status search_and_decide(struct cache *cache, struct cache_get *get,
                                     const struct embed_space *space, int64_t now_ms,
                                     struct failure *failure)
{
    struct walk walk;
    walk.space = *space;
    walk.nears_count = 0;
    enum status status = find_nears(cache, get, &walk, now_ms, failure);
    if (status != STATUS_OK)
        return status;
    if (guard_sign(get->key.query, get->arena, &walk.query) != STATUS_OK || !make_room(get)) {
        drop_nears(&walk);
        return failure_set(failure, STATUS_NO_MEMORY, "", "%s", status_text(STATUS_NO_MEMORY));
    }
    get->reply.timing.search_us = lookup_lap(cache, get);
    answer_from(cache, get, &walk, now_ms);
    drop_nears(&walk);
    return STATUS_OK;
}

/* ---- with or without a vector ---------------------------------------------------------------- */

/* Our own embedder's failures are no caller's: the exact tier has answered, the other one says why
 * it cannot. */
static enum status settle_without_vector(struct cache *cache, struct cache_get *get,
                                         enum status embedded, struct failure *failure)
{
    assert(embedded != STATUS_OK);
    if (embedded == STATUS_NO_MEMORY)
        return failure_set(failure, embedded, "", "%s", status_text(embedded));
    enum cache_miss reason = CACHE_MISS_EMBEDDER_DOWN;
    if (embedded == STATUS_NOT_FOUND)
        reason = CACHE_MISS_NOT_ELIGIBLE; /* no word to compare */
    else if (embedded == STATUS_TEXT_TOO_LONG)
        reason = CACHE_MISS_TEXT_TOO_LONG;
    else if (cache_is_overloaded(embedded))
        reason = CACHE_MISS_OVERLOADED;
    else
        get->reply.degraded = "embedder_down";
    lookup_settle_miss(cache, get, reason);
    return STATUS_OK;
}

static enum status settle(struct cache *cache, struct cache_get *get,
                          const struct embed_space *space, enum status embedded, int64_t now_ms,
                          struct failure *failure)
{
    lookup_open(cache, get);
    const enum status status = embedded == STATUS_OK
                                   ? search_and_decide(cache, get, space, now_ms, failure)
                                   : settle_without_vector(cache, get, embedded, failure);
    lookup_close(cache, get);
    return status;
}

static void assert_open(const struct cache_get *get)
{
    assert(get->key.semantic);
    assert(get->reply.found.entry == NULL);
    assert(get->reply.miss_reason == CACHE_MISS_NONE);
}

enum status cache_get_finish(struct cache *cache, struct cache_get *get, int64_t now_ms,
                             uint64_t now_us, struct failure *failure)
{
    assert_open(get);
    struct embed_space space;
    find_space(get, &space);
    get->now_us = now_us;
    enum status status = make_vector(get, space.dimension, failure);
    get->reply.timing.embed_us = lookup_lap(cache, get);
    if (get->request->vector != NULL && status == STATUS_BAD_VECTOR)
        return status;
    return settle(cache, get, &space, status, now_ms, failure);
}

void cache_get_embed(struct cache *cache, struct cache_get *get, struct embed_job *job)
{
    assert_open(get);
    assert(get->request->vector == NULL);
    assert(get->unit == NULL);
    struct embed_space space;
    find_space(get, &space);
    get->unit = arena_calloc(get->arena, space.dimension, sizeof(float));
    (void)lookup_lap(cache, get); /* here the vector's time begins */
    cache_embed(cache, get->key.query, get->unit, job);
}

enum status cache_get_finish_embedded(struct cache *cache, struct cache_get *get,
                                      enum status embedded, int64_t now_ms, uint64_t done_us,
                                      struct failure *failure)
{
    assert_open(get);
    if (done_us > get->now_us)
        get->reply.timing.embed_us = (uint32_t)(done_us - get->now_us);
    (void)lookup_lap(cache, get); /* what waited for others is nobody's work */
    struct embed_space space;
    find_space(get, &space);
    return settle(cache, get, &space, embedded, now_ms, failure);
}
