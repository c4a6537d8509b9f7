/*
 * explain_words.c - what Explain says. Names of fields, numbers and ids stand in it, never what
 * somebody has asked. Owns nothing. Threads: see explain.h.
 */
#include "cache/explain_words.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "cache/lookup.h"
#include "cache/parts.h"

enum { SENTENCE_MAX = 400 };

static const char *const guard_words[] = {"different numbers", "a negation", "an antonym",
                                          "another order of the same words", "different names"};

/* The lowest bit is the first reason. */
static const char *guard_word(unsigned guards)
{
    assert(guards != 0);
    const int bit = __builtin_ctz(guards);
    assert((size_t)bit < sizeof(guard_words) / sizeof(guard_words[0]));
    return guard_words[bit];
}

static enum status keep(struct cache_explain *explain, const char *sentence, struct text *out)
{
    const size_t length = strlen(sentence);
    char *bytes = arena_alloc(explain->arena, length + 1);
    if (bytes == NULL)
        return STATUS_NO_MEMORY;
    memcpy(bytes, sentence, length + 1);
    *out = (struct text){bytes, length};
    return STATUS_OK;
}

static enum status step(struct cache_explain *explain, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static enum status step(struct cache_explain *explain, const char *format, ...)
{
    char sentence[SENTENCE_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    assert(explain->steps_count < CACHE_EXPLAIN_STEPS_MAX);
    return keep(explain, sentence, &explain->steps[explain->steps_count++]);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static enum status say_key(struct cache_explain *explain)
{
    char hex[DIGEST_HEX + 1];
    if (!explain->get.key.canonical)
        return step(explain, "key: none, some of the request's JSON has no canonical form");
    digest_to_hex(&explain->get.key.exact, hex);
    return step(explain, "key: %s", hex);
}

/* NULL: the exact tier was asked. */
static const char *why_exact_not_asked(const struct cache_explain *explain)
{
    if (explain->get.reply.miss_reason == CACHE_MISS_BYPASSED)
        return "`cache_control` passes the cache by";
    if (explain->get.request->only_semantic)
        return "`tiers` leaves it out";
    return cache_opens(&explain->wants, CACHE_TIER_EXACT) ? NULL : "the namespace leaves it out";
}

static enum status say_exact(struct cache_explain *explain, int64_t now_ms)
{
    const struct cache_get *get = &explain->get;
    if (!get->key.canonical)
        return STATUS_OK;
    const char *why = why_exact_not_asked(explain);
    if (why != NULL)
        return step(explain, "exact tier: not asked, %s", why);
    if (get->reply.tier == CACHE_TIER_EXACT) {
        const int64_t age_ms = now_ms - entry_created_ms(get->reply.found.entry);
        return step(explain, "exact tier: a hit, stored %lld s ago%s",
                    (long long)(age_ms > 0 ? age_ms / 1000 : 0),
                    get->reply.stale ? ", served as stale" : "");
    }
    if (explain->exact_refused == CACHE_MISS_TOO_OLD)
        return step(explain, "exact tier: the entry under this key is too old for `cache_control`");
    return step(explain, explain->exact_refused == CACHE_MISS_EXPIRED
                             ? "exact tier: the entry under this key has expired"
                             : "exact tier: no entry under this key");
}

static const char *why_exact_only(const struct cache *cache, const struct cache_explain *explain)
{
    const struct key *key = &explain->get.key;
    struct key cold = *key;
    cold.temperature = 0;
    cache_settle_key(&cold, &explain->wants);
    if (cold.semantic)
        return isnan(explain->wants.temperature_max)
                   ? "its temperature is above 0"
                   : "its temperature is above the namespace's temperature_max";
    if (key->comparable)
        return explain->wants.user_turns_max == 0
                   ? "it has more than one user turn"
                   : "it has more user turns than the namespace's user_turns_max";
    const char *why =
        fields_why_exact_only(&explain->get.request->identity, &cache->key_limits, explain->arena);
    return why != NULL ? why : "the request may use the exact tier alone";
}

/* NULL: the semantic tier was asked. */
static const char *why_not_asked(const struct cache *cache, const struct cache_explain *explain)
{
    const struct cache_get *get = &explain->get;
    if (get->reply.tier == CACHE_TIER_EXACT)
        return "the exact tier has answered";
    if (get->reply.miss_reason == CACHE_MISS_BYPASSED)
        return "`cache_control` passes the cache by";
    if (get->request->only_exact)
        return "`tiers` leaves it out";
    if (cache_mode(cache, &explain->wants) == POLICY_OFF)
        return "the policy is off";
    if (!cache_opens(&explain->wants, CACHE_TIER_SEMANTIC))
        return "the namespace leaves it out";
    if (!get->key.semantic)
        return why_exact_only(cache, explain);
    if (explain->space.id == 0)
        return explain->wants.embedder == EMBEDDER_CLIENT
                   ? "nobody makes a vector for it: bring one, or change the namespace's `embedder`"
                   : "nobody makes a vector for it: bring one with your `embedder`, or set "
                     "embed.provider";
    switch (get->reply.miss_reason) {
    case CACHE_MISS_EMBEDDER_DOWN:
        return "the embedder gave no vector";
    case CACHE_MISS_OVERLOADED:
        return "there was no room or no time to make a vector";
    case CACHE_MISS_TEXT_TOO_LONG:
        return "the prompt has more tokens than the embedder's model takes";
    case CACHE_MISS_NOT_ELIGIBLE:
        return "the prompt has no word to compare";
    case CACHE_MISS_NONE:
    case CACHE_MISS_NO_CANDIDATE:
    case CACHE_MISS_BELOW_CUT:
    case CACHE_MISS_GUARD_BLOCKED:
    case CACHE_MISS_EXPIRED:
    case CACHE_MISS_NOT_FOUND:
    case CACHE_MISS_DISABLED:
    case CACHE_MISS_TOO_OLD:
    case CACHE_MISS_BYPASSED:
    case CACHE_MISS_WAIT_TIMEOUT:
    case CACHE_MISS_LEADER_FAILED:
    case CACHE_MISS_COUNT:
        break;
    }
    return NULL;
}

static const char *mode_word(unsigned mode)
{
    static const char *const words[] = {"off", "static", "adaptive", "shadow"};
    assert(mode < sizeof(words) / sizeof(words[0]));
    return words[mode];
}

static enum status say_policy(const struct cache *cache, struct cache_explain *explain)
{
    struct policy_view view;
    epoch_enter(cache->epochs);
    const struct scope *scope =
        scopes_find(cache->scopes, explain->get.key.scope.bytes, explain->space.id);
    policy_scope_view(scope->policy, &view);
    epoch_leave(cache->epochs);
    const struct cache_get_request *request = explain->get.request;
    if (request->min_similarity_given && request->min_similarity > view.threshold)
        return step(explain, "policy %s: threshold %.4f, which min_similarity raises to %.4f",
                    mode_word(view.mode), (double)view.threshold, (double)request->min_similarity);
    const float floor =
        isnan(view.min_similarity) ? explain->space.min_similarity : view.min_similarity;
    return step(explain, "policy %s: threshold %.4f, noise floor %.4f", mode_word(view.mode),
                (double)view.threshold, (double)floor);
}

static enum status say_nearest(struct cache_explain *explain)
{
    if (explain->nearest_count == 0)
        return step(explain, "search: no entry of this scope has the same system prompt, history, "
                             "parameters and formats");
    const struct cache_candidate *first = &explain->nearest[0];
    return step(explain, "search: %zu nearest, the first at similarity %.4f; guard: %s",
                explain->nearest_count, (double)first->similarity,
                first->guards != 0 ? guard_word(first->guards) : "clean");
}

/* Of a policy that decided and did not serve. */
static const char *decision_word(enum cache_miss reason)
{
    if (reason == CACHE_MISS_GUARD_BLOCKED)
        return "near enough, and the guard forbids it";
    if (reason == CACHE_MISS_BELOW_CUT)
        return "not near enough";
    return "near enough, and `shadow` serves nothing";
}

static enum status say_semantic(const struct cache *cache, struct cache_explain *explain)
{
    const char *why = why_not_asked(cache, explain);
    if (why != NULL)
        return step(explain, "semantic tier: not asked, %s", why);
    enum status status = step(explain, "semantic tier: asked, with a vector of %s%s%s, %u numbers",
                              explain->space.name, explain->space.version[0] != '\0' ? "-" : "",
                              explain->space.version, explain->space.dimension);
    if (status == STATUS_OK)
        status = say_nearest(explain);
    if (status == STATUS_OK)
        status = say_policy(cache, explain);
    const struct cache_get_reply *reply = &explain->get.reply;
    if (status == STATUS_OK && reply->tier == CACHE_TIER_SEMANTIC)
        status = step(explain, "decision: served at similarity %.4f", (double)reply->similarity);
    else if (status == STATUS_OK && reply->decided)
        status = step(explain, "decision: %s", decision_word(reply->miss_reason));
    return status;
}

/* "params.temperature, system_prompt": all that differ. */
static void list_fields(const struct cache_explain *explain, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < explain->fields_count && used < size; i++) {
        if (!field_differs(&explain->fields[i]))
            continue;
        const int written = snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "",
                                     explain->fields[i].field);
        used += (size_t)written;
    }
}

static enum status say_compared(struct cache_explain *explain)
{
    char hex[DIGEST_HEX + 1], differ[256];
    if (explain->against == NULL)
        return step(explain, "compared with: nothing, no stored request is near");
    digest_to_hex(entry_digest(explain->against), hex);
    list_fields(explain, differ, sizeof(differ));
    if (explain->differ_count == 0)
        return step(explain, "compared with entry %s: no field differs", hex);
    return step(explain, "compared with entry %s: differs in %s", hex, differ);
}

/* ---- the sentence ---------------------------------------------------------------------------- */

/* The first field that parts the two; NULL: none that is known. The prompt comes last. */
static const char *first_difference(const struct cache_explain *explain)
{
    for (size_t i = 0; i < explain->fields_count; i++) {
        if (field_differs(&explain->fields[i]))
            return explain->fields[i].field;
    }
    return NULL;
}

/* Whether a field other than the question itself keeps the two apart. */
static bool is_parted(const struct cache_explain *explain)
{
    const char *field = first_difference(explain);
    return field != NULL && strcmp(field, "prompt") != 0;
}

static void say_parted(const struct cache_explain *explain, char out[SENTENCE_MAX])
{
    const char *field = first_difference(explain);
    const char *which = explain->against == explain->twin ? "the same question is stored"
                                                          : "a question near it is stored";
    char similarity[48] = "", more[48] = "";
    size_t others = explain->differ_count - 1;
    if (explain->against_near && explain->against != explain->twin) {
        others -= others > 0; /* that its prompt differs is no news */
        (void)snprintf(similarity, sizeof(similarity), " (similarity %.4f)",
                       (double)explain->against_similarity);
    }
    if (others > 0)
        (void)snprintf(more, sizeof(more), " and %zu more field%s", others, others > 1 ? "s" : "");
    if (explain->request->against_given)
        which = "the entry it is compared with is stored";
    (void)snprintf(out, SENTENCE_MAX, "miss: %s%s, with another %s%s", which, similarity, field,
                   more);
}

static void say_refused(const struct cache_explain *explain, char out[SENTENCE_MAX])
{
    const struct cache_get_reply *reply = &explain->get.reply;
    if (reply->miss_reason == CACHE_MISS_GUARD_BLOCKED)
        (void)snprintf(out, SENTENCE_MAX,
                       "miss: the nearest question is near enough (%.4f, threshold %.4f), but the "
                       "guard sees %s",
                       (double)reply->similarity, (double)reply->threshold,
                       guard_word(reply->guards));
    else if (reply->miss_reason != CACHE_MISS_BELOW_CUT)
        (void)snprintf(out, SENTENCE_MAX,
                       "miss: similarity %.4f reaches the threshold %.4f, but the policy is "
                       "shadow, which serves nothing",
                       (double)reply->similarity, (double)reply->threshold);
    else
        (void)snprintf(out, SENTENCE_MAX,
                       "miss: the nearest question has similarity %.4f, below the threshold %.4f",
                       (double)reply->similarity, (double)reply->threshold);
}

static void say_nothing_near(const struct cache *cache, const struct cache_explain *explain,
                             char out[SENTENCE_MAX])
{
    const char *why = why_not_asked(cache, explain);
    if (explain->get.reply.miss_reason == CACHE_MISS_BYPASSED)
        (void)snprintf(out, SENTENCE_MAX, "miss: `cache_control` passes the cache by");
    else if (explain->exact_refused == CACHE_MISS_EXPIRED)
        (void)snprintf(out, SENTENCE_MAX, "miss: the entry of this very request has expired");
    else if (explain->exact_refused == CACHE_MISS_TOO_OLD)
        (void)snprintf(out, SENTENCE_MAX,
                       "miss: the entry of this very request is too old for `cache_control`");
    else if (explain->get.refused == CACHE_MISS_TOO_OLD)
        (void)snprintf(out, SENTENCE_MAX,
                       "miss: what is near this question is too old for `cache_control`");
    else if (why != NULL)
        (void)snprintf(out, SENTENCE_MAX,
                       "miss: this very request is not stored, and the semantic tier is not asked: "
                       "%s",
                       why);
    else
        (void)snprintf(out, SENTENCE_MAX, "miss: nothing stored is near this question");
}

static void say_hit(const struct cache_explain *explain, char out[SENTENCE_MAX])
{
    const struct cache_get_reply *reply = &explain->get.reply;
    if (reply->tier == CACHE_TIER_EXACT)
        (void)snprintf(out, SENTENCE_MAX, "hit: the exact tier holds this very request%s",
                       reply->stale ? ", past its TTL" : "");
    else
        (void)snprintf(out, SENTENCE_MAX,
                       "hit: similarity %.4f reaches the threshold %.4f, and the guard is clean",
                       (double)reply->similarity, (double)reply->threshold);
}

static enum status say_reason(const struct cache *cache, struct cache_explain *explain)
{
    char sentence[SENTENCE_MAX];
    const struct cache_get_reply *reply = &explain->get.reply;
    if (reply->tier != CACHE_TIER_NONE)
        say_hit(explain, sentence);
    else if (is_parted(explain) && reply->miss_reason != CACHE_MISS_BYPASSED)
        say_parted(explain, sentence);
    else if (reply->decided)
        say_refused(explain, sentence);
    else
        say_nothing_near(cache, explain, sentence);
    return keep(explain, sentence, &explain->reason);
}

enum status explain_in_words(const struct cache *cache, struct cache_explain *explain,
                             int64_t now_ms)
{
    enum status status = say_key(explain);
    if (status == STATUS_OK)
        status = say_exact(explain, now_ms);
    if (status == STATUS_OK)
        status = say_semantic(cache, explain);
    if (status == STATUS_OK)
        status = say_compared(explain);
    if (status == STATUS_OK)
        status = say_reason(cache, explain);
    return status;
}
