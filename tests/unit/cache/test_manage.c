/*
 * Goal (enter.c, wishes.c, budget.c, manage.c, drop.c): a namespace is made, changed and dropped
 * whole, its settings are kept by every verb, and nobody who only asks makes one. Method: a cache
 * with client vectors; each setting by what a Get or a Set sees of it; Sets on other threads while
 * their namespace is dropped; what is accounted before and behind a full one; ten thousand of
 * them.
 */
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/unit/cache/world.h"

static struct identity in(const char *namespace_, const char *prompt)
{
    struct identity identity = of(prompt);
    identity.namespace_ = text_of(namespace_);
    return identity;
}

static struct cache_namespace_change change_of(const char *name, unsigned fields)
{
    return (struct cache_namespace_change){
        .name = text_of(name), .fields = fields, .settings = cache_namespace_settings_none};
}

static enum status create_as(struct world *world, const struct cache_namespace_change *change)
{
    struct cache_namespace_view view;
    world_forget(world);
    return cache_create_namespace(world->cache, change, world->arena, NULL, &view, &world->failure);
}

static enum status update_as(struct world *world, const struct cache_namespace_change *change)
{
    struct cache_namespace_view view;
    world_forget(world);
    return cache_update_namespace(world->cache, change, world->arena, NULL, &view, &world->failure);
}

static void create(struct world *world, const char *name)
{
    const struct cache_namespace_change change = change_of(name, 0);
    assert_int_equal(create_as(world, &change), STATUS_OK);
}

static void update(struct world *world, const struct cache_namespace_change *change)
{
    if (update_as(world, change) != STATUS_OK)
        fail_msg("%s: %s", world->failure.field, world->failure.message);
}

static enum status drop(struct world *world, const char *name, uint64_t *out_removed)
{
    world_forget(world);
    return cache_drop_namespace(world->cache, TEXT(""), text_of(name), text_of(name), NULL,
                                out_removed, &world->failure);
}

static enum status view(struct world *world, const char *name, struct cache_namespace_view *out)
{
    world_forget(world);
    return cache_get_namespace(world->cache, TEXT(""), text_of(name), world->arena, out,
                               &world->failure);
}

/* ---- there or not ---- */

static void a_get_makes_no_namespace_and_a_set_does(void **state)
{
    struct world *world = *state;
    struct cache_namespace_view seen;
    assert_miss(ask(world, in("a", "hi"), NULL), CACHE_MISS_NO_CANDIDATE);
    assert_int_equal(view(world, "a", &seen), STATUS_NOT_FOUND);
    assert_int_equal(stats_of(world, "").total_requests, 1);
    (void)set(world, in("a", "hi"), NULL, "x");
    assert_int_equal(view(world, "a", &seen), STATUS_OK);
    assert_int_equal(seen.entries, 1);
    assert_int_equal(seen.version, 0);
    assert_hit(ask(world, in("a", "hi"), NULL), CACHE_TIER_EXACT, "x");
    assert_int_equal(stats_of(world, "a").total_requests, 1);
    assert_int_equal(stats_of(world, "").total_requests, 2);
}

static void names_that_are_only_asked_for_fill_no_limit(void **state)
{
    struct world *world = *state;
    char name[16];
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof(name), "n%d", i);
        (void)ask(world, in(name, "hi"), NULL);
    }
    (void)set(world, in("one", "hi"), NULL, "x"); /* beside default: two of three */
    create(world, "two");
    const struct cache_namespace_change third = change_of("three", 0);
    assert_failed(world, create_as(world, &third), STATUS_LIMIT_EXCEEDED, "namespace.name");
    const struct cache_set_request request = {.identity = in("four", "hi"), .content = TEXT("x")};
    assert_failed(world, set_request(world, &request), STATUS_LIMIT_EXCEEDED, "identity.namespace");
    uint64_t removed = 0;
    assert_int_equal(drop(world, "two", &removed), STATUS_OK);
    create(world, "three");
}

static void strict_knows_what_was_created_and_default(void **state)
{
    struct world *world = *state;
    const struct cache_get_request get = {.identity = in("a", "hi")};
    const struct cache_set_request request = {.identity = in("a", "hi"), .content = TEXT("x")};
    assert_failed(world, ask_request(world, &get), STATUS_NAMESPACE_UNKNOWN, "identity.namespace");
    assert_failed(world, set_request(world, &request), STATUS_NAMESPACE_UNKNOWN,
                  "identity.namespace");
    (void)set(world, of("hi"), NULL, "y");
    create(world, "a");
    (void)set(world, in("a", "hi"), NULL, "x");
    assert_hit(ask(world, in("a", "hi"), NULL), CACHE_TIER_EXACT, "x");
    uint64_t removed = 0;
    assert_int_equal(drop(world, "a", &removed), STATUS_OK);
    assert_failed(world, ask_request(world, &get), STATUS_NAMESPACE_UNKNOWN, "identity.namespace");
}

static void a_name_is_created_once_and_one_in_use_may_be(void **state)
{
    struct world *world = *state;
    const struct cache_namespace_change change = change_of("a", 0);
    (void)set(world, in("a", "hi"), NULL, "x");
    create(world, "a");
    assert_failed(world, create_as(world, &change), STATUS_ALREADY_EXISTS, "namespace.name");
    const struct cache_namespace_change unknown = change_of("b", NAMESPACE_TTL);
    assert_failed(world, update_as(world, &unknown), STATUS_NOT_FOUND, "name");
}

static void a_list_is_sorted_and_goes_on_behind_a_name(void **state)
{
    struct world *world = *state;
    static const char *const names[] = {"d", "b", "c", "a"};
    for (size_t i = 0; i < 4; i++)
        create(world, names[i]);
    struct cache_namespace_view *views = NULL;
    size_t count = 0;
    bool more = false;
    assert_int_equal(cache_list_namespaces(world->cache, TEXT(""), TEXT(""), 3, world->arena,
                                           &views, &count, &more),
                     STATUS_OK);
    assert_int_equal(count, 3);
    assert_true(more);
    assert_true(text_equal(views[0].name, TEXT("a")));
    assert_true(text_equal(views[2].name, TEXT("c")));
    assert_int_equal(cache_list_namespaces(world->cache, TEXT(""), TEXT("c"), 3, world->arena,
                                           &views, &count, &more),
                     STATUS_OK);
    assert_int_equal(count, 2); /* d, default */
    assert_false(more);
    assert_true(text_equal(views[1].name, TEXT("default")));
}

/* ---- settings ---- */

static void lives_are_as_the_namespace_says(void **state)
{
    struct world *world = *state;
    struct cache_namespace_change change = change_of("a", NAMESPACE_TTL | NAMESPACE_TTL_MAX);
    change.settings.ttl_ms = 1000;
    change.settings.ttl_max_ms = 5000;
    assert_int_equal(create_as(world, &change), STATUS_OK);
    assert_int_equal(set(world, in("a", "hi"), NULL, "x")->expires_ms, world->now_ms + 1000);
    struct cache_set_request request = {
        .identity = in("a", "hi"), .content = TEXT("x"), .ttl_given = true, .ttl_ms = 5001};
    assert_failed(world, set_request(world, &request), STATUS_LIMIT_EXCEEDED, "ttl_ms");
    request.identity = of("hi");
    assert_int_equal(set_request(world, &request), STATUS_OK);
    change.settings.ttl_ms = 5001;
    assert_failed(world, update_as(world, &change), STATUS_LIMIT_EXCEEDED, "namespace.ttl_ms");
}

static void a_closed_tier_is_neither_asked_nor_filled(void **state)
{
    struct world *world = *state;
    const struct vector near = angle(0);
    struct cache_namespace_change change = change_of("a", NAMESPACE_TIERS);
    change.settings.tiers = 1u << CACHE_TIER_EXACT;
    assert_int_equal(create_as(world, &change), STATUS_OK);
    assert_false(set(world, in("a", "first"), &near, "x")->indexed);
    assert_miss(ask(world, in("a", "second"), &near), CACHE_MISS_DISABLED);
    change.settings.tiers = 1u << CACHE_TIER_SEMANTIC;
    update(world, &change);
    assert_true(set(world, in("a", "third"), &near, "z")->indexed);
    assert_hit(ask(world, in("a", "third"), &near), CACHE_TIER_SEMANTIC, "z");
}

static void a_policy_holds_for_scopes_that_are_and_that_come(void **state)
{
    struct world *world = *state;
    const struct vector stored = angle(0), near = angle(0.5); /* cosine 0.88 */
    struct cache_namespace_change change = change_of("a", NAMESPACE_POLICY);
    (void)set(world, in("a", "how does it work"), &stored, "x");
    assert_miss(ask(world, in("a", "how does it run"), &near), CACHE_MISS_BELOW_CUT);
    change.settings.policy.static_threshold = 0.8f;
    update(world, &change);
    assert_hit(ask(world, in("a", "how does it run"), &near), CACHE_TIER_SEMANTIC, "x");
    struct identity other = in("a", "how does it work");
    other.model = TEXT("later");
    (void)set(world, other, &stored, "y");
    other.prompt = TEXT("how does it run");
    assert_hit(ask(world, other, &near), CACHE_TIER_SEMANTIC, "y");
    change.settings.policy.mode = POLICY_SHADOW + 1;
    update(world, &change);
    const struct cache_get_reply *reply = ask(world, other, &near);
    assert_miss(reply, CACHE_MISS_DISABLED);
    assert_true(reply->near_miss);
    change.settings.policy.mode = POLICY_OFF + 1;
    update(world, &change);
    assert_miss(ask(world, other, &near), CACHE_MISS_DISABLED);
    change.settings.policy.min_similarity = 1.5f;
    assert_failed(world, update_as(world, &change), STATUS_BAD_THRESHOLD, "namespace.policy");
    change.settings.policy.min_similarity = 1;
    change.settings.policy.adaptive_min = 0.9f;
    change.settings.policy.adaptive_max = 0.8f;
    assert_failed(world, update_as(world, &change), STATUS_BAD_THRESHOLD, "adaptive.min");
}

static void warm_and_longer_talks_are_compared_where_it_is_allowed(void **state)
{
    struct world *world = *state;
    const struct vector stored = angle(0);
    struct identity warm = in("a", "tell me of it");
    warm.params.temperature_given = true;
    warm.params.temperature = 0.7;
    struct cache_namespace_change change =
        change_of("a", NAMESPACE_TEMPERATURE_MAX | NAMESPACE_USER_TURNS_MAX);
    create(world, "a");
    assert_false(set(world, warm, &stored, "x")->indexed);
    change.settings.temperature_max = 0.7;
    change.settings.user_turns_max = 2;
    update(world, &change);
    assert_true(set(world, warm, &stored, "x")->indexed);
    warm.prompt = TEXT("tell me about it");
    assert_hit(ask(world, warm, &stored), CACHE_TIER_SEMANTIC, "x");
    warm.params.temperature = 0.8;
    assert_miss(ask(world, warm, &stored), CACHE_MISS_NOT_ELIGIBLE);
    static const struct key_message talk[] = {{.role = {"user", 4}, .content = {"hi", 2}},
                                              {.role = {"assistant", 9}, .content = {"yes", 3}},
                                              {.role = {"user", 4}, .content = {"go on", 5}}};
    struct identity longer = in("a", "");
    longer.messages = talk;
    longer.messages_count = 3;
    assert_true(set(world, longer, &stored, "x")->indexed);
    longer.namespace_ = TEXT("b");
    assert_false(set(world, longer, &stored, "x")->indexed);
}

static void budgets_hold_and_an_update_at_capacity_evicts_nobody(void **state)
{
    struct world *world = *state;
    char prompt[16];
    struct cache_namespace_change change = change_of("a", NAMESPACE_ENTRIES_MAX);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(prompt, sizeof(prompt), "p%d", i);
        (void)set(world, in("a", prompt), NULL, "x");
        (void)set(world, in("b", prompt), NULL, "x");
    }
    (void)ask(world, in("a", "p0"), NULL);
    (void)ask(world, in("a", "p0"), NULL);
    change.settings.entries_max = 5; /* what is too much goes at once, the oldest first */
    update(world, &change);
    assert_int_equal(stats_of(world, "a").exact.entries, 5);
    assert_int_equal(stats_of(world, "a").evictions, 15);
    assert_int_equal(stats_of(world, "b").exact.entries, 20);
    assert_hit(ask(world, in("a", "p0"), NULL), CACHE_TIER_EXACT, "x"); /* it was asked for */
    (void)set(world, in("a", "p19"), NULL, "y");
    assert_int_equal(stats_of(world, "a").evictions, 15);
    (void)set(world, in("a", "new"), NULL, "y");
    assert_int_equal(stats_of(world, "a").exact.entries, 5);
    assert_int_equal(stats_of(world, "a").evictions, 16);
    change = change_of("a", NAMESPACE_BYTES_MAX);
    change.settings.bytes_max = 1000;
    update(world, &change);
    assert_true(stats_of(world, "a").exact.size_bytes <= 1000);
    char large[2000];
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    const struct cache_set_request request = {.identity = in("a", "large"),
                                              .content = text_of(large)};
    assert_failed(world, set_request(world, &request), STATUS_ENTRY_TOO_LARGE, "content");
}

static void hold(struct world *world, const char *name, enum cache_eviction rule)
{
    struct cache_namespace_change change =
        change_of(name, NAMESPACE_ENTRIES_MAX | NAMESPACE_EVICTION);
    change.settings.entries_max = 3;
    change.settings.eviction = rule;
    assert_int_equal(create_as(world, &change), STATUS_OK);
}

/* a, b, c; b twice, then c, a once each; then d. */
static void fill_and_ask(struct world *world, const char *name)
{
    static const char *const asked[] = {"b", "b", "c", "a"};
    static const char *const stored[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++)
        (void)set(world, in(name, stored[i]), NULL, "x");
    for (size_t i = 0; i < 4; i++) {
        world->now_ms++;
        (void)ask(world, in(name, asked[i]), NULL);
    }
    world->now_ms++;
    (void)set(world, in(name, "d"), NULL, "x");
}

static void each_namespace_evicts_by_its_own_rule(void **state)
{
    struct world *world = *state;
    hold(world, "recent", EVICTION_LRU);
    hold(world, "often", EVICTION_LFU_AGING);
    hold(world, "default-rule", EVICTION_DEFAULT);
    fill_and_ask(world, "recent");
    fill_and_ask(world, "often");
    fill_and_ask(world, "default-rule");
    assert_miss(ask(world, in("recent", "b"), NULL), CACHE_MISS_NO_CANDIDATE);
    assert_hit(ask(world, in("often", "b"), NULL), CACHE_TIER_EXACT, "x");
    assert_hit(ask(world, in("default-rule", "b"), NULL), CACHE_TIER_EXACT, "x");
    assert_miss(ask(world, in("default-rule", "a"), NULL), CACHE_MISS_NO_CANDIDATE);
    struct cache_namespace_change change = change_of("often", NAMESPACE_EVICTION);
    change.settings.eviction = EVICTION_LRU;
    update(world, &change);
    world->now_ms++;
    (void)set(world, in("often", "e"), NULL, "x"); /* b was used last, just now */
    assert_hit(ask(world, in("often", "b"), NULL), CACHE_TIER_EXACT, "x");
    assert_int_equal(stats_of(world, "often").exact.entries, 3);
}

static enum status pin(struct world *world, const char *name, const char *prompt)
{
    const struct cache_set_request request = {
        .identity = in(name, prompt), .content = TEXT("x"), .pinned = true};
    return set_request(world, &request);
}

static void pins_hold_a_tenth_of_a_budget(void **state)
{
    struct world *world = *state;
    char prompt[16];
    struct cache_namespace_change change = change_of("a", NAMESPACE_ENTRIES_MAX);
    change.settings.entries_max = 20;
    assert_int_equal(create_as(world, &change), STATUS_OK);
    assert_int_equal(pin(world, "a", "first"), STATUS_OK);
    assert_int_equal(pin(world, "a", "second"), STATUS_OK);
    assert_failed(world, pin(world, "a", "third"), STATUS_NO_MEMORY, "pinned");
    assert_int_equal(pin(world, "a", "second"), STATUS_OK); /* in its own place */
    for (int i = 0; i < 40; i++) {
        (void)snprintf(prompt, sizeof(prompt), "p%d", i);
        (void)set(world, in("a", prompt), NULL, "x");
    }
    assert_int_equal(stats_of(world, "a").exact.entries, 20);
    assert_hit(ask(world, in("a", "first"), NULL), CACHE_TIER_EXACT, "x");
    change = change_of("b", NAMESPACE_BYTES_MAX);
    change.settings.bytes_max = 10000;
    assert_int_equal(create_as(world, &change), STATUS_OK);
    int pinned = 0;
    for (; pinned < 20; pinned++) {
        (void)snprintf(prompt, sizeof(prompt), "p%d", pinned);
        if (pin(world, "b", prompt) != STATUS_OK)
            break;
    }
    assert_int_equal(world->failure.status, STATUS_NO_MEMORY);
    assert_true(pinned > 1);
    assert_true(stats_of(world, "b").exact.size_bytes <= 1000);
}

/* ---- dropped ---- */

static void a_drop_takes_everything_and_a_new_one_begins_anew(void **state)
{
    struct world *world = *state;
    const struct vector stored = angle(0);
    struct cache_namespace_change change = change_of("a", NAMESPACE_TTL);
    change.settings.ttl_ms = 1000;
    assert_int_equal(create_as(world, &change), STATUS_OK);
    (void)set(world, in("a", "first"), &stored, "x");
    (void)set(world, in("b", "first"), &stored, "y");
    uint64_t removed = 0;
    world_forget(world);
    assert_failed(world,
                  cache_drop_namespace(world->cache, TEXT(""), TEXT("a"), TEXT("b"), NULL, &removed,
                                       &world->failure),
                  STATUS_UNCONFIRMED, "confirm");
    assert_int_equal(drop(world, "a", &removed), STATUS_OK);
    assert_int_equal(removed, 1);
    assert_int_equal(drop(world, "a", &removed), STATUS_NOT_FOUND);
    assert_miss(ask(world, in("a", "first"), NULL), CACHE_MISS_NO_CANDIDATE);
    assert_miss(ask(world, in("a", "second"), &stored), CACHE_MISS_NO_CANDIDATE);
    assert_hit(ask(world, in("b", "first"), NULL), CACHE_TIER_EXACT, "y");
    assert_int_equal(stats_of(world, "").sets, 2); /* what was done stays done */
    assert_int_equal(stats_of(world, "").scopes_count, 1);
    struct cache_namespace_view seen;
    assert_int_equal(set(world, in("a", "first"), NULL, "z")->expires_ms,
                     world->now_ms + 24 * 3600 * 1000);
    assert_int_equal(view(world, "a", &seen), STATUS_OK);
    assert_int_equal(seen.version, 0);
    assert_int_equal(drop(world, "default", &removed), STATUS_OK);
    assert_int_equal(view(world, "default", &seen), STATUS_OK);
    cache_tick(world->cache, world->now_ms);
}

enum { FILLED = 10000, SETTLE_TURNS = 1000000 };

/* What the server holds, as it is accounted. */
struct holdings {
    uint64_t entries, entry_bytes, rows, partitions, dead_rows, index_bytes;
    size_t scopes, namespaces;
};

static struct holdings holdings_of(struct world *world)
{
    struct cache_namespace_view *views = NULL;
    struct holdings held = {0};
    bool more = false;
    const struct cache_stats stats = stats_of(world, "");
    held = (struct holdings){
        .entries = stats.entries,
        .entry_bytes = stats.size_bytes,
        .rows = stats.semantic.entries,
        .partitions = stats.index.partitions,
        .dead_rows = stats.index.dead_rows,
        .index_bytes = stats.index.size_bytes,
        .scopes = stats.scopes_count,
    };
    assert_int_equal(cache_list_namespaces(world->cache, TEXT(""), TEXT(""), 10, world->arena,
                                           &views, &held.namespaces, &more),
                     STATUS_OK);
    assert_false(more);
    return held;
}

/* In two scopes; one of them is searched, so that the index may have made more of it. */
static void fill(struct world *world, const char *name)
{
    char prompt[24];
    for (int i = 0; i < FILLED; i++) {
        const struct vector vector = angle(i);
        (void)snprintf(prompt, sizeof(prompt), "p%d", i);
        struct identity identity = in(name, prompt);
        if (i % 4 == 0)
            identity.model = TEXT("another");
        assert_true(set(world, identity, &vector, "an answer of a few words")->indexed);
        if (i % 100 == 0)
            (void)ask(world, in(name, "nobody has asked this"), &vector);
    }
}

/* What is retired goes when readers have left it and the builders have let go of it. */
static bool settles_at(struct world *world, const struct holdings *wanted)
{
    struct holdings held;
    for (int i = 0; i < SETTLE_TURNS; i++) {
        cache_tick(world->cache, world->now_ms);
        held = holdings_of(world);
        if (memcmp(&held, wanted, sizeof(held)) == 0)
            return true;
        (void)sched_yield();
    }
    print_message("entries %llu, bytes %llu, rows %llu, partitions %llu, dead %llu, index %llu, "
                  "scopes %zu, namespaces %zu\n",
                  (unsigned long long)held.entries, (unsigned long long)held.entry_bytes,
                  (unsigned long long)held.rows, (unsigned long long)held.partitions,
                  (unsigned long long)held.dead_rows, (unsigned long long)held.index_bytes,
                  held.scopes, held.namespaces);
    return false;
}

static void a_drop_gives_back_all_that_was_taken(void **state)
{
    struct world *world = *state;
    const struct vector stays = angle(0);
    (void)set(world, in("stays", "first"), &stays, "x");
    cache_tick(world->cache, world->now_ms);
    const struct holdings before = holdings_of(world);
    assert_int_equal(before.namespaces, 2);
    for (int round = 0; round < 2; round++) {
        uint64_t removed = 0;
        fill(world, "a");
        const struct holdings full = holdings_of(world);
        assert_int_equal(full.entries, before.entries + FILLED);
        assert_int_equal(full.rows, before.rows + FILLED);
        assert_int_equal(full.partitions, before.partitions + 2);
        assert_int_equal(full.scopes, before.scopes + 2);
        assert_true(full.index_bytes > before.index_bytes);
        assert_int_equal(drop(world, "a", &removed), STATUS_OK);
        assert_int_equal(removed, FILLED);
        assert_true(settles_at(world, &before));
    }
    assert_hit(ask(world, in("stays", "first"), NULL), CACHE_TIER_EXACT, "x");
}

struct setter {
    struct world *world;
    atomic_bool *stop;
    unsigned number;
};

static void *keep_setting(void *context)
{
    struct setter *setter = context;
    struct arena *arena = NULL;
    assert_int_equal(thread_register(THREAD_COMPUTE), STATUS_OK);
    assert_int_equal(arena_create(&arena), STATUS_OK);
    const struct vector vector = angle(setter->number);
    char prompt[32];
    for (unsigned i = 0; !atomic_load(setter->stop); i++) {
        (void)snprintf(prompt, sizeof(prompt), "p%u of %u", i % 50, setter->number);
        const struct cache_set_request request = {.identity = in("a", prompt),
                                                  .vector = vector.at,
                                                  .dimension = DIMENSION,
                                                  .content = TEXT("x")};
        struct cache_set_reply reply;
        struct failure failure;
        const enum status status =
            cache_set(setter->world->cache, &request, arena, 1000000, &reply, &failure);
        assert_true(status == STATUS_OK || status == STATUS_NAMESPACE_UNKNOWN);
        arena_reset(arena);
    }
    arena_destroy(&arena);
    thread_unregister();
    return NULL;
}

/* Counters that did not belong together would trip over an assert; at the end all is gone. */
static void sets_and_drops_race(void **state)
{
    struct world *world = *state;
    pthread_t threads[3];
    struct setter setters[3];
    atomic_bool stop = false;
    for (unsigned i = 0; i < 3; i++) {
        setters[i] = (struct setter){world, &stop, i};
        assert_int_equal(pthread_create(&threads[i], NULL, keep_setting, &setters[i]), 0);
    }
    uint64_t removed = 0;
    struct cache_namespace_change change = change_of("a", NAMESPACE_ENTRIES_MAX);
    for (int i = 0; i < 300; i++) {
        change.settings.entries_max = (uint64_t)(i % 3) * 20;
        (void)update_as(world, &change);
        (void)drop(world, "a", &removed);
        cache_tick(world->cache, world->now_ms);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    (void)drop(world, "a", &removed);
    const struct cache_stats stats = stats_of(world, "");
    assert_int_equal(stats.exact.entries, 0);
    assert_int_equal(stats.exact.size_bytes, 0);
    assert_int_equal(stats.semantic.entries, 0);
    assert_int_equal(stats.scopes_count, 0);
}

/* ---- many ---- */

enum { MANY = 10000, IDLE_BYTES_MAX = 1024 };

static void ten_thousand_are_held_and_an_idle_one_is_small(void **state)
{
    struct world *world = *state;
    char name[16];
    const size_t before = mallinfo2().uordblks;
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof(name), "n%d", i);
        create(world, name);
    }
    world_forget(world);
    const size_t each = (mallinfo2().uordblks - before) / MANY;
    print_message("%zu bytes an idle namespace\n", each);
    assert_true(each < IDLE_BYTES_MAX);
    for (int i = 0; i < MANY; i++) {
        uint64_t removed = 0;
        (void)snprintf(name, sizeof(name), "n%d", i);
        assert_int_equal(drop(world, name, &removed), STATUS_OK);
    }
    cache_tick(world->cache, world->now_ms);
    assert_true(mallinfo2().uordblks - before < (size_t)MANY * 16);
}

static int world_of_three(void **state)
{
    static const char *const flags[] = {"--cache-namespaces-max=3"};
    *state = world_create(1, flags);
    return 0;
}

static int world_strict(void **state)
{
    static const char *const flags[] = {"--cache-strict-namespaces=true"};
    *state = world_create(1, flags);
    return 0;
}

#define TEST(name)               cmocka_unit_test_setup_teardown(name, world_plain, world_destroy)
#define TEST_WITH(name, prepare) cmocka_unit_test_setup_teardown(name, prepare, world_destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_get_makes_no_namespace_and_a_set_does),
        TEST_WITH(names_that_are_only_asked_for_fill_no_limit, world_of_three),
        TEST_WITH(strict_knows_what_was_created_and_default, world_strict),
        TEST(a_name_is_created_once_and_one_in_use_may_be),
        TEST(a_list_is_sorted_and_goes_on_behind_a_name),
        TEST(lives_are_as_the_namespace_says),
        TEST(a_closed_tier_is_neither_asked_nor_filled),
        TEST(a_policy_holds_for_scopes_that_are_and_that_come),
        TEST(warm_and_longer_talks_are_compared_where_it_is_allowed),
        TEST(budgets_hold_and_an_update_at_capacity_evicts_nobody),
        TEST(each_namespace_evicts_by_its_own_rule),
        TEST(pins_hold_a_tenth_of_a_budget),
        TEST(a_drop_takes_everything_and_a_new_one_begins_anew),
        TEST(a_drop_gives_back_all_that_was_taken),
        TEST(sets_and_drops_race),
        TEST(ten_thousand_are_held_and_an_idle_one_is_small),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
