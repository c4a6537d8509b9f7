/*
 * Goal: with four threads that set, find, delete, purge and sweep, every entry that has left the
 * table is reported exactly once, by a thread that holds no lock of ours, and no two Sets draw one
 * sequence. Method: small budgets, so that evictions are frequent; a tally per sequence, checked
 * when all have ended.
 */
#include "storage/store.h"

#include <stdatomic.h>

#include "base/lock.h"
#include "base/thread.h"
#include "tests/unit/storage/make_entry.h"
#include "tests/unit/storage/plain_store.h"

enum { THREADS_COUNT = 4, STEPS_COUNT = 25000, KEYS_COUNT = 500 };
/* A Set, a deletion, and the purge of each Set. */
enum { SEQUENCES_MAX = 2 * THREADS_COUNT * STEPS_COUNT + 1 };

struct world {
    struct store *store;
    _Atomic unsigned sets[SEQUENCES_MAX];
    _Atomic unsigned deaths[SEQUENCES_MAX];
    _Atomic unsigned faults_count; /* asserts of cmocka belong to the main thread */
    _Atomic int64_t now_ms;
};

struct worker {
    struct world *world;
    uint64_t chance;
};

static void died(void *context, const struct entry *entry, enum store_death why)
{
    struct world *world = context;
    (void)why;
    atomic_fetch_add(&world->deaths[entry_sequence(entry)], 1);
    if (!lock_none_held())
        atomic_fetch_add(&world->faults_count, 1);
    struct store_hit hit;
    if (store_find(world->store, entry_digest(entry), 0, STORE_PEEK, &hit) == STORE_FOUND) {
        if (entry_sequence(hit.entry) == entry_sequence(entry))
            atomic_fetch_add(&world->faults_count, 1); /* dead, and still in the table */
        entry_release(hit.entry);
    }
}

static bool has_scope(void *context, const struct entry *entry)
{
    const uint8_t *scope = context;
    return entry_scope(entry)[0] == *scope;
}

static struct entry *make_quietly(uint64_t number, uint64_t chance, int64_t expires_ms)
{
    static const char zeros[2000];
    char answer[2000] = {0};
    memcpy(answer, &number, sizeof(number));
    const struct entry_source source = {.digest = digest_number(number),
                                        .scope = {(uint8_t)(number % 4)},
                                        .expires_ms = expires_ms,
                                        .metadata = {zeros, chance % 100},
                                        .answer = {answer, 8 + chance % 1900}};
    struct entry *entry = NULL;
    return entry_create(&source, &entry) == STATUS_OK ? entry : NULL;
}

static void set(struct world *world, uint64_t number, uint64_t chance)
{
    const int64_t now_ms = atomic_load(&world->now_ms);
    struct entry *entry = make_quietly(number, chance, now_ms + 1 + (int64_t)(chance % 50));
    struct store_set_result result;
    if (entry == NULL || store_set(world->store, entry, NULL, NULL, now_ms, &result) != STATUS_OK)
        atomic_fetch_add(&world->faults_count, 1);
    else
        atomic_fetch_add(&world->sets[result.sequence], 1);
    entry_release(entry);
}

static void find(struct world *world, uint64_t number)
{
    const struct digest digest = digest_number(number);
    struct store_hit hit;
    const int64_t now_ms = atomic_load(&world->now_ms);
    if (store_find(world->store, &digest, now_ms, STORE_COUNT_HIT, &hit) != STORE_FOUND)
        return;
    if (number_of(hit.entry) != number || hit.expires_ms <= now_ms || hit.hits_count == 0)
        atomic_fetch_add(&world->faults_count, 1);
    entry_release(hit.entry);
}

static void work(void *argument)
{
    struct worker *worker = argument;
    struct world *world = worker->world;
    for (unsigned i = 0; i < STEPS_COUNT; i++) {
        const uint64_t chance = next_random(&worker->chance);
        const uint64_t number = chance % KEYS_COUNT;
        const uint64_t what = (chance >> 32) % 1000;
        uint8_t scope = (uint8_t)(chance >> 16) % 4;
        const struct digest digest = digest_number(number);
        if (what < 400)
            set(world, number, chance >> 20);
        else if (what < 900)
            find(world, number);
        else if (what < 950)
            (void)delete_plainly(world->store, &digest, NULL, NULL);
        else if (what < 998)
            (void)store_sweep(world->store, atomic_fetch_add(&world->now_ms, 1));
        else if (what < 999)
            (void)purge_plainly(world->store, has_scope, &scope);
        else
            (void)store_count(world->store, atomic_load(&world->now_ms), has_scope, &scope);
    }
}

static void check_tallies(struct world *world)
{
    struct store_stats stats;
    store_stats(world->store, &stats);
    assert_true(stats.sequence >= stats.sets);
    assert_true(stats.sequence < SEQUENCES_MAX);
    uint64_t living_count = 0, sets_count = 0;
    for (uint64_t i = 1; i <= stats.sequence; i++) {
        assert_true(world->sets[i] <= 1); /* removals draw numbers too */
        assert_true(world->deaths[i] <= world->sets[i]);
        sets_count += world->sets[i];
        living_count += world->sets[i] - world->deaths[i];
    }
    assert_int_equal(sets_count, stats.sets);
    assert_int_equal(world->deaths[0], 0);
    assert_int_equal(stats.entries, living_count);
    for (uint64_t number = 0; number < KEYS_COUNT; number++) {
        const struct digest digest = digest_number(number);
        struct store_hit hit;
        if (store_find(world->store, &digest, 0, STORE_PEEK, &hit) != STORE_FOUND)
            continue;
        assert_int_equal(world->deaths[entry_sequence(hit.entry)], 0);
        living_count--;
        entry_release(hit.entry);
    }
    assert_int_equal(living_count, 0);
    assert_true(stats.evictions > 0);
    assert_true(stats.expirations > 0);
    assert_true(stats.replacements > 0);
    assert_true(stats.deletions > 0);
}

static void each_departed_entry_is_reported_once_under_no_lock(void **state)
{
    (void)state;
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    atomic_init(&world->now_ms, 1000);
    const struct store_options options = {.memory_bytes = 128 << 10,
                                          .stripes_count = 4,
                                          .answer_max = 2000,
                                          .hash_key = {4},
                                          .died = died,
                                          .died_context = world};
    assert_int_equal(store_create(&options, &world->store), STATUS_OK);
    struct worker workers[THREADS_COUNT];
    struct thread *threads[THREADS_COUNT];
    for (unsigned i = 0; i < THREADS_COUNT; i++) {
        workers[i] = (struct worker){.world = world, .chance = i};
        assert_int_equal(thread_create(THREAD_OTHER, "setter", work, &workers[i], &threads[i]),
                         STATUS_OK);
    }
    for (unsigned i = 0; i < THREADS_COUNT; i++)
        thread_join(&threads[i]);
    assert_int_equal(world->faults_count, 0);
    check_tallies(world);
    store_destroy(&world->store);
    free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_departed_entry_is_reported_once_under_no_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
