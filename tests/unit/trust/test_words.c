/*
 * Goal: the lists say what the guard's rules promise, and endings are tried off where they should
 * be, nowhere else. Method: words one by one.
 */
#include "tests/support/unit.h"

#include "trust/words.h"

static struct word_meaning meaning(const char *word)
{
    return words_meaning(text_of(word), words_hash(word, strlen(word)));
}

static bool is_split(const char *left, const char *right)
{
    struct word_meaning a = meaning(left), b = meaning(right);
    return (a.left & b.right) != 0 && (a.right & b.right) == 0;
}

static void pairs_have_two_sides(void **state)
{
    (void)state;
    assert_true(is_split("on", "off"));
    assert_true(is_split("buy", "sell"));
    assert_true(is_split("deposit", "withdraw"));
    assert_true(is_split("from", "to"));
    assert_true(is_split("with", "without"));
    assert_true(is_split("ascending", "descending"));
    assert_false(is_split("on", "sell"));
    assert_false(is_split("off", "on"));
}

static void a_word_may_stand_in_two_pairs(void **state)
{
    (void)state;
    assert_true(is_split("left", "right"));
    assert_true(is_split("right", "wrong"));
}

static void endings_are_tried_off_pair_words(void **state)
{
    (void)state;
    assert_true(is_split("buys", "selling"));
    assert_true(is_split("opened", "closed"));
    assert_true(is_split("opening", "closing"));
    assert_true(is_split("started", "stopped"));
    assert_true(is_split("beginning", "stopping"));
    assert_true(is_split("allows", "denies"));
    assert_true(is_split("allowed", "denied"));
    assert_true(is_split("deposits", "withdrawals"));
    assert_true(is_split("bought", "sold"));
}

static void short_stems_are_no_pair_words(void **state)
{
    (void)state;
    static const char *const words[] = {"toes", "ins", "oned", "uping", "toed", "inning"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct word_meaning found = meaning(words[i]);
        assert_true(found.left == 0);
        assert_true(found.right == 0);
    }
}

static void negation_has_many_forms(void **state)
{
    (void)state;
    static const char *const words[] = {"not",   "no",       "never",   "don't",   "mustn't",
                                        "cant",  "cannot",   "without", "neither", "failed",
                                        "fails", "refusing", "refuse",  "unable",  "nobody",
                                        "lacks", "won't"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        assert_true((meaning(words[i]).roles & WORD_NEGATING) != 0);
}

static void what_only_looks_like_negation_is_none(void **state)
{
    (void)state;
    static const char *const words[] = {"note", "notes",   "noted",  "noting", "knot",
                                        "nor",  "nothern", "wanted", "black",  "ant"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        assert_int_equal(meaning(words[i]).roles & WORD_NEGATING, 0);
}

static void number_words_begin_at_two(void **state)
{
    (void)state;
    assert_int_equal(meaning("two").value, 2);
    assert_int_equal(meaning("second").value, 2);
    assert_int_equal(meaning("ninety").value, 90);
    assert_int_equal(meaning("billion").value, 1000000000);
    assert_int_equal(meaning("one").roles & WORD_NUMBER, 0);
    assert_int_equal(meaning("zero").roles & WORD_NUMBER, 0);
    assert_int_equal(meaning("first").roles & WORD_NUMBER, 0);
    assert_int_equal(meaning("first").roles & WORD_ONE, WORD_ONE);
    assert_true(is_split("first", "last"));
}

static void unknown_and_endless_words_mean_nothing(void **state)
{
    (void)state;
    static const char *const words[] = {
        "zebra", "s", "ing", "ed", "n't", "pneumonoultramicroscopicsilicovolcanoconiosis", "größe"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct word_meaning found = meaning(words[i]);
        assert_int_equal(found.roles, 0);
        assert_true(found.left == 0);
        assert_true(found.right == 0);
    }
}

/* Signatures are kept beside vectors: the hash is a format. SipHash-1-3 under the key "reprise
 * guard 1". */
static void the_hash_is_the_same_in_every_release(void **state)
{
    (void)state;
    assert_true(words_hash("rome", 4) == UINT64_C(0x49ec98dc76e622c9));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_have_two_sides),
        cmocka_unit_test(a_word_may_stand_in_two_pairs),
        cmocka_unit_test(endings_are_tried_off_pair_words),
        cmocka_unit_test(short_stems_are_no_pair_words),
        cmocka_unit_test(negation_has_many_forms),
        cmocka_unit_test(what_only_looks_like_negation_is_none),
        cmocka_unit_test(number_words_begin_at_two),
        cmocka_unit_test(unknown_and_endless_words_mean_nothing),
        cmocka_unit_test(the_hash_is_the_same_in_every_release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
