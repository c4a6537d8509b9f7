/*
 * Goal (calibrate.c): labelled pairs are compared as a Get would compare them, all of a batch count
 * or none does, and what cannot be compared is named. Method: client vectors at known angles, and
 * the lexical embedder.
 */
#include "tests/unit/cache/world.h"

#include "cache/calibrate.h"

static void begin(struct world *world, struct cache_calibration *calibration)
{
    const struct cache_policy_scope scope = {.tenant = TEXT("")};
    world_forget(world);
    assert_int_equal(
        cache_calibrate_begin(world->cache, &scope, 0.02, calibration, &world->failure), STATUS_OK);
}

static enum status add(struct world *world, struct cache_calibration *calibration,
                       const struct cache_pair *pairs, size_t count)
{
    struct cache_pairs batch;
    enum cache_step step = CACHE_DONE;
    world_forget(world);
    const enum status status = cache_calibrate_check(world->cache, calibration, pairs, count,
                                                     world->arena, &batch, &step, &world->failure);
    if (status != STATUS_OK)
        return status;
    assert_int_equal(step, CACHE_NEEDS_COMPUTE);
    return cache_calibrate_add(world->cache, calibration, &batch, world->arena, &world->failure);
}

static struct cache_pair of_texts(const char *a, const char *b, bool same)
{
    return (struct cache_pair){.prompts = {text_of(a), text_of(b)}, .same = same};
}

static struct cache_pair of_vectors(const struct vector *a, const struct vector *b, bool same)
{
    return (struct cache_pair){
        .vectors = {a->at, b->at}, .dimensions = {DIMENSION, DIMENSION}, .same = same};
}

static uint64_t hits_at(const struct cache_calibration *calibration, int percent)
{
    return curve_point(&calibration->curve, (size_t)(percent - CURVE_FIRST_PERCENT)).hits;
}

static void vectors_are_compared_by_their_cosine_whatever_their_length(void **state)
{
    struct world *world = *state;
    struct cache_calibration calibration;
    const struct vector east = angle(0), near = angle(0.5), long_east = {{7, 0, 0, 0}};
    const struct cache_pair pairs[] = {of_vectors(&east, &near, true), /* cosine 0.878 */
                                       of_vectors(&long_east, &east, false)};
    begin(world, &calibration);
    assert_int_equal(add(world, &calibration, pairs, 2), STATUS_OK);
    assert_int_equal(hits_at(&calibration, 87), 2);
    assert_int_equal(hits_at(&calibration, 88), 1);
    assert_int_equal(hits_at(&calibration, 99), 1);
    assert_int_equal(calibration.curve.same, 1);
    assert_true(fabsf(cache_calibrate_threshold(&calibration) - 0.95F) < 1e-6F);
}

static void what_lies_below_the_floor_of_the_namespace_is_no_hit(void **state)
{
    struct world *world = *state;
    struct cache_calibration calibration;
    struct cache_namespace_view view;
    struct cache_namespace_change change = {.name = TEXT("default"),
                                            .fields = NAMESPACE_POLICY,
                                            .settings = cache_namespace_settings_none};
    const struct vector east = angle(0), near = angle(0.5); /* cosine 0.878 */
    const struct cache_pair pairs[] = {of_vectors(&east, &near, true),
                                       of_vectors(&east, &east, true)};
    change.settings.policy.min_similarity = 0.9F;
    assert_int_equal(
        cache_update_namespace(world->cache, &change, world->arena, NULL, &view, &world->failure),
        STATUS_OK);
    begin(world, &calibration);
    assert_int_equal(add(world, &calibration, pairs, 2), STATUS_OK);
    assert_int_equal(hits_at(&calibration, 50), 1);
    assert_int_equal(stats_of(world, "").calibrated_pairs, 2);
}

static void texts_go_through_embedder_and_guard(void **state)
{
    struct world *world = *state;
    struct cache_calibration calibration;
    const struct cache_pair pairs[] = {
        of_texts("how do i reset my password", "how do i reset my password", true),
        of_texts("turn on the dark mode", "turn off the dark mode", false),
        of_texts("how do i reset my password", "weather tomorrow", false),
    };
    begin(world, &calibration);
    assert_int_equal(add(world, &calibration, pairs, 3), STATUS_OK);
    assert_int_equal(calibration.curve.pairs, 3);
    assert_int_equal(calibration.curve.guard_blocked, 1);
    assert_int_equal(hits_at(&calibration, 99), 1);
    assert_int_equal(hits_at(&calibration, 50), 1);
    assert_string_equal(calibration.space.name, "lexical");
    assert_true(cache_calibrate_threshold(&calibration) == calibration.space.threshold_default);
}

static void a_text_without_a_vector_is_no_hit(void **state)
{
    struct world *world = *state;
    struct cache_calibration calibration;
    const struct cache_pair pairs[] = {of_texts("???", "???", true),
                                       of_texts("word", "word", true)};
    begin(world, &calibration);
    assert_int_equal(add(world, &calibration, pairs, 2), STATUS_OK);
    assert_int_equal(calibration.without_vector, 1);
    assert_int_equal(calibration.curve.pairs, 2);
    assert_int_equal(hits_at(&calibration, 50), 1);
}

static void batches_add_up_and_nothing_of_a_bad_one_counts(void **state)
{
    struct world *world = *state;
    struct cache_calibration calibration;
    const struct vector east = angle(0), zero = {{0, 0, 0, 0}};
    const struct cache_pair good[] = {of_vectors(&east, &east, true)};
    const struct cache_pair bad[] = {good[0], of_vectors(&east, &zero, true)};
    begin(world, &calibration);
    assert_int_equal(add(world, &calibration, good, 1), STATUS_OK);
    assert_failed(world, add(world, &calibration, bad, 2), STATUS_BAD_VECTOR, "pairs[1].vectors");
    assert_int_equal(add(world, &calibration, good, 1), STATUS_OK);
    assert_int_equal(add(world, &calibration, good, 0), STATUS_OK);
    assert_int_equal(calibration.curve.pairs, 2);
}

static void all_pairs_bring_vectors_of_one_length_or_none_does(void **state)
{
    struct world *world = *state;
    struct cache_calibration calibration;
    const struct vector east = angle(0);
    const struct cache_pair vectors = of_vectors(&east, &east, true),
                            texts = of_texts("a", "b", true);
    struct cache_pair shorter = vectors;
    shorter.dimensions[1] = 3;
    begin(world, &calibration);
    assert_failed(world, add(world, &calibration, &shorter, 1), STATUS_DIM_MISMATCH,
                  "pairs[0].vectors");
    begin(world, &calibration);
    assert_int_equal(add(world, &calibration, &vectors, 1), STATUS_OK);
    assert_failed(world, add(world, &calibration, &texts, 1), STATUS_AMBIGUOUS_INPUT,
                  "pairs[0].vectors");
    begin(world, &calibration);
    assert_int_equal(add(world, &calibration, &texts, 1), STATUS_OK);
    assert_failed(world, add(world, &calibration, &vectors, 1), STATUS_AMBIGUOUS_INPUT,
                  "pairs[0].vectors");
}

static void what_is_missing_or_too_long_is_named(void **state)
{
    struct world *world = *state;
    struct cache_calibration calibration;
    static char long_text[1200];
    memset(long_text, 'a', sizeof(long_text) - 1);
    const struct cache_pair empty = of_texts("a", "", true),
                            longer = of_texts("a", long_text, true);
    begin(world, &calibration);
    assert_failed(world, add(world, &calibration, &empty, 1), STATUS_EMPTY_PROMPT,
                  "pairs[0].prompt_b");
    assert_failed(world, add(world, &calibration, &longer, 1), STATUS_LIMIT_EXCEEDED,
                  "pairs[0].prompt_b");
    const struct cache_policy_scope named = {.embedder = TEXT("mine")};
    const struct cache_pair texts = of_texts("a", "b", true);
    assert_int_equal(
        cache_calibrate_begin(world->cache, &named, 0.02, &calibration, &world->failure),
        STATUS_OK);
    assert_failed(world, add(world, &calibration, &texts, 1), STATUS_BAD_VECTOR,
                  "pairs[0].vectors");
}

static void more_pairs_than_the_limit_are_refused(void **state)
{
    struct world *world = *state;
    struct cache_calibration calibration;
    const struct vector east = angle(0);
    const struct cache_pair pairs[] = {of_vectors(&east, &east, true),
                                       of_vectors(&east, &east, true)};
    begin(world, &calibration);
    assert_int_equal(add(world, &calibration, pairs, 2), STATUS_OK);
    assert_failed(world, add(world, &calibration, pairs, 2), STATUS_LIMIT_EXCEEDED, "pairs");
    assert_int_equal(add(world, &calibration, pairs, 1), STATUS_OK);
}

static void a_bound_that_is_none_is_refused(void **state)
{
    struct world *world = *state;
    struct cache_calibration calibration;
    const struct cache_policy_scope all = {.tenant = TEXT("")}, model = {.model = TEXT("m")};
    const double bounds[] = {0, 1, -0.1, (double)NAN, (double)INFINITY};
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++)
        assert_failed(
            world,
            cache_calibrate_begin(world->cache, &all, bounds[i], &calibration, &world->failure),
            STATUS_LIMIT_EXCEEDED, "error_max");
    assert_failed(world,
                  cache_calibrate_begin(world->cache, &model, 0.02, &calibration, &world->failure),
                  STATUS_LIMIT_EXCEEDED, "scope.model");
}

static int small_world(void **state)
{
    static const char *const flags[] = {"--limits-calibrate=3", "--limits-prompt=1KiB"};
    *state = world_create(2, flags);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, small_world, world_destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(vectors_are_compared_by_their_cosine_whatever_their_length),
        TEST(what_lies_below_the_floor_of_the_namespace_is_no_hit),
        TEST(texts_go_through_embedder_and_guard),
        TEST(a_text_without_a_vector_is_no_hit),
        TEST(batches_add_up_and_nothing_of_a_bad_one_counts),
        TEST(all_pairs_bring_vectors_of_one_length_or_none_does),
        TEST(what_is_missing_or_too_long_is_named),
        TEST(more_pairs_than_the_limit_are_refused),
        TEST(a_bound_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
