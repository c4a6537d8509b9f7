/*
 * policy.c - may this candidate serve? Owns the state of each scope: its rule, its ring of verdicts
 * and its live cut.
 *
 * ORDER. A candidate above the threshold must pass the guard; no threshold, setting or request
 * field skips it. A request may ask for more similarity than is in force, never for less.
 *
 * FLOOR. What is less similar than min_similarity is no candidate, above all where `adaptive` has
 * lowered its cut; unset, the embedder's noise floor holds.
 *
 * THRESHOLDS are literal: 0 serves whatever passes floor and guard, 1 only what is equal in
 * direction. Unset is NaN, and then the embedder's own threshold t decides, since a threshold
 * belongs to the scale of its vectors. Of `adaptive` the unset limits are t, t - 0.05, min(t +
 * 0.04, 0.99) and 0.01; where they would cross a set one they give way to it.
 *
 * THREADS. Any. decide reads the cut atomically and nothing else that changes, so it takes no lock;
 * label and view hold CERTIFY. A decision may therefore use the cut from just before a verdict that
 * arrives at the same time.
 *
 * NOT HERE. The walk over neighbours and what a verdict does to entries (cache/), the rule that
 * moves the cut (adaptive.c).
 */
#include "trust/policy.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/lock.h"
#include "trust/adaptive.h"

/* clang-format off */
const struct option_row policy_option_rows[] = {
    {"semantic.policy", OPTION_CHOICE | OPTION_LIVE, "static", NULL, NULL, "off|static|adaptive|shadow", "policy",
     "When a similar prompt's answer serves: never, from a fixed similarity on, from one that follows verdicts, or never but as if (shadow)."},
    {"semantic.min_similarity", OPTION_NUMBER | OPTION_LIVE, "", "0", "1", NULL, "cosine",
     "What is less similar is no candidate under any policy, wherever verdicts have moved its threshold; unset: the embedder's noise floor."},
    {"semantic.static_threshold", OPTION_NUMBER | OPTION_LIVE, "", "0", "1", NULL, "cosine",
     "Similarity from which policy static serves; unset: the embedder's own."},
    {"adaptive.initial", OPTION_NUMBER | OPTION_LIVE, "", "0", "1", NULL, "cosine",
     "Where policy adaptive begins; unset: the embedder's threshold."},
    {"adaptive.min", OPTION_NUMBER | OPTION_LIVE, "", "0", "1", NULL, "cosine",
     "How far right verdicts lower the threshold; unset: 0.05 below the embedder's."},
    {"adaptive.max", OPTION_NUMBER | OPTION_LIVE, "", "0", "1", NULL, "cosine",
     "How far wrong verdicts raise it; unset: 0.04 above the embedder's, at most 0.99."},
    {"adaptive.step", OPTION_NUMBER | OPTION_LIVE, "0.01", "0.001", "0.1", NULL, "cosine",
     "How far one verdict moves it."},
    {"guard.names", OPTION_FLAG | OPTION_LIVE, "true", NULL, NULL, NULL, "flag",
     "Names that differ forbid a hit; turn it off for news and other texts full of names."},
};
/* clang-format on */
const size_t policy_option_rows_count = sizeof(policy_option_rows) / sizeof(policy_option_rows[0]);

/* Distance of the adaptive limits from the embedder's threshold, in ten-thousandths. */
enum { BELOW = 500, ABOVE = 400, MAX_CEILING = 9900, STEP = 100 };

struct policy_scope {
    float embedder_threshold; /* as created                                         */
    atomic_int mode;          /* enum policy_mode                                   */
    atomic_uint guard_rules;
    _Atomic float min_similarity, static_threshold;
    atomic_int cut; /* a copy of adaptive.cut, for decide; written under lock */
    struct lock lock;
    struct adaptive adaptive GUARDED;
};

/* What one policy is. */
struct policy_rule {
    bool serves, only_says_so;
    float (*threshold)(const struct policy_scope *scope);
    void (*label)(struct adaptive *adaptive, bool right);
};

static float fixed_threshold(const struct policy_scope *scope)
{
    return atomic_load_explicit(&scope->static_threshold, memory_order_relaxed);
}

static float live_threshold(const struct policy_scope *scope)
{
    int cut = atomic_load_explicit(&scope->cut, memory_order_relaxed);
    assert(cut >= 0);
    assert(cut <= ADAPTIVE_ONE);
    return (float)cut / ADAPTIVE_ONE;
}

static const struct policy_rule rules[] = {
    [POLICY_OFF] = {false, false, fixed_threshold, adaptive_count},
    [POLICY_STATIC] = {true, false, fixed_threshold, adaptive_count},
    [POLICY_ADAPTIVE] = {true, false, live_threshold, adaptive_label},
    [POLICY_SHADOW] = {true, true, fixed_threshold, adaptive_count},
};

static const struct policy_rule *rule_of(const struct policy_scope *scope)
{
    assert(scope != NULL);
    const int mode = atomic_load_explicit(&scope->mode, memory_order_relaxed);
    assert(mode >= 0);
    assert((size_t)mode < sizeof(rules) / sizeof(rules[0]));
    return &rules[mode];
}

static float number_or_unset(const struct options *options, const char *name)
{
    return options_is_set(options, name) ? (float)options_number(options, name) : NAN;
}

static enum policy_mode mode_of(const char *word)
{
    if (strcmp(word, "off") == 0)
        return POLICY_OFF;
    if (strcmp(word, "static") == 0)
        return POLICY_STATIC;
    if (strcmp(word, "adaptive") == 0)
        return POLICY_ADAPTIVE;
    assert(strcmp(word, "shadow") == 0);
    return POLICY_SHADOW;
}

/* Comparisons with NaN are false: what is unset contradicts nothing. */
static enum status limits_check(const struct policy_settings *settings, struct failure *failure)
{
    if (settings->adaptive_min > settings->adaptive_max)
        return failure_set(failure, STATUS_BAD_OPTION, "adaptive.min",
                           "adaptive.min is %g, above adaptive.max, %g", settings->adaptive_min,
                           settings->adaptive_max);
    if (settings->adaptive_initial < settings->adaptive_min)
        return failure_set(failure, STATUS_BAD_OPTION, "adaptive.initial",
                           "adaptive.initial is %g, below adaptive.min, %g",
                           settings->adaptive_initial, settings->adaptive_min);
    if (settings->adaptive_initial > settings->adaptive_max)
        return failure_set(failure, STATUS_BAD_OPTION, "adaptive.initial",
                           "adaptive.initial is %g, above adaptive.max, %g",
                           settings->adaptive_initial, settings->adaptive_max);
    return STATUS_OK;
}

enum status policy_settings_read(const struct options *options,
                                 struct policy_settings *out_settings, struct failure *failure)
{
    assert(options != NULL);
    assert(out_settings != NULL);
    unsigned without_names = (unsigned)GUARD_ALL & ~(unsigned)GUARD_NAMES;
    struct policy_settings settings = {
        .mode = mode_of(options_text(options, "semantic.policy")),
        .min_similarity = number_or_unset(options, "semantic.min_similarity"),
        .static_threshold = number_or_unset(options, "semantic.static_threshold"),
        .adaptive_initial = number_or_unset(options, "adaptive.initial"),
        .adaptive_min = number_or_unset(options, "adaptive.min"),
        .adaptive_max = number_or_unset(options, "adaptive.max"),
        .adaptive_step = number_or_unset(options, "adaptive.step"),
        .guard_rules = options_flag(options, "guard.names") ? GUARD_ALL : without_names,
    };
    enum status status = limits_check(&settings, failure);
    if (status == STATUS_OK)
        *out_settings = settings;
    return status;
}

const struct policy_wishes policy_wishes_none = {
    .min_similarity = NAN,
    .static_threshold = NAN,
    .adaptive_initial = NAN,
    .adaptive_min = NAN,
    .adaptive_max = NAN,
    .adaptive_step = NAN,
};

static bool is_same(float a, float b)
{
    return a == b || (isnan(a) && isnan(b));
}

bool policy_wishes_equal(const struct policy_wishes *a, const struct policy_wishes *b)
{
    return a->mode == b->mode && a->guards_off == b->guards_off &&
           is_same(a->min_similarity, b->min_similarity) &&
           is_same(a->static_threshold, b->static_threshold) &&
           is_same(a->adaptive_initial, b->adaptive_initial) &&
           is_same(a->adaptive_min, b->adaptive_min) && is_same(a->adaptive_max, b->adaptive_max) &&
           is_same(a->adaptive_step, b->adaptive_step);
}

bool policy_settings_equal(const struct policy_settings *a, const struct policy_settings *b)
{
    return a->mode == b->mode && a->guard_rules == b->guard_rules &&
           is_same(a->min_similarity, b->min_similarity) &&
           is_same(a->static_threshold, b->static_threshold) &&
           is_same(a->adaptive_initial, b->adaptive_initial) &&
           is_same(a->adaptive_min, b->adaptive_min) && is_same(a->adaptive_max, b->adaptive_max) &&
           is_same(a->adaptive_step, b->adaptive_step);
}

static void take_wish(float *setting, float wish)
{
    if (!isnan(wish))
        *setting = wish;
}

void policy_settings_overlay(struct policy_settings *settings, const struct policy_wishes *wishes)
{
    assert(wishes->mode <= (unsigned)POLICY_SHADOW + 1);
    if (wishes->mode != 0)
        settings->mode = (enum policy_mode)(wishes->mode - 1);
    take_wish(&settings->min_similarity, wishes->min_similarity);
    take_wish(&settings->static_threshold, wishes->static_threshold);
    take_wish(&settings->adaptive_initial, wishes->adaptive_initial);
    take_wish(&settings->adaptive_min, wishes->adaptive_min);
    take_wish(&settings->adaptive_max, wishes->adaptive_max);
    take_wish(&settings->adaptive_step, wishes->adaptive_step);
    settings->guard_rules &= ~wishes->guards_off;
}

enum status policy_settings_check(const struct policy_settings *settings, struct failure *failure)
{
    const enum status status = limits_check(settings, failure);
    if (status != STATUS_OK && failure != NULL)
        failure->status = STATUS_BAD_THRESHOLD;
    return status != STATUS_OK ? STATUS_BAD_THRESHOLD : STATUS_OK;
}

static int ten_thousandths(float value, int when_unset)
{
    if (isnan(value))
        return when_unset;
    assert(value >= 0);
    assert(value <= 1);
    return (int)lroundf(value * ADAPTIVE_ONE);
}

static int clamp(int value, int low, int high)
{
    assert(low <= high);
    return value < low ? low : value > high ? high : value;
}

/* The unset ones stretch to what is set; initial, when unset, moves into the range. */
static struct adaptive_limits limits_of(const struct policy_settings *settings, float threshold)
{
    int t = ten_thousandths(threshold, 0);
    int initial = ten_thousandths(settings->adaptive_initial, -1);
    int min = ten_thousandths(settings->adaptive_min, -1);
    int max = ten_thousandths(settings->adaptive_max, -1);
    int least = max, most = min; /* what unset limits must leave room for; -1: nothing */
    if (initial >= 0) {
        least = initial;
        most = initial;
    }
    if (min < 0) {
        min = clamp(t - BELOW, 0, ADAPTIVE_ONE);
        min = least >= 0 && least < min ? least : min;
    }
    if (max < 0) {
        max = clamp(t + ABOVE, 0, MAX_CEILING);
        max = most > max ? most : max;
        max = min > max ? min : max;
    }
    return (struct adaptive_limits){
        .initial = initial >= 0 ? initial : clamp(t, min, max),
        .min = min,
        .max = max,
        .step = ten_thousandths(settings->adaptive_step, STEP),
    };
}

static float set_or(float setting, float when_unset)
{
    return isnan(setting) ? when_unset : setting;
}

void policy_settings_effective(const struct policy_settings *settings, float embedder_threshold,
                               float embedder_floor, struct policy_wishes *out_effective)
{
    const struct adaptive_limits limits = limits_of(settings, embedder_threshold);
    *out_effective = (struct policy_wishes){
        .mode = (unsigned)settings->mode + 1,
        .min_similarity = set_or(settings->min_similarity, embedder_floor),
        .static_threshold = set_or(settings->static_threshold, embedder_threshold),
        .adaptive_initial = (float)limits.initial / ADAPTIVE_ONE,
        .adaptive_min = (float)limits.min / ADAPTIVE_ONE,
        .adaptive_max = (float)limits.max / ADAPTIVE_ONE,
        .adaptive_step = (float)limits.step / ADAPTIVE_ONE,
        .guards_off = (settings->guard_rules & GUARD_NAMES) == 0 ? GUARD_NAMES : 0,
    };
}

static void set_constants(struct policy_scope *scope, const struct policy_settings *settings)
{
    atomic_store_explicit(&scope->mode, (int)settings->mode, memory_order_relaxed);
    atomic_store_explicit(&scope->guard_rules, settings->guard_rules, memory_order_relaxed);
    atomic_store_explicit(&scope->min_similarity, settings->min_similarity, memory_order_relaxed);
    atomic_store_explicit(&scope->static_threshold,
                          set_or(settings->static_threshold, scope->embedder_threshold),
                          memory_order_relaxed);
}

UNSHARED enum status policy_scope_create(const struct policy_settings *settings,
                                         float embedder_threshold, struct policy_scope **out_scope)
{
    assert(settings != NULL);
    assert(embedder_threshold >= 0);
    assert(embedder_threshold <= 1);
    assert((settings->guard_rules & ~(unsigned)GUARD_ALL) == 0);
    struct policy_scope *scope = calloc(1, sizeof(*scope));
    if (scope == NULL)
        return STATUS_NO_MEMORY;
    scope->embedder_threshold = embedder_threshold;
    set_constants(scope, settings);
    struct adaptive_limits limits = limits_of(settings, embedder_threshold);
    adaptive_init(&scope->adaptive, &limits);
    atomic_init(&scope->cut, limits.initial);
    lock_init(&scope->lock, LOCK_RANK_CERTIFY);
    *out_scope = scope;
    return STATUS_OK;
}

UNSHARED void policy_scope_destroy(struct policy_scope **scope)
{
    assert(scope != NULL);
    if (*scope == NULL)
        return;
    lock_deinit(&(*scope)->lock);
    free(*scope);
    *scope = NULL;
}

void policy_scope_configure(struct policy_scope *scope, const struct policy_settings *settings)
{
    assert((settings->guard_rules & ~(unsigned)GUARD_ALL) == 0);
    const struct adaptive_limits limits = limits_of(settings, scope->embedder_threshold);
    lock_acquire(&scope->lock);
    struct adaptive *adaptive = &scope->adaptive;
    const bool begins_anew = adaptive->limits.initial != limits.initial;
    adaptive->limits = limits;
    adaptive->cut = begins_anew ? limits.initial : clamp(adaptive->cut, limits.min, limits.max);
    atomic_store_explicit(&scope->cut, adaptive->cut, memory_order_relaxed);
    set_constants(scope, settings);
    lock_release(&scope->lock);
}

struct pick { /* among the candidates that may be tried */
    bool is_found;
    size_t index; /* of the best one with a clean guard */
    unsigned nearest, passed_over;
};

/* The first reaches the floor. */
static struct pick pick_clean(unsigned guard_rules, const struct guard_signature *query,
                              const struct candidate *candidates, size_t count, float floor)
{
    struct pick pick = {.is_found = false};
    for (size_t i = 0; i < count && i < POLICY_TRIES_MAX; i++) {
        if (candidates[i].similarity < floor)
            break;
        assert(candidates[i].signature != NULL);
        const unsigned reasons = guard_check(query, candidates[i].signature, guard_rules);
        if (i == 0)
            pick.nearest = reasons;
        if (reasons == 0) {
            pick.is_found = true;
            pick.index = i;
            break;
        }
        pick.passed_over |= reasons;
    }
    return pick;
}

struct policy_terms policy_settings_terms(const struct policy_settings *settings,
                                          float embedder_threshold)
{
    struct policy_wishes effective;
    policy_settings_effective(settings, embedder_threshold, 0, &effective);
    const bool moves = settings->mode == POLICY_ADAPTIVE;
    return (struct policy_terms){
        .mode = settings->mode,
        .threshold = moves ? effective.adaptive_initial : effective.static_threshold,
        .min_similarity = settings->min_similarity,
        .guard_rules = settings->guard_rules,
    };
}

struct decision policy_decide(struct policy_scope *scope, const struct guard_signature *query,
                              const struct candidate *candidates, size_t count,
                              float embedder_floor, float request_min_similarity)
{
    const struct policy_rule *rule = rule_of(scope);
    const struct policy_terms terms = {
        .mode = (enum policy_mode)(rule - rules),
        .threshold = rule->threshold(scope),
        .min_similarity = atomic_load_explicit(&scope->min_similarity, memory_order_relaxed),
        .guard_rules = atomic_load_explicit(&scope->guard_rules, memory_order_relaxed),
    };
    return policy_decide_by(&terms, query, candidates, count, embedder_floor,
                            request_min_similarity);
}

struct decision policy_decide_by(const struct policy_terms *terms,
                                 const struct guard_signature *query,
                                 const struct candidate *candidates, size_t count,
                                 float embedder_floor, float request_min_similarity)
{
    assert((size_t)terms->mode < sizeof(rules) / sizeof(rules[0]));
    const struct policy_rule *rule = &rules[terms->mode];
    const float floor = set_or(terms->min_similarity, embedder_floor);
    assert(query != NULL);
    assert(count == 0 || candidates != NULL);
    struct decision decision = {
        .verdict = POLICY_NO_CANDIDATE,
        .threshold = fmaxf(terms->threshold, request_min_similarity),
    };
    if (!rule->serves || count == 0 || candidates[0].similarity < floor)
        return decision;
    const struct pick pick = pick_clean(terms->guard_rules, query, candidates, count, floor);
    decision.clean_similarity = pick.is_found ? candidates[pick.index].similarity : -1;
    decision.nearest_guards = pick.nearest;
    if (candidates[0].similarity < decision.threshold) {
        decision.verdict = POLICY_BELOW_CUT;
    } else if (pick.is_found && decision.clean_similarity >= decision.threshold) {
        decision.verdict = rule->only_says_so ? POLICY_WOULD_SERVE : POLICY_SERVE;
        decision.chosen = pick.index;
        decision.guards = pick.passed_over;
    } else {
        assert(pick.nearest != 0);
        decision.verdict = POLICY_GUARD_BLOCKED;
        decision.guards = pick.nearest;
    }
    return decision;
}

void policy_label(struct policy_scope *scope, bool right)
{
    const struct policy_rule *rule = rule_of(scope);
    lock_acquire(&scope->lock);
    rule->label(&scope->adaptive, right);
    atomic_store_explicit(&scope->cut, scope->adaptive.cut, memory_order_relaxed);
    lock_release(&scope->lock);
}

void policy_scope_view(struct policy_scope *scope, struct policy_view *out_view)
{
    const struct policy_rule *rule = rule_of(scope);
    assert(out_view != NULL);
    lock_acquire(&scope->lock);
    *out_view = (struct policy_view){
        .mode = (enum policy_mode)atomic_load_explicit(&scope->mode, memory_order_relaxed),
        .threshold = rule->threshold(scope),
        .min_similarity = atomic_load_explicit(&scope->min_similarity, memory_order_relaxed),
        .feedback_count = (uint32_t)scope->adaptive.filled,
        .feedback_right = (uint32_t)scope->adaptive.right,
    };
    lock_release(&scope->lock);
}

void policy_scope_memory(struct policy_scope *scope, struct policy_memory *out_memory)
{
    static_assert((int)POLICY_VERDICTS_MAX == (int)ADAPTIVE_RING, "the whole ring");
    lock_acquire(&scope->lock);
    const struct adaptive *adaptive = &scope->adaptive;
    *out_memory = (struct policy_memory){.cut = (uint32_t)adaptive->cut,
                                         .verdicts_count = (uint32_t)adaptive->filled};
    const int oldest = adaptive->next + ADAPTIVE_RING - adaptive->filled;
    for (int i = 0; i < adaptive->filled; i++)
        out_memory->right[i] = adaptive->ring[(oldest + i) % ADAPTIVE_RING] != 0;
    lock_release(&scope->lock);
}

void policy_scope_remember(struct policy_scope *scope, const struct policy_memory *memory)
{
    assert(memory->verdicts_count <= POLICY_VERDICTS_MAX);
    assert(memory->cut <= ADAPTIVE_ONE);
    lock_acquire(&scope->lock);
    const struct adaptive_limits limits = scope->adaptive.limits;
    adaptive_init(&scope->adaptive, &limits);
    scope->adaptive.cut = clamp((int)memory->cut, limits.min, limits.max);
    for (uint32_t i = 0; i < memory->verdicts_count; i++)
        adaptive_count(&scope->adaptive, memory->right[i]);
    atomic_store_explicit(&scope->cut, scope->adaptive.cut, memory_order_relaxed);
    lock_release(&scope->lock);
}
