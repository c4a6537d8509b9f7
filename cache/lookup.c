/*
 * lookup.c - Get, first half: identity, the exact tier, and whether the semantic tier (semantic.c)
 * is to be asked at all. Short enough for an I/O thread.
 *
 * WHY A MISS. A near candidate that was refused says more than an answer that is expired or too old
 * for the request, and that says more than "no candidate", "not eligible", "too long" or
 * "disabled".
 *
 * Owns nothing beyond the reference of a reply. Threads: see cache.h.
 */
#include "cache/lookup.h"

#include "base/check.h"
#include "cache/freshness.h"
#include "cache/parts.h"

/* Percentiles are of an entry's first hit and every fourth from there: a look at the clock takes
 * 20 ns, which is a twentieth of a hit in a batch. */
enum { HITS_TIMED_EVERY = 4 };

/* ---- outcomes and time ----------------------------------------------------------------------- */

struct namespace_counters *lookup_counters(struct cache_get *get)
{
    assert(get->namespace_ != NULL);
    if (get->unseen != NULL)
        return get->unseen;
    return &get->namespace_->counters;
}

bool lookup_wants(const struct cache_get *get, enum cache_include include)
{
    return (get->request->include & include) != 0;
}

/* Microseconds since the last lap; 0 without a clock. */
uint32_t lookup_lap(const struct cache *cache, struct cache_get *get)
{
    if (cache->clock_us == NULL)
        return 0;
    const uint64_t before_us = get->now_us;
    get->now_us = cache->clock_us();
    return get->now_us > before_us ? (uint32_t)(get->now_us - before_us) : 0;
}

uint64_t lookup_elapsed_us(const struct cache *cache, const struct cache_get *get)
{
    const uint64_t now_us = cache->clock_us != NULL ? cache->clock_us() : get->now_us;
    return now_us > get->started_us ? now_us - get->started_us : 0;
}

void lookup_settle_time(const struct cache *cache, struct cache_get *get)
{
    if (lookup_wants(get, CACHE_INCLUDE_TIMING))
        get->reply.timing.total_us = (uint32_t)lookup_elapsed_us(cache, get);
}

static bool yields_to_expired(enum cache_miss reason)
{
    return reason == CACHE_MISS_NO_CANDIDATE || reason == CACHE_MISS_NOT_FOUND ||
           reason == CACHE_MISS_NOT_ELIGIBLE || reason == CACHE_MISS_DISABLED ||
           reason == CACHE_MISS_TEXT_TOO_LONG;
}

static void count_miss(const struct cache *cache, struct cache_get *get, enum cache_miss reason)
{
    assert(reason > CACHE_MISS_NONE);
    assert(reason < CACHE_MISS_COUNT);
    namespace_count(&lookup_counters(get)->misses[reason], 1);
    lookup_settle_time(cache, get);
    cache_note_get(cache, get, MONITOR_MISS);
}

void lookup_settle_exact(struct cache_get *get)
{
    if (get->exact_missed)
        namespace_count(&lookup_counters(get)->exact_misses, 1);
    get->exact_missed = false;
}

void lookup_settle_miss(const struct cache *cache, struct cache_get *get, enum cache_miss reason)
{
    assert(get->reply.found.entry == NULL);
    assert(get->reply.miss_reason == CACHE_MISS_NONE); /* a Get ends once */
    assert(reason > CACHE_MISS_NONE);
    assert(reason < CACHE_MISS_COUNT);
    if (get->refused != CACHE_MISS_NONE && yields_to_expired(reason))
        reason = get->refused;
    lookup_settle_exact(get);
    get->reply.tier = CACHE_TIER_NONE;
    get->reply.miss_reason = reason;
    const struct cache_control *control = &get->request->control;
    get->lease_due = get->unseen == NULL && get->request->lease != CACHE_LEASE_NONE &&
                     get->key.canonical && !control->bypass &&
                     !control->only_if_cached; /* nobody is to compute */
    if (!get->lease_due)
        count_miss(cache, get, reason);
}

void lookup_settle_leased(const struct cache *cache, struct cache_get *get, enum cache_miss reason)
{
    assert(get->lease_due);
    assert(get->reply.found.entry == NULL);
    get->lease_due = false;
    get->reply.miss_reason = reason;
    count_miss(cache, get, reason);
}

void lookup_settle_semantic_miss(const struct cache *cache, struct cache_get *get,
                                 enum cache_miss reason)
{
    namespace_count(&lookup_counters(get)->semantic_misses, 1);
    lookup_settle_miss(cache, get, reason);
}

/* ---- exact tier ------------------------------------------------------------------------------ */

enum status lookup_check(const struct cache *cache, const struct cache_get_request *request,
                         struct failure *failure)
{
    const float asked = request->min_similarity;
    if (request->min_similarity_given && !(asked >= 0 && asked <= 1))
        return failure_set(failure, STATUS_BAD_THRESHOLD, "min_similarity", "%s",
                           status_text(STATUS_BAD_THRESHOLD));
    if (request->lease != CACHE_LEASE_NONE && request->only_semantic)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "lease",
                           "a lease wants the exact tier among `tiers`");
    return cache_check_vector(cache, request->vector, request->dimension, failure);
}

struct look { /* at the exact entry */
    const struct cache_control *control;
    int64_t now_ms;
    enum cache_miss refused;
    bool is_timed, stale, negative;
};

static bool accepts(void *context, const struct entry *entry, int64_t expires_ms)
{
    struct look *look = context;
    struct freshness freshness;
    const struct freshness_moment moment = {entry_created_ms(entry), expires_ms, look->now_ms};
    freshness_read(entry, &freshness);
    look->is_timed = true;
    look->negative = freshness.negative;
    look->refused = freshness_judge(&freshness, look->control, &moment, &look->stale);
    return look->refused == CACHE_MISS_NONE;
}

bool lookup_is_controlled(const struct cache_get *get)
{
    const struct cache_control *control = &get->request->control;
    return control->max_age_given || control->min_fresh_ms > 0;
}

/* As store_find_accepted, without a trace. */
static enum store_found peek_accepted(struct cache *cache, struct cache_get *get, struct look *look)
{
    struct store_hit found;
    const enum store_found state =
        store_find(cache->store, &get->key.exact, look->now_ms, STORE_PEEK, &found);
    if (state != STORE_FOUND)
        return state;
    const bool is_asked =
        lookup_is_controlled(get) || (entry_marks(found.entry) & ENTRY_TIMED) != 0;
    if (!is_asked || accepts(look, found.entry, found.expires_ms)) {
        get->reply.found = found;
        return STORE_FOUND;
    }
    entry_release(found.entry);
    return STORE_REFUSED;
}

static enum store_found find_exact(struct cache *cache, struct cache_get *get, struct look *look)
{
    const struct store_look asked = {
        .accepts = accepts, .context = look, .every = lookup_is_controlled(get)};
    const enum store_found found =
        get->unseen != NULL ? peek_accepted(cache, get, look)
                            : store_find_accepted(cache->store, &get->key.exact, look->now_ms,
                                                  &asked, &get->reply.found);
    if (found == STORE_FOUND && look->is_timed && !look->stale && get->unseen == NULL)
        freshness_renew(cache, &get->reply.found, look->now_ms);
    if (found == STORE_PAST_EXPIRY)
        get->refused = CACHE_MISS_EXPIRED;
    if (found == STORE_REFUSED)
        get->refused = look->refused;
    return found;
}

static void count_exact(struct namespace_counters *counters, const struct look *look)
{
    if (look->negative)
        namespace_count(&counters->negative_hits, 1);
    else
        namespace_count(look->stale ? &counters->stale_hits : &counters->exact_hits, 1);
}

bool lookup_take_exact(struct cache *cache, struct cache_get *get, int64_t now_ms)
{
    assert(get->key.canonical);
    struct look look = {.control = &get->request->control, .now_ms = now_ms};
    if (find_exact(cache, get, &look) != STORE_FOUND)
        return false;
    assert(get->reply.found.entry != NULL);
    assert(get->unseen != NULL || get->reply.found.hits_count > 0);
    get->reply.tier = CACHE_TIER_EXACT;
    get->reply.similarity = 1;
    get->reply.stale = look.stale;
    count_exact(lookup_counters(get), &look);
    if (cache->clock_us != NULL && get->unseen == NULL &&
        get->reply.found.hits_count % HITS_TIMED_EVERY == 1)
        histogram_add(cache->exact_us, lookup_elapsed_us(cache, get));
    lookup_settle_time(cache, get);
    cache_note_get(cache, get,
                   look.negative ? MONITOR_NEGATIVE
                   : look.stale  ? MONITOR_STALE
                                 : MONITOR_HIT);
    return true;
}

static bool ask_exact(struct cache *cache, struct cache_get *get, int64_t now_ms)
{
    if (lookup_take_exact(cache, get, now_ms))
        return true;
    get->exact_missed = true;
    return false;
}

bool lookup_space(const struct cache_get *get, struct embed_space *out_space)
{
    return cache_space(get->maker, get->request->identity.embedder, get->request->vector,
                       get->request->dimension, out_space);
}

/* NONE: the semantic tier may be asked. */
static enum cache_miss why_exact_only(const struct cache *cache, const struct cache_get *get,
                                      const struct cache_namespace_settings *wants)
{
    if (get->request->only_exact)
        return cache_opens(wants, CACHE_TIER_EXACT) ? CACHE_MISS_NOT_FOUND : CACHE_MISS_DISABLED;
    if (cache_mode(cache, wants) == POLICY_OFF || !cache_opens(wants, CACHE_TIER_SEMANTIC))
        return CACHE_MISS_DISABLED;
    struct embed_space space;
    return get->key.semantic && lookup_space(get, &space) ? CACHE_MISS_NONE
                                                          : CACHE_MISS_NOT_ELIGIBLE;
}

/* Cheap enough to spare a compute thread: most scopes of a young cache are empty. */
static bool has_rows(struct cache *cache, const struct cache_get *get)
{
    assert(get->key.semantic);
    struct embed_space space;
    if (!lookup_space(get, &space))
        return false;
    const struct partition_key key = cache_partition_key(get->key.scope.bytes, space.id);
    epoch_enter(cache->epochs);
    const struct partition *partition = directory_find(cache->directory, &key);
    const bool some = partition != NULL && partition_rows(partition) > 0;
    epoch_leave(cache->epochs);
    return some;
}

enum cache_step lookup_ask(struct cache *cache, struct cache_get *get, int64_t now_ms)
{
    if (get->request->control.bypass || get->request->control.no_cache) {
        lookup_settle_miss(cache, get, CACHE_MISS_BYPASSED);
        return CACHE_DONE;
    }
    if (!get->key.canonical) {
        lookup_settle_miss(cache, get, CACHE_MISS_NOT_ELIGIBLE);
        return CACHE_DONE;
    }
    const struct cache_namespace_settings *wants = namespace_wants(get->namespace_);
    if (!get->request->only_semantic && cache_opens(wants, CACHE_TIER_EXACT) &&
        ask_exact(cache, get, now_ms))
        return CACHE_DONE;
    cache_settle_key(&get->key, wants);
    if (get->unseen == NULL) /* an explanation has its vector already */
        get->maker = cache_maker(cache, wants, get->request->identity.embedder);
    const enum cache_miss reason = why_exact_only(cache, get, wants);
    if (reason != CACHE_MISS_NONE) {
        lookup_settle_miss(cache, get, reason);
        return CACHE_DONE;
    }
    key_complete(&get->key); /* from here on the scope counts */
    if (!has_rows(cache, get)) {
        lookup_settle_semantic_miss(cache, get, CACHE_MISS_NO_CANDIDATE);
        return CACHE_DONE;
    }
    const bool embeds = get->request->vector == NULL;
    return embeds && cache_embeds_later(cache, get->maker) ? CACHE_NEEDS_VECTOR
                                                           : CACHE_NEEDS_COMPUTE;
}

enum status cache_get_begin(struct cache *cache, const struct cache_get_request *request,
                            struct arena *arena, int64_t now_ms, uint64_t now_us,
                            struct cache_get *out_get, enum cache_step *out_step,
                            struct failure *failure)
{
    assert(request != NULL);
    assert(arena != NULL);
    assert(out_get != NULL);
    assert(out_step != NULL);
    enum status status = lookup_check(cache, request, failure);
    if (status != STATUS_OK)
        return status;
    struct cache_get *get = out_get;
    *get = (struct cache_get){
        .request = request, .arena = arena, .started_us = now_us, .now_us = now_us};
    status = key_make_exact(&request->identity, &cache->key_limits, arena, &get->key, failure);
    if (status != STATUS_OK) {
        failure_prefix(failure, "identity");
        return status;
    }
    get->reply.key = get->key.exact;
    if (lookup_wants(get, CACHE_INCLUDE_TIMING))
        get->reply.timing.key_us = lookup_lap(cache, get);
    epoch_enter(cache->epochs);
    status = cache_find_namespace(cache, &request->identity, &get->key, &get->namespace_, failure);
    if (status == STATUS_OK)
        *out_step = lookup_ask(cache, get, now_ms);
    lookup_close(cache, get);
    return status;
}

/* What was there when the Get began may have been dropped since. */
void lookup_open(struct cache *cache, struct cache_get *get)
{
    assert(get->namespace_ == NULL);
    epoch_enter(cache->epochs);
    const struct text tenant = cache_name_or_default(get->request->identity.tenant);
    get->namespace_ = namespaces_find(cache->namespaces, tenant, get->key.namespace_);
    if (get->namespace_ == NULL)
        get->namespace_ = get->unseen != NULL ? cache->nobody : cache_strangers(cache, tenant);
}

void lookup_close(struct cache *cache, struct cache_get *get)
{
    get->namespace_ = NULL;
    epoch_leave(cache->epochs);
}

void cache_get_overloaded(struct cache *cache, struct cache_get *get)
{
    assert(get->key.semantic);
    assert(get->reply.tier == CACHE_TIER_NONE);
    lookup_open(cache, get);
    lookup_settle_miss(cache, get, CACHE_MISS_OVERLOADED);
    lookup_close(cache, get);
}

void cache_get_release(struct cache_get *get)
{
    assert(get->reply.candidates_count <= CACHE_CANDIDATES_MAX);
    entry_release(get->reply.found.entry);
    get->reply.found.entry = NULL;
    for (size_t i = 0; i < get->reply.candidates_count; i++)
        entry_release(get->reply.candidates[i].entry);
    get->reply.candidates_count = 0;
}
