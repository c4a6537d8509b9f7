/*
 * Goal: a graph that was built before the end is in use at once after the start, whether the end
 * was clean or a kill; a damaged file or none costs the graph and no answer; the file is written
 * while the cache runs, and no oftener than is said. Method: a cache in a temporary folder with
 * enough rows for a graph, closed and opened again; the file damaged in between, or put back as it
 * was before the end; the keeper's clock is turned by hand.
 */
#include <sched.h>
#include <sys/stat.h>
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

/* ---- while it runs --------------------------------------------------------------------------- */

enum { MINUTE_MS = 60 * 1000 };

static void path_of(const struct folder_world *folder, const char *name, char out_path[160])
{
    (void)snprintf(out_path, 160, "%s/%s", folder->path, name);
}

/* How often the file has been written, or has not; once the scribe is at rest. */
static struct cache_stats after_tick(struct world *world, int64_t now_ms)
{
    cache_tick_segments(world->cache, now_ms);
    while (!cache_scribe_rests(world->cache))
        (void)sched_yield();
    return stats_of(world, "");
}

static void a_graph_outlives_a_kill(void **state)
{
    struct folder_world *folder = *state;
    char path[160], kept[160];
    fill(folder);
    assert_false(is_kept(folder));
    assert_int_equal(after_tick(folder->world, folder->world->now_ms).segments_kept, 1);
    path_of(folder, "index.segments", path);
    path_of(folder, "kept", kept);
    assert_int_equal(rename(path, kept), 0);
    const uint64_t graph_rows = index_of(folder->world).graph_rows;
    folder_close(folder);
    assert_int_equal(rename(kept, path), 0); /* as if the end had been a kill */
    struct world *world = folder_open(folder, FLAGS, flags);
    assert_int_equal(index_of(world).graph_rows, graph_rows);
    assert_int_equal(index_of(world).builds, 0);
    assert_answers(world);
}

/* Snapshots do not have the file, and need it not: rows keep their sequences through them. */
static void a_graph_outlives_a_restore(void **state)
{
    struct folder_world *folder = *state;
    struct await await = await_begin();
    char aside[RESTORE_FOLDER_MAX];
    fill(folder);
    await_expect(&await);
    cache_snapshot(folder->world->cache, TEXT("before"), await_snapshot, &await);
    assert_int_equal(await_end(&await), STATUS_OK);
    set_row(folder->world, ROWS);
    folder_close(folder);
    struct world *world = folder_expect(folder, FLAGS, flags);
    assert_int_equal(cache_restore(world->cache, TEXT("before"), aside, &world->failure),
                     STATUS_OK);
    assert_int_equal(cache_load(world->cache, &world->failure), STATUS_OK);
    assert_int_equal(index_of(world).rows, ROWS);
    assert_true(index_of(world).graph_rows > 0);
    assert_int_equal(index_of(world).builds, 0);
    assert_answers(world);
}

static void it_is_written_when_there_is_something_new_and_time(void **state)
{
    struct folder_world *folder = *state;
    fill(folder);
    struct world *world = folder->world;
    const int64_t now_ms = world->now_ms;
    assert_int_equal(after_tick(world, now_ms).segments_kept, 1);
    assert_int_equal(after_tick(world, now_ms + 60 * MINUTE_MS).segments_kept, 1); /* as before */
    const uint64_t builds = index_of(world).builds;
    for (int number = ROWS; index_of(world).builds == builds; number++)
        set_row(world, number); /* until there is a chunk more, which makes a larger graph */
    assert_int_equal(after_tick(world, now_ms + 9 * MINUTE_MS).segments_kept, 1);
    assert_int_equal(after_tick(world, now_ms + 120 * MINUTE_MS).segments_kept, 2);
    folder_close(folder);
    world = folder_open(folder, FLAGS, flags);
    assert_int_equal(index_of(world).builds, 0);
    assert_int_equal(after_tick(world, now_ms).segments_kept, 0); /* it is in the file */
}

static void purge(struct world *world)
{
    const struct vector vector = vector_number(0);
    (void)set(world, in_namespace("other", "faq"), &vector, "x");
    invalidate(world, "faq");
    compact(world);
}

/* The file that a purge took is written again, and one that is being written then gives way. */
static void what_a_purge_takes_is_written_again(void **state)
{
    struct folder_world *folder = *state;
    fill(folder);
    struct world *world = folder->world;
    int64_t now_ms = world->now_ms;
    assert_int_equal(after_tick(world, now_ms).segments_kept, 1);
    for (int round = 0; round < 4; round++) {
        purge(world);
        assert_false(is_kept(folder));
        const uint64_t kept = after_tick(world, now_ms + 9 * MINUTE_MS).segments_kept;
        assert_false(is_kept(folder));
        now_ms += 120 * MINUTE_MS;
        cache_tick_segments(world->cache, now_ms); /* and while that is under way: */
        purge(world);
        assert_in_range(after_tick(world, now_ms + MINUTE_MS).segments_kept, kept, kept + 1);
        now_ms += 120 * MINUTE_MS;
        assert_in_range(after_tick(world, now_ms).segments_kept, kept + 1, kept + 2);
        assert_true(is_kept(folder));
    }
    folder_close(folder);
    world = folder_open(folder, FLAGS, flags);
    assert_int_equal(index_of(world).builds, 0);
    assert_answers(world);
}

/* At least: a loaded machine may take as long as it likes. */
static void it_is_written_no_faster_than_compaction_may(void **state)
{
    static const char *const slow[] = {"--index-kind=hnsw", "--index-seal-rows=4096",
                                       "--compact-rate-max=1MiB"};
    struct folder_world *folder = *state;
    fill(folder);
    folder_close(folder);
    char path[160];
    struct stat file;
    path_of(folder, "index.segments", path);
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(unlink(path), 0);
    struct world *world = folder_open(folder, 3, slow);
    while (index_of(world).graph_rows == 0)
        (void)sched_yield(); /* the builder works */
    const uint64_t start_us = clock_monotonic_us();
    assert_int_equal(after_tick(world, world->now_ms).segments_kept, 1);
    const uint64_t took_us = clock_monotonic_us() - start_us;
    assert_true(file.st_size > 512 << 10);
    assert_true(took_us >= (uint64_t)(file.st_size - (256 << 10)) * 1000000 >> 20);
}

static void a_refusing_disk_is_counted_and_tried_again(void **state)
{
    struct folder_world *folder = *state;
    char draft[160];
    fill(folder);
    path_of(folder, "index.segments.tmp", draft);
    assert_int_equal(mkdir(draft, 0700), 0); /* in the way */
    struct cache_stats stats = after_tick(folder->world, folder->world->now_ms);
    assert_int_equal(stats.segments_kept, 0);
    assert_int_equal(stats.segments_not_kept, 1);
    assert_false(is_kept(folder));
    assert_int_equal(rmdir(draft), 0);
    stats = after_tick(folder->world, folder->world->now_ms + 120 * MINUTE_MS);
    assert_int_equal(stats.segments_kept, 1);
    assert_true(is_kept(folder));
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
        FOLDER_TEST(a_graph_outlives_a_kill),
        FOLDER_TEST(a_graph_outlives_a_restore),
        FOLDER_TEST(it_is_written_when_there_is_something_new_and_time),
        FOLDER_TEST(what_a_purge_takes_is_written_again),
        FOLDER_TEST(it_is_written_no_faster_than_compaction_may),
        FOLDER_TEST(a_refusing_disk_is_counted_and_tried_again),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
