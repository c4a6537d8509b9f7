/*
 * test_log.c - Goal: a line is one line, whatever is in the values; JSON is JSON; equal lines
 * collapse. Method: stderr is a pipe while a line is written. The time at the start is checked for
 * its form and cut off.
 */
#include "tests/support/unit.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/thread.h"

static int kept_stderr = -1, pipe_ends[2];
static char output[32768];

static void listen_to_stderr(void)
{
    assert_int_equal(pipe2(pipe_ends, O_NONBLOCK), 0);
    kept_stderr = dup(STDERR_FILENO);
    assert_true(dup2(pipe_ends[1], STDERR_FILENO) >= 0);
}

static const char *heard(void)
{
    assert_true(dup2(kept_stderr, STDERR_FILENO) >= 0);
    (void)close(kept_stderr);
    (void)close(pipe_ends[1]);
    ssize_t length = read(pipe_ends[0], output, sizeof(output) - 1);
    output[length > 0 ? length : 0] = '\0';
    (void)close(pipe_ends[0]);
    return output;
}

/* In every line, "2026-11-25T16:50:00.123Z" becomes "T". */
static const char *without_time(const char *lines)
{
    static char rest[sizeof(output)];
    static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";
    size_t length = 0;
    for (const char *line = lines; *line != '\0'; line = strchr(line, '\n') + 1) {
        size_t before = line[0] == '{' ? 7 : 0;
        const char *time = line + before;
        for (size_t i = 0; i < sizeof(form) - 1; i++)
            assert_true(form[i] == 'd' ? isdigit((unsigned char)time[i]) : time[i] == form[i]);
        const char *after = time + sizeof(form) - 1;
        length += (size_t)snprintf(rest + length, sizeof(rest) - length, "%.*sT%.*s\n", (int)before,
                                   line, (int)strcspn(after, "\n"), after);
    }
    rest[length] = '\0';
    return rest;
}

static void a_line_of_text_has_time_level_room_event_and_values(void **state)
{
    (void)state;
    log_setup(false, LOG_INFO);
    listen_to_stderr();
    log_write(LOG_INFO, "server", "listening", "address=%s threads=%d", "0.0.0.0:50051", 2);
    assert_string_equal(without_time(heard()),
                        "T info server listening address=0.0.0.0:50051 threads=2\n");
    listen_to_stderr();
    log_write(LOG_ERROR, "cache", "no details", NULL);
    assert_string_equal(without_time(heard()), "T error cache no details\n");
}

static void what_is_below_the_level_is_not_written(void **state)
{
    (void)state;
    log_setup(false, LOG_WARNING);
    listen_to_stderr();
    log_write(LOG_INFO, "server", "not wanted", NULL);
    log_write(LOG_DEBUG, "server", "not wanted either", NULL);
    assert_string_equal(heard(), "");
    listen_to_stderr();
    log_write(LOG_WARNING, "server", "wanted", NULL);
    assert_string_equal(without_time(heard()), "T warning server wanted\n");
}

static void a_value_cannot_begin_a_line_of_its_own(void **state)
{
    (void)state;
    log_setup(false, LOG_INFO);
    listen_to_stderr();
    log_write(LOG_INFO, "cache", "named", "namespace=%s", "a\n2026 error fake\r\x1b[31m");
    assert_string_equal(without_time(heard()),
                        "T info cache named namespace=a\\n2026 error fake\\x0d\\x1b[31m\n");
}

static void json_members_are_the_keys_of_the_format(void **state)
{
    (void)state;
    log_setup(true, LOG_INFO);
    listen_to_stderr();
    log_write(LOG_WARNING, "cache", "slow call", "namespace=%s us=%d share=%.2f key=%s empty=%s",
              "two words", 1234, -0.5, "0012", "");
    assert_string_equal(
        without_time(heard()),
        "{\"ts\":\"T\",\"level\":\"warning\",\"room\":\"cache\",\"event\":\"slow call\","
        "\"namespace\":\"two words\",\"us\":1234,\"share\":-0.50,\"key\":\"0012\","
        "\"empty\":\"\"}\n");
}

static void a_value_cannot_add_a_json_member(void **state)
{
    (void)state;
    log_setup(true, LOG_INFO);
    listen_to_stderr();
    log_write(LOG_INFO, "cache", "named", "namespace=%s tier=%s", "x level=error", "exact");
    assert_string_equal(without_time(heard()),
                        "{\"ts\":\"T\",\"level\":\"info\",\"room\":\"cache\",\"event\":\"named\","
                        "\"namespace\":\"x level=error\",\"tier\":\"exact\"}\n");
}

static void json_strings_are_escaped(void **state)
{
    (void)state;
    log_setup(true, LOG_INFO);
    listen_to_stderr();
    log_write(LOG_INFO, "cache", "escaped", "a=%s b=%s c=%s", "\"\\\n\t\x01\x7f",
              "\xc3\xa9\xe2\x82\xac", "bad \xff\xc3");
    assert_string_equal(
        without_time(heard()),
        "{\"ts\":\"T\",\"level\":\"info\",\"room\":\"cache\",\"event\":\"escaped\","
        "\"a\":\"\\\"\\\\\\u000a\\u0009\\u0001\\u007f\",\"b\":\"\xc3\xa9\xe2\x82\xac\","
        "\"c\":\"bad \\ufffd\\ufffd\"}\n");
}

static void text_before_the_first_key_is_a_member_too(void **state)
{
    (void)state;
    log_setup(true, LOG_INFO);
    listen_to_stderr();
    log_write(LOG_INFO, "server", "odd", "%s then n=%d", "free words", 7);
    assert_string_equal(without_time(heard()),
                        "{\"ts\":\"T\",\"level\":\"info\",\"room\":\"server\",\"event\":\"odd\","
                        "\"text\":\"free words then\",\"n\":7}\n");
}

static void overlong_details_lose_their_end_and_the_json_stays_whole(void **state)
{
    (void)state;
    char quotes[2000];
    memset(quotes, '\x01', sizeof(quotes) - 1);
    quotes[sizeof(quotes) - 1] = '\0';
    log_setup(true, LOG_INFO);
    listen_to_stderr();
    log_write(LOG_INFO, "cache", "overlong", "a=%s b=%d", quotes, 1);
    const char *line = without_time(heard());
    size_t length = strlen(line);
    assert_in_range(length, 3000, 3300);
    assert_string_equal(line + length - 9, "\\u0001\"}\n");
    assert_null(strstr(line, "\"b\""));
}

static void equal_lines_collapse_into_a_count_at_the_latest_at_the_end(void **state)
{
    (void)state;
    listen_to_stderr();
    pid_t child = fork();
    if (child == 0) {
        log_setup(false, LOG_INFO);
        for (int i = 0; i < 5; i++)
            log_write(LOG_INFO, "storage", "disk full", "free=%d", 0);
        log_write(LOG_INFO, "storage", "disk full", "free=%d", 1);
        exit(0);
    }
    int how = 1;
    assert_true(waitpid(child, &how, 0) == child);
    const char *lines = heard();
    assert_int_equal(how, 0);
    assert_string_equal(without_time(lines), "T info storage disk full free=0\n"
                                             "T info storage disk full free=1\n"
                                             "T info storage disk full free=0 repeated=4\n");
}

static void write_run(void *argument)
{
    for (int i = 0; i < 50; i++)
        log_write(LOG_INFO, "thread", argument, "round=%d pad=%s", i, "................");
}

static void lines_of_many_threads_stay_whole(void **state)
{
    (void)state;
    static char names[4][8] = {"one", "two", "three", "four"};
    struct thread *threads[4] = {NULL};
    log_setup(false, LOG_INFO);
    listen_to_stderr();
    for (int i = 0; i < 4; i++)
        assert_int_equal(thread_create(THREAD_OTHER, names[i], write_run, names[i], &threads[i]),
                         STATUS_OK);
    for (int i = 0; i < 4; i++)
        thread_join(&threads[i]);
    const char *line = heard();
    int lines = 0;
    for (; *line != '\0'; line = strchr(line, '\n') + 1, lines++) {
        size_t length = strcspn(line, "\n");
        assert_memory_equal(line + length - 21, " pad=................", 21);
        assert_memory_equal(line + 24, " info thread ", 13);
    }
    assert_int_equal(lines, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_of_text_has_time_level_room_event_and_values),
        cmocka_unit_test(what_is_below_the_level_is_not_written),
        cmocka_unit_test(a_value_cannot_begin_a_line_of_its_own),
        cmocka_unit_test(json_members_are_the_keys_of_the_format),
        cmocka_unit_test(a_value_cannot_add_a_json_member),
        cmocka_unit_test(json_strings_are_escaped),
        cmocka_unit_test(text_before_the_first_key_is_a_member_too),
        cmocka_unit_test(overlong_details_lose_their_end_and_the_json_stays_whole),
        cmocka_unit_test(equal_lines_collapse_into_a_count_at_the_latest_at_the_end),
        cmocka_unit_test(lines_of_many_threads_stay_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
