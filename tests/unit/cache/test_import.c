/*
 * Goal: an entry that Scroll has shown is stored again as it was, under its id and in its scope,
 * with its row; what is wrong is named before anything is stored. Covers import.c. Method: pages of
 * one cache imported into another, with client vectors and with lexical ones.
 */
#include "tests/unit/cache/world.h"

#include "cache/answer.h"
#include "cache/import.h"
#include "cache/parts.h"
#include "cache/scroll.h"

enum { ENTRIES_MAX = 8 };

struct moving {
    struct world *from, *to;
    struct arena *arena;
    struct cache_page page;
    struct cache_import entries[ENTRIES_MAX];
    struct cache_import_reply reply;
    struct failure failure;
};

static int start(void **state)
{
    struct moving *moving = calloc(1, sizeof(*moving));
    moving->from = world_create(0, NULL);
    moving->to = world_create(0, NULL);
    *state = moving;
    return arena_create(&moving->arena) == STATUS_OK ? 0 : -1;
}

static int stop(void **state)
{
    struct moving *moving = *state;
    void *from = moving->from, *to = moving->to;
    cache_page_release(&moving->page);
    arena_destroy(&moving->arena);
    (void)world_destroy(&from);
    (void)world_destroy(&to);
    free(moving);
    return 0;
}

/* As the codecs on the way would. */
static struct cache_import import_of(const struct cache_shown *shown)
{
    struct answer_view view;
    const struct entry *entry = shown->entry;
    answer_view_read(entry_metadata(entry), &view);
    struct cache_import import = {
        .set = {.identity = {.namespace_ = view.namespace_,
                             .model = view.model,
                             .prompt = entry_prompt(entry),
                             .embedder = shown->embedder,
                             .attributes = shown->attributes,
                             .attributes_count = shown->attributes_count},
                .info = view.info,
                .content = entry_answer(entry),
                .pinned = (entry_marks(entry) & ENTRY_PINNED) != 0,
                .vector = shown->unit,
                .dimension = shown->dimension},
        .id = *entry_digest(entry),
        .has_fields = view.has_fields,
        .fields = view.fields,
        .space = entry_space(entry),
        .created_ms = entry_created_ms(entry),
        .expires_ms = shown->expires_ms,
        .freshness = view.freshness,
    };
    memcpy(import.scope, entry_scope(entry), ENTRY_ID_BYTES);
    memcpy(import.compatibility, entry_compatibility(entry), ENTRY_ID_BYTES);
    return import;
}

static void take_all(struct moving *moving, bool vectors)
{
    const struct cache_page_request request = {
        .limit = ENTRIES_MAX, .answers = true, .vectors = vectors, .bytes_max = 1 << 20};
    assert_int_equal(cache_scroll(moving->from->cache, &request, moving->arena,
                                  moving->from->now_ms, &moving->page, &moving->failure),
                     STATUS_OK);
    for (size_t i = 0; i < moving->page.count; i++)
        moving->entries[i] = import_of(&moving->page.shown[i]);
}

static enum status put_all(struct moving *moving, struct cache_import_options options)
{
    moving->failure = (struct failure){0};
    struct cache_import_batch batch = {
        .entries = moving->entries, .count = moving->page.count, .options = options};
    const enum status status = cache_import_begin(moving->to->cache, &batch, moving->arena,
                                                  moving->to->now_ms, &moving->failure);
    if (status != STATUS_OK)
        return status;
    assert_int_equal(batch.texts_count, 0); /* there is no pool */
    return cache_import_finish(moving->to->cache, &batch, moving->arena, moving->to->now_ms,
                               &moving->reply, &moving->failure);
}

static void what_was_shown_is_served_again_in_both_tiers(void **state)
{
    struct moving *moving = *state;
    const struct vector vector = angle(0), near = angle(0.1);
    struct identity mine = of("hello"), rephrased = of("hello there"), brief = of("hello");
    mine.embedder = rephrased.embedder = TEXT("own");
    brief.system_prompt = TEXT("Be brief.");
    (void)set(moving->from, mine, &vector, "of a vector");
    (void)set(moving->from, brief, NULL, "brief");
    take_all(moving, true);
    assert_int_equal(put_all(moving, (struct cache_import_options){0}), STATUS_OK);
    assert_int_equal(moving->reply.imported, 2);
    assert_int_equal(moving->reply.indexed, 2);
    assert_int_equal(moving->reply.unindexed, 0);
    assert_hit(ask(moving->to, mine, &vector), CACHE_TIER_EXACT, "of a vector");
    assert_hit(ask(moving->to, rephrased, &near), CACHE_TIER_SEMANTIC, "of a vector");
    assert_hit(ask(moving->to, brief, NULL), CACHE_TIER_EXACT, "brief");
    assert_int_equal(entry_created_ms(moving->to->get.reply.found.entry), 1000000);
    assert_miss(ask(moving->to, of("hello"), NULL), CACHE_MISS_NO_CANDIDATE);
    assert_int_equal(stats_of(moving->to, "default").semantic.entries, 2);
}

static void a_vector_that_did_not_come_is_made(void **state)
{
    struct moving *moving = *state;
    (void)set(moving->from, of("How do I reset my password?"), NULL, "Under Settings.");
    take_all(moving, false);
    assert_int_equal(put_all(moving, (struct cache_import_options){0}), STATUS_OK);
    assert_int_equal(moving->reply.indexed, 1);
    assert_hit(ask(moving->to, of("How can I reset my password?"), NULL), CACHE_TIER_SEMANTIC,
               "Under Settings.");
}

/* A client's vector cannot be made here; one of a space that nobody has is no use. */
static void a_vector_of_an_unknown_space_is_left_out(void **state)
{
    struct moving *moving = *state;
    const struct vector vector = angle(0);
    struct identity mine = of("hello");
    mine.embedder = TEXT("own");
    (void)set(moving->from, mine, &vector, "x");
    take_all(moving, true);
    moving->entries[0].space ^= 1;
    assert_int_equal(put_all(moving, (struct cache_import_options){0}), STATUS_OK);
    assert_int_equal(moving->reply.imported, 1);
    assert_int_equal(moving->reply.indexed, 0);
    assert_int_equal(moving->reply.unindexed, 1);
    assert_hit(ask(moving->to, mine, NULL), CACHE_TIER_EXACT, "x");
}

static void what_is_there_is_kept_or_overwritten(void **state)
{
    struct moving *moving = *state;
    (void)set(moving->from, of("hello"), NULL, "theirs");
    (void)set(moving->to, of("hello"), NULL, "ours");
    take_all(moving, true);
    assert_int_equal(put_all(moving, (struct cache_import_options){0}), STATUS_OK);
    assert_int_equal(moving->reply.kept, 1);
    assert_hit(ask(moving->to, of("hello"), NULL), CACHE_TIER_EXACT, "ours");
    assert_int_equal(put_all(moving, (struct cache_import_options){true, true}), STATUS_OK);
    assert_int_equal(moving->reply.imported, 1);
    assert_hit(ask(moving->to, of("hello"), NULL), CACHE_TIER_EXACT, "ours");
    assert_int_equal(put_all(moving, (struct cache_import_options){.overwrite = true}), STATUS_OK);
    assert_hit(ask(moving->to, of("hello"), NULL), CACHE_TIER_EXACT, "theirs");
    const struct cache_stats stats = stats_of(moving->to, "default");
    assert_int_equal(stats.entries, 1);
    assert_int_equal(stats.semantic.entries, 1);
}

static void what_is_over_is_left_out(void **state)
{
    struct moving *moving = *state;
    (void)set(moving->from, of("hello"), NULL, "x");
    take_all(moving, true);
    moving->to->now_ms = moving->entries[0].expires_ms;
    assert_int_equal(put_all(moving, (struct cache_import_options){0}), STATUS_OK);
    assert_int_equal(moving->reply.expired, 1);
    assert_int_equal(stats_of(moving->to, "default").entries, 0);
}

/* Within its TTL, stale, over: as where it came from. */
static void its_life_goes_on_as_it_was(void **state)
{
    struct moving *moving = *state;
    const struct cache_set_request request = {.identity = of("hello"),
                                              .content = TEXT("x"),
                                              .ttl_given = true,
                                              .ttl_ms = 1000,
                                              .stale_while_revalidate_ms = 500};
    assert_int_equal(set_request(moving->from, &request), STATUS_OK);
    take_all(moving, true);
    assert_int_equal(moving->entries[0].expires_ms, moving->from->now_ms + 1000);
    moving->to->now_ms = moving->entries[0].expires_ms;
    assert_int_equal(put_all(moving, (struct cache_import_options){0}), STATUS_OK);
    assert_int_equal(moving->reply.imported, 1);
    assert_hit(ask(moving->to, of("hello"), NULL), CACHE_TIER_EXACT, "x");
    assert_true(moving->to->get.reply.stale);
    assert_miss(ask(moving->to, of("Hello!"), NULL), CACHE_MISS_NO_CANDIDATE);
    moving->to->now_ms += 500;
    assert_miss(ask(moving->to, of("hello"), NULL), CACHE_MISS_EXPIRED);
}

static void what_slides_slides_on(void **state)
{
    struct moving *moving = *state;
    const struct cache_set_request request = {.identity = of("hello"),
                                              .content = TEXT("x"),
                                              .ttl_given = true,
                                              .ttl_ms = 1000,
                                              .sliding = true,
                                              .sliding_max_ms = 2500,
                                              .pinned = true};
    assert_int_equal(set_request(moving->from, &request), STATUS_OK);
    take_all(moving, true);
    assert_int_equal(put_all(moving, (struct cache_import_options){0}), STATUS_OK);
    const int64_t begin_ms = moving->to->now_ms;
    moving->to->now_ms = begin_ms + 900;
    assert_hit(ask(moving->to, of("hello"), NULL), CACHE_TIER_EXACT, "x");
    assert_true((entry_marks(moving->to->get.reply.found.entry) & ENTRY_PINNED) != 0);
    moving->to->now_ms = begin_ms + 1800;
    assert_hit(ask(moving->to, of("Hello!"), NULL), CACHE_TIER_SEMANTIC, "x");
    moving->to->now_ms = begin_ms + 2500;
    assert_miss(ask(moving->to, of("hello"), NULL), CACHE_MISS_EXPIRED);
}

static void a_namespaces_budget_holds_for_imports(void **state)
{
    struct moving *moving = *state;
    struct cache_namespace_view view;
    struct cache_namespace_change change = {.name = TEXT("default"),
                                            .fields = NAMESPACE_ENTRIES_MAX,
                                            .settings = cache_namespace_settings_none};
    change.settings.entries_max = 2;
    world_forget(moving->to);
    assert_int_equal(cache_update_namespace(moving->to->cache, &change, moving->to->arena, NULL,
                                            &view, &moving->to->failure),
                     STATUS_OK);
    for (int i = 0; i < 5; i++) {
        char prompt[16];
        (void)snprintf(prompt, sizeof(prompt), "prompt %d", i);
        (void)set(moving->from, of(prompt), NULL, "x");
    }
    take_all(moving, true);
    assert_int_equal(put_all(moving, (struct cache_import_options){0}), STATUS_OK);
    assert_int_equal(moving->reply.imported, 5);
    assert_int_equal(moving->reply.evicted, 3);
    assert_int_equal(stats_of(moving->to, "default").entries, 2);
}

/* The server's own: another's entry leaves, then those of the import itself. */
static void who_leaves_for_an_import_is_counted(void **state)
{
    static const char *const three[] = {"--storage-entries-max=3"};
    struct moving *moving = *state;
    void *before = moving->to;
    (void)world_destroy(&before);
    moving->to = world_create(1, three);
    (void)set(moving->to, of("mine"), NULL, "x");
    for (int i = 0; i < 5; i++) {
        char prompt[16];
        (void)snprintf(prompt, sizeof(prompt), "prompt %d", i);
        (void)set(moving->from, of(prompt), NULL, "x");
    }
    take_all(moving, true);
    assert_int_equal(put_all(moving, (struct cache_import_options){.dry_run = true}), STATUS_OK);
    assert_int_equal(moving->reply.evicted, 0);
    assert_int_equal(put_all(moving, (struct cache_import_options){0}), STATUS_OK);
    assert_int_equal(moving->reply.imported, 5);
    assert_int_equal(moving->reply.evicted, 3);
    assert_int_equal(stats_of(moving->to, "").evictions, 3);
    assert_int_equal(stats_of(moving->to, "").entries, 3);
}

static void what_is_wrong_is_named_before_anything_is_stored(void **state)
{
    struct moving *moving = *state;
    (void)set(moving->from, of("hello"), NULL, "x");
    (void)set(moving->from, of("world"), NULL, "y");
    take_all(moving, true);
    const struct cache_import good = moving->entries[1];
    moving->entries[1].set.identity.namespace_ = TEXT("a b");
    assert_int_equal(put_all(moving, (struct cache_import_options){0}), STATUS_BAD_NAME);
    assert_string_equal(moving->failure.field, "entries[1].identity.namespace");
    moving->entries[1] = good;
    moving->entries[1].fields = TEXT("abc");
    assert_int_equal(put_all(moving, (struct cache_import_options){0}), STATUS_BAD_MESSAGE);
    moving->entries[1] = good;
    moving->entries[1].created_ms = -1;
    assert_int_equal(put_all(moving, (struct cache_import_options){0}), STATUS_LIMIT_EXCEEDED);
    assert_string_equal(moving->failure.field, "entries[1].created_unix_ms");
    moving->entries[1] = good;
    moving->entries[1].freshness.sliding_ms = 1; /* without a TTL to renew */
    assert_int_equal(put_all(moving, (struct cache_import_options){0}), STATUS_LIMIT_EXCEEDED);
    moving->entries[1] = good;
    moving->entries[1].freshness.negative = true; /* with a vector */
    assert_int_equal(put_all(moving, (struct cache_import_options){0}), STATUS_AMBIGUOUS_INPUT);
    assert_int_equal(stats_of(moving->to, "").entries, 0);
}

#define MOVE_TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MOVE_TEST(what_was_shown_is_served_again_in_both_tiers),
        MOVE_TEST(a_vector_that_did_not_come_is_made),
        MOVE_TEST(a_vector_of_an_unknown_space_is_left_out),
        MOVE_TEST(what_is_there_is_kept_or_overwritten),
        MOVE_TEST(what_is_over_is_left_out),
        MOVE_TEST(its_life_goes_on_as_it_was),
        MOVE_TEST(what_slides_slides_on),
        MOVE_TEST(a_namespaces_budget_holds_for_imports),
        MOVE_TEST(who_leaves_for_an_import_is_counted),
        MOVE_TEST(what_is_wrong_is_named_before_anything_is_stored),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
