/*
 * Goal: a graph that was built before the end is in use at once after the start, whether the end
 * was clean or came later by a kill; a damaged file or none costs the graph and no answer. Method:
 * a cache in a temporary folder with enough rows for a graph, closed and opened again; the file
 * damaged in between.
 */
#include <sched.h>
#include <unistd.h>

#include "cache/parts.h"
#include "index/directory.h"
#include "tests/unit/cache/folder_world.h"

enum { ROWS = 4400 };

static const char *const flags[] = {"--index-kind=hnsw", "--index-seal-rows=4096"};
enum { FLAGS = 2 };

static struct directory_stats index_of(const struct world *world)
{
    struct directory_stats stats;
    directory_stats(world->cache->directory, &stats);
    return stats;
}

static struct vector vector_number(int number)
{
    uint64_t state = (uint64_t)number + 1;
    struct vector vector;
    for (int i = 0; i < DIMENSION; i++)
        vector.at[i] = (float)(next_random(&state) >> 40) / 8388608.0f - 1.0f;
    return vector;
}

static void set_row(struct world *world, int number)
{
    char prompt[32];
    const struct vector vector = vector_number(number);
    (void)snprintf(prompt, sizeof(prompt), "row %d", number);
    (void)set(world, of(prompt), &vector, prompt);
}

static void fill(struct folder_world *folder)
{
    struct world *world = folder_open(folder, FLAGS, flags);
    for (int number = 0; number < ROWS; number++)
        set_row(world, number);
    while (index_of(world).graph_rows == 0)
        (void)sched_yield(); /* the builder works */
}

/* With the row's number in it, since the guard looks at numbers. */
static struct cache_get_reply *ask_in_other_words(struct world *world, int number)
{
    char prompt[48];
    const struct vector vector = vector_number(number);
    (void)snprintf(prompt, sizeof(prompt), "which one is row %d", number);
    return ask(world, of(prompt), &vector);
}

static void assert_answers(struct world *world)
{
    for (int number = 0; number < ROWS; number += 10) {
        char content[32];
        (void)snprintf(content, sizeof(content), "row %d", number);
        assert_hit(ask_in_other_words(world, number), CACHE_TIER_SEMANTIC, content);
    }
}

static void damage(const struct folder_world *folder)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/index.segments", folder->path);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 1000, SEEK_SET), 0);
    assert_true(fputc(0x5a, file) != EOF);
    assert_int_equal(fclose(file), 0);
}

static void a_graph_is_in_use_at_once(void **state)
{
    struct folder_world *folder = *state;
    fill(folder);
    const uint64_t graph_rows = index_of(folder->world).graph_rows;
    folder_close(folder);
    struct world *world = folder_open(folder, FLAGS, flags);
    const struct directory_stats after = index_of(world);
    assert_true(after.graph_rows >= graph_rows);
    assert_int_equal(after.builds, 0);
    assert_int_equal(after.rows, ROWS);
    assert_answers(world);
}

static void rows_set_and_removed_later_are_as_they_should_be(void **state)
{
    struct folder_world *folder = *state;
    fill(folder);
    folder_close(folder);
    char path[128], kept[160];
    (void)snprintf(path, sizeof(path), "%s/index.segments", folder->path);
    (void)snprintf(kept, sizeof(kept), "%s.kept", path);
    assert_int_equal(rename(path, kept), 0);
    struct world *world = folder_open(folder, FLAGS, flags);
    remove_key(world, of("row 0"));
    set_row(world, ROWS);
    folder_close(folder);
    assert_int_equal(rename(kept, path), 0); /* as if the second end had been a kill */
    world = folder_open(folder, FLAGS, flags);
    assert_int_equal(ask_in_other_words(world, 0)->tier, CACHE_TIER_NONE);
    assert_hit(ask_in_other_words(world, ROWS), CACHE_TIER_SEMANTIC, "row 4400");
    assert_int_equal(index_of(world).rows, ROWS);
}

static void a_damaged_file_costs_the_graph_and_no_answer(void **state)
{
    struct folder_world *folder = *state;
    fill(folder);
    folder_close(folder);
    damage(folder);
    struct world *world = folder_open(folder, FLAGS, flags);
    assert_int_equal(index_of(world).rows, ROWS);
    assert_answers(world);
}

static bool is_kept(const struct folder_world *folder)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/index.segments", folder->path);
    return access(path, F_OK) == 0;
}

static void compact(struct world *world)
{
    struct await await = await_begin();
    await_expect(&await);
    cache_compact(world->cache, await_done, &await);
    assert_int_equal(await_end(&await), STATUS_OK);
}

static void invalidate(struct world *world, const char *namespace_)
{
    const struct cache_selector selector = {.namespace_ = text_of(namespace_),
                                            .confirm = text_of(namespace_)};
    struct cache_invalidate_reply reply;
    world_forget(world);
    assert_int_equal(cache_invalidate(world->cache, &selector, NULL, &reply, &world->failure),
                     STATUS_OK);
    assert_int_equal(reply.matched, 1);
}

/* What it knows of rows that were purged leaves the disk with the log's bytes. */
static void a_purge_takes_the_file_along(void **state)
{
    struct folder_world *folder = *state;
    const struct vector vector = vector_number(0);
    fill(folder);
    (void)set(folder->world, in_namespace("other", "faq"), &vector, "x");
    folder_close(folder);
    assert_true(is_kept(folder));
    struct world *world = folder_open(folder, FLAGS, flags);
    compact(world);
    assert_true(is_kept(folder)); /* nothing was removed */
    invalidate(world, "faq");
    assert_true(is_kept(folder)); /* until the log is written anew */
    compact(world);
    assert_false(is_kept(folder));
    compact(world); /* there is none any more */
    assert_answers(world);
    folder_close(folder);
    assert_true(is_kept(folder));
    world = folder_open(folder, FLAGS, flags);
    assert_int_equal(index_of(world).builds, 0);
    assert_answers(world);
}

#define FOLDER_TEST(test)                                                                          \
    cmocka_unit_test_setup_teardown(test, folder_world_begin, folder_world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(a_graph_is_in_use_at_once),
        FOLDER_TEST(rows_set_and_removed_later_are_as_they_should_be),
        FOLDER_TEST(a_damaged_file_costs_the_graph_and_no_answer),
        FOLDER_TEST(a_purge_takes_the_file_along),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
