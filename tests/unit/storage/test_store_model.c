/*
 * Goal: whatever the order of sets, finds, deletes, purges and sweeps, the store answers as a plain
 * array would, and each entry that leaves is reported once, with the right reason. Method: seeded
 * random steps on a store and on the array side by side, the clock turned by hand. Once with room
 * for all, once with budgets so small that the store evicts; then the array learns from the reports
 * who went.
 */
#include "storage/store.h"

#include "tests/unit/storage/make_entry.h"
#include "tests/unit/storage/plain_store.h"

enum { KEYS_COUNT = 400, STEPS_COUNT = 120000, SCOPES_COUNT = 4 };

struct expected {
    uint64_t sequence; /* 0: absent */
    int64_t expires_ms;
    uint32_t hits_count;
    uint64_t charge_bytes;
};

struct world {
    struct store *store;
    struct expected keys[KEYS_COUNT];
    uint64_t chance;
    int64_t now_ms;
    uint64_t reports_count;
    bool may_evict;
    uint64_t setting; /* the key that is being set, KEYS_COUNT: none */
};

static void died(void *context, const struct entry *entry, enum store_death why)
{
    struct world *world = context;
    const uint64_t number = number_of(entry);
    struct expected *key = &world->keys[number];
    assert_int_equal(key->sequence, entry_sequence(entry)); /* it was there, and only once */
    const bool is_expired = key->expires_ms != 0 && key->expires_ms <= world->now_ms;
    switch (why) {
    case STORE_EXPIRED:
        assert_true(is_expired);
        break;
    case STORE_REPLACED:
        assert_int_equal(number, world->setting);
        assert_false(is_expired);
        break;
    case STORE_EVICTED:
        assert_true(world->may_evict);
        assert_false(is_expired);
        break;
    case STORE_DELETED:
    case STORE_PURGED:
        break;
    }
    key->sequence = 0;
    world->reports_count++;
}

static bool has_scope(void *context, const struct entry *entry)
{
    const uint8_t *scope = context;
    return entry_scope(entry)[0] == *scope;
}

static uint64_t pick(struct world *world, uint64_t below)
{
    return next_random(&world->chance) % below;
}

static bool is_live(const struct world *world, const struct expected *key)
{
    return key->sequence != 0 && (key->expires_ms == 0 || key->expires_ms > world->now_ms);
}

static void step_set(struct world *world, uint64_t number)
{
    const int64_t ttl_ms = pick(world, 3) == 0 ? 0 : (int64_t)pick(world, 20000) + 1;
    struct entry *entry =
        make_entry(number, 8 + pick(world, 1500), ttl_ms == 0 ? 0 : world->now_ms + ttl_ms);
    const bool was_live = is_live(world, &world->keys[number]);
    struct store_set_result result;
    world->setting = number;
    assert_int_equal(store_set(world->store, entry, NULL, NULL, world->now_ms, &result), STATUS_OK);
    world->setting = KEYS_COUNT;
    assert_int_equal(result.replaced, was_live);
    assert_int_equal(world->keys[number].sequence, 0); /* the one before was reported */
    world->keys[number] = (struct expected){.sequence = result.sequence,
                                            .expires_ms = ttl_ms == 0 ? 0 : world->now_ms + ttl_ms,
                                            .charge_bytes = entry_charge_bytes(entry)};
    entry_release(entry);
}

static void step_find(struct world *world, uint64_t number)
{
    struct expected *key = &world->keys[number];
    const struct digest digest = digest_number(number);
    const enum store_touch touch = pick(world, 2) == 0 ? STORE_PEEK : STORE_COUNT_HIT;
    struct store_hit hit;
    const enum store_found found = store_find(world->store, &digest, world->now_ms, touch, &hit);
    if (key->sequence == 0) {
        assert_int_equal(found, STORE_ABSENT);
    } else if (!is_live(world, key)) {
        assert_int_equal(found, STORE_PAST_EXPIRY);
    } else {
        key->hits_count += touch == STORE_COUNT_HIT ? 1 : 0;
        assert_int_equal(found, STORE_FOUND);
        assert_int_equal(entry_sequence(hit.entry), key->sequence);
        assert_true(hit.expires_ms == key->expires_ms);
        assert_int_equal(hit.hits_count, key->hits_count);
        entry_release(hit.entry);
    }
}

static void step_delete(struct world *world, uint64_t number)
{
    const bool was_there = world->keys[number].sequence != 0;
    const struct digest digest = digest_number(number);
    assert_int_equal(delete_plainly(world->store, &digest, NULL, NULL), was_there);
    assert_int_equal(world->keys[number].sequence, 0);
}

static void step_count_or_purge(struct world *world)
{
    uint8_t scope = (uint8_t)pick(world, SCOPES_COUNT);
    uint64_t live_count = 0;
    uint64_t held_count = 0;
    for (uint64_t i = scope; i < KEYS_COUNT; i += SCOPES_COUNT) {
        live_count += is_live(world, &world->keys[i]);
        held_count += world->keys[i].sequence != 0;
    }
    assert_int_equal(store_count(world->store, world->now_ms, has_scope, &scope), live_count);
    if (pick(world, 20) == 0)
        assert_int_equal(purge_plainly(world->store, has_scope, &scope), held_count);
}

static void step_clock(struct world *world)
{
    world->now_ms += (int64_t)pick(world, 300);
    const uint64_t reports_before = world->reports_count;
    const uint64_t removed_count = store_sweep(world->store, world->now_ms);
    assert_int_equal(removed_count, world->reports_count - reports_before);
}

static void check_sums(const struct world *world)
{
    uint64_t entries = 0;
    uint64_t size_bytes = 0;
    for (uint64_t i = 0; i < KEYS_COUNT; i++) {
        const bool is_held = world->keys[i].sequence != 0;
        entries += is_held;
        size_bytes += is_held ? world->keys[i].charge_bytes : 0;
    }
    struct store_stats stats;
    store_stats(world->store, &stats);
    assert_int_equal(stats.entries, entries);
    assert_int_equal(stats.size_bytes, size_bytes);
    assert_true(stats.size_bytes <= stats.bytes_max);
    assert_true(stats.entries_max == 0 || stats.entries <= stats.entries_max);
    assert_int_equal(stats.sets - entries, world->reports_count);
    assert_int_equal(stats.evictions + stats.expirations + stats.deletions + stats.replacements,
                     world->reports_count);
}

static void run(const struct store_options *options, bool may_evict, uint64_t seed)
{
    struct world world = {
        .chance = seed, .now_ms = 1000, .may_evict = may_evict, .setting = KEYS_COUNT};
    struct store_options own = *options;
    own.died = died;
    own.died_context = &world;
    assert_int_equal(store_create(&own, &world.store), STATUS_OK);
    for (unsigned i = 0; i < STEPS_COUNT; i++) {
        const uint64_t what = pick(&world, 100);
        if (what < 35)
            step_set(&world, pick(&world, KEYS_COUNT));
        else if (what < 80)
            step_find(&world, pick(&world, KEYS_COUNT) * pick(&world, KEYS_COUNT) / KEYS_COUNT);
        else if (what < 85)
            step_delete(&world, pick(&world, KEYS_COUNT));
        else if (what < 87)
            step_count_or_purge(&world);
        else
            step_clock(&world);
        if (i % 100 == 0)
            check_sums(&world);
    }
    store_destroy(&world.store);
}

static void a_roomy_store_behaves_like_an_array(void **state)
{
    (void)state;
    const struct store_options options = {
        .memory_bytes = 64 << 20, .stripes_count = 4, .answer_max = 4096, .hash_key = {1}};
    run(&options, false, 1);
    run(&options, false, 2);
}

static void a_store_short_of_bytes_differs_only_by_what_it_reports_as_evicted(void **state)
{
    (void)state;
    const struct store_options options = {
        .memory_bytes = 64 << 10, .stripes_count = 2, .answer_max = 1600, .hash_key = {2}};
    run(&options, true, 3);
    run(&options, true, 4);
}

static void a_store_short_of_entries_differs_only_by_what_it_reports_as_evicted(void **state)
{
    (void)state;
    const struct store_options options = {.memory_bytes = 64 << 20,
                                          .entries_max = 50,
                                          .stripes_count = 1,
                                          .answer_max = 1600,
                                          .hash_key = {3}};
    run(&options, true, 5);
    run(&options, true, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_roomy_store_behaves_like_an_array),
        cmocka_unit_test(a_store_short_of_bytes_differs_only_by_what_it_reports_as_evicted),
        cmocka_unit_test(a_store_short_of_entries_differs_only_by_what_it_reports_as_evicted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
