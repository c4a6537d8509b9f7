/*
 * Goal: Explain says what a Get would say, names the field that parts a request from a stored one,
 * whichever it is, and changes nothing. Covers explain.c, explain_words.c and fields.c. Method: one
 * stored request and a mutation of each field; the same questions to Get and to Explain; counters
 * compared before and after.
 */
#include "tests/unit/cache/world.h"

#include "cache/explain.h"
#include "cache/parts.h"

struct explaining {
    struct cache_explain_request request;
    struct cache_explain explain;
};

static enum status explain_with(struct world *world, struct explaining *explaining)
{
    enum cache_step step = CACHE_DONE;
    world_forget(world);
    enum status status =
        cache_explain_begin(world->cache, &explaining->request, world->arena, world->now_ms,
                            &explaining->explain, &step, &world->failure);
    if (status != STATUS_OK)
        return status;
    assert_int_equal(step, CACHE_NEEDS_COMPUTE);
    return cache_explain_finish(world->cache, &explaining->explain, STATUS_OK, world->now_ms,
                                &world->failure);
}

static void explain(struct world *world, struct explaining *explaining, struct identity identity)
{
    *explaining = (struct explaining){.request = {.get = {.identity = identity}}};
    if (explain_with(world, explaining) != STATUS_OK)
        fail_msg("%s: %s", world->failure.field, world->failure.message);
}

static void assert_says(const struct explaining *explaining, const char *words)
{
    const char *reason = explaining->explain.reason.bytes;
    assert_non_null(reason);
    if (strstr(reason, words) == NULL)
        fail_msg("\"%s\" is not in: %s", words, reason);
}

/* Of all fields that differ, the first. */
static const char *differing(const struct cache_explain *explanation)
{
    for (size_t i = 0; i < explanation->fields_count; i++) {
        if (field_differs(&explanation->fields[i]))
            return explanation->fields[i].field;
    }
    return "none";
}

static const char QUESTION[] = "How do I reset my password?";

/* ---- every field ------------------------------------------------------------------------------
 */

static const struct key_message one_message[] = {{.role = {"user", 4}, .content = {QUESTION, 27}}};
static const struct key_message history[] = {{.role = {"user", 4}, .content = {"hello", 5}},
                                             {.role = {"assistant", 9}, .content = {"hi", 2}},
                                             {.role = {"user", 4}, .content = {QUESTION, 27}}};
static const struct key_message named[] = {
    {.role = {"user", 4}, .content = {QUESTION, 27}, .name = {"bob", 3}}};
static const struct key_attribute region[] = {{{"region", 6}, {"eu", 2}}};
static const struct text stop[] = {{"END", 3}};
static const struct text documents[] = {{"doc@2", 5}};

static void change_namespace(struct identity *i)
{
    i->namespace_ = TEXT("other");
}
static void change_model(struct identity *i)
{
    i->model = TEXT("another");
}
static void change_embedder(struct identity *i)
{
    i->embedder = TEXT("mine");
}
static void change_attributes(struct identity *i)
{
    i->attributes = region;
    i->attributes_count = 1;
}
static void change_system(struct identity *i)
{
    i->system_prompt = TEXT("Be brief.");
}
static void change_history(struct identity *i)
{
    i->prompt = TEXT("");
    i->messages = history;
    i->messages_count = 3;
}
static void change_tools(struct identity *i)
{
    i->tools_json = TEXT("[{\"name\":\"f\"}]");
}
static void change_choice(struct identity *i)
{
    i->tool_choice_json = TEXT("\"none\"");
}
static void change_format(struct identity *i)
{
    i->response_format_json = TEXT("{\"type\":\"json_object\"}");
}
static void change_temperature(struct identity *i)
{
    i->params.temperature_given = true;
    i->params.temperature = 0.7;
}
static void change_top_p(struct identity *i)
{
    i->params.top_p_given = true;
    i->params.top_p = 0.5;
}
static void change_max_tokens(struct identity *i)
{
    i->params.max_tokens_given = true;
    i->params.max_tokens = 10;
}
static void change_seed(struct identity *i)
{
    i->params.seed_given = true;
    i->params.seed = 7;
}
static void change_n(struct identity *i)
{
    i->params.n = 2;
}
static void change_stop(struct identity *i)
{
    i->params.stop = stop;
    i->params.stop_count = 1;
}
static void change_other(struct identity *i)
{
    i->params.other_json = TEXT("{\"min_p\":0.1}");
}
static void change_context(struct identity *i)
{
    i->context_ids = documents;
    i->context_ids_count = 1;
}
static void change_name(struct identity *i)
{
    i->prompt = TEXT("");
    i->messages = named;
    i->messages_count = 1;
}

static const struct mutation {
    const char *field;
    void (*change)(struct identity *identity);
} mutations[] = {
    {"namespace", change_namespace},
    {"model", change_model},
    {"embedder", change_embedder},
    {"attributes", change_attributes},
    {"system_prompt", change_system},
    {"messages", change_history},
    {"tools_json", change_tools},
    {"tool_choice_json", change_choice},
    {"response_format_json", change_format},
    {"params.temperature", change_temperature},
    {"params.top_p", change_top_p},
    {"params.max_tokens", change_max_tokens},
    {"params.seed", change_seed},
    {"params.n", change_n},
    {"params.stop", change_stop},
    {"params.other_json", change_other},
    {"context_ids", change_context},
    {"messages.name", change_name},
};
enum { MUTATIONS = sizeof(mutations) / sizeof(mutations[0]) };

/* Both ways: the entry has the field and the request has not, and the other way round. */
static void each_field_that_differs_is_named(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < MUTATIONS; i++) {
        struct explaining explaining;
        struct identity plain = of(QUESTION), changed = of(QUESTION);
        mutations[i].change(&changed);
        (void)set(world, plain, NULL, "Under Settings.");
        explain(world, &explaining, changed);
        /* A name is part of the query: another one is as near as can be. */
        const bool hits = mutations[i].change == change_name;
        assert_int_equal(explaining.explain.get.reply.tier,
                         hits ? CACHE_TIER_SEMANTIC : CACHE_TIER_NONE);
        assert_string_equal(differing(&explaining.explain), mutations[i].field);
        assert_int_equal(explaining.explain.differ_count, 1);
        assert_says(&explaining, hits ? "hit: " : mutations[i].field);
        cache_explain_release(&explaining.explain);
    }
}

static void each_field_of_an_entry_is_named_where_the_request_has_none(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < MUTATIONS; i++) {
        struct explaining explaining;
        struct identity changed = of(QUESTION);
        mutations[i].change(&changed);
        struct cache_set_request request = {
            .identity = changed, .content = TEXT("x"), .further_choices = true};
        assert_int_equal(set_request(world, &request), STATUS_OK);
        const struct digest id = world->set.entry_id;
        explain(world, &explaining, of(QUESTION));
        assert_string_equal(differing(&explaining.explain), mutations[i].field);
        assert_true(digest_equal(entry_digest(explaining.explain.against), &id));
        cache_explain_release(&explaining.explain);
        const struct cache_delete_request gone = {
            .namespace_ = changed.namespace_, .entry_ids = &id, .entry_ids_count = 1};
        uint32_t deleted = 0;
        assert_int_equal(
            cache_delete(world->cache, &gone, world->arena, NULL, &deleted, &world->failure),
            STATUS_OK);
        assert_int_equal(deleted, 1);
    }
}

/* One and the same request in two spellings is a hit, and no field differs. */
static void another_spelling_differs_in_nothing(void **state)
{
    struct world *world = *state;
    struct explaining explaining;
    (void)set(world, of(QUESTION), NULL, "Under Settings.");
    struct identity spelled = {
        .model = TEXT("m"), .messages = one_message, .messages_count = 1, .params = {.n = 1}};
    explain(world, &explaining, spelled);
    assert_int_equal(explaining.explain.get.reply.tier, CACHE_TIER_EXACT);
    assert_int_equal(explaining.explain.differ_count, 0);
    assert_says(&explaining, "hit: the exact tier");
    cache_explain_release(&explaining.explain);
}

/* ---- reasons ----------------------------------------------------------------------------------
 */

static void nothing_stored_is_the_reason_of_an_empty_cache(void **state)
{
    struct world *world = *state;
    struct explaining explaining;
    explain(world, &explaining, of(QUESTION));
    assert_says(&explaining, "miss: nothing stored is near");
    assert_null(explaining.explain.against);
    assert_int_equal(explaining.explain.nearest_count, 0);
    cache_explain_release(&explaining.explain);
}

static void a_paraphrase_of_another_system_prompt_is_parted_by_it(void **state)
{
    struct world *world = *state;
    struct explaining explaining;
    struct identity brief = of("How can I reset my password?");
    brief.system_prompt = TEXT("Be brief.");
    (void)set(world, of(QUESTION), NULL, "Under Settings.");
    explain(world, &explaining, brief);
    assert_says(&explaining, "a question near it is stored");
    assert_says(&explaining, "another system_prompt");
    assert_true(explaining.explain.against_near);
    assert_true(explaining.explain.against_similarity > 0.9F);
    cache_explain_release(&explaining.explain);
}

static void a_far_question_says_how_far(void **state)
{
    struct world *world = *state;
    struct explaining explaining;
    (void)set(world, of(QUESTION), NULL, "Under Settings.");
    explain(world, &explaining, of("How do I reset my router?"));
    assert_says(&explaining, "below the threshold");
    assert_int_equal(explaining.explain.nearest_count, 1);
    assert_string_equal(differing(&explaining.explain), "prompt");
    cache_explain_release(&explaining.explain);
}

static void a_blocked_opposite_says_what_the_guard_saw(void **state)
{
    struct world *world = *state;
    struct explaining explaining;
    const struct vector vector = angle(0);
    (void)set(world, of("Turn it on, please."), &vector, "Done.");
    explaining = (struct explaining){.request = {.get = {.identity = of("Turn it off, please."),
                                                         .vector = vector.at,
                                                         .dimension = DIMENSION}}};
    assert_int_equal(explain_with(world, &explaining), STATUS_OK);
    assert_says(&explaining, "the guard sees an antonym");
    assert_int_equal(explaining.explain.get.reply.miss_reason, CACHE_MISS_GUARD_BLOCKED);
    assert_true(explaining.explain.nearest[0].guards & GUARD_ANTONYM);
    cache_explain_release(&explaining.explain);
}

static void an_expired_entry_is_the_reason(void **state)
{
    struct world *world = *state;
    struct explaining explaining;
    const struct cache_set_request request = {
        .identity = of(QUESTION), .content = TEXT("x"), .ttl_given = true, .ttl_ms = 1000};
    assert_int_equal(set_request(world, &request), STATUS_OK);
    world->now_ms += 1000;
    explain(world, &explaining, of(QUESTION));
    assert_says(&explaining, "has expired");
    cache_explain_release(&explaining.explain);
}

static void a_stale_answer_is_explained_and_not_renewed(void **state)
{
    struct world *world = *state;
    struct explaining explaining;
    const struct cache_set_request request = {.identity = of(QUESTION),
                                              .content = TEXT("x"),
                                              .ttl_given = true,
                                              .ttl_ms = 1000,
                                              .sliding = true,
                                              .sliding_max_ms = 5000,
                                              .stale_while_revalidate_ms = 500};
    assert_int_equal(set_request(world, &request), STATUS_OK);
    world->now_ms += 900;
    explain(world, &explaining, of(QUESTION));
    assert_says(&explaining, "holds this very request");
    cache_explain_release(&explaining.explain);
    explain(world, &explaining, of("How can I reset my password?"));
    assert_int_equal(explaining.explain.get.reply.tier, CACHE_TIER_SEMANTIC);
    cache_explain_release(&explaining.explain);
    world->now_ms += 100; /* a hit would have moved the end */
    explain(world, &explaining, of(QUESTION));
    assert_says(&explaining, "past its TTL");
    assert_true(explaining.explain.get.reply.stale);
    cache_explain_release(&explaining.explain);
    explain(world, &explaining, of("How can I reset my password?"));
    assert_int_equal(explaining.explain.nearest_count, 0);
    cache_explain_release(&explaining.explain);
}

static void what_the_request_asks_of_the_cache_is_a_reason(void **state)
{
    struct world *world = *state;
    struct explaining explaining = {.request = {.get = {.identity = of(QUESTION)}}};
    (void)set(world, of(QUESTION), NULL, "Under Settings.");
    world->now_ms += 1000;
    explaining.request.get.control.no_cache = true;
    assert_int_equal(explain_with(world, &explaining), STATUS_OK);
    assert_says(&explaining, "passes the cache by");
    cache_explain_release(&explaining.explain);
    explaining.request.get.control =
        (struct cache_control){.max_age_given = true, .max_age_ms = 500};
    explaining.request.get.lease = CACHE_LEASE_FIRST;
    assert_int_equal(explain_with(world, &explaining), STATUS_OK);
    assert_says(&explaining, "too old");
    assert_false(explaining.explain.get.lease_due);
    cache_explain_release(&explaining.explain);
}

static void what_the_namespace_wants_is_a_reason(void **state)
{
    struct world *world = *state;
    struct explaining explaining;
    struct cache_namespace_view view;
    struct cache_namespace_change change = {.name = TEXT("default"),
                                            .fields = NAMESPACE_TEMPERATURE_MAX | NAMESPACE_POLICY,
                                            .settings = cache_namespace_settings_none};
    struct identity warm = of("How can I reset my password?");
    (void)set(world, of(QUESTION), NULL, "Under Settings.");
    change.settings.temperature_max = 0.5F;
    change.settings.policy.mode = POLICY_SHADOW + 1;
    world_forget(world);
    assert_int_equal(
        cache_update_namespace(world->cache, &change, world->arena, NULL, &view, &world->failure),
        STATUS_OK);
    explain(world, &explaining, of("How can I reset my password?"));
    assert_says(&explaining, "shadow");
    cache_explain_release(&explaining.explain);
    assert_int_equal(stats_of(world, "").scopes[0].would_hits, 0);
    change_temperature(&warm);
    explain(world, &explaining, warm);
    assert_int_equal(explaining.explain.get.reply.miss_reason, CACHE_MISS_NOT_ELIGIBLE);
    bool said = false;
    for (size_t i = 0; i < explaining.explain.steps_count; i++)
        said |= strstr(explaining.explain.steps[i].bytes, "temperature_max") != NULL;
    assert_true(said);
    cache_explain_release(&explaining.explain);
}

static void a_closed_tier_says_why(void **state)
{
    struct world *world = *state;
    struct explaining explaining;
    struct identity warm = of(QUESTION);
    change_temperature(&warm);
    explain(world, &explaining, warm);
    assert_says(&explaining, "its temperature is above 0");
    cache_explain_release(&explaining.explain);
    (void)set(world, of(QUESTION), NULL, "Under Settings.");
    explain(world, &explaining, of("!?"));
    assert_says(&explaining, "no word to compare");
    cache_explain_release(&explaining.explain);
    struct identity broken = of(QUESTION);
    broken.tools_json = TEXT("{\"a\":1,\"a\":2}");
    explain(world, &explaining, broken);
    assert_says(&explaining, "no canonical form");
    cache_explain_release(&explaining.explain);
}

static void an_entry_that_is_named_is_compared_with(void **state)
{
    struct world *world = *state;
    struct explaining explaining;
    struct identity far = of("What is the weather like?");
    far.system_prompt = TEXT("You are a weather service.");
    (void)set(world, far, NULL, "Fine.");
    const struct digest id = world->set.entry_id;
    (void)set(world, of(QUESTION), NULL, "Under Settings.");
    explaining =
        (struct explaining){.request = {.get = {.identity = of("How can I reset my password")},
                                        .against_given = true,
                                        .against = id}};
    explaining.request.get.only_exact = true;
    assert_int_equal(explain_with(world, &explaining), STATUS_OK);
    assert_true(digest_equal(entry_digest(explaining.explain.against), &id));
    assert_int_equal(explaining.explain.differ_count, 2);
    cache_explain_release(&explaining.explain);
    explaining.request.against.bytes[0] ^= 1;
    assert_failed(world, explain_with(world, &explaining), STATUS_NOT_FOUND, "against_entry_id");
}

/* ---- what it leaves behind --------------------------------------------------------------------
 */

static void no_other_tenant_is_compared_with(void **state)
{
    struct world *world = *state;
    struct explaining explaining;
    struct identity theirs = of(QUESTION);
    theirs.tenant = TEXT("them");
    (void)set(world, theirs, NULL, "secret");
    const struct digest id = world->set.entry_id;
    explain(world, &explaining, of(QUESTION));
    assert_null(explaining.explain.against);
    assert_says(&explaining, "nothing stored is near");
    cache_explain_release(&explaining.explain);
    explaining.request.against_given = true;
    explaining.request.against = id;
    assert_failed(world, explain_with(world, &explaining), STATUS_NOT_FOUND, "against_entry_id");
}

static void it_says_what_a_get_then_says(void **state)
{
    struct world *world = *state;
    static const char *const questions[] = {QUESTION, "How can I reset my password?",
                                            "How do I reset my router?", "Something else entirely",
                                            "!?"};
    (void)set(world, of(QUESTION), NULL, "Under Settings.");
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
        struct explaining explaining;
        explain(world, &explaining, of(questions[i]));
        const struct cache_get_reply said = explaining.explain.get.reply;
        cache_explain_release(&explaining.explain);
        const struct cache_get_reply *reply = ask(world, of(questions[i]), NULL);
        assert_int_equal(said.tier, reply->tier);
        assert_int_equal(said.miss_reason, reply->miss_reason);
        assert_true(said.similarity == reply->similarity);
        assert_true(said.threshold == reply->threshold);
        assert_int_equal(said.decided, reply->decided);
        assert_string_equal(said.token, "");
    }
}

static void an_explanation_leaves_no_trace(void **state)
{
    struct world *world = *state;
    (void)set(world, of(QUESTION), NULL, "Under Settings.");
    const struct cache_stats before = stats_of(world, "");
    const uint64_t nonces = atomic_load(&world->cache->nonces_count);
    struct identity unknown = of(QUESTION);
    unknown.namespace_ = TEXT("never-used");
    for (int i = 0; i < 3; i++) {
        struct explaining explaining;
        const struct identity identities[] = {of(QUESTION), of("How can I reset my password?"),
                                              of("How do I reset my router?"), unknown};
        for (size_t j = 0; j < 4; j++) {
            explain(world, &explaining, identities[j]);
            cache_explain_release(&explaining.explain);
        }
    }
    const struct cache_stats after = stats_of(world, "");
    assert_memory_equal(&after.exact, &before.exact, sizeof(after.exact));
    assert_memory_equal(&after.semantic, &before.semantic, sizeof(after.semantic));
    assert_memory_equal(after.misses, before.misses, sizeof(after.misses));
    assert_int_equal(after.total_requests, 0);
    assert_int_equal(after.scopes[0].lookups + after.scopes[0].hits, 0);
    assert_int_equal(after.scopes[0].index.searches, 0);
    assert_int_equal(atomic_load(&world->cache->nonces_count), nonces);
    assert_null(namespaces_find(world->cache->namespaces, TEXT("default"), TEXT("never-used")));
    assert_int_equal(ask(world, of(QUESTION), NULL)->found.hits_count, 1);
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_plain, world_destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(each_field_that_differs_is_named),
        WORLD_TEST(each_field_of_an_entry_is_named_where_the_request_has_none),
        WORLD_TEST(another_spelling_differs_in_nothing),
        WORLD_TEST(nothing_stored_is_the_reason_of_an_empty_cache),
        WORLD_TEST(a_paraphrase_of_another_system_prompt_is_parted_by_it),
        WORLD_TEST(a_far_question_says_how_far),
        WORLD_TEST(a_blocked_opposite_says_what_the_guard_saw),
        WORLD_TEST(an_expired_entry_is_the_reason),
        WORLD_TEST(a_stale_answer_is_explained_and_not_renewed),
        WORLD_TEST(what_the_request_asks_of_the_cache_is_a_reason),
        WORLD_TEST(what_the_namespace_wants_is_a_reason),
        WORLD_TEST(a_closed_tier_says_why),
        WORLD_TEST(an_entry_that_is_named_is_compared_with),
        WORLD_TEST(no_other_tenant_is_compared_with),
        WORLD_TEST(it_says_what_a_get_then_says),
        WORLD_TEST(an_explanation_leaves_no_trace),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
