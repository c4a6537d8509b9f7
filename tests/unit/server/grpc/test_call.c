/*
 * Goal: a slot is reused when its last event has come back, not before and not twice.
 * Method: the counting of a struct call (call.c) by hand, in every order that the core may deliver;
 * no network.
 */
#include "tests/support/unit.h"

#include <string.h>

#include "base/clock.h"
#include "server/grpc/call.h"

static void make(struct call *call)
{
    call_init(call, NULL);
    call_expect_first(call);
}

static void an_exact_hit_ends_with_its_second_event(void **state)
{
    (void)state;
    struct call call;
    make(&call);                       /* arrived                        */
    assert_true(call_returned(&call)); /* sent: the closing batch itself */
    call_deinit(&call);
}

static void a_handed_off_call_outlives_a_caller_who_leaves_early(void **state)
{
    (void)state;
    struct call call;
    make(&call);
    call_expect(&call);                 /* RECV_CLOSE                              */
    assert_false(call_returned(&call)); /* closed, while compute still has the job */
    assert_true(call_returned(&call));  /* sent                                    */
    call_deinit(&call);
}

static void a_generic_call_waits_for_read_closed_and_sent(void **state)
{
    (void)state;
    struct call call;
    make(&call);
    call_expect(&call); /* RECV_CLOSE   */
    call_expect(&call); /* RECV_MESSAGE */
    assert_false(call_returned(&call));
    assert_false(call_returned(&call));
    assert_true(call_returned(&call));
    call_deinit(&call);
}

static void a_stream_may_write_as_often_as_it_wants(void **state)
{
    (void)state;
    struct call call;
    make(&call);
    call_expect(&call); /* RECV_CLOSE */
    for (int i = 0; i < 1000; i++) {
        call_expect(&call); /* a read or a write */
        assert_false(call_returned(&call));
    }
    assert_false(call_returned(&call));
    assert_true(call_returned(&call));
    call_deinit(&call);
}

static void a_slot_may_be_used_again_after_its_last_event(void **state)
{
    (void)state;
    struct call call;
    make(&call);
    assert_true(call_returned(&call));
    call_expect_first(&call);
    call_expect(&call);
    assert_false(call_returned(&call));
    assert_true(call_returned(&call));
    call_deinit(&call);
}

static void every_event_has_a_tag_and_a_magic_of_its_own(void **state)
{
    (void)state;
    struct call call;
    call_init(&call, NULL);
    for (int i = 0; i < CALL_EVENTS; i++) {
        assert_ptr_equal(call.tags[i].call, &call);
        assert_int_equal(call.tags[i].event, i);
        for (int j = 0; j < i; j++)
            assert_int_not_equal(call.tags[i].magic, call.tags[j].magic);
    }
    call_deinit(&call);
    for (int i = 0; i < CALL_EVENTS; i++)
        assert_int_equal(call.tags[i].magic, 0);
}

static void what_is_waited_for_is_due_before_the_deadline(void **state)
{
    (void)state;
    struct call call;
    call_init(&call, NULL);
    call.details.deadline = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    assert_true(call_due_us(&call) == 0);
    assert_true(call_last_us(&call) == 0);
    const struct {
        int64_t left_ms, due_ms;
    } cases[] = {{100000, 100000 - CALL_MARGIN_MS}, {80000 * 8, 640000 - CALL_MARGIN_MS}, {0, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const uint64_t before_us = clock_monotonic_us();
        call.details.deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                             gpr_time_from_millis(cases[i].left_ms, GPR_TIMESPAN));
        const uint64_t due_us = call_due_us(&call);
        const uint64_t after_us = clock_monotonic_us();
        const uint64_t due_in_us = (uint64_t)cases[i].due_ms * 1000;
        assert_in_range(due_us, before_us + due_in_us - (due_in_us > 0 ? 1000 : 0),
                        after_us + due_in_us); /* whole milliseconds are left */
    }
    call_deinit(&call);
}

static void the_last_moment_lies_between_due_and_the_deadline(void **state)
{
    (void)state;
    struct call call;
    call_init(&call, NULL);
    call.details.deadline =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(1000, GPR_TIMESPAN));
    const uint64_t before_us = clock_monotonic_us();
    const uint64_t last_us = call_last_us(&call);
    const uint64_t half_us = CALL_MARGIN_MS * 1000 / 2, second_us = 1000 * 1000;
    assert_in_range(last_us, before_us + 999 * second_us - half_us,
                    clock_monotonic_us() + 1000 * second_us - half_us);
    call.details.deadline =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(80, GPR_TIMESPAN));
    const uint64_t due_us = call_due_us(&call);
    assert_true(call_last_us(&call) + 1000 >= due_us); /* whole milliseconds are left */
    call_deinit(&call);
}

static void a_job_finds_its_call(void **state)
{
    (void)state;
    struct call call;
    call_init(&call, NULL);
    assert_ptr_equal(call_of_job(&call.job), &call);
    call_deinit(&call);
}

static void the_time_that_is_left_ends_at_zero(void **state)
{
    (void)state;
    struct call call;
    call_init(&call, NULL);
    call.details.deadline = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    assert_true(call_remaining_ms(&call) == INT64_MAX);
    assert_int_equal(call_fate(&call), CALL_WANTED);
    call.details.deadline =
        gpr_time_sub(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(1, GPR_TIMESPAN));
    assert_true(call_remaining_ms(&call) == 0);
    assert_int_equal(call_fate(&call), CALL_TOO_LATE);
    call.details.deadline =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(100, GPR_TIMESPAN));
    assert_in_range(call_remaining_ms(&call), 90000, 100000);
    call_deinit(&call);
}

static void a_caller_who_left_is_told_from_one_who_is_late(void **state)
{
    (void)state;
    struct call call;
    call_init(&call, NULL);
    call.details.deadline = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    atomic_store(&call.closed, true);
    assert_int_equal(call_fate(&call), CALL_GONE);
    call.details.deadline =
        gpr_time_0(GPR_CLOCK_MONOTONIC); /* the core closes late calls as well */
    assert_int_equal(call_fate(&call), CALL_TOO_LATE);
    call_deinit(&call);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exact_hit_ends_with_its_second_event),
        cmocka_unit_test(a_handed_off_call_outlives_a_caller_who_leaves_early),
        cmocka_unit_test(a_generic_call_waits_for_read_closed_and_sent),
        cmocka_unit_test(a_stream_may_write_as_often_as_it_wants),
        cmocka_unit_test(a_slot_may_be_used_again_after_its_last_event),
        cmocka_unit_test(every_event_has_a_tag_and_a_magic_of_its_own),
        cmocka_unit_test(a_job_finds_its_call),
        cmocka_unit_test(what_is_waited_for_is_due_before_the_deadline),
        cmocka_unit_test(the_last_moment_lies_between_due_and_the_deadline),
        cmocka_unit_test(the_time_that_is_left_ends_at_zero),
        cmocka_unit_test(a_caller_who_left_is_told_from_one_who_is_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
