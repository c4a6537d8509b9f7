/*
 * Goal: embed and similarity say what a server with the same options would see, and name what is
 * wrong. Method: whole command lines in memory, with the embedder that needs no weights, and with
 * remote ones that answer from a script. Rooms: verbs_embed, embed_desk.
 */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clients/cli/verbs.h"
#include "tests/support/embed_script.h"
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
           "threshold    0.90, policy static with lexical-1\n"
           "space        35385a5c8746f0af\n"
           "guard        clean\n"
           "served       yes: policy static gives one the answer of the other\n",
           "");
    expect(RUN("similarity", "How do I open 3 doors?", "How do I close 4 doors?", "--provider",
               "lexical"),
           VERB_DONE,
           "guard        number, antonym\nserved       no: below the threshold, and the guard "
           "forbids it\n",
           "");
    expect(RUN("similarity", "How do I reset 3 doors here?", "How do I reset 4 doors here?",
               "--provider", "lexical", "--threshold", "0.5"),
           VERB_DONE, "guard        number\nserved       no: the guard forbids it\n", "");
    expect(RUN("similarity", "open the door", "what is the weather", "--provider", "lexical"),
           VERB_DONE, "served       no: below the threshold\n", "");
}

static void the_policy_that_is_configured_speaks(void **state)
{
    (void)state;
    expect(RUN("similarity", "open the door", "open the door", "--provider=lexical", "--mode=off"),
           VERB_DONE, "served       no: policy off\n", "");
    expect(
        RUN("similarity", "open the door", "open the door", "--provider=lexical", "--mode=shadow"),
        VERB_DONE, "served       no: policy shadow serves nothing; static would\n", "");
    assert_int_equal(setenv("REPRISE_SEMANTIC_POLICY", "adaptive", 1), 0);
    assert_int_equal(setenv("REPRISE_ADAPTIVE_INITIAL", "0.93", 1), 0);
    expect(RUN("similarity", "open the door", "open the door", "--provider=lexical"), VERB_DONE,
           "threshold    0.93, policy adaptive with lexical-1\n", "");
    assert_int_equal(unsetenv("REPRISE_SEMANTIC_POLICY"), 0);
    assert_int_equal(unsetenv("REPRISE_ADAPTIVE_INITIAL"), 0);
    assert_int_equal(setenv("REPRISE_GUARD_NAMES", "false", 1), 0);
    expect(RUN("similarity", "Did they see Paris?", "Did they see London?", "--provider=lexical"),
           VERB_DONE, "guard        clean\n", "");
    assert_int_equal(unsetenv("REPRISE_GUARD_NAMES"), 0);
}

/* ---- remote embedders ---- */

static const char *const providers[] = {
    [EMBED_OPENAI] = "openai", [EMBED_TEI] = "tei", [EMBED_OLLAMA] = "ollama"};

static void every_remote_embedder_is_asked(void **state)
{
    (void)state;
    for (int shape = EMBED_OPENAI; shape <= EMBED_OLLAMA; shape++) {
        struct embed_script *script = embed_script_create((enum embed_script_shape)shape, 8);
        char url[64];
        (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u",
                       http_script_port(embed_script_http(script)));
        expect(RUN("embed", "open the door", "--provider", providers[shape], "--embedder", "m",
                   "--url", url, "--timeout", "30s"),
               VERB_DONE, "vector       8 numbers: ", "");
        expect(RUN("similarity", "open the door", "open the door", "--provider", providers[shape],
                   "--embedder", "m", "--url", url, "--dimensions", "8", "--timeout", "30s"),
               VERB_DONE, "similarity   1.000\nthreshold    0.95, policy static with m-", "");
        expect(RUN("embed", "hi", "--provider", providers[shape], "--embedder", "m", "--url", url,
                   "--dimensions", "9", "--timeout", "30s"),
               VERB_ERROR, "", "EMBEDDER_MISMATCH (embed.dimensions)");
        embed_script_destroy(&script);
    }
}

/* Of this text alone: the canary's have gone before. */
static void a_remote_embedder_counts_the_tokens_or_they_are_unknown(void **state)
{
    (void)state;
    for (int shape = EMBED_OPENAI; shape <= EMBED_OLLAMA; shape++) {
        struct embed_script *script = embed_script_create((enum embed_script_shape)shape, 8);
        char url[64];
        (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u",
                       http_script_port(embed_script_http(script)));
        for (unsigned tokens = 0; tokens <= 5; tokens += 5) {
            const bool is_told = tokens > 0 && shape != EMBED_TEI;
            embed_script_tell(script, &(struct embed_manners){.tokens = tokens});
            expect(RUN("embed", "open the door", "--provider", providers[shape], "--embedder", "m",
                       "--url", url, "--timeout", "30s"),
                   VERB_DONE,
                   is_told ? "tokens       5, as the embedder counts them\n"
                           : "tokens       unknown: the embedder does not count them\n",
                   "");
            expect(RUN("embed", "open the door", "--provider", providers[shape], "--embedder", "m",
                       "--url", url, "--timeout", "30s", "-o", "json"),
                   VERB_DONE, is_told ? "\"tokens\":\t5" : "\"tokens\":\tnull", "");
        }
        embed_script_destroy(&script);
    }
}

static void a_key_comes_from_its_file(void **state)
{
    (void)state;
    struct embed_script *script = embed_script_create(EMBED_OPENAI, 8);
    char url[64], path[] = "/tmp/reprise-key-XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, "sesame\n", 7), 7);
    assert_int_equal(close(file), 0);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u",
                   http_script_port(embed_script_http(script)));
    expect(RUN("embed", "hi", "--provider", "openai", "--embedder", "m", "--url", url, "--key-file",
               path, "--timeout", "30s"),
           VERB_DONE, "vector ", "");
    assert_non_null(strstr(embed_script_head(script, 0), "Bearer sesame"));
    assert_int_equal(unlink(path), 0);
    embed_script_destroy(&script);
}

static void a_remote_embedder_that_fails_is_a_clear_error(void **state)
{
    (void)state;
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", http_closed_port());
    expect(RUN("embed", "hi", "--provider", "tei", "--url", url, "--timeout", "1s"), VERB_ERROR, "",
           "EMBEDDER_DOWN (embed.url)");
    expect(RUN("embed", "hi", "--provider", "tei", "--url", url, "--timeout", "1s", "--dimensions",
               "8"),
           VERB_ERROR, "", "EMBEDDER_DOWN");
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
    expect(RUN("embed", "hi", "--provider", "openai"), VERB_ERROR, "", "BAD_OPTION (embed.url)");
    expect(RUN("embed", "hi", "--provider", "tei", "--url", "ftp://x"), VERB_ERROR, "",
           "BAD_OPTION (embed.url)");
    expect(RUN("similarity", "a", "b", "--mode", "sometimes"), VERB_USAGE, "", "\"sometimes\"");
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
        cmocka_unit_test(the_policy_that_is_configured_speaks),
        cmocka_unit_test(every_remote_embedder_is_asked),
        cmocka_unit_test(a_remote_embedder_counts_the_tokens_or_they_are_unknown),
        cmocka_unit_test(a_key_comes_from_its_file),
        cmocka_unit_test(a_remote_embedder_that_fails_is_a_clear_error),
        cmocka_unit_test(a_comparison_is_a_document_too),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(the_environment_speaks_as_to_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
