/*
 * Goal: the reason, the field and the advice of an error come out of its details, and no bytes
 * whatever do harm. Method: details packed with protobuf-c, then cut and changed byte by byte.
 * Room: details.
 */
#include <stdlib.h>
#include <string.h>

#include "clients/c/details.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "tests/support/unit.h"

static struct reprise_error fresh(void)
{
    return (struct reprise_error){.code = REPRISE_INVALID_ARGUMENT,
                                  .reason = "",
                                  .field = "",
                                  .message = "",
                                  .retry_after_ms = -1};
}

static void wrap(Google__Protobuf__Any *any, const char *url, const ProtobufCMessage *message)
{
    google__protobuf__any__init(any);
    any->type_url = (char *)(uintptr_t)url;
    any->value.len = protobuf_c_message_get_packed_size(message);
    any->value.data = malloc(any->value.len + 1);
    assert_non_null(any->value.data);
    (void)protobuf_c_message_pack(message, any->value.data);
}

/* A status with all three details, as the server sends it. */
static size_t pack_status(uint8_t *bytes, int64_t retry_s)
{
    Google__Rpc__ErrorInfo info = GOOGLE__RPC__ERROR_INFO__INIT;
    info.reason = "LIMIT_EXCEEDED";
    info.domain = "reprise";
    Google__Rpc__BadRequest__FieldViolation violation =
        GOOGLE__RPC__BAD_REQUEST__FIELD_VIOLATION__INIT;
    violation.field = "identity.prompt";
    violation.description = "at most 262144 bytes";
    Google__Rpc__BadRequest__FieldViolation *violations[] = {&violation};
    Google__Rpc__BadRequest bad = GOOGLE__RPC__BAD_REQUEST__INIT;
    bad.field_violations = violations;
    bad.n_field_violations = 1;
    Google__Protobuf__Duration delay = GOOGLE__PROTOBUF__DURATION__INIT;
    delay.seconds = retry_s;
    delay.nanos = 250000000;
    Google__Rpc__RetryInfo retry = GOOGLE__RPC__RETRY_INFO__INIT;
    retry.retry_delay = &delay;
    Google__Protobuf__Any details[3];
    wrap(&details[0], "type.googleapis.com/google.rpc.ErrorInfo", &info.base);
    wrap(&details[1], "type.googleapis.com/google.rpc.BadRequest", &bad.base);
    wrap(&details[2], "google.rpc.RetryInfo", &retry.base);
    Google__Protobuf__Any *list[] = {&details[0], &details[1], &details[2]};
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
    status.code = 3;
    status.message = "the prompt is too long";
    status.details = list;
    status.n_details = 3;
    size_t size = google__rpc__status__pack(&status, bytes);
    for (size_t i = 0; i < 3; i++)
        free(details[i].value.data);
    return size;
}

static void reason_field_message_and_advice_are_read(void **state)
{
    (void)state;
    uint8_t bytes[512];
    struct arena *arena = NULL;
    assert_int_equal(arena_create(&arena), STATUS_OK);
    struct reprise_error error = fresh();
    details_read(bytes, pack_status(bytes, 1), arena, &error);
    assert_string_equal(error.reason, "LIMIT_EXCEEDED");
    assert_string_equal(error.field, "identity.prompt");
    assert_string_equal(error.message, "the prompt is too long");
    assert_int_equal(error.retry_after_ms, 1250);
    assert_int_equal(error.code, REPRISE_INVALID_ARGUMENT);
    arena_destroy(&arena);
}

static void absurd_advice_is_not_followed(void **state)
{
    (void)state;
    static const int64_t absurd[] = {-1, 86401, INT64_MAX, INT64_MIN};
    uint8_t bytes[512];
    for (size_t i = 0; i < sizeof(absurd) / sizeof(absurd[0]); i++) {
        struct arena *arena = NULL;
        assert_int_equal(arena_create(&arena), STATUS_OK);
        struct reprise_error error = fresh();
        details_read(bytes, pack_status(bytes, absurd[i]), arena, &error);
        assert_int_equal(error.retry_after_ms, -1);
        arena_destroy(&arena);
    }
}

static void bytes_that_are_cut_or_changed_do_no_harm(void **state)
{
    (void)state;
    uint8_t good[512], bad[512];
    size_t size = pack_status(good, 1);
    for (size_t i = 0; i < size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            struct arena *arena = NULL;
            assert_int_equal(arena_create(&arena), STATUS_OK);
            memcpy(bad, good, size);
            bad[i] = (uint8_t)(bad[i] ^ (1U << bit));
            struct reprise_error error = fresh();
            details_read(bad, size, arena, &error);
            details_read(good, i, arena, &error);
            assert_non_null(error.reason);
            assert_non_null(error.field);
            assert_non_null(error.message);
            assert_true(error.retry_after_ms >= -1);
            arena_destroy(&arena);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reason_field_message_and_advice_are_read),
        cmocka_unit_test(absurd_advice_is_not_followed),
        cmocka_unit_test(bytes_that_are_cut_or_changed_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
