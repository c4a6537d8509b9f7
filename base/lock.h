/*
 * lock.h - mutexes with a rank. A thread takes only locks of a higher rank than it holds; builds
 * with REPRISE_SLOW_CHECKS assert it. "The caller holds the lock" is written as code: clang's
 * -Wthread-safety checks ACQUIRES, RELEASES and REQUIRES; gcc sees empty macros.
 */
#pragma once
#include <pthread.h>

#if defined(__clang__)
#define LOCK_CAPABILITY    __attribute__((capability("lock")))
#define ACQUIRES(lock)     __attribute__((acquire_capability(lock)))
#define TRY_ACQUIRES(lock) __attribute__((try_acquire_capability(1, lock)))
#define RELEASES(lock)     __attribute__((release_capability(lock)))
#define REQUIRES(lock)     __attribute__((requires_capability(lock)))
#define GUARDED            __attribute__((guarded_var))
#define UNSHARED           __attribute__((no_thread_safety_analysis))
#else
#define LOCK_CAPABILITY
#define ACQUIRES(lock)
#define TRY_ACQUIRES(lock)
#define RELEASES(lock)
#define REQUIRES(lock)
#define GUARDED
#define UNSHARED
#endif

/* clang-format off */
/*    rank name     guards                                                                          */
#define LOCK_RANK_TABLE(X)                                                                          \
    X(CONFIG,       "server/live.c: the options in force; held while rooms take a change")          \
    X(NAMESPACES,   "cache/namespace.c: name -> settings and counters, while they change")          \
    X(SCOPES,       "cache/scope.c: scope -> policy state")                                         \
    X(QUOTA,        "cache/quota.c: who is next to go from a namespace over its budget")            \
    X(LEASES,       "cache/lease.c: who computes and who waits; nothing is taken inside")           \
    X(DIRECTORY,    "index/directory.c: scope -> partition map")                                    \
    X(PARTITION,    "index/partition.c: one scope's rows and its view")                             \
    X(INDEX_WORK,   "index/work.c: partitions that ask for a builder; nothing is taken inside")     \
    X(RECALL,       "index/recall.c: searches to be repeated; tried, never waited for in one")      \
    X(INDEX_MEMORY, "index/memory.c: the vectors' budget, charged inside PARTITION")                \
    X(STRIPE,       "storage/table.c: one stripe of the exact table")                               \
    X(CERTIFY,      "trust/adaptive.c: one scope's ring of verdicts and its cut")                   \
    X(NONCES,       "trust/token.c: decision tokens already used")                                  \
    X(EMBED_BATCH,  "embed/batch.c: texts that wait, pumps, recent vectors")                        \
    X(EMBED_SPARE,  "embed/local.c: packs that nobody uses; nothing is taken inside")               \
    X(EMBED_BLAS,   "embed/encoder.c: OpenBLAS; nothing is taken inside")                           \
    X(REPORTERS,    "trust/reporter.c: verdicts a minute")                                          \
    X(WATCHERS,     "server/grpc/health.c: who watches which service")                              \
    X(MONITOR,      "cache/monitor.c: who watches decisions; tried, never waited for by who decides") \
    X(CALLS,        "server/grpc/: free lists of slots and arenas, one a queue")                    \
    X(TIMERS,       "server/grpc/timers.c: who is to be woken when; nothing is taken inside")      \
    X(POOL,         "base/pool.c: a compute thread's ring; nothing is taken inside")                \
    X(REMOTE,       "embed/remote.c: jobs handed in; nothing is taken inside")                      \
    X(OUTGOING,     "base/outgoing.c: requests and guests handed in; nothing is taken inside")      \
    X(MANIFEST,     "storage/journal.c: which files count; may be held while a file is written")    \
    X(JOURNAL,      "storage/: the sequence and the journal's queue; nothing is taken inside")      \
    X(RETIRED,      "base/epoch.c: what waits for readers to leave; nothing is taken inside")       \
    X(LOG,          "base/log.c: the lines of the last second; nothing is taken inside")
/* clang-format on */

enum lock_rank {
#define LOCK_RANK_ROW(name, guards) LOCK_RANK_##name,
    LOCK_RANK_TABLE(LOCK_RANK_ROW)
#undef LOCK_RANK_ROW
        LOCK_RANK_COUNT
};

struct LOCK_CAPABILITY lock {
    pthread_mutex_t mutex;
    enum lock_rank rank;
};

void lock_init(struct lock *lock, enum lock_rank rank);
void lock_deinit(struct lock *lock);
void lock_acquire(struct lock *lock) ACQUIRES(lock);
_Bool lock_try_acquire(struct lock *lock) TRY_ACQUIRES(lock);
void lock_release(struct lock *lock) RELEASES(lock);
const char *lock_rank_name(enum lock_rank rank);
const char *lock_rank_guards(enum lock_rank rank);
/* True if this thread holds no lock of ours; always true without REPRISE_SLOW_CHECKS. */
_Bool lock_none_held(void);
