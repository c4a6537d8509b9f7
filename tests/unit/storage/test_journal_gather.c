/*
 * Goal: a batch waits a moment for those who were just answered, so that one sync carries all of
 * them; the moment has an end, and where it is of no use it is left out. Method: a journal behind a
 * gate; the test says how long a sync takes, and no time passes but that which it turns. Exercises
 * journal_gather.
 */
#include <sched.h>

#include "tests/unit/storage/journal_world.h"

enum { SYNC_MS = 8, WAIT_MS = 2 /* a quarter */ };

static uint64_t commits_of(const struct world *world)
{
    return io_gate_counts(world->gate).commits;
}

/* One is in flight so long, and others are handed in meanwhile. They have the numbers from `first`
 * on; afterwards the first is told. */
static void fly(struct world *world, unsigned first, unsigned others, unsigned sync_ms)
{
    io_gate_hold(world->gate);
    write_delete(world, first, ACK_SYNCED, (int)first);
    io_gate_await_rest(world->gate);
    for (unsigned i = 1; i <= others; i++)
        write_delete(world, first + i, ACK_SYNCED, (int)(first + i));
    io_gate_turn_ms(world->gate, sync_ms);
    io_gate_release(world->gate);
    await_told(world, first + 1);
}

static void who_was_just_answered_is_waited_for(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_ALWAYS);
    const uint64_t before = commits_of(world);
    fly(world, 0, 2, SYNC_MS);
    io_gate_await_rest(world->gate);
    assert_int_equal(commits_of(world), before + 1);
    assert_int_equal(told_count(world), 1);
    write_delete(world, 3, ACK_SYNCED, 3); /* he is back */
    await_told(world, 4);
    assert_int_equal(commits_of(world), before + 2);
    world_destroy(world);
}

static void the_wait_has_an_end(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_ALWAYS);
    const uint64_t before = commits_of(world);
    fly(world, 0, 2, SYNC_MS);
    io_gate_await_rest(world->gate);
    io_gate_turn_ms(world->gate, WAIT_MS - 1);
    io_gate_await_rest(world->gate);
    assert_int_equal(commits_of(world), before + 1);
    io_gate_turn_ms(world->gate, 1);
    await_told(world, 3);
    assert_int_equal(commits_of(world), before + 2);
    world_destroy(world);
}

/* After one in vain the next does without, after two the next two. */
static void what_was_in_vain_is_left_out_for_a_while(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_ALWAYS);
    unsigned number = 0;
    for (unsigned left_out = 1; left_out <= 4; left_out *= 2) {
        fly(world, number, 1, SYNC_MS);
        io_gate_await_rest(world->gate);
        assert_int_equal(told_count(world), number + 1);
        io_gate_turn_ms(world->gate, WAIT_MS);
        await_told(world, number + 2);
        number += 2;
        for (unsigned i = 0; i < left_out; i++) {
            fly(world, number, 1, SYNC_MS);
            await_told(world, number + 2); /* no time has passed */
            number += 2;
        }
    }
    world_destroy(world);
}

/* One in vain, and one left out for it. Then the next wait has nobody, and ends unseen. */
static void who_comes_long_after_changes_nothing(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_ALWAYS);
    fly(world, 0, 1, SYNC_MS);
    io_gate_await_rest(world->gate);
    io_gate_turn_ms(world->gate, WAIT_MS);
    await_told(world, 2);
    fly(world, 2, 0, SYNC_MS);
    fly(world, 3, 0, SYNC_MS);
    io_gate_turn_ms(world->gate, WAIT_MS + 1);
    fly(world, 4, 1, SYNC_MS);
    await_told(world, 6); /* one is left out as before: no time has passed */
    world_destroy(world);
}

static void a_fast_disk_waits_for_nobody(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_ALWAYS);
    fly(world, 0, 2, 0);
    await_told(world, 3);
    world_destroy(world);
}

static void writes_without_a_sync_wait_for_nobody(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_NONE);
    io_gate_hold(world->gate);
    write_delete(world, 0, ACK_LOGGED, 0);
    io_gate_await_rest(world->gate);
    write_delete(world, 1, ACK_LOGGED, 1);
    io_gate_turn_ms(world->gate, SYNC_MS);
    io_gate_release(world->gate);
    await_told(world, 2);
    world_destroy(world);
}

/* Shuts the gate again when he is told, so that the next one has to wait behind it, too. */
static void hold_again(void *context, enum status status)
{
    const struct world *world = context;
    assert_int_equal(status, STATUS_OK);
    io_gate_hold(world->gate);
}

/* The sync is the clock's, a second after what was not synced; nobody has asked for it. */
static void a_sync_that_nobody_asked_for_waits_for_nobody(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_EVERYSEC);
    const struct digest digest = digest_number(9);
    const struct journal_wish wish = {.ack = ACK_LOGGED, .done = hold_again, .context = world};
    enum status status;
    io_gate_hold(world->gate);
    hand_in(world, ticket_delete(world->journal, &digest, &status), &wish);
    io_gate_await_rest(world->gate);
    write_delete(world, 0, ACK_LOGGED, 0);
    io_gate_turn_ms(world->gate, 1500);
    io_gate_release(world->gate);
    while (io_gate_counts(world->gate).commits < 1)
        (void)sched_yield();
    io_gate_await_rest(world->gate); /* with the second, and a sync */
    write_delete(world, 1, ACK_LOGGED, 1);
    io_gate_turn_ms(world->gate, SYNC_MS);
    io_gate_release(world->gate);
    await_told(world, 2); /* no time has passed */
    assert_int_equal(io_gate_counts(world->gate).commits_synced, 1);
    world_destroy(world);
}

static void a_stop_ends_the_wait(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_ALWAYS);
    fly(world, 0, 2, SYNC_MS);
    io_gate_await_rest(world->gate);
    world_stop(world);
    assert_int_equal(told_count(world), 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(told_of(world, i), STATUS_OK);
    world_destroy(world);
}

static void a_rotation_ends_the_wait(void **state)
{
    (void)state;
    struct world *world = world_start(DURABILITY_ALWAYS);
    uint64_t last = 0;
    fly(world, 0, 2, SYNC_MS);
    io_gate_await_rest(world->gate);
    assert_int_equal(journal_rotate(world->journal, &last), STATUS_OK);
    assert_int_equal(last, 3);
    assert_int_equal(told_count(world), 3);
    world_destroy(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_was_just_answered_is_waited_for),
        cmocka_unit_test(the_wait_has_an_end),
        cmocka_unit_test(what_was_in_vain_is_left_out_for_a_while),
        cmocka_unit_test(who_comes_long_after_changes_nothing),
        cmocka_unit_test(a_fast_disk_waits_for_nobody),
        cmocka_unit_test(writes_without_a_sync_wait_for_nobody),
        cmocka_unit_test(a_sync_that_nobody_asked_for_waits_for_nobody),
        cmocka_unit_test(a_stop_ends_the_wait),
        cmocka_unit_test(a_rotation_ends_the_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
