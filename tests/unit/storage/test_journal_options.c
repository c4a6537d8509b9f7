/*
 * Goal: what an operator types arrives in the journal as it was meant, and what does not go
 * together is refused with its name. Method: journal_options read from flags.
 */
#include <stdlib.h>
#include <string.h>

#include "storage/journal.h"
#include "tests/support/unit.h"

static enum status read_flags(const char *const *flags, int count, struct options **out_options,
                              struct journal_options *out_read, struct failure *failure)
{
    char *argv[16] = {(char *)(uintptr_t) "test"};
    const struct option_table table = {journal_option_rows, journal_option_rows_count};
    assert_int_equal(options_create(&table, 1, out_options), STATUS_OK);
    for (int i = 0; i < count; i++)
        argv[i + 1] = (char *)(uintptr_t)flags[i];
    assert_int_equal(options_read_flags(*out_options, count + 1, argv, stderr), STATUS_OK);
    return journal_options_read(*out_options, out_read, failure);
}

static void the_standards_are_those_of_the_manual(void **state)
{
    (void)state;
    struct options *options = NULL;
    struct journal_options read;
    assert_int_equal(read_flags(NULL, 0, &options, &read, NULL), STATUS_OK);
    assert_string_equal(read.path, "data");
    assert_int_equal(read.io, IO_AUTO);
    assert_int_equal(read.durability, DURABILITY_EVERYSEC);
    assert_int_equal(read.recovery, RECOVERY_SALVAGE);
    assert_int_equal(read.error_action, ON_ERROR_MEMORY_ONLY);
    assert_int_equal(read.ack_default, ACK_DEFAULT);
    assert_int_equal(read.segment_bytes, 64 << 20);
    assert_int_equal(read.queue_bytes, 64 << 20);
    assert_int_equal(read.compact_bytes_per_s, 64 << 20);
    assert_int_equal(read.flush_interval_ms, 10);
    assert_int_equal(read.spares, 2);
    options_destroy(&options);
}

static void each_word_has_its_place(void **state)
{
    (void)state;
    static const char *const flags[] = {
        "--storage-io=io_uring",        "--storage-error-action=exit",
        "--journal-durability=always",  "--journal-recovery=strict",
        "--journal-ack-default=synced", "--journal-segment-size=16MiB",
        "--journal-flush-interval=3ms", "--journal-spares=0",
        "--journal-queue-max=1MiB",     "--compact-rate-max=2MiB",
        "--storage-path=/somewhere",
    };
    struct options *options = NULL;
    struct journal_options read;
    assert_int_equal(read_flags(flags, sizeof(flags) / sizeof(flags[0]), &options, &read, NULL),
                     STATUS_OK);
    assert_string_equal(read.path, "/somewhere");
    assert_int_equal(read.io, IO_URING);
    assert_int_equal(read.durability, DURABILITY_ALWAYS);
    assert_int_equal(read.recovery, RECOVERY_STRICT);
    assert_int_equal(read.error_action, ON_ERROR_EXIT);
    assert_int_equal(read.ack_default, ACK_SYNCED);
    assert_int_equal(read.segment_bytes, 16 << 20);
    assert_int_equal(read.queue_bytes, 1 << 20);
    assert_int_equal(read.compact_bytes_per_s, 2 << 20);
    assert_int_equal(read.flush_interval_ms, 3);
    assert_int_equal(read.spares, 0);
    options_destroy(&options);
}

static void what_does_not_go_together_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *flags[2], *field;
    } bad[] = {
        {{"--storage-path=", "--journal-ack-default=logged"}, "journal.ack_default"},
        {{"--storage-path=", "--journal-ack-default=synced"}, "journal.ack_default"},
        {{"--journal-spares=1", "--journal-segment-size=16777217"}, "journal.segment_size"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct options *options = NULL;
        struct journal_options read;
        struct failure failure = {.status = STATUS_OK};
        assert_int_equal(read_flags(bad[i].flags, 2, &options, &read, &failure), STATUS_BAD_OPTION);
        assert_string_equal(failure.field, bad[i].field);
        options_destroy(&options);
    }
}

static void without_a_folder_memory_may_be_asked_for(void **state)
{
    (void)state;
    static const char *const flags[] = {"--storage-path=", "--journal-ack-default=memory"};
    struct options *options = NULL;
    struct journal_options read;
    assert_int_equal(read_flags(flags, 2, &options, &read, NULL), STATUS_OK);
    assert_string_equal(read.path, "");
    assert_int_equal(read.ack_default, ACK_MEMORY);
    options_destroy(&options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_standards_are_those_of_the_manual),
        cmocka_unit_test(each_word_has_its_place),
        cmocka_unit_test(what_does_not_go_together_is_named),
        cmocka_unit_test(without_a_folder_memory_may_be_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
