/*
 * test_option_name.c - Goal: the three spellings of a name, and the distance between two names.
 * Method: rows, and the laws of a distance over all pairs of a few words.
 */
#include "tests/support/unit.h"

#include <string.h>

#include "base/option_name.h"

static void a_name_has_three_spellings(void **state)
{
    (void)state;
    char spelt[OPTION_NAME_MAX];
    option_name_spell("server.inflight_max", OPTION_IN_FILE, spelt);
    assert_string_equal(spelt, "server.inflight_max");
    option_name_spell("server.inflight_max", OPTION_IN_ENVIRONMENT, spelt);
    assert_string_equal(spelt, "REPRISE_SERVER_INFLIGHT_MAX");
    option_name_spell("server.inflight_max", OPTION_AS_FLAG, spelt);
    assert_string_equal(spelt, "--server-inflight-max");
}

static bool matches(enum option_spelling spelling, const char *typed)
{
    return option_name_matches("server.inflight_max", spelling, typed, strlen(typed));
}

static void a_flag_may_keep_its_underscores(void **state)
{
    (void)state;
    assert_true(matches(OPTION_AS_FLAG, "--server-inflight-max"));
    assert_true(matches(OPTION_AS_FLAG, "--server-inflight_max"));
    assert_false(matches(OPTION_AS_FLAG, "--server-inflight-ma"));
    assert_false(matches(OPTION_AS_FLAG, "--server-inflight-maxx"));
    assert_false(matches(OPTION_AS_FLAG, "server-inflight-max"));
    assert_false(matches(OPTION_AS_FLAG, "--Server-inflight-max"));
}

static void file_and_environment_are_exact(void **state)
{
    (void)state;
    assert_true(matches(OPTION_IN_FILE, "server.inflight_max"));
    assert_false(matches(OPTION_IN_FILE, "server.inflight-max"));
    assert_false(matches(OPTION_IN_FILE, "server_inflight_max"));
    assert_true(matches(OPTION_IN_ENVIRONMENT, "REPRISE_SERVER_INFLIGHT_MAX"));
    assert_false(matches(OPTION_IN_ENVIRONMENT, "reprise_server_inflight_max"));
}

static size_t distance(const char *a, const char *b)
{
    return option_name_distance(a, strlen(a), b, strlen(b));
}

static void the_distance_counts_single_changes(void **state)
{
    (void)state;
    assert_int_equal(distance("", ""), 0);
    assert_int_equal(distance("abc", ""), 3);
    assert_int_equal(distance("kitten", "sitting"), 3);
    assert_int_equal(distance("inflight", "inflght"), 1);
    assert_int_equal(distance("memory", "memroy"), 2);
}

static void the_distance_is_symmetric_and_keeps_the_triangle(void **state)
{
    (void)state;
    static const char *const words[] = {"", "a", "ab", "ba", "server", "serve", "sever", "reserve"};
    enum { WORDS = sizeof(words) / sizeof(words[0]) };
    for (int i = 0; i < WORDS; i++) {
        for (int j = 0; j < WORDS; j++) {
            assert_int_equal(distance(words[i], words[j]), distance(words[j], words[i]));
            assert_true((distance(words[i], words[j]) == 0) == (i == j));
            for (int k = 0; k < WORDS; k++)
                assert_true(distance(words[i], words[k]) <=
                            distance(words[i], words[j]) + distance(words[j], words[k]));
        }
    }
}

static void an_overlong_word_is_infinitely_far(void **state)
{
    (void)state;
    char word[OPTION_NAME_MAX + 2];
    memset(word, 'a', sizeof(word) - 1);
    word[sizeof(word) - 1] = '\0';
    assert_true(distance(word, "a") == SIZE_MAX);
    assert_true(distance("a", word) == SIZE_MAX);
    word[OPTION_NAME_MAX] = '\0';
    assert_int_equal(distance(word, word), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_has_three_spellings),
        cmocka_unit_test(a_flag_may_keep_its_underscores),
        cmocka_unit_test(file_and_environment_are_exact),
        cmocka_unit_test(the_distance_counts_single_changes),
        cmocka_unit_test(the_distance_is_symmetric_and_keeps_the_triangle),
        cmocka_unit_test(an_overlong_word_is_infinitely_far),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
