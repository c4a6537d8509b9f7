/*
 * Goal: a walk by pages sees every entry that lives all the while exactly once, whatever the size
 * of its pages and however the table grows; a page keeps its bounds; nothing is counted; no tenant
 * is left. Covers scroll.c and the table's walk below it. Method: one small cache, walks of every
 * page size, sets and deletions between pages.
 */
#include "tests/unit/cache/world.h"

#include "cache/scroll.h"

enum { ENTRIES = 700, ALL_BYTES = 1 << 30 };

static void set_number(struct world *world, const char *name, int number)
{
    char prompt[32];
    (void)snprintf(prompt, sizeof(prompt), "%s %d", name, number);
    (void)set(world, of(prompt), NULL, "answer");
}

static void fill(struct world *world, const char *name, int count)
{
    for (int i = 0; i < count; i++)
        set_number(world, name, i);
}

static enum status page_of(struct world *world, struct cache_page_request *request,
                           struct cache_page *page)
{
    world->failure = (struct failure){0};
    arena_reset(world->arena);
    if (request->bytes_max == 0)
        request->bytes_max = ALL_BYTES;
    return cache_scroll(world->cache, request, world->arena, world->now_ms, page, &world->failure);
}

struct walk {
    uint8_t seen[ENTRIES];
    uint32_t pages, entries;
    void (*between)(struct world *world, uint32_t page);
};

static void note(struct walk *walk, const struct cache_page *page, const char *name)
{
    const size_t length = strlen(name);
    for (size_t i = 0; i < page->count; i++) {
        char prompt[32] = "";
        const struct text text = entry_prompt(page->shown[i].entry);
        memcpy(prompt, text.bytes, text.length);
        walk->entries++;
        if (strncmp(prompt, name, length) == 0)
            walk->seen[strtol(prompt + length, NULL, 10)]++;
    }
}

static void walk_all(struct world *world, struct cache_page_request request, struct walk *walk)
{
    char cursor[CACHE_CURSOR_TEXT + 1] = "";
    do {
        struct cache_page page;
        request.cursor = text_of(cursor);
        assert_int_equal(page_of(world, &request, &page), STATUS_OK);
        assert_true(page.count <= (request.limit > 0 ? request.limit : CACHE_PAGE));
        note(walk, &page, "lasting");
        memcpy(cursor, page.cursor, sizeof(cursor));
        cache_page_release(&page);
        walk->pages++;
        if (walk->between != NULL)
            walk->between(world, walk->pages);
    } while (cursor[0] != '\0');
}

static void every_page_size_sees_every_entry_once(void **state)
{
    struct world *world = *state;
    fill(world, "lasting", ENTRIES);
    const uint32_t limits[] = {1, 7, 63, 64, 65, 500, CACHE_PAGE_MAX, 0};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct walk walk = {.pages = 0};
        walk_all(world, (struct cache_page_request){.limit = limits[i]}, &walk);
        assert_int_equal(walk.entries, ENTRIES);
        for (int j = 0; j < ENTRIES; j++)
            assert_int_equal(walk.seen[j], 1);
    }
}

/* Ten come and five go between two pages; the table doubles more than once. */
static void come_and_go(struct world *world, uint32_t page)
{
    for (int i = 0; i < 10; i++)
        set_number(world, "passing", (int)page * 10 + i);
    for (int i = 0; i < 5; i++) {
        char prompt[32];
        (void)snprintf(prompt, sizeof(prompt), "passing %d", (int)page * 10 - 20 + i);
        struct identity identity = of(prompt);
        const struct cache_delete_request request = {.identity = &identity};
        uint32_t deleted = 0;
        assert_int_equal(
            cache_delete(world->cache, &request, world->arena, NULL, &deleted, &world->failure),
            STATUS_OK);
    }
}

static void who_lives_all_the_while_is_seen_once_while_the_table_grows(void **state)
{
    struct world *world = *state;
    fill(world, "lasting", ENTRIES);
    struct walk walk = {.between = come_and_go};
    walk_all(world, (struct cache_page_request){.limit = 3}, &walk);
    for (int j = 0; j < ENTRIES; j++)
        assert_int_equal(walk.seen[j], 1);
}

static void a_page_keeps_to_its_bytes_but_for_its_first_entry(void **state)
{
    struct world *world = *state;
    struct cache_page page;
    fill(world, "lasting", 50);
    struct cache_page_request request = {.limit = 50, .answers = true, .bytes_max = 3000};
    assert_int_equal(page_of(world, &request, &page), STATUS_OK);
    assert_true(page.count > 1);
    assert_true(page.count < 50);
    assert_true(page.bytes <= 3000);
    assert_int_equal(strlen(page.cursor), CACHE_CURSOR_TEXT);
    cache_page_release(&page);
    struct walk walk = {.pages = 0};
    request.bytes_max = 1;
    walk_all(world, request, &walk);
    assert_int_equal(walk.entries, 50);
    assert_true(walk.pages >= 50);
}

static void a_selector_chooses_and_the_tenant_always_counts(void **state)
{
    struct world *world = *state;
    struct identity theirs = of("theirs"), elsewhere = of("elsewhere");
    const struct text tags[] = {{"faq", 3}};
    theirs.tenant = TEXT("them");
    elsewhere.namespace_ = TEXT("other");
    (void)set(world, theirs, NULL, "secret");
    (void)set(world, elsewhere, NULL, "x");
    const struct cache_set_request tagged = {
        .identity = of("tagged"), .content = TEXT("x"), .tags = tags, .tags_count = 1};
    assert_int_equal(set_request(world, &tagged), STATUS_OK);
    const struct digest tagged_id = world->set.entry_id;
    struct cache_page page;
    struct cache_page_request request = {.limit = 0};
    assert_int_equal(page_of(world, &request, &page), STATUS_OK);
    assert_int_equal(page.count, 2);
    cache_page_release(&page);
    request.selector.namespace_ = TEXT("other");
    assert_int_equal(page_of(world, &request, &page), STATUS_OK);
    assert_int_equal(page.count, 1);
    cache_page_release(&page);
    request.selector = (struct cache_selector){.tags = tags, .tags_count = 1};
    assert_int_equal(page_of(world, &request, &page), STATUS_OK);
    assert_int_equal(page.count, 1);
    assert_true(digest_equal(entry_digest(page.shown[0].entry), &tagged_id));
    cache_page_release(&page);
}

static void an_entry_is_shown_with_its_vector_and_uncounted(void **state)
{
    struct world *world = *state;
    const struct vector vector = angle(0.3);
    (void)set(world, of("hello"), &vector, "world");
    const struct digest id = world->set.entry_id;
    struct cache_page page;
    for (int i = 0; i < 3; i++) {
        arena_reset(world->arena);
        assert_int_equal(cache_entry(world->cache, TEXT(""), &id, true, world->arena, world->now_ms,
                                     &page, &world->failure),
                         STATUS_OK);
        assert_int_equal(page.shown[0].dimension, DIMENSION);
        assert_true(fabs((double)page.shown[0].unit[1] - sin(0.3)) < 1e-6);
        assert_int_equal(page.shown[0].hits_count, 0);
        cache_page_release(&page);
    }
    assert_int_equal(stats_of(world, "").total_requests, 0);
    assert_failed(world,
                  cache_entry(world->cache, TEXT("them"), &id, false, world->arena, world->now_ms,
                              &page, &world->failure),
                  STATUS_NOT_FOUND, "entry_id");
    world->now_ms += INT64_C(86400) * 1000; /* the standard life */
    assert_failed(world,
                  cache_entry(world->cache, TEXT(""), &id, false, world->arena, world->now_ms,
                              &page, &world->failure),
                  STATUS_NOT_FOUND, "entry_id");
}

static void what_is_no_cursor_and_what_is_too_much_is_named(void **state)
{
    struct world *world = *state;
    struct cache_page page;
    static const char *const cursors[] = {"0", "zzzzzzzzzzzzzzzzzzzzzzzz",
                                          "000000000000000000000000",
                                          "0000000000000000000000000000"};
    for (size_t i = 0; i < sizeof(cursors) / sizeof(cursors[0]); i++) {
        struct cache_page_request request = {.cursor = text_of(cursors[i])};
        assert_failed(world, page_of(world, &request, &page), STATUS_BAD_ID, "cursor");
    }
    struct cache_page_request much = {.limit = CACHE_PAGE_MAX + 1};
    assert_failed(world, page_of(world, &much, &page), STATUS_LIMIT_EXCEEDED, "limit");
    struct cache_page_request name = {.selector = {.namespace_ = TEXT("a b")}};
    assert_failed(world, page_of(world, &name, &page), STATUS_BAD_NAME, "selector.namespace");
}

/* Any position is a place to go on from, whoever made it up. */
static void any_position_of_ours_is_safe(void **state)
{
    struct world *world = *state;
    struct cache_page page;
    char cursor[CACHE_CURSOR_TEXT + 1];
    uint64_t seed = 5;
    fill(world, "lasting", 200);
    struct cache_page_request request = {.limit = 1};
    assert_int_equal(page_of(world, &request, &page), STATUS_OK);
    memcpy(cursor, page.cursor, sizeof(cursor));
    cache_page_release(&page);
    for (int i = 0; i < 500; i++) {
        (void)snprintf(cursor + 8, sizeof(cursor) - 8, "%016llx",
                       (unsigned long long)next_random(&seed));
        struct cache_page_request again = {.limit = 1000, .cursor = text_of(cursor)};
        assert_int_equal(page_of(world, &again, &page), STATUS_OK);
        assert_true(page.count <= 200);
        cache_page_release(&page);
    }
}

static int many_stripes(void **state)
{
    static const char *const flags[] = {"--table-stripes=16", "--limits-answer=64KiB"};
    *state = world_create(2, flags);
    return 0;
}

#define WORLD_TEST(name)   cmocka_unit_test_setup_teardown(name, world_plain, world_destroy)
#define STRIPES_TEST(name) cmocka_unit_test_setup_teardown(name, many_stripes, world_destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(every_page_size_sees_every_entry_once),
        STRIPES_TEST(every_page_size_sees_every_entry_once),
        WORLD_TEST(who_lives_all_the_while_is_seen_once_while_the_table_grows),
        STRIPES_TEST(who_lives_all_the_while_is_seen_once_while_the_table_grows),
        WORLD_TEST(a_page_keeps_to_its_bytes_but_for_its_first_entry),
        WORLD_TEST(a_selector_chooses_and_the_tenant_always_counts),
        WORLD_TEST(an_entry_is_shown_with_its_vector_and_uncounted),
        WORLD_TEST(what_is_no_cursor_and_what_is_too_much_is_named),
        WORLD_TEST(any_position_of_ours_is_safe),
        STRIPES_TEST(any_position_of_ours_is_safe),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
