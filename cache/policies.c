/*
 * policies.c - what policy holds for a namespace, and how the most used of its scopes stands under
 * it. Owns nothing. Threads: compute; it looks at every scope. NOT HERE. Changing one (manage.c),
 * what follows from it (wishes.c).
 */
#include "base/check.h"
#include "cache/cache.h"
#include "cache/parts.h"

struct choosing { /* the most used */
    const struct cache *cache;
    const struct cache_namespace_settings *wants;
    const struct cache_policy_scope *wanted;
    struct text tenant, namespace_;
    const struct scope *most_used;
    uint64_t count;
};

static bool has_attribute(const struct scope *scope, const struct key_attribute *wanted)
{
    for (size_t i = 0; i < scope->attributes_count; i++) {
        if (text_equal(scope->attributes[i].name, wanted->name) &&
            text_equal(scope->attributes[i].value, wanted->value))
            return true;
    }
    return false;
}

bool cache_policy_scope_has(const struct cache *cache, const struct cache_namespace_settings *wants,
                            const struct cache_policy_scope *wanted, const struct scope *scope)
{
    if (!text_equal(scope->tenant, cache_name_or_default(wanted->tenant)) ||
        !text_equal(scope->namespace_, cache_name_or_default(wanted->namespace_)))
        return false;
    if (!cache_compares(cache, wants, scope->space))
        return false;
    if (wanted->model.length > 0 && !text_equal(scope->model, wanted->model))
        return false;
    if (wanted->embedder.length > 0 && !text_equal(scope->embedder, wanted->embedder))
        return false;
    for (size_t i = 0; i < wanted->attributes_count; i++) {
        if (!has_attribute(scope, &wanted->attributes[i]))
            return false;
    }
    return true;
}

enum status cache_check_whole_namespace(const struct cache_policy_scope *scope,
                                        struct failure *failure)
{
    static const char sentence[] = "a policy belongs to a whole namespace: leave it out";
    if (scope->model.length > 0)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "scope.model", "%s", sentence);
    if (scope->attributes_count > 0)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "scope.attributes", "%s", sentence);
    return STATUS_OK;
}

static void consider(void *context, struct scope *scope)
{
    struct choosing *choosing = context;
    if (!cache_policy_scope_has(choosing->cache, choosing->wants, choosing->wanted, scope))
        return;
    choosing->count++;
    if (choosing->most_used == NULL ||
        namespace_read(&scope->lookups) > namespace_read(&choosing->most_used->lookups))
        choosing->most_used = scope;
}

/* Vectors that only clients make are measured as those of an unknown embedder. */
static struct embed_space space_of(const struct embedder *maker)
{
    struct embed_space client;
    if (maker != NULL)
        return *embedder_space(maker);
    embed_client_space(TEXT(""), 1, &client);
    return client;
}

/* Inside an epoch. */
static enum status describe(struct cache *cache, struct choosing *choosing, struct arena *arena,
                            struct cache_policy_view *view)
{
    const struct namespace_ *namespace_ =
        namespaces_find(cache->namespaces, choosing->tenant, choosing->namespace_);
    if (namespace_ == NULL || atomic_load(&namespace_->is_closing))
        return STATUS_NOT_FOUND;
    struct policy_settings settings;
    choosing->wants = namespace_wants(namespace_);
    const struct embedder *maker = cache_maker(cache, choosing->wants, TEXT(""));
    const struct embed_space space = space_of(maker);
    view->embedder = maker != NULL ? embedder_space(maker) : NULL;
    view->set = choosing->wants->policy;
    view->version = namespace_version(namespace_);
    cache_overlay_policy(cache, &view->set, &settings);
    policy_settings_effective(&settings, space.threshold_default, space.min_similarity,
                              &view->effective);
    scopes_each(cache->scopes, consider, choosing);
    view->scopes_count = choosing->count;
    view->is_live = choosing->most_used != NULL;
    if (view->is_live && !cache_show_scope(choosing->most_used, arena, &view->live))
        return STATUS_NO_MEMORY;
    return STATUS_OK;
}

enum status cache_describe_policy(struct cache *cache, const struct cache_policy_scope *scope,
                                  struct arena *arena, struct cache_policy_view *out_view,
                                  struct failure *failure)
{
    assert(arena != NULL);
    struct choosing choosing = {.cache = cache,
                                .wanted = scope,
                                .tenant = cache_name_or_default(scope->tenant),
                                .namespace_ = cache_name_or_default(scope->namespace_)};
    struct cache_policy_view view = {0};
    epoch_enter(cache->epochs);
    const enum status status = describe(cache, &choosing, arena, &view);
    epoch_leave(cache->epochs);
    if (status != STATUS_OK)
        return failure_set(failure, status, "scope.namespace", "%s",
                           status == STATUS_NOT_FOUND ? "there is no such namespace"
                                                      : status_text(status));
    *out_view = view;
    return STATUS_OK;
}
