/*
 * Goal: a command line finds its verb, wrong ones are answered with a useful word and exit code 2,
 * and what needs no server works without one. Method: verb_main with streams in memory. Rooms:
 * command, verbs, help, ask, json_request, verbs_offline, main's one call. The digests are those
 * that the identity's documentation prints.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/verbs.h"
#include "tests/support/folder.h"
#include "tests/unit/clients/foreign.h"

struct said {
    enum verb_exit exit_code;
    char *out, *errors;
};

static struct said run_with_input(const char *input, int argc, const char *const *argv)
{
    struct said said = {0};
    size_t out_size = 0, errors_size = 0;
    struct cli streams = {.in = fmemopen((char *)(uintptr_t)input, strlen(input), "r"),
                          .out = open_memstream(&said.out, &out_size),
                          .errors = open_memstream(&said.errors, &errors_size)};
    assert_non_null(streams.in);
    said.exit_code = verb_main(argc, argv, &streams);
    (void)fclose(streams.in);
    (void)fclose(streams.out);
    (void)fclose(streams.errors);
    return said;
}

static void forget(struct said *said)
{
    free(said->out);
    free(said->errors);
}

#define RUN(...)                                                                                   \
    run_with_input("", (int)(sizeof((const char *[]){"reprise", __VA_ARGS__}) / sizeof(char *)),   \
                   (const char *const[]){"reprise", __VA_ARGS__})

static void expect(struct said said, enum verb_exit exit_code, const char *out, const char *errors)
{
    if (said.exit_code != exit_code || strstr(said.out, out) == NULL ||
        strstr(said.errors, errors) == NULL)
        print_error("exit %d, said \"%s\", complained \"%s\"\n", (int)said.exit_code, said.out,
                    said.errors);
    assert_int_equal(said.exit_code, exit_code);
    assert_non_null(strstr(said.out, out));
    assert_non_null(strstr(said.errors, errors));
    forget(&said);
}

static void an_unknown_verb_is_answered_with_the_nearest(void **state)
{
    (void)state;
    expect(RUN("gett"), VERB_USAGE, "", "there is no verb \"gett\"; did you mean get?");
    expect(RUN("statistics"), VERB_USAGE, "", "reprise help lists them");
    expect(RUN("-o", "json"), VERB_USAGE, "", "which verb?");
    expect(RUN("help", "invaldate"), VERB_USAGE, "", "did you mean invalidate?");
}

static void help_tells_every_verb_and_every_flag(void **state)
{
    (void)state;
    struct said all = RUN("help");
    for (size_t i = 0; i < verb_rows_count; i++) {
        assert_non_null(strstr(all.out, verb_rows[i].about));
        struct said one = RUN("help", verb_rows[i].name);
        assert_int_equal(one.exit_code, VERB_DONE);
        assert_non_null(strstr(one.out, verb_rows[i].example));
        for (size_t t = 0; t < ARGUMENTS_TABLES_MAX - 1; t++) {
            for (size_t f = 0; f < verb_rows[i].tables[t].count; f++)
                assert_non_null(strstr(one.out, verb_rows[i].tables[t].rows[f].meaning));
        }
        for (const char *line = one.out; line != NULL; line = strchr(line + 1, '\n')) {
            const char *end = strchr(line + 1, '\n');
            assert_true(end == NULL || end - line <= 101);
        }
        forget(&one);
    }
    forget(&all);
    expect(RUN("--help"), VERB_DONE, "exit 3 on a miss", "");
    expect(RUN("--version"), VERB_DONE, "reprise 0.", "");
    expect(RUN("version", "-o", "json"), VERB_DONE, "{\"version\": \"0.", "");
}

static void no_flag_is_in_two_tables_of_a_verb(void **state)
{
    (void)state;
    for (size_t i = 0; i < verb_rows_count; i++) {
        struct flag_table tables[ARGUMENTS_TABLES_MAX] = {{verb_flags, verb_flags_count}};
        for (size_t t = 0; t + 1 < ARGUMENTS_TABLES_MAX; t++)
            tables[t + 1] = verb_rows[i].tables[t];
        for (size_t t = 0; t < ARGUMENTS_TABLES_MAX; t++) {
            for (size_t f = 0; f < tables[t].count; f++) {
                const struct flag_row *row = &tables[t].rows[f];
                assert_ptr_equal(arguments_find_row(tables, row->name, strlen(row->name)), row);
            }
        }
    }
}

static void usage_errors_name_what_is_wrong(void **state)
{
    (void)state;
    expect(RUN("get", "hi"), VERB_USAGE, "", "get needs --model NAME");
    expect(RUN("get", "--model", "m"), VERB_USAGE, "", "get needs a question");
    expect(RUN("get", "--modle", "m", "hi"), VERB_USAGE, "", "did you mean --model?");
    expect(RUN("get", "--model", "m", "--prompt", "a", "b"), VERB_USAGE, "", "given twice");
    expect(RUN("get", "--model", "m", "hi", "--tier", "exat"), VERB_USAGE, "",
           "did you mean exact?");
    expect(RUN("get", "--model", "m", "hi", "--include", "zebra"), VERB_USAGE, "",
           "it takes key, timing, prompt, candidates");
    expect(RUN("get", "--model", "m", "hi", "--temperature", "warm"), VERB_USAGE, "",
           "--temperature wants a number, not \"warm\"");
    expect(RUN("get", "--model", "m", "hi", "--attribute", "region"), VERB_USAGE, "",
           "--attribute wants NAME=VALUE, not \"region\"");
    expect(RUN("get", "--model", "m", "hi", "--vector", "1,b"), VERB_USAGE, "",
           "--vector wants numbers");
    expect(RUN("set", "--model", "m", "hi"), VERB_USAGE, "", "set needs the answer once");
    expect(RUN("set", "--model", "m", "hi", "--content", "a", "--ttl", "10"), VERB_USAGE, "",
           "--ttl wants a time such as 10min");
    expect(RUN("set", "--model", "m", "hi", "--content", "a", "--file", "b"), VERB_USAGE, "",
           "the answer once");
    expect(RUN("del"), VERB_USAGE, "", "del needs --id ID");
    expect(RUN("invalidate"), VERB_USAGE, "", "at least one of --namespace");
    expect(RUN("invalidate", "--older-than", "week"), VERB_USAGE, "", "--older-than wants a time");
    expect(RUN("feedback", "token"), VERB_USAGE, "", "a verdict");
    expect(RUN("feedback", "token", "wrnog"), VERB_USAGE, "", "did you mean wrong?");
    expect(RUN("feedback", "token", "wrong", "--source", "judge"), VERB_USAGE, "",
           "user or operator");
    expect(RUN("replay"), VERB_USAGE, "", "replay needs a file");
    expect(RUN("replay", "x", "--concurrency", "65"), VERB_USAGE, "", "from 1 to 64");
    expect(RUN("replay", "x", "--limit", "0"), VERB_USAGE, "", "--limit wants a number");
    expect(RUN("stats", "now"), VERB_USAGE, "", "does not know what to do with \"now\"");
    expect(RUN("stats", "-o", "xml"), VERB_USAGE, "", "table or json, not \"xml\"");
    expect(RUN("stats", "--timeout", "0"), VERB_USAGE, "", "--timeout wants a time");
}

static void print_json_is_the_body_of_the_call(void **state)
{
    (void)state;
    expect(RUN("get", "--model", "m", "How", "do I?", "--print-json"), VERB_DONE,
           "{\"identity\":{\"model\":\"m\",\"prompt\":\"How do I?\"}}\n", "");
    expect(RUN("get", "--print-json", "--model", "m", "--namespace", "n", "--system", "s",
               "--temperature", "0", "--attribute", "region=eu", "--tier", "semantic,exact",
               "--include", "prompt,key", "--min-similarity", "0.93", "--vector", "0.1,2",
               "--embedder", "mine", "--prompt", "say \"hi\""),
           VERB_DONE,
           "{\"identity\":{\"namespace\":\"n\",\"model\":\"m\",\"prompt\":\"say \\\"hi\\\"\","
           "\"systemPrompt\":\"s\",\"params\":{\"temperature\":0},\"attributes\":"
           "[{\"name\":\"region\",\"value\":\"eu\"}],\"embedder\":\"mine\"},\"vector\":{\"f32\":"
           "[0.100000001,2]},\"tiers\":[\"TIER_SEMANTIC\",\"TIER_EXACT\"],\"minSimilarity\":0.93,"
           "\"include\":[\"INCLUDE_MATCHED_PROMPT\",\"INCLUDE_KEY\"]}\n",
           "");
}

static void a_question_may_come_from_standard_input(void **state)
{
    (void)state;
    const char *const argv[] = {"reprise", "get", "--model", "m", "-", "--print-json"};
    expect(run_with_input("piped question\n", 6, argv), VERB_DONE, "\"prompt\":\"piped question\"",
           "");
}

static void keys_are_those_that_are_printed_for_others(void **state)
{
    (void)state;
    struct said said = RUN("key", "--model", "m", "hi");
    assert_int_equal(said.exit_code, VERB_DONE);
    assert_non_null(
        strstr(said.out, "f2cf9c071e2cdd921ffb67f07de6f6b5699dc91ea1ab1f9bbfae7eea1f92441a"));
    assert_non_null(
        strstr(said.out, "5d27568e4bdd58c93bf0db86cf5f5ae4678f6ae123eb553c944601d6eef1061a"));
    forget(&said);
    expect(RUN("key", "--model", "m", "--system", "Be brief.", "--temperature", "0", "-o", "json",
               "--prompt", "cafe\xCC\x81\r\n"),
           VERB_DONE, "f9caa3e609f5f86254d217a819f03e46362fad780bf41010643c701bae426c63", "");
    expect(RUN("key", "--model", "m", "\xFF"), VERB_ERROR, "", "BAD_TEXT");
    expect(RUN("key", "--model", "m"), VERB_ERROR, "", "EMPTY_PROMPT");
    expect(RUN("key", "hi"), VERB_USAGE, "", "key needs --model");
}

static void encode_prints_canonical_bytes_and_writes_frames(void **state)
{
    (void)state;
    char folder[64], path[96], bytes[64];
    folder_create(folder);
    (void)snprintf(path, sizeof(path), "%s/get.bin", folder);
    expect(RUN("encode", "--model", "m", "hi"), VERB_DONE, "726570726973652f31",
           ""); /* "reprise/1" */
    expect(RUN("encode", "--model", "m", "hi", "--raw"), VERB_DONE, "reprise/1", "");
    expect(RUN("encode", "--model", "m", "hi", "--grpc-frame", path), VERB_DONE, "14 bytes", "");
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(bytes, 1, sizeof(bytes), file), 14);
    /* Not compressed, 9 bytes; field 1 is an Identity of 7 bytes: model (3), prompt (3 + 1). */
    assert_memory_equal(bytes, "\0\0\0\0\x09\x0A\x07\x12\x01m\x1A\x02hi", 14);
    (void)fclose(file);
    folder_remove(folder);
    expect(RUN("encode", "--model", "m", "hi", "--grpc-frame", "/nowhere/x"), VERB_ERROR, "",
           "/nowhere/x cannot be written");
}

static void without_a_server_the_exit_code_is_4(void **state)
{
    (void)state;
    skip_foreign_code_under_tsan();
    /* Port 1 of the local host: nobody listens there, and the system says so at once. */
    expect(RUN("--endpoint", "127.0.0.1:1", "health"), VERB_UNAVAILABLE, "",
           "127.0.0.1:1: UNAVAILABLE");
    expect(RUN("health", "-o", "json", "--endpoint=127.0.0.1:1"), VERB_UNAVAILABLE,
           "\"code\":\t\"UNAVAILABLE\"", "UNAVAILABLE");
    expect(RUN("get", "--model", "m", "hi", "--endpoint", "127.0.0.1:1"), VERB_UNAVAILABLE, "",
           "UNAVAILABLE");
}

static void a_failure_names_its_field_once(void **state)
{
    (void)state;
    char text[VERB_ERROR_TEXT];
    struct reprise_error error = {REPRISE_INVALID_ARGUMENT, "BAD_NAME", "identity.model",
                                  "identity.model: at most 256 bytes", -1};
    assert_string_equal(verb_describe(&error, text),
                        "INVALID_ARGUMENT BAD_NAME: identity.model: at most 256 bytes");
    error.message = "at most 256 bytes";
    assert_string_equal(verb_describe(&error, text),
                        "INVALID_ARGUMENT BAD_NAME (identity.model): at most 256 bytes");
    error = (struct reprise_error){REPRISE_UNAVAILABLE, "", "", "Socket closed", -1};
    assert_string_equal(verb_describe(&error, text), "UNAVAILABLE: Socket closed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_verb_is_answered_with_the_nearest),
        cmocka_unit_test(help_tells_every_verb_and_every_flag),
        cmocka_unit_test(no_flag_is_in_two_tables_of_a_verb),
        cmocka_unit_test(usage_errors_name_what_is_wrong),
        cmocka_unit_test(print_json_is_the_body_of_the_call),
        cmocka_unit_test(a_question_may_come_from_standard_input),
        cmocka_unit_test(keys_are_those_that_are_printed_for_others),
        cmocka_unit_test(encode_prints_canonical_bytes_and_writes_frames),
        cmocka_unit_test(without_a_server_the_exit_code_is_4),
        cmocka_unit_test(a_failure_names_its_field_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
