/*
 * test_remote_reply.c - Goal: vectors come out whole, in the order of the texts and of length 1,
 * from every form that servers use; everything else is told apart and refused. Method: replies
 * written by hand, good and bad, and every truncation of a good one.
 */
#include "tests/support/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "embed/remote_reply.h"

static const float THREE_FOUR[] = {0.6f, 0.8f}, FOUR_THREE[] = {0.8f, 0.6f};

static enum status status_of(enum remote_shape shape, const char *reply, size_t count,
                             uint32_t dimension)
{
    struct remote_reply read;
    enum status status = remote_reply_read(shape, text_of(reply), count, dimension, &read);
    assert_true((status == STATUS_OK) == (read.vectors != NULL));
    free(read.vectors);
    return status;
}

static void assert_vector(const float *vector, const float *expected, uint32_t dimension)
{
    for (uint32_t i = 0; i < dimension; i++)
        assert_true(fabsf(vector[i] - expected[i]) < 1e-6f);
}

/* Two texts, whose vectors point along (3, 4) and (4, 3). */
static void expect_two(enum remote_shape shape, const char *reply)
{
    struct remote_reply read;
    assert_int_equal(remote_reply_read(shape, text_of(reply), 2, 0, &read), STATUS_OK);
    assert_int_equal(read.dimension, 2);
    assert_vector(read.vectors, THREE_FOUR, 2);
    assert_vector(read.vectors + 2, FOUR_THREE, 2);
    free(read.vectors);
}

static void each_shape_is_read(void **state)
{
    (void)state;
    expect_two(REMOTE_TEI, "[[3,4],[4,3]]");
    expect_two(REMOTE_TEI, " [ [ 3e0 , 4.0 ] ,\n[0.4e1,3] ] \r\n");
    expect_two(REMOTE_OLLAMA,
               "{\"model\":\"m\",\"embeddings\":[[3,4],[4,3]],\"prompt_eval_count\":8}");
    expect_two(REMOTE_OPENAI,
               "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,"
               "\"embedding\":[3,4]},{\"index\":1,\"embedding\":[4,3]}],"
               "\"usage\":{\"prompt_tokens\":8}}");
}

static void order_is_by_index_and_by_place_without_one(void **state)
{
    (void)state;
    expect_two(REMOTE_OPENAI, "{\"data\":[{\"index\":1,\"embedding\":[4,3]},"
                              "{\"embedding\":[3,4],\"index\":0}]}");
    expect_two(REMOTE_OPENAI, "{\"data\":[{\"embedding\":[3,4]},{\"embedding\":[4,3]}]}");
}

static void base64_is_read_with_and_without_padding(void **state)
{
    (void)state;
    /* 3.0f, 4.0f is 00 00 40 40 00 00 80 40. */
    expect_two(REMOTE_OPENAI, "{\"data\":[{\"index\":0,\"embedding\":\"AABAQAAAgEA=\"},"
                              "{\"index\":1,\"embedding\":\"AACAQAAAQEA\"}]}");
    expect_two(REMOTE_OPENAI, "{\"data\":[{\"index\":0,\"embedding\":\"AABAQAAAgEA=\"},"
                              "{\"index\":1,\"embedding\":[4,3]}]}");
    expect_two(REMOTE_TEI, "[\"AABAQAAAgEA=\",\"AACAQAAAQEA=\"]");
}

static void every_float_survives_base64(void **state)
{
    (void)state;
    /* -0.0f, 1.0f, 2^-126 * 2^100, 3.5f, -2.25f, written by Python's struct and base64. */
    static const char reply[] = "[\"AAAAgAAAgD8AAIAyAABgQAAAEMA=\"]";
    static const double raw[] = {-0.0, 1.0, 1.4901161193847656e-08, 3.5, -2.25};
    struct remote_reply read;
    assert_int_equal(remote_reply_read(REMOTE_TEI, TEXT(reply), 1, 5, &read), STATUS_OK);
    double length = sqrt(1.0 + 3.5 * 3.5 + 2.25 * 2.25);
    for (int i = 0; i < 5; i++)
        assert_true(fabs((double)read.vectors[i] - raw[i] / length) < 1e-7);
    free(read.vectors);
}

static void vectors_have_length_one(void **state)
{
    (void)state;
    static const char *const replies[] = {"[[1e-5,0,0]]", "[[1e30,-2e30,3e30]]", "[[0.5,0.5,0.5]]"};
    for (size_t i = 0; i < 3; i++) {
        struct remote_reply read;
        assert_int_equal(remote_reply_read(REMOTE_TEI, text_of(replies[i]), 1, 3, &read),
                         STATUS_OK);
        double squares = 0;
        for (int k = 0; k < 3; k++)
            squares += (double)read.vectors[k] * (double)read.vectors[k];
        assert_true(fabs(squares - 1) < 1e-6);
        free(read.vectors);
    }
}

static void a_wrong_count_is_refused(void **state)
{
    (void)state;
    assert_int_equal(status_of(REMOTE_TEI, "[[3,4]]", 2, 2), STATUS_BAD_JSON);
    assert_int_equal(status_of(REMOTE_TEI, "[[3,4],[3,4],[3,4]]", 2, 2), STATUS_BAD_JSON);
    assert_int_equal(status_of(REMOTE_TEI, "[]", 1, 2), STATUS_BAD_JSON);
    assert_int_equal(status_of(REMOTE_OLLAMA, "{\"embeddings\":[[3,4]]}", 2, 2), STATUS_BAD_JSON);
}

static void an_index_twice_or_outside_is_refused(void **state)
{
    (void)state;
    static const char *const indexes[] = {"0", "2", "-1", "0.5", "1e99", "\"1\"", "null", "true"};
    for (size_t i = 0; i < sizeof(indexes) / sizeof(indexes[0]); i++) {
        char reply[200];
        (void)snprintf(reply, sizeof(reply),
                       "{\"data\":[{\"index\":0,\"embedding\":[3,4]},"
                       "{\"index\":%s,\"embedding\":[4,3]}]}",
                       indexes[i]);
        assert_int_equal(status_of(REMOTE_OPENAI, reply, 2, 2), STATUS_BAD_JSON);
    }
}

static void another_dimension_is_told_apart(void **state)
{
    (void)state;
    struct remote_reply read;
    assert_int_equal(remote_reply_read(REMOTE_TEI, TEXT("[[1,2,3]]"), 1, 2, &read),
                     STATUS_EMBEDDER_MISMATCH);
    assert_int_equal(read.dimension, 3);
    assert_int_equal(status_of(REMOTE_TEI, "[[1,2],[1,2,3]]", 2, 0), STATUS_EMBEDDER_MISMATCH);
    assert_int_equal(status_of(REMOTE_TEI, "[\"AABAQAAAgEA=\"]", 1, 3), STATUS_EMBEDDER_MISMATCH);
    /* A large one where a small one was expected is recognised, not taken for garbage. */
    char *reply = malloc(32 * (2 * 4096 + 2) + 2), *end = reply;
    assert_non_null(reply);
    for (int i = 0; i < 32; i++) {
        *end++ = i == 0 ? '[' : ',';
        for (int k = 0; k < 4096; k++) {
            *end++ = k == 0 ? '[' : ',';
            *end++ = '1';
        }
        *end++ = ']';
    }
    *end++ = ']';
    assert_int_equal(
        remote_reply_read(REMOTE_TEI, (struct text){reply, (size_t)(end - reply)}, 32, 2, &read),
        STATUS_EMBEDDER_MISMATCH);
    assert_int_equal(read.dimension, 4096);
    free(reply);
}

static void what_is_no_number_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *reply;
        enum status status;
    } cases[] = {
        {"[[3,null]]", STATUS_BAD_VECTOR},         /* how some write a NaN      */
        {"[[3,NaN]]", STATUS_BAD_JSON},            /* how others do             */
        {"[[3,1e999]]", STATUS_BAD_VECTOR},        /* infinite as a double      */
        {"[[3,-1e300]]", STATUS_BAD_VECTOR},       /* infinite as a float       */
        {"[[0,0]]", STATUS_BAD_VECTOR},            /* no direction              */
        {"[[1e-9,0]]", STATUS_BAD_VECTOR},         /* hardly one                */
        {"[\"AADAfwAAgEA=\"]", STATUS_BAD_VECTOR}, /* a NaN in base64         */
        {"[\"AACAfwAAgEA=\"]", STATUS_BAD_VECTOR}, /* infinity in base64      */
        {"[[3,\"4\"]]", STATUS_BAD_JSON},
        {"[[3,[4]]]", STATUS_BAD_JSON},
        {"[[3,true]]", STATUS_BAD_JSON},
        {"[[]]", STATUS_BAD_JSON},
        {"[\"\"]", STATUS_BAD_JSON},
        {"[3]", STATUS_BAD_JSON},
        {"[null]", STATUS_BAD_JSON},
        {"[\"AABAQAAAgE\"]", STATUS_BAD_JSON},   /* no whole float            */
        {"[\"AABAQAAAgE=\"]", STATUS_BAD_JSON},  /* bad padding               */
        {"[\"AABAQ-AAgEA=\"]", STATUS_BAD_JSON}, /* a letter of base64url     */
        {"[\"====\"]", STATUS_BAD_JSON},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(status_of(REMOTE_TEI, cases[i].reply, 1, 2), cases[i].status);
}

static void what_is_no_such_reply_is_refused(void **state)
{
    (void)state;
    static const char *const replies[] = {"",
                                          "null",
                                          "{}",
                                          "[[3,4]] x",
                                          "[[3,4]],[[3,4]]",
                                          "<html>",
                                          "{\"data\":1}",
                                          "{\"data\":{}}",
                                          "{\"data\":[1]}",
                                          "{\"data\":[{}]}",
                                          "\"text\"",
                                          "{\"error\":\"no\"}",
                                          "[[3,4]",
                                          "{\"data\":[[3,4]]}"};
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        assert_int_equal(status_of(REMOTE_OPENAI, replies[i], 1, 2), STATUS_BAD_JSON);
        assert_int_equal(status_of(REMOTE_OLLAMA, replies[i], 1, 2), STATUS_BAD_JSON);
        assert_int_equal(status_of(REMOTE_TEI, replies[i], 1, 2), STATUS_BAD_JSON);
    }
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    static const char whole[] = "{\"data\":[{\"index\":1,\"embedding\":\"AABAQAAAgEA=\"},"
                                "{\"index\":0,\"embedding\":[3.5,-4e-1]}]}";
    assert_int_equal(status_of(REMOTE_OPENAI, whole, 2, 2), STATUS_OK);
    for (size_t length = 0; length < strlen(whole); length++) {
        char *cut = malloc(length + 1); /* of exactly this length, for the sanitizer */
        assert_non_null(cut);
        memcpy(cut, whole, length);
        struct remote_reply read;
        assert_int_not_equal(
            remote_reply_read(REMOTE_OPENAI, (struct text){cut, length}, 2, 2, &read), STATUS_OK);
        assert_null(read.vectors);
        free(cut);
    }
}

static void a_flood_of_values_is_refused_unread(void **state)
{
    (void)state;
    size_t length = 2 << 20;
    char *reply = malloc(length);
    assert_non_null(reply);
    for (size_t i = 0; i < length; i++)
        reply[i] = i == 0 ? '[' : i % 2 == 1 ? '0' : ',';
    reply[length - 1] = ']';
    struct remote_reply read;
    assert_int_equal(remote_reply_read(REMOTE_TEI, (struct text){reply, length}, 1, 2, &read),
                     STATUS_BAD_JSON);
    memset(reply, '[', length);
    assert_int_equal(remote_reply_read(REMOTE_TEI, (struct text){reply, length / 16}, 1, 2, &read),
                     STATUS_BAD_JSON);
    free(reply);
}

static void the_bound_of_a_reply_grows_with_what_is_asked(void **state)
{
    (void)state;
    assert_true(remote_reply_max(1, 0) >= 32 * REMOTE_DIMENSION_MAX);
    assert_true(remote_reply_max(1024, 4096) >= (size_t)1024 * 4096 * 24);
    assert_true(remote_reply_max(32, 1536) < 10 << 20);
}

static void only_what_a_refusal_says_is_taken_for_its_reason(void **state)
{
    (void)state;
    static const struct {
        const char *reply;
        bool is_length;
    } cases[] = {
        {"{\"error\":{\"message\":\"This model's maximum context length is 8192 tokens\"}}", true},
        {"{\"error\":{\"message\":\"no\",\"code\":\"context_length_exceeded\"}}", true},
        {"{\"error\":\"`inputs` must have less than 512 tokens\",\"error_type\":\"Validation\"}",
         true},
        {"{\"object\":\"error\",\"message\":\"Too long a text\"}", true},
        {"{\"error\":\"the input length exceeds the context length\"}", true},
        {"input is too large to process", true},
        {"{\"error\":\"model \\\"m\\\" not found\"}", false},
        {"{\"error\":{\"message\":\"Invalid token\"}}", false},
        {"{\"detail\":[{\"msg\":\"field required\",\"input\":\"what is the length of the Nile\"}]}",
         false},
        {"[1,2]", false},
        {"null", false},
        {"no", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(remote_reply_blames_length(text_of(cases[i].reply)), cases[i].is_length);
    static char large[20000];
    memset(large, 'x', sizeof(large));
    memcpy(large, "length", 6);
    assert_false(remote_reply_blames_length((struct text){large, sizeof(large)}));
}

/* Tokens of a reply for one text; -1: it does not say. */
static int64_t tokens_of(enum remote_shape shape, const char *reply)
{
    struct remote_reply read;
    (void)remote_reply_read(shape, text_of(reply), 1, 2, &read);
    free(read.vectors);
    assert_true(read.has_tokens || read.tokens == 0);
    return read.has_tokens ? (int64_t)read.tokens : -1;
}

static void tokens_are_those_that_are_told(void **state)
{
    (void)state;
    static const struct {
        enum remote_shape shape;
        const char *reply;
        int64_t tokens;
    } cases[] = {
        {REMOTE_OPENAI, "{\"data\":[{\"embedding\":[3,4]}],\"usage\":{\"prompt_tokens\":8}}", 8},
        {REMOTE_OPENAI, "{\"data\":[{\"embedding\":[3,4]}],\"usage\":{\"total_tokens\":9}}", 9},
        {REMOTE_OPENAI, "{\"data\":[],\"usage\":{\"prompt_tokens\":0,\"total_tokens\":9}}",
         0}, /* unusable */
        {REMOTE_OPENAI, "{\"data\":[{\"embedding\":[3,4]}]}", -1},
        {REMOTE_OPENAI, "{\"data\":[{\"embedding\":[3,4]}],\"prompt_eval_count\":8}", -1},
        {REMOTE_OPENAI, "{\"usage\":{\"prompt_tokens\":\"8\"}}", -1},
        {REMOTE_OPENAI, "{\"usage\":{\"prompt_tokens\":-8}}", -1},
        {REMOTE_OPENAI, "{\"usage\":{\"prompt_tokens\":8.5}}", -1},
        {REMOTE_OPENAI, "{\"usage\":{\"prompt_tokens\":1e300}}", -1},
        {REMOTE_OPENAI, "{\"usage\":8}", -1},
        {REMOTE_OPENAI, "8", -1},
        {REMOTE_OLLAMA, "{\"embeddings\":[[3,4]],\"prompt_eval_count\":8}", 8},
        {REMOTE_OLLAMA, "{\"embeddings\":[[3,4]],\"usage\":{\"prompt_tokens\":8}}", -1},
        {REMOTE_TEI, "[[3,4]]", -1},
        {REMOTE_TEI, "no", -1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(tokens_of(cases[i].shape, cases[i].reply), cases[i].tokens);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_those_that_are_told),
        cmocka_unit_test(each_shape_is_read),
        cmocka_unit_test(order_is_by_index_and_by_place_without_one),
        cmocka_unit_test(base64_is_read_with_and_without_padding),
        cmocka_unit_test(every_float_survives_base64),
        cmocka_unit_test(vectors_have_length_one),
        cmocka_unit_test(a_wrong_count_is_refused),
        cmocka_unit_test(an_index_twice_or_outside_is_refused),
        cmocka_unit_test(another_dimension_is_told_apart),
        cmocka_unit_test(what_is_no_number_is_refused),
        cmocka_unit_test(what_is_no_such_reply_is_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(a_flood_of_values_is_refused_unread),
        cmocka_unit_test(the_bound_of_a_reply_grows_with_what_is_asked),
        cmocka_unit_test(only_what_a_refusal_says_is_taken_for_its_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
