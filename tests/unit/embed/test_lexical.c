/*
 * Goal: the vectors of `lexical` are exactly those of its version. Method: the two published check
 * values, properties that follow from the definition, and the limits of memory.
 */
#include "tests/support/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "embed/lexical.h"

static struct arena *arena;

static int arena_setup(void **state)
{
    (void)state;
    return arena_create(&arena) == STATUS_OK ? 0 : -1;
}

static int arena_teardown(void **state)
{
    (void)state;
    arena_destroy(&arena);
    return 0;
}

static double cosine(const char *a, const char *b)
{
    float left[LEXICAL_DIMENSION], right[LEXICAL_DIMENSION];
    assert_int_equal(lexical_embed(text_of(a), arena, left), STATUS_OK);
    assert_int_equal(lexical_embed(text_of(b), arena, right), STATUS_OK);
    arena_reset(arena);
    double sum = 0;
    for (size_t i = 0; i < LEXICAL_DIMENSION; i++)
        sum += (double)left[i] * right[i];
    return sum;
}

static void the_hash_is_the_one_of_version_1(void **state)
{
    (void)state;
    assert_true(XXH3_64bits("wreset", 6) == UINT64_C(0x8183a6597906d451));
}

static void the_published_cosine_holds(void **state)
{
    (void)state;
    double value = cosine("how do i reset my pin", "reset my pin please");
    assert_true(fabs(value - 0.87033) < 0.000005);
}

/* "ab": w 1, grams ^ab ab$ ^ab$ each 1/sqrt(3); all on coordinates of their own. */
static void one_short_word_has_the_coordinates_of_its_four_features(void **state)
{
    (void)state;
    static const char *const features[] = {"wab", "c^ab", "cab$", "c^ab$"};
    double expected[LEXICAL_DIMENSION] = {0};
    for (size_t i = 0; i < 4; i++) {
        uint64_t hash = XXH3_64bits(features[i], strlen(features[i]));
        double weight = i == 0 ? 1.0 : 1.0 / sqrt(3.0);
        expected[(hash >> 1) % LEXICAL_DIMENSION] += (hash & 1) != 0 ? weight : -weight;
    }
    double squares = 0;
    for (size_t i = 0; i < LEXICAL_DIMENSION; i++)
        squares += expected[i] * expected[i];
    float unit[LEXICAL_DIMENSION];
    assert_int_equal(lexical_embed(TEXT("ab"), arena, unit), STATUS_OK);
    for (size_t i = 0; i < LEXICAL_DIMENSION; i++)
        assert_true(fabs(unit[i] - expected[i] / sqrt(squares)) < 1e-6);
}

/* Twelve times "ab" sums to 12 before the root: equal features are one. */
static void repeated_words_count_by_their_root(void **state)
{
    (void)state;
    float once[LEXICAL_DIMENSION], unit[LEXICAL_DIMENSION];
    assert_int_equal(lexical_embed(TEXT("ab"), arena, once), STATUS_OK);
    assert_int_equal(lexical_embed(TEXT("ab ab ab"), arena, unit), STATUS_OK);
    uint64_t word = XXH3_64bits("wab", 3), pair = XXH3_64bits("bab ab", 6);
    double ratio =
        fabs(unit[(pair >> 1) % LEXICAL_DIMENSION]) / fabs(unit[(word >> 1) % LEXICAL_DIMENSION]);
    assert_true(fabs(ratio - 1.0 / sqrt(3.0)) < 1e-5); /* the pair: 0.5 + 0.5; the word: sqrt(3) */
}

static void every_vector_has_length_one(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "a", "the", "how much is 3 plus 4?", "größte Straße", "東京タワー", "x'y'z", "don't",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_true(fabs(cosine(texts[i], texts[i]) - 1) < 1e-6);
}

static void case_width_and_punctuation_do_not_matter(void **state)
{
    (void)state;
    assert_true(cosine("Reset my PIN!", "reset, my pin") > 0.999999);
    assert_true(cosine("ＰＩＮ", "pin") > 0.999999);
    assert_true(cosine("STRASSE", "straße") > 0.999999);
    assert_true(cosine("cafe\xCC\x81", "caf\xC3\xA9") > 0.999999);
    assert_true(cosine("reset_pin", "reset pin") > 0.999999);
}

static void one_apostrophe_joins_two_runs(void **state)
{
    (void)state;
    assert_true(cosine("don't", "dont") < 0.99);
    assert_true(cosine("don't", "don t") < 0.99);
    assert_true(cosine("a'b'c", "a'b c") > 0.999999);
    assert_true(cosine("'quoted'", "quoted") > 0.999999);
}

static void stop_words_weigh_less_than_others(void **state)
{
    (void)state;
    double stop = cosine("reset pin", "reset the pin");
    double other = cosine("reset pin", "reset zebra pin");
    assert_true(stop > other + 0.05);
}

static void a_text_without_words_has_no_vector(void **state)
{
    (void)state;
    float unit[LEXICAL_DIMENSION];
    static const char *const texts[] = {"", "   ", "?!...", "_ _", "\xF0\x9F\x98\x80"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(lexical_embed(text_of(texts[i]), arena, unit), STATUS_NOT_FOUND);
}

/* A long text makes the table grow many times; its sums must not depend on when it grew. */
static void a_long_text_is_the_sum_of_all_its_words(void **state)
{
    (void)state;
    enum { WORDS = 5000, ROOM = WORDS * 8 };
    char *text = calloc(1, ROOM), *doubled = calloc(2, ROOM);
    assert_non_null(text);
    assert_non_null(doubled);
    size_t length = 0;
    for (int i = 0; i < WORDS; i++)
        length += (size_t)snprintf(text + length, ROOM - length, "x%d ", i * 7);
    memcpy(doubled, text, length);
    memcpy(doubled + length, text, length);
    float once[LEXICAL_DIMENSION], twice[LEXICAL_DIMENSION];
    assert_int_equal(lexical_embed((struct text){text, length}, arena, once), STATUS_OK);
    assert_int_equal(lexical_embed((struct text){doubled, 2 * length}, arena, twice), STATUS_OK);
    double sum = 0;
    for (size_t i = 0; i < LEXICAL_DIMENSION; i++)
        sum += (double)once[i] * twice[i];
    assert_true(sum > 0.95);
    free(doubled);
    free(text);
}

static void a_typical_question_fits_into_the_first_block_of_the_arena(void **state)
{
    (void)state;
    arena_reset(arena);
    float unit[LEXICAL_DIMENSION];
    struct text question =
        TEXT("How do I reset the PIN of my debit card after three wrong attempts?");
    assert_int_equal(lexical_embed(question, arena, unit), STATUS_OK);
    assert_true(arena_used_bytes(arena) < ARENA_BLOCK_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_is_the_one_of_version_1),
        cmocka_unit_test(the_published_cosine_holds),
        cmocka_unit_test(one_short_word_has_the_coordinates_of_its_four_features),
        cmocka_unit_test(repeated_words_count_by_their_root),
        cmocka_unit_test(every_vector_has_length_one),
        cmocka_unit_test(case_width_and_punctuation_do_not_matter),
        cmocka_unit_test(one_apostrophe_joins_two_runs),
        cmocka_unit_test(stop_words_weigh_less_than_others),
        cmocka_unit_test(a_text_without_words_has_no_vector),
        cmocka_unit_test(a_long_text_is_the_sum_of_all_its_words),
        cmocka_unit_test(a_typical_question_fits_into_the_first_block_of_the_arena),
    };
    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
