/*
 * namespace.c - tenant and name to settings and counters, over a registry.
 * Counters are plain atomics of the namespace, not per thread: 100,000 namespaces times 256 threads
 * would be gigabytes. An exact hit touches one of them. Settings are a block that never changes and
 * is replaced as a whole; one that wants nothing has none, so that an idle namespace is small. Owns
 * the namespaces. Threads: see namespace.h.
 */
#include "cache/namespace.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/digest.h"
#include "cache/quota.h"

struct namespace_settings {
    struct epoch_retired retired;
    uint64_t version;
    struct cache_namespace_settings wanted;
};

const struct cache_namespace_settings cache_namespace_settings_none = {
    .policy = {.min_similarity = NAN,
               .static_threshold = NAN,
               .adaptive_initial = NAN,
               .adaptive_min = NAN,
               .adaptive_max = NAN,
               .adaptive_step = NAN},
    .temperature_max = NAN,
};

struct namespaces {
    struct registry *registry;
    struct epochs *epochs;
    struct lock changes; /* one changes settings at a time */
    uint8_t hash_key[16];
};

struct names { /* what a namespace is found by */
    struct text tenant, name;
};

UNSHARED enum status namespaces_create(uint32_t namespaces_max, const uint8_t hash_key[16],
                                       struct epochs *epochs, struct namespaces **out_namespaces)
{
    assert(epochs != NULL);
    assert(namespaces_max > 0);
    assert(out_namespaces != NULL);
    struct namespaces *namespaces = calloc(1, sizeof(*namespaces));
    if (namespaces == NULL)
        return STATUS_NO_MEMORY;
    namespaces->epochs = epochs;
    lock_init(&namespaces->changes, LOCK_RANK_NAMESPACES);
    memcpy(namespaces->hash_key, hash_key, sizeof(namespaces->hash_key));
    enum status status =
        registry_create(namespaces_max, LOCK_RANK_NAMESPACES, &namespaces->registry);
    if (status != STATUS_OK)
        namespaces_destroy(&namespaces);
    else
        *out_namespaces = namespaces;
    return status;
}

static void free_namespace(struct namespace_ *namespace_)
{
    struct quota *quota = atomic_load(&namespace_->quota);
    quota_destroy(&quota);
    free(atomic_load(&namespace_->settings));
    free(namespace_);
}

static void free_item(void *context, struct registry_item *item)
{
    (void)context;
    free_namespace((struct namespace_ *)item);
}

/* The mirror of namespaces_create. Accepts one that is only half made. */
UNSHARED void namespaces_destroy(struct namespaces **namespaces)
{
    struct namespaces *doomed = *namespaces;
    if (doomed == NULL)
        return;
    *namespaces = NULL;
    if (doomed->registry != NULL)
        registry_each(doomed->registry, free_item, NULL);
    registry_destroy(&doomed->registry);
    lock_deinit(&doomed->changes);
    free(doomed);
}

/* Two hashes of short texts; the rotation keeps ("a", "b") apart from ("b", "a"). */
static uint64_t hash_of(const struct namespaces *namespaces, const struct names *names)
{
    const uint64_t tenant =
        digest_siphash(namespaces->hash_key, names->tenant.bytes, names->tenant.length);
    const uint64_t name =
        digest_siphash(namespaces->hash_key, names->name.bytes, names->name.length);
    return (tenant << 1 | tenant >> 63) ^ name;
}

static bool has_names(const void *context, const struct registry_item *item)
{
    const struct names *names = context;
    const struct namespace_ *namespace_ = (const struct namespace_ *)item;
    return text_equal(namespace_->name, names->name) &&
           text_equal(namespace_->tenant, names->tenant);
}

struct namespace_ *namespaces_find(const struct namespaces *namespaces, struct text tenant,
                                   struct text name)
{
    const struct names names = {tenant, name};
    return (struct namespace_ *)registry_find(namespaces->registry, hash_of(namespaces, &names),
                                              has_names, &names);
}

static struct namespace_ *make(const struct names *names, uint64_t hash)
{
    assert(names->name.length > 0);
    struct namespace_ *made = calloc(1, sizeof(*made) + names->tenant.length + names->name.length);
    if (made == NULL)
        return NULL;
    char *bytes = (char *)(made + 1);
    memcpy(bytes, names->tenant.bytes, names->tenant.length);
    memcpy(bytes + names->tenant.length, names->name.bytes, names->name.length);
    assert(made->counters.entries == 0);
    made->item.hash = hash;
    made->tenant = (struct text){bytes, names->tenant.length};
    made->name = (struct text){bytes + names->tenant.length, names->name.length};
    return made;
}

enum status namespaces_obtain(struct namespaces *namespaces, struct text tenant, struct text name,
                              struct namespace_ **out_namespace)
{
    assert(name.length > 0);
    assert(out_namespace != NULL);
    const struct names names = {tenant, name};
    const uint64_t hash = hash_of(namespaces, &names);
    struct registry_item *item = registry_find(namespaces->registry, hash, has_names, &names);
    if (item == NULL) {
        if (registry_is_full(namespaces->registry))
            return STATUS_LIMIT_EXCEEDED;
        struct namespace_ *made = make(&names, hash);
        if (made == NULL)
            return STATUS_NO_MEMORY;
        item = registry_add(namespaces->registry, &made->item, has_names, &names);
        if (item != &made->item)
            free(made);
        if (item == NULL)
            return STATUS_LIMIT_EXCEEDED;
    }
    assert(item->hash == hash);
    *out_namespace = (struct namespace_ *)item;
    return STATUS_OK;
}

static void release_removed(struct epoch_retired *object)
{
    free_namespace((struct namespace_ *)((char *)object - offsetof(struct namespace_, retired)));
}

void namespaces_remove(struct namespaces *namespaces, struct namespace_ *namespace_)
{
    assert(atomic_load(&namespace_->is_closing));
    assert(namespace_read(&namespace_->counters.entries) == 0);
    registry_remove(namespaces->registry, &namespace_->item);
    epoch_retire(namespaces->epochs, &namespace_->retired, release_removed);
}

/* Sequentially consistent, as is is_closing: either a Set sees that it closes, or who closes it
 * sees the hold. */
void namespace_hold(struct namespace_ *namespace_)
{
    atomic_fetch_add(&namespace_->holds, 1);
}

void namespace_release(struct namespace_ *namespace_)
{
    const uint32_t before = atomic_fetch_sub(&namespace_->holds, 1);
    assert(before > 0);
}

/* ---- settings -------------------------------------------------------------------------------- */

const struct cache_namespace_settings *namespace_wants(const struct namespace_ *namespace_)
{
    const struct namespace_settings *settings =
        atomic_load_explicit(&namespace_->settings, memory_order_acquire);
    return settings != NULL ? &settings->wanted : &cache_namespace_settings_none;
}

uint64_t namespace_version(const struct namespace_ *namespace_)
{
    const struct namespace_settings *settings =
        atomic_load_explicit(&namespace_->settings, memory_order_acquire);
    return settings != NULL ? settings->version : 0;
}

static void release_settings(struct epoch_retired *object)
{
    free(object); /* its first member */
}

static void replace_settings(struct namespaces *namespaces, struct namespace_ *namespace_,
                             struct namespace_settings *settings)
{
    struct namespace_settings *before = atomic_exchange(&namespace_->settings, settings);
    atomic_store(&namespace_->is_made, true);
    if (before != NULL)
        epoch_retire(namespaces->epochs, &before->retired, release_settings);
}

#define TAKE(bit, field)                                                                           \
    do {                                                                                           \
        if ((change->fields & (bit)) != 0)                                                         \
            wanted->field = change->settings.field;                                                \
    } while (0)

static void take_fields(const struct cache_namespace_change *change,
                        struct cache_namespace_settings *wanted)
{
    TAKE(NAMESPACE_INDEX_KIND, index_kind);
    TAKE(NAMESPACE_EF_SEARCH, ef_search);
    TAKE(NAMESPACE_NPROBE, nprobe);
    TAKE(NAMESPACE_TIERS, tiers);
    TAKE(NAMESPACE_POLICY, policy);
    TAKE(NAMESPACE_TTL, ttl_ms);
    TAKE(NAMESPACE_TTL_MAX, ttl_max_ms);
    TAKE(NAMESPACE_BYTES_MAX, bytes_max);
    TAKE(NAMESPACE_ENTRIES_MAX, entries_max);
    TAKE(NAMESPACE_TEMPERATURE_MAX, temperature_max);
    TAKE(NAMESPACE_USER_TURNS_MAX, user_turns_max);
    TAKE(NAMESPACE_ACK, ack);
    TAKE(NAMESPACE_EVICTION, eviction);
    TAKE(NAMESPACE_EMBEDDER, embedder);
}

enum status namespace_change(struct namespaces *namespaces, struct namespace_ *namespace_,
                             const struct cache_namespace_change *change, namespace_check *check,
                             const void *context, struct failure *failure)
{
    assert((change->fields & ~(unsigned)NAMESPACE_ALL_FIELDS) == 0);
    struct namespace_settings *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return failure_set(failure, STATUS_NO_MEMORY, "", "%s", status_text(STATUS_NO_MEMORY));
    enum status status = STATUS_OK;
    lock_acquire(&namespaces->changes);
    const uint64_t version = namespace_version(namespace_);
    if (change->if_version != 0 && change->if_version != version)
        status = failure_set(failure, STATUS_VERSION_MISMATCH, "if_version", "it has version %llu",
                             (unsigned long long)version);
    made->version = version + 1;
    made->wanted = *namespace_wants(namespace_);
    take_fields(change, &made->wanted);
    if (status == STATUS_OK)
        status = check(context, &made->wanted, failure);
    if (status == STATUS_OK)
        replace_settings(namespaces, namespace_, made);
    lock_release(&namespaces->changes);
    if (status != STATUS_OK)
        free(made);
    return status;
}

enum status namespace_remember(struct namespaces *namespaces, struct namespace_ *namespace_,
                               const struct cache_namespace_settings *settings, uint64_t version)
{
    struct namespace_settings *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return STATUS_NO_MEMORY;
    made->version = version;
    made->wanted = *settings;
    lock_acquire(&namespaces->changes);
    replace_settings(namespaces, namespace_, made);
    lock_release(&namespaces->changes);
    return STATUS_OK;
}

/* ---- all of them ----------------------------------------------------------------------------- */

struct visitor {
    namespaces_visit *visit;
    void *context;
};

static void visit_item(void *context, struct registry_item *item)
{
    const struct visitor *visitor = context;
    visitor->visit(visitor->context, (struct namespace_ *)item);
}

void namespaces_each(const struct namespaces *namespaces, namespaces_visit *visit, void *context)
{
    struct visitor visitor = {visit, context};
    registry_each(namespaces->registry, visit_item, &visitor);
}
