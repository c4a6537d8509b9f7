/*
 * Goal: map, queues, sums and counters of a stripe agree after each step.
 * Method: one stripe with a share for four entries, its lock taken as the table would.
 */
#include "storage/stripe.h"

#include "storage/entry_block.h"
#include "tests/unit/storage/make_entry.h"

enum { ENTRIES_COUNT = 6, ENTRIES_SHARE = 4 };

static const uint8_t hash_key[16] = {6};

struct world {
    struct stripe *stripe;
    struct entry *entries[ENTRIES_COUNT];
};

UNSHARED static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world->stripe = aligned_alloc(STRIPE_ALIGNMENT, sizeof(struct stripe));
    assert_non_null(world->stripe);
    memset(world->stripe, 0, sizeof(struct stripe));
    const struct stripe_share share = {.bytes_max = 100000, .entries_max = ENTRIES_SHARE};
    assert_int_equal(stripe_init(world->stripe, &share, hash_key), STATUS_OK);
    for (uint64_t i = 0; i < ENTRIES_COUNT; i++)
        world->entries[i] = make_entry(i, 100 * (i + 1), 0);
    lock_acquire(&world->stripe->lock);
    *state = world;
    return 0;
}

UNSHARED static int tear_down(void **state)
{
    struct world *world = *state;
    lock_release(&world->stripe->lock);
    stripe_deinit(world->stripe); /* releases what is still inside */
    free(world->stripe);
    for (size_t i = 0; i < ENTRIES_COUNT; i++)
        entry_release(world->entries[i]);
    free(world);
    return 0;
}

static uint64_t hash_of(const struct entry *entry)
{
    return buckets_hash(hash_key, entry_digest(entry)->bytes);
}

UNSHARED static void insert(struct world *world, size_t number)
{
    struct entry *entry = world->entries[number];
    assert_int_equal(stripe_insert(world->stripe, hash_of(entry), entry), STATUS_OK);
    (void)entry_acquire(entry);
}

UNSHARED static struct store_stats stats_of(const struct world *world)
{
    struct store_stats stats = {.entries = 0};
    stripe_add_stats(world->stripe, &stats);
    return stats;
}

static void let_go(struct departed *departed)
{
    for (size_t i = 0; i < departed->count; i++)
        entry_release(departed->items[i].entry);
    departed->count = 0;
}

UNSHARED static void a_full_stripe_takes_replacements_alone(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < ENTRIES_SHARE; i++) {
        assert_true(stripe_fits(world->stripe, NULL, world->entries[i]));
        insert(world, i);
    }
    assert_false(stripe_fits(world->stripe, NULL, world->entries[4]));
    assert_true(stripe_fits(world->stripe, world->entries[0], world->entries[4]));
    struct entry *large = make_entry(9, 99000, 0);
    assert_false(stripe_fits(world->stripe, world->entries[0], large));
    entry_release(large);
}

UNSHARED static void sums_follow_insertions_replacements_and_departures(void **state)
{
    struct world *world = *state;
    struct departed departed = {.count = 0};
    insert(world, 0);
    insert(world, 1);
    uint64_t expected =
        entry_charge_bytes(world->entries[0]) + entry_charge_bytes(world->entries[1]);
    assert_int_equal(stats_of(world).size_bytes, expected);

    struct entry *newer = make_entry(0, 3000, 0);
    stripe_replace(world->stripe, hash_of(newer), world->entries[0], newer);
    stripe_depart(world->stripe, world->entries[0], STORE_REPLACED, &departed);
    expected += entry_charge_bytes(newer) - entry_charge_bytes(world->entries[0]);
    assert_int_equal(stats_of(world).size_bytes, expected);
    assert_int_equal(stats_of(world).replacements, 1);

    stripe_take_out(world->stripe, hash_of(newer), newer, STORE_DELETED, &departed);
    assert_int_equal(stats_of(world).size_bytes, entry_charge_bytes(world->entries[1]));
    assert_int_equal(stats_of(world).entries, 1);
    assert_int_equal(stats_of(world).deletions, 1);
    assert_int_equal(departed.count, 2);
    assert_ptr_equal(departed.items[0].entry, world->entries[0]);
    assert_int_equal(departed.items[1].why, STORE_DELETED);
    let_go(&departed);
}

UNSHARED static void an_evicted_entry_is_out_of_map_and_queues(void **state)
{
    struct world *world = *state;
    struct departed departed = {.count = 0};
    for (size_t i = 0; i < 3; i++)
        insert(world, i);
    for (size_t i = 0; i < 3; i++) {
        struct entry *victim = stripe_evict(world->stripe);
        assert_ptr_equal(victim, world->entries[i]);
        assert_null(buckets_find(&world->stripe->buckets, hash_of(victim), entry_digest(victim)));
        stripe_depart(world->stripe, victim, STORE_EVICTED, &departed);
    }
    assert_int_equal(stats_of(world).entries, 0);
    assert_int_equal(stats_of(world).size_bytes, 0);
    assert_int_equal(stats_of(world).evictions, 3);
    let_go(&departed);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(a_full_stripe_takes_replacements_alone),
        RULE(sums_follow_insertions_replacements_and_departures),
        RULE(an_evicted_entry_is_out_of_map_and_queues),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
