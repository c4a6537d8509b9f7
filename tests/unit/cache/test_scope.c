/*
 * Goal: a scope in a space has one policy state, and scopes beyond the limit share one that fits
 * their space. Method: keys made from identities; a table of two; verdicts that must move one state
 * and no other.
 */
#include "cache/scope.h"

#include <math.h>

#include "base/thread.h"
#include "tests/support/unit.h"

struct world {
    struct policy_settings settings;
    struct scopes *scopes;
    struct embed_space server, lexical, client;
    struct arena *arena;
    struct epochs *epochs;
};

static int open_world(void **state)
{
    static struct world world;
    world = (struct world){
        .settings = {.mode = POLICY_ADAPTIVE,
                     .min_similarity = NAN,
                     .static_threshold = NAN,
                     .adaptive_initial = NAN,
                     .adaptive_min = NAN,
                     .adaptive_max = NAN,
                     .adaptive_step = 0.01f,
                     .guard_rules = GUARD_ALL},
        .server = {.id = 11, .name = "bge-small", .version = "1", .threshold_default = 0.9f},
        .lexical = {.id = 12, .name = "lexical", .version = "1", .threshold_default = 0.8f}};
    embed_client_space(TEXT("bge"), 1, &world.client);
    if (epochs_create(&world.epochs) != STATUS_OK)
        return -1;
    const struct scopes_setup setup = {.scopes_max = 2,
                                       .epochs = world.epochs,
                                       .policy = &world.settings,
                                       .server_space = world.server.id,
                                       .server_threshold = 0.9f,
                                       .lexical_space = world.lexical.id,
                                       .lexical_threshold = 0.8f,
                                       .client_threshold = 0.95f};
    *state = &world;
    if (scopes_create(&setup, &world.scopes) != STATUS_OK)
        return -1;
    return arena_create(&world.arena) == STATUS_OK ? 0 : -1;
}

static int close_world(void **state)
{
    struct world *world = *state;
    scopes_destroy(&world->scopes);
    assert_null(world->scopes);
    epochs_destroy(&world->epochs);
    arena_destroy(&world->arena);
    return 0;
}

static struct scope *obtain(struct world *world, const char *model, const struct embed_space *space)
{
    static const struct key_attribute attributes[] = {{{"region", 6}, {"eu", 2}}};
    const struct identity identity = {.model = text_of(model),
                                      .prompt = TEXT("hi"),
                                      .attributes = attributes,
                                      .attributes_count = 1};
    struct key key;
    assert_int_equal(key_make(&identity, &key_limits_standard, world->arena, &key, NULL),
                     STATUS_OK);
    const struct scope_names names = {
        .model = text_of(model), .attributes = attributes, .attributes_count = 1};
    return scopes_obtain(world->scopes, &names, key.scope.bytes, space);
}

static void a_scope_keeps_its_state_and_its_names(void **state)
{
    struct world *world = *state;
    struct scope *scope = obtain(world, "m", &world->server);
    assert_ptr_equal(obtain(world, "m", &world->server), scope);
    assert_ptr_equal(scopes_find(world->scopes, scope->digest, scope->space), scope);
    assert_true(text_equal(scope->model, TEXT("m")));
    assert_true(text_equal(scope->embedder, TEXT("bge-small-1")));
    assert_true(text_equal(scope->namespace_, TEXT("default")));
    assert_int_equal(scope->attributes_count, 1);
    assert_true(text_equal(scope->attributes[0].value, TEXT("eu")));
    assert_int_equal(scope->id, scope_id(scope->digest, scope->space));
    assert_false(scope->is_clients);
    assert_int_equal(scope->note, SCOPE_UNNOTED);
}

static void two_spaces_of_a_scope_are_apart(void **state)
{
    struct world *world = *state;
    struct scope *server = obtain(world, "m", &world->server);
    struct scope *client = obtain(world, "m", &world->client);
    assert_ptr_not_equal(server, client);
    assert_true(text_equal(client->embedder, TEXT("bge")));
    assert_true(client->is_clients);
    struct policy_view view;
    policy_scope_view(client->policy, &view);
    assert_true(fabsf(view.threshold - 0.95f) < 1e-4f);
    policy_scope_view(server->policy, &view);
    assert_true(fabsf(view.threshold - 0.90f) < 1e-4f);
}

static void scopes_beyond_the_limit_share_a_state_of_their_kind(void **state)
{
    struct world *world = *state;
    struct scope *first = obtain(world, "1", &world->server);
    (void)obtain(world, "2", &world->server);
    struct scope *third = obtain(world, "3", &world->server);
    assert_int_equal(third->id, 0);
    assert_ptr_equal(obtain(world, "4", &world->server), third);
    struct scope *client = obtain(world, "3", &world->client);
    assert_ptr_not_equal(client, third);
    assert_ptr_equal(obtain(world, "1", &world->server), first);
    struct policy_view view;
    policy_scope_view(client->policy, &view);
    assert_true(fabsf(view.threshold - 0.95f) < 1e-4f);
    policy_label(third->policy, true);
    policy_scope_view(third->policy, &view);
    assert_int_equal(view.feedback_count, 1);
    policy_scope_view(first->policy, &view);
    assert_int_equal(view.feedback_count, 0);
}

static void count(void *context, struct scope *scope)
{
    assert_int_not_equal(scope->id, 0);
    (*(int *)context)++;
}

static void the_shared_ones_are_not_listed(void **state)
{
    struct world *world = *state;
    (void)obtain(world, "1", &world->server);
    (void)obtain(world, "2", &world->server);
    (void)obtain(world, "3", &world->server);
    int scopes = 0;
    scopes_each(world->scopes, count, &scopes);
    assert_int_equal(scopes, 2);
}

static void each_kind_of_space_shares_a_state_of_its_own(void **state)
{
    struct world *world = *state;
    (void)obtain(world, "1", &world->server);
    (void)obtain(world, "2", &world->server);
    const struct scope *server = obtain(world, "3", &world->server);
    const struct scope *lexical = obtain(world, "3", &world->lexical);
    const struct scope *client = obtain(world, "3", &world->client);
    assert_int_equal(server->id, 0);
    assert_int_equal(lexical->id, 0);
    assert_int_equal(client->id, 0);
    assert_ptr_not_equal(lexical, server);
    assert_ptr_not_equal(lexical, client);
    struct policy_view view;
    policy_scope_view(lexical->policy, &view);
    assert_float_equal(view.threshold, 0.8, 1e-6);
    policy_scope_view(server->policy, &view);
    assert_float_equal(view.threshold, 0.9, 1e-6);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

static int register_thread(void **state)
{
    (void)state;
    return thread_register(THREAD_COMPUTE) == STATUS_OK ? 0 : -1;
}

static int unregister_thread(void **state)
{
    (void)state;
    thread_unregister();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_scope_keeps_its_state_and_its_names),
        TEST(two_spaces_of_a_scope_are_apart),
        TEST(scopes_beyond_the_limit_share_a_state_of_their_kind),
        TEST(the_shared_ones_are_not_listed),
        TEST(each_kind_of_space_shares_a_state_of_its_own),
    };
    return cmocka_run_group_tests(tests, register_thread, unregister_thread);
}
