/*
 * Goal: Search finds the neighbours of a question in its scope, best first, each once, and leaves
 * no trace. Covers search.c and neighbours.c. Method: client vectors at known angles, the clock
 * turned by hand, counters compared before and after.
 */
#include "tests/unit/cache/world.h"

#include "cache/parts.h"
#include "cache/search.h"

struct looking {
    struct world *world;
    struct cache_search_request request;
    struct cache_search search;
};

static enum status look(struct looking *looking)
{
    struct world *world = looking->world;
    enum cache_step step = CACHE_DONE;
    world->failure = (struct failure){0};
    enum status status = cache_search_begin(world->cache, &looking->request, world->arena,
                                            &looking->search, &step, &world->failure);
    if (status != STATUS_OK)
        return status;
    assert_int_equal(step, CACHE_NEEDS_COMPUTE);
    return cache_search_finish(world->cache, &looking->search, STATUS_OK, world->now_ms,
                               &world->failure);
}

static struct looking around(struct world *world, const struct vector *vector)
{
    world_forget(world);
    return (struct looking){
        .world = world,
        .request = {.identity = of("a question"), .vector = vector->at, .dimension = DIMENSION}};
}

/* As many as `count`, numbered by their angle in tenths. */
static void fill(struct world *world, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char prompt[32];
        const struct vector vector = angle(0.1 * (double)i);
        (void)snprintf(prompt, sizeof(prompt), "question %c", (char)('a' + i));
        (void)set(world, of(prompt), &vector, "answer");
    }
}

static void the_nearest_come_first_and_no_more_than_asked_for(void **state)
{
    struct world *world = *state;
    fill(world, 12);
    const struct vector vector = angle(0);
    struct looking looking = around(world, &vector);
    looking.request.top_k = 3;
    assert_int_equal(look(&looking), STATUS_OK);
    assert_int_equal(looking.search.found_count, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct cache_found *found = &looking.search.found[i];
        assert_true(fabs((double)found->similarity - cos(0.1 * (double)i)) < 1e-5);
        assert_int_equal(entry_prompt(found->entry).bytes[9], 'a' + (int)i);
        assert_true(found->compatible);
    }
    cache_search_release(&looking.search);
    looking.request.top_k = 0;
    assert_int_equal(look(&looking), STATUS_OK);
    assert_int_equal(looking.search.found_count, CACHE_TOP_K);
    cache_search_release(&looking.search);
}

static void nothing_below_the_asked_similarity_is_found(void **state)
{
    struct world *world = *state;
    fill(world, 6);
    const struct vector vector = angle(0);
    struct looking looking = around(world, &vector);
    looking.request.min_similarity = (float)cos(0.25);
    assert_int_equal(look(&looking), STATUS_OK);
    assert_int_equal(looking.search.found_count, 3);
    cache_search_release(&looking.search);
}

static void other_system_prompts_are_found_only_when_asked_for(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0.1), query = angle(0);
    struct identity other = of("another");
    other.system_prompt = TEXT("Be brief.");
    (void)set(world, other, &vector, "brief");
    struct looking looking = around(world, &query);
    assert_int_equal(look(&looking), STATUS_OK);
    assert_int_equal(looking.search.found_count, 0);
    looking.request.any_compatibility = true;
    assert_int_equal(look(&looking), STATUS_OK);
    assert_int_equal(looking.search.found_count, 1);
    assert_false(looking.search.found[0].compatible);
    cache_search_release(&looking.search);
}

static void another_scope_and_another_tenant_are_never_seen(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0);
    struct identity elsewhere = of("a"), theirs = of("b");
    elsewhere.namespace_ = TEXT("elsewhere");
    theirs.tenant = TEXT("them");
    (void)set(world, elsewhere, &vector, "x");
    (void)set(world, theirs, &vector, "y");
    struct looking looking = around(world, &vector);
    looking.request.any_compatibility = true;
    assert_int_equal(look(&looking), STATUS_OK);
    assert_int_equal(looking.search.found_count, 0);
}

static void what_has_expired_is_not_found(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0);
    const struct cache_set_request request = {.identity = of("short-lived"),
                                              .vector = vector.at,
                                              .dimension = DIMENSION,
                                              .content = TEXT("x"),
                                              .ttl_given = true,
                                              .ttl_ms = 1000};
    assert_int_equal(set_request(world, &request), STATUS_OK);
    struct looking looking = around(world, &vector);
    looking.request.exhaustive = true;
    assert_int_equal(look(&looking), STATUS_OK);
    assert_int_equal(looking.search.found_count, 1);
    assert_int_equal(looking.search.scanned, 1);
    cache_search_release(&looking.search);
    world->now_ms += 1000;
    assert_int_equal(look(&looking), STATUS_OK);
    assert_int_equal(looking.search.found_count, 0);
}

static void a_replaced_entry_is_found_once(void **state)
{
    struct world *world = *state;
    const struct vector first = angle(0.1), second = angle(0.2), query = angle(0);
    (void)set(world, of("same"), &first, "old");
    (void)set(world, of("same"), &second, "new");
    struct looking looking = around(world, &query);
    assert_int_equal(look(&looking), STATUS_OK);
    assert_int_equal(looking.search.found_count, 1);
    assert_true(text_equal(entry_answer(looking.search.found[0].entry), TEXT("new")));
    cache_search_release(&looking.search);
}

static void a_search_leaves_no_trace(void **state)
{
    struct world *world = *state;
    fill(world, 3);
    struct identity nobody = of("a question");
    nobody.namespace_ = TEXT("never-used");
    const struct vector vector = angle(0);
    const struct cache_stats before = stats_of(world, "");
    for (int i = 0; i < 5; i++) {
        struct looking looking = around(world, &vector);
        assert_int_equal(look(&looking), STATUS_OK);
        assert_int_equal(looking.search.found_count, 3);
        cache_search_release(&looking.search);
        looking.request.identity = nobody;
        assert_int_equal(look(&looking), STATUS_OK);
    }
    const struct cache_stats after = stats_of(world, "");
    assert_memory_equal(&after.exact, &before.exact, sizeof(after.exact));
    assert_memory_equal(&after.semantic, &before.semantic, sizeof(after.semantic));
    assert_int_equal(after.total_requests, before.total_requests);
    assert_int_equal(after.scopes[0].lookups, 0);
    assert_int_equal(after.scopes[0].index.searches, 0);
    assert_null(namespaces_find(world->cache->namespaces, TEXT("default"), TEXT("never-used")));
    assert_int_equal(ask(world, of("question a"), NULL)->found.hits_count, 1);
}

static void what_cannot_be_searched_for_is_named(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0), zero = {{0}};
    struct looking looking = around(world, &vector);
    looking.request.top_k = CACHE_TOP_K_MAX + 1;
    assert_failed(world, look(&looking), STATUS_LIMIT_EXCEEDED, "top_k");
    looking.request.top_k = 1;
    looking.request.min_similarity = 1.5F;
    assert_failed(world, look(&looking), STATUS_BAD_THRESHOLD, "min_similarity");
    looking.request.min_similarity = 0;
    looking.request.identity.model = TEXT("");
    assert_failed(world, look(&looking), STATUS_BAD_NAME, "identity.model");
    looking = around(world, &zero);
    assert_failed(world, look(&looking), STATUS_BAD_VECTOR, "vector");
    looking = around(world, &vector);
    looking.request.vector = NULL;
    looking.request.identity.embedder = TEXT("mine");
    assert_failed(world, look(&looking), STATUS_BAD_VECTOR, "vector");
}

static void a_vector_of_another_length_is_refused(void **state)
{
    struct world *world = *state;
    fill(world, 1);
    const struct vector vector = angle(0);
    struct looking looking = around(world, &vector);
    looking.request.dimension = 3;
    assert_failed(world, look(&looking), STATUS_DIM_MISMATCH, "vector");
}

static void a_text_is_embedded_and_judged_by_the_guard(void **state)
{
    struct world *world = *state;
    (void)set(world, of("How do I turn the lamp on?"), NULL, "Press it.");
    world_forget(world);
    struct looking looking = {.world = world,
                              .request = {.identity = of("How do I turn the lamp off?")}};
    assert_int_equal(look(&looking), STATUS_OK);
    assert_int_equal(looking.search.found_count, 1);
    assert_true(looking.search.found[0].guards & GUARD_ANTONYM);
    cache_search_release(&looking.search);
    looking.request.identity = of("!?");
    assert_int_equal(look(&looking), STATUS_OK); /* no word: nothing is near */
    assert_int_equal(looking.search.found_count, 0);
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_plain, world_destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(the_nearest_come_first_and_no_more_than_asked_for),
        WORLD_TEST(nothing_below_the_asked_similarity_is_found),
        WORLD_TEST(other_system_prompts_are_found_only_when_asked_for),
        WORLD_TEST(another_scope_and_another_tenant_are_never_seen),
        WORLD_TEST(what_has_expired_is_not_found),
        WORLD_TEST(a_replaced_entry_is_found_once),
        WORLD_TEST(a_search_leaves_no_trace),
        WORLD_TEST(what_cannot_be_searched_for_is_named),
        WORLD_TEST(a_vector_of_another_length_is_refused),
        WORLD_TEST(a_text_is_embedded_and_judged_by_the_guard),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
