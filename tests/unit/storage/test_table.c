/*
 * Goal: the number of stripes follows the budgets, and no hold of a lock removes or visits more
 * than it may. Method: the table without the store, one hold at a time.
 */
#include "storage/table.h"

#include "tests/unit/storage/make_entry.h"

static const uint64_t mib = 1024 * 1024;

static uint32_t stripes_for(uint32_t asked, uint64_t memory_bytes, uint32_t entries_max,
                            uint32_t cores_count)
{
    const struct store_options options = {.stripes_count = asked,
                                          .memory_bytes = memory_bytes,
                                          .entries_max = entries_max,
                                          .answer_max = mib};
    return table_stripes_count(&options, cores_count);
}

static void stripes_are_four_a_core_between_16_and_256(void **state)
{
    (void)state;
    assert_int_equal(stripes_for(0, 1 << 30, 0, 1), 16);
    assert_int_equal(stripes_for(0, (uint64_t)1 << 34, 0, 8), 32);
    assert_int_equal(stripes_for(0, (uint64_t)1 << 34, 0, 9), 64);
    assert_int_equal(stripes_for(0, (uint64_t)1 << 40, 0, 500), 256);
}

static void an_asked_number_of_stripes_becomes_a_power_of_two(void **state)
{
    (void)state;
    assert_int_equal(stripes_for(1, (uint64_t)1 << 34, 0, 8), 1);
    assert_int_equal(stripes_for(3, (uint64_t)1 << 34, 0, 8), 4);
    assert_int_equal(stripes_for(256, (uint64_t)1 << 34, 0, 8), 256);
    assert_int_equal(stripes_for(5000, (uint64_t)1 << 34, 0, 8), 256);
}

static void small_budgets_have_fewer_stripes_down_to_one(void **state)
{
    (void)state;
    assert_int_equal(stripes_for(64, 64 * mib, 0, 8), 8); /* 8 answers of 1 MiB a stripe */
    assert_int_equal(stripes_for(64, 63 * mib, 0, 8), 4);
    assert_int_equal(stripes_for(64, 1, 0, 8), 1);
    assert_int_equal(stripes_for(64, (uint64_t)1 << 34, 4096, 8), 16); /* 256 entries a stripe */
    assert_int_equal(stripes_for(64, (uint64_t)1 << 34, 4095, 8), 8);
    assert_int_equal(stripes_for(64, (uint64_t)1 << 34, 1, 8), 1);
}

static void draw(void *context, struct table_draw *wanted)
{
    uint64_t *sequence = context;
    wanted->sequence = ++*sequence;
}

struct world {
    struct table *table;
    uint64_t sequence;
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    const struct table_options options = {.stripes_count = 1,
                                          .memory_bytes = 2 * mib,
                                          .hash_key = {9},
                                          .draw = draw,
                                          .draw_context = &world->sequence};
    assert_int_equal(table_create(&options, &world->table), STATUS_OK);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    table_destroy(&world->table);
    free(world);
    return 0;
}

static size_t let_go(struct departed *departed)
{
    const size_t count = departed->count;
    for (size_t i = 0; i < count; i++)
        entry_release(departed->items[i].entry);
    departed->count = 0;
    return count;
}

/* Returns how many had to go; *out_holds how many holds it took. */
static size_t set(struct world *world, uint64_t number, size_t answer_bytes, int64_t expires_ms,
                  unsigned *out_holds)
{
    struct table_draw wanted = {.ticket = NULL};
    struct table_set work = {.entry = make_entry(number, answer_bytes, expires_ms),
                             .draw = &wanted};
    struct departed departed = {.count = 0};
    size_t gone_count = 0;
    bool is_done = false;
    for (*out_holds = 0; !is_done; (*out_holds)++) {
        is_done = table_set(world->table, &work, &departed);
        assert_true(departed.count <= TABLE_REMOVALS_PER_HOLD);
        gone_count += let_go(&departed);
    }
    assert_int_equal(work.status, STATUS_OK);
    entry_release(work.entry);
    return gone_count;
}

static uint64_t entries_in(struct world *world)
{
    struct store_stats stats = {.sequence = 0};
    table_stats(world->table, &stats);
    return stats.entries;
}

static void a_large_set_makes_room_in_holds_of_at_most_32(void **state)
{
    struct world *world = *state;
    unsigned holds = 0;
    uint64_t number = 0;
    while (set(world, number, 100, 0, &holds) == 0)
        number++;
    assert_int_equal(holds, 1);
    const size_t gone_count = set(world, number + 1, 200 * 1024, 0, &holds);
    assert_true(gone_count > 500);
    assert_int_equal(holds, gone_count / 31 + (gone_count % 31 != 0 || gone_count == 0));
}

/* A restart: the entry comes with the number that it had. */
static enum status bring_back(struct world *world, uint64_t number, uint64_t sequence)
{
    struct table_set work = {.entry = make_entry(number, 100, 0), .back = sequence};
    struct departed departed = {.count = 0};
    while (!table_set(world->table, &work, &departed))
        let_go(&departed);
    let_go(&departed);
    entry_release(work.entry);
    return work.status;
}

static uint64_t sequence_of(struct world *world, uint64_t number)
{
    const struct digest digest = digest_number(number);
    struct store_hit hit;
    if (table_find(world->table, &digest, 0, STORE_PEEK, &hit) != STORE_FOUND)
        return 0;
    const uint64_t sequence = entry_sequence(hit.entry);
    entry_release(hit.entry);
    return sequence;
}

static void what_comes_back_enters_only_over_older_ones(void **state)
{
    struct world *world = *state;
    assert_int_equal(bring_back(world, 1, 50), STATUS_OK);
    assert_int_equal(bring_back(world, 1, 50), STATUS_NOT_FOUND);
    assert_int_equal(bring_back(world, 1, 49), STATUS_NOT_FOUND);
    assert_int_equal(sequence_of(world, 1), 50);
    assert_int_equal(bring_back(world, 1, 51), STATUS_OK);
    assert_int_equal(sequence_of(world, 1), 51);
    assert_int_equal(world->sequence, 0); /* nothing was drawn */
}

static void a_touch_moves_the_end_of_older_ones_alone(void **state)
{
    struct world *world = *state;
    struct table_draw wanted = {.ticket = NULL};
    const struct digest digest = digest_number(1), absent = digest_number(2);
    assert_int_equal(bring_back(world, 1, 50), STATUS_OK);
    assert_false(table_touch(world->table, &digest, 77, 50, NULL));
    assert_false(table_touch(world->table, &absent, 77, UINT64_MAX, &wanted));
    assert_int_equal(wanted.sequence, 0);
    assert_true(table_touch(world->table, &digest, 77, 51, &wanted));
    assert_int_equal(wanted.sequence, 1);
    struct store_hit hit;
    assert_int_equal(table_find(world->table, &digest, 76, STORE_PEEK, &hit), STORE_FOUND);
    assert_int_equal(hit.expires_ms, 77);
    entry_release(hit.entry);
    assert_int_equal(table_find(world->table, &digest, 77, STORE_PEEK, &hit), STORE_PAST_EXPIRY);
}

static void a_walk_by_handfuls_meets_every_entry_once(void **state)
{
    struct world *world = *state;
    enum { ENTRIES_COUNT = 3000 };
    static unsigned seen[ENTRIES_COUNT];
    unsigned holds;
    for (uint64_t i = 0; i < ENTRIES_COUNT; i++)
        assert_int_equal(set(world, i, 8, 0, &holds), 0);
    uint64_t cursor = 0;
    do {
        struct entry *entries[TABLE_HANDFUL_MIN];
        const uint32_t count =
            table_next_entries(world->table, &cursor, entries, TABLE_HANDFUL_MIN);
        assert_true(count <= TABLE_HANDFUL_MIN);
        for (uint32_t i = 0; i < count; i++) {
            seen[number_of(entries[i])]++;
            entry_release(entries[i]);
        }
    } while (cursor != 0);
    for (size_t i = 0; i < ENTRIES_COUNT; i++)
        assert_int_equal(seen[i], 1);
}

static void a_purge_removes_at_most_32_a_hold(void **state)
{
    struct world *world = *state;
    unsigned holds = 0;
    for (uint64_t i = 0; i < 1000; i++)
        (void)set(world, i, 100, 0, &holds);
    struct table_walk walk = {.now_ms = 0};
    struct departed departed = {.count = 0};
    unsigned purge_holds = 0;
    bool is_done = false;
    for (; !is_done; purge_holds++) {
        is_done = table_purge(world->table, &walk, &departed);
        (void)let_go(&departed);
    }
    assert_int_equal(walk.matched_count, 1000);
    assert_true(purge_holds >= 1000 / TABLE_REMOVALS_PER_HOLD);
    assert_int_equal(entries_in(world), 0);
}

static void a_fast_hand_visits_at_most_64_buckets_a_hold(void **state)
{
    struct world *world = *state;
    unsigned holds = 0;
    for (uint64_t i = 0; i < 7000; i++) /* 2048 buckets: 109 a tick at full speed */
        (void)set(world, i, 8, 10, &holds);
    unsigned holds_of_idle_tick = 0; /* the first that finds nothing, still at full speed */
    for (unsigned tick = 0; tick < 600 && holds_of_idle_tick == 0; tick++) {
        struct table_sweep sweep = {.now_ms = 10};
        struct departed departed = {.count = 0};
        size_t gone_count = 0;
        unsigned sweep_holds = 0;
        for (bool is_done = false; !is_done; sweep_holds++) {
            is_done = table_sweep(world->table, &sweep, &departed);
            gone_count += let_go(&departed);
        }
        assert_true(sweep_holds >= gone_count / TABLE_REMOVALS_PER_HOLD);
        if (tick > 20 && gone_count == 0)
            holds_of_idle_tick = sweep_holds;
    }
    assert_int_equal(entries_in(world), 0);
    assert_int_equal(holds_of_idle_tick, 2); /* 109 buckets, none with anything to remove */
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stripes_are_four_a_core_between_16_and_256),
        cmocka_unit_test(an_asked_number_of_stripes_becomes_a_power_of_two),
        cmocka_unit_test(small_budgets_have_fewer_stripes_down_to_one),
        RULE(a_large_set_makes_room_in_holds_of_at_most_32),
        RULE(a_purge_removes_at_most_32_a_hold),
        RULE(what_comes_back_enters_only_over_older_ones),
        RULE(a_touch_moves_the_end_of_older_ones_alone),
        RULE(a_walk_by_handfuls_meets_every_entry_once),
        RULE(a_fast_hand_visits_at_most_64_buckets_a_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
