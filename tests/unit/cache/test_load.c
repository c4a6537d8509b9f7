/*
 * Goal: load.c makes of a data folder the cache that wrote it: rows in their own space and with the
 * guard's signature, nothing of another embedder, and what cannot be taken is counted or refused
 * with a reason. Method: folders written by a cache with other options, or past the cache by a bare
 * store; then read.
 */
#include "cache/answer.h"
#include "tests/unit/cache/folder_world.h"

static const struct vector here = {{1, 0, 0, 0}}, there = {{0, 1, 0, 0}};

/* ---- while it is read ------------------------------------------------------------------------ */

static void before_it_is_read_nothing_is_written(void **state)
{
    struct folder_world *folder = *state;
    struct world *world = folder_open(folder, 0, NULL);
    (void)set(world, exact_of("a"), NULL, "x");
    folder_close(folder);
    world = folder_expect(folder, 0, NULL);
    const struct cache_set_request request = {.identity = exact_of("b"), .content = TEXT("y")};
    assert_failed(world, set_request(world, &request), STATUS_LOADING, "");
    const struct identity identity = exact_of("a");
    const struct cache_delete_request delete = {.identity = &identity};
    uint32_t deleted = 0;
    world_forget(world);
    assert_int_equal(
        cache_delete(world->cache, &delete, world->arena, NULL, &deleted, &world->failure),
        STATUS_LOADING);
    const struct cache_selector selector = {.model = TEXT("m")};
    struct cache_invalidate_reply reply;
    world_forget(world);
    assert_int_equal(cache_invalidate(world->cache, &selector, NULL, &reply, &world->failure),
                     STATUS_LOADING);
    const struct cache_stats stats = stats_of(world, "");
    assert_int_equal(stats.journal.state, STORAGE_LOADING);
    assert_true(stats.journal.loading_done < 1);
    assert_int_equal(stats.entries, 0);
    cache_tick(world->cache, world->now_ms); /* the keeper runs already */
    assert_int_equal(cache_load(world->cache, &world->failure), STATUS_OK);
    assert_hit(ask(world, exact_of("a"), NULL), CACHE_TIER_EXACT, "x");
    assert_int_equal(set_request(world, &request), STATUS_OK);
}

static void a_folder_that_is_in_use_is_refused_at_once(void **state)
{
    struct folder_world *folder = *state, second = *folder;
    (void)folder_open(folder, 0, NULL);
    struct world *world = folder_expect(&second, 0, NULL);
    assert_int_equal(cache_load(world->cache, &world->failure), STATUS_UNAVAILABLE);
    assert_non_null(strstr(world->failure.message, "process"));
    folder_close(&second);
}

/* ---- rows and their spaces ------------------------------------------------------------------- */

static struct cache_get_reply *ask_with(struct world *world, const char *prompt,
                                        const char *embedder, const float *vector,
                                        uint32_t dimension)
{
    struct cache_get_request request = {
        .identity = of(prompt), .vector = vector, .dimension = dimension};
    request.identity.embedder = text_of(embedder);
    if (ask_request(world, &request) != STATUS_OK)
        fail_msg("%s: %s", world->failure.field, world->failure.message);
    return &world->get.reply;
}

static enum status set_with(struct world *world, const char *prompt, const char *embedder,
                            const float *vector, uint32_t dimension)
{
    struct cache_set_request request = {.identity = of(prompt),
                                        .content = text_of(prompt),
                                        .vector = vector,
                                        .dimension = dimension};
    request.identity.embedder = text_of(embedder);
    return set_request(world, &request);
}

static void rows_come_back_in_their_own_space(void **state)
{
    static const float three[] = {1, 0, 0}, two[] = {0, 1};
    struct folder_world *folder = *state;
    struct world *world = folder_open(folder, 0, NULL);
    assert_int_equal(set_with(world, "theirs", "bge", three, 3), STATUS_OK);
    assert_int_equal(set_with(world, "unnamed", "", two, 2), STATUS_OK);
    assert_int_equal(set_with(world, "How do I reset my password?", "", NULL, 0), STATUS_OK);
    (void)set(world, in_namespace("elsewhere", "faq"), &here, "faq's");
    world = folder_reopen(folder);
    const struct cache_stats stats = stats_of(world, "");
    assert_int_equal(stats.recovered_rows, 4);
    assert_int_equal(stats.recovered_rowless, 0);
    assert_int_equal(stats.scopes_count, 4);
    assert_hit(ask_with(world, "a", "bge", three, 3), CACHE_TIER_SEMANTIC, "theirs");
    assert_hit(ask_with(world, "a", "", two, 2), CACHE_TIER_SEMANTIC, "unnamed");
    assert_hit(ask_with(world, "How can I reset my password?", "", NULL, 0), CACHE_TIER_SEMANTIC,
               "How do I reset my password?");
    assert_hit(ask(world, in_namespace("a", "faq"), &here), CACHE_TIER_SEMANTIC, "faq's");
    assert_miss(ask_with(world, "a", "other", three, 3), CACHE_MISS_NO_CANDIDATE);
    assert_failed(world, set_with(world, "b", "bge", two, 2), STATUS_DIM_MISMATCH, "vector");
    assert_failed(world, set_with(world, "b", "", three, 3), STATUS_DIM_MISMATCH, "vector");
}

static void the_guard_signs_again(void **state)
{
    struct folder_world *folder = *state;
    struct world *world = folder_open(folder, 0, NULL);
    (void)set(world, of("is it on?"), &here, "yes");
    world = folder_reopen(folder);
    assert_miss(ask(world, of("is it not on?"), &here), CACHE_MISS_GUARD_BLOCKED);
    assert_hit(ask(world, of("is it on now?"), &here), CACHE_TIER_SEMANTIC, "yes");
}

static void expired_entries_have_no_row_and_are_not_served(void **state)
{
    struct folder_world *folder = *state;
    struct world *world = folder_open(folder, 0, NULL);
    const struct cache_set_request request = {.identity = of("short"),
                                              .content = TEXT("x"),
                                              .vector = here.at,
                                              .dimension = DIMENSION,
                                              .ttl_given = true,
                                              .ttl_ms = 1000};
    world->now_ms -= 5000;
    assert_int_equal(set_request(world, &request), STATUS_OK);
    world->now_ms += 5000;
    (void)set(world, of("long"), &there, "y");
    world = folder_reopen(folder);
    assert_int_equal(stats_of(world, "").recovered_rows, 1);
    assert_miss(ask(world, of("short"), &here), CACHE_MISS_BELOW_CUT);
    assert_hit(ask(world, of("longer"), &there), CACHE_TIER_SEMANTIC, "y");
}

static void another_embedders_vectors_are_counted_and_kept(void **state)
{
    static const char *const none[] = {"--embed-provider=none"};
    struct folder_world *folder = *state;
    struct world *world = folder_open(folder, 0, NULL);
    (void)set(world, of("How do I reset my password?"), NULL, "settings");
    (void)set(world, of("theirs"), &here, "x");
    folder_close(folder);
    world = folder_open(folder, 1, none);
    assert_int_equal(stats_of(world, "").recovered_rows, 1);
    assert_int_equal(stats_of(world, "").recovered_rowless, 1);
    assert_int_equal(stats_of(world, "").semantic.entries, 1);
    assert_hit(ask(world, of("How do I reset my password?"), NULL), CACHE_TIER_EXACT, "settings");
    assert_hit(ask(world, of("near theirs"), &here), CACHE_TIER_SEMANTIC, "x");
    world = folder_reopen(folder);
    assert_hit(ask(world, of("How can I reset my password?"), NULL), CACHE_TIER_SEMANTIC,
               "settings");
}

static void rows_outlive_a_start_without_a_policy(void **state)
{
    static const char *const off[] = {"--semantic-policy=off"};
    struct folder_world *folder = *state;
    (void)set(folder_open(folder, 0, NULL), of("a"), &here, "x");
    folder_close(folder);
    struct world *world = folder_open(folder, 1, off);
    struct await await = await_begin();
    assert_int_equal(stats_of(world, "").recovered_rows, 1);
    assert_int_equal(stats_of(world, "").recovered_rowless, 0);
    assert_hit(ask(world, of("a"), NULL), CACHE_TIER_EXACT, "x");
    assert_miss(ask(world, of("b"), &here), CACHE_MISS_DISABLED);
    await_expect(&await); /* writes the entry anew, and its vector with it */
    cache_compact(world->cache, await_done, &await);
    assert_int_equal(await_end(&await), STATUS_OK);
    world = folder_reopen(folder);
    assert_hit(ask(world, of("b"), &here), CACHE_TIER_SEMANTIC, "x");
}

/* Under today's options nobody could ask for it: wanted it stays, and holds as far as it may. */
static void settings_against_todays_options_are_kept_and_clamped(void **state)
{
    static const char *const stricter[] = {"--cache-ttl-max=1h", "--cache-ttl-default=1h",
                                           "--adaptive-max=0.5", "--adaptive-initial=0.4",
                                           "--adaptive-min=0.3"};
    struct folder_world *folder = *state;
    struct world *world = folder_open(folder, 0, NULL);
    struct cache_namespace_settings wanted = cache_namespace_settings_none, settings;
    struct cache_namespace_view view;
    wanted.ttl_ms = 2 * 3600 * 1000;
    wanted.policy.mode = POLICY_ADAPTIVE + 1;
    wanted.policy.adaptive_min = 0.6f;
    assert_int_equal(
        change(world, "faq", NAMESPACE_TTL | NAMESPACE_POLICY, wanted, NULL, &settings), STATUS_OK);
    (void)set(world, in_namespace("a", "faq"), &here, "x");
    folder_close(folder);
    world = folder_open(folder, 5, stricter);
    assert_int_equal(cache_get_namespace(world->cache, TEXT(""), TEXT("faq"), world->arena, &view,
                                         &world->failure),
                     STATUS_OK);
    assert_int_equal(view.settings.ttl_ms, wanted.ttl_ms);
    assert_non_null(strstr(view.degraded.bytes, "namespace.ttl_ms: at most"));
    assert_non_null(strstr(view.degraded.bytes, "; namespace.policy."));
    assert_int_equal(set(world, in_namespace("b", "faq"), NULL, "x")->expires_ms,
                     world->now_ms + 3600 * 1000);
    assert_hit(ask(world, in_namespace("a", "faq"), NULL), CACHE_TIER_EXACT, "x");
    world = folder_reopen(folder);
    assert_int_equal(cache_get_namespace(world->cache, TEXT(""), TEXT("faq"), world->arena, &view,
                                         &world->failure),
                     STATUS_OK);
    assert_int_equal(view.degraded.length, 0);
    assert_int_equal(set(world, in_namespace("b", "faq"), NULL, "x")->expires_ms,
                     world->now_ms + (int64_t)wanted.ttl_ms);
}

/* Its note comes behind the rows: their partition was made by the options. */
static void what_a_namespace_wants_reaches_rows_read_before(void **state)
{
    static const struct cache_namespace_settings wanted = {.index_kind = INDEX_HNSW + 1};
    struct folder_world *folder = *state;
    struct world *world = folder_open(folder, 0, NULL);
    struct cache_namespace_settings settings;
    (void)set(world, in_namespace("a", "faq"), &here, "x");
    (void)set(world, in_namespace("a", "other"), &here, "x");
    assert_int_equal(change(world, "faq", NAMESPACE_INDEX_KIND, wanted, NULL, &settings),
                     STATUS_OK);
    world = folder_reopen(folder);
    assert_int_equal(scope_in(world, "faq").index.asked, INDEX_HNSW);
    assert_int_equal(scope_in(world, "other").index.asked, INDEX_AUTO);
}

/* Who was evicted has left a DELETE: a restart finds five, and evicts nobody. */
static void a_namespace_over_its_budget_at_start_keeps_the_budget(void **state)
{
    static const struct cache_namespace_settings wanted = {.entries_max = 5};
    struct folder_world *folder = *state;
    struct world *world = folder_open(folder, 0, NULL);
    struct cache_namespace_settings settings;
    char prompt[16];
    for (int i = 0; i < 20; i++) {
        (void)snprintf(prompt, sizeof(prompt), "p%d", i);
        (void)set(world, in_namespace(prompt, "faq"), &here, "x");
    }
    assert_int_equal(change(world, "faq", NAMESPACE_ENTRIES_MAX, wanted, NULL, &settings),
                     STATUS_OK);
    assert_int_equal(stats_of(world, "faq").exact.entries, 5);
    world = folder_reopen(folder);
    assert_int_equal(stats_of(world, "faq").exact.entries, 5);
    assert_hit(ask(world, in_namespace("p19", "faq"), NULL), CACHE_TIER_EXACT, "x");
}

/* ---- past the cache -------------------------------------------------------------------------- */

static struct store *open_store(const struct folder_world *folder)
{
    const struct store_options options = {
        .memory_bytes = 32 << 20, .stripes_count = 1, .answer_max = 1 << 20};
    const struct journal_options journal = {.path = folder->path,
                                            .io = IO_POSIX,
                                            .segment_bytes = 16 << 20,
                                            .queue_bytes = 1 << 20,
                                            .compact_bytes_per_s = 1 << 30,
                                            .flush_interval_ms = 10};
    const struct store_open_visitor visitor = {
        .clock_us = clock_monotonic_us, .clock_ms = folder_wall_ms, .chance = folder_chance};
    struct store *store = NULL;
    struct failure failure = {0};
    assert_int_equal(store_create(&options, &store), STATUS_OK);
    store_expect_open(store);
    if (store_open(store, &journal, &visitor, &failure) != STATUS_OK)
        fail_msg("%s: %s", failure.field, failure.message);
    return store;
}

static void put(struct store *store, const struct entry_source *source, const float *unit,
                uint32_t dimension)
{
    const struct store_vector vector = {unit, dimension};
    struct store_set_result result;
    struct entry *entry = NULL;
    assert_int_equal(entry_create(source, &entry), STATUS_OK);
    assert_int_equal(
        store_set(store, entry, unit != NULL ? &vector : NULL, NULL, FOLDER_NOW_MS, &result),
        STATUS_OK);
    entry_release(entry);
}

static void close_store(struct store *store)
{
    store_close_journal(store);
    store_destroy(&store);
}

/* A further entry in the scope of `like`, in all else its equal. */
static struct entry_source source_like(const struct entry *like, uint64_t number)
{
    struct entry_source source = {.digest = digest_sha256(&number, sizeof(number)),
                                  .space = entry_space(like),
                                  .created_ms = FOLDER_NOW_MS,
                                  .expires_ms = FOLDER_NOW_MS + 1000000,
                                  .metadata = entry_metadata(like),
                                  .prompt = entry_prompt(like),
                                  .answer = TEXT("a stranger's")};
    memcpy(source.scope, entry_scope(like), ENTRY_ID_BYTES);
    memcpy(source.compatibility, entry_compatibility(like), ENTRY_ID_BYTES);
    memcpy(source.tenant, entry_tenant(like), ENTRY_ID_BYTES);
    return source;
}

static void a_vector_of_another_dimension_is_dropped_and_counted(void **state)
{
    static const float five[] = {0, 1, 0, 0, 0}, four[] = {0, 0, 1, 0};
    struct folder_world *folder = *state;
    struct world *world = folder_open(folder, 0, NULL);
    (void)set(world, of("hello"), &here, "world");
    struct entry *like = entry_acquire(ask(world, of("hello"), NULL)->found.entry);
    folder_close(folder);
    struct store *store = open_store(folder);
    const struct entry_source odd = source_like(like, 1), even = source_like(like, 2);
    struct entry_source mute = source_like(like, 3);
    mute.prompt = TEXT("");
    put(store, &odd, five, 5);
    put(store, &even, four, 4);
    put(store, &mute, four, 4); /* nothing for the guard to sign */
    close_store(store);
    entry_release(like);
    world = folder_open(folder, 0, NULL);
    const struct cache_stats stats = stats_of(world, "");
    assert_int_equal(stats.entries, 4);
    assert_int_equal(stats.recovered_rows, 2);
    assert_int_equal(stats.recovered_rowless, 2);
    assert_int_equal(stats.semantic.entries, 2);
    const struct vector near = {{0, 0, 1, 0}};
    assert_hit(ask(world, of("something"), &near), CACHE_TIER_SEMANTIC, "a stranger's");
    assert_hit(ask(world, of("something"), &here), CACHE_TIER_SEMANTIC, "world");
    const struct cache_delete_request delete = {.entry_ids = &odd.digest, .entry_ids_count = 1};
    uint32_t deleted = 0;
    world_forget(world);
    assert_int_equal(
        cache_delete(world->cache, &delete, world->arena, NULL, &deleted, &world->failure),
        STATUS_OK);
    assert_int_equal(stats_of(world, "").semantic.entries, 2);
}

static void a_scope_whose_note_is_lost_is_made_by_its_entries(void **state)
{
    struct folder_world *folder = *state, strange;
    void *other = NULL;
    (void)folder_world_begin(&other);
    memcpy(&strange, other, sizeof(strange));
    struct world *world = folder_open(folder, 0, NULL);
    (void)set(world, in_namespace("hello", "faq"), &here, "world");
    struct entry *like = entry_acquire(ask(world, in_namespace("hello", "faq"), NULL)->found.entry);
    folder_close(folder);
    struct store *store = open_store(&strange); /* entries alone */
    const struct entry_source source = source_like(like, 1);
    put(store, &source, here.at, DIMENSION);
    close_store(store);
    entry_release(like);
    world = folder_open(&strange, 0, NULL);
    assert_true(text_equal(scope_in(world, "faq").model, TEXT("m")));
    assert_hit(ask(world, in_namespace("hello there", "faq"), &here), CACHE_TIER_SEMANTIC,
               "a stranger's");
    folder_close(&strange);
    (void)folder_world_end(&other);
}

/* ---- refused --------------------------------------------------------------------------------- */

static void entries_of_another_version_are_refused(void **state)
{
    struct folder_world *folder = *state;
    struct world *world = folder_open(folder, 0, NULL);
    (void)set(world, of("hello"), &here, "world");
    struct entry *like = entry_acquire(ask(world, of("hello"), NULL)->found.entry);
    folder_close(folder);
    struct store *store = open_store(folder);
    struct entry_source source = source_like(like, 1);
    source.metadata = TEXT("\x09 of a later version");
    put(store, &source, NULL, 0);
    close_store(store);
    entry_release(like);
    world = folder_expect(folder, 0, NULL);
    assert_failed(world, cache_load(world->cache, &world->failure), STATUS_UNSUPPORTED,
                  "storage.path");
}

/* What follows the name that is one too many is not counted, and must not be uncounted either when
 * a later Set of the log replaces it. */
static void too_many_namespaces_are_refused_by_name(void **state)
{
    static const char *const two[] = {"--cache-namespaces-max=2"};
    struct folder_world *folder = *state;
    struct world *world = folder_open(folder, 0, NULL);
    (void)set(world, in_namespace("a", "first"), &here, "x");
    (void)set(world, in_namespace("a", "second"), &here, "x");
    (void)set(world, in_namespace("a", "third"), &here, "x");
    for (int i = 0; i < 3; i++) {
        (void)set(world, in_namespace("b", "first"), &here, "x");
        (void)set(world, in_namespace("c", "first"), &here, "x");
    }
    remove_key(world, in_namespace("a", "first"));
    remove_key(world, in_namespace("b", "first"));
    remove_key(world, in_namespace("c", "first"));
    folder_close(folder);
    world = folder_expect(folder, 1, two);
    assert_failed(world, cache_load(world->cache, &world->failure), STATUS_BAD_OPTION,
                  "cache.namespaces_max");
    folder_close(folder);
    assert_int_equal(stats_of(folder_open(folder, 0, NULL), "").entries, 2); /* nothing is lost */
}

/* ---- dropped --------------------------------------------------------------------------------- */

static uint64_t records_after_drop(struct world *world, const char *name)
{
    struct await await = await_begin();
    const struct cache_waiter waiter = waiter_of(&await);
    uint64_t removed = 0;
    world_forget(world);
    assert_int_equal(cache_drop_namespace(world->cache, TEXT(""), text_of(name), text_of(name),
                                          &waiter, &removed, &world->failure),
                     STATUS_OK);
    assert_int_equal(await_end(&await), STATUS_OK);
    return stats_of(world, "").journal.records;
}

static void names_that_were_dropped_fill_no_limit(void **state)
{
    static const char *const three[] = {"--cache-namespaces-max=3"};
    struct folder_world *folder = *state;
    struct world *world = folder_open(folder, 1, three);
    (void)set(world, in_namespace("stays", "n"), &here, "x");
    for (int i = 0; i < 5; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "n%d", i);
        (void)set(world, in_namespace("first", name), &here, "x");
        (void)records_after_drop(world, name);
    }
    folder_close(folder);
    world = folder_open(folder, 1, three);
    assert_int_equal(stats_of(world, "").entries, 1);
    assert_hit(ask(world, in_namespace("stays", "n"), NULL), CACHE_TIER_EXACT, "x");
    (void)set(world, in_namespace("first", "n4"), &here, "y");
}

/* However many it held; the other record is the note that it is gone. */
static void a_dropped_namespace_is_one_record_and_stays_away(void **state)
{
    struct folder_world *folder = *state;
    struct world *world = folder_open(folder, 0, NULL);
    char prompt[16];
    (void)set(world, in_namespace("x", "first"), &here, "x");
    for (int i = 0; i < 12; i++) {
        (void)snprintf(prompt, sizeof(prompt), "p%d", i);
        (void)set(world, in_namespace(prompt, "faq"), &here, "old");
    }
    const uint64_t before = records_after_drop(world, "first");
    assert_int_equal(records_after_drop(world, "faq") - before, 2);
    (void)set(world, in_namespace("p3", "faq"), &there, "new");
    world = folder_reopen(folder);
    assert_int_equal(stats_of(world, "").entries, 1);
    assert_hit(ask(world, in_namespace("p3", "faq"), NULL), CACHE_TIER_EXACT, "new");
}

/* Folders of before bear the tenant's digest where the owner stands now. */
static void entries_that_bear_the_tenant_alone_are_dropped_too(void **state)
{
    struct folder_world *folder = *state;
    struct world *world = folder_open(folder, 0, NULL);
    (void)set(world, in_namespace("hello", "faq"), &here, "world");
    struct entry *like = entry_acquire(ask(world, in_namespace("hello", "faq"), NULL)->found.entry);
    folder_close(folder);
    struct store *store = open_store(folder);
    struct entry_source old = source_like(like, 1);
    const struct digest tenant = digest_sha256("default", 7);
    memcpy(old.tenant, tenant.bytes, sizeof(old.tenant));
    put(store, &old, NULL, 0);
    close_store(store);
    entry_release(like);
    world = folder_open(folder, 0, NULL);
    assert_int_equal(stats_of(world, "").entries, 2);
    (void)records_after_drop(world, "faq");
    assert_int_equal(stats_of(world, "").entries, 0);
    world = folder_reopen(folder);
    assert_int_equal(stats_of(world, "").entries, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_world_begin, folder_world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(before_it_is_read_nothing_is_written),
        TEST(a_folder_that_is_in_use_is_refused_at_once),
        TEST(rows_come_back_in_their_own_space),
        TEST(the_guard_signs_again),
        TEST(expired_entries_have_no_row_and_are_not_served),
        TEST(another_embedders_vectors_are_counted_and_kept),
        TEST(rows_outlive_a_start_without_a_policy),
        TEST(settings_against_todays_options_are_kept_and_clamped),
        TEST(what_a_namespace_wants_reaches_rows_read_before),
        TEST(a_namespace_over_its_budget_at_start_keeps_the_budget),
        TEST(a_vector_of_another_dimension_is_dropped_and_counted),
        TEST(a_scope_whose_note_is_lost_is_made_by_its_entries),
        TEST(entries_of_another_version_are_refused),
        TEST(too_many_namespaces_are_refused_by_name),
        TEST(a_dropped_namespace_is_one_record_and_stays_away),
        TEST(names_that_were_dropped_fill_no_limit),
        TEST(entries_that_bear_the_tenant_alone_are_dropped_too),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
