/*
 * namespace.h - what one namespace of one tenant wants and has done: settings, counters, and how
 * much it holds. Made by CreateNamespace or at its first Set, kept until it is dropped.
 *
 * THREADS. Any; a known namespace is found without a lock, inside an epoch, and may be used until
 * the epoch is left, or until namespace_release by who holds it. A hold keeps it from being
 * removed: Sets and deaths have one while they are at work.
 */
#pragma once
#include <stdatomic.h>
#include <stdint.h>

#include "base/check.h"
#include "base/epoch.h"
#include "base/text.h"
#include "cache/cache.h"
#include "cache/registry.h"

/* Counted once for each Get, when its outcome is known; sums are made when somebody reads them:
 * total requests = exact_hits + stale_hits + negative_hits + semantic_hits + all misses. */
struct namespace_counters {
    _Atomic uint64_t exact_hits, exact_misses;       /* of Gets that asked the exact tier    */
    _Atomic uint64_t stale_hits, negative_hits;      /* of the exact tier, and no hits       */
    _Atomic uint64_t semantic_hits, semantic_misses; /* of Gets that asked the semantic tier */
    _Atomic uint64_t misses[CACHE_MISS_COUNT];
    _Atomic uint64_t sets, evictions, expirations;
    _Atomic uint64_t leases, lease_waits;
    _Atomic uint64_t entries, size_bytes, rows; /* held now                             */
    _Atomic uint64_t pins, pins_bytes;          /* of the entries */
};

struct namespace_settings; /* one version of them; never changes */
struct quota;

struct namespace_ {
    struct registry_item item;
    struct epoch_retired retired;
    struct text tenant, name; /* behind the struct, in the same block */
    struct namespace_counters counters;
    _Atomic uint32_t holds;
    atomic_bool is_closing; /* it is being dropped: Sets are refused, and it will not open again */
    atomic_bool is_made;    /* somebody created or changed it: it stays over restarts, even empty */
    _Atomic(struct namespace_settings *) settings; /* NULL: as the options say, version 0 */
    _Atomic(struct quota *) quota;                 /* NULL: it never had a budget          */
};

struct namespaces;
enum status namespaces_create(uint32_t namespaces_max, const uint8_t hash_key[16],
                              struct epochs *epochs, struct namespaces **out_namespaces);
void namespaces_destroy(struct namespaces **namespaces);

/* Inside an epoch. NULL: there is none. */
struct namespace_ *namespaces_find(const struct namespaces *namespaces, struct text tenant,
                                   struct text name);
/* Finds or makes, inside an epoch. STATUS_LIMIT_EXCEEDED: there are namespaces_max already.
 * STATUS_NO_MEMORY. */
enum status namespaces_obtain(struct namespaces *namespaces, struct text tenant, struct text name,
                              struct namespace_ **out_namespace);
/* Nobody holds it but the caller, it is closing and holds no entry. */
void namespaces_remove(struct namespaces *namespaces, struct namespace_ *namespace_);

/* Inside an epoch. */
typedef void namespaces_visit(void *context, struct namespace_ *namespace_);
void namespaces_each(const struct namespaces *namespaces, namespaces_visit *visit, void *context);

void namespace_hold(struct namespace_ *namespace_); /* inside an epoch, or held already */
void namespace_release(struct namespace_ *namespace_);

/* Inside an epoch; never NULL. */
const struct cache_namespace_settings *namespace_wants(const struct namespace_ *namespace_);
uint64_t namespace_version(const struct namespace_ *namespace_);

/*
 * The fields of the change take the place of what was wanted; the version rises by one.
 * STATUS_VERSION_MISMATCH, BAD_THRESHOLD (by `check`, of the whole), NO_MEMORY.
 */
typedef enum status namespace_check(const void *context,
                                    const struct cache_namespace_settings *settings,
                                    struct failure *failure);
enum status namespace_change(struct namespaces *namespaces, struct namespace_ *namespace_,
                             const struct cache_namespace_change *change, namespace_check *check,
                             const void *context, struct failure *failure);
/* As it was written down. */
enum status namespace_remember(struct namespaces *namespaces, struct namespace_ *namespace_,
                               const struct cache_namespace_settings *settings, uint64_t version);

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
