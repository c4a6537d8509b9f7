/*
 * Goal: lookup.c and semantic.c answer from the right tier, or says truly why not; nothing dead,
 * foreign, expired or opposite is served. Method: client vectors at known angles in one small
 * cache, the clock turned by hand. Tests named after a bug found in another cache say so.
 */
#include "tests/unit/cache/world.h"

#include "cache/parts.h"

/* cos(0.1) = 0.99500, cos(0.3) = 0.95534, cos(0.35) = 0.93937: the client threshold is 0.95. */
static const double NEAR = 0.1, FAR = 0.35;

/* ---- exact tier ------------------------------------------------------------------------------ */

static void what_was_set_is_an_exact_hit(void **state)
{
    struct world *world = *state;
    (void)set(world, of("hello"), NULL, "world");
    const struct cache_get_reply *reply = ask(world, of("hello"), NULL);
    assert_hit(reply, CACHE_TIER_EXACT, "world");
    assert_true(reply->similarity == 1);
    assert_false(reply->decided);
    assert_int_equal(reply->found.hits_count, 1);
    assert_int_equal(ask(world, of("hello"), NULL)->found.hits_count, 2);
    assert_true(digest_equal(&world->get.reply.key, &world->set.entry_id));
}

static void only_exact_misses_as_not_found(void **state)
{
    struct world *world = *state;
    struct cache_get_request request = {.identity = of("hello"), .only_exact = true};
    assert_int_equal(ask_request(world, &request), STATUS_OK);
    assert_miss(&world->get.reply, CACHE_MISS_NOT_FOUND);
}

static void only_semantic_passes_the_exact_entry_by(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0);
    (void)set(world, of("hello"), &vector, "world");
    struct cache_get_request request = {.identity = of("hello"),
                                        .vector = vector.at,
                                        .dimension = DIMENSION,
                                        .only_semantic = true};
    assert_int_equal(ask_request(world, &request), STATUS_OK);
    assert_hit(&world->get.reply, CACHE_TIER_SEMANTIC, "world");
    const struct cache_stats stats = stats_of(world, "");
    assert_int_equal(stats.exact.lookups, 0);
}

static void
two_tenants_with_the_same_prompt_are_apart(void **state) /* litellm #19575, vllm-sr #2134 */
{
    struct world *world = *state;
    const struct vector vector = angle(0);
    struct identity mine = of("hello"), theirs = of("hello"), rephrased = of("hello there");
    mine.tenant = TEXT("a");
    theirs.tenant = rephrased.tenant = TEXT("b");
    (void)set(world, mine, &vector, "secret of a");
    assert_miss(ask(world, theirs, &vector), CACHE_MISS_NO_CANDIDATE);
    assert_miss(ask(world, rephrased, &vector), CACHE_MISS_NO_CANDIDATE);
    assert_hit(ask(world, mine, &vector), CACHE_TIER_EXACT, "secret of a");
}

/* The cure must not end all semantic hits (litellm #29086, #31610). */
static void a_tenants_own_paraphrase_still_hits(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0), near = angle(NEAR);
    struct identity mine = of("hello"), rephrased = of("hello there");
    mine.tenant = rephrased.tenant = TEXT("a");
    (void)set(world, mine, &vector, "of a");
    assert_hit(ask(world, rephrased, &near), CACHE_TIER_SEMANTIC, "of a");
}

static void a_tenants_twin_at_rank_eleven_still_hits(void **state)
{
    struct world *world = *state;
    const struct vector exact = angle(0), near = angle(0.2);
    char prompt[32];
    for (int i = 0; i < 300; i++) { /* nearer ones of others */
        (void)snprintf(prompt, sizeof(prompt), "hello %c%c", 'a' + i / 26, 'a' + i % 26);
        struct identity theirs = of(prompt);
        theirs.tenant = TEXT("b");
        (void)set(world, theirs, &exact, "of b");
    }
    struct identity mine = of("hello"), rephrased = of("hello again");
    mine.tenant = rephrased.tenant = TEXT("a");
    (void)set(world, mine, &near, "of a");
    assert_hit(ask(world, rephrased, &exact), CACHE_TIER_SEMANTIC, "of a");
}

/* The same within one scope: rows of other compatibilities take no place among the hits. */
static void foreign_system_prompts_do_not_crowd_out_ones_own(void **state)
{
    struct world *world = *state;
    const struct vector exact = angle(0), near = angle(0.2);
    char text[32];
    for (int i = 0; i < 300; i++) {
        (void)snprintf(text, sizeof(text), "be number %d", i);
        struct identity other = of("hello");
        other.system_prompt = text_of(text);
        (void)set(world, other, &exact, "of another");
    }
    (void)set(world, of("hello"), &near, "mine");
    assert_hit(ask(world, of("hello again"), &exact), CACHE_TIER_SEMANTIC, "mine");
}

static void another_system_prompt_is_another_question(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0);
    struct identity pirate = of("hello"), plain = of("hello");
    pirate.system_prompt = TEXT("Talk like a pirate.");
    (void)set(world, pirate, &vector, "ahoy");
    assert_miss(ask(world, plain, &vector), CACHE_MISS_NO_CANDIDATE);
    plain.system_prompt = TEXT("Talk like a lawyer.");
    assert_miss(ask(world, plain, &vector), CACHE_MISS_NO_CANDIDATE);
}

static void other_tools_are_another_question(void **state)
{
    struct world *world = *state;
    struct identity with_tools = of("hello"), reordered = of("hello"), without = of("hello");
    with_tools.tools_json = TEXT("[{\"name\":\"f\",\"strict\":true}]");
    reordered.tools_json = TEXT("[ {\"strict\": true, \"name\": \"f\"} ]");
    (void)set(world, with_tools, NULL, "called");
    assert_miss(ask(world, without, NULL), CACHE_MISS_NO_CANDIDATE);
    assert_hit(ask(world, reordered, NULL), CACHE_TIER_EXACT, "called"); /* Bifrost #2791, #3190 */
    reordered.tools_json = TEXT("[{\"name\":\"g\",\"strict\":true}]");
    assert_miss(ask(world, reordered, NULL), CACHE_MISS_NOT_ELIGIBLE);
}

/* ---- expiry ---------------------------------------------------------------------------------- */

static void set_for(struct world *world, const char *prompt, double radians, uint64_t ttl_ms)
{
    const struct vector vector = angle(radians);
    const struct cache_set_request request = {.identity = of(prompt),
                                              .vector = vector.at,
                                              .dimension = DIMENSION,
                                              .content = text_of(prompt),
                                              .ttl_given = true,
                                              .ttl_ms = ttl_ms};
    assert_int_equal(set_request(world, &request), STATUS_OK);
    assert_true(world->set.indexed);
}

static void an_expired_entry_hits_in_no_tier(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0);
    set_for(world, "hello", 0, 1000);
    world->now_ms += 999;
    assert_hit(ask(world, of("hello"), &vector), CACHE_TIER_EXACT, "hello");
    assert_hit(ask(world, of("hello there"), &vector), CACHE_TIER_SEMANTIC, "hello");
    world->now_ms += 1;
    assert_miss(ask(world, of("hello"), &vector), CACHE_MISS_EXPIRED);
    assert_miss(ask(world, of("hello there"), &vector), CACHE_MISS_NO_CANDIDATE);
}

static void expired_rows_do_not_fill_the_top(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0);
    char prompt[32];
    for (int i = 0; i < 300; i++) {
        (void)snprintf(prompt, sizeof(prompt), "hello %c%c", 'a' + i / 26, 'a' + i % 26);
        set_for(world, prompt, 0, 1000);
    }
    set_for(world, "hello", 0.2, 100000);
    world->now_ms += 5000;
    assert_hit(ask(world, of("hello again"), &vector), CACHE_TIER_SEMANTIC, "hello");
}

static void a_clock_that_jumps_forth_and_back_breaks_nothing(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0);
    set_for(world, "hello", 0, 1000);
    world->now_ms += 365LL * 24 * 3600 * 1000; /* a year ahead */
    assert_miss(ask(world, of("hello"), &vector), CACHE_MISS_EXPIRED);
    world->now_ms -= 2 * 365LL * 24 * 3600 * 1000; /* a year behind */
    if (world->now_ms < 0)
        world->now_ms = 0;
    assert_hit(ask(world, of("hello"), &vector), CACHE_TIER_EXACT, "hello");
    set_for(world, "set in the past", 1.5, 1000);
    assert_hit(ask(world, of("set in the past"), NULL), CACHE_TIER_EXACT, "set in the past");
    world->now_ms += 2000;
    assert_miss(ask(world, of("set in the past"), NULL), CACHE_MISS_EXPIRED);
}

/* ---- why a miss ------------------------------------------------------------------------------ */

static void a_near_refusal_says_more_than_expired(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0), far = angle(FAR);
    set_for(world, "hello", 0, 1000);
    (void)set(world, of("other words"), &far, "other");
    world->now_ms += 1000;
    assert_miss(ask(world, of("hello"), &vector), CACHE_MISS_BELOW_CUT);
    struct cache_get_request request = {.identity = of("hello"), .only_exact = true};
    assert_int_equal(ask_request(world, &request), STATUS_OK);
    assert_miss(&world->get.reply, CACHE_MISS_EXPIRED);
}

static void what_cannot_be_compared_is_not_eligible(void **state)
{
    struct world *world = *state;
    struct identity warm = of("hello");
    warm.params.temperature_given = true;
    warm.params.temperature = 0.7;
    assert_miss(ask(world, warm, NULL), CACHE_MISS_NOT_ELIGIBLE);
    struct identity twice = of("hello");
    twice.tools_json = TEXT("{\"a\":1,\"a\":1}");
    assert_miss(ask(world, twice, NULL), CACHE_MISS_NOT_ELIGIBLE);
}

static void a_prompt_without_a_word_is_not_eligible(void **state)
{
    struct world *world = *state;
    (void)set(world, of("hello"), NULL, "world"); /* so that the scope has rows */
    assert_miss(ask(world, of("?! ..."), NULL), CACHE_MISS_NOT_ELIGIBLE);
    assert_miss(ask(world, of(" \n"), NULL), CACHE_MISS_NOT_ELIGIBLE);
}

static int open_off(void **state)
{
    static const char *const flags[] = {"--semantic-policy=off"};
    *state = world_create(1, flags);
    return 0;
}

static void with_the_policy_off_there_is_no_semantic_tier(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0);
    assert_false(set(world, of("hello"), &vector, "world")->indexed);
    assert_miss(ask(world, of("hello there"), &vector), CACHE_MISS_DISABLED);
    assert_hit(ask(world, of("hello"), &vector), CACHE_TIER_EXACT, "world");
}

static void an_overload_is_a_miss_of_its_own(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0);
    (void)set(world, of("hello"), &vector, "world");
    const struct cache_get_request request = {
        .identity = of("hello there"), .vector = vector.at, .dimension = DIMENSION};
    struct cache_get get;
    enum cache_step step = CACHE_DONE;
    assert_int_equal(
        cache_get_begin(world->cache, &request, world->arena, world->now_ms, 0, &get, &step, NULL),
        STATUS_OK);
    assert_int_equal(step, CACHE_NEEDS_COMPUTE);
    cache_get_overloaded(world->cache, &get);
    assert_miss(&get.reply, CACHE_MISS_OVERLOADED);
    cache_get_release(&get);
    assert_int_equal(stats_of(world, "").misses[CACHE_MISS_OVERLOADED], 1);
}

/* ---- semantic tier --------------------------------------------------------------------------- */

static void a_paraphrase_hits_with_its_similarity_and_threshold(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0), near = angle(NEAR);
    (void)set(world, of("hello"), &vector, "world");
    const struct cache_get_reply *reply = ask(world, of("hello there"), &near);
    assert_hit(reply, CACHE_TIER_SEMANTIC, "world");
    assert_true(fabs(reply->similarity - cos(NEAR)) < 1e-3);
    assert_true(fabsf(reply->threshold - 0.95f) < 1e-6f);
    assert_true(reply->decided);
    assert_false(reply->near_miss);
    assert_int_equal(strlen(reply->token), TOKEN_TEXT);
    assert_int_equal(reply->found.hits_count, 1);
}

static void below_the_cut_is_a_near_miss_with_a_token(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0), far = angle(FAR);
    (void)set(world, of("hello"), &vector, "world");
    const struct digest id = world->set.entry_id;
    const struct cache_get_reply *reply = ask(world, of("hello there"), &far);
    assert_miss(reply, CACHE_MISS_BELOW_CUT);
    assert_true(reply->decided);
    assert_true(reply->near_miss);
    assert_true(digest_equal(&reply->near_entry_id, &id));
    assert_true(fabs(reply->near_similarity - cos(FAR)) < 1e-3);
    assert_true(reply->similarity == reply->near_similarity);
    assert_int_equal(strlen(reply->token), TOKEN_TEXT);
}

static void every_question_gets_its_own_answer(void **state) /* langchain #25161, GPTCache #379 */
{
    struct world *world = *state;
    static const char *const prompts[] = {"apples", "bears", "clouds", "doors"};
    for (int i = 0; i < 4; i++) {
        struct vector axis = {{0}};
        axis.at[i] = 1;
        (void)set(world, of(prompts[i]), &axis, prompts[i]);
    }
    for (int i = 0; i < 4; i++) {
        struct vector near = {{0.01f, 0.01f, 0.01f, 0.01f}};
        near.at[i] = 1;
        char prompt[32];
        (void)snprintf(prompt, sizeof(prompt), "about %s", prompts[i]);
        assert_hit(ask(world, of(prompt), &near), CACHE_TIER_SEMANTIC, prompts[i]);
    }
}

static void similarity_is_not_distance(void **state) /* redisvl #407, #444; Azure AI-Gateway #63 */
{
    struct world *world = *state;
    const struct vector here = angle(0), opposite = angle(3.14159265), across = angle(1.5707963);
    (void)set(world, of("hello"), &here, "world");
    assert_miss(ask(world, of("goodbye"), &opposite), CACHE_MISS_NO_CANDIDATE);
    assert_true(world->get.reply.similarity == 0);
    const struct cache_get_reply *reply = ask(world, of("tangent"), &across);
    assert_int_equal(reply->tier, CACHE_TIER_NONE);
    assert_true(reply->similarity < 0.01f);
}

static enum cache_tier tier_at(struct world *world, float min_similarity,
                               const struct vector *vector)
{
    const struct cache_get_request request = {.identity = of("hello there"),
                                              .vector = vector->at,
                                              .dimension = DIMENSION,
                                              .min_similarity_given = true,
                                              .min_similarity = min_similarity};
    assert_int_equal(ask_request(world, &request), STATUS_OK);
    return world->get.reply.tier;
}

static void thresholds_of_nought_and_one_are_values(void **state) /* redisvl #650 */
{
    struct world *world = *state;
    const struct vector vector = angle(0), near = angle(NEAR), far = angle(FAR);
    (void)set(world, of("hello"), &vector, "world");
    assert_int_equal(tier_at(world, 0, &near), CACHE_TIER_SEMANTIC);
    assert_int_equal(tier_at(world, 0, &far), CACHE_TIER_NONE); /* a request only tightens */
    assert_true(fabsf(world->get.reply.threshold - 0.95f) < 1e-6f);
    assert_int_equal(tier_at(world, 0.999f, &near), CACHE_TIER_NONE);
    assert_true(fabsf(world->get.reply.threshold - 0.999f) < 1e-6f);
    assert_int_equal(tier_at(world, 1, &near), CACHE_TIER_NONE);
    assert_int_equal(tier_at(world, 1, &vector), CACHE_TIER_SEMANTIC);
}

static void a_threshold_outside_is_refused(void **state)
{
    struct world *world = *state;
    static const float bad[] = {-0.01f, 1.01f, NAN, INFINITY};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct cache_get_request request = {
            .identity = of("hello"), .min_similarity_given = true, .min_similarity = bad[i]};
        assert_failed(world, ask_request(world, &request), STATUS_BAD_THRESHOLD, "min_similarity");
    }
}

static void the_reversed_question_does_not_hit(void **state) /* GPTCache #694, vllm-sr #2691 */
{
    struct world *world = *state;
    const struct vector vector = angle(0), near = angle(0.01);
    (void)set(world, of("How do I migrate from MySQL to Postgres?"), &vector, "pgloader");
    const struct cache_get_reply *reply =
        ask(world, of("How do I migrate from Postgres to MySQL?"), &near);
    assert_miss(reply, CACHE_MISS_GUARD_BLOCKED);
    assert_true(reply->guards != 0);
    assert_true(reply->near_miss);
    const struct vector other = angle(1.5), beside = angle(1.51);
    (void)set(world, of("turn on dark mode"), &other, "on");
    assert_miss(ask(world, of("turn off dark mode"), &beside), CACHE_MISS_GUARD_BLOCKED);
}

static void behind_a_blocked_candidate_the_next_one_serves(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0), near = angle(0.05);
    (void)set(world, of("turn on dark mode"), &vector, "on");
    (void)set(world, of("turn off dark mode"), &near, "off");
    assert_hit(ask(world, of("please turn off dark mode"), &vector), CACHE_TIER_SEMANTIC, "off");
}

static void the_built_in_embedder_finds_a_paraphrase(void **state)
{
    struct world *world = *state;
    (void)set(world, of("How do I reset my password?"), NULL, "Under Settings, Security.");
    assert_true(world->set.indexed);
    assert_hit(ask(world, of("How can I reset my password?"), NULL), CACHE_TIER_SEMANTIC,
               "Under Settings, Security.");
    assert_int_equal(ask(world, of("What is the weather on Mars?"), NULL)->tier, CACHE_TIER_NONE);
}

static void vectors_of_a_client_and_of_the_server_never_meet(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0);
    (void)set(world, of("hello world"), NULL, "server");
    assert_miss(ask(world, of("hello worlds"), &vector), CACHE_MISS_NO_CANDIDATE);
}

static void a_named_embedder_without_its_vector_is_for_the_exact_tier(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0), near = angle(NEAR);
    struct identity named = of("hello world"), again = of("hello worlds");
    named.embedder = TEXT("bge");
    again.embedder = TEXT("bge");
    assert_false(set(world, named, NULL, "text")->indexed);
    assert_int_equal(stats_of(world, "").semantic.entries, 0);
    assert_hit(ask(world, named, NULL), CACHE_TIER_EXACT, "text");
    assert_miss(ask(world, again, NULL), CACHE_MISS_NOT_ELIGIBLE);
    assert_true(set(world, named, &vector, "vector")->indexed);
    assert_miss(ask(world, again, NULL), CACHE_MISS_NOT_ELIGIBLE);
    assert_hit(ask(world, again, &near), CACHE_TIER_SEMANTIC, "vector");
}

static void candidates_are_shown_when_asked_for(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0), near = angle(NEAR), far = angle(NEAR + FAR);
    (void)set(world, of("turn on dark mode"), &vector, "on");
    (void)set(world, of("dark mode"), &far, "mode");
    const struct cache_get_request request = {.identity = of("turn off dark mode"),
                                              .vector = near.at,
                                              .dimension = DIMENSION,
                                              .include = CACHE_INCLUDE_CANDIDATES};
    assert_int_equal(ask_request(world, &request), STATUS_OK);
    const struct cache_get_reply *reply = &world->get.reply;
    assert_miss(reply, CACHE_MISS_GUARD_BLOCKED);
    assert_int_equal(reply->candidates_count, 2);
    assert_true(text_equal(entry_prompt(reply->candidates[0].entry), TEXT("turn on dark mode")));
    assert_int_equal(reply->candidates[0].guards, GUARD_ANTONYM);
    assert_true(reply->candidates[0].similarity > reply->candidates[1].similarity);
    (void)ask(world, of("turn off dark mode"), &near);
    assert_int_equal(world->get.reply.candidates_count, 0);
}

/* ---- rows that may not speak for an entry: what a search can meet while entries come and go -- */

/* Puts a row of our own making beside the cache's back. */
static void plant_row(struct world *world, const char *prompt, const struct digest *id,
                      uint64_t sequence, const struct vector *vector)
{
    const struct identity identity = of(prompt);
    struct key key;
    struct embed_space space;
    struct guard_signature signature;
    struct index_row row = {.id = *id, .sequence = sequence, .unit = vector->at};
    assert_int_equal(key_make(&identity, &key_limits_standard, world->arena, &key, NULL),
                     STATUS_OK);
    assert_true(cache_space(NULL, TEXT(""), vector->at, DIMENSION, &space));
    assert_int_equal(guard_sign(key.query, world->arena, &signature), STATUS_OK);
    memcpy(row.side, &signature, sizeof(signature));
    memcpy(&row.tag, key.compatibility.bytes, sizeof(row.tag));
    const struct partition_key place = cache_partition_key(key.scope.bytes, space.id);
    assert_int_equal(directory_insert(world->cache->directory, &place, DIMENSION, &row), STATUS_OK);
}

static void an_entry_gone_between_search_and_read_is_passed_over(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0), near = angle(NEAR);
    const struct digest gone = {{1, 2, 3}};
    (void)set(world, of("hello"), &near, "next best");
    plant_row(world, "hello", &gone, 1000, &vector);
    assert_hit(ask(world, of("hello there"), &vector), CACHE_TIER_SEMANTIC, "next best");
}

static void an_entry_newer_than_its_row_is_passed_over(void **state)
{
    struct world *world = *state;
    const struct vector here = angle(0), away = angle(1.5);
    (void)set(world, of("hello"), &away, "world");
    const uint64_t sequence = world->set.sequence;
    const struct digest id = world->set.entry_id;
    plant_row(world, "hello", &id, sequence - 1, &here);
    assert_int_equal(ask(world, of("hello there"), &here)->tier, CACHE_TIER_NONE);
    plant_row(world, "hello", &id, sequence, &here);
    assert_hit(ask(world, of("hello there"), &here), CACHE_TIER_SEMANTIC, "world");
}

/* The index compares 4 bytes of compatibility; the entry's 16 decide. */
static void equal_tags_are_not_equal_compatibility(void **state)
{
    struct world *world = *state;
    const struct vector here = angle(0), away = angle(1.5);
    struct identity pirate = of("hello");
    pirate.system_prompt = TEXT("Talk like a pirate.");
    (void)set(world, pirate, &away, "ahoy");
    const struct digest id = world->set.entry_id;
    plant_row(world, "hello", &id, world->set.sequence, &here); /* as if the tags had collided */
    assert_int_equal(ask(world, of("hello there"), &here)->tier, CACHE_TIER_NONE);
}

static void many_dead_rows_in_front_do_not_hide_a_living_one(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0), near = angle(NEAR);
    (void)set(world, of("hello"), &near, "alive");
    for (int i = 0; i < 60; i++) {
        const struct digest gone = {{1, (uint8_t)i}};
        plant_row(world, "hello", &gone, 1000, &vector);
    }
    assert_hit(ask(world, of("hello there"), &vector), CACHE_TIER_SEMANTIC, "alive");
}

/* ---- vectors --------------------------------------------------------------------------------- */

static void bad_vectors_are_refused_before_anything_else(void **state)
{
    struct world *world = *state;
    static const float bad[][DIMENSION] = {
        {NAN, 1, 0, 0}, {INFINITY, 0, 0, 0}, {0, 0, 0, -INFINITY}, {0, 0, 0, 0}, {-0.0f, 0, 0, 0}};
    (void)set(world, of("hello"), NULL, "world"); /* even an exact hit does not hide them */
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct cache_get_request get = {
            .identity = of("hello"), .vector = bad[i], .dimension = DIMENSION};
        assert_failed(world, ask_request(world, &get), STATUS_BAD_VECTOR, "vector");
        const struct cache_set_request put = {
            .identity = of("new"), .vector = bad[i], .dimension = DIMENSION, .content = TEXT("x")};
        assert_failed(world, set_request(world, &put), STATUS_BAD_VECTOR, "vector");
    }
    static float wide[4097] = {1};
    const struct cache_get_request get = {
        .identity = of("hello"), .vector = wide, .dimension = 4097};
    assert_failed(world, ask_request(world, &get), STATUS_LIMIT_EXCEEDED, "vector");
    const struct cache_get_request stored = {.identity = of("new"), .only_exact = true};
    assert_int_equal(ask_request(world, &stored), STATUS_OK);
    assert_miss(&world->get.reply, CACHE_MISS_NOT_FOUND);
}

static void another_dimension_is_refused_and_stores_nothing(void **state)
{
    struct world *world = *state;
    static const float three[] = {1, 0, 0};
    const struct vector four = angle(0);
    (void)set(world, of("hello"), &four, "world");
    const struct cache_set_request put = {
        .identity = of("hello"), .vector = three, .dimension = 3, .content = TEXT("changed")};
    assert_failed(world, set_request(world, &put), STATUS_DIM_MISMATCH, "vector");
    const struct cache_get_request get = {
        .identity = of("hello there"), .vector = three, .dimension = 3};
    assert_failed(world, ask_request(world, &get), STATUS_DIM_MISMATCH, "vector");
    struct cache_stats stats;
    assert_int_equal(
        cache_stats(world->cache, TEXT(""), TEXT(""), world->arena, world->now_ms, &stats),
        STATUS_OK);
    assert_int_equal(stats.total_requests, 0); /* what fails is neither a request nor a lookup */
    assert_int_equal(stats.exact.lookups, 0);
    assert_hit(ask(world, of("hello"), &four), CACHE_TIER_EXACT, "world"); /* kept what it had */
    struct cache_set_request named = put; /* another embedder is another scope */
    named.identity.embedder = TEXT("small");
    assert_int_equal(set_request(world, &named), STATUS_OK);
    assert_true(world->set.indexed);
}

static void a_scope_that_was_emptied_takes_another_dimension(void **state)
{
    struct world *world = *state;
    static const float three[] = {1, 0, 0};
    const struct vector four = angle(0);
    (void)set(world, of("hello"), &four, "world");
    const struct cache_delete_request request = {.entry_ids = &world->set.entry_id,
                                                 .entry_ids_count = 1};
    uint32_t deleted = 0;
    assert_int_equal(cache_delete(world->cache, &request, world->arena, NULL, &deleted, NULL),
                     STATUS_OK);
    const struct cache_set_request put = {
        .identity = of("hello"), .vector = three, .dimension = 3, .content = TEXT("new")};
    assert_int_equal(set_request(world, &put), STATUS_OK);
    assert_true(world->set.indexed);
}

/* ---- time ------------------------------------------------------------------------------------ */

/* Of each thread its own: a builder looks at the clock, too. */
static _Thread_local uint64_t ticking_us;

static uint64_t tick(void)
{
    return ticking_us += 100;
}

static void steps_are_timed_by_the_clock_that_was_given(void **state)
{
    (void)state;
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    assert_int_equal(make_options(0, NULL, &world->options), STATUS_OK);
    const struct cache_setup setup = {
        .options = world->options, .version = "test", .clock_us = tick};
    assert_int_equal(cache_create(&setup, &world->cache, NULL), STATUS_OK);
    assert_int_equal(arena_create(&world->arena), STATUS_OK);
    const struct vector vector = angle(0);
    (void)set(world, of("hello"), &vector, "world");
    world->now_us = ticking_us = 1000;
    const struct cache_get_request request = {.identity = of("hello there"),
                                              .vector = vector.at,
                                              .dimension = DIMENSION,
                                              .include = CACHE_INCLUDE_TIMING};
    assert_int_equal(ask_request(world, &request), STATUS_OK);
    const struct cache_timing *timing = &world->get.reply.timing;
    assert_int_equal(timing->key_us, 100);
    assert_true(timing->search_us > 0);
    assert_true(timing->total_us >= timing->key_us + timing->search_us + timing->decide_us);
    const struct cache_stats stats = stats_of(world, "");
    assert_true(stats.semantic.p50_us > 0);
    assert_true(stats.semantic.p99_us >= stats.semantic.p50_us);
    void *opened = world;
    (void)world_destroy(&opened);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_plain, world_destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_set_is_an_exact_hit),
        TEST(only_exact_misses_as_not_found),
        TEST(only_semantic_passes_the_exact_entry_by),
        TEST(two_tenants_with_the_same_prompt_are_apart),
        TEST(a_tenants_own_paraphrase_still_hits),
        TEST(a_tenants_twin_at_rank_eleven_still_hits),
        TEST(foreign_system_prompts_do_not_crowd_out_ones_own),
        TEST(another_system_prompt_is_another_question),
        TEST(other_tools_are_another_question),
        TEST(an_expired_entry_hits_in_no_tier),
        TEST(expired_rows_do_not_fill_the_top),
        TEST(a_clock_that_jumps_forth_and_back_breaks_nothing),
        TEST(a_near_refusal_says_more_than_expired),
        TEST(what_cannot_be_compared_is_not_eligible),
        TEST(a_prompt_without_a_word_is_not_eligible),
        cmocka_unit_test_setup_teardown(with_the_policy_off_there_is_no_semantic_tier, open_off,
                                        world_destroy),
        TEST(an_overload_is_a_miss_of_its_own),
        TEST(a_paraphrase_hits_with_its_similarity_and_threshold),
        TEST(below_the_cut_is_a_near_miss_with_a_token),
        TEST(every_question_gets_its_own_answer),
        TEST(similarity_is_not_distance),
        TEST(thresholds_of_nought_and_one_are_values),
        TEST(a_threshold_outside_is_refused),
        TEST(the_reversed_question_does_not_hit),
        TEST(behind_a_blocked_candidate_the_next_one_serves),
        TEST(the_built_in_embedder_finds_a_paraphrase),
        TEST(vectors_of_a_client_and_of_the_server_never_meet),
        TEST(a_named_embedder_without_its_vector_is_for_the_exact_tier),
        TEST(candidates_are_shown_when_asked_for),
        TEST(an_entry_gone_between_search_and_read_is_passed_over),
        TEST(an_entry_newer_than_its_row_is_passed_over),
        TEST(equal_tags_are_not_equal_compatibility),
        TEST(many_dead_rows_in_front_do_not_hide_a_living_one),
        TEST(bad_vectors_are_refused_before_anything_else),
        TEST(another_dimension_is_refused_and_stores_nothing),
        TEST(a_scope_that_was_emptied_takes_another_dimension),
        cmocka_unit_test(steps_are_timed_by_the_clock_that_was_given),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
