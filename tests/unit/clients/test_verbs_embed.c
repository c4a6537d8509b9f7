/*
 * Goal: embed and similarity say what a server with the same options would see, and name what is
 * wrong. Method: whole command lines in memory, with the embedder that needs no weights.
 * Room: verbs_embed.
 */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/verbs.h"
#include "tests/support/unit.h"

struct said {
    enum verb_exit exit_code;
    char *out, *errors;
};

static struct said run(int argc, const char *const *argv)
{
    struct said said = {0};
    size_t out_size = 0, errors_size = 0;
    struct cli streams = {.in = stdin,
                          .out = open_memstream(&said.out, &out_size),
                          .errors = open_memstream(&said.errors, &errors_size)};
    said.exit_code = verb_main(argc, argv, &streams);
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
    run((int)(sizeof((const char *[]){"reprise", __VA_ARGS__}) / sizeof(char *)),                  \
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

static void a_text_is_shown_with_its_embedder(void **state)
{
    (void)state;
    expect(RUN("embed", "open the door", "--provider", "lexical"), VERB_DONE,
           "embedder     lexical-1\n"
           "space        35385a5c8746f0af\n"
           "threshold    0.90, and nothing below 0.40 is looked at\n"
           "words        3: open the door\n"
           "vector       512 numbers: ",
           "");
}

static void json_holds_the_whole_vector(void **state)
{
    (void)state;
    struct said said = RUN("embed", "open the door", "--provider=lexical", "-o", "json");
    assert_int_equal(said.exit_code, VERB_DONE);
    cJSON *tree = cJSON_Parse(said.out);
    assert_non_null(tree);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(tree, "embedder")), "lexical-1");
    assert_int_equal(strlen(cJSON_GetStringValue(cJSON_GetObjectItem(tree, "spaceId"))), 16);
    assert_int_equal(cJSON_GetObjectItem(tree, "tokens")->valueint, 3);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(tree, "pieces")), 3);
    assert_string_equal(
        cJSON_GetStringValue(cJSON_GetArrayItem(cJSON_GetObjectItem(tree, "pieces"), 2)), "door");
    assert_null(cJSON_GetObjectItem(tree, "ids")); /* words have no numbers */
    const cJSON *vector = cJSON_GetObjectItem(tree, "vector"), *number = NULL;
    assert_int_equal(cJSON_GetArraySize(vector), 512);
    double squares = 0;
    cJSON_ArrayForEach(number, vector)
    {
        squares += number->valuedouble * number->valuedouble;
    }
    assert_true(fabs(squares - 1) < 1e-6);
    cJSON_Delete(tree);
    forget(&said);
}

static void near_texts_are_served_unless_the_guard_forbids_it(void **state)
{
    (void)state;
    expect(RUN("similarity", "How do I open the door?", "how do i open the door", "--provider",
               "lexical"),
           VERB_DONE,
           "similarity   1.000\n"
           "threshold    0.90, of lexical-1\n"
           "guard        clean\n"
           "served       yes",
           "");
    expect(RUN("similarity", "How do I open 3 doors?", "How do I close 4 doors?", "--provider",
               "lexical"),
           VERB_DONE, "guard        number, antonym\nserved       no: the guard forbids it\n", "");
    expect(RUN("similarity", "open the door", "what is the weather", "--provider", "lexical"),
           VERB_DONE, "served       no: below the threshold\n", "");
}

static void a_comparison_is_a_document_too(void **state)
{
    (void)state;
    struct said said =
        RUN("similarity", "open it", "do not open it", "--provider", "lexical", "-o", "json");
    cJSON *tree = cJSON_Parse(said.out);
    assert_non_null(tree);
    const cJSON *guards = cJSON_GetObjectItem(tree, "guards");
    assert_int_equal(cJSON_GetArraySize(guards), 1);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetArrayItem(guards, 0)), "GUARD_NEGATION");
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(tree, "served")));
    assert_true(cJSON_IsNumber(cJSON_GetObjectItem(tree, "similarity")));
    cJSON_Delete(tree);
    forget(&said);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    expect(RUN("embed"), VERB_USAGE, "", "embed wants one text, in quotes");
    expect(RUN("embed", "two", "words"), VERB_USAGE, "", "\"words\"");
    expect(RUN("similarity", "one"), VERB_USAGE, "", "similarity wants two texts");
    expect(RUN("embed", "...", "--provider", "lexical"), VERB_ERROR, "", "\"...\" has no vector");
    expect(RUN("embed", "bad \xff", "--provider", "lexical"), VERB_ERROR, "", "BAD_TEXT");
    expect(RUN("embed", "hi", "--provider", "lexicla"), VERB_USAGE, "", "\"lexicla\"");
    expect(RUN("embed", "hi", "--provider", "openai"), VERB_ERROR, "", "asked by the server");
    expect(RUN("embed", "hi", "--provider", "none"), VERB_ERROR, "", "nobody to ask");
    expect(RUN("embed", "hi", "--provider", "local", "--folder", "/nowhere"), VERB_ERROR, "",
           "WEIGHTS_MISSING (/nowhere/minilm-l6/manifest.json)");
}

static void the_environment_speaks_as_to_the_server(void **state)
{
    (void)state;
    assert_int_equal(setenv("REPRISE_EMBED_PROVIDER", "none", 1), 0);
    assert_int_equal(setenv("REPRISE_OTHER", "is nobody's business here", 1), 0);
    expect(RUN("embed", "hi"), VERB_ERROR, "", "nobody to ask");
    expect(RUN("embed", "hi", "--provider", "lexical"), VERB_DONE, "lexical-1", "");
    assert_int_equal(unsetenv("REPRISE_EMBED_PROVIDER"), 0);
    assert_int_equal(unsetenv("REPRISE_OTHER"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_shown_with_its_embedder),
        cmocka_unit_test(json_holds_the_whole_vector),
        cmocka_unit_test(near_texts_are_served_unless_the_guard_forbids_it),
        cmocka_unit_test(a_comparison_is_a_document_too),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(the_environment_speaks_as_to_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
