/*
 * parts.h - what the verbs of cache/ share: the parts of one cache and the few questions that
 * several of them ask. Nobody outside this folder includes it. Threads: everything but the atomics
 * is constant after cache_create; the parts look after themselves.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/epoch.h"
#include "base/metrics.h"
#include "cache/cache.h"
#include "cache/namespace.h"
#include "cache/scope.h"
#include "embed/embedder.h"
#include "index/directory.h"
#include "storage/store.h"
#include "trust/policy.h"
#include "trust/reporter.h"
#include "trust/token.h"

struct cache_limits { /* from the options */
    uint64_t ttl_default_ms, ttl_max_ms, answer_bytes;
    uint32_t dimension, batch, metadata, tags, scopes_shown;
};

struct cache {
    struct key_limits key_limits;
    struct cache_limits limits;
    struct policy_settings policy;
    struct epochs *epochs;
    struct store *store;
    struct directory *directory;
    struct embedder *embedder; /* NULL: only clients bring vectors */
    bool embeds_later;         /* by embedder_submit: there is a pool */
    struct namespaces *namespaces;
    struct scopes *scopes;
    struct token_desk *tokens;
    struct reporters *reporters;
    struct histogram *exact_us, *semantic_us; /* of hits */
    uint64_t (*clock_us)(void);
    uint8_t nonce_key[16];
    _Atomic uint64_t nonces_count;
    _Atomic bool index_memory_spent; /* the last row that was offered found no room */
    int64_t started_ms;
    const char *version;
};

/* ---- cache.c: questions that more than one verb asks ----------------------------------------- */

/* Empty stands for "default", as in identity. */
struct text cache_name_or_default(struct text name);

/* The space of a client's vector (NULL: of the server's embedder). False: nobody makes a vector for
 * this request. */
bool cache_space(const struct cache *cache, struct text embedder, const float *vector,
                 uint32_t dimension, struct embed_space *out_space);

/* LIMIT_EXCEEDED, BAD_VECTOR; NULL is fine. */
enum status cache_check_vector(const struct cache *cache, const float *vector, uint32_t dimension,
                               struct failure *failure);

/* Hands the text in to the embedder; if there is no room for the vector, done says NO_MEMORY. */
void cache_embed(struct cache *cache, struct text query, float *unit, struct embed_job *job);

/* LIMIT_EXCEEDED names identity.namespace. */
enum status cache_namespace(struct cache *cache, const struct identity *identity,
                            const struct key *key, struct namespace_ **out_namespace,
                            struct failure *failure);

struct partition_key cache_partition_key(const uint8_t scope[16], uint64_t space);

/* The entry's row leaves the index, whatever sequence up to the entry's it has. */
void cache_remove_row(struct cache *cache, const struct entry *entry);

/* ---- fill.c ---------------------------------------------------------------------------------- */

store_died cache_entry_died; /* context: the cache */
