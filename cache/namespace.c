/*
 * namespace.c - tenant and name to counters, over a registry.
 * Counters are plain atomics of the namespace, not per thread: 100,000 namespaces times 256 threads
 * would be gigabytes. An exact hit touches one of them. Owns the namespaces. Threads: see
 * namespace.h.
 */
#include "cache/namespace.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/digest.h"

struct namespaces {
    struct registry *registry;
    uint8_t hash_key[16];
};

struct names { /* what a namespace is found by */
    struct text tenant, name;
};

enum status namespaces_create(uint32_t namespaces_max, const uint8_t hash_key[16],
                              struct namespaces **out_namespaces)
{
    assert(namespaces_max > 0);
    assert(out_namespaces != NULL);
    struct namespaces *namespaces = calloc(1, sizeof(*namespaces));
    if (namespaces == NULL)
        return STATUS_NO_MEMORY;
    memcpy(namespaces->hash_key, hash_key, sizeof(namespaces->hash_key));
    enum status status =
        registry_create(namespaces_max, LOCK_RANK_NAMESPACES, &namespaces->registry);
    if (status != STATUS_OK)
        namespaces_destroy(&namespaces);
    else
        *out_namespaces = namespaces;
    return status;
}

static void free_item(void *context, struct registry_item *item)
{
    (void)context;
    free(item);
}

/* The mirror of namespaces_create. Accepts one that is only half made. */
void namespaces_destroy(struct namespaces **namespaces)
{
    struct namespaces *doomed = *namespaces;
    if (doomed == NULL)
        return;
    *namespaces = NULL;
    if (doomed->registry != NULL)
        registry_each(doomed->registry, free_item, NULL);
    registry_destroy(&doomed->registry);
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
