/*
 * cache.h - the walk: ties storage/, index/, embed/ and trust/ together behind a handful of verbs.
 * It knows nothing of gRPC or protobuf. Time comes in; nothing here waits for a disk, a network or
 * another process, but for cache_load.
 *
 * THREADS. Registered threads only (io, compute, keeper, tests). `cache_get_begin`,
 * `cache_get_embed`, `cache_delete` and `cache_stats` are short enough for an I/O thread; whatever
 * embeds, searches or walks the table belongs on compute.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/metrics.h"
#include "base/options.h"
#include "base/status.h"
#include "base/text.h"
#include "cache/key.h"
#include "cache/lease.h"
#include "cache/monitor.h"
#include "embed/embedder.h"
#include "index/directory.h"
#include "storage/custodian.h"
#include "storage/journal.h"
#include "storage/restore.h"
#include "storage/store.h"
#include "trust/policy.h"
#include "trust/token.h"

struct cache;
struct pool;

/* numbers as in proto */
enum cache_tier { CACHE_TIER_NONE, CACHE_TIER_EXACT, CACHE_TIER_SEMANTIC };

/* numbers as in proto enum MissReason */
enum cache_miss {
    CACHE_MISS_NONE = 0,
    CACHE_MISS_NO_CANDIDATE = 1,
    CACHE_MISS_BELOW_CUT = 2,
    CACHE_MISS_GUARD_BLOCKED = 3,
    CACHE_MISS_EXPIRED = 7,
    CACHE_MISS_TOO_OLD = 8,
    CACHE_MISS_NOT_FOUND = 9,
    CACHE_MISS_NOT_ELIGIBLE = 10,
    CACHE_MISS_DISABLED = 11,
    CACHE_MISS_BYPASSED = 12,
    CACHE_MISS_WAIT_TIMEOUT = 13,
    CACHE_MISS_LEADER_FAILED = 14,
    CACHE_MISS_EMBEDDER_DOWN = 15,
    CACHE_MISS_OVERLOADED = 17,
    CACHE_MISS_TEXT_TOO_LONG = 20,
    CACHE_MISS_COUNT = 21,
};

/* numbers as in proto enum SetSkip */
enum cache_skip {
    CACHE_SKIP_NONE = 0,
    CACHE_SKIP_NO_STORE = 1,
    CACHE_SKIP_FINISH_REASON = 2,
    CACHE_SKIP_NOT_ELIGIBLE = 3,
    CACHE_SKIP_EXISTS = 4,
    CACHE_SKIP_ADMISSION = 5,
};

/* bits: 1 << proto enum Include */
enum cache_include {
    CACHE_INCLUDE_KEY = 1 << 1,
    CACHE_INCLUDE_TIMING = 1 << 2,
    CACHE_INCLUDE_MATCHED_PROMPT = 1 << 3,
    CACHE_INCLUDE_CANDIDATES = 1 << 4,
    CACHE_INCLUDE_ANSWER = 1 << 5, /* of the candidates */
};

enum { CACHE_CANDIDATES_MAX = 8 };

/* Wants the tables of cache, store, journal, index, embed and policy. The rows here:
 * cache.ttl_default, cache.ttl_max, cache.stale_max, cache.namespaces_max, cache.scopes_max,
 * limits.*, semantic.token_ttl, metrics.scopes_max, lease.*. */
extern const struct option_row cache_option_rows[];
extern const size_t cache_option_rows_count;

struct cache_setup {
    const struct options *options; /* with the tables of cache, store, index, embed and policy */
    uint64_t chance_seed[8];       /* 64 random bytes: keys of the table, of tokens, of nonces   */
    int64_t started_ms;
    const char *version;        /* outlives the cache                                         */
    uint64_t (*clock_us)(void); /* monotonic: ends the steps of a Get; NULL: only what comes in
                                   by arguments is known, and no tier has percentiles         */
    int64_t (*clock_ms)(void);  /* wall, and... */
    uint64_t (*chance)(void *); /* ...random numbers: both only for a data folder, which wants
                                   clock_us too */
    struct pool *pool;          /* the embedder's compute threads, with a clock; NULL: texts are
                                   embedded by the thread that asks                           */
};

/* On failure `failure` says which option or part it was. The pool may be gone before the cache. */
enum status cache_create(const struct cache_setup *setup, struct cache **out_cache,
                         struct failure *failure);
void cache_destroy(struct cache **cache);

/* ---- The data folder ------------------------------------------------------------------------- */

/* Whether storage.path names one. */
bool cache_has_folder(const struct cache *cache);
/* Before cache_load: what it will read is this snapshot of the folder; see restore.h. */
enum status cache_restore(struct cache *cache, struct text snapshot,
                          char out_aside[RESTORE_FOLDER_MAX], struct failure *failure);
/*
 * Reads it and begins to write it; once, by a registered thread, before any verb but cache_stats
 * and cache_tick. Takes as long as it takes. UNAVAILABLE: another process has it; UNSUPPORTED,
 * CORRUPT, IO_FAILED, NO_MEMORY. Without a folder: OK, at once.
 */
enum status cache_load(struct cache *cache, struct failure *failure);
/* Before cache_load, which asks this every few MiB, on its thread: false ends it with
 * STATUS_CANCELLED. The folder is as it was, and destroying is all that is left to do. */
void cache_load_while(struct cache *cache, bool (*is_wanted)(void));

/*
 * Who waits for the disk: `expect` comes before a record is handed in, `done` once for each of
 * them; about the thread of `done` and what it may do see journal.h. NULL: nobody waits.
 */
struct cache_waiter {
    void (*expect)(void *context);
    journal_done *done;
    void *context;
};
/* What Delete and Invalidate wait for: ACK_MEMORY (nothing), ACK_LOGGED or ACK_SYNCED. */
enum journal_ack cache_ack_removal(const struct cache *cache);

/* As in custodian.h. There is a folder. */
void cache_snapshot(struct cache *cache, struct text name, snapshot_done *done, void *context);
void cache_compact(struct cache *cache, journal_done *done, void *context);
/* All of it; of a cache without a folder its state and loading_done alone. */
void cache_journal_stats(const struct cache *cache, struct journal_stats *out_stats);
/* NO_JOURNAL: there is none. */
enum status cache_snapshots(struct cache *cache, struct snapshot_info *out_infos,
                            uint32_t infos_max, uint32_t *out_count, struct failure *failure);
enum status cache_snapshot_remove(struct cache *cache, struct text name, struct failure *failure);

/* ---- Get ------------------------------------------------------------------------------------- */

struct cache_control { /* as CacheControl; all zero: nothing is asked */
    bool no_cache, no_store, only_if_cached, bypass;
    bool max_age_given;
    uint64_t max_age_ms, min_fresh_ms, max_stale_ms;
};

/* numbers as in proto enum LeaseMode */
enum cache_lease_mode { CACHE_LEASE_NONE, CACHE_LEASE_FIRST, CACHE_LEASE_WAIT };

struct cache_get_request {
    struct identity identity;
    const float *vector; /* NULL: none; as the client sent it */
    uint32_t dimension;
    bool only_exact, only_semantic; /* from `tiers`; neither: all */
    bool min_similarity_given;
    float min_similarity;
    unsigned include;
    struct cache_control control;
    enum cache_lease_mode lease; /* with it: not only_semantic                      */
    uint32_t wait_ms, hold_ms;   /* 0, and above the options' greatest: the options' */
};

struct cache_candidate {
    struct digest entry_id;
    float similarity;
    unsigned guards;
    struct entry *entry; /* a reference, for its prompt; NULL if it has died meanwhile */
};

struct cache_timing {
    uint32_t key_us, embed_us, search_us, decide_us, total_us;
};

enum { CACHE_LEASE_TEXT = (LEASE_TOKEN_BYTES * 4 + 2) / 3 }; /* of a token, in base64url */
struct cache_lease {
    bool given;                       /* there is one to tell of             */
    char token[CACHE_LEASE_TEXT + 1]; /* "": this caller holds nothing       */
    uint32_t hold_ms;
    bool held_by_other;
};

struct cache_get_reply {
    enum cache_tier tier; /* NONE: a miss                              */
    enum cache_miss miss_reason;
    float similarity, threshold; /* as in GetResponse                         */
    struct store_hit found;      /* on a hit: holds a reference               */
    bool stale;                  /* on a hit: past its TTL                    */
    bool decided;                /* a policy decided: token and so on are set */
    char token[TOKEN_TEXT + 1];
    unsigned guards;
    bool near_miss;
    struct digest near_entry_id;
    float near_similarity;
    const char *degraded; /* "embedder_down"; NULL: nothing            */
    struct cache_lease lease;
    struct digest key;                  /* the exact key of this request             */
    struct cache_candidate *candidates; /* only if included; in the arena    */
    size_t candidates_count;
    struct cache_timing timing; /* only if included                          */
};

/* A Get between its steps; the caller's memory, nothing in it is the caller's to read but `reply`.
 */
struct cache_get {
    const struct cache_get_request *request;
    struct key key;
    struct arena *arena;
    struct namespace_ *namespace_; /* whose counters count; only while a step is at work */
    float *unit;                   /* the embedder writes it; NULL: it was not asked */
    enum cache_miss refused;       /* EXPIRED or TOO_OLD: there is one that may not serve */
    bool exact_missed;             /* to be counted once the Get has not failed               */
    bool lease_due;                /* a miss, and a lease is to be asked for before it counts */
    struct embedder *maker;        /* of its vector, if it brings none; NULL: nobody */
    uint64_t started_us, now_us;   /* only for timing      */
    /* An explanation counts here and is noted nowhere; else NULL. */
    struct namespace_counters *unseen;
    struct cache_get_reply reply;
};

/* What is left of a Get or a Set. NEEDS_VECTOR only of a cache with a pool, and of its embedder. */
enum cache_step { CACHE_DONE, CACHE_NEEDS_COMPUTE, CACHE_NEEDS_VECTOR };

/*
 * Key and exact tier. CACHE_DONE: `get->reply` is complete. CACHE_NEEDS_COMPUTE: call
 * cache_get_finish. CACHE_NEEDS_VECTOR: cache_get_embed, then cache_get_finish_embedded. Either:
 * cache_get_overloaded if there is no room. `now_us`: the monotonic clock, for timing and
 * percentiles. On failure nothing is held. Request and arena must live until cache_get_release.
 */
enum status cache_get_begin(struct cache *cache, const struct cache_get_request *request,
                            struct arena *arena, int64_t now_ms, uint64_t now_us,
                            struct cache_get *out_get, enum cache_step *out_step,
                            struct failure *failure);
/* Embeds, searches, decides. STATUS_BAD_VECTOR, DIM_MISMATCH, NO_MEMORY. */
enum status cache_get_finish(struct cache *cache, struct cache_get *get, int64_t now_ms,
                             uint64_t now_us, struct failure *failure);
/*
 * Hands the text in; never waits. The caller sets done, deadline_us and bulk of the job, which
 * belongs to the embedder until done is called: on a compute thread, or, with any status but OK,
 * perhaps on this one before cache_get_embed returns, or on another that asked the embedder for
 * something. So neither get nor arena are touched by the caller any more.
 */
void cache_get_embed(struct cache *cache, struct cache_get *get, struct embed_job *job);
/* As cache_get_finish, with what `done` said. `done_us`: when it did. Without a vector it only
 * says why, and any thread may call it. */
enum status cache_get_finish_embedded(struct cache *cache, struct cache_get *get,
                                      enum status embedded, int64_t now_ms, uint64_t done_us,
                                      struct failure *failure);
/* The embedder, by this status of `done`, had no room or no time. */
bool cache_is_overloaded(enum status embedded);
/* Who waits for a vector is told DRAINING soon, and so is whoever asks for one from now on: see
 * embedder_stop. */
void cache_stop_embedding(struct cache *cache);
void cache_get_overloaded(struct cache *cache, struct cache_get *get);
/*
 * The last step of a Get with lease_due. True: it waits; get, arena and waiter are no more the
 * caller's until `woken`, which the caller has set with `context`, `gone` and, in give_up_us, the
 * last moment at which an answer is of use (0: any). False: the reply is complete. Waiter NULL: not
 * to wait.
 */
bool cache_get_lease(struct cache *cache, struct cache_get *get, struct lease_waiter *waiter,
                     int64_t now_ms, uint64_t now_us);
/* After `woken`, by whoever goes on with the Get: completes the reply. */
void cache_get_woken(struct cache *cache, struct cache_get *get, struct lease_waiter *waiter,
                     enum lease_end end, int64_t now_ms, uint64_t now_us);
/* Takes a waiter back, its caller having gone. True: `woken` will not be called. */
bool cache_get_unwait(struct cache *cache, struct lease_waiter *waiter);
/* Drops the references of the reply. */
void cache_get_release(struct cache_get *get);

/* The parts of an entry that a reply shows. Texts are borrowed from the entry. */
struct cache_answer {
    struct text namespace_, model;
    struct text info; /* packed AnswerInfo, as Set gave it; empty: none */
    struct text answer;
    bool opaque;          /* the answer is a blob                            */
    bool negative;        /* an upstream's error                             */
    uint64_t stale_ms;    /* its TTL ends so long before its life in the store does */
    struct text metadata; /* packed attributes; see cache/answer.h           */
};
void cache_answer_read(const struct entry *entry, struct cache_answer *out_answer);

/*
 * What one namespace wants otherwise than the options say; 0, NaN, or ACK_DEFAULT: nothing. A
 * budget of 0 is none. What is over one leaves by the namespace's own rule, and pins hold a tenth
 * of each at most.
 */
enum cache_eviction {                   /* as in proto */
                      EVICTION_DEFAULT, /* as evict.policy says */
                      EVICTION_S3FIFO,
                      EVICTION_LRU,
                      EVICTION_LFU_AGING,
};
/* Who makes the vectors of texts that come without one. A client's vector is taken in any case. */
enum cache_embedder {                   /* as in proto */
                      EMBEDDER_DEFAULT, /* embed.provider, as the server is set up */
                      EMBEDDER_LEXICAL, /* words and letters, inside the server and without weights
                                         */
                      EMBEDDER_CLIENT,  /* nobody: only clients bring vectors */
};
struct cache_namespace_settings {
    unsigned tiers; /* bits 1 << enum cache_tier; 0: all */
    struct policy_wishes policy;
    uint64_t ttl_ms, ttl_max_ms;
    uint64_t bytes_max, entries_max;
    double temperature_max;  /* else 0 */
    uint32_t user_turns_max; /* else 1 */
    enum journal_ack ack;
    unsigned index_kind; /* numbers as in proto enum IndexKind */
    uint32_t ef_search, nprobe;
    enum cache_eviction eviction;
    enum cache_embedder embedder;
};
extern const struct cache_namespace_settings cache_namespace_settings_none;

/* ---- Set ------------------------------------------------------------------------------------- */

struct cache_set_request {
    struct identity identity;
    struct text info; /* packed AnswerInfo: opaque here                          */
    struct text finish_reason, refusal, content_type; /* read from it by the codec        */
    bool other_parts;     /* reasoning, tool calls or further choices are in `info`  */
    bool further_choices; /* choices 2 to n are in `info`                            */
    struct text content, blob;
    const float *vector;
    uint32_t dimension;
    bool ttl_given;
    uint64_t ttl_ms;
    bool sliding, pinned, if_absent, negative;
    uint64_t sliding_max_ms, stale_while_revalidate_ms, stale_if_error_ms;
    struct cache_control control;
    const struct key_attribute *depends_on; /* id and version */
    size_t depends_on_count;
    const struct text *tags;
    size_t tags_count;
    const struct key_attribute *metadata;
    size_t metadata_count;
    enum journal_ack ack;    /* ACK_DEFAULT: as the server is set up */
    struct text lease_token; /* as in the reply of the Get; empty: none */
};

struct cache_set_reply {
    struct digest entry_id;
    bool stored, indexed;
    enum cache_skip skip;
    int64_t expires_ms; /* the end of the TTL */
    uint64_t sequence;
    enum journal_ack ack; /* what was asked for, or the standard; ACK_DEFAULT: not stored */
    const char *degraded; /* why there is no vector although there should be: "embedder_down",
                             "overloaded", "text_too_long"; NULL: nothing */
    bool is_memory_only;  /* the disk has failed or is full: a restart forgets it */
};

/* A Set between its steps; the caller's memory, nothing in it is the caller's to read but `step`
 * and `reply`. */
struct cache_set {
    const struct cache_set_request *request;
    struct arena *arena;
    struct key key;
    struct namespace_ *namespace_;          /* held, and only while it is being stored */
    struct cache_namespace_settings wishes; /* of the namespace, when the Set began */
    struct embed_space space;               /* id 0: no row */
    struct embedder *maker;                 /* of its vector, if it brings none; NULL: nobody */
    float *unit;
    struct entry *entry;
    int64_t now_ms;
    int64_t end_ms, expires_ms; /* of its TTL, of its life in the store */
    int64_t row_expires_ms;
    enum cache_step step;
    enum journal_ack ack; /* above ACK_MEMORY: cache_set_finish wants a waiter */
    struct cache_set_reply reply;
};

/*
 * What may be stored, and whether it needs a vector. `out_set->step` CACHE_DONE: it is not kept,
 * `reply` is complete. CACHE_NEEDS_COMPUTE: cache_set_finish with STATUS_OK. CACHE_NEEDS_VECTOR:
 * cache_set_embed (as cache_get_embed), then cache_set_finish with what done said. Nothing is held
 * between; who gives up just does. Request and arena live until the end. NO_JOURNAL: an ack of the
 * disk, and there is none.
 */
enum status cache_set_begin(struct cache *cache, const struct cache_set_request *request,
                            struct arena *arena, int64_t now_ms, struct cache_set *out_set,
                            struct failure *failure);
void cache_set_embed(struct cache *cache, struct cache_set *set, struct embed_job *job);
/* Stores. Atomic: either stored, or the key keeps what it had. Without a vector it is stored for
 * the exact tier. The waiter's `done` may come before this returns. STORAGE_DEGRADED: Sets are
 * refused, the disk having failed. LEASE_LOST: the token holds the key no longer, and another
 * answer is there. Whoever waits for this key is woken. */
enum status cache_set_finish(struct cache *cache, struct cache_set *set, enum status embedded,
                             int64_t now_ms, const struct cache_waiter *waiter,
                             struct failure *failure);

/* All of it at once; embeds on this thread, which is a compute thread. Waits for no disk. */
enum status cache_set(struct cache *cache, const struct cache_set_request *request,
                      struct arena *arena, int64_t now_ms, struct cache_set_reply *out_reply,
                      struct failure *failure);

/* ---- Leases ---------------------------------------------------------------------------------- */

/* The next in line holds it. False: the token holds nothing. *out_waiters: how many wait still. */
bool cache_release_lease(struct cache *cache, struct text token, uint64_t now_us,
                         uint32_t *out_waiters);
/* Its time begins anew. An empty token holds nothing. */
void cache_renew_lease(struct cache *cache, struct text token, uint64_t now_us);
/* Every 50 ms, by the monotonic clock: leases of lost holders go on to the next in line, and who
 * has waited long enough is told so. */
void cache_tick_leases(struct cache *cache, uint64_t now_us);
/* All that wait are told so, and nobody waits from now on. */
void cache_close_leases(struct cache *cache);

/* ---- Delete, Invalidate, Report -------------------------------------------------------------- */

struct cache_delete_request {
    struct text tenant, namespace_;
    const struct digest *entry_ids;
    size_t entry_ids_count;
    const struct identity *identity; /* NULL: none */
};
/* STORAGE_DEGRADED: refused, the disk having failed; what was deleted before stays so. */
enum status cache_delete(struct cache *cache, const struct cache_delete_request *request,
                         struct arena *arena, const struct cache_waiter *waiter,
                         uint32_t *out_deleted, struct failure *failure);

enum { CACHE_SAMPLES_MAX = 10 };
struct cache_selector {
    struct text tenant, namespace_, model;
    const struct text *tags;
    size_t tags_count;
    struct text depends_on_id, depends_on_version_not;
    int64_t created_before_ms; /* 0: any */
    bool dry_run, make_stale;
    int64_t now_ms; /* for make_stale */
    struct text confirm;
};
struct cache_invalidate_reply {
    uint64_t matched; /* entries that were there, live or expired, in a dry run too */
    struct digest samples[CACHE_SAMPLES_MAX];
    size_t samples_count;
};
enum status cache_invalidate(struct cache *cache, const struct cache_selector *selector,
                             const struct cache_waiter *waiter,
                             struct cache_invalidate_reply *out_reply, struct failure *failure);

struct cache_touch_request {
    struct text tenant, namespace_;
    const struct digest *entry_ids;
    size_t entry_ids_count;
    bool ttl_given;
    uint64_t ttl_ms;
};
struct cache_touch_reply {
    uint32_t touched, missing;
};
/* On a compute thread: rows are made again. Waits for no disk. One that fails half-way may be asked
 * again. */
enum status cache_touch(struct cache *cache, const struct cache_touch_request *request,
                        struct arena *arena, int64_t now_ms, struct cache_touch_reply *out_reply,
                        struct failure *failure);

enum cache_verdict { CACHE_CORRECT = 1, CACHE_WRONG, CACHE_UNSURE, CACHE_STALE }; /* as in proto */
enum cache_source { CACHE_SOURCE_USER = 1, CACHE_SOURCE_OPERATOR = 4 };           /* as in proto */
/* as in proto enum ReportOutcome */
enum cache_outcome {
    CACHE_ACCEPTED = 1,
    CACHE_DUPLICATE,
    CACHE_TOKEN_EXPIRED,
    CACHE_UNKNOWN_ENTRY,
    CACHE_RATE_LIMITED,
    CACHE_BAD_TOKEN,
    CACHE_COUNTED_ONLY,
};
struct cache_report {
    struct text token, reporter;
    enum cache_verdict verdict;
    enum cache_source source;
};
enum cache_outcome cache_report_verdict(struct cache *cache, const struct cache_report *report,
                                        int64_t now_ms, uint32_t *out_labels_left);

/* ---- Namespaces ------------------------------------------------------------------------------ */

enum cache_namespace_field {
    NAMESPACE_INDEX_KIND = 1 << 0,
    NAMESPACE_EF_SEARCH = 1 << 1,
    NAMESPACE_NPROBE = 1 << 2,
    NAMESPACE_TIERS = 1 << 3,
    NAMESPACE_POLICY = 1 << 4,
    NAMESPACE_TTL = 1 << 5,
    NAMESPACE_TTL_MAX = 1 << 6,
    NAMESPACE_BYTES_MAX = 1 << 7,
    NAMESPACE_ENTRIES_MAX = 1 << 8,
    NAMESPACE_TEMPERATURE_MAX = 1 << 9,
    NAMESPACE_USER_TURNS_MAX = 1 << 10,
    NAMESPACE_ACK = 1 << 11,
    NAMESPACE_EVICTION = 1 << 12,
    NAMESPACE_EMBEDDER = 1 << 13,
    NAMESPACE_ALL_FIELDS = (1 << 14) - 1,
};
struct cache_namespace_change {
    struct text tenant, name;
    unsigned fields;     /* of enum cache_namespace_field: what changes */
    uint64_t if_version; /* 0: whatever it is now */
    struct cache_namespace_settings settings;
};
struct cache_namespace_view {
    struct text name;
    uint64_t
        version; /* rises with each change; 0: it is as the options say, and was never changed */
    struct cache_namespace_settings settings;
    struct text
        degraded; /* settings that today's options do not allow, and their limits; empty: none */
    uint64_t entries, size_bytes, rows; /* held now */
};
enum { CACHE_NAMESPACES_LISTED_MAX = 1000 };

/* A namespace is there from its creation or its first Set on. It stays, with its settings, until it
 * is dropped; one that nobody created is forgotten by a restart when it is empty. ALREADY_EXISTS;
 * LIMIT_EXCEEDED names the field. */
enum status cache_create_namespace(struct cache *cache, const struct cache_namespace_change *change,
                                   struct arena *arena, const struct cache_waiter *waiter,
                                   struct cache_namespace_view *out_view, struct failure *failure);
/* Holds for what is asked and stored from now on, and after a restart. NOT_FOUND, VERSION_MISMATCH,
 * LIMIT_EXCEEDED names the field. */
enum status cache_update_namespace(struct cache *cache, const struct cache_namespace_change *change,
                                   struct arena *arena, const struct cache_waiter *waiter,
                                   struct cache_namespace_view *out_view, struct failure *failure);
enum status cache_get_namespace(struct cache *cache, struct text tenant, struct text name,
                                struct arena *arena, struct cache_namespace_view *out_view,
                                struct failure *failure);
/* By name, those behind `after`, at most `max`. */
enum status cache_list_namespaces(struct cache *cache, struct text tenant, struct text after,
                                  size_t max, struct arena *arena,
                                  struct cache_namespace_view **out_views, size_t *out_count,
                                  bool *out_more);
/*
 * Its entries, rows, scopes and settings are gone when this returns, and its name is free; a Set at
 * work in it meanwhile is waited for. `default` comes back at once, empty. UNCONFIRMED, NOT_FOUND.
 * STORAGE_DEGRADED: refused, and what had been removed by then stays so.
 */
enum status cache_drop_namespace(struct cache *cache, struct text tenant, struct text name,
                                 struct text confirm, const struct cache_waiter *waiter,
                                 uint64_t *out_removed, struct failure *failure);

/* ---- Stats, keeping -------------------------------------------------------------------------- */

struct cache_tier_stats {
    uint64_t lookups, hits, stale_hits, negative_hits, misses, entries, size_bytes;
    uint32_t p50_us, p99_us;
};
struct cache_scope_stats { /* texts lie in the arena of who asked */
    uint64_t id;           /* tells apart what the names, which are cut, do not */
    struct text namespace_, model, embedder;
    const struct key_attribute *attributes;
    size_t attributes_count;
    unsigned mode; /* enum policy_mode */
    float threshold;
    uint32_t feedback_count, feedback_right;
    uint64_t lookups, hits, guard_blocked, would_hits;
    uint64_t near_verdicts;       /* right and wrong ones, on near misses */
    struct partition_stats index; /* its vectors and how they are searched; zero: there are none */
};
/* ---- policies; they are changed with their namespace ---- */

struct cache_policy_scope { /* what is given must match */
    struct text tenant, namespace_, model, embedder;
    const struct key_attribute *attributes;
    size_t attributes_count;
};
/* A policy belongs to a whole namespace: LIMIT_EXCEEDED names the field that asks for less. Of the
 * embedder its caller may know more. */
enum status cache_check_whole_namespace(const struct cache_policy_scope *scope,
                                        struct failure *failure);

struct cache_policy_view {
    struct policy_wishes set, effective;
    uint64_t version;
    bool is_live;                  /* a scope matches... */
    struct cache_scope_stats live; /* ...and this is the most used one */
    uint64_t scopes_count;
    const struct embed_space *embedder; /* NULL: none */
};
/* NOT_FOUND: there is no such namespace. */
enum status cache_describe_policy(struct cache *cache, const struct cache_policy_scope *scope,
                                  struct arena *arena, struct cache_policy_view *out_view,
                                  struct failure *failure);

struct cache_stats {
    struct cache_tier_stats exact, semantic;
    uint64_t misses[CACHE_MISS_COUNT];
    uint64_t total_requests, cached_requests;
    uint64_t entries, size_bytes, bytes_max, entries_max;
    uint64_t sets, evictions, expirations;
    uint64_t leases, lease_waits; /* Gets that were told to compute; that waited */
    uint64_t calibrated_pairs;    /* of the whole server */
    bool index_memory_spent;
    bool config_rejected;
    uint64_t uptime_s;
    const char *version;
    struct cache_scope_stats *scopes;
    size_t scopes_count;
    const struct embed_space *embedder; /* NULL: none */
    struct embedder_state embedder_state;
    bool has_folder;
    struct journal_stats journal;     /* its state and loading_done without a folder, too */
    uint64_t recovered_rows;          /* entries whose vector was read at start            */
    uint64_t recovered_rowless;       /* whose vector belongs to no space of today         */
    uint64_t segments_kept;           /* times that graphs were written while it runs      */
    uint64_t segments_not_kept;       /* times that this failed                            */
    struct directory_stats index;     /* of the whole only                                */
    struct directory_work index_work; /* likewise                                     */
};
/* namespace empty: all. */
enum status cache_stats(struct cache *cache, struct text tenant, struct text namespace_,
                        struct arena *arena, int64_t now_ms, struct cache_stats *out_stats);

struct cache_namespace_stats {
    struct text name; /* in the arena of who asked */
    uint64_t requests, answered, sets, evictions, expirations, entries, size_bytes;
};
/* The metrics.scopes_max namespaces of a tenant with the most requests, most first. NO_MEMORY. */
enum status cache_each_namespace_stats(struct cache *cache, struct text tenant, struct arena *arena,
                                       struct cache_namespace_stats **out_stats, size_t *out_count);

/* What does not work as it should, in the words of StatsResponse.degraded. */
enum { CACHE_DEGRADED_MAX = 3 + EMBEDDER_DEGRADED_MAX };
size_t cache_degraded(const struct cache_stats *stats, const char *out_words[CACHE_DEGRADED_MAX]);
/* Every word there is; NULL after the last. */
extern const char *const cache_degraded_words[];
/* The embedder's, as Prometheus text; nothing without one. */
void cache_embedder_metrics(const struct cache *cache, FILE *out);
/* Latencies of hits, by tier. */
const struct histogram *cache_exact_us(const struct cache *cache);
const struct histogram *cache_semantic_us(const struct cache *cache);
/* Of syncs of the disk; NULL: there is no folder, or it is being read. */
const struct histogram *cache_sync_us(const struct cache *cache);

/* What the keeper does every 100 ms: one tick of the sweep, and freeing what readers have left. */
void cache_tick(struct cache *cache, int64_t now_ms);

const struct key_limits *cache_key_limits(const struct cache *cache);
/* For those who watch decisions. */
struct monitor *cache_monitor(const struct cache *cache);

/* Would cache_create, or cache_configure, take these? STATUS_BAD_OPTION with the option's name. */
enum status cache_check_options(const struct options *options, struct failure *failure);
/* From now on by what these say in rows that are OPTION_LIVE; cache_check_options has agreed. What
 * is stored keeps its time to live. NO_MEMORY: nothing has changed. By a thread that may enter an
 * epoch, one at a time. */
enum status cache_configure(struct cache *cache, const struct options *options);
/* Options were read again and are wrong: those of before are kept. For cache_stats. */
void cache_note_config(struct cache *cache, bool rejected);
