/*
 * Goal: Delete and Invalidate remove what they name, on both tiers, before they return, and nothing
 * of anybody else. Method: a handful of entries over tenants, namespaces, models and tags; after
 * each verb both tiers are asked.
 */
#include "tests/unit/cache/world.h"

struct row {
    const char *tenant, *namespace_, *model, *prompt, *tag;
};

static const struct row rows[] = {
    {"a", "faq", "m1", "first question", "red"},  {"a", "faq", "m2", "second question", "blue"},
    {"a", "shop", "m1", "third question", "red"}, {"a", "shop", "m1", "fourth question", ""},
    {"b", "faq", "m1", "first question", "red"},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static struct identity identity_of(const struct row *row)
{
    return (struct identity){.tenant = text_of(row->tenant),
                             .namespace_ = text_of(row->namespace_),
                             .model = text_of(row->model),
                             .prompt = text_of(row->prompt)};
}

static const struct vector vector = {{1, 0, 0, 0}};

static int open_rows(void **state)
{
    struct world *world = world_create(0, NULL);
    for (int i = 0; i < ROWS; i++) {
        const struct text tags[] = {TEXT("every"), text_of(rows[i].tag)};
        const struct cache_set_request request = {.identity = identity_of(&rows[i]),
                                                  .content = text_of(rows[i].prompt),
                                                  .vector = vector.at,
                                                  .dimension = DIMENSION,
                                                  .tags = tags,
                                                  .tags_count = rows[i].tag[0] != '\0' ? 2 : 1};
        assert_int_equal(set_request(world, &request), STATUS_OK);
        world->now_ms += 1000;
    }
    *state = world;
    return 0;
}

/* A bit for each row that is still served; exact tier and semantic tier must agree. */
static unsigned served(struct world *world)
{
    unsigned bits = 0;
    for (int i = 0; i < ROWS; i++) {
        const struct identity identity = identity_of(&rows[i]);
        if (ask(world, identity, NULL)->tier == CACHE_TIER_EXACT)
            bits |= 1u << i;
    }
    return bits;
}

static uint64_t entries_of(struct world *world, const char *tenant, bool semantic)
{
    struct cache_stats stats;
    assert_int_equal(
        cache_stats(world->cache, text_of(tenant), TEXT(""), world->arena, world->now_ms, &stats),
        STATUS_OK);
    return semantic ? stats.semantic.entries : stats.entries;
}

static enum status invalidate(struct world *world, struct cache_selector selector,
                              struct cache_invalidate_reply *out_reply)
{
    world_forget(world);
    if (selector.tenant.length == 0)
        selector.tenant = TEXT("a");
    return cache_invalidate(world->cache, &selector, NULL, out_reply, &world->failure);
}

static uint64_t matched(struct world *world, struct cache_selector selector)
{
    struct cache_invalidate_reply reply;
    if (invalidate(world, selector, &reply) != STATUS_OK)
        fail_msg("%s: %s", world->failure.field, world->failure.message);
    return reply.matched;
}

/* ---- Delete ---------------------------------------------------------------------------------- */

static struct digest id_of(struct world *world, int which)
{
    const struct identity identity = identity_of(&rows[which]);
    struct key key;
    assert_int_equal(key_make(&identity, &key_limits_standard, world->arena, &key, NULL),
                     STATUS_OK);
    return key.exact;
}

static void ids_are_deleted_only_in_their_own_namespace(void **state)
{
    struct world *world = *state;
    const struct digest ids[] = {
        id_of(world, 0), id_of(world, 2), id_of(world, 4), id_of(world, 0), {{0}}};
    const struct cache_delete_request request = {
        .tenant = TEXT("a"), .namespace_ = TEXT("faq"), .entry_ids = ids, .entry_ids_count = 5};
    uint32_t deleted = 0;
    assert_int_equal(cache_delete(world->cache, &request, world->arena, NULL, &deleted, NULL),
                     STATUS_OK);
    assert_int_equal(deleted, 1);
    assert_int_equal(served(world), 0x1e);
    assert_int_equal(entries_of(world, "a", true), 3);
}

static void an_identity_is_deleted_with_its_row(void **state)
{
    struct world *world = *state;
    const struct identity identity = identity_of(&rows[2]);
    const struct cache_delete_request request = {.tenant = TEXT("a"), .identity = &identity};
    uint32_t deleted = 0;
    assert_int_equal(cache_delete(world->cache, &request, world->arena, NULL, &deleted, NULL),
                     STATUS_OK);
    assert_int_equal(deleted, 1);
    assert_int_equal(served(world), 0x1b);
    assert_int_equal(entries_of(world, "a", true), 3);
    assert_int_equal(cache_delete(world->cache, &request, world->arena, NULL, &deleted, NULL),
                     STATUS_OK);
    assert_int_equal(deleted, 0);
}

static void an_expired_entry_can_still_be_deleted(void **state)
{
    struct world *world = *state;
    world->now_ms += 25LL * 3600 * 1000;
    const struct digest id = id_of(world, 0);
    const struct cache_delete_request request = {
        .tenant = TEXT("a"), .namespace_ = TEXT("faq"), .entry_ids = &id, .entry_ids_count = 1};
    uint32_t deleted = 0;
    assert_int_equal(cache_delete(world->cache, &request, world->arena, NULL, &deleted, NULL),
                     STATUS_OK);
    assert_int_equal(deleted, 1);
}

static void a_delete_of_nothing_or_too_much_is_refused(void **state)
{
    struct world *world = *state;
    static struct digest ids[257];
    struct cache_delete_request request = {.tenant = TEXT("a")};
    uint32_t deleted = 7;
    assert_failed(
        world, cache_delete(world->cache, &request, world->arena, NULL, &deleted, &world->failure),
        STATUS_LIMIT_EXCEEDED, "entry_ids");
    request.entry_ids = ids;
    request.entry_ids_count = 257;
    assert_failed(
        world, cache_delete(world->cache, &request, world->arena, NULL, &deleted, &world->failure),
        STATUS_LIMIT_EXCEEDED, "entry_ids");
    request.entry_ids_count = 1;
    request.namespace_ = TEXT("no spaces");
    assert_failed(
        world, cache_delete(world->cache, &request, world->arena, NULL, &deleted, &world->failure),
        STATUS_BAD_NAME, "namespace");
    const struct identity empty = {.model = TEXT("m")};
    request = (struct cache_delete_request){.identity = &empty};
    assert_failed(
        world, cache_delete(world->cache, &request, world->arena, NULL, &deleted, &world->failure),
        STATUS_EMPTY_PROMPT, "identity.prompt");
    assert_int_equal(deleted, 7);
}

/* ---- Invalidate ------------------------------------------------------------------------------ */

static void all_parts_of_a_selector_must_match(void **state)
{
    struct world *world = *state;
    const struct text red[] = {TEXT("red")};
    assert_int_equal(matched(world, (struct cache_selector){.namespace_ = TEXT("faq"),
                                                            .model = TEXT("m2"),
                                                            .tags = red,
                                                            .tags_count = 1}),
                     0);
    assert_int_equal(
        matched(world,
                (struct cache_selector){.namespace_ = TEXT("faq"), .tags = red, .tags_count = 1}),
        1);
    assert_int_equal(served(world), 0x1e);
    assert_int_equal(entries_of(world, "a", true), 3);
}

static void one_of_the_tags_is_enough_and_other_tenants_stay(void **state)
{
    struct world *world = *state;
    const struct text tags[] = {TEXT("blue"), TEXT("red")};
    assert_int_equal(matched(world, (struct cache_selector){.tags = tags, .tags_count = 2}), 3);
    assert_int_equal(served(world), 0x18);
    assert_int_equal(entries_of(world, "a", true), 1);
    assert_int_equal(entries_of(world, "b", true), 1);
}

static void a_model_is_enough(void **state)
{
    struct world *world = *state;
    assert_int_equal(matched(world, (struct cache_selector){.model = TEXT("m1")}), 3);
    assert_int_equal(served(world), 0x12);
}

static void a_moment_parts_old_from_new(void **state)
{
    struct world *world = *state;
    assert_int_equal(matched(world, (struct cache_selector){.created_before_ms = 1002000}), 2);
    assert_int_equal(served(world), 0x1c);
}

static void a_whole_namespace_needs_its_name_twice(void **state)
{
    struct world *world = *state;
    struct cache_invalidate_reply reply;
    struct cache_selector selector = {.namespace_ = TEXT("faq")};
    assert_failed(world, invalidate(world, selector, &reply), STATUS_UNCONFIRMED, "confirm");
    selector.confirm = TEXT("shop");
    assert_failed(world, invalidate(world, selector, &reply), STATUS_UNCONFIRMED, "confirm");
    assert_int_equal(served(world), 0x1f);
    selector.confirm = TEXT("faq");
    assert_int_equal(matched(world, selector), 2);
    assert_int_equal(served(world), 0x1c);
}

static void a_dry_run_counts_and_samples_and_removes_nothing(void **state)
{
    struct world *world = *state;
    struct cache_invalidate_reply reply;
    const struct cache_selector selector = {.namespace_ = TEXT("faq"), .dry_run = true};
    assert_int_equal(invalidate(world, selector, &reply), STATUS_OK);
    assert_int_equal(reply.matched, 2);
    assert_int_equal(reply.samples_count, 2);
    const struct digest first = id_of(world, 0), second = id_of(world, 1);
    assert_true(digest_equal(&reply.samples[0], &first) || digest_equal(&reply.samples[1], &first));
    assert_true(digest_equal(&reply.samples[0], &second) ||
                digest_equal(&reply.samples[1], &second));
    assert_int_equal(served(world), 0x1f);
}

static void a_dry_run_counts_what_a_real_one_removes(void **state)
{
    struct world *world = *state;
    struct cache_invalidate_reply dry, real;
    struct cache_selector selector = {.namespace_ = TEXT("faq"), .dry_run = true};
    world->now_ms += 25LL * 3600 * 1000; /* all have expired, and nothing has been swept */
    assert_int_equal(invalidate(world, selector, &dry), STATUS_OK);
    selector.dry_run = false;
    selector.confirm = TEXT("faq");
    assert_int_equal(invalidate(world, selector, &real), STATUS_OK);
    assert_int_equal(dry.matched, 2);
    assert_int_equal(real.matched, 2);
    assert_int_equal(dry.samples_count, 2);
    assert_int_equal(real.samples_count, 2);
    assert_int_equal(invalidate(world, selector, &real), STATUS_OK);
    assert_int_equal(real.matched, 0);
}

static void a_confirmation_that_is_given_must_be_right(void **state)
{
    struct world *world = *state;
    struct cache_invalidate_reply reply;
    struct cache_selector selector = {
        .namespace_ = TEXT("faq"), .model = TEXT("m1"), .confirm = TEXT("shop")};
    assert_failed(world, invalidate(world, selector, &reply), STATUS_UNCONFIRMED, "confirm");
    selector.dry_run = true;
    assert_failed(world, invalidate(world, selector, &reply), STATUS_UNCONFIRMED, "confirm");
    selector.namespace_ = TEXT(""); /* every namespace has no name to confirm */
    assert_failed(world, invalidate(world, selector, &reply), STATUS_UNCONFIRMED, "confirm");
    assert_int_equal(served(world), 0x1f);
    selector = (struct cache_selector){
        .namespace_ = TEXT("faq"), .model = TEXT("m1"), .confirm = TEXT("faq")};
    assert_int_equal(matched(world, selector), 1);
}

static void an_empty_selector_is_refused_and_limits_hold(void **state)
{
    struct world *world = *state;
    struct cache_invalidate_reply reply;
    static struct text tags[17];
    struct cache_selector selector = {.dry_run = true};
    assert_failed(world, invalidate(world, selector, &reply), STATUS_LIMIT_EXCEEDED, "selector");
    selector.tags = tags;
    selector.tags_count = 1;
    assert_failed(world, invalidate(world, selector, &reply), STATUS_LIMIT_EXCEEDED,
                  "selector.tags[0]");
    selector.tags_count = 17;
    assert_failed(world, invalidate(world, selector, &reply), STATUS_LIMIT_EXCEEDED,
                  "selector.tags");
    selector = (struct cache_selector){.namespace_ = TEXT("no spaces"), .dry_run = true};
    assert_failed(world, invalidate(world, selector, &reply), STATUS_BAD_NAME,
                  "selector.namespace");
}

static void thousands_go_at_once_with_ten_different_samples(void **state)
{
    struct world *world = *state;
    const struct text bulk[] = {TEXT("bulk")};
    char prompt[32];
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(prompt, sizeof(prompt), "bulk %d", i);
        struct row row = {"a", "bulk", "m1", prompt, ""};
        const struct cache_set_request request = {.identity = identity_of(&row),
                                                  .content = TEXT("x"),
                                                  .vector = vector.at,
                                                  .dimension = DIMENSION,
                                                  .tags = bulk,
                                                  .tags_count = 1};
        assert_int_equal(set_request(world, &request), STATUS_OK);
    }
    struct cache_invalidate_reply reply;
    const struct cache_selector selector = {.tags = bulk, .tags_count = 1};
    assert_int_equal(invalidate(world, selector, &reply), STATUS_OK);
    assert_int_equal(reply.matched, 3000);
    assert_int_equal(reply.samples_count, CACHE_SAMPLES_MAX);
    for (size_t i = 0; i < reply.samples_count; i++) {
        for (size_t j = 0; j < i; j++)
            assert_false(digest_equal(&reply.samples[i], &reply.samples[j]));
    }
    assert_int_equal(served(world), 0x1f);
    assert_int_equal(entries_of(world, "a", true), 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rows, world_destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ids_are_deleted_only_in_their_own_namespace),
        TEST(an_identity_is_deleted_with_its_row),
        TEST(an_expired_entry_can_still_be_deleted),
        TEST(a_delete_of_nothing_or_too_much_is_refused),
        TEST(all_parts_of_a_selector_must_match),
        TEST(one_of_the_tags_is_enough_and_other_tenants_stay),
        TEST(a_model_is_enough),
        TEST(a_moment_parts_old_from_new),
        TEST(a_whole_namespace_needs_its_name_twice),
        TEST(a_dry_run_counts_and_samples_and_removes_nothing),
        TEST(a_dry_run_counts_what_a_real_one_removes),
        TEST(a_confirmation_that_is_given_must_be_right),
        TEST(an_empty_selector_is_refused_and_limits_hold),
        TEST(thousands_go_at_once_with_ten_different_samples),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
