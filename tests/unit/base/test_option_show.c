/*
 * test_option_show.c - Goal: what is nobody's to read is hidden, and all else is as it was. Method:
 * texts beside what is shown of them.
 */
#include "tests/support/unit.h"

#include <string.h>

#include "base/options.h"

static void logins_and_keys_of_urls_are_hidden_and_nothing_else(void **state)
{
    (void)state;
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"", ""},
        {"64MiB", "64MiB"},
        {"a/path@home?key=x", "a/path@home?key=x"}, /* no URL */
        {"http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1"},
        {"http://joe:pw@host/v1@2", "http://***@host/v1@2"},
        {"http://p@ss@host", "http://***@host"},
        {"https://host?a=1&API_Key=s3cret&b=2#top", "https://host?a=1&API_Key=***&b=2#top"},
        {"https://host/?token=t", "https://host/?token=***"},
        {"https://host/?sig&x=1", "https://host/?sig&x=1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char shown[OPTION_SHOWN_MAX];
        assert_string_equal(option_show(cases[i].text, shown), cases[i].shown);
    }
}

static void a_text_that_is_too_long_loses_its_end(void **state)
{
    (void)state;
    char text[2 * OPTION_SHOWN_MAX], shown[OPTION_SHOWN_MAX];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(strlen(option_show(text, shown)), OPTION_SHOWN_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logins_and_keys_of_urls_are_hidden_and_nothing_else),
        cmocka_unit_test(a_text_that_is_too_long_loses_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
