/*
 * Goal: least frequently used, with hits that fade by half every period, however many periods pass.
 * Method: the rule alone, against counts that are halved one by one, as the definition says.
 */
#include "storage/entry_block.h"
#include "storage/evict.h"
#include "tests/unit/storage/make_entry.h"

enum { ENTRIES_COUNT = 64 };

struct world {
    struct evict *evict;
    struct entry *entries[ENTRIES_COUNT];
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    assert_int_equal(evict_lfu_aging.create(&world->evict), STATUS_OK);
    for (size_t i = 0; i < ENTRIES_COUNT; i++) {
        world->entries[i] = make_entry(i, 64, 0);
        world->entries[i]->sequence = i + 1; /* as a stripe's Set would have drawn it */
    }
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    evict_lfu_aging.destroy(&world->evict);
    evict_lfu_aging.destroy(&world->evict); /* NULL by now */
    for (size_t i = 0; i < ENTRIES_COUNT; i++)
        entry_release(world->entries[i]);
    free(world);
    return 0;
}

static void insert(struct world *world, size_t number)
{
    assert_int_equal(evict_lfu_aging.inserted(world->evict, world->entries[number]), STATUS_OK);
}

static void hit(struct world *world, size_t number, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        evict_lfu_aging.hit(world->evict, world->entries[number]);
}

static void expect_victim(struct world *world, size_t number)
{
    assert_ptr_equal(evict_lfu_aging.victim(world->evict), world->entries[number]);
}

static void who_was_asked_for_least_goes(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < 4; i++)
        insert(world, i);
    hit(world, 0, 2);
    hit(world, 2, 1);
    expect_victim(world, 1);
    expect_victim(world, 3); /* of equals the older */
    expect_victim(world, 2);
    expect_victim(world, 0);
    assert_null(evict_lfu_aging.victim(world->evict));
}

static void yesterdays_favourite_leaves(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < 4; i++)
        insert(world, i);
    hit(world, 0, 40); /* ten periods of four: the first hits have all but faded */
    for (size_t round = 0; round < 12; round++) {
        for (size_t i = 1; i < 4; i++)
            hit(world, i, 1);
    }
    expect_victim(world, 0);
}

static void a_new_entry_is_not_the_next_to_go(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < 8; i++)
        insert(world, i);
    for (size_t round = 0; round < 4; round++)
        for (size_t i = 1; i < 8; i++)
            hit(world, i, 1);
    insert(world, 8);
    expect_victim(world, 0); /* its one hit is four periods old */
}

static void a_replacement_inherits_the_hits(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < 3; i++)
        insert(world, i);
    hit(world, 0, 2);
    evict_lfu_aging.replaced(world->evict, world->entries[0], world->entries[10]);
    expect_victim(world, 1);
    expect_victim(world, 2);
    expect_victim(world, 10);
}

static void thousands_of_periods_change_nothing(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < 8; i++)
        insert(world, i);
    for (size_t round = 0; round < 3000; round++) { /* 3,000 doublings would be infinite */
        hit(world, 0, 3);
        for (size_t i = 1; i < 6; i++)
            hit(world, i, 1);
    }
    expect_victim(world, 6);
    expect_victim(world, 7);
    expect_victim(world, 1);
    insert(world, 20);
    expect_victim(world, 2);
}

static size_t least(const double *counts, const struct world *world)
{
    size_t best = ENTRIES_COUNT;
    for (size_t i = 0; i < ENTRIES_COUNT; i++) {
        if (world->entries[i]->queue != 0 && (best == ENTRIES_COUNT || counts[i] < counts[best]))
            best = i;
    }
    return best;
}

static void it_agrees_with_counts_that_are_halved_one_by_one(void **state)
{
    struct world *world = *state;
    double counts[ENTRIES_COUNT] = {0};
    uint64_t random = 11;
    uint32_t held = 0, hits = 0;
    for (size_t step = 0; step < 6000; step++) { /* fewer than 256 periods: halves are exact */
        const size_t number = next_random(&random) % ENTRIES_COUNT;
        struct entry *entry = world->entries[number];
        if (entry->queue == 0) {
            insert(world, number);
            counts[number] = 1;
            held++;
        } else if (step % 9 == 0) {
            evict_lfu_aging.removed(world->evict, entry);
            held--;
        } else {
            evict_lfu_aging.hit(world->evict, entry);
            counts[number] += 1;
            if (++hits >= held) {
                hits = 0;
                for (size_t i = 0; i < ENTRIES_COUNT; i++)
                    counts[i] /= 2;
            }
        }
        if (held > ENTRIES_COUNT / 2) {
            expect_victim(world, least(counts, world));
            held--;
        }
    }
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(who_was_asked_for_least_goes),
        RULE(yesterdays_favourite_leaves),
        RULE(a_new_entry_is_not_the_next_to_go),
        RULE(a_replacement_inherits_the_hits),
        RULE(thousands_of_periods_change_nothing),
        RULE(it_agrees_with_counts_that_are_halved_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
