/*
 * Goal: whenever the power goes, a store that is opened again has lost nothing that was confirmed
 * as SYNCED, brings nothing back that was confirmed as deleted or purged, or was evicted before
 * what was confirmed, keeps its vector beside each entry, and gives no wrong byte; a sequence is
 * never drawn twice; when the process ends nothing confirmed as LOGGED is lost; a clean end loses
 * nothing at all. Method: seeded requests of every kind against a store on a simulated disk and a
 * model beside it, the custodian at work meanwhile. The power goes in the middle of a call of the
 * disk, by chance also while the store opens or closes; what was not synced is then dropped, kept,
 * torn or kept in part. REPRISE_POWER_CUTS says how many seeds, 1,000 if it says nothing (fewer
 * under a sanitizer); REPRISE_POWER_SEED is the first. A long opening says in the log how far it
 * is. Exercises store_open.
 */
#include <unistd.h>

#include "tests/unit/storage/store_world.h"

enum { ROUNDS = 3, REQUESTS = 40, CALLS_MAX = 120, OPEN_CALLS_MAX = 30, ROOM_FOR_FEW = 9 };
enum { CLOCK_STEP_US = 1500 };

/* Sanitizers cost up to thirty times as much. */
enum { SEEDS = WORLD_IS_SANITIZED ? 200 : 1000 };

static unsigned from_environment(const char *name, unsigned standard)
{
    const char *text = getenv(name);
    const unsigned long value = text != NULL ? strtoul(text, NULL, 10) : 0;
    return value > 0 ? (unsigned)value : standard;
}

/* A thousand seeds take seconds; a hundred thousand are to be watched. */
static void tell(uint64_t done, unsigned seeds)
{
    enum { EVERY = 2000 };
    if (seeds > EVERY && done % EVERY == 0)
        print_message("%llu of %u seeds\n", (unsigned long long)done, seeds);
}

struct sum { /* over all seeds */
    uint64_t cuts, opens_cut, durable, entries, damaged_bytes, torn_bytes;
    struct verdict verdict;
};

static void add(struct sum *sum, const struct verdict *verdict)
{
    sum->verdict.lost += verdict->lost;
    sum->verdict.back += verdict->back;
    sum->verdict.wrong += verdict->wrong;
    sum->verdict.notes += verdict->notes;
    sum->verdict.vectors += verdict->vectors;
}

/* The power may go while it opens; then once more, with power. */
static void open_at_last(struct world *world, struct sum *sum)
{
    if (pick(world, 4) == 0)
        io_sim_fail(world->disk, pick(world, OPEN_CALLS_MAX), IO_SIM_CRASH,
                    (int)pick(world, 1 << 30));
    if (world_open(world) == STATUS_OK)
        return;
    sum->opens_cut++;
    io_sim_crash(world->disk, pick(world, 1 << 30));
    assert_int_equal(world_open(world), STATUS_OK);
}

static void note_recovered(struct world *world, struct sum *sum)
{
    struct journal_stats stats;
    store_journal_stats(world->store, &stats);
    sum->entries += stats.recovered_entries;
    sum->damaged_bytes += stats.damaged_bytes;
    sum->torn_bytes += stats.torn_bytes;
}

static void cut_power(struct world *world)
{
    if (pick(world, 4) == 0) { /* while it closes */
        io_sim_fail(world->disk, pick(world, 10), IO_SIM_CRASH, (int)pick(world, 1 << 30));
        world_close(world);
    }
    io_sim_crash(world->disk, pick(world, 1 << 30));
    world_close(world);
}

/* True if all is honest. */
static bool run_round(struct world *world, struct sum *sum)
{
    if (pick(world, 2) == 0)
        io_sim_fail(world->disk, pick(world, CALLS_MAX), IO_SIM_CRASH, (int)pick(world, 1 << 30));
    for (unsigned i = 0; i < REQUESTS; i++)
        ask_anything(world);
    const bool is_clean_end = pick(world, 8) == 0 && store_state(world->store) == STORAGE_DURABLE;
    if (is_clean_end)
        world_close(world);
    else
        cut_power(world);
    sum->cuts++;
    sum->durable += atomic_load(&world->durable);
    open_at_last(world, sum);
    note_recovered(world, sum);
    const struct verdict verdict = judge(world);
    add(sum, &verdict);
    begin_anew(world);
    return is_clean(&verdict);
}

/* Every fifth has room for a few alone: who is evicted is gone as well. In every sixteenth time
 * passes, so that syncs are slow, batches wait for whom they have answered, and a second goes by.
 */
static struct world *world_of(uint64_t seed)
{
    struct world *world = world_create(seed, (enum journal_durability)(seed % 3));
    atomic_store(&world_clock_step_us, seed % 16 == 0 ? CLOCK_STEP_US : 0);
    if (seed % 5 == 0) {
        world->store_options.stripes_count = 1;
        world->store_options.entries_max = ROOM_FOR_FEW;
    }
    return world;
}

static void run_seed(uint64_t seed, struct sum *sum)
{
    struct world *world = world_of(seed);
    assert_int_equal(world_open(world), STATUS_OK);
    begin_anew(world);
    for (unsigned round = 0; round < ROUNDS; round++) {
        if (!run_round(world, sum))
            print_error("seed %llu, round %u\n", (unsigned long long)seed, round);
    }
    world_destroy(&world);
}

static void nothing_confirmed_is_lost_whenever_the_power_goes(void **state)
{
    (void)state;
    struct sum sum = {0};
    const unsigned seeds = from_environment("REPRISE_POWER_CUTS", SEEDS);
    const uint64_t first = from_environment("REPRISE_POWER_SEED", 1);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        run_seed(seed, &sum);
        tell(seed - first + 1, seeds);
    }
    print_message("%u seeds, %llu power cuts, %llu in an opening; %llu requests confirmed, %llu "
                  "records read back; torn %llu bytes, skipped %llu\n",
                  seeds, (unsigned long long)sum.cuts, (unsigned long long)sum.opens_cut,
                  (unsigned long long)sum.durable, (unsigned long long)sum.entries,
                  (unsigned long long)sum.torn_bytes, (unsigned long long)sum.damaged_bytes);
    assert_int_equal(sum.verdict.lost, 0);
    assert_int_equal(sum.verdict.back, 0);
    assert_int_equal(sum.verdict.wrong, 0);
    assert_int_equal(sum.verdict.notes, 0);
    assert_int_equal(sum.verdict.vectors, 0);
    assert_true(sum.durable > seeds); /* else nothing was shown */
    assert_true(sum.entries > seeds);
}

/* The process ends in the middle of a call of the disk; what it has written stays. */
static void run_kill(uint64_t seed, struct sum *sum)
{
    struct world *world = world_of(seed);
    assert_int_equal(world_open(world), STATUS_OK);
    begin_anew(world);
    for (unsigned round = 0; round < ROUNDS; round++) {
        io_sim_fail(world->disk, pick(world, CALLS_MAX), IO_SIM_KILL, 0);
        for (unsigned i = 0; i < REQUESTS; i++)
            ask_anything(world);
        io_sim_kill(world->disk);
        world_close(world);
        atomic_store(&world->durable, atomic_load(&world->logged));
        sum->durable += atomic_load(&world->logged);
        assert_int_equal(world_open(world), STATUS_OK);
        note_recovered(world, sum);
        const struct verdict verdict = judge(world);
        add(sum, &verdict);
        if (!is_clean(&verdict))
            print_error("seed %llu, round %u\n", (unsigned long long)seed, round);
        begin_anew(world);
    }
    world_destroy(&world);
}

static void nothing_logged_is_lost_whenever_the_process_ends(void **state)
{
    (void)state;
    struct sum sum = {0};
    const unsigned seeds = from_environment("REPRISE_POWER_CUTS", SEEDS);
    const uint64_t first = from_environment("REPRISE_POWER_SEED", 1);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        run_kill(seed, &sum);
        tell(seed - first + 1, seeds);
    }
    print_message("%u seeds, %u ends; %llu requests confirmed, %llu records read back; torn %llu "
                  "bytes\n",
                  seeds, seeds * ROUNDS, (unsigned long long)sum.durable,
                  (unsigned long long)sum.entries, (unsigned long long)sum.torn_bytes);
    assert_int_equal(sum.verdict.lost, 0);
    assert_int_equal(sum.verdict.back, 0);
    assert_int_equal(sum.verdict.wrong, 0);
    assert_int_equal(sum.verdict.notes, 0);
    assert_int_equal(sum.verdict.vectors, 0);
    assert_int_equal(sum.damaged_bytes, 0); /* writes go in order: a torn tail at most */
    assert_true(sum.durable > seeds);
}

static void a_clean_end_loses_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct world *world = world_of(seed);
        assert_int_equal(world_open(world), STATUS_OK);
        for (unsigned i = 0; i < 4 * REQUESTS; i++)
            ask_anything(world);
        world_close(world);
        atomic_store(&world->durable, world->requests);
        assert_int_equal(world_open(world), STATUS_OK);
        const struct verdict verdict = judge(world);
        assert_true(is_clean(&verdict));
        assert_int_equal(verdict.vectors, 0);
        begin_anew(world);
        world_destroy(&world);
    }
}

/* ---- what it says meanwhile ------------------------------------------------------------------ */

static unsigned count_lines(FILE *log, const char *event)
{
    char line[512];
    unsigned count = 0;
    rewind(log);
    while (fgets(line, sizeof(line), log) != NULL)
        count += strstr(line, event) != NULL;
    return count;
}

/* The clock runs so fast that each piece of the folder takes longer than the time between lines. */
static unsigned lines_of_an_opening(struct world *world, uint64_t step_us)
{
    FILE *log = tmpfile();
    assert_non_null(log);
    const int kept = dup(STDERR_FILENO);
    assert_true(dup2(fileno(log), STDERR_FILENO) >= 0);
    log_setup(false, LOG_INFO);
    atomic_store(&world_clock_step_us, step_us);
    const enum status status = world_open(world);
    atomic_store(&world_clock_step_us, 0);
    log_setup(false, LOG_ERROR);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    (void)close(kept);
    assert_int_equal(status, STATUS_OK);
    const unsigned count = count_lines(log, "the data folder is being read bytes=");
    (void)fclose(log);
    return count;
}

static void a_long_opening_says_how_far_it_is(void **state)
{
    (void)state;
    struct world *world = world_of(1);
    assert_int_equal(world_open(world), STATUS_OK);
    for (unsigned i = 0; i < REQUESTS; i++)
        ask_anything(world);
    world_close(world);
    assert_int_equal(lines_of_an_opening(world, 0), 0);
    world_close(world);
    assert_true(lines_of_an_opening(world, 10 * 1000 * 1000) > 0);
    world_destroy(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_end_loses_nothing),
        cmocka_unit_test(a_long_opening_says_how_far_it_is),
        cmocka_unit_test(nothing_confirmed_is_lost_whenever_the_power_goes),
        cmocka_unit_test(nothing_logged_is_lost_whenever_the_process_ends),
    };
    log_setup(false, LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
