/*
 * manage.c - namespaces: found by Gets, entered by Sets, created, changed, listed and dropped. Owns
 * nothing.
 *
 * A DROP and the Sets that are at work meanwhile: a Set holds its namespace and then looks whether
 * it closes; a drop closes it and then waits for the holds. Both orders are sequentially
 * consistent, so either the Set is refused, or the drop sees its hold, and after that its entry.
 * Deaths hold too. So when nobody holds it and no entry is left, nothing will ever be counted in it
 * again.
 *
 * THREADS. Finding and entering: any. The rest: compute; it may walk all entries or all namespaces.
 */
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cache/answer.h"
#include "cache/cache.h"
#include "cache/parts.h"
#include "cache/quota.h"

enum { TENANTS_MAX = 4096, MILLION = 1000000, TEMPERATURE_MAX = 10, USER_TURNS_MAX = 1024 };
static const uint64_t TTL_MAX_MS = 365ull * 24 * 3600 * 1000;

/* ---- found and entered ----------------------------------------------------------------------- */

enum status cache_make_default(struct cache *cache, const uint8_t names_key[16])
{
    struct namespace_ *made = NULL;
    enum status status =
        namespaces_create(TENANTS_MAX, names_key, cache->epochs, &cache->strangers);
    cache->nobody = calloc(1, sizeof(*cache->nobody));
    if (status == STATUS_OK && cache->nobody == NULL)
        status = STATUS_NO_MEMORY;
    if (status != STATUS_OK)
        return status;
    return namespaces_obtain(cache->namespaces, TEXT("default"), TEXT("default"), &made);
}

static bool is_default(struct text name)
{
    return text_equal(name, TEXT("default"));
}

static enum status refuse_unknown(struct failure *failure, const char *field)
{
    return failure_set(failure, STATUS_NAMESPACE_UNKNOWN, field, "%s",
                       status_text(STATUS_NAMESPACE_UNKNOWN));
}

/* Under a name that is none. */
struct namespace_ *cache_strangers(struct cache *cache, struct text tenant)
{
    struct namespace_ *strangers = NULL;
    return namespaces_obtain(cache->strangers, tenant, TEXT("?"), &strangers) == STATUS_OK
               ? strangers
               : cache->nobody;
}

enum status cache_peek_namespace(struct cache *cache, struct text tenant, struct text name,
                                 struct namespace_ **out_namespace, struct failure *failure)
{
    struct namespace_ *found = namespaces_find(cache->namespaces, tenant, name);
    if (found == NULL && cache->strict && !is_default(name))
        return refuse_unknown(failure, "identity.namespace");
    *out_namespace = found != NULL ? found : cache->nobody;
    return STATUS_OK;
}

enum status cache_find_namespace(struct cache *cache, const struct identity *identity,
                                 const struct key *key, struct namespace_ **out_namespace,
                                 struct failure *failure)
{
    const struct text tenant = cache_name_or_default(identity->tenant);
    enum status status =
        cache_peek_namespace(cache, tenant, key->namespace_, out_namespace, failure);
    if (status == STATUS_OK && *out_namespace == cache->nobody)
        *out_namespace = cache_strangers(cache, tenant);
    return status;
}

enum status cache_read_wishes(struct cache *cache, const struct identity *identity,
                              struct text name, struct cache_namespace_settings *out_wishes,
                              struct failure *failure)
{
    struct namespace_ *namespace_ = NULL;
    epoch_enter(cache->epochs);
    const enum status status = cache_peek_namespace(cache, cache_name_or_default(identity->tenant),
                                                    name, &namespace_, failure);
    if (status == STATUS_OK)
        *out_wishes = *namespace_wants(namespace_);
    epoch_leave(cache->epochs);
    return status;
}

struct namespace_ *cache_hold_namespace(struct cache *cache, struct text tenant, struct text name)
{
    epoch_enter(cache->epochs);
    struct namespace_ *namespace_ = namespaces_find(cache->namespaces, tenant, name);
    if (namespace_ != NULL)
        namespace_hold(namespace_);
    epoch_leave(cache->epochs);
    return namespace_;
}

/* Held before it is looked at: a drop closes first and looks at the holds afterwards. */
struct namespace_ *cache_hold_open_namespace(struct cache *cache, struct text tenant,
                                             struct text name)
{
    epoch_enter(cache->epochs);
    struct namespace_ *namespace_ = namespaces_find(cache->namespaces, tenant, name);
    if (namespace_ != NULL)
        namespace_hold(namespace_);
    if (namespace_ != NULL && atomic_load(&namespace_->is_closing)) {
        namespace_release(namespace_);
        namespace_ = NULL;
    }
    epoch_leave(cache->epochs);
    return namespace_;
}

/* Inside an epoch. */
static enum status obtain(struct cache *cache, struct text tenant, struct text name,
                          struct namespace_ **out_namespace, struct failure *failure)
{
    enum status status = STATUS_OK;
    struct namespace_ *namespace_ = namespaces_find(cache->namespaces, tenant, name);
    if (namespace_ == NULL && cache->strict && !is_default(name))
        return refuse_unknown(failure, "identity.namespace");
    if (namespace_ == NULL)
        status = namespaces_obtain(cache->namespaces, tenant, name, &namespace_);
    if (status != STATUS_OK)
        return failure_set(failure, status, "identity.namespace", "%s",
                           status == STATUS_LIMIT_EXCEEDED
                               ? "cache.namespaces_max namespaces are in use"
                               : status_text(status));
    namespace_hold(namespace_);
    if (atomic_load(&namespace_->is_closing)) {
        namespace_release(namespace_);
        return failure_set(failure, STATUS_NAMESPACE_UNKNOWN, "identity.namespace",
                           "it is being dropped");
    }
    *out_namespace = namespace_;
    return STATUS_OK;
}

enum status cache_enter_namespace(struct cache *cache, struct text tenant, struct text name,
                                  struct namespace_ **out_namespace, struct failure *failure)
{
    epoch_enter(cache->epochs);
    const enum status status = obtain(cache, tenant, name, out_namespace, failure);
    epoch_leave(cache->epochs);
    return status;
}

/* ---- what is wanted -------------------------------------------------------------------------- */

enum policy_mode cache_mode(const struct cache *cache, const struct cache_namespace_settings *wants)
{
    return wants->policy.mode != 0 ? (enum policy_mode)(wants->policy.mode - 1)
                                   : cache->policy.mode;
}

unsigned cache_guard_rules(const struct cache *cache, const struct cache_namespace_settings *wants)
{
    struct policy_settings settings = cache->policy;
    policy_settings_overlay(&settings, &wants->policy);
    return settings.guard_rules;
}

bool cache_opens(const struct cache_namespace_settings *wants, enum cache_tier tier)
{
    return wants->tiers == 0 || (wants->tiers & 1u << tier) != 0;
}

void cache_settle_key(struct key *key, const struct cache_namespace_settings *wants)
{
    const double most = isnan(wants->temperature_max) ? 0 : wants->temperature_max;
    const uint32_t turns_max = wants->user_turns_max != 0 ? wants->user_turns_max : 1;
    key->semantic = key->comparable && key->user_turns <= turns_max &&
                    key->temperature <= (int64_t)floor(most * MILLION + 0.5);
}

void cache_configure_scope(struct cache *cache, const struct namespace_ *namespace_,
                           struct scope *scope)
{
    if (scope->id == 0)
        return;
    epoch_enter(cache->epochs);
    const uint64_t version = namespace_version(namespace_);
    if (atomic_load_explicit(&scope->configured, memory_order_acquire) != version) {
        struct policy_settings settings = cache->policy;
        policy_settings_overlay(&settings, &namespace_wants(namespace_)->policy);
        policy_scope_configure(scope->policy, &settings);
        atomic_store_explicit(&scope->configured, version, memory_order_release);
    }
    epoch_leave(cache->epochs);
}

bool cache_index_choice(struct cache *cache, const struct namespace_ *namespace_,
                        struct index_choice *out_choice)
{
    epoch_enter(cache->epochs);
    const struct cache_namespace_settings *wants = namespace_wants(namespace_);
    const bool is_kind_set = wants->index_kind != 0;
    *out_choice = (struct index_choice){
        .is_kind_set = is_kind_set, /* proto's numbers are one higher: 0 is none there */
        .kind = is_kind_set ? (enum index_kind)(wants->index_kind - 1) : INDEX_AUTO,
        .ef_search = wants->ef_search,
        .nprobe = wants->nprobe,
    };
    epoch_leave(cache->epochs);
    return is_kind_set || out_choice->ef_search != 0 || out_choice->nprobe != 0;
}

static enum status check_numbers(const struct cache_namespace_settings *settings,
                                 struct failure *failure)
{
    if (settings->ef_search > INDEX_EF_SEARCH_MAX)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "namespace.ef_search", "at most %d",
                           INDEX_EF_SEARCH_MAX);
    if (settings->nprobe > INDEX_NPROBE_MAX)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "namespace.nprobe", "at most %d",
                           INDEX_NPROBE_MAX);
    if (!isnan(settings->temperature_max) &&
        !(settings->temperature_max >= 0 && settings->temperature_max <= TEMPERATURE_MAX))
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "namespace.temperature_max",
                           "a number from 0 to %d", TEMPERATURE_MAX);
    if (settings->user_turns_max > USER_TURNS_MAX)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "namespace.user_turns_max", "at most %d",
                           USER_TURNS_MAX);
    return STATUS_OK;
}

/* A namespace may allow longer lives than the option, as long as the option could have been set so.
 */
static enum status check_ttls(const struct cache *cache,
                              const struct cache_namespace_settings *settings,
                              struct failure *failure)
{
    const uint64_t max_ms =
        settings->ttl_max_ms != 0 ? settings->ttl_max_ms : cache->limits.ttl_max_ms;
    if (settings->ttl_max_ms > TTL_MAX_MS)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "namespace.ttl_max_ms", "at most %llu",
                           (unsigned long long)TTL_MAX_MS);
    if (settings->ttl_ms > max_ms)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "namespace.ttl_ms",
                           "at most the longest life, %llu ms", (unsigned long long)max_ms);
    return STATUS_OK;
}

static bool is_cosine(float number)
{
    return isnan(number) || (number >= 0 && number <= 1);
}

static enum status check_policy(const struct cache *cache, const struct policy_wishes *wishes,
                                struct failure *failure)
{
    static const char field[] = "namespace.policy";
    if (!is_cosine(wishes->static_threshold) || !is_cosine(wishes->adaptive_initial) ||
        !is_cosine(wishes->adaptive_min) || !is_cosine(wishes->adaptive_max))
        return failure_set(failure, STATUS_BAD_THRESHOLD, field, "%s",
                           status_text(STATUS_BAD_THRESHOLD));
    if (!isnan(wishes->adaptive_step) &&
        !(wishes->adaptive_step >= 0.001f && wishes->adaptive_step <= 0.1f))
        return failure_set(failure, STATUS_BAD_THRESHOLD, "namespace.policy.adaptive.step",
                           "a number from 0.001 to 0.1");
    struct policy_settings settings = cache->policy;
    policy_settings_overlay(&settings, wishes);
    return policy_settings_check(&settings, failure);
}

static enum status check_settings(const void *context,
                                  const struct cache_namespace_settings *settings,
                                  struct failure *failure)
{
    const struct cache *cache = context;
    enum journal_ack ack;
    enum status status = check_numbers(settings, failure);
    if (status == STATUS_OK)
        status = check_ttls(cache, settings, failure);
    if (status == STATUS_OK)
        status = check_policy(cache, &settings->policy, failure);
    if (status == STATUS_OK && settings->ack != ACK_DEFAULT)
        status = cache_resolve_ack(cache, settings->ack, &ack, failure);
    return status;
}

bool cache_settings_are_whole(const struct cache *cache,
                              const struct cache_namespace_settings *settings)
{
    struct failure failure;
    const unsigned tiers = 1u << CACHE_TIER_EXACT | 1u << CACHE_TIER_SEMANTIC;
    return settings->index_kind <= INDEX_KINDS && (settings->tiers & ~tiers) == 0 &&
           settings->policy.mode <= (unsigned)POLICY_SHADOW + 1 &&
           (settings->policy.guards_off & ~(unsigned)GUARD_NAMES) == 0 &&
           settings->ack <= ACK_SYNCED && check_settings(cache, settings, &failure) == STATUS_OK;
}

/* ---- budgets --------------------------------------------------------------------------------- */

struct budget {
    uint64_t bytes_max, entries_max;
};

static struct budget budget_of(struct cache *cache, const struct namespace_ *namespace_)
{
    epoch_enter(cache->epochs);
    const struct cache_namespace_settings *wants = namespace_wants(namespace_);
    const struct budget budget = {wants->bytes_max, wants->entries_max};
    epoch_leave(cache->epochs);
    return budget;
}

static bool is_over(const struct namespace_ *namespace_, const struct budget *budget)
{
    const struct namespace_counters *counters = &namespace_->counters;
    return (budget->bytes_max != 0 && namespace_read(&counters->size_bytes) > budget->bytes_max) ||
           (budget->entries_max != 0 && namespace_read(&counters->entries) > budget->entries_max);
}

static bool has_sequence(void *context, const struct entry *entry)
{
    return entry_sequence(entry) == *(const uint64_t *)context;
}

static void keep_within(struct cache *cache, struct namespace_ *namespace_,
                        const struct budget *budget)
{
    struct quota *quota = atomic_load(&namespace_->quota);
    struct quota_victim victim;
    while (is_over(namespace_, budget) && quota_victim(quota, cache->store, &victim))
        (void)store_evict(cache->store, &victim.id, has_sequence, &victim.sequence);
}

void cache_keep_budget(struct cache *cache, struct namespace_ *namespace_,
                       const struct entry *entry)
{
    struct quota *quota = atomic_load(&namespace_->quota);
    if (quota == NULL)
        return;
    (void)quota_note(quota, entry_digest(entry), entry_sequence(entry), cache->store);
    const struct budget budget = budget_of(cache, namespace_);
    keep_within(cache, namespace_, &budget);
}

struct belongings { /* the entries of one namespace, for its quota */
    struct text tenant, name;
    struct quota_victim *items;
    size_t count, capacity;
    enum status status;
};

/* Under a stripe's lock. */
static bool belongs(const struct belongings *belongings, const struct entry *entry)
{
    struct answer_view view;
    answer_view_read(entry_metadata(entry), &view);
    return text_equal(view.namespace_, belongings->name) &&
           text_equal(view.tenant, belongings->tenant);
}

static bool collect(void *context, const struct entry *entry)
{
    struct belongings *belongings = context;
    if (!belongs(belongings, entry) || belongings->status != STATUS_OK)
        return false;
    if (belongings->count == belongings->capacity) {
        const size_t capacity = belongings->capacity > 0 ? belongings->capacity * 2 : 1024;
        void *grown = reallocarray(belongings->items, capacity, sizeof(*belongings->items));
        if (grown == NULL) {
            belongings->status = STATUS_NO_MEMORY;
            return false;
        }
        belongings->items = grown;
        belongings->capacity = capacity;
    }
    belongings->items[belongings->count++] =
        (struct quota_victim){*entry_digest(entry), entry_sequence(entry)};
    return true;
}

static int by_sequence(const void *a, const void *b)
{
    const uint64_t left = ((const struct quota_victim *)a)->sequence;
    const uint64_t right = ((const struct quota_victim *)b)->sequence;
    return (left > right) - (left < right);
}

/* The first budget of a namespace: what it holds already is made known to the quota, the oldest
 * first. Sets make themselves known from here on. */
static enum status begin_budget(struct cache *cache, struct namespace_ *namespace_)
{
    struct belongings belongings = {.tenant = namespace_->tenant, .name = namespace_->name};
    struct quota *made = NULL, *none = NULL;
    enum status status = quota_create(&made);
    if (status != STATUS_OK)
        return status;
    if (!atomic_compare_exchange_strong(&namespace_->quota, &none, made)) {
        quota_destroy(&made); /* another has begun it */
        return STATUS_OK;
    }
    (void)store_count(cache->store, 0, collect, &belongings);
    if (belongings.count > 0)
        qsort(belongings.items, belongings.count, sizeof(belongings.items[0]), by_sequence);
    status = belongings.status;
    for (size_t i = 0; i < belongings.count && status == STATUS_OK; i++)
        status =
            quota_note(made, &belongings.items[i].id, belongings.items[i].sequence, cache->store);
    free(belongings.items);
    return status;
}

static enum status apply_budget(struct cache *cache, struct namespace_ *namespace_)
{
    enum status status = STATUS_OK;
    const struct budget budget = budget_of(cache, namespace_);
    if (budget.bytes_max == 0 && budget.entries_max == 0)
        return STATUS_OK;
    if (atomic_load(&namespace_->quota) == NULL)
        status = begin_budget(cache, namespace_);
    keep_within(cache, namespace_, &budget);
    return status;
}

/* ---- scopes that follow ---------------------------------------------------------------------- */

struct telling { /* all scopes of a namespace */
    struct cache *cache;
    const struct namespace_ *namespace_;
    struct scope **scopes;
    size_t count, max;
};

static void collect_scope(void *context, struct scope *scope)
{
    struct telling *telling = context;
    if (!text_equal(scope->tenant, telling->namespace_->tenant) ||
        !text_equal(scope->namespace_, telling->namespace_->name))
        return;
    if (telling->count < telling->max)
        telling->scopes[telling->count++] = scope;
}

/* The namespace is held, so its scopes stay. NULL when memory is spent. */
static struct scope **scopes_of(struct cache *cache, const struct namespace_ *namespace_,
                                size_t *out_count)
{
    struct telling telling = {.cache = cache, .namespace_ = namespace_};
    do {
        telling.max = telling.max > 0 ? telling.max * 4 : 256;
        free(telling.scopes);
        telling.count = 0;
        telling.scopes = calloc(telling.max, sizeof(struct scope *));
        if (telling.scopes == NULL)
            return NULL;
        epoch_enter(cache->epochs);
        scopes_each(cache->scopes, collect_scope, &telling);
        epoch_leave(cache->epochs);
    } while (telling.count == telling.max);
    *out_count = telling.count;
    return telling.scopes;
}

/* A scope without rows has nobody to tell; its first row will say it. */
static void tell_scope(struct cache *cache, const struct namespace_ *namespace_,
                       struct scope *scope, const struct index_choice *choice)
{
    const struct partition_key key = cache_partition_key(scope->digest, scope->space);
    cache_configure_scope(cache, namespace_, scope);
    (void)directory_set_kind(cache->directory, &key, choice);
}

static enum status tell_scopes(struct cache *cache, const struct namespace_ *namespace_)
{
    struct index_choice choice;
    size_t count = 0;
    const bool some = cache_index_choice(cache, namespace_, &choice);
    struct scope **scopes = scopes_of(cache, namespace_, &count);
    if (scopes == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        tell_scope(cache, namespace_, scopes[i], some ? &choice : NULL);
    free(scopes);
    return STATUS_OK;
}

/* ---- created, changed ------------------------------------------------------------------------ */

/* Inside an epoch. */
static void view_of(const struct namespace_ *namespace_, struct text name,
                    struct cache_namespace_view *out_view)
{
    *out_view = (struct cache_namespace_view){
        .name = name,
        .version = namespace_version(namespace_),
        .settings = *namespace_wants(namespace_),
        .entries = namespace_read(&namespace_->counters.entries),
        .size_bytes = namespace_read(&namespace_->counters.size_bytes),
        .rows = namespace_read(&namespace_->counters.rows),
    };
}

static enum status copy_name(struct text name, struct arena *arena, struct text *out_name)
{
    char *bytes = arena_alloc(arena, name.length + 1);
    if (bytes == NULL)
        return STATUS_NO_MEMORY;
    memcpy(bytes, name.bytes, name.length);
    *out_name = (struct text){bytes, name.length};
    return STATUS_OK;
}

/* The namespace is held. */
static enum status change_held(struct cache *cache, struct namespace_ *namespace_,
                               const struct cache_namespace_change *change,
                               const struct cache_waiter *waiter, struct failure *failure)
{
    enum status status =
        namespace_change(cache->namespaces, namespace_, change, check_settings, cache, failure);
    if (status != STATUS_OK)
        return status;
    status = tell_scopes(cache, namespace_);
    if (status == STATUS_OK)
        status = apply_budget(cache, namespace_);
    if (status == STATUS_OK)
        status = cache_note_namespace(cache, namespace_, waiter);
    return status == STATUS_OK ? status
                               : failure_set(failure, status, "", "%s", status_text(status));
}

static enum status view_held(struct cache *cache, const struct namespace_ *namespace_,
                             struct arena *arena, struct cache_namespace_view *out_view)
{
    struct text name;
    const enum status status = copy_name(namespace_->name, arena, &name);
    if (status != STATUS_OK)
        return status;
    epoch_enter(cache->epochs);
    view_of(namespace_, name, out_view);
    epoch_leave(cache->epochs);
    return STATUS_OK;
}

static enum status no_such(struct failure *failure)
{
    return failure_set(failure, STATUS_NOT_FOUND, "name", "there is no such namespace");
}

enum status cache_update_namespace(struct cache *cache, const struct cache_namespace_change *change,
                                   struct arena *arena, const struct cache_waiter *waiter,
                                   struct cache_namespace_view *out_view, struct failure *failure)
{
    struct namespace_ *namespace_ =
        cache_hold_open_namespace(cache, cache_name_or_default(change->tenant), change->name);
    if (namespace_ == NULL)
        return no_such(failure);
    enum status status = change_held(cache, namespace_, change, waiter, failure);
    if (status == STATUS_OK)
        status = view_held(cache, namespace_, arena, out_view);
    namespace_release(namespace_);
    return status;
}

/* Inside an epoch. One that Sets have made is anybody's to create, once. */
static enum status make_held(struct cache *cache, const struct cache_namespace_change *change,
                             struct namespace_ **out_namespace, struct failure *failure)
{
    bool made = false;
    struct namespace_ *namespace_ = NULL;
    const enum status status = namespaces_obtain(
        cache->namespaces, cache_name_or_default(change->tenant), change->name, &namespace_);
    if (status != STATUS_OK)
        return failure_set(failure, status, "namespace.name", "%s",
                           status == STATUS_LIMIT_EXCEEDED
                               ? "cache.namespaces_max namespaces are in use"
                               : status_text(status));
    namespace_hold(namespace_);
    if (!atomic_load(&namespace_->is_closing) &&
        atomic_compare_exchange_strong(&namespace_->is_made, &made, true)) {
        *out_namespace = namespace_;
        return STATUS_OK;
    }
    namespace_release(namespace_);
    return failure_set(failure, STATUS_ALREADY_EXISTS, "namespace.name",
                       "there is one of that name already");
}

enum status cache_create_namespace(struct cache *cache, const struct cache_namespace_change *change,
                                   struct arena *arena, const struct cache_waiter *waiter,
                                   struct cache_namespace_view *out_view, struct failure *failure)
{
    struct namespace_ *namespace_ = NULL;
    enum status status = check_settings(cache, &change->settings, failure);
    if (status != STATUS_OK)
        return status;
    epoch_enter(cache->epochs);
    status = make_held(cache, change, &namespace_, failure);
    epoch_leave(cache->epochs);
    if (status != STATUS_OK)
        return status;
    status = change_held(cache, namespace_, change, waiter, failure);
    if (status == STATUS_OK)
        status = view_held(cache, namespace_, arena, out_view);
    namespace_release(namespace_);
    return status;
}

/* ---- shown ----------------------------------------------------------------------------------- */

enum status cache_get_namespace(struct cache *cache, struct text tenant, struct text name,
                                struct arena *arena, struct cache_namespace_view *out_view,
                                struct failure *failure)
{
    struct namespace_ *namespace_ =
        cache_hold_open_namespace(cache, cache_name_or_default(tenant), name);
    if (namespace_ == NULL)
        return no_such(failure);
    const enum status status = view_held(cache, namespace_, arena, out_view);
    namespace_release(namespace_);
    return status;
}

struct listing { /* the first `max` behind `after`, in order */
    struct text tenant, after;
    const struct namespace_ **found;
    size_t count, max;
    bool more;
};

static int compare_names(struct text a, struct text b)
{
    const size_t shorter = a.length < b.length ? a.length : b.length;
    const int order = memcmp(a.bytes, b.bytes, shorter);
    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

/* How many of those found stand before the name. */
static size_t place_of(const struct listing *listing, struct text name)
{
    size_t low = 0, high = listing->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (compare_names(listing->found[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void list_namespace(void *context, struct namespace_ *namespace_)
{
    struct listing *listing = context;
    if (!text_equal(namespace_->tenant, listing->tenant) || atomic_load(&namespace_->is_closing))
        return;
    if (listing->after.length > 0 && compare_names(namespace_->name, listing->after) <= 0)
        return;
    const size_t at = place_of(listing, namespace_->name);
    listing->more |= listing->count == listing->max;
    if (at == listing->max)
        return;
    const size_t kept = listing->count < listing->max ? listing->count : listing->max - 1;
    memmove(&listing->found[at + 1], &listing->found[at],
            (kept - at) * sizeof(struct namespace_ *));
    listing->found[at] = namespace_;
    listing->count = kept + 1;
}

static enum status show_list(const struct listing *listing, struct arena *arena,
                             struct cache_namespace_view *views)
{
    for (size_t i = 0; i < listing->count; i++) {
        struct text name;
        if (copy_name(listing->found[i]->name, arena, &name) != STATUS_OK)
            return STATUS_NO_MEMORY;
        view_of(listing->found[i], name, &views[i]);
    }
    return STATUS_OK;
}

enum status cache_list_namespaces(struct cache *cache, struct text tenant, struct text after,
                                  size_t max, struct arena *arena,
                                  struct cache_namespace_view **out_views, size_t *out_count,
                                  bool *out_more)
{
    assert(max > 0);
    assert(max <= CACHE_NAMESPACES_LISTED_MAX);
    struct listing listing = {.tenant = cache_name_or_default(tenant), .after = after, .max = max};
    struct cache_namespace_view *views = arena_calloc(arena, max, sizeof(*views));
    listing.found = arena_calloc(arena, max, sizeof(struct namespace_ *));
    if (views == NULL || listing.found == NULL)
        return STATUS_NO_MEMORY;
    epoch_enter(cache->epochs);
    namespaces_each(cache->namespaces, list_namespace, &listing);
    const enum status status = show_list(&listing, arena, views);
    epoch_leave(cache->epochs);
    if (status != STATUS_OK)
        return status;
    *out_views = views;
    *out_count = listing.count;
    *out_more = listing.more;
    return STATUS_OK;
}

/* ---- dropped --------------------------------------------------------------------------------- */

static bool belongs_under_lock(void *context, const struct entry *entry)
{
    return belongs(context, entry);
}

/* Until no entry is left and nobody but this thread holds it. */
static enum status empty(struct cache *cache, struct namespace_ *namespace_,
                         const struct cache_waiter *waiter, uint64_t *removed)
{
    struct belongings belongings = {.tenant = namespace_->tenant, .name = namespace_->name};
    struct journal_wish wish = {.ack = ACK_MEMORY};
    if (waiter != NULL)
        wish = (struct journal_wish){cache_ack_removal(cache), waiter->done, waiter->context};
    for (;;) {
        uint64_t purged = 0;
        if (waiter != NULL)
            waiter->expect(waiter->context);
        const enum status status =
            store_purge(cache->store, belongs_under_lock, &belongings, &wish, &purged);
        *removed += purged;
        if (status != STATUS_OK && waiter != NULL)
            waiter->done(waiter->context, STATUS_OK);
        if (status != STATUS_OK)
            return status;
        if (namespace_read(&namespace_->counters.entries) == 0 &&
            atomic_load(&namespace_->holds) == 1)
            return STATUS_OK;
        (void)sched_yield(); /* a Set or a death is half-way */
    }
}

static void add(_Atomic uint64_t *sum, const _Atomic uint64_t *part)
{
    namespace_count(sum, namespace_read(part));
}

/* What the server has done stays done. */
static void inherit(struct namespace_counters *heir, const struct namespace_counters *counters)
{
    add(&heir->exact_hits, &counters->exact_hits);
    add(&heir->stale_hits, &counters->stale_hits);
    add(&heir->negative_hits, &counters->negative_hits);
    add(&heir->exact_misses, &counters->exact_misses);
    add(&heir->semantic_hits, &counters->semantic_hits);
    add(&heir->semantic_misses, &counters->semantic_misses);
    for (int i = 0; i < CACHE_MISS_COUNT; i++)
        add(&heir->misses[i], &counters->misses[i]);
    add(&heir->leases, &counters->leases);
    add(&heir->lease_waits, &counters->lease_waits);
    add(&heir->sets, &counters->sets);
    add(&heir->evictions, &counters->evictions);
    add(&heir->expirations, &counters->expirations);
}

struct forgetting {
    struct cache *cache;
    struct text tenant, name;
};

static void forget_scope(void *context, struct scope *scope)
{
    const struct forgetting *forgetting = context;
    if (text_equal(scope->tenant, forgetting->tenant) &&
        text_equal(scope->namespace_, forgetting->name))
        scopes_remove(forgetting->cache->scopes, scope);
}

void cache_forget_scopes(struct cache *cache, struct text tenant, struct text name)
{
    struct forgetting forgetting = {cache, tenant, name};
    epoch_enter(cache->epochs);
    scopes_each(cache->scopes, forget_scope, &forgetting);
    epoch_leave(cache->epochs);
}

/* It is closing, empty and held by this thread alone. */
static void take_out(struct cache *cache, struct namespace_ *namespace_)
{
    cache_forget_scopes(cache, namespace_->tenant, namespace_->name);
    epoch_enter(cache->epochs);
    inherit(&cache_strangers(cache, namespace_->tenant)->counters, &namespace_->counters);
    epoch_leave(cache->epochs);
    namespaces_remove(cache->namespaces, namespace_);
}

static enum status drop_held(struct cache *cache, struct namespace_ *namespace_, struct text tenant,
                             const struct cache_waiter *waiter, uint64_t *removed)
{
    bool closing = false;
    const bool comes_back = is_default(namespace_->name);
    char name[64];
    const size_t length = namespace_->name.length;
    assert(length <= sizeof(name));
    memcpy(name, namespace_->name.bytes, length);
    if (!atomic_compare_exchange_strong(&namespace_->is_closing, &closing, true)) {
        namespace_release(namespace_);
        return STATUS_NOT_FOUND; /* another drops it */
    }
    enum status status = empty(cache, namespace_, waiter, removed);
    if (status != STATUS_OK) { /* it stays, with what is left of it */
        atomic_store(&namespace_->is_closing, false);
        namespace_release(namespace_);
        return status;
    }
    /* Before it can be made again: a later note must be the newer one. */
    status = cache_note_dropped(cache, tenant, (struct text){name, length}, waiter);
    take_out(cache, namespace_);
    if (comes_back && status == STATUS_OK) {
        struct namespace_ *made = NULL;
        epoch_enter(cache->epochs);
        status = namespaces_obtain(cache->namespaces, tenant, TEXT("default"), &made);
        epoch_leave(cache->epochs);
    }
    return status;
}

enum status cache_drop_namespace(struct cache *cache, struct text tenant, struct text name,
                                 struct text confirm, const struct cache_waiter *waiter,
                                 uint64_t *out_removed, struct failure *failure)
{
    uint64_t removed = 0;
    tenant = cache_name_or_default(tenant);
    if (!text_equal(confirm, name))
        return failure_set(failure, STATUS_UNCONFIRMED, "confirm", "%s",
                           status_text(STATUS_UNCONFIRMED));
    struct namespace_ *namespace_ = cache_hold_open_namespace(cache, tenant, name);
    if (namespace_ == NULL)
        return no_such(failure);
    const enum status status = drop_held(cache, namespace_, tenant, waiter, &removed);
    if (status == STATUS_NOT_FOUND)
        return no_such(failure);
    if (status != STATUS_OK)
        return failure_set(failure, status, "", "%s", status_text(status));
    *out_removed = removed;
    return STATUS_OK;
}

/* ---- after the folder has been read ---------------------------------------------------------- */

static void settle_namespace(void *context, struct namespace_ *namespace_)
{
    struct cache *cache = context;
    if (atomic_load(&namespace_->is_made)) {
        (void)apply_budget(cache, namespace_);
        return;
    }
    if (namespace_read(&namespace_->counters.entries) > 0 || is_default(namespace_->name))
        return;
    atomic_store(&namespace_->is_closing, true);
    namespaces_remove(cache->namespaces, namespace_);
}

static void settle_scope(void *context, struct scope *scope)
{
    struct cache *cache = context;
    struct namespace_ *namespace_ =
        namespaces_find(cache->namespaces, scope->tenant, scope->namespace_);
    struct index_choice choice;
    if (namespace_ == NULL)
        scopes_remove(cache->scopes, scope);
    else if (namespace_version(namespace_) != 0)
        tell_scope(cache, namespace_, scope,
                   cache_index_choice(cache, namespace_, &choice) ? &choice : NULL);
}

/* Nobody else removes anything yet, so there is no need of an epoch. Rows that were read before
 * their namespace's note are searched as the options say until here. */
void cache_settle_loaded(struct cache *cache)
{
    namespaces_each(cache->namespaces, settle_namespace, cache);
    scopes_each(cache->scopes, settle_scope, cache);
}
