/*
 * Goal: a stream is read whole or not at all, and every line that is wrong is told with its number.
 * Method: files written here as strings, and the project's own example. Room: replay_file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/replay_file.h"
#include "tests/support/unit.h"

struct parsed {
    enum verb_exit exit_code;
    struct replay_file file;
    char *errors;
};

static struct parsed parse_bytes(const char *text, size_t size)
{
    struct parsed parsed = {0};
    size_t errors_size = 0;
    const struct cli cli = {.errors = open_memstream(&parsed.errors, &errors_size)};
    char *bytes = malloc(size + 1);
    assert_non_null(bytes);
    memcpy(bytes, text, size);
    bytes[size] = '\0';
    parsed.exit_code = replay_file_parse(&cli, "stream.tsv", bytes, size, &parsed.file);
    (void)fclose(cli.errors);
    return parsed;
}

static struct parsed parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}

static void forget(struct parsed *parsed)
{
    if (parsed->exit_code == VERB_DONE)
        replay_file_deinit(&parsed->file);
    free(parsed->errors);
}

static void refuses(const char *text, const char *error)
{
    struct parsed parsed = parse(text);
    assert_int_equal(parsed.exit_code, VERB_ERROR);
    if (strstr(parsed.errors, error) == NULL)
        print_error("complained \"%s\"\n", parsed.errors);
    assert_non_null(strstr(parsed.errors, error));
    forget(&parsed);
}

static void without_a_fourth_column_the_group_is_the_answer(void **state)
{
    (void)state;
    struct parsed parsed = parse("seq\tanswer_group\ttext\n0\tg\thow\n1\th\twhy?\n");
    assert_int_equal(parsed.exit_code, VERB_DONE);
    assert_int_equal(parsed.file.rows_count, 2);
    assert_string_equal(parsed.file.rows[1].group, "h");
    assert_string_equal(parsed.file.rows[1].text, "why?");
    assert_string_equal(parsed.file.rows[1].answer, "h");
    assert_int_equal(parsed.file.rows[1].line, 3);
    forget(&parsed);
}

static void answers_line_ends_of_windows_and_a_missing_last_one_are_read(void **state)
{
    (void)state;
    struct parsed parsed =
        parse("seq\tanswer_group\ttext\tanswer\r\n7\tg\thow\tso\r\n8\tg\thow\tso");
    assert_int_equal(parsed.exit_code, VERB_DONE);
    assert_int_equal(parsed.file.rows_count, 2);
    assert_string_equal(parsed.file.rows[0].answer, "so");
    assert_string_equal(parsed.file.rows[1].answer, "so");
    forget(&parsed);
}

static void every_malformed_line_is_told(void **state)
{
    (void)state;
    struct parsed parsed = parse("seq\tanswer_group\ttext\n0\tg\thow\nx\tg\thow\n2\tg\n3\t\thow\n"
                                 "4\tg\t\n\n6\tg\ta\tb\n7\tg\t\xFF\n");
    assert_int_equal(parsed.exit_code, VERB_ERROR);
    assert_non_null(strstr(parsed.errors, "stream.tsv:3: seq is not a whole number\n"));
    assert_non_null(strstr(parsed.errors, "stream.tsv:4: 2 fields where the header has 3\n"));
    assert_non_null(strstr(parsed.errors, "stream.tsv:5: answer_group is empty\n"));
    assert_non_null(strstr(parsed.errors, "stream.tsv:6: text is empty\n"));
    assert_non_null(strstr(parsed.errors, "stream.tsv:7: 1 fields where the header has 3\n"));
    assert_non_null(strstr(parsed.errors, "stream.tsv:8: 4 fields where the header has 3\n"));
    assert_non_null(strstr(parsed.errors, "stream.tsv:9: not valid UTF-8\n"));
    assert_non_null(strstr(parsed.errors, "7 malformed lines; nothing was replayed\n"));
    forget(&parsed);
}

static void what_is_no_stream_is_refused(void **state)
{
    (void)state;
    refuses("", "holds no rows");
    refuses("seq\tanswer_group\ttext\n", "holds no rows");
    refuses("answer_group\tseq\ttext\n0\tg\thow\n",
            "stream.tsv:1: the first line must be the header");
    refuses("seq\tanswer_group\ttext\tanswer\tmore\n", "the first line must be the header");
    refuses("seq\tanswer_group\ttext\tanswer\n0\tg\thow\t\n", "stream.tsv:2: answer is empty");
    struct parsed parsed = parse_bytes("seq\0", 4);
    assert_int_equal(parsed.exit_code, VERB_ERROR);
    assert_non_null(strstr(parsed.errors, "NUL"));
    forget(&parsed);
}

static void after_twenty_complaints_the_rest_is_counted(void **state)
{
    (void)state;
    char text[2048] = "seq\tanswer_group\ttext\n";
    size_t at = strlen(text);
    for (int i = 0; i < 30; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "bad\n");
    refuses(text, "stream.tsv: and 10 more\n");
}

/* The repository's root, from where this file was compiled. */
static void the_example_of_the_project_is_a_good_stream(void **state)
{
    (void)state;
    char path[1024];
    const char *tail = strstr(__FILE__, "tests/unit/clients/");
    assert_non_null(tail);
    (void)snprintf(path, sizeof(path), "%.*sexamples/support.tsv", (int)(tail - __FILE__),
                   __FILE__);
    const struct cli cli = {.errors = stderr};
    struct replay_file file;
    assert_int_equal(replay_file_read(&cli, path, &file), VERB_DONE);
    assert_true(file.rows_count >= 330);
    replay_file_deinit(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_fourth_column_the_group_is_the_answer),
        cmocka_unit_test(answers_line_ends_of_windows_and_a_missing_last_one_are_read),
        cmocka_unit_test(every_malformed_line_is_told),
        cmocka_unit_test(what_is_no_stream_is_refused),
        cmocka_unit_test(after_twenty_complaints_the_rest_is_counted),
        cmocka_unit_test(the_example_of_the_project_is_a_good_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
