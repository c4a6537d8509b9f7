/*
 * Goal: thresholds mean what they say, the guard cannot be skipped, requests only tighten, and the
 * ring counts under every policy. Method: signatures with a chosen difference, made by hand;
 * threads that decide while others label.
 */
#include "tests/support/unit.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "trust/policy.h"

static const struct guard_signature clean = {.words = 3};
static const struct guard_signature numbers = {.words = 3, .numbers = 7};
static const struct guard_signature negated = {.words = 3, .negations = 1};
static const struct guard_signature named = {.words = 3, .names = {5}, .names_count = 1};
static const struct guard_signature named_otherwise = {.words = 3, .names = {6}, .names_count = 1};

static struct policy_settings unset(enum policy_mode mode)
{
    return (struct policy_settings){mode, NAN, NAN, NAN, NAN, NAN, NAN, GUARD_ALL};
}

static struct policy_scope *scope_of(const struct policy_settings *settings, float threshold)
{
    struct policy_scope *scope = NULL;
    assert_int_equal(policy_scope_create(settings, threshold, &scope), STATUS_OK);
    return scope;
}

static struct policy_scope *scope_in(enum policy_mode mode, float threshold)
{
    struct policy_settings settings = unset(mode);
    return scope_of(&settings, threshold);
}

static struct policy_view view_of(struct policy_scope *scope)
{
    struct policy_view view;
    policy_scope_view(scope, &view);
    return view;
}

static struct decision decide_one(struct policy_scope *scope, float similarity)
{
    struct candidate candidate = {similarity, &clean};
    return policy_decide(scope, &clean, &candidate, 1, 0, 0);
}

static void static_serves_from_the_embedders_threshold_on(void **state)
{
    (void)state;
    struct policy_scope *scope = scope_in(POLICY_STATIC, 0.90f);
    struct decision decision = decide_one(scope, 0.90f);
    assert_int_equal(decision.verdict, POLICY_SERVE);
    assert_int_equal(decision.chosen, 0);
    assert_true(decision.threshold == 0.90f);
    assert_int_equal(decision.guards, 0);
    assert_int_equal(decide_one(scope, 0.8999f).verdict, POLICY_BELOW_CUT);
    policy_scope_destroy(&scope);
    assert_null(scope);
    policy_scope_destroy(&scope);
}

static void a_static_threshold_of_the_operator_wins(void **state)
{
    (void)state;
    struct policy_settings settings = unset(POLICY_STATIC);
    settings.static_threshold = 0.87654f;
    struct policy_scope *scope = scope_of(&settings, 0.90f);
    assert_true(view_of(scope).threshold == 0.87654f);
    assert_int_equal(decide_one(scope, 0.8766f).verdict, POLICY_SERVE);
    assert_int_equal(decide_one(scope, 0.8765f).verdict, POLICY_BELOW_CUT);
    policy_scope_destroy(&scope);
}

static void zero_and_one_are_thresholds_like_others(void **state)
{
    (void)state;
    struct policy_settings settings = unset(POLICY_STATIC);
    settings.static_threshold = 0;
    struct policy_scope *scope = scope_of(&settings, 0.90f);
    assert_int_equal(decide_one(scope, 0.0f).verdict, POLICY_SERVE);
    assert_true(decide_one(scope, 0.0f).threshold == 0);
    policy_scope_destroy(&scope);
    settings.static_threshold = 1;
    scope = scope_of(&settings, 0.90f);
    assert_int_equal(decide_one(scope, 0.9999f).verdict, POLICY_BELOW_CUT);
    assert_int_equal(decide_one(scope, 1.0f).verdict, POLICY_SERVE);
    policy_scope_destroy(&scope);
}

static void even_threshold_zero_does_not_skip_floor_and_guard(void **state)
{
    (void)state;
    struct policy_settings settings = unset(POLICY_STATIC);
    settings.static_threshold = 0;
    struct policy_scope *scope = scope_of(&settings, 0.90f);
    struct candidate candidates[] = {{0.99f, &negated}, {0.39f, &clean}};
    struct decision decision = policy_decide(scope, &clean, candidates, 2, 0.40f, 0);
    assert_int_equal(decision.verdict, POLICY_GUARD_BLOCKED);
    assert_int_equal(decision.guards, GUARD_NEGATION);
    decision = policy_decide(scope, &clean, candidates + 1, 1, 0.40f, 0);
    assert_int_equal(decision.verdict, POLICY_NO_CANDIDATE);
    policy_scope_destroy(&scope);
}

static void a_floor_of_the_operator_stands_for_the_embedders(void **state)
{
    (void)state;
    struct policy_settings settings = unset(POLICY_STATIC);
    settings.static_threshold = 0.5f;
    struct policy_scope *scope = scope_of(&settings, 0.90f);
    struct candidate candidate = {0.6f, &clean};
    assert_int_equal(policy_decide(scope, &clean, &candidate, 1, 0.7f, 0).verdict,
                     POLICY_NO_CANDIDATE);
    settings.min_similarity = 0.6f; /* below the embedder's */
    policy_scope_configure(scope, &settings);
    assert_true(view_of(scope).min_similarity == 0.6f);
    assert_int_equal(policy_decide(scope, &clean, &candidate, 1, 0.7f, 0).verdict, POLICY_SERVE);
    settings.min_similarity = 0.61f; /* above it, and above the threshold */
    policy_scope_configure(scope, &settings);
    assert_int_equal(policy_decide(scope, &clean, &candidate, 1, 0, 0).verdict,
                     POLICY_NO_CANDIDATE);
    settings.min_similarity = 0; /* a floor like others: none */
    policy_scope_configure(scope, &settings);
    assert_int_equal(policy_decide(scope, &clean, &candidate, 1, 0.7f, 0).verdict, POLICY_SERVE);
    policy_scope_destroy(&scope);
}

static void verdicts_lower_the_cut_below_the_floor_and_what_serves_stays_above(void **state)
{
    (void)state;
    struct policy_settings settings = unset(POLICY_ADAPTIVE);
    settings.min_similarity = 0.88f;
    struct policy_scope *scope = scope_of(&settings, 0.90f);
    for (int i = 0; i < 30; i++)
        policy_label(scope, true);
    assert_true(fabsf(view_of(scope).threshold - 0.85f) < 1e-6f);
    assert_int_equal(decide_one(scope, 0.88f).verdict, POLICY_SERVE);
    assert_int_equal(decide_one(scope, 0.87f).verdict, POLICY_NO_CANDIDATE);
    const struct policy_terms terms = policy_settings_terms(&settings, 0.80f);
    const struct candidate candidate = {0.87f, &clean};
    assert_int_equal(policy_decide_by(&terms, &clean, &candidate, 1, 0, 0).verdict,
                     POLICY_NO_CANDIDATE);
    policy_scope_destroy(&scope);
}

static void off_serves_nothing(void **state)
{
    (void)state;
    struct policy_scope *scope = scope_in(POLICY_OFF, 0.90f);
    assert_int_equal(decide_one(scope, 1.0f).verdict, POLICY_NO_CANDIDATE);
    policy_scope_destroy(&scope);
}

static void a_request_may_tighten_and_never_loosen(void **state)
{
    (void)state;
    struct policy_scope *scope = scope_in(POLICY_STATIC, 0.90f);
    struct candidate candidate = {0.93f, &clean};
    struct decision decision = policy_decide(scope, &clean, &candidate, 1, 0, 0.95f);
    assert_int_equal(decision.verdict, POLICY_BELOW_CUT);
    assert_true(decision.threshold == 0.95f);
    candidate.similarity = 0.80f;
    decision = policy_decide(scope, &clean, &candidate, 1, 0, 0.50f);
    assert_int_equal(decision.verdict, POLICY_BELOW_CUT);
    assert_true(decision.threshold == 0.90f);
    candidate.similarity = 0.93f;
    assert_int_equal(policy_decide(scope, &clean, &candidate, 1, 0, NAN).verdict, POLICY_SERVE);
    policy_scope_destroy(&scope);
}

static void a_blocked_candidate_gives_way_to_the_next(void **state)
{
    (void)state;
    struct policy_scope *scope = scope_in(POLICY_STATIC, 0.90f);
    struct candidate candidates[] = {{0.98f, &numbers}, {0.96f, &negated}, {0.94f, &clean}};
    struct decision decision = policy_decide(scope, &clean, candidates, 3, 0, 0);
    assert_int_equal(decision.verdict, POLICY_SERVE);
    assert_int_equal(decision.chosen, 2);
    assert_int_equal(decision.guards, GUARD_NUMBER | GUARD_NEGATION);
    policy_scope_destroy(&scope);
}

static void after_three_blocked_ones_it_is_a_miss(void **state)
{
    (void)state;
    struct policy_scope *scope = scope_in(POLICY_STATIC, 0.90f);
    struct candidate candidates[] = {
        {0.98f, &numbers}, {0.97f, &negated}, {0.96f, &numbers}, {0.95f, &clean}};
    struct decision decision = policy_decide(scope, &clean, candidates, 4, 0, 0);
    assert_int_equal(decision.verdict, POLICY_GUARD_BLOCKED);
    assert_int_equal(decision.chosen, 0);
    assert_int_equal(decision.guards, GUARD_NUMBER);
    policy_scope_destroy(&scope);
}

static void a_clean_one_below_the_threshold_does_not_stand_in(void **state)
{
    (void)state;
    struct policy_scope *scope = scope_in(POLICY_STATIC, 0.90f);
    struct candidate candidates[] = {{0.98f, &numbers}, {0.89f, &clean}};
    struct decision decision = policy_decide(scope, &clean, candidates, 2, 0, 0);
    assert_int_equal(decision.verdict, POLICY_GUARD_BLOCKED);
    assert_int_equal(decision.chosen, 0);
    policy_scope_destroy(&scope);
}

static void without_candidates_there_is_none(void **state)
{
    (void)state;
    struct policy_scope *scope = scope_in(POLICY_STATIC, 0.90f);
    struct decision decision = policy_decide(scope, &clean, NULL, 0, 0.4f, 0);
    assert_int_equal(decision.verdict, POLICY_NO_CANDIDATE);
    assert_true(decision.threshold == 0.90f);
    policy_scope_destroy(&scope);
}

static void the_names_rule_can_be_turned_off(void **state)
{
    (void)state;
    struct policy_settings settings = unset(POLICY_STATIC);
    struct candidate candidate = {0.99f, &named};
    struct policy_scope *scope = scope_of(&settings, 0.90f);
    assert_int_equal(policy_decide(scope, &named_otherwise, &candidate, 1, 0, 0).verdict,
                     POLICY_GUARD_BLOCKED);
    policy_scope_destroy(&scope);
    settings.guard_rules = (unsigned)GUARD_ALL & ~(unsigned)GUARD_NAMES;
    scope = scope_of(&settings, 0.90f);
    assert_int_equal(policy_decide(scope, &named_otherwise, &candidate, 1, 0, 0).verdict,
                     POLICY_SERVE);
    policy_scope_destroy(&scope);
}

static void verdicts_are_counted_under_every_policy_but_move_one(void **state)
{
    (void)state;
    static const enum policy_mode modes[] = {POLICY_OFF, POLICY_STATIC, POLICY_ADAPTIVE};
    static const float after[] = {0.90f, 0.90f, 0.94f};
    for (size_t i = 0; i < 3; i++) {
        struct policy_scope *scope = scope_in(modes[i], 0.90f);
        for (int j = 0; j < 120; j++)
            policy_label(scope, j % 4 != 0);
        struct policy_view view = view_of(scope);
        assert_int_equal(view.mode, modes[i]);
        assert_int_equal(view.feedback_count, 100);
        assert_int_equal(view.feedback_right, 75);
        assert_true(view.threshold == after[i]);
        policy_scope_destroy(&scope);
    }
}

struct vector {
    float threshold, lowest;
    float raised[4];
};

static const struct vector vectors[] = {
    {0.95f, 0.90f, {0.96f, 0.97f, 0.98f, 0.99f}},
    {0.90f, 0.85f, {0.91f, 0.92f, 0.93f, 0.94f}},
    {0.97f, 0.92f, {0.98f, 0.99f, 0.99f, 0.99f}},
};

static void adaptive_limits_follow_the_embedders_threshold(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct policy_scope *scope = scope_in(POLICY_ADAPTIVE, vectors[i].threshold);
        assert_true(view_of(scope).threshold == vectors[i].threshold);
        for (int j = 0; j < 14; j++)
            policy_label(scope, true);
        assert_true(view_of(scope).threshold == vectors[i].lowest);
        assert_int_equal(decide_one(scope, vectors[i].lowest).verdict, POLICY_SERVE);
        policy_scope_destroy(&scope);

        scope = scope_in(POLICY_ADAPTIVE, vectors[i].threshold);
        for (int j = 0; j < 9; j++)
            policy_label(scope, j != 4);
        assert_true(view_of(scope).threshold == vectors[i].threshold);
        for (int j = 0; j < 4; j++) {
            policy_label(scope, true);
            assert_true(view_of(scope).threshold == vectors[i].raised[j]);
        }
        policy_scope_destroy(&scope);
    }
}

static float live_after(const struct policy_settings *settings, float threshold, bool right)
{
    struct policy_scope *scope = scope_of(settings, threshold);
    for (int i = 0; i < 200; i++)
        policy_label(scope, right);
    float live = view_of(scope).threshold;
    policy_scope_destroy(&scope);
    return live;
}

static void unset_limits_give_way_to_set_ones(void **state)
{
    (void)state;
    struct policy_settings settings = unset(POLICY_ADAPTIVE);
    settings.adaptive_initial = 0.50f; /* below t - 0.05 */
    assert_true(live_after(&settings, 0.90f, true) == 0.50f);
    assert_true(live_after(&settings, 0.90f, false) == 0.94f);
    settings = unset(POLICY_ADAPTIVE);
    settings.adaptive_max = 0.80f; /* below t - 0.05: nothing is left to move in */
    assert_true(live_after(&settings, 0.90f, true) == 0.80f);
    assert_true(live_after(&settings, 0.90f, false) == 0.80f);
    settings = unset(POLICY_ADAPTIVE);
    settings.adaptive_min = 0.995f; /* above the ceiling of an unset max */
    assert_true(live_after(&settings, 0.90f, false) == 0.995f);
    settings = unset(POLICY_ADAPTIVE);
    settings.adaptive_min = 0;
    settings.adaptive_max = 1;
    assert_true(live_after(&settings, 0.90f, true) == 0);
    assert_true(live_after(&settings, 0.90f, false) == 1);
}

static void extreme_embedders_get_limits_in_order(void **state)
{
    (void)state;
    struct policy_settings settings = unset(POLICY_ADAPTIVE);
    assert_true(live_after(&settings, 1.0f, false) == 0.99f);
    assert_true(live_after(&settings, 1.0f, true) == 0.95f);
    assert_true(live_after(&settings, 0.0f, true) == 0);
    assert_true(live_after(&settings, 0.0f, false) == 0.04f);
}

static struct options *options_with(const char *const *flags, int count)
{
    struct option_table table = {policy_option_rows, policy_option_rows_count};
    struct options *options = NULL;
    assert_int_equal(options_create(&table, 1, &options), STATUS_OK);
    char *arguments[9] = {(char *)"test"};
    for (int i = 0; i < count; i++)
        arguments[i + 1] = (char *)flags[i];
    assert_int_equal(options_read_flags(options, count + 1, arguments, stderr), STATUS_OK);
    return options;
}

static void untouched_options_leave_everything_to_the_embedder(void **state)
{
    (void)state;
    struct options *options = options_with(NULL, 0);
    struct policy_settings settings;
    assert_int_equal(policy_settings_read(options, &settings, NULL), STATUS_OK);
    assert_int_equal(settings.mode, POLICY_STATIC);
    assert_true(isnan(settings.min_similarity));
    assert_true(isnan(settings.static_threshold));
    assert_true(isnan(settings.adaptive_initial));
    assert_true(isnan(settings.adaptive_min));
    assert_true(isnan(settings.adaptive_max));
    assert_true(settings.adaptive_step == 0.01f);
    assert_int_equal(settings.guard_rules, GUARD_ALL);
    options_destroy(&options);
}

static void options_reach_the_settings(void **state)
{
    (void)state;
    static const char *const flags[] = {"--semantic-policy=adaptive",
                                        "--semantic-static-threshold=0",
                                        "--adaptive-initial=0.8",
                                        "--adaptive-min=0.7",
                                        "--adaptive-max=0.9",
                                        "--adaptive-step=0.05",
                                        "--semantic-min-similarity=0.6",
                                        "--no-guard-names"};
    struct options *options = options_with(flags, 8);
    struct policy_settings settings;
    assert_int_equal(policy_settings_read(options, &settings, NULL), STATUS_OK);
    assert_int_equal(settings.mode, POLICY_ADAPTIVE);
    assert_true(settings.static_threshold == 0.0f);
    assert_true(settings.adaptive_initial == 0.8f);
    assert_true(settings.adaptive_min == 0.7f);
    assert_true(settings.adaptive_max == 0.9f);
    assert_true(settings.adaptive_step == 0.05f);
    assert_true(settings.min_similarity == 0.6f);
    assert_int_equal(settings.guard_rules, (unsigned)GUARD_ALL & ~(unsigned)GUARD_NAMES);
    options_destroy(&options);
}

static void limits_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"--adaptive-initial=0.95", "--adaptive-max=0.9"},
                                          {"--adaptive-initial=0.5", "--adaptive-min=0.6"},
                                          {"--adaptive-min=0.9", "--adaptive-max=0.8"}};
    for (size_t i = 0; i < 3; i++) {
        struct options *options = options_with(rows[i], 2);
        struct policy_settings settings;
        struct failure failure = {0};
        assert_int_equal(policy_settings_read(options, &settings, &failure), STATUS_BAD_OPTION);
        assert_int_equal(failure.status, STATUS_BAD_OPTION);
        assert_non_null(strstr(failure.field, "adaptive."));
        assert_true(failure.message[0] != '\0');
        options_destroy(&options);
    }
}

enum { DECISIONS = 20000, VERDICTS = 5000 };

static void *decide_many(void *argument)
{
    struct policy_scope *scope = argument;
    for (int i = 0; i < DECISIONS; i++) {
        struct decision decision = decide_one(scope, 0.92f);
        bool is_served = decision.verdict == POLICY_SERVE;
        if (is_served != (decision.threshold <= 0.92f))
            return scope;
        if (decision.threshold < 0.85f || decision.threshold > 0.94f)
            return scope;
    }
    return NULL;
}

static void *label_many(void *argument)
{
    for (int i = 0; i < VERDICTS; i++)
        policy_label(argument, i / 200 % 2 == 0);
    return NULL;
}

static void deciding_and_labelling_run_side_by_side(void **state)
{
    (void)state;
    struct policy_scope *scope = scope_in(POLICY_ADAPTIVE, 0.90f);
    pthread_t threads[6];
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i < 4 ? decide_many : label_many, scope),
                         0);
    for (size_t i = 0; i < 6; i++) {
        void *failed = scope;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(view_of(scope).feedback_count, 100);
    policy_scope_destroy(&scope);
}

static void a_scope_goes_on_where_another_stopped(void **state)
{
    (void)state;
    struct policy_scope *before = scope_in(POLICY_ADAPTIVE, 0.90f);
    struct policy_scope *after = scope_in(POLICY_ADAPTIVE, 0.90f);
    for (int i = 0; i < 130; i++) /* more than the ring holds, so that its end is not its start */
        policy_label(before, i % 7 != 0);
    struct policy_memory memory;
    policy_scope_memory(before, &memory);
    policy_label(after, true); /* forgotten */
    policy_scope_remember(after, &memory);
    assert_true(view_of(after).threshold == view_of(before).threshold);
    assert_int_equal(view_of(after).feedback_count, 100);
    assert_int_equal(view_of(after).feedback_right, view_of(before).feedback_right);
    for (int i = 0; i < 100; i++) { /* each pushes out the same verdict in both */
        policy_label(before, true);
        policy_label(after, true);
        assert_int_equal(view_of(after).feedback_right, view_of(before).feedback_right);
        assert_true(view_of(after).threshold == view_of(before).threshold);
    }
    policy_scope_destroy(&before);
    policy_scope_destroy(&after);
}

static void a_remembered_cut_keeps_within_todays_limits(void **state)
{
    (void)state;
    struct policy_settings settings = unset(POLICY_ADAPTIVE);
    settings.adaptive_initial = 0.8f;
    settings.adaptive_min = 0.7f;
    settings.adaptive_max = 0.85f;
    struct policy_scope *scope = scope_of(&settings, 0.90f);
    policy_scope_remember(scope, &(struct policy_memory){.cut = 9900});
    assert_true(fabsf(view_of(scope).threshold - 0.85f) < 1e-6f);
    policy_scope_remember(scope, &(struct policy_memory){.cut = 0});
    assert_true(fabsf(view_of(scope).threshold - 0.70f) < 1e-6f);
    policy_scope_destroy(&scope);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(static_serves_from_the_embedders_threshold_on),
        cmocka_unit_test(a_static_threshold_of_the_operator_wins),
        cmocka_unit_test(zero_and_one_are_thresholds_like_others),
        cmocka_unit_test(even_threshold_zero_does_not_skip_floor_and_guard),
        cmocka_unit_test(a_floor_of_the_operator_stands_for_the_embedders),
        cmocka_unit_test(verdicts_lower_the_cut_below_the_floor_and_what_serves_stays_above),
        cmocka_unit_test(off_serves_nothing),
        cmocka_unit_test(a_request_may_tighten_and_never_loosen),
        cmocka_unit_test(a_blocked_candidate_gives_way_to_the_next),
        cmocka_unit_test(after_three_blocked_ones_it_is_a_miss),
        cmocka_unit_test(a_clean_one_below_the_threshold_does_not_stand_in),
        cmocka_unit_test(without_candidates_there_is_none),
        cmocka_unit_test(the_names_rule_can_be_turned_off),
        cmocka_unit_test(verdicts_are_counted_under_every_policy_but_move_one),
        cmocka_unit_test(adaptive_limits_follow_the_embedders_threshold),
        cmocka_unit_test(unset_limits_give_way_to_set_ones),
        cmocka_unit_test(extreme_embedders_get_limits_in_order),
        cmocka_unit_test(untouched_options_leave_everything_to_the_embedder),
        cmocka_unit_test(options_reach_the_settings),
        cmocka_unit_test(limits_that_contradict_each_other_are_refused),
        cmocka_unit_test(deciding_and_labelling_run_side_by_side),
        cmocka_unit_test(a_scope_goes_on_where_another_stopped),
        cmocka_unit_test(a_remembered_cut_keeps_within_todays_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
