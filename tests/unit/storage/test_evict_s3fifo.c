/*
 * Goal: S3-FIFO's rules, one by one: who goes first, who is spared, who comes back.
 * Method: the rule alone, without a table: insert, hit and ask for victims by hand.
 */
#include "storage/evict.h"

#include "storage/entry_block.h"
#include "tests/unit/storage/make_entry.h"

enum { ENTRIES_COUNT = 64 };

struct world {
    struct evict *evict;
    struct entry *entries[ENTRIES_COUNT]; /* of one size */
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    assert_int_equal(evict_s3fifo.create(&world->evict), STATUS_OK);
    for (size_t i = 0; i < ENTRIES_COUNT; i++)
        world->entries[i] = make_entry(i, 64, 0);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    evict_s3fifo.destroy(&world->evict);
    evict_s3fifo.destroy(&world->evict); /* NULL by now */
    for (size_t i = 0; i < ENTRIES_COUNT; i++)
        entry_release(world->entries[i]);
    free(world);
    return 0;
}

static void insert(struct world *world, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++)
        assert_int_equal(evict_s3fifo.inserted(world->evict, world->entries[i]), STATUS_OK);
}

static void hit(struct world *world, size_t number, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        evict_s3fifo.hit(world->evict, world->entries[number]);
}

static void expect_victims(struct world *world, const size_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_ptr_equal(evict_s3fifo.victim(world->evict), world->entries[numbers[i]]);
}

#define EXPECT_VICTIMS(world, ...)                                                                 \
    expect_victims(world, (const size_t[]){__VA_ARGS__},                                           \
                   sizeof((const size_t[]){__VA_ARGS__}) / sizeof(size_t))

static void without_hits_the_first_in_is_the_first_out(void **state)
{
    struct world *world = *state;
    assert_null(evict_s3fifo.victim(world->evict));
    insert(world, 0, 5);
    EXPECT_VICTIMS(world, 0, 1, 2, 3, 4);
    assert_null(evict_s3fifo.victim(world->evict));
}

static void one_hit_in_small_does_not_save(void **state)
{
    struct world *world = *state;
    insert(world, 0, 5);
    hit(world, 0, 1);
    EXPECT_VICTIMS(world, 0, 1);
}

static void two_hits_in_small_earn_a_place_in_main(void **state)
{
    struct world *world = *state;
    insert(world, 0, 5);
    hit(world, 0, 2);
    EXPECT_VICTIMS(world, 1, 2, 3, 4, 0);
}

static void main_gives_another_round_for_each_hit(void **state)
{
    struct world *world = *state;
    insert(world, 0, 4);
    for (size_t i = 0; i < 3; i++)
        hit(world, i, 2);
    EXPECT_VICTIMS(world, 3); /* 0, 1 and 2 are in main now, their hits forgotten */
    hit(world, 0, 1);
    EXPECT_VICTIMS(world, 1, 2, 0);
}

static void hits_in_small_are_spent_by_the_move_to_main(void **state)
{
    struct world *world = *state;
    insert(world, 0, 4);
    hit(world, 0, 3);
    hit(world, 1, 2);
    hit(world, 2, 2);
    EXPECT_VICTIMS(world, 3, 0, 1, 2); /* the third hit of 0 is worth nothing in main */
}

static void the_frequency_saturates_at_three(void **state)
{
    struct world *world = *state;
    insert(world, 0, 1);
    hit(world, 0, 1000);
    assert_int_equal(world->entries[0]->frequency, 3);
}

static void who_returns_from_the_ghost_enters_main(void **state)
{
    struct world *world = *state;
    insert(world, 0, 10);
    EXPECT_VICTIMS(world, 0);
    insert(world, 0, 1);
    insert(world, 10, 2);
    EXPECT_VICTIMS(world, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0);
}

static void who_left_long_ago_is_a_stranger_again(void **state)
{
    struct world *world = *state;
    insert(world, 0, 4);
    EXPECT_VICTIMS(world,
                   0); /* the ghost remembers three: nine tenths of what is left, rounded up */
    for (size_t i = 4; i < 10; i++) {
        insert(world, i, 1);
        assert_non_null(evict_s3fifo.victim(world->evict));
    }
    insert(world, 0, 1);
    insert(world, 10, 1);
    EXPECT_VICTIMS(world, 7, 8, 9, 0, 10);
}

static void small_gives_way_while_it_is_above_a_tenth_of_the_bytes(void **state)
{
    struct world *world = *state;
    insert(world, 0, 30);
    for (size_t i = 0; i < 20; i++)
        hit(world, i, 2);
    EXPECT_VICTIMS(world, 20, 21, 22, 23, 24, 25, 26, 27); /* and 20 are in main */
    EXPECT_VICTIMS(world, 0); /* 2 of 22 parts are small's: not above a tenth */
    insert(world, 30, 1);     /* 3 of 22 are */
    EXPECT_VICTIMS(world, 28, 1);
    struct entry *large = make_entry(100, 2000, 0); /* few in number, but not in bytes */
    assert_int_equal(evict_s3fifo.inserted(world->evict, large), STATUS_OK);
    EXPECT_VICTIMS(world, 29, 30);
    assert_ptr_equal(evict_s3fifo.victim(world->evict), large);
    EXPECT_VICTIMS(world, 2);
    entry_release(large);
}

static void who_was_removed_is_no_victim(void **state)
{
    struct world *world = *state;
    insert(world, 0, 5);
    hit(world, 3, 2);
    evict_s3fifo.removed(world->evict, world->entries[0]);
    evict_s3fifo.removed(world->evict, world->entries[2]);
    EXPECT_VICTIMS(world, 1, 4);
    evict_s3fifo.removed(world->evict, world->entries[3]); /* from main */
    assert_null(evict_s3fifo.victim(world->evict));
}

static void a_removed_entry_does_not_enter_the_ghost(void **state)
{
    struct world *world = *state;
    insert(world, 0, 3);
    evict_s3fifo.removed(world->evict, world->entries[0]);
    insert(world, 0, 1);
    insert(world, 3, 1);
    EXPECT_VICTIMS(world, 1, 2, 0, 3);
}

static void a_replacement_inherits_place_and_frequency(void **state)
{
    struct world *world = *state;
    insert(world, 0, 3);
    hit(world, 0, 2);
    evict_s3fifo.replaced(world->evict, world->entries[0], world->entries[10]);
    evict_s3fifo.replaced(world->evict, world->entries[1], world->entries[11]);
    EXPECT_VICTIMS(world, 11, 2, 10);
}

static void a_scan_does_not_wash_out_what_is_asked_for(void **state)
{
    struct world *world = *state;
    insert(world, 0, 20);
    for (size_t i = 0; i < 20; i++)
        hit(world, i, 3);
    for (uint64_t i = 0; i < 1000; i++) {
        struct entry *passing = make_entry(1000 + i, 64, 0);
        assert_int_equal(evict_s3fifo.inserted(world->evict, passing), STATUS_OK);
        if (i >= 2)
            entry_release(evict_s3fifo.victim(world->evict));
        if (i % 4 == 0)
            hit(world, i / 4 % 20, 1);
    }
    size_t kept_count = 0;
    for (size_t i = 0; i < 20; i++)
        kept_count += world->entries[i]->queue != 0;
    assert_int_equal(kept_count, 20);
    for (struct entry *left = evict_s3fifo.victim(world->evict); left != NULL;
         left = evict_s3fifo.victim(world->evict)) {
        if (number_of(left) >= 1000)
            entry_release(left);
    }
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(without_hits_the_first_in_is_the_first_out),
        RULE(one_hit_in_small_does_not_save),
        RULE(two_hits_in_small_earn_a_place_in_main),
        RULE(main_gives_another_round_for_each_hit),
        RULE(hits_in_small_are_spent_by_the_move_to_main),
        RULE(the_frequency_saturates_at_three),
        RULE(who_returns_from_the_ghost_enters_main),
        RULE(who_left_long_ago_is_a_stranger_again),
        RULE(small_gives_way_while_it_is_above_a_tenth_of_the_bytes),
        RULE(who_was_removed_is_no_victim),
        RULE(a_removed_entry_does_not_enter_the_ghost),
        RULE(a_replacement_inherits_place_and_frequency),
        RULE(a_scan_does_not_wash_out_what_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
