/*
 * Goal: the door (listener.c, queue.c, worker.c) opens on loopback only, says clearly why not, and
 * closes in every state of its life without a call; limits count (door.c); refusals spread over
 * time (reply.c). Method: real listeners on free loopback ports, without cache and pool since
 * nobody calls.
 */
#include "tests/support/unit.h"

#include <string.h>

#include "server/codec.h"
#include "server/grpc/arguments.h"
#include "server/grpc/door.h"
#include "server/grpc/listener.h"
#include "server/grpc/reply.h"

/* ThreadSanitizer does not see into Debian's gRPC, so it reports races where the core's own locks
 * are. */
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif

static const struct codec_limits limits = {.batch_max = 256, .reply_max = 4 << 20};

static int make_options(void **state)
{
    struct options *options = NULL;
    const struct option_table table = {listener_option_rows, listener_option_rows_count};
    if (options_create(&table, 1, &options) != STATUS_OK)
        return 1;
    *state = options;
    return 0;
}

static int free_options(void **state)
{
    struct options *options = *state;
    options_destroy(&options);
    return 0;
}

static enum status open_at(void **state, const char *address, uint32_t io_threads,
                           struct listener **out_listener, struct failure *failure)
{
    const struct listener_setup setup = {
        .address = address, .limits = &limits, .options = *state, .io_threads = io_threads};
    return listener_create(&setup, out_listener, failure);
}

static struct listener *open_free(void **state, uint32_t io_threads)
{
    if (UNDER_TSAN)
        skip();
    struct listener *listener = NULL;
    struct failure failure = {.status = STATUS_OK};
    assert_int_equal(open_at(state, "127.0.0.1:0", io_threads, &listener, &failure), STATUS_OK);
    return listener;
}

static void addresses_beyond_this_machine_are_refused_with_the_reason(void **state)
{
    const char *const refused[] = {"0.0.0.0:7371",  "[::]:7371",      "10.0.0.1:7371",
                                   "example.com:1", "128.0.0.1:7371", "127.0.0.1.example.com:7371"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct listener *listener = NULL;
        struct failure failure = {.status = STATUS_OK};
        assert_int_equal(open_at(state, refused[i], 2, &listener, &failure), STATUS_BAD_OPTION);
        assert_null(listener);
        assert_string_equal(failure.field, "grpc.listen");
        assert_non_null(strstr(failure.message, "neither TLS nor tokens"));
    }
}

static void a_free_port_is_picked_and_a_taken_one_refused(void **state)
{
    struct listener *first = open_free(state, 2), *second = NULL;
    assert_in_range(listener_port(first), 1, 65535);
    char address[32];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", listener_port(first));
    struct failure failure = {.status = STATUS_OK};
    assert_int_equal(open_at(state, address, 2, &second, &failure), STATUS_UNAVAILABLE);
    assert_null(second);
    assert_non_null(strstr(failure.message, address));
    listener_destroy(&first);
    assert_null(first);
    listener_destroy(&first);
}

static void a_door_that_nobody_entered_closes(void **state)
{
    struct listener *listener = open_free(state, 3); /* two queues, one with one thread */
    struct failure failure = {.status = STATUS_OK};
    assert_int_equal(listener_start(listener, &failure), STATUS_OK);
    listener_open(listener);
    listener_tick(listener, 1000);
    struct listener_stats stats;
    listener_stats(listener, &stats);
    assert_int_equal(stats.inflight, 0);
    assert_int_equal(stats.streams, 0);
    assert_int_equal(stats.shed_inflight, 0);
    listener_drain(listener, 0, 1000);
    listener_tick(listener, 2000); /* the keeper may be late */
    listener_destroy(&listener);
}

static void destroying_a_started_door_drains_it(void **state)
{
    struct listener *listener = open_free(state, 1);
    struct failure failure = {.status = STATUS_OK};
    assert_int_equal(listener_start(listener, &failure), STATUS_OK);
    listener_open(listener);
    listener_destroy(&listener);
    assert_null(listener);
}

static void a_hurried_drain_skips_its_delay(void **state)
{
    struct listener *listener = open_free(state, 2);
    struct failure failure = {.status = STATUS_OK};
    assert_int_equal(listener_start(listener, &failure), STATUS_OK);
    listener_open(listener);
    listener_hurry(listener);
    listener_drain(listener, 3600 * 1000,
                   3600 * 1000); /* the test's own time limit would show it */
    listener_destroy(&listener);
}

static void limits_count_what_is_inside_and_what_was_refused(void **state)
{
    (void)state;
    struct door door = {.inflight_max = 2, .streams_max = 5};
    assert_int_equal(counters_create(DOOR_COUNTERS, &door.counters), STATUS_OK);
    assert_true(door_enter(&door));
    assert_true(door_enter(&door));
    assert_false(door_enter(&door));
    assert_int_equal(counters_read(door.counters, DOOR_SHED_INFLIGHT), 1);
    door_leave(&door);
    assert_true(door_enter(&door));
    door_leave(&door);
    door_leave(&door);
    assert_int_equal(atomic_load(&door.inflight), 0);
    for (int i = 0; i < 5; i++)
        assert_true(door_enter_stream(&door));
    assert_false(door_enter_stream(&door));
    assert_int_equal(counters_read(door.counters, DOOR_SHED_STREAMS), 1);
    assert_int_equal(counters_read(door.counters, DOOR_CALLS), 3 + 5);
    counters_destroy(&door.counters);
}

static void refusals_spread_between_50_and_500_ms(void **state)
{
    (void)state;
    unsigned seen[PUSHBACK_MS_MAX + 1] = {0};
    for (uint32_t number = 0; number < 1600; number++) {
        uint32_t delay_ms = pushback_ms(number);
        assert_in_range(delay_ms, PUSHBACK_MS_MIN, PUSHBACK_MS_MAX);
        assert_int_not_equal(delay_ms, pushback_ms(number + 1));
        seen[delay_ms]++;
    }
    unsigned values = 0;
    for (size_t i = 0; i <= PUSHBACK_MS_MAX; i++) {
        values += seen[i] > 0;
        assert_true(seen[i] < 200); /* 100 each, if they were even */
    }
    assert_int_equal(values, PUSHBACKS_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_beyond_this_machine_are_refused_with_the_reason),
        cmocka_unit_test(a_free_port_is_picked_and_a_taken_one_refused),
        cmocka_unit_test(a_door_that_nobody_entered_closes),
        cmocka_unit_test(destroying_a_started_door_drains_it),
        cmocka_unit_test(a_hurried_drain_skips_its_delay),
        cmocka_unit_test(limits_count_what_is_inside_and_what_was_refused),
        cmocka_unit_test(refusals_spread_between_50_and_500_ms),
    };
    return cmocka_run_group_tests(tests, make_options, free_options);
}
