/*
 * reprise.h - the C client of Reprise, a response cache for LLM applications.
 *
 * A client is a handle on one server; any number of threads may call through it at once. Every call
 * blocks until its reply or its deadline, and gives a `struct reprise_result`, never NULL:
 *
 *     struct reprise_result *result = reprise_get(client, &request, NULL);
 *     if (result->code == REPRISE_OK && result->get->hit)
 *         puts(result->get->content);
 *     reprise_result_free(&result);
 *
 * OWNERSHIP. Requests are borrowed for the length of the call. All that a result points to belongs
 * to the result and lives until reprise_result_free. Strings in results are never NULL and end with
 * NUL; strings in requests may be NULL, which is the same as "". A zeroed request struct is a
 * request in which nothing is given.
 *
 * FAIL OPEN. A miss is an outcome (code REPRISE_OK, hit = false). An error means that the call
 * could not be carried out; an application does best to treat it as a miss and ask its model. Reads
 * wait 20 ms and writes 100 ms unless told otherwise, so that a slow cache costs little.
 *
 * Units: times end in _ms, moments in _unix_ms. Numbers of enums are those of the protocol
 * (proto/reprise/v1). This header needs nothing but the C library, and reads as C++20 too.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Outcomes -------------------------------------------------------------------------------- */

/* gRPC's status codes. */
enum reprise_code {
    REPRISE_OK = 0,
    REPRISE_CANCELLED = 1,
    REPRISE_UNKNOWN = 2,
    REPRISE_INVALID_ARGUMENT = 3,
    REPRISE_DEADLINE_EXCEEDED = 4,
    REPRISE_NOT_FOUND = 5,
    REPRISE_ALREADY_EXISTS = 6,
    REPRISE_PERMISSION_DENIED = 7,
    REPRISE_RESOURCE_EXHAUSTED = 8,
    REPRISE_FAILED_PRECONDITION = 9,
    REPRISE_ABORTED = 10,
    REPRISE_OUT_OF_RANGE = 11,
    REPRISE_UNIMPLEMENTED = 12,
    REPRISE_INTERNAL = 13,
    REPRISE_UNAVAILABLE = 14,
    REPRISE_DATA_LOSS = 15,
    REPRISE_UNAUTHENTICATED = 16,
};

enum reprise_tier { REPRISE_TIER_NONE = 0, REPRISE_TIER_EXACT = 1, REPRISE_TIER_SEMANTIC = 2 };

enum reprise_miss_reason {
    REPRISE_MISS_NONE = 0, /* it was a hit */
    REPRISE_MISS_NO_CANDIDATE = 1,
    REPRISE_MISS_BELOW_CUT = 2,
    REPRISE_MISS_GUARD_BLOCKED = 3,
    REPRISE_MISS_EXPIRED = 7,
    REPRISE_MISS_TOO_OLD = 8,
    REPRISE_MISS_NOT_FOUND = 9,
    REPRISE_MISS_NOT_ELIGIBLE = 10,
    REPRISE_MISS_DISABLED = 11,
    REPRISE_MISS_BYPASSED = 12,
    REPRISE_MISS_WAIT_TIMEOUT = 13,
    REPRISE_MISS_LEADER_FAILED = 14,
    REPRISE_MISS_EMBEDDER_DOWN = 15,
    REPRISE_MISS_OVERLOADED = 17,
    REPRISE_MISS_TEXT_TOO_LONG = 20,
};

enum reprise_guard {
    REPRISE_GUARD_CLEAN = 0,
    REPRISE_GUARD_NUMBER = 1,
    REPRISE_GUARD_NEGATION = 2,
    REPRISE_GUARD_ANTONYM = 3,
    REPRISE_GUARD_ORDER = 4,
    REPRISE_GUARD_NAMES = 5,
};

enum reprise_include {
    REPRISE_INCLUDE_KEY = 1,
    REPRISE_INCLUDE_TIMING = 2,
    REPRISE_INCLUDE_MATCHED_PROMPT = 3,
    REPRISE_INCLUDE_CANDIDATES = 4,
    REPRISE_INCLUDE_ANSWER = 5, /* of the candidates */
};

enum reprise_skip {
    REPRISE_SKIP_NONE = 0, /* it was stored */
    REPRISE_SKIP_NO_STORE = 1,
    REPRISE_SKIP_FINISH_REASON = 2,
    REPRISE_SKIP_NOT_ELIGIBLE = 3,
    REPRISE_SKIP_EXISTS = 4,
    REPRISE_SKIP_ADMISSION = 5,
};

/* How far a change has come when its reply leaves: in memory; written, so that it survives the end
 * of the server's process; synced, so that it survives a power cut. */
enum reprise_ack {
    REPRISE_ACK_DEFAULT = 0, /* as the server is set up */
    REPRISE_ACK_MEMORY = 1,
    REPRISE_ACK_LOGGED = 2,
    REPRISE_ACK_SYNCED = 3,
};

/* What a Get that misses does about others that ask the same: the first gets the lease and
 * computes; the others are told so, or wait for its Set. */
enum reprise_lease_mode {
    REPRISE_LEASE_NONE = 0,
    REPRISE_LEASE_FIRST = 1,
    REPRISE_LEASE_WAIT = 2,
};

enum reprise_index_kind {
    REPRISE_INDEX_DEFAULT = 0, /* as the server is set up */
    REPRISE_INDEX_AUTO = 1,
    REPRISE_INDEX_FLAT = 2,
    REPRISE_INDEX_HNSW = 3,
    REPRISE_INDEX_IVF = 4,
};
enum reprise_eviction {
    REPRISE_EVICTION_DEFAULT,
    REPRISE_EVICTION_S3FIFO,
    REPRISE_EVICTION_LRU,
    REPRISE_EVICTION_LFU_AGING,
};
enum reprise_namespace_embedder { /* who makes vectors for texts that come without */
                                  REPRISE_NAMESPACE_EMBEDDER_DEFAULT,
                                  REPRISE_NAMESPACE_EMBEDDER_LEXICAL,
                                  REPRISE_NAMESPACE_EMBEDDER_CLIENT,
};

enum reprise_verdict {
    REPRISE_VERDICT_CORRECT = 1,
    REPRISE_VERDICT_WRONG = 2,
    REPRISE_VERDICT_UNSURE = 3,
    REPRISE_VERDICT_STALE = 4,
};

enum reprise_source { REPRISE_SOURCE_USER = 1, REPRISE_SOURCE_OPERATOR = 4 };

enum reprise_outcome {
    REPRISE_OUTCOME_ACCEPTED = 1,
    REPRISE_OUTCOME_DUPLICATE = 2,
    REPRISE_OUTCOME_EXPIRED = 3,
    REPRISE_OUTCOME_UNKNOWN_ENTRY = 4,
    REPRISE_OUTCOME_RATE_LIMITED = 5,
    REPRISE_OUTCOME_BAD_TOKEN = 6,
    REPRISE_OUTCOME_COUNTED_ONLY = 7,
};

enum reprise_mode {
    REPRISE_MODE_DEFAULT = 0, /* as the server is set up */
    REPRISE_MODE_OFF = 1,
    REPRISE_MODE_STATIC = 2,
    REPRISE_MODE_ADAPTIVE = 3,
    REPRISE_MODE_SHADOW = 4,
};

enum reprise_health {
    REPRISE_HEALTH_UNKNOWN = 0,
    REPRISE_HEALTH_SERVING = 1,
    REPRISE_HEALTH_NOT_SERVING = 2,
};

enum reprise_watched_result { /* of what Monitor tells */
                              REPRISE_WATCHED_HIT = 1,
                              REPRISE_WATCHED_MISS,
                              REPRISE_WATCHED_STALE,
                              REPRISE_WATCHED_NEGATIVE,
                              REPRISE_WATCHED_STORED,
                              REPRISE_WATCHED_SKIPPED,
};

enum reprise_config_source { /* as in the protocol; the later one wins */
                             REPRISE_CONFIG_DEFAULT = 1,
                             REPRISE_CONFIG_FILE,
                             REPRISE_CONFIG_ENVIRONMENT,
                             REPRISE_CONFIG_FLAG,
                             REPRISE_CONFIG_RUN_TIME,
};

/* The name as the protocol spells it, without its prefix: "EXACT", "GUARD_BLOCKED", "UNAVAILABLE".
 * A number that this version does not know gives "UNRECOGNIZED". */
const char *reprise_code_name(enum reprise_code code);
const char *reprise_tier_name(enum reprise_tier tier);
const char *reprise_miss_reason_name(enum reprise_miss_reason reason);
const char *reprise_guard_name(enum reprise_guard guard);
const char *reprise_include_name(enum reprise_include include);
const char *reprise_skip_name(enum reprise_skip skip);
const char *reprise_ack_name(enum reprise_ack ack);
const char *reprise_index_kind_name(enum reprise_index_kind kind);
const char *reprise_eviction_name(enum reprise_eviction eviction);
const char *reprise_namespace_embedder_name(enum reprise_namespace_embedder embedder);
const char *reprise_outcome_name(enum reprise_outcome outcome);
const char *reprise_mode_name(enum reprise_mode mode);
const char *reprise_watched_result_name(enum reprise_watched_result result);
const char *reprise_config_source_name(enum reprise_config_source source);
const char *reprise_health_name(enum reprise_health health);

/* ---- The client ------------------------------------------------------------------------------ */

struct reprise_client;

struct reprise_client_options {
    const char *endpoint;       /* "HOST:PORT", or any gRPC target; NULL: "127.0.0.1:7371"  */
    uint32_t read_deadline_ms;  /* of Get, BatchGet, Stats, Health; 0: 20                   */
    uint32_t write_deadline_ms; /* of all other calls; 0: 100                               */
    uint32_t reply_max_bytes;   /* a larger reply is refused; 0: 4 MiB, as the server's     */
};

/* NULL only when memory is spent. Nothing is connected yet: the first call connects, or
 * reprise_client_connect. */
struct reprise_client *reprise_client_create(const struct reprise_client_options *options);

/* Sets *client to NULL; NULL is fine. No call may still be running. Results stay valid. */
void reprise_client_destroy(struct reprise_client **client);

/* Waits until there is a connection; false when there is none after that time. Calls work without
 * it, but the first one pays for the connection out of its own deadline. */
bool reprise_client_connect(struct reprise_client *client, uint32_t timeout_ms);

/* How many calls of this client did not end with REPRISE_OK: those that an application took for
 * misses. */
uint64_t reprise_client_failures_count(const struct reprise_client *client);

struct reprise_pair {
    const char *name, *value;
};

/* What may differ from call to call; NULL in its place is the same as all zero. */
struct reprise_call {
    uint32_t deadline_ms; /* 0: the client's                                              */
    const struct reprise_pair
        *metadata; /* gRPC metadata, such as "x-request-id"; names in lower case,
                      names that end in "-bin" and "grpc-" are refused              */
    size_t metadata_count;
};

/* ---- Requests -------------------------------------------------------------------------------- */

struct reprise_message { /* one message of a conversation, in the shape of the OpenAI chat API */
    const char *role, *content, *content_json, *name, *tool_call_id, *tool_calls_json;
};

struct reprise_params { /* sampling; all that is given is part of the identity */
    bool temperature_given, top_p_given, max_tokens_given, seed_given;
    double temperature, top_p;
    uint32_t max_tokens;
    int64_t seed;
    uint32_t n; /* above 1 a Set needs extra_choices_json */
    const char *const *stop;
    size_t stop_count;
    const char *other_json;
};

struct reprise_identity {   /* what is asked */
    const char *namespace_; /* "": default                             */
    const char *model;      /* required                                */
    const char *prompt;     /* one user message; or `messages` instead */
    const struct reprise_message *messages;
    size_t messages_count;
    const char *system_prompt;
    struct reprise_params params;
    const char *tools_json, *tool_choice_json, *response_format_json;
    const struct reprise_pair *attributes;
    size_t attributes_count;
    const char *const *context_ids;
    size_t context_ids_count;
    const char *embedder; /* the caller's own, by name; without a vector: the exact tier only */
};

struct reprise_vector {
    const float *numbers; /* NULL: none, the server embeds */
    size_t count;
};

struct reprise_usage { /* what the provider counted for the answer */
    uint32_t input_tokens, output_tokens, cache_read_tokens, cache_creation_tokens,
        reasoning_tokens;
    uint32_t latency_ms;
    uint64_t nano_usd;
    bool estimated;
};

struct reprise_info { /* all of an answer but its text; stored and given back as it is */
    const char *reasoning, *refusal, *tool_calls_json, *finish_reason;
    const struct reprise_usage *usage; /* NULL: none */
    const char *upstream_id, *system_fingerprint;
    int64_t created_unix_ms;
    const char *content_type; /* "", text types and application/json are text: `content`; others are
                                 `blob` */
    const char *extra_choices_json; /* choices 2 to n */
};

struct reprise_cache_control { /* see CacheControl in common.proto */
    bool no_cache, no_store, only_if_cached, bypass;
    bool max_age_given;
    uint64_t max_age_ms, min_fresh_ms, max_stale_ms;
};

struct reprise_dependency { /* what an answer was made from, in which version */
    const char *id, *version;
};

struct reprise_get_request {
    struct reprise_identity identity;
    struct reprise_vector vector;
    const enum reprise_tier *tiers; /* only these; none: all that the policy allows */
    size_t tiers_count;
    bool min_similarity_given;
    float min_similarity; /* 0 to 1; only tightens */
    const enum reprise_include *include;
    size_t include_count;
    struct reprise_cache_control cache_control;
    enum reprise_lease_mode lease;
    uint32_t lease_wait_ms; /* WAIT: at most so long; 0: the server's 60 s. Unless the call has a
                               deadline of its own, it is as much longer                       */
    uint32_t lease_hold_ms; /* 0: the server's 30 s */
};

struct reprise_set_request {
    struct reprise_identity identity; /* the same as the Get's that missed */
    const struct reprise_info *info;  /* NULL: none                        */
    struct reprise_vector vector;
    bool ttl_given;
    uint64_t ttl_ms;
    const char *const *tags;
    size_t tags_count;
    const struct reprise_pair *metadata; /* given back on hits */
    size_t metadata_count;
    bool sliding;            /* each hit gives it its TTL anew... */
    uint64_t sliding_max_ms; /* ...until so long after this; 0: as long as may be */
    /* So long past its TTL it still serves, or waits for Gets with max_stale_ms. */
    uint64_t stale_while_revalidate_ms, stale_if_error_ms;
    bool pinned;    /* never evicted */
    bool if_absent; /* only if there is none within its TTL; skip EXISTS */
    bool negative;  /* an upstream's error: exact tier, 60 s at most */
    struct reprise_cache_control cache_control; /* no_store, bypass */
    const struct reprise_dependency *depends_on;
    size_t depends_on_count;
    enum reprise_ack ack;    /* what the reply waits for */
    const char *lease_token; /* of the Get that told this caller to compute */
    const char *content;     /* the answer's text; or                    */
    const void *blob;        /* its bytes, where the content type is opaque */
    size_t blob_size;
};

struct reprise_delete_request { /* by ids, by identity, or both */
    const char *namespace_;     /* of the ids */
    const char *const *entry_ids;
    size_t entry_ids_count;
    const struct reprise_identity *identity; /* NULL: none */
};

struct reprise_invalidate_request { /* all given parts must match */
    const char *namespace_, *model;
    const char *const *tags;
    size_t tags_count;
    int64_t created_before_unix_ms; /* 0: any moment                                        */
    const char *depends_on_id, *depends_on_version_not; /* "": whatever it depends on      */
    bool dry_run;        /* count and sample, remove nothing                     */
    bool make_stale;     /* end the TTL instead of removing                      */
    const char *confirm; /* a whole namespace needs its name once more here; what is
                            given must be that name                              */
};

struct reprise_touch_request {
    const char *namespace_; /* of the ids */
    const char *const *entry_ids;
    size_t entry_ids_count;
    bool ttl_given;  /* else the server's standard */
    uint64_t ttl_ms; /* from now */
};

struct reprise_search_request {
    struct reprise_identity identity; /* its scope is searched                              */
    struct reprise_vector vector;
    uint32_t top_k;         /* 0: 10; at most 100                                           */
    float min_similarity;   /* 0 to 1                                                       */
    bool any_compatibility; /* entries of other system prompts, parameters, ... too         */
    bool exhaustive;        /* look at every row                                            */
    const enum reprise_include *include; /* MATCHED_PROMPT, ANSWER                          */
    size_t include_count;
};

struct reprise_explain_request {
    struct reprise_get_request get;
    const char *against_entry_id; /* compare with this one; "": the server chooses */
};

struct reprise_scroll_request { /* all given parts must match; none: every entry */
    const char *namespace_, *model;
    const char *const *tags;
    size_t tags_count;
    int64_t created_before_unix_ms; /* 0: any moment                            */
    uint32_t limit;                 /* 0: 100; at most 1,000                    */
    const char *cursor;             /* next_cursor of the page before; "": none */
    bool answers, vectors;          /* wanted too                               */
};

struct reprise_report_request {
    const char *decision_token; /* from a Get's reply */
    enum reprise_verdict verdict;
    enum reprise_source source; /* 0: user */
    const char *reporter, *feedback_id;
};

/* ---- Replies --------------------------------------------------------------------------------- */

struct reprise_error {
    enum reprise_code code;
    const char *reason;  /* "LIMIT_EXCEEDED"; "" when the server did not say                      */
    const char *field;   /* "identity.messages[3].content"; "" when no field is to blame          */
    const char *message; /* a sentence for people                                                 */
    int64_t retry_after_ms; /* when the server asks to come back later; -1: it did not */
};

struct reprise_entry {
    const char *entry_id;
    int64_t created_unix_ms;
    uint64_t age_ms;
    int64_t ttl_remaining_ms; /* below 0: stale for so long; INT64_MAX: it does not expire */
    uint64_t hit_count;
    bool negative; /* an upstream's error */
    const struct reprise_pair *metadata;
    size_t metadata_count;
};

struct reprise_decision {
    const char *token; /* for reprise_report */
    bool certified;
    const enum reprise_guard *guards;
    size_t guards_count;
    bool near_miss; /* the three below are set */
    const char *near_entry_id;
    float near_similarity, near_delta;
};

struct reprise_lease {
    const char *token; /* not "": compute, then give it to reprise_set or reprise_release_lease */
    uint32_t hold_ms;
    bool held_by_other;
};

struct reprise_timing {
    uint32_t key_us, embed_us, search_us, decide_us, total_us;
};

struct reprise_candidate {
    const char *entry_id;
    float similarity;
    enum reprise_guard guard;
    const char *prompt;
    bool other_compatibility;        /* no Get of this request is served by it        */
    const struct reprise_info *info; /* the three below: only with INCLUDE_ANSWER */
    const char *content;
    const void *blob;
    size_t blob_size;
};

struct reprise_debug {
    const char *key;
    const struct reprise_timing *timing; /* NULL: not asked for */
    const struct reprise_candidate *candidates;
    size_t candidates_count;
    const char *matched_prompt;
};

struct reprise_get_reply {
    bool hit;
    enum reprise_tier tier;
    enum reprise_miss_reason miss_reason;
    bool stale; /* a hit past its TTL */
    float similarity, threshold;
    const struct reprise_entry *entry;       /* NULL on a miss                    */
    const struct reprise_info *info;         /* NULL: the Set gave none           */
    const struct reprise_decision *decision; /* NULL: no policy decided           */
    const struct reprise_debug *debug;       /* NULL: nothing of it was asked for */
    const struct reprise_lease *lease;       /* NULL: none was asked for, or a hit */
    const char *const *degraded; /* what did not work although the call did: "embedder_down" */
    size_t degraded_count;
    const char *content;
    const void *blob;
    size_t blob_size;
};

struct reprise_search_reply {
    const struct reprise_candidate *candidates; /* best first */
    size_t candidates_count;
    uint32_t scanned;
};

struct reprise_field_diff {
    const char *field;                         /* "params.temperature"                */
    const char *request_digest, *entry_digest; /* 8 hex digits; "": absent            */
    bool equal;
};
struct reprise_explain_reply {
    const char *reason; /* one sentence */
    const struct reprise_get_reply *would_be;
    const struct reprise_candidate *candidates; /* that it might be served by, best first */
    size_t candidates_count;
    const struct reprise_field_diff *fields; /* in the order of identity */
    size_t fields_count;
    const char *scope_key, *compat_key, *exact_key;
    const void *canonical;
    size_t canonical_size;
    const char *const *steps;
    size_t steps_count;
    const char *against_entry_id; /* "": there is nothing to compare with */
    float against_similarity;
};

struct reprise_set_reply {
    const char *entry_id;
    bool stored, indexed;
    enum reprise_skip skip;
    int64_t expires_unix_ms; /* the end of its TTL; 0: never */
    uint64_t sequence;
    enum reprise_ack ack;        /* what was given; DEFAULT: not stored */
    const char *const *degraded; /* why it is not indexed although it should be: "embedder_down",
                                    "overloaded", "text_too_long"; and "memory_only": a restart
                                    forgets it, the disk having failed or being full */
    size_t degraded_count;
};

struct reprise_get_item { /* one of the two is set */
    const struct reprise_get_reply *reply;
    const struct reprise_error *error;
};
struct reprise_batch_get_reply {
    const struct reprise_get_item *items; /* in the order of the request */
    size_t items_count;
    uint32_t server_us;
};

struct reprise_set_item { /* one of the two is set */
    const struct reprise_set_reply *reply;
    const struct reprise_error *error;
};
struct reprise_batch_set_reply {
    const struct reprise_set_item *items;
    size_t items_count;
    uint32_t server_us;
};

struct reprise_release_reply {
    bool released;    /* false: the token holds nothing (any more)    */
    uint32_t waiters; /* how many wait still, behind the next holder  */
};

struct reprise_delete_reply {
    uint32_t deleted;
};

struct reprise_invalidate_reply {
    uint64_t matched;
    const char *const *sample_ids;
    size_t sample_ids_count;
};

struct reprise_touch_reply {
    uint32_t touched, missing;
};

struct reprise_report_reply {
    const char *feedback_id;
    enum reprise_outcome outcome;
    uint32_t labels_left_this_minute;
};

struct reprise_batch_report_reply {
    const struct reprise_report_reply *results; /* in the order of the request */
    size_t results_count;
};

struct reprise_tier_stats {
    enum reprise_tier tier;
    uint64_t lookups, hits, stale_hits, negative_hits, misses;
    double hit_rate, tier_rate;
    uint64_t entries, size_bytes;
    uint32_t p50_us, p99_us;
};
struct reprise_miss_count {
    enum reprise_miss_reason reason;
    uint64_t count;
};
struct reprise_scope_policy {
    const char *namespace_, *model, *embedder;
    const struct reprise_pair *attributes;
    size_t attributes_count;
    enum reprise_mode mode;
    float threshold;
    double recent_accuracy; /* -1: no verdict yet */
    uint32_t feedback_count;
    bool certified;
    uint64_t lookups, hits, guard_blocked;
    uint64_t rows;                      /* vectors that can be found              */
    enum reprise_index_kind index_kind; /* how they are searched; DEFAULT: none   */
    const char *index_state;            /* "rests", "waits", "watched", "builds", "rewrites" */
    double index_done;                  /* 0 to 1, of what is being built         */
    double recall_sample;               /* -1: no search has been sampled yet     */
    uint64_t would_hits;                /* that `shadow` would have answered      */
    uint64_t near_verdicts;             /* right and wrong ones, on near misses   */
};
struct reprise_embedder_error {
    const char *reason; /* "timeout" */
    uint64_t count;
};
struct reprise_embedder_info { /* see EmbedderInfo in admin.proto */
    const char *name, *version;
    uint32_t dimension;
    float threshold_default, min_similarity;
    const char *space_id; /* 16 hex digits */
    /* Since start: with a vector; too long or refused; no room in a queue; not in time; failed. */
    uint64_t texts, too_long, overloaded, late, failed;
    const char *provider, *precision, *isa; /* "local", "int8", "avx512vnni"; "": it has none   */
    bool tokens_given; /* false: a remote one that does not say, which is not 0 */
    uint64_t tokens, packs, recent_hits, wordless;
    uint32_t waiting;
    const char *circuit; /* of a remote one "closed" or "open"; else "", and all below is 0     */
    uint64_t requests, retries, openings, canaries, canary_drifts, bad_vectors;
    uint64_t uncounted; /* replies that do not say how many tokens they took */
    const struct reprise_embedder_error *errors; /* only reasons that occurred */
    size_t errors_count;
};
struct reprise_journal_info { /* the server's data folder; see JournalInfo in admin.proto */
    const char *io_reason, *cause;
    uint64_t size_bytes, live_bytes, segments;
    uint64_t records, batches, syncs, sync_us_last, queue_bytes, durable_sequence;
    uint64_t recovered_entries, recovered_bytes, recovered_ms, recovered_rows, rows_without_space;
    uint64_t damaged_bytes, torn_bytes, read_errors, segments_set_aside;
    uint64_t purge_pending_ms, purge_ms_last, purges_settled;
};
struct reprise_stats_reply {
    const struct reprise_tier_stats *tiers;
    size_t tiers_count;
    const struct reprise_miss_count *misses;
    size_t misses_count;
    uint64_t total_requests, cached_requests;
    double cache_rate;
    uint64_t entries, size_bytes, bytes_max, entries_max, sets, evictions, expirations;
    uint64_t leases, lease_waits; /* Gets that were told to compute; that waited for another */
    uint64_t calibrated_pairs;    /* labelled pairs that Calibrate has compared */
    const char *const *degraded;
    size_t degraded_count;
    uint64_t uptime_s;
    const char *version;
    const struct reprise_scope_policy *policies;
    size_t policies_count;
    const struct reprise_embedder_info *embedders;
    size_t embedders_count;
    const char *storage_state; /* "none", "loading", "durable", "memory_only", "read_only" */
    const char *io_backend;    /* "io_uring", "posix", ""                                  */
    double loading_done;       /* 0 to 1; 1: serving                                       */
    const struct reprise_journal_info *journal; /* NULL: it has no data folder              */
};

struct reprise_stored { /* an entry, as it is kept */
    const char *entry_id;
    const char *namespace_, *model, *prompt;
    int64_t created_unix_ms, expires_unix_ms; /* the end of its TTL; 0: never */
    uint64_t hit_count, size_bytes;
    const char *const *tags;
    size_t tags_count;
    const struct reprise_pair *metadata;
    size_t metadata_count;
    const struct reprise_dependency *depends_on;
    size_t depends_on_count;
    bool pinned, negative;
    /* Of one that slides, or serves past its TTL. */
    uint64_t ttl_ms, sliding_max_ms, stale_while_revalidate_ms, stale_if_error_ms;
    struct reprise_vector vector; /* none: it has none, or it was not asked for */
    const char *embedder;         /* its vector's, if it is a client's          */
    const struct reprise_pair *attributes;
    size_t attributes_count;
    /* What the rest of its identity was, for reprise_import. */
    const char *scope_id, *compat_id, *space_id;
    const void *field_sums;
    size_t field_sums_size;
    const struct reprise_info *info; /* likewise, and the three below              */
    const char *content;
    const void *blob;
    size_t blob_size;
};
struct reprise_scroll_reply { /* of get_entry: the one */
    const struct reprise_stored *entries;
    size_t entries_count;
    const char *next_cursor; /* "": this was the last page */
};

struct reprise_import_reply {
    uint32_t imported, kept, expired, indexed;
    uint32_t evicted;   /* left to make room            */
    uint32_t unindexed; /* imported, and without vector */
};

struct reprise_snapshot {
    const char *name;
    int64_t created_unix_ms;
    uint64_t size_bytes, entries;
};
struct reprise_snapshots_reply { /* of create: the one */
    const struct reprise_snapshot *snapshots;
    size_t snapshots_count;
};
struct reprise_compact_reply {
    uint64_t size_bytes_before, size_bytes_after;
};
struct reprise_policy { /* numbers from 0 to 1; negative: not set */
    enum reprise_mode mode;
    float min_similarity; /* what is less similar is no candidate */
    float static_threshold;
    float adaptive_initial, adaptive_min, adaptive_max, adaptive_step;
    bool names_off; /* names that differ do not block */
};
/* A policy that sets nothing. */
extern const struct reprise_policy reprise_policy_none;

/* What a namespace wants otherwise than the server's options say; begin with
 * reprise_namespace_none. 0: as the server is set up; a budget of 0: none. */
struct reprise_namespace {
    const char *name;
    const enum reprise_tier *tiers; /* none: all */
    size_t tiers_count;
    struct reprise_policy policy;
    uint64_t ttl_ms, ttl_max_ms, bytes_max, entries_max;
    double temperature_max; /* negative: not set */
    uint32_t user_turns_max;
    enum reprise_ack ack;
    enum reprise_index_kind index_kind;
    uint32_t ef_search, nprobe;
    enum reprise_eviction eviction; /* who leaves over its budget */
    enum reprise_namespace_embedder embedder;
    uint64_t version, entries, size_bytes, rows; /* in replies */
    const char *degraded; /* in replies: what today's options do not allow; "": nothing */
};
extern const struct reprise_namespace reprise_namespace_none;
struct reprise_namespaces_reply {
    const struct reprise_namespace *namespaces; /* by name */
    size_t namespaces_count;
    bool more; /* there are others behind the last one */
};
struct reprise_policy_reply {
    struct reprise_policy set; /* GetPolicy alone */
    struct reprise_policy effective;
    uint64_t version; /* the namespace's */
    const struct reprise_scope_policy
        *live;       /* DescribePolicy: of the most used scope; NULL: none */
    uint64_t scopes; /* DescribePolicy: how many match           */
};
struct reprise_calibrate_request {
    const char *namespace_; /* NULL: default. Its guard holds                                    */
    const char *embedder;   /* whose vectors the pairs bring; NULL: nobody's, or nameless         */
    double error_max;       /* which share of hits may be wrong, 0 to 1; 0: the server's, 0.02    */
};
struct reprise_labelled_pair {
    const char *prompt_a, *prompt_b;  /* UTF-8; may be NULL where there are vectors               */
    const float *vector_a, *vector_b; /* both, or none                                            */
    size_t dimension;                 /* of each; 0: none                                         */
    bool same;                        /* the answer to one is right for the other                 */
};
struct reprise_curve_point { /* shares, 0 to 1 */
    float threshold;
    double hit_rate, error_all, error_hit;
    double error_hit_low, error_hit_high; /* 95 % */
    uint64_t hits, wrong;
};
struct reprise_calibrate_reply {
    uint64_t pairs, same, guard_blocked, guard_blocked_same, without_vector, hits_needed;
    double error_max;
    float chosen_threshold; /* negative: the pairs prove error_max of none */
    float threshold_in_force;
    const char *embedder, *space_id;
    const struct reprise_curve_point *curve; /* from 0.50 up */
    size_t curve_count;
};
struct reprise_option {
    const char *name, *value; /* value "": unset; the server decides */
    enum reprise_config_source source;
    bool live;               /* may change while the server runs */
    const char *start_value; /* what a reset brings back */
    const char *allowed, *meaning;
};
struct reprise_config_reply {
    const struct reprise_option *options;
    size_t options_count;
};
struct reprise_config_change {
    const char *name;
    const char *value; /* NULL: as the server was started */
};
struct reprise_shadow_point { /* one threshold, as if it had been in force; shares 0 to 1 */
    float threshold;
    uint64_t would_hits, verdicts, wrong;
    double hit_rate;
    double error_hit, error_hit_low, error_hit_high; /* wrong / verdicts, 95 % */
    double agreement;                                /* of all verdicts, those it goes with */
};
struct reprise_shadow_counts {
    struct reprise_scope_policy policy; /* of the total: namespace, mode and counters */
    uint64_t verdicts, right, guard_blocked, guard_blocked_right;
    const struct reprise_shadow_point *points; /* from 0.50 up */
    size_t points_count;
};
struct reprise_shadow_reply {
    struct reprise_shadow_counts total;
    const struct reprise_shadow_counts *scopes; /* the most used first, not all of many */
    size_t scopes_count;
    uint64_t matching;
    int64_t since_unix_ms;
};
struct reprise_drop_reply {
    uint64_t removed;
};

struct reprise_health_reply {
    enum reprise_health status;
};

struct reprise_result {
    enum reprise_code code;
    struct reprise_error error; /* when code is not REPRISE_OK */
    /* When code is REPRISE_OK, the one that was asked for; all others are NULL. */
    const struct reprise_get_reply *get;
    const struct reprise_set_reply *set;
    const struct reprise_batch_get_reply *batch_get;
    const struct reprise_batch_set_reply *batch_set;
    const struct reprise_release_reply *release;
    const struct reprise_delete_reply *delete_;
    const struct reprise_invalidate_reply *invalidate;
    const struct reprise_touch_reply *touch;
    const struct reprise_report_reply *report;
    const struct reprise_batch_report_reply *batch_report;
    const struct reprise_search_reply *search;
    const struct reprise_explain_reply *explain;
    const struct reprise_scroll_reply *scroll;
    const struct reprise_import_reply *imported;
    const struct reprise_stats_reply *stats;
    const struct reprise_health_reply *health;
    const struct reprise_snapshots_reply *snapshots;
    const struct reprise_compact_reply *compact;
    const struct reprise_namespace *namespace_;
    const struct reprise_namespaces_reply *namespaces;
    const struct reprise_drop_reply *dropped;
    const struct reprise_policy_reply *policy;
    const struct reprise_calibrate_reply *calibrated;
    const struct reprise_shadow_reply *shadow;
    const struct reprise_config_reply *config;
    bool deleted_snapshot;
};

/* Frees a result of any call and sets *result to NULL; NULL is fine. */
void reprise_result_free(struct reprise_result **result);

/* ---- Calls ----------------------------------------------------------------------------------- */

/* Asks the exact tier, then the semantic one. */
struct reprise_result *reprise_get(struct reprise_client *client,
                                   const struct reprise_get_request *request,
                                   const struct reprise_call *call);
/* Stores one answer under its identity; findable in both tiers when this returns. */
struct reprise_result *reprise_set(struct reprise_client *client,
                                   const struct reprise_set_request *request,
                                   const struct reprise_call *call);
/* Up to 256 requests in one call, at a fraction of the cost each; items fail one by one. */
struct reprise_result *reprise_batch_get(struct reprise_client *client,
                                         const struct reprise_get_request *requests, size_t count,
                                         const struct reprise_call *call);
struct reprise_result *reprise_batch_set(struct reprise_client *client,
                                         const struct reprise_set_request *requests, size_t count,
                                         const struct reprise_call *call);
/* Gives a lease back without an answer: who has waited longest holds it from here on. */
struct reprise_result *reprise_release_lease(struct reprise_client *client, const char *token,
                                             const struct reprise_call *call);
/* Removes entries before it returns. */
struct reprise_result *reprise_delete(struct reprise_client *client,
                                      const struct reprise_delete_request *request,
                                      const struct reprise_call *call);
struct reprise_result *reprise_invalidate(struct reprise_client *client,
                                          const struct reprise_invalidate_request *request,
                                          const struct reprise_call *call);
/* Gives entries a new TTL from now on. */
struct reprise_result *reprise_touch(struct reprise_client *client,
                                     const struct reprise_touch_request *request,
                                     const struct reprise_call *call);
/* The entries nearest to a question; serves and counts nothing. */
struct reprise_result *reprise_search(struct reprise_client *client,
                                      const struct reprise_search_request *request,
                                      const struct reprise_call *call);
/* What a Get would be answered and why; changes nothing. For people: it may walk the whole table,
 * so give the call a deadline. */
struct reprise_result *reprise_explain(struct reprise_client *client,
                                       const struct reprise_explain_request *request,
                                       const struct reprise_call *call);
/* Says whether the answer behind a decision token was right. */
struct reprise_result *reprise_report(struct reprise_client *client,
                                      const struct reprise_report_request *request,
                                      const struct reprise_call *call);
/* Up to 1,000 verdicts in one call; if one of them is none, all are refused. */
struct reprise_result *reprise_batch_report(struct reprise_client *client,
                                            const struct reprise_report_request *requests,
                                            size_t count, const struct reprise_call *call);
/* Counters since start; namespace_ NULL or "": of the whole server. */
struct reprise_result *reprise_stats(struct reprise_client *client, const char *namespace_,
                                     const struct reprise_call *call);
/* The standard health check; service NULL or "": the server as a whole. */
struct reprise_result *reprise_health_check(struct reprise_client *client, const char *service,
                                            const struct reprise_call *call);

/* A page of what is stored; serves and counts nothing. */
struct reprise_result *reprise_scroll(struct reprise_client *client,
                                      const struct reprise_scroll_request *request,
                                      const struct reprise_call *call);
/* One entry by its id, its answer included; REPRISE_NOT_FOUND. Its result is a page of one. */
struct reprise_result *reprise_get_entry(struct reprise_client *client, const char *entry_id,
                                         bool vector, const struct reprise_call *call);

/* Stores entries of a scroll with answers, under the ids that they had, at most 256 a call; those
 * that are there already are kept, or overwritten. */
struct reprise_result *reprise_import(struct reprise_client *client,
                                      const struct reprise_stored *entries, size_t count,
                                      bool overwrite, bool dry_run,
                                      const struct reprise_call *call);

/* Everything that lives, as files of their own in the server's data folder; name NULL or "": the
 * time. Takes as long as writing it: give the call a deadline. */
struct reprise_result *reprise_create_snapshot(struct reprise_client *client, const char *name,
                                               const struct reprise_call *call);
struct reprise_result *reprise_list_snapshots(struct reprise_client *client,
                                              const struct reprise_call *call);
struct reprise_result *reprise_delete_snapshot(struct reprise_client *client, const char *name,
                                               const struct reprise_call *call);
/* Rewrites the server's log without what is dead in it; give the call a deadline. */
struct reprise_result *reprise_compact(struct reprise_client *client,
                                       const struct reprise_call *call);
/*
 * The same again and again, the first at once, until `stats` says false or the server drains
 * (REPRISE_UNAVAILABLE). interval_ms: 100 to 3,600,000; 0: a second. A call without a deadline goes
 * on as long as somebody listens. `stats` is called by the thread that called this.
 */
struct reprise_stats_listener {
    bool (*stats)(void *context, const struct reprise_stats_reply *stats);
    void *context;
};
struct reprise_result *reprise_watch_stats(struct reprise_client *client, const char *namespace_,
                                           uint32_t interval_ms,
                                           const struct reprise_stats_listener *listener,
                                           const struct reprise_call *call);

struct reprise_monitor_request {
    const char *namespace_;                     /* NULL or "": all */
    const enum reprise_watched_result *results; /* only these; none: all */
    size_t results_count;
    uint32_t rate_max; /* decisions a second, 1 to 10,000; 0: 100 */
};
struct reprise_watched { /* a decision; texts are the listener's while it is called */
    int64_t at_unix_ms;
    enum reprise_watched_result result;
    const char *namespace_, *model;
    enum reprise_tier tier;
    enum reprise_miss_reason miss_reason;
    enum reprise_skip skip;
    float similarity, threshold; /* 0: nothing was compared */
    const enum reprise_guard *guards;
    size_t guards_count;
    uint32_t latency_us;
    const char *prompt; /* "" unless the server shows them */
};
struct reprise_decisions_listener {
    bool (*decision)(void *context, const struct reprise_watched *decision);
    bool (*dropped)(void *context, uint64_t dropped); /* so many were left out before the next */
    void *context;
};
/* Decisions as they are made, until the listener says false or the server drains. */
struct reprise_result *reprise_monitor(struct reprise_client *client,
                                       const struct reprise_monitor_request *request,
                                       const struct reprise_decisions_listener *listener,
                                       const struct reprise_call *call);

/* The options whose name begins with `prefix` (NULL or "": all); REPRISE_NOT_FOUND: none does. */
struct reprise_result *reprise_get_config(struct reprise_client *client, const char *prefix,
                                          const struct reprise_call *call);
/* Up to 64 options that may change while the server runs, all of them or none; the reply holds them
 * as they are now, with dry_run as they would be. REPRISE_INVALID_ARGUMENT names the option. */
struct reprise_result *reprise_set_config(struct reprise_client *client,
                                          const struct reprise_config_change *changes, size_t count,
                                          bool dry_run, const struct reprise_call *call);
/* Makes a namespace with settings of its own; `settings` may name it alone. */
struct reprise_result *reprise_create_namespace(struct reprise_client *client,
                                                const struct reprise_namespace *settings,
                                                const struct reprise_call *call);
struct reprise_result *reprise_get_namespace(struct reprise_client *client, const char *name,
                                             const struct reprise_call *call);
/* Up to 1,000 behind the name `after` (NULL: from the first on). */
struct reprise_result *reprise_list_namespaces(struct reprise_client *client, const char *after,
                                               const struct reprise_call *call);
/* Takes it away with all that it holds; `confirm` is its name once more. */
struct reprise_result *reprise_drop_namespace(struct reprise_client *client, const char *name,
                                              const char *confirm, const struct reprise_call *call);
/* What policy a namespace (NULL: default) has set, and what holds. */
struct reprise_result *reprise_get_policy(struct reprise_client *client, const char *namespace_,
                                          const struct reprise_call *call);
/* Sets it as a whole, if the namespace still has that version (0: whatever it has). */
struct reprise_result *reprise_set_policy(struct reprise_client *client, const char *namespace_,
                                          const struct reprise_policy *policy, uint64_t if_version,
                                          const struct reprise_call *call);
/* With the live state of the most used scope of this model (NULL: of any). */
struct reprise_result *reprise_describe_policy(struct reprise_client *client,
                                               const char *namespace_, const char *model,
                                               const struct reprise_call *call);
/* What each threshold would have served in a namespace (NULL: default), of this model (NULL: of
 * any), and what verdicts say of it. */
struct reprise_result *reprise_get_shadow_report(struct reprise_client *client,
                                                 const char *namespace_, const char *model,
                                                 const struct reprise_call *call);
/*
 * What each threshold would do with labelled pairs. Feed a calibration, up to 256 pairs a call,
 * then finish it; nothing is stored. add: false once the stream is over, and finish says why. NULL
 * from begin: memory is spent. abandon frees one that is not to be finished; NULL is fine.
 */
struct reprise_calibration;
struct reprise_calibration *
reprise_calibration_begin(struct reprise_client *client,
                          const struct reprise_calibrate_request *request,
                          const struct reprise_call *call);
bool reprise_calibration_add(struct reprise_calibration *calibration,
                             const struct reprise_labelled_pair *pairs, size_t count);
struct reprise_result *reprise_calibration_finish(struct reprise_calibration **calibration);
void reprise_calibration_abandon(struct reprise_calibration **calibration);
/* Changes the named fields of one namespace: "tiers", "policy", "ttl_ms", "ttl_max_ms",
 * "bytes_max", "entries_max", "temperature_max", "user_turns_max", "ack", "index_kind",
 * "ef_search", "nprobe", "eviction", "embedder". */
struct reprise_result *reprise_update_namespace(struct reprise_client *client,
                                                const struct reprise_namespace *settings,
                                                const char *const *fields, size_t fields_count,
                                                const struct reprise_call *call);

/* ---- Streams --------------------------------------------------------------------------------- */

struct reprise_pace {
    uint32_t chunk_bytes;       /* of text at a time, 16 to 1 MiB; 0: the server's choice */
    uint32_t tokens_per_second; /* a token counting as 4 bytes; 0: at once                */
};

struct reprise_finish {
    const char *finish_reason, *extra_choices_json;
    const struct reprise_usage *usage; /* NULL: none */
};

struct reprise_part { /* of a replay; what it points to lives as long as the listener's call */
    const struct reprise_get_reply
        *head;                           /* the first, without the text; it lives with the result */
    const char *text;                    /* or a piece of the text                                */
    const struct reprise_finish *finish; /* or the last, of a hit                                 */
};

struct reprise_listener {
    bool (*part)(void *context,
                 const struct reprise_part *part); /* false: enough, REPRISE_CANCELLED */
    void *context;
};

/* A Get whose text comes in pieces; pace NULL: at once. Returns when it is over, with the head as
 * `get`. Streams have no deadline but the call's. */
struct reprise_result *reprise_get_stream(struct reprise_client *client,
                                          const struct reprise_get_request *request,
                                          const struct reprise_pace *pace,
                                          const struct reprise_listener *listener,
                                          const struct reprise_call *call);

struct reprise_delta { /* a piece of an answer; NULL is the same as "" */
    const char *content, *reasoning, *refusal, *tool_calls_json;
};

/* A Set whose answer comes in pieces, as a model sends it. Nothing is stored before the finish. */
struct reprise_capture;

/* `head` without content and blob. NULL only when memory is spent. */
struct reprise_capture *reprise_capture_begin(struct reprise_client *client,
                                              const struct reprise_set_request *head,
                                              const struct reprise_call *call);
/* False: the server wants no more of it, and the finish says why. */
bool reprise_capture_add(struct reprise_capture *capture, const struct reprise_delta *delta);
/* Stores; the reply is `set`. finish NULL: nothing to say. Frees the capture, whatever comes of it.
 */
struct reprise_result *reprise_capture_finish(struct reprise_capture **capture,
                                              const struct reprise_finish *finish);
/* Nothing is stored, and its lease goes on. NULL is fine. */
void reprise_capture_abandon(struct reprise_capture **capture);

/* The GetRequest as it travels: 5 bytes of gRPC framing, then the packed message; for load
 * generators that replay bodies. *out_bytes is freed with free(). False when memory is spent; then
 * nothing is written. */
bool reprise_get_request_pack(const struct reprise_get_request *request, uint8_t **out_bytes,
                              size_t *out_size);

#ifdef __cplusplus
}
#endif
