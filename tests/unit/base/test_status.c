/*
 * test_status.c - Goal: every status has a name, a text and a code of gRPC; a failure names its
 * field and never overflows. Method: the table is walked; fields longer than their room are built
 * up by prefixes.
 */
#include "tests/support/unit.h"

#include <string.h>

#include "base/status.h"

static void every_status_has_a_name_a_text_and_a_grpc_code(void **state)
{
    (void)state;
    for (int i = STATUS_OK; i <= STATUS_IO_FAILED; i++) {
        assert_true(strlen(status_name((enum status)i)) > 0);
        assert_true(strlen(status_text((enum status)i)) > 0);
        assert_in_range(status_grpc_code((enum status)i), 0, 16);
        assert_true((status_grpc_code((enum status)i) == 0) == (i == STATUS_OK));
    }
    assert_string_equal(status_name(STATUS_BAD_TEXT), "BAD_TEXT");
    assert_int_equal(status_grpc_code(STATUS_OVERLOADED), 8);
}

static void a_failure_keeps_field_and_message_and_returns_its_status(void **state)
{
    (void)state;
    struct failure failure = {0};
    assert_int_equal(
        failure_set(&failure, STATUS_LIMIT_EXCEEDED, "tags", "%d tags; at most %d", 40, 32),
        STATUS_LIMIT_EXCEEDED);
    assert_int_equal(failure.status, STATUS_LIMIT_EXCEEDED);
    assert_string_equal(failure.field, "tags");
    assert_string_equal(failure.message, "40 tags; at most 32");
    assert_int_equal(failure_set(NULL, STATUS_DEADLINE, "", "late"), STATUS_DEADLINE);
}

static void prefixes_build_the_path_of_a_field(void **state)
{
    (void)state;
    struct failure failure = {0};
    (void)failure_set(&failure, STATUS_BAD_TEXT, "content", "not UTF-8");
    failure_prefix(&failure, "messages[3]");
    failure_prefix(&failure, "identity");
    assert_string_equal(failure.field, "identity.messages[3].content");
}

static void a_failure_without_field_gets_the_prefix_alone(void **state)
{
    (void)state;
    struct failure failure = {0};
    (void)failure_set(&failure, STATUS_EMPTY_PROMPT, "", "nothing asked");
    failure_prefix(&failure, "identity");
    assert_string_equal(failure.field, "identity");
}

static void no_failure_gets_no_prefix(void **state)
{
    (void)state;
    struct failure failure = {0};
    failure_prefix(&failure, "identity");
    assert_string_equal(failure.field, "");
    failure_prefix(NULL, "identity");
}

static void an_overlong_path_loses_its_end(void **state)
{
    (void)state;
    struct failure failure = {0};
    char message[2 * FAILURE_MESSAGE_MAX];
    memset(message, 'm', sizeof(message) - 1);
    message[sizeof(message) - 1] = '\0';
    (void)failure_set(&failure, STATUS_BAD_TEXT, "inner", "%s", message);
    assert_int_equal(strlen(failure.message), FAILURE_MESSAGE_MAX - 1);
    for (int i = 0; i < 20; i++)
        failure_prefix(&failure, "0123456789");
    assert_int_equal(strlen(failure.field), FAILURE_FIELD_MAX - 1);
    assert_memory_equal(failure.field, "0123456789.0123456789.", 22);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_name_a_text_and_a_grpc_code),
        cmocka_unit_test(a_failure_keeps_field_and_message_and_returns_its_status),
        cmocka_unit_test(prefixes_build_the_path_of_a_field),
        cmocka_unit_test(a_failure_without_field_gets_the_prefix_alone),
        cmocka_unit_test(no_failure_gets_no_prefix),
        cmocka_unit_test(an_overlong_path_loses_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
