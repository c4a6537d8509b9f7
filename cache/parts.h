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
    uint64_t answer_bytes;
    uint32_t dimension, batch, metadata, tags, calibrate;
    /* These may change at any time: read once where two uses must agree. */
    _Atomic uint64_t ttl_default_ms, ttl_max_ms, stale_max_ms;
    _Atomic uint32_t scopes_shown;
    _Atomic uint32_t lease_hold_ms, lease_hold_max_ms, lease_wait_max_ms;
};

struct scribe;       /* segments.c */
struct cache_policy; /* one version of the options' policy; never changes */

struct cache {
    struct key_limits key_limits;
    struct cache_limits limits;
    struct policy_settings policy_at_start;
    _Atomic(struct cache_policy *) policy; /* in force; cache_policy */
    _Atomic uint32_t policy_changes;       /* scopes follow: cache_configure_scope */
    enum cache_eviction eviction;          /* evict.policy */
    struct epochs *epochs;
    struct store *store;
    struct directory *directory;
    struct embedder *embedder; /* the server's; NULL: only clients bring vectors */
    bool embeds_later;         /* by embedder_submit: there is a pool */
    struct embedder *lexical;  /* of namespaces that want it; without a pool */
    struct namespaces *namespaces;
    struct namespaces *strangers; /* one a tenant: counts the Gets of names that are none */
    struct namespace_ *nobody;    /* the same, where memory is spent */
    atomic_bool strict;           /* those are refused */
    struct scopes *scopes;
    struct token_desk *tokens;
    struct reporters *reporters;
    struct leases *leases;
    struct monitor *monitor;
    struct histogram *exact_us, *semantic_us; /* of hits */
    uint64_t (*clock_us)(void);
    uint8_t nonce_key[16];
    _Atomic uint64_t nonces_count;
    _Atomic uint64_t calibrated_pairs;
    atomic_bool config_rejected;
    _Atomic bool index_memory_spent; /* the last row that was offered found no room */
    int64_t started_ms;
    const char *version;

    /* The data folder; folder.c. */
    struct journal_options journal; /* path "": there is none */
    int64_t (*clock_ms)(void);
    uint64_t (*chance)(void *context);
    struct loading *loading;               /* while cache_load reads, its thread's alone  */
    _Atomic bool is_loaded;                /* what there is of a folder has been read    */
    _Atomic(struct scope *) scopes_behind; /* a stack: SCOPE_BEHIND, by next_behind       */
    _Atomic bool tokens_behind;            /* the note of tokens is older than a use      */
    int64_t noted_ms;                      /* when the keeper last wrote notes            */
    _Atomic uint64_t recovered_rows, recovered_rowless;
    bool (*is_load_wanted)(void); /* asked while the folder is read; NULL: it is */
    bool restores_segments;       /* the index waits for rows; while the folder is read */
    struct scribe *scribe;        /* NULL before is_loaded; the keeper's, and his who closes */
    _Atomic uint64_t segments_kept, segments_not_kept; /* how often, while it runs       */
    _Atomic uint64_t segments_forgotten;               /* twice a purge: segments.c      */
    atomic_bool segments_in_work;                      /* the file is being written      */
};

/* ---- cache.c: questions that more than one verb asks ----------------------------------------- */

/* Empty stands for "default", as in identity. */
struct text cache_name_or_default(struct text name);

/* LIMIT_EXCEEDED, BAD_VECTOR; NULL is fine. */
enum status cache_check_vector(const struct cache *cache, const float *vector, uint32_t dimension,
                               struct failure *failure);

/* ---- vectors: spaces.c ------------------------------------------------------------------------
 */

/* Who makes the vector of a text that comes without one, in a namespace that wants this; `client`:
 * the embedder that the request names. NULL: nobody. */
struct embedder *cache_maker(const struct cache *cache,
                             const struct cache_namespace_settings *wants, struct text client);
/* Whose space this is; NULL: not one of this server's. */
struct embedder *cache_maker_of(const struct cache *cache, uint64_t space);
/* Lexical vectors beside another embedder: for those namespaces that want them, no others'. */
bool cache_is_by_wish(const struct cache *cache, uint64_t space);
/* Whether a namespace that wants this compares vectors of the space: any client's, and its maker's.
 */
bool cache_compares(const struct cache *cache, const struct cache_namespace_settings *wants,
                    uint64_t space);
/* By embedder_submit; else by embedder_embed, on a compute thread. */
bool cache_embeds_later(const struct cache *cache, const struct embedder *maker);
/* The space of a client's vector (NULL: of its maker). False: there will be no vector. */
bool cache_space(const struct embedder *maker, struct text client, const float *vector,
                 uint32_t dimension, struct embed_space *out_space);
/* Hands the text in to the server's embedder; if there is no room for the vector, done says
 * NO_MEMORY. */
void cache_embed(struct cache *cache, struct text query, float *unit, struct embed_job *job);

/* ---- for those who watch: decisions.c ----------------------------------------------------------
 */

/* Once a Get, when its outcome is known; a relaxed load while nobody watches. */
void cache_note_get(const struct cache *cache, const struct cache_get *get,
                    enum monitor_result result);
void cache_note_set(const struct cache *cache, const struct cache_set *set);

/* ---- options while it runs: configure.c -------------------------------------------------------
 */

void cache_take_live_limits(struct cache *cache, const struct options *options);
enum status cache_start_policy(struct cache *cache, const struct options *options,
                               struct failure *failure);
void cache_end_policy(struct cache *cache);
/* The options' policy, as it is now. */
struct policy_settings cache_policy(const struct cache *cache);

/* ---- namespaces: enter.c, wishes.c, budget.c, drop.c -------------------------------------------
 */

enum status cache_make_default(struct cache *cache, const uint8_t names_key[16]);
/* Inside an epoch. */
struct namespace_ *cache_strangers(struct cache *cache, struct text tenant);
/* The one of a Get, inside an epoch: the strangers', if there is none. NAMESPACE_UNKNOWN: strict.
 */
enum status cache_find_namespace(struct cache *cache, const struct identity *identity,
                                 const struct key *key, struct namespace_ **out_namespace,
                                 struct failure *failure);
/* The same of who leaves no trace: cache->nobody, if there is none. */
enum status cache_peek_namespace(struct cache *cache, struct text tenant, struct text name,
                                 struct namespace_ **out_namespace, struct failure *failure);
/* What it wants now, in whichever epoch; one that is not there yet wants nothing. */
enum status cache_read_wishes(struct cache *cache, const struct identity *identity,
                              struct text name, struct cache_namespace_settings *out_wishes,
                              struct failure *failure);
/* NULL: there is none. Outside of any epoch; namespace_release follows. */
struct namespace_ *cache_hold_namespace(struct cache *cache, struct text tenant, struct text name);
/* The same of one that nobody is dropping; NULL: there is none. */
struct namespace_ *cache_hold_open_namespace(struct cache *cache, struct text tenant,
                                             struct text name);
/* The one of a Set: made if need be, held. LIMIT_EXCEEDED, NAMESPACE_UNKNOWN name
 * identity.namespace. */
enum status cache_enter_namespace(struct cache *cache, struct text tenant, struct text name,
                                  struct namespace_ **out_namespace, struct failure *failure);
/* By what is wanted now: the policy that decides there, and whether a tier is open. */
enum policy_mode cache_mode(const struct cache *cache,
                            const struct cache_namespace_settings *wants);
/* The options' policy under what is wanted. Limits that contradict today's options are left out:
 * the mode, the guards and the rest hold. */
void cache_overlay_policy(const struct cache *cache, const struct policy_wishes *wishes,
                          struct policy_settings *out_settings);
unsigned cache_guard_rules(const struct cache *cache, const struct cache_namespace_settings *wants);
bool cache_opens(const struct cache_namespace_settings *wants, enum cache_tier tier);
/* Whether the semantic tier may answer it, as far as the request goes. */
void cache_settle_key(struct key *key, const struct cache_namespace_settings *wants);
/* The scope's policy follows what its namespace wants now. The namespace is held, or nobody else is
 * there yet. */
void cache_configure_scope(struct cache *cache, const struct namespace_ *namespace_,
                           struct scope *scope);
/* While the folder is read, alone: a namespace that nobody has created goes, if it is empty. */
void cache_let_go(struct cache *cache, struct namespace_ *namespace_);
/* Of a namespace that is dropped: nothing is at work in them. */
void cache_forget_scopes(struct cache *cache, struct text tenant, struct text name);
/* Whether the entry, counted already, keeps what pins may hold of the budgets; one that it replaces
 * counts no more. NO_MEMORY names `pinned`. The namespace is held. */
enum status cache_check_pins(struct cache *cache, const struct namespace_ *namespace_,
                             const struct entry *entry, struct failure *failure);
/* One more entry has come; those that are too many leave, so many. The namespace is held. */
uint32_t cache_keep_budget(struct cache *cache, struct namespace_ *namespace_,
                           const struct entry *entry);
/* After the folder has been read: what it says of namespaces holds for scopes and budgets as well.
 */
void cache_settle_loaded(struct cache *cache);
/* What a note says may be any bytes: whether it could have been asked for, under some options. */
bool cache_settings_are_whole(const struct cache_namespace_settings *settings);

struct partition_key cache_partition_key(const uint8_t scope[16], uint64_t space);

/* The entry's row leaves the index, whatever sequence up to the entry's it has. */
void cache_remove_row(struct cache *cache, const struct entry *entry);

/* What the namespace wants of the index; false: nothing, and then *out_choice is empty. */
bool cache_index_choice(struct cache *cache, const struct namespace_ *namespace_,
                        struct index_choice *out_choice);
/* ---- invalidate.c ---------------------------------------------------------------------------- */

/* Names and tags; fields below "selector". */
enum status cache_check_selector(const struct cache *cache, const struct cache_selector *selector,
                                 struct failure *failure);
/* `tenant` is not empty, `model` canonical. */
bool cache_selects(const struct cache_selector *selector, struct text tenant, struct text model,
                   const struct entry *entry);

/* ---- folder.c -------------------------------------------------------------------------------- */

/* After cache->store has been made. */
enum status cache_expect_folder(struct cache *cache, const struct cache_setup *setup);
/* Everything is written and synced; nobody calls a verb any more. */
void cache_close_folder(struct cache *cache);

/* segments.c, of a cache with a folder: at its end, which ends the scribe too; before it is read,
 * and when it has been. What fails is logged. */
void cache_keep_segments(struct cache *cache);
void cache_offer_segments(struct cache *cache);
void cache_take_segments(struct cache *cache);
/* The kept ones, if there are any: something was purged; context: the cache. For the custodian. */
enum status cache_forget_segments(void *context);
/* A thread that writes them while the cache runs, whenever the keeper's ticks find it due. */
enum status cache_start_scribe(struct cache *cache);
void cache_stop_scribe(struct cache *cache); /* none is fine */
void cache_tick_segments(struct cache *cache, int64_t now_ms);
/* What ticks have asked for so far is written, or has failed. By who ticks. */
bool cache_scribe_rests(const struct cache *cache);
/* What a Set waits for; never ACK_DEFAULT. NO_JOURNAL names `ack`. */
enum status cache_resolve_ack(const struct cache *cache, enum journal_ack asked,
                              enum journal_ack *out_ack, struct failure *failure);
/* A new scope's note is written at once, before its first entry is. */
void cache_note_new_scope(struct cache *cache, struct scope *scope);
/* Within a second, by cache_tick. */
void cache_note_scope_later(struct cache *cache, struct scope *scope);
void cache_note_tokens_later(struct cache *cache);
/* Now. */
enum status cache_note_tokens(struct cache *cache, struct arena *arena);
/* All of them again; context: the cache. For the custodian. */
enum status cache_renew_notes(void *context);
/* What is behind; at most once a second. */
void cache_note_changes(struct cache *cache, int64_t now_ms);
/* A namespace as it is now, or that it is no more; handed in for the waiter, who may be NULL. */
enum status cache_note_namespace(struct cache *cache, const struct namespace_ *namespace_,
                                 const struct cache_waiter *waiter);
enum status cache_note_dropped(struct cache *cache, struct text tenant, struct text name,
                               const struct cache_waiter *waiter);
/* Everything of the folder in Stats. */
void cache_folder_stats(const struct cache *cache, struct cache_stats *stats);

/* ---- load.c ---------------------------------------------------------------------------------- */

/* It has failed half-way: entries that nobody has counted are in the table. By who loads. */
bool cache_load_has_failed(const struct cache *cache);

/* ---- stats.c --------------------------------------------------------------------------------- */

/* Inside an epoch; texts are copied. False: memory is spent. */
bool cache_show_scope(const struct scope *scope, struct arena *arena,
                      struct cache_scope_stats *out_stats);

/* policies.c: what is given of it matches, and its namespace, which wants this, compares such
 * vectors. */
bool cache_policy_scope_has(const struct cache *cache, const struct cache_namespace_settings *wants,
                            const struct cache_policy_scope *wanted, const struct scope *scope);

/* ---- leased.c -------------------------------------------------------------------------------- */

/* Whether this token holds the key; an empty or unreadable one does not. */
bool cache_lease_holds(struct cache *cache, struct text token, const struct digest *key);
/* A Set that is not kept: its lease goes on to the next in line. */
void cache_pass_lease(struct cache *cache, struct text token);

/* ---- fill.c ---------------------------------------------------------------------------------- */

/* The longest TTL there, and that of whoever asks for none. */
uint64_t cache_ttl_max(const struct cache *cache, const struct cache_namespace_settings *wishes);
uint64_t cache_ttl_standard(const struct cache *cache,
                            const struct cache_namespace_settings *wishes, bool negative);

store_died cache_entry_died; /* context: the cache */

void cache_count_entry(struct namespace_ *namespace_, const struct entry *entry);
void cache_uncount_entry(struct namespace_ *namespace_, const struct entry *entry);

/* LIMIT_EXCEEDED and others, by the names of a Set's fields. */
enum status cache_check_set(const struct cache *cache, const struct cache_set_request *request,
                            struct failure *failure);

struct cache_row { /* of one entry */
    struct partition_key key;
    struct digest id;
    const uint8_t *compatibility; /* ENTRY_ID_BYTES */
    uint64_t sequence;
    int64_t expires_ms;
    const float *unit;
    uint32_t dimension;
    struct text query; /* what the guard signs */
};
/* The entry's row, if it has one, gets another end (0: only with the entry's own). */
void cache_retime_row(struct cache *cache, const struct entry *entry, int64_t expires_ms,
                      struct arena *arena);
/* Where a row of this entry may end at the latest, as its freshness has it. */
int64_t cache_row_end_ms(const struct entry *entry, int64_t expires_ms);
enum { CACHE_NEGATIVE_TTL_MAX_MS = 60 * 1000 };
#define CACHE_TTL_MAX_MS (365ull * 24 * 3600 * 1000) /* the highest that cache.ttl_max may be */
/* Counted in the namespace. DIM_MISMATCH, NO_MEMORY: the budget of vectors is spent. */
enum status cache_insert_row(struct cache *cache, struct namespace_ *namespace_,
                             const struct cache_row *row, struct arena *arena);
