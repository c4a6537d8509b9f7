/*
 * Goal: whichever call of the disk fails, and how, nobody is told what is not true, nothing that
 * was confirmed is lost, and an operator's snapshot leads back; a full disk is left without one.
 * Method: a scripted run of a whole store (sets, deletes, touches, purges, notes, compaction, a
 * snapshot) on a simulated disk, once for each call k of it and each kind of failure. Afterwards
 * the power goes, at once or after the way back, and the model says what may be there.
 */
#include <errno.h>

#include "tests/unit/storage/store_world.h"

enum { ROUNDS = 3, CALLS_MARGIN = 12, AFTER = 10 };

struct kind {
    const char *name;
    enum io_sim_fault fault;
    int error;
};

static const struct kind kinds[] = {
    {"EIO", IO_SIM_ERROR, EIO},
    {"ENOSPC", IO_SIM_ERROR, ENOSPC},
    {"EINTR for ever", IO_SIM_ERROR, EINTR},
    {"a short write, then ENOSPC", IO_SIM_SHORT, ENOSPC},
    {"a cancelled sync", IO_SIM_ERROR, ECANCELED},
    {"a short write, then EIO", IO_SIM_SHORT, EIO},
};
/* Of the calls, under a sanitizer every seventh: odd, so that both ways of ending are taken. */
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]), STRIDE = WORLD_IS_SANITIZED ? 7 : 1 };

/* Each request is waited for, so that the calls of the disk come in nearly the same order. */
static void ask_in_turn(struct world *world, unsigned round)
{
    struct wish_told *told = NULL;
    for (uint64_t key = 0; key < WORLD_KEYS; key += 2) {
        const enum journal_ack ack = key % 4 == 0 ? ACK_SYNCED : ACK_LOGGED;
        if (ask_set(world, key + round % 2, key % 3 == 0 ? 0 : world_now_ms + 5000, ack, &told) ==
            STATUS_OK)
            (void)await_wish(world, told);
    }
    if (ask_delete(world, round, ACK_SYNCED, &told) == STATUS_OK)
        (void)await_wish(world, told);
    if (ask_touch(world, 4 + round, world_now_ms + 9000, ACK_SYNCED, &told) == STATUS_OK)
        (void)await_wish(world, told);
    if (ask_note(world, round, ACK_SYNCED, &told) == STATUS_OK)
        (void)await_wish(world, told);
    if (ask_purge(world, (uint8_t)(1 + round), round % 2 == 0, ACK_SYNCED, &told) == STATUS_OK)
        (void)await_wish(world, told);
}

static void run_script(struct world *world)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        ask_in_turn(world, round);
        if (round == 1)
            ask_compaction(world);
        (void)await_jobs(world);
    }
    ask_snapshot(world);
    (void)await_jobs(world);
    ask_in_turn(world, 0);
}

/* What the disk has afterwards, judged after a cut of the power. */
static bool is_honest_after_a_cut(struct world *world)
{
    io_sim_crash(world->disk, world_chance(NULL));
    world_close(world);
    assert_int_equal(world_open(world), STATUS_OK);
    const struct verdict verdict = judge(world);
    return is_clean(&verdict);
}

/* An operator's snapshot: all that was asked for before is on the disk. */
static void lead_back(struct world *world)
{
    const unsigned asked = world->requests;
    ask_snapshot(world);
    if (await_jobs(world) != STATUS_OK) { /* the failing call was one of its own */
        ask_snapshot(world);
        assert_int_equal(await_jobs(world), STATUS_OK);
    }
    assert_int_equal(store_state(world->store), STORAGE_DURABLE);
    raise_mark(&world->durable, asked);
    for (unsigned i = 0; i < AFTER; i++)
        ask_anything(world);
}

struct count {
    uint64_t runs, degraded, refused_opens, dishonest;
};

/* True if the failing call was reached. */
static bool run_with(const struct kind *kind, uint64_t k, struct count *count)
{
    struct world *world = world_create(k + 1, (enum journal_durability)(k % 3));
    if (k % 5 == 4)
        world->options.error_action = ON_ERROR_READ_ONLY;
    io_sim_fail(world->disk, k, kind->fault, kind->error);
    count->runs++;
    if (world_open(world) != STATUS_OK) {
        count->refused_opens++;
        assert_int_equal(world_open(world), STATUS_OK); /* it fails but once */
    }
    run_script(world);
    const bool was_reached = io_sim_calls(world->disk) > k;
    const bool is_degraded = store_state(world->store) != STORAGE_DURABLE;
    count->degraded += is_degraded;
    if (k % 2 == 0)
        lead_back(world);
    if (!is_honest_after_a_cut(world)) {
        count->dishonest++;
        print_error("%s at call %llu\n", kind->name, (unsigned long long)k);
    }
    world_destroy(&world);
    return was_reached;
}

static void no_failing_call_makes_a_false_promise(void **state)
{
    (void)state;
    for (unsigned i = 0; i < KINDS; i++) {
        struct count count = {0};
        uint64_t k = 0, beyond = 0;
        for (; beyond < CALLS_MARGIN; k += STRIDE) /* their number is not always the same */
            beyond = run_with(&kinds[i], k, &count) ? 0 : beyond + 1;
        print_message("%s: %llu calls, degraded %llu times, %llu openings refused\n", kinds[i].name,
                      (unsigned long long)count.runs, (unsigned long long)count.degraded,
                      (unsigned long long)count.refused_opens);
        assert_int_equal(count.dishonest, 0);
        assert_true(count.degraded > 20 / STRIDE);
        assert_true(count.runs > 150 / STRIDE);
    }
}

/* Of a folder that has content. What is skipped because it cannot be read is there the next time.
 */
static void no_failing_call_of_an_opening_loses_anything(void **state)
{
    (void)state;
    for (unsigned i = 0; i < KINDS; i++) {
        bool was_reached = true;
        for (uint64_t k = 0; was_reached; k += STRIDE) {
            struct world *world = world_create(k + 1, DURABILITY_EVERYSEC);
            assert_int_equal(world_open(world), STATUS_OK);
            run_script(world);
            world_close(world);
            atomic_store(&world->durable, world->requests);
            const uint64_t before = io_sim_calls(world->disk);
            io_sim_fail(world->disk, k, kinds[i].fault, kinds[i].error);
            const bool is_open = world_open(world) == STATUS_OK;
            was_reached = io_sim_calls(world->disk) > before + k;
            if (is_open) {
                struct journal_stats stats;
                store_journal_stats(world->store, &stats);
                const struct verdict verdict = judge(world);
                assert_int_equal(verdict.wrong, 0);
                assert_true(is_clean(&verdict) || stats.damaged_bytes > 0);
                io_sim_kill(world->disk);
                world_close(world);
            }
            assert_int_equal(world_open(world), STATUS_OK);
            const struct verdict verdict = judge(world);
            assert_true(is_clean(&verdict));
            world_destroy(&world);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_failing_call_makes_a_false_promise),
        cmocka_unit_test(no_failing_call_of_an_opening_loses_anything),
    };
    log_setup(false, LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
