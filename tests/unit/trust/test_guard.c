/*
 * Goal: opposites are forbidden for the stated reason, paraphrases pass. Method: a table of
 * hand-written pairs, each checked in both directions; cases for each rule; and, where the labelled
 * pairs are at hand (REPRISE_DATA, else
 * ../shared/data beside the tree), the shares of both errors over all of them.
 */
#include "tests/support/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trust/guard.h"

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

static struct guard_signature sign(const char *text)
{
    struct guard_signature signature;
    assert_int_equal(guard_sign(text_of(text), arena, &signature), STATUS_OK);
    arena_reset(arena);
    return signature;
}

static unsigned check(const char *a, const char *b)
{
    struct guard_signature left = sign(a), right = sign(b);
    unsigned reasons = guard_check(&left, &right, GUARD_ALL);
    assert_int_equal(guard_check(&right, &left, GUARD_ALL), reasons);
    assert_int_equal(guard_check(&left, &left, GUARD_ALL), 0);
    return reasons;
}

struct pair {
    unsigned reason; /* that must be among those found; 0: none may be */
    const char *a, *b;
};

/* clang-format off */
static const struct pair pairs[] = {
    /* switches, trade, time, size, space, access, state, judgement */
    {GUARD_ANTONYM, "Switch the heating on in the nursery", "Switch the heating off in the nursery"},
    {GUARD_ANTONYM, "How do I enable two-factor login?", "How do I disable two-factor login?"},
    {GUARD_ANTONYM, "Is it a good time to buy gold?", "Is it a good time to sell gold?"},
    {GUARD_ANTONYM, "Which shares did the fund buy", "Which shares has the fund sold"},
    {GUARD_ANTONYM, "fee for depositing a cheque", "fee for withdrawing a cheque"},
    {GUARD_ANTONYM, "Should I take the pills before lunch?", "Should I take the pills after lunch?"},
    {GUARD_ANTONYM, "print the first page of the report", "print the last page of the report"},
    {GUARD_ANTONYM, "rooms that cost more than the suite", "rooms that cost less than the suite"},
    {GUARD_ANTONYM, "increase the font size", "decrease the font size"},
    {GUARD_ANTONYM, "raising the speed limit", "reduced the speed limit"},
    {GUARD_ANTONYM, "What is the maximum dose?", "What is the minimum dose?"},
    {GUARD_ANTONYM, "minimum dose", "max dose"},
    {GUARD_ANTONYM, "sort the rows in ascending order", "sort the rows in descending order"},
    {GUARD_ANTONYM, "turn the volume up", "turn the volume down"},
    {GUARD_ANTONYM, "trains from Vienna", "trains to Vienna"},
    {GUARD_ANTONYM, "Take the left lane", "Take the right lane"},
    {GUARD_ANTONYM, "was my guess right", "was my guess wrong"},
    {GUARD_ANTONYM, "weather in the north of Spain", "weather in the south of Spain"},
    {GUARD_ANTONYM, "when does the museum open", "when does the museum close"},
    {GUARD_ANTONYM, "the shop is opening at noon", "the shop is closing at noon"},
    {GUARD_ANTONYM, "unlock the back door", "lock the back door"},
    {GUARD_ANTONYM, "allow cookies on this site", "deny cookies on this site"},
    {GUARD_ANTONYM, "make the repository public", "make the repository private"},
    {GUARD_ANTONYM, "start the dishwasher", "stop the dishwasher"},
    {GUARD_ANTONYM, "when was the backup started", "when was the backup stopped"},
    {GUARD_ANTONYM, "add an index to the table", "remove an index of the table"},
    {GUARD_ANTONYM, "accept the invitation", "reject the invitation"},
    {GUARD_ANTONYM, "coffee with sugar", "coffee without sugar"},
    {GUARD_ANTONYM, "installing the driver", "uninstalling the driver"},
    {GUARD_ANTONYM, "is this mushroom safe", "is this mushroom unsafe"},
    {GUARD_ANTONYM, "incoming calls of today", "outgoing calls of today"},
    {GUARD_ANTONYM, "best films of the year", "worst films of the year"},
    {GUARD_ANTONYM, "upload the photos", "download the photos"},
    {GUARD_ANTONYM, "SUBSCRIBE ME", "UNSUBSCRIBE ME"},
    {GUARD_NEGATION, "Can I bring my dog?", "Can I not bring my dog?"},
    {GUARD_NEGATION, "The printer works", "The printer doesn't work"},
    {GUARD_NEGATION, "The printer works", "The printer doesn’t work"},
    {GUARD_NEGATION, "the printer does work", "the printer doesnt work"},
    {GUARD_NEGATION, "I was able to sign in", "I was unable to sign in"},
    {GUARD_NEGATION, "Why did the import succeed", "Why has the import failed"},
    {GUARD_NEGATION, "He has never flown", "He has flown"},
    {GUARD_NEGATION, "is there a late fee", "is there no late fee"},
    {GUARD_NUMBER, "Remind me in 20 minutes", "Remind me in 25 minutes"},
    {GUARD_NUMBER, "a table for two", "a table for four"},
    {GUARD_NUMBER, "a table for 2", "a table for three"},
    {GUARD_NUMBER, "the 2nd of May", "the 3rd of May"},
    {GUARD_NUMBER, "transfer $1,000 to Ann", "transfer $10,000 to Ann"},
    {GUARD_NUMBER, "Is 2.5 mg enough?", "Is 25 mg enough?"},
    {GUARD_NUMBER, "What changed in version 1.2.10?", "What changed in version 1.2.1?"},
    {GUARD_NUMBER, "cook at -5 degrees", "cook at 5 degrees"},
    {GUARD_NUMBER, "error E502", "error E503"},
    {GUARD_NUMBER, "one ticket to Rome", "two tickets to Rome"},
    {GUARD_NUMBER, "the twenty-first floor", "the twentieth floor"},
    {GUARD_NUMBER, "Опубликуй 5 фото", "Опубликуй 6 фото"},
    {GUARD_NUMBER, "غرفة ٣", "غرفة ٤"},
    {GUARD_ORDER, "Move the data from MySQL to Postgres", "Move the data from Postgres to MySQL"},
    {GUARD_ORDER, "convert euros to yen", "Please convert yen to euros, thanks"},
    {GUARD_ORDER, "did Alice pay Bob", "did Bob pay Alice"},
    {GUARD_ORDER, "is Java faster than Go", "is Go faster than Java"},
    {GUARD_ORDER, "add milk and remove bread", "remove milk and add bread"},
    {GUARD_ORDER, "flights on 01-05", "flights on 05-01"},
    {GUARD_ORDER, "обменять евро на доллары", "обменять доллары на евро"},
    {GUARD_ORDER, "Zug von Hamburg nach Kiel", "Zug von Kiel nach Hamburg"},
    {GUARD_NAMES, "What is the capital of France?", "What is the capital of Spain?"},
    {GUARD_NAMES, "Who wrote the Iliad?", "Who wrote the Aeneid?"},
    {GUARD_NAMES, "Is the branch in Łódź open", "Is the branch in Gdańsk open"},
    {GUARD_NAMES, "когда открыт офис в Москве", "когда открыт офис в Казани"},
    /* the same thing, said otherwise */
    {0, "How do I reset my PIN?", "please tell me how i can reset my pin"},
    {0, "How do I reset my PIN?", "how do i reset my pin"},
    {0, "What is the capital of France?", "what's the capital of france"},
    {0, "What is the capital of France?", "Hello! Could you tell me France's capital city?"},
    {0, "transfer $1,000 to Ann", "transfer 1000 dollars to Ann"},
    {0, "transfer 1000.00 to Ann", "transfer 1,000 to Ann"},
    {0, "a table for two at 8 pm", "a table for 2 at 8pm"},
    {0, "What happens on May 2?", "What happens on May 2nd?"},
    {0, "5 million people", "5,000,000 people"},
    {0, "a salary of 60k", "a salary of sixty thousand"},
    {0, "twenty-five euros", "25 euros"},
    {0, "two hundred miles", "200 miles"},
    {0, "can one pay by card", "can i pay by card"},
    {0, "I can't sign in", "I cannot sign in"},
    {0, "I can't sign in", "i am unable to sign in"},
    {0, "it doesn't work", "it does not work"},
    {0, "my upload fails", "my upload is not working"},
    {0, "I want to cancel an order from last week", "I need to cancel last week's order"},
    {0, "how to get a refund", "get a refund from you"},
    {0, "Switch the lights on", "hi, switch on the lights please"},
    {0, "turning the lights off", "turn off the lights"},
    {0, "does neither of them work", "do both not work"},
    {0, "Where's my parcel?", "Where is my parcel?"},
    {0, "Anna's birthday present", "Anna’s birthday present"},
    {0, "WHERE IS MY PARCEL", "Where is my parcel from Lisbon?"},
    {0, "wann öffnet die Bank", "Wann öffnet die Bank?"},
    {0, "東京の天気は？", "東京の天気は"},
    {0, "", "   "},
};
/* clang-format on */
enum { PAIRS_COUNT = sizeof(pairs) / sizeof(pairs[0]) };

static void hand_written_pairs_are_judged_rightly(void **state)
{
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < PAIRS_COUNT; i++) {
        unsigned reasons = check(pairs[i].a, pairs[i].b);
        bool is_right = pairs[i].reason == 0 ? reasons == 0 : (reasons & pairs[i].reason) != 0;
        if (!is_right)
            print_message("reasons %x, expected %x: \"%s\" and \"%s\"\n", reasons, pairs[i].reason,
                          pairs[i].a, pairs[i].b);
        wrong += !is_right;
    }
    assert_int_equal(wrong, 0);
}

static void only_the_rules_asked_for_count(void **state)
{
    (void)state;
    struct guard_signature a = sign("2 trains from Vienna"), b = sign("3 trains to Vienna");
    assert_int_equal(guard_check(&a, &b, GUARD_ALL), GUARD_NUMBER | GUARD_ANTONYM);
    assert_int_equal(guard_check(&a, &b, GUARD_NUMBER), GUARD_NUMBER);
    assert_int_equal(guard_check(&a, &b, GUARD_ORDER | GUARD_NAMES), 0);
    assert_int_equal(guard_check(&a, &b, 0), 0);
}

static void a_pair_is_split_only_if_each_holds_one_side_alone(void **state)
{
    (void)state;
    assert_int_equal(check("light on", "light off"), GUARD_ANTONYM);
    assert_int_equal(check("light on or off", "light off") & GUARD_ANTONYM, 0);
    assert_int_equal(check("light on", "light") & GUARD_ANTONYM, 0);
}

static void two_negations_cancel_out(void **state)
{
    (void)state;
    assert_int_equal(check("never say never again", "say again") & GUARD_NEGATION, 0);
    assert_int_equal(check("do not say never", "never say") & GUARD_NEGATION, GUARD_NEGATION);
}

/* 300 does not fit into the counter's byte; the parity must survive. */
static void parity_survives_many_negations(void **state)
{
    (void)state;
    char even[300 * 4 + 16], odd[sizeof(even) + 4];
    size_t length = 0;
    for (int i = 0; i < 300; i++)
        length += (size_t)snprintf(even + length, sizeof(even) - length, "not ");
    (void)snprintf(odd, sizeof(odd), "%snot", even);
    assert_int_equal(check(even, odd) & GUARD_NEGATION, GUARD_NEGATION);
    assert_int_equal(check(even, "say") & GUARD_NEGATION, 0);
}

static void numbers_are_a_set(void **state)
{
    (void)state;
    assert_int_equal(check("3 plus 3", "3 plus three") & GUARD_NUMBER, 0);
    assert_int_equal(check("3 and 4", "4 and 3") & GUARD_NUMBER, 0);
    assert_int_equal(check("3 and 4", "3 and 3") & GUARD_NUMBER, GUARD_NUMBER);
}

/* More different numbers than the first table holds, written forwards and backwards. */
static void many_numbers_are_a_set_too(void **state)
{
    (void)state;
    enum { NUMBERS = 2000, ROOM = NUMBERS * 8 };
    char *forwards = calloc(1, ROOM), *backwards = calloc(1, ROOM);
    assert_non_null(forwards);
    assert_non_null(backwards);
    size_t a = 0, b = 0;
    for (int i = 0; i < NUMBERS; i++) {
        a += (size_t)snprintf(forwards + a, ROOM - a, "%d ", i);
        b += (size_t)snprintf(backwards + b, ROOM - b, "%d ", NUMBERS - 1 - i);
    }
    assert_int_equal(check(forwards, backwards), GUARD_ORDER);
    backwards[0] = '7'; /* 7999 instead of 1999 */
    assert_int_equal(check(forwards, backwards), GUARD_NUMBER);
    free(backwards);
    free(forwards);
}

static void a_minus_sign_stands_behind_a_space(void **state)
{
    (void)state;
    assert_int_equal(check("pages 3-5", "pages 3 to 5") & GUARD_NUMBER, 0);
    assert_int_equal(check("covid-19", "covid 19") & GUARD_NUMBER, 0);
    assert_int_equal(check("-5 degrees", "\xE2\x88\x92"
                                         "5 degrees") &
                         GUARD_NUMBER,
                     0);
    assert_int_equal(check("-5 degrees", "5 degrees") & GUARD_NUMBER, GUARD_NUMBER);
}

/* A known loss: the rule cannot tell a turned sentence from turned roles. */
static void a_sentence_turned_round_is_lost_with_the_opposites(void **state)
{
    (void)state;
    assert_int_equal(check("why is my card blocked", "my card is blocked, why"), GUARD_ORDER);
    assert_int_equal(check("the limit of the card", "the card limit"), GUARD_ORDER);
}

static void a_name_must_be_lacking_on_both_sides(void **state)
{
    (void)state;
    assert_int_equal(check("the road to Rome", "the road to rome") & GUARD_NAMES, 0);
    assert_int_equal(check("the road to Rome", "the road to Rome and Pisa") & GUARD_NAMES, 0);
    assert_int_equal(check("a road to Rome", "a road to Pisa") & GUARD_NAMES, GUARD_NAMES);
}

static void a_capital_that_begins_a_sentence_is_no_name(void **state)
{
    (void)state;
    assert_int_equal(sign("Rome is far. Is Pisa far? Yes: Go.\nSiena").names_count, 1);
    assert_int_equal(sign("and I think I'm late, I've run").names_count, 0);
}

static void five_names_make_the_rule_abstain(void **state)
{
    (void)state;
    const char *five = "go via Rome, Pisa, Siena, Turin, Milan";
    assert_int_equal(sign(five).names_count, 5);
    assert_int_equal(check(five, "go via Oslo") & GUARD_NAMES, 0);
    assert_int_equal(sign("go via Rome, Rome, Rome, Rome, Rome, Pisa").names_count, 2);
}

static void a_shouted_text_has_no_names(void **state)
{
    (void)state;
    assert_int_equal(sign("GO TO ROME").names_count, 0);
    assert_int_equal(sign("go to ROME").names_count, 1);
}

static void what_is_not_used_is_zero(void **state)
{
    (void)state;
    struct guard_signature empty = sign(""), zero = {0};
    assert_memory_equal(&empty, &zero, sizeof(zero));
    assert_int_equal(sign("to go to Rome now").flags, 0);
    assert_int_equal(sign("go to Rome now").words, 4);
}

/* The signature lies beside the vector, also on disk: it must not change between releases. */
static void a_signature_stays_what_it_was(void **state)
{
    (void)state;
    struct guard_signature s = sign("Do not open 2 doors in Rome");
    assert_true(s.numbers == UINT64_C(0x26c993a16253d5eb));
    assert_true(s.bag == UINT64_C(0x05d4ad063590873e));
    assert_true(s.order == UINT64_C(0x174a473ea825ef09));
    assert_true(s.names[0] == UINT32_C(0x76e622c9));
    assert_true(s.left != 0); /* "open", "in" */
    assert_true(s.right == 0);
    assert_int_equal(s.negations, 1);
    assert_int_equal(s.names_count, 1);
}

struct tally {
    char kind[24];
    int pairs, blocked;
};

static FILE *labelled_pairs_open(void)
{
    const char *folder = getenv("REPRISE_DATA");
    char path[1024];
    if (folder != NULL) {
        (void)snprintf(path, sizeof(path), "%s/mutations/pairs.tsv", folder);
        return fopen(path, "r");
    }
    /* This file's own path without its end is the tree. */
    int tree = (int)(sizeof(__FILE__) - sizeof("tests/unit/trust/test_guard.c"));
    (void)snprintf(path, sizeof(path), "%.*s../shared/data/mutations/pairs.tsv", tree, __FILE__);
    return fopen(path, "r");
}

static struct tally *tally_of(struct tally tallies[16], const char *kind)
{
    size_t i = 0;
    while (tallies[i].kind[0] != '\0' && strcmp(tallies[i].kind, kind) != 0)
        assert_true(++i < 16);
    (void)snprintf(tallies[i].kind, sizeof(tallies[i].kind), "%s", kind);
    return &tallies[i];
}

static void tally_print(const struct tally *tally)
{
    print_message("%-12s %4d pairs %4d blocked (%.2f %%)\n", tally->kind, tally->pairs,
                  tally->blocked, 100.0 * tally->blocked / tally->pairs);
}

static void labelled_opposites_are_blocked_and_rewrites_pass(void **state)
{
    (void)state;
    FILE *file = labelled_pairs_open();
    if (file == NULL) {
        print_message("the labelled pairs are not here: set REPRISE_DATA to run this test\n");
        skip();
    }
    char line[8192];
    struct tally kinds[16] = {0}, same = {"same", 0, 0}, opposite = {"opposite", 0, 0};
    assert_non_null(fgets(line, sizeof(line), file)); /* the heading */
    while (fgets(line, sizeof(line), file) != NULL) {
        char *rest = line;
        const char *label = strsep(&rest, "\t"), *kind = strsep(&rest, "\t");
        const char *a = strsep(&rest, "\t"), *b = strsep(&rest, "\n");
        assert_non_null(b);
        int blocked = check(a, b) != 0;
        struct tally *tally = tally_of(kinds, kind), *sum = *label == '1' ? &same : &opposite;
        tally->pairs++;
        tally->blocked += blocked;
        sum->pairs++;
        sum->blocked += blocked;
    }
    (void)fclose(file);
    for (size_t i = 0; i < 16 && kinds[i].pairs > 0; i++)
        tally_print(&kinds[i]);
    tally_print(&opposite);
    tally_print(&same);
    assert_true(opposite.pairs > 0);
    assert_true(same.pairs > 0);
    assert_true(opposite.blocked * 100 >= opposite.pairs * 98);
    assert_true(same.blocked * 100 <= same.pairs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hand_written_pairs_are_judged_rightly),
        cmocka_unit_test(only_the_rules_asked_for_count),
        cmocka_unit_test(a_pair_is_split_only_if_each_holds_one_side_alone),
        cmocka_unit_test(two_negations_cancel_out),
        cmocka_unit_test(parity_survives_many_negations),
        cmocka_unit_test(numbers_are_a_set),
        cmocka_unit_test(many_numbers_are_a_set_too),
        cmocka_unit_test(a_minus_sign_stands_behind_a_space),
        cmocka_unit_test(a_sentence_turned_round_is_lost_with_the_opposites),
        cmocka_unit_test(a_name_must_be_lacking_on_both_sides),
        cmocka_unit_test(a_capital_that_begins_a_sentence_is_no_name),
        cmocka_unit_test(five_names_make_the_rule_abstain),
        cmocka_unit_test(a_shouted_text_has_no_names),
        cmocka_unit_test(what_is_not_used_is_zero),
        cmocka_unit_test(a_signature_stays_what_it_was),
        cmocka_unit_test(labelled_opposites_are_blocked_and_rewrites_pass),
    };
    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
