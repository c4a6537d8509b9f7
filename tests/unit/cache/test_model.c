/*
 * Goal: over 100,000 random calls the cache answers as a list searched by brute force would: the
 * right tier, the nearest living entry of the right scope and compatibility, never one that
 * expired, died or is another tenant's. Method: 192 keys (two tenants, two namespaces, two system
 * prompts, 24 questions at known angles); the model keeps one slot a key. Where two candidates are
 * equally near, either may be served.
 */
#include "tests/unit/cache/world.h"

enum { TENANTS = 2, NAMESPACES = 2, SYSTEMS = 2, PROMPTS = 24, CALLS = 100000 };
enum { KEYS = TENANTS * NAMESPACES * SYSTEMS * PROMPTS };

static const char *const tenants[] = {"acme", "zeta"};
static const char *const names[] = {"faq", "shop"};
static const char *const systems[] = {"", "Be brief."};
static const char *const tags[] = {"red", "green", "blue"};
static const double CUT = 0.95;

struct slot { /* what the model knows of one key */
    bool is_there;
    int64_t expires_ms;
    double at; /* its vector's angle */
    int tag;
    int version;
    struct digest id;
};

struct model {
    struct world *world;
    struct slot slots[KEYS];
    uint64_t random;
    int version;
    int semantic_hits, exact_hits, misses; /* so that the test cannot pass by testing nothing */
};

static unsigned roll(struct model *model, unsigned sides)
{
    return (unsigned)(next_random(&model->random) % sides);
}

static int scope_of(int key)
{
    return key / PROMPTS / SYSTEMS;
}

static int group_of(int key) /* scope and compatibility */
{
    return key / PROMPTS;
}

/* Words that differ in their letters alone, so that the guard has nothing to say. */
static struct identity identity_of(int key, char prompt[32])
{
    const int number = key % PROMPTS;
    (void)snprintf(prompt, 32, "explain w%cx%c", 'a' + number / 5, 'a' + number % 5);
    return (struct identity){.tenant = text_of(tenants[scope_of(key) / NAMESPACES]),
                             .namespace_ = text_of(names[scope_of(key) % NAMESPACES]),
                             .model = TEXT("m"),
                             .system_prompt = text_of(systems[group_of(key) % SYSTEMS]),
                             .prompt = text_of(prompt)};
}

static double angle_of(struct model *model, int key)
{
    return (key % PROMPTS) * 0.12 + roll(model, 3) * 0.02;
}

static bool is_alive(const struct model *model, int key)
{
    return model->slots[key].is_there && model->slots[key].expires_ms > model->world->now_ms;
}

static void content_of(int key, int version, char out_text[32])
{
    (void)snprintf(out_text, 32, "%d/%d", key, version);
}

static void call_set(struct model *model)
{
    struct world *world = model->world;
    char prompt[32], content[32];
    const int key = (int)roll(model, KEYS);
    struct slot *slot = &model->slots[key];
    const double at = angle_of(model, key);
    const struct vector vector = angle(at);
    const int tag = (int)roll(model, 3);
    const struct text tag_text = text_of(tags[tag]);
    content_of(key, ++model->version, content);
    const struct cache_set_request request = {.identity = identity_of(key, prompt),
                                              .content = text_of(content),
                                              .vector = vector.at,
                                              .dimension = DIMENSION,
                                              .ttl_given = true,
                                              .ttl_ms = 1 + roll(model, 400),
                                              .tags = &tag_text,
                                              .tags_count = 1};
    assert_int_equal(set_request(world, &request), STATUS_OK);
    assert_true(world->set.stored);
    assert_true(world->set.indexed);
    *slot =
        (struct slot){true, world->set.expires_ms, at, tag, model->version, world->set.entry_id};
}

static double best_of(const struct model *model, int group, double at)
{
    double best = -2;
    for (int key = group * PROMPTS; key < (group + 1) * PROMPTS; key++) {
        if (is_alive(model, key) && cos(model->slots[key].at - at) > best)
            best = cos(model->slots[key].at - at);
    }
    return best;
}

/* The served content names the key it is of: it must be alive, of this group, current, and the
 * nearest. */
static void check_semantic(struct model *model, int group, double at, double best)
{
    const struct cache_get_reply *reply = &model->world->get.reply;
    const struct text served = entry_answer(reply->found.entry);
    char text[32] = "";
    memcpy(text, served.bytes, served.length);
    char *end = NULL;
    const int key = (int)strtol(text, &end, 10);
    assert_int_equal(group_of(key), group);
    assert_true(is_alive(model, key));
    assert_int_equal(strtol(end + 1, NULL, 10), model->slots[key].version);
    assert_true(fabs(cos(model->slots[key].at - at) - best) < 1e-5);
    assert_true(fabs(reply->similarity - best) < 1e-5);
    model->semantic_hits++;
}

static void check_miss(struct model *model, int key, double best)
{
    const struct cache_get_reply *reply = &model->world->get.reply;
    model->misses++;
    if (best > 0) /* the floor of clients' vectors */
        assert_miss(reply, CACHE_MISS_BELOW_CUT);
    else if (reply->miss_reason != CACHE_MISS_EXPIRED)
        assert_miss(reply, CACHE_MISS_NO_CANDIDATE);
    else
        assert_true(model->slots[key].is_there); /* expired, not swept yet */
}

static void call_get(struct model *model)
{
    char prompt[32], content[32];
    const int key = (int)roll(model, KEYS);
    const double at = angle_of(model, key);
    const struct vector vector = angle(at);
    const double best = best_of(model, group_of(key), at);
    const struct cache_get_reply *reply = ask(model->world, identity_of(key, prompt), &vector);
    if (is_alive(model, key)) {
        content_of(key, model->slots[key].version, content);
        assert_hit(reply, CACHE_TIER_EXACT, content);
        model->exact_hits++;
    } else if (fabs(best - CUT) < 1e-4 || fabs(best) < 1e-4) {
        return; /* too close to call */
    } else if (best > CUT) {
        assert_int_equal(reply->tier, CACHE_TIER_SEMANTIC);
        check_semantic(model, group_of(key), at, best);
    } else {
        check_miss(model, key, best);
    }
}

static void call_delete(struct model *model)
{
    struct world *world = model->world;
    char prompt[32];
    const int key = (int)roll(model, KEYS);
    const struct identity identity = identity_of(key, prompt);
    struct slot *slot = &model->slots[key];
    struct cache_delete_request request = {.tenant = identity.tenant, .identity = &identity};
    if (slot->is_there && roll(model, 2) == 0) {
        request.identity = NULL;
        request.namespace_ = identity.namespace_;
        request.entry_ids = &slot->id;
        request.entry_ids_count = 1;
    }
    uint32_t deleted = 0;
    world_forget(world);
    assert_int_equal(cache_delete(world->cache, &request, world->arena, NULL, &deleted, NULL),
                     STATUS_OK);
    if (is_alive(model, key))
        assert_int_equal(deleted, 1);
    if (!slot->is_there)
        assert_int_equal(deleted, 0);
    slot->is_there = false;
}

static void call_invalidate(struct model *model)
{
    struct world *world = model->world;
    const int scope = (int)roll(model, TENANTS * NAMESPACES);
    const int tag = (int)roll(model, 3);
    const struct text tag_text = text_of(tags[tag]);
    const struct cache_selector selector = {.tenant = text_of(tenants[scope / NAMESPACES]),
                                            .namespace_ = text_of(names[scope % NAMESPACES]),
                                            .tags = &tag_text,
                                            .tags_count = 1,
                                            .dry_run = roll(model, 2) == 0};
    uint64_t alive = 0, there = 0;
    for (int key = 0; key < KEYS; key++) {
        if (scope_of(key) != scope || model->slots[key].tag != tag || !model->slots[key].is_there)
            continue;
        alive += is_alive(model, key);
        there++;
        if (!selector.dry_run)
            model->slots[key].is_there = false;
    }
    struct cache_invalidate_reply reply;
    assert_int_equal(cache_invalidate(world->cache, &selector, NULL, &reply, NULL), STATUS_OK);
    assert_true(reply.matched >= alive);
    assert_true(reply.matched <= there);
}

static void call_any(struct model *model)
{
    const unsigned which = roll(model, 100);
    if (which < 30)
        call_set(model);
    else if (which < 85)
        call_get(model);
    else if (which < 90)
        call_delete(model);
    else if (which < 91)
        call_invalidate(model);
    else if (which < 98)
        model->world->now_ms += roll(model, 20);
    else
        cache_tick(model->world->cache, model->world->now_ms);
}

/* After a whole turn of the sweeping hand only the living are left, and each has its row. */
static void check_what_is_left(struct model *model)
{
    struct world *world = model->world;
    uint64_t alive = 0, entries = 0, rows = 0;
    for (int i = 0; i < 700; i++)
        cache_tick(world->cache, world->now_ms);
    for (int key = 0; key < KEYS; key++)
        alive += is_alive(model, key);
    for (int i = 0; i < TENANTS; i++) {
        struct cache_stats stats;
        world_forget(world);
        assert_int_equal(cache_stats(world->cache, text_of(tenants[i]), TEXT(""), world->arena,
                                     world->now_ms, &stats),
                         STATUS_OK);
        entries += stats.entries;
        rows += stats.semantic.entries;
    }
    assert_int_equal(entries, alive);
    assert_int_equal(rows, alive);
}

static void a_hundred_thousand_calls_agree_with_the_model(void **state)
{
    static struct model model;
    model = (struct model){.world = *state, .random = 20261125};
    for (int i = 0; i < CALLS; i++)
        call_any(&model);
    check_what_is_left(&model);
    assert_true(model.exact_hits > 1000);
    assert_true(model.semantic_hits > 1000);
    assert_true(model.misses > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_hundred_thousand_calls_agree_with_the_model, world_plain,
                                        world_destroy),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
