/*
 * Goal: Touch and cache control are read as they were sent, a given 0 included, and nothing broken
 * passes. Method: messages packed by protobuf-c, as a client would.
 */
#include "codec_requests.h"

static void control_is_read_with_its_zeros(void **state)
{
    struct cache_get_request request;
    Reprise__V1__CacheControl control = REPRISE__V1__CACHE_CONTROL__INIT;
    Reprise__V1__GetRequest *get = small_get();
    get->cache_control = &control;
    control.max_age_ms_given_case = REPRISE__V1__CACHE_CONTROL__MAX_AGE_MS_GIVEN_MAX_AGE_MS;
    control.only_if_cached = true;
    control.max_stale_ms = UINT64_MAX;
    assert_int_equal(
        codec_read_get(packed(&get->base, *state), &small_limits, *state, &request, NULL),
        STATUS_OK);
    assert_true(request.control.max_age_given);
    assert_int_equal(request.control.max_age_ms, 0);
    assert_true(request.control.only_if_cached);
    assert_false(request.control.bypass);
    assert_true(request.control.max_stale_ms == UINT64_MAX);
    get->cache_control = NULL;
    assert_int_equal(
        codec_read_get(packed(&get->base, *state), &small_limits, *state, &request, NULL),
        STATUS_OK);
    assert_false(request.control.max_age_given);
}

static void a_touch_names_ids_and_perhaps_a_time(void **state)
{
    char id[DIGEST_HEX + 1];
    char *ids[] = {id};
    struct cache_touch_request request;
    struct failure failure = {.status = STATUS_OK};
    memset(id, 'a', DIGEST_HEX);
    id[DIGEST_HEX] = '\0';
    Reprise__V1__TouchRequest message = REPRISE__V1__TOUCH_REQUEST__INIT;
    message.namespace_ = "shop";
    message.n_entry_ids = 1;
    message.entry_ids = ids;
    assert_int_equal(
        codec_read_touch(packed(&message.base, *state), &small_limits, *state, &request, NULL),
        STATUS_OK);
    assert_int_equal(request.entry_ids_count, 1);
    assert_false(request.ttl_given);
    message.ttl_ms_given_case = REPRISE__V1__TOUCH_REQUEST__TTL_MS_GIVEN_TTL_MS;
    assert_int_equal(
        codec_read_touch(packed(&message.base, *state), &small_limits, *state, &request, NULL),
        STATUS_OK);
    assert_true(request.ttl_given);
    id[5] = 'g';
    assert_int_equal(
        codec_read_touch(packed(&message.base, *state), &small_limits, *state, &request, &failure),
        STATUS_BAD_ID);
    assert_string_equal(failure.field, "entry_ids[0]");
}

static void a_touchs_reply_counts_both(void **state)
{
    const struct cache_touch_reply counted = {.touched = 3, .missing = 2};
    struct codec_reply reply;
    assert_int_equal(codec_write_touch(&counted, *state, &reply), STATUS_OK);
    const Reprise__V1__TouchResponse *message = (const Reprise__V1__TouchResponse *)unpacked(
        &reprise__v1__touch_response__descriptor, reply.head, *state);
    assert_int_equal(message->touched, 3);
    assert_int_equal(message->missing, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(control_is_read_with_its_zeros),
        ARENA_TEST(a_touch_names_ids_and_perhaps_a_time),
        ARENA_TEST(a_touchs_reply_counts_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
