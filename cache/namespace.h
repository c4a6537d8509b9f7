/*
 * namespace.h - what one namespace of one tenant has done: counters, and how much it holds. Made at
 * its first Get or Set, kept until the end. Threads: any; a known namespace is found without a
 * lock.
 */
#pragma once
#include <stdatomic.h>
#include <stdint.h>

#include "base/check.h"
#include "base/text.h"
#include "cache/cache.h"
#include "cache/registry.h"

/* Counted once for each Get, when its outcome is known; sums are made when somebody reads them:
 * total requests = exact_hits + semantic_hits + all misses. */
struct namespace_counters {
    _Atomic uint64_t exact_hits, exact_misses;       /* of Gets that asked the exact tier    */
    _Atomic uint64_t semantic_hits, semantic_misses; /* of Gets that asked the semantic tier */
    _Atomic uint64_t misses[CACHE_MISS_COUNT];
    _Atomic uint64_t sets, evictions, expirations;
    _Atomic uint64_t entries, size_bytes, rows; /* held now                             */
};

/* What it wants otherwise than the options say; 0: nothing. */
struct namespace_wishes {
    _Atomic unsigned index_kind;
    _Atomic uint32_t ef_search, nprobe;
};

struct namespace_ {
    struct registry_item item;
    struct text tenant, name; /* behind the struct, in the same block */
    struct namespace_counters counters;
    struct namespace_wishes wishes;
};

struct namespaces;
enum status namespaces_create(uint32_t namespaces_max, const uint8_t hash_key[16],
                              struct namespaces **out_namespaces);
void namespaces_destroy(struct namespaces **namespaces);

/* NULL: never used. */
struct namespace_ *namespaces_find(const struct namespaces *namespaces, struct text tenant,
                                   struct text name);
/* Finds or makes. STATUS_LIMIT_EXCEEDED: there are namespaces_max already. STATUS_NO_MEMORY. */
enum status namespaces_obtain(struct namespaces *namespaces, struct text tenant, struct text name,
                              struct namespace_ **out_namespace);

typedef void namespaces_visit(void *context, struct namespace_ *namespace_);
void namespaces_each(const struct namespaces *namespaces, namespaces_visit *visit, void *context);

/* Relaxed: a counter orders nothing. */
static inline void namespace_count(_Atomic uint64_t *counter, uint64_t amount)
{
    atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
}

static inline void namespace_uncount(_Atomic uint64_t *counter, uint64_t amount)
{
    const uint64_t before = atomic_fetch_sub_explicit(counter, amount, memory_order_relaxed);
    assert(before >= amount); /* what is taken was counted before */
}

static inline uint64_t namespace_read(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}
