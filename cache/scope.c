/*
 * scope.c - scope digest and vector space to policy state, over a registry. Owns the states.
 * The names are the ones that the first request of the scope spelled; they are for people.
 * Threads: see scope.h.
 */
#include "cache/scope.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/digest.h"

struct scopes {
    struct registry *registry;
    struct scopes_setup setup; /* as created; never changes */
    struct scope shared_server, shared_lexical, shared_client;
};

struct place { /* what a scope is found by */
    const uint8_t *digest;
    uint64_t space;
};

uint64_t scope_id(const uint8_t digest[16], uint64_t space)
{
    uint64_t first = 0;
    memcpy(&first, digest, sizeof(first));
    return (first ^ space) != 0 ? first ^ space : 1;
}

static enum status init_shared(struct scope *shared, const struct scopes_setup *setup,
                               float threshold)
{
    return policy_scope_create(setup->policy, threshold, &shared->policy);
}

enum status scopes_create(const struct scopes_setup *setup, struct scopes **out_scopes)
{
    assert(setup->policy != NULL);
    assert(setup->scopes_max > 0);
    assert(out_scopes != NULL);
    struct scopes *scopes = calloc(1, sizeof(*scopes));
    if (scopes == NULL)
        return STATUS_NO_MEMORY;
    scopes->setup = *setup;
    enum status status = registry_create(setup->scopes_max, LOCK_RANK_SCOPES, &scopes->registry);
    if (status == STATUS_OK)
        status = init_shared(&scopes->shared_server, setup, setup->server_threshold);
    if (status == STATUS_OK)
        status = init_shared(&scopes->shared_lexical, setup, setup->lexical_threshold);
    if (status == STATUS_OK)
        status = init_shared(&scopes->shared_client, setup, setup->client_threshold);
    if (status != STATUS_OK)
        scopes_destroy(&scopes);
    else
        *out_scopes = scopes;
    return status;
}

static void free_scope(struct scope *scope)
{
    if (scope == NULL)
        return;
    struct shadow *shadow = atomic_load(&scope->shadow);
    shadow_destroy(&shadow);
    policy_scope_destroy(&scope->policy);
    free(scope);
}

static void free_item(void *context, struct registry_item *item)
{
    (void)context;
    free_scope((struct scope *)item);
}

/* The mirror of scopes_create. Accepts one that is only half made. */
void scopes_destroy(struct scopes **scopes)
{
    struct scopes *doomed = *scopes;
    if (doomed == NULL)
        return;
    *scopes = NULL;
    policy_scope_destroy(&doomed->shared_client.policy);
    policy_scope_destroy(&doomed->shared_lexical.policy);
    policy_scope_destroy(&doomed->shared_server.policy);
    if (doomed->registry != NULL)
        registry_each(doomed->registry, free_item, NULL);
    registry_destroy(&doomed->registry);
    free(doomed);
}

void scopes_configure_shared(struct scopes *scopes, const struct policy_settings *policy)
{
    policy_scope_configure(scopes->shared_server.policy, policy);
    policy_scope_configure(scopes->shared_lexical.policy, policy);
    policy_scope_configure(scopes->shared_client.policy, policy);
}

static uint64_t hash_of_id(const struct scopes *scopes, uint64_t id)
{
    return digest_siphash(scopes->setup.hash_key, &id, sizeof(id));
}

/* Keyed, though a digest is uniform already: whoever chooses attributes could grind its low bits.
 */
static uint64_t hash_of(const struct scopes *scopes, const struct place *place)
{
    return hash_of_id(scopes, scope_id(place->digest, place->space));
}

static bool is_at(const void *context, const struct registry_item *item)
{
    const struct place *place = context;
    const struct scope *scope = (const struct scope *)item;
    return scope->space == place->space &&
           memcmp(scope->digest, place->digest, sizeof(scope->digest)) == 0;
}

static struct scope *shared_of(struct scopes *scopes, uint64_t space)
{
    if (space == scopes->setup.server_space)
        return &scopes->shared_server;
    return space == scopes->setup.lexical_space ? &scopes->shared_lexical : &scopes->shared_client;
}

struct scope *scopes_find(struct scopes *scopes, const uint8_t digest[16], uint64_t space)
{
    assert(space != 0);
    assert(digest != NULL);
    const struct place place = {digest, space};
    epoch_enter(scopes->setup.epochs); /* others may be on their way out */
    struct registry_item *item =
        registry_find(scopes->registry, hash_of(scopes, &place), is_at, &place);
    epoch_leave(scopes->setup.epochs);
    return item != NULL ? (struct scope *)item : shared_of(scopes, space);
}

static bool has_id(const void *context, const struct registry_item *item)
{
    return ((const struct scope *)item)->id == *(const uint64_t *)context;
}

struct scope *scopes_find_id(struct scopes *scopes, uint64_t id)
{
    return id != 0 ? (struct scope *)registry_find(scopes->registry, hash_of_id(scopes, id), has_id,
                                                   &id)
                   : NULL;
}

struct shadow *scope_shadow(struct scope *scope)
{
    struct shadow *known = atomic_load_explicit(&scope->shadow, memory_order_acquire);
    if (known != NULL || scope->id == 0)
        return known;
    struct shadow *made = shadow_create();
    if (made != NULL && !atomic_compare_exchange_strong(&scope->shadow, &known, made)) {
        shadow_destroy(&made);
        return known;
    }
    return made;
}

/* ---- making one ------------------------------------------------------------------------------ */

static struct text copy_text(char **at, struct text text)
{
    const struct text copy = {*at, text.length};
    if (text.length > 0)
        memcpy(*at, text.bytes, text.length);
    *at += text.length;
    return copy;
}

static struct text or_default(struct text name)
{
    return name.length > 0 ? name : TEXT("default");
}

static size_t names_bytes(const struct scope_names *names, struct text embedder)
{
    size_t bytes = or_default(names->tenant).length + or_default(names->namespace_).length +
                   names->model.length + embedder.length;
    for (size_t i = 0; i < names->attributes_count; i++)
        bytes += names->attributes[i].name.length + names->attributes[i].value.length;
    return bytes;
}

static void copy_names(struct scope *scope, const struct scope_names *names, struct text embedder,
                       size_t names_size)
{
    scope->attributes = (struct key_attribute *)(scope + 1);
    scope->attributes_count = names->attributes_count;
    char *at = (char *)(scope->attributes + scope->attributes_count);
    scope->tenant = copy_text(&at, or_default(names->tenant));
    scope->namespace_ = copy_text(&at, or_default(names->namespace_));
    scope->model = copy_text(&at, names->model);
    scope->embedder = copy_text(&at, embedder);
    for (size_t i = 0; i < scope->attributes_count; i++) {
        scope->attributes[i].name = copy_text(&at, names->attributes[i].name);
        scope->attributes[i].value = copy_text(&at, names->attributes[i].value);
    }
    assert(at == (char *)(scope->attributes + scope->attributes_count) + names_size);
}

/* "lexical-1", or the client's own name, which has no version. */
static struct text embedder_name(const struct embed_space *space, char *out_text, size_t size)
{
    const int length = snprintf(out_text, size, "%s%s%s", space->name,
                                space->version[0] != '\0' ? "-" : "", space->version);
    assert(length >= 0);
    assert((size_t)length < size);
    return (struct text){out_text, (size_t)length};
}

static struct scope *make(const struct scopes *scopes, const struct scope_names *names,
                          const struct place *place, const struct embed_space *space)
{
    char name[sizeof(space->name) + sizeof(space->version) + 1];
    const struct text embedder = embedder_name(space, name, sizeof(name));
    const size_t names_size = names_bytes(names, embedder);
    const size_t attributes_size = names->attributes_count * sizeof(struct key_attribute);
    struct scope *scope = calloc(1, sizeof(*scope) + attributes_size + names_size);
    if (scope == NULL)
        return NULL;
    assert(scope->lookups == 0);
    scope->item.hash = hash_of(scopes, place);
    scope->id = scope_id(place->digest, place->space);
    scope->space = place->space;
    scope->is_clients =
        place->space != scopes->setup.server_space && place->space != scopes->setup.lexical_space;
    memcpy(scope->digest, place->digest, sizeof(scope->digest));
    copy_names(scope, names, embedder, names_size);
    if (policy_scope_create(scopes->setup.policy, space->threshold_default, &scope->policy) !=
        STATUS_OK) {
        free_scope(scope);
        return NULL;
    }
    return scope;
}

struct scope *scopes_obtain(struct scopes *scopes, const struct scope_names *names,
                            const uint8_t digest[16], const struct embed_space *space)
{
    assert(space->id != 0);
    const struct place place = {digest, space->id};
    struct scope *known = scopes_find(scopes, place.digest, place.space);
    if (known->id != 0 || registry_is_full(scopes->registry))
        return known;
    struct scope *made = make(scopes, names, &place, space);
    if (made == NULL)
        return known;
    assert(made->policy != NULL);
    struct registry_item *item = registry_add(scopes->registry, &made->item, is_at, &place);
    if (item != &made->item)
        free_scope(made);
    return item != NULL ? (struct scope *)item : known;
}

static void release_removed(struct epoch_retired *object)
{
    free_scope((struct scope *)((char *)object - offsetof(struct scope, retired)));
}

void scopes_retire(struct scopes *scopes, struct scope *scope)
{
    assert(atomic_load(&scope->note) == SCOPE_REMOVED);
    epoch_retire(scopes->setup.epochs, &scope->retired, release_removed);
}

void scopes_remove(struct scopes *scopes, struct scope *scope)
{
    assert(scope->id != 0);
    registry_remove(scopes->registry, &scope->item);
    if (atomic_exchange(&scope->note, SCOPE_REMOVED) != SCOPE_BEHIND)
        scopes_retire(scopes, scope);
}

struct visitor {
    scopes_visit *visit;
    void *context;
};

static void visit_item(void *context, struct registry_item *item)
{
    const struct visitor *visitor = context;
    visitor->visit(visitor->context, (struct scope *)item);
}

void scopes_each(const struct scopes *scopes, scopes_visit *visit, void *context)
{
    struct visitor visitor = {visit, context};
    registry_each(scopes->registry, visit_item, &visitor);
}
