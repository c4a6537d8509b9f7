/*
 * Goal: what folder.c keeps outlives the cache: verdicts, the key of tokens, what namespaces want,
 * acks that mean what they say, snapshots. Method: a cache in a temporary folder, closed and opened
 * again by one with other secrets; acks are proved by a copy of the folder taken while it is open,
 * which is what a kill leaves.
 */
#include <dirent.h>
#include <sys/stat.h>

#include "tests/unit/cache/folder_world.h"

static const struct vector here = {{1, 0, 0, 0}};

/* ---- what is written ------------------------------------------------------------------------- */

static void everything_is_there_again_at_once(void **state)
{
    struct folder_world *folder = *state;
    struct world *world = folder_open(folder, 0, NULL);
    (void)set(world, exact_of("only exact"), NULL, "one");
    (void)set(world, of("How do I reset my password?"), NULL, "under settings");
    (void)set(world, in_namespace("hello", "faq"), &here, "world");
    (void)set(world, exact_of("gone"), NULL, "gone");
    const struct digest id = set(world, exact_of("twice"), NULL, "old")->entry_id;
    (void)set(world, exact_of("twice"), NULL, "new");
    remove_key(world, exact_of("gone"));
    const uint64_t last = set(world, exact_of("last"), NULL, "last")->sequence;
    const struct cache_stats before = stats_of(world, "");
    world = folder_reopen(folder);
    const struct cache_stats after = stats_of(world, "");
    assert_int_equal(after.entries, 5);
    assert_int_equal(after.entries, before.entries);
    assert_int_equal(after.size_bytes, before.size_bytes);
    assert_int_equal(after.semantic.entries, before.semantic.entries);
    assert_int_equal(after.recovered_rows, 2);
    assert_int_equal(after.recovered_rowless, 0);
    assert_int_equal(after.journal.recovered_entries, 7); /* read: the dead among them, too */
    assert_int_equal(after.journal.state, STORAGE_DURABLE);
    assert_true(after.journal.loading_done == 1);
    assert_hit(ask(world, exact_of("only exact"), NULL), CACHE_TIER_EXACT, "one");
    assert_hit(ask(world, exact_of("twice"), NULL), CACHE_TIER_EXACT, "new");
    assert_memory_equal(&world->get.reply.key, &id, sizeof(id));
    assert_miss(ask(world, exact_of("gone"), NULL), CACHE_MISS_NOT_ELIGIBLE);
    assert_hit(ask(world, of("How can I reset my password?"), NULL), CACHE_TIER_SEMANTIC,
               "under settings");
    const struct vector near = angle(0.1);
    assert_hit(ask(world, in_namespace("hello there", "faq"), &near), CACHE_TIER_SEMANTIC, "world");
    assert_miss(ask(world, of("hello there"), &near), CACHE_MISS_NO_CANDIDATE);
    assert_true(set(world, exact_of("later"), NULL, "x")->sequence > last);
}

static enum cache_outcome report(struct world *world, const char *token, enum cache_verdict verdict)
{
    const struct cache_report report = {
        .token = text_of(token), .verdict = verdict, .source = CACHE_SOURCE_USER};
    uint32_t left = 0;
    return cache_report_verdict(world->cache, &report, world->now_ms, &left);
}

static const char *token_at(struct world *world, double radians)
{
    const struct vector vector = angle(radians);
    const struct cache_get_reply *reply = ask(world, of("hello there"), &vector);
    assert_true(reply->decided);
    return reply->token;
}

static void a_policy_goes_on_where_it_stopped(void **state)
{
    static const char *const flags[] = {"--semantic-policy=adaptive"};
    struct folder_world *folder = *state;
    struct world *world = folder_open(folder, 1, flags);
    (void)set(world, of("hello"), &here, "world");
    for (int i = 0; i < 9; i++)
        assert_int_equal(report(world, token_at(world, 0.05), CACHE_CORRECT), CACHE_ACCEPTED);
    for (int i = 0; i < 2; i++)
        assert_int_equal(report(world, token_at(world, 0.05), CACHE_WRONG), CACHE_ACCEPTED);
    const struct cache_scope_stats before = scope_in(world, "");
    assert_true(fabsf(before.threshold - 0.95f) > 1e-3f);
    folder_close(folder);
    const struct cache_scope_stats after = scope_in(folder_open(folder, 1, flags), "");
    assert_true(after.threshold == before.threshold);
    assert_int_equal(after.feedback_count, 11);
    assert_int_equal(after.feedback_right, 9);
    assert_true(text_equal(after.model, TEXT("m")));
}

/* What the process knew of used tokens is gone: those issued up to the last used one are not taken
 * a second time, at the price of some that were never used. */
static void a_token_of_before_counts_once(void **state)
{
    struct folder_world *folder = *state;
    struct world *world = folder_open(folder, 0, NULL);
    char used[TOKEN_TEXT + 1], unused[TOKEN_TEXT + 1];
    (void)set(world, of("hello"), &here, "world");
    (void)snprintf(used, sizeof(used), "%s", token_at(world, 0.05));
    assert_int_equal(report(world, used, CACHE_CORRECT), CACHE_ACCEPTED);
    world->now_ms += 5000;
    (void)snprintf(unused, sizeof(unused), "%s", token_at(world, 0.05));
    world = folder_reopen(folder);
    world->now_ms += 6000;
    assert_int_equal(report(world, unused, CACHE_CORRECT), CACHE_ACCEPTED);
    assert_int_equal(report(world, unused, CACHE_CORRECT), CACHE_DUPLICATE);
    const enum cache_outcome again = report(world, used, CACHE_CORRECT);
    assert_true(again == CACHE_DUPLICATE || again == CACHE_TOKEN_EXPIRED);
    assert_int_equal(scope_in(world, "").feedback_count, 2);
}

static void the_keeper_writes_what_has_changed_once_a_second(void **state)
{
    struct folder_world *folder = *state;
    struct world *world = folder_open(folder, 0, NULL);
    (void)set(world, of("hello"), &here, "world");
    cache_tick(world->cache, FOLDER_NOW_MS + 5000);
    const uint64_t still = set(world, exact_of("a"), NULL, "x")->sequence;
    cache_tick(world->cache, FOLDER_NOW_MS + 7000);
    const uint64_t quiet = set(world, exact_of("b"), NULL, "x")->sequence;
    assert_int_equal(quiet, still + 1); /* nothing has changed */
    assert_int_equal(report(world, token_at(world, 0.05), CACHE_CORRECT), CACHE_ACCEPTED);
    cache_tick(world->cache, FOLDER_NOW_MS + 7999);
    assert_int_equal(set(world, exact_of("c"), NULL, "x")->sequence, quiet + 1); /* too early */
    cache_tick(world->cache, FOLDER_NOW_MS + 8000);
    assert_int_equal(set(world, exact_of("d"), NULL, "x")->sequence, quiet + 4); /* scope, tokens */
    cache_tick(world->cache, FOLDER_NOW_MS + 9000);
    assert_int_equal(set(world, exact_of("e"), NULL, "x")->sequence, quiet + 5);
}

/* ---- namespaces ------------------------------------------------------------------------------ */

static void what_a_namespace_wants_stays(void **state)
{
    static const struct cache_namespace_settings wanted = {
        .index_kind = INDEX_HNSW + 1, .ef_search = 64, .nprobe = 9};
    struct folder_world *folder = *state;
    struct world *world = folder_open(folder, 0, NULL);
    struct cache_namespace_settings settings;
    struct await await = await_begin();
    const struct cache_waiter waiter = waiter_of(&await);
    assert_int_equal(change(world, "faq", NAMESPACE_INDEX_KIND | NAMESPACE_EF_SEARCH, wanted,
                            &waiter, &settings),
                     STATUS_OK);
    assert_int_equal(await_end(&await), STATUS_OK);
    assert_int_equal(await.done, 1);
    assert_int_equal(settings.nprobe, 0);
    world = folder_reopen(folder);
    assert_int_equal(change(world, "faq", NAMESPACE_NPROBE, wanted, NULL, &settings), STATUS_OK);
    assert_int_equal(settings.index_kind, INDEX_HNSW + 1);
    assert_int_equal(settings.ef_search, 64);
    assert_int_equal(settings.nprobe, 9);
    (void)set(world, in_namespace("hello", "faq"), &here, "x");
    assert_int_equal(scope_in(world, "faq").index.asked, INDEX_HNSW);
    const struct cache_namespace_settings none = {.index_kind = 0};
    assert_int_equal(change(world, "faq", NAMESPACE_INDEX_KIND, none, NULL, &settings), STATUS_OK);
    assert_int_equal(scope_in(world, "faq").index.asked, INDEX_AUTO);
}

static void what_a_namespace_cannot_want_is_refused(void **state)
{
    struct world *world = folder_open(*state, 0, NULL);
    struct cache_namespace_settings settings = {.ef_search = INDEX_EF_SEARCH_MAX + 1};
    const struct cache_namespace_settings probes = {.nprobe = INDEX_NPROBE_MAX + 1};
    assert_failed(world, change(world, "a", NAMESPACE_EF_SEARCH, settings, NULL, &settings),
                  STATUS_LIMIT_EXCEEDED, "namespace.ef_search");
    assert_failed(world, change(world, "a", NAMESPACE_NPROBE, probes, NULL, &settings),
                  STATUS_LIMIT_EXCEEDED, "namespace.nprobe");
}

/* ---- acks ------------------------------------------------------------------------------------ */

static enum status set_waiting(struct world *world, const char *prompt, enum journal_ack ack,
                               struct await *await)
{
    const struct cache_set_request request = {
        .identity = exact_of(prompt), .content = text_of(prompt), .ack = ack};
    const struct cache_waiter waiter = waiter_of(await);
    struct cache_set step;
    world_forget(world);
    enum status status = cache_set_begin(world->cache, &request, world->arena, world->now_ms, &step,
                                         &world->failure);
    if (status == STATUS_OK)
        status = cache_set_finish(world->cache, &step, STATUS_OK, world->now_ms, &waiter,
                                  &world->failure);
    world->set = step.reply;
    return status;
}

static void copy_file(const char *from, const char *to)
{
    char bytes[65536];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_non_null(in);
    assert_non_null(out);
    for (size_t size; (size = fread(bytes, 1, sizeof(bytes), in)) > 0;)
        assert_int_equal(fwrite(bytes, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
    (void)fclose(in);
}

/* The open folder, file by file, into a new one: as a kill at this moment would leave it. */
static void copy_folder(const struct folder_world *from, struct folder_world **out_copy)
{
    void *state = NULL;
    (void)folder_world_begin(&state);
    *out_copy = state;
    DIR *files = opendir(from->path);
    assert_non_null(files);
    for (struct dirent *file; (file = readdir(files)) != NULL;) {
        char source[384], target[384];
        struct stat info;
        (void)snprintf(source, sizeof(source), "%s/%s", from->path, file->d_name);
        (void)snprintf(target, sizeof(target), "%s/%s", (*out_copy)->path, file->d_name);
        if (strncmp(file->d_name, "spare", 5) != 0 && stat(source, &info) == 0 &&
            S_ISREG(info.st_mode))
            copy_file(source, target);
    }
    (void)closedir(files);
}

static void what_was_waited_for_is_in_the_files(void **state)
{
    struct folder_world *folder = *state, *copy = NULL;
    struct world *world = folder_open(folder, 0, NULL);
    struct await await = await_begin();
    assert_int_equal(set_waiting(world, "logged", ACK_LOGGED, &await), STATUS_OK);
    assert_int_equal(world->set.ack, ACK_LOGGED);
    assert_int_equal(set_waiting(world, "synced", ACK_SYNCED, &await), STATUS_OK);
    assert_int_equal(world->set.ack, ACK_SYNCED);
    assert_int_equal(await_end(&await), STATUS_OK);
    assert_int_equal(await.done, 2);
    const uint64_t synced = world->set.sequence;
    assert_true(stats_of(world, "").journal.durable_sequence >= synced);
    assert_int_equal(set_waiting(world, "memory", ACK_MEMORY, &await), STATUS_OK);
    assert_int_equal(set_waiting(world, "standard", ACK_DEFAULT, &await), STATUS_OK);
    assert_int_equal(world->set.ack, ACK_MEMORY);
    assert_int_equal(await.expected, 2); /* nobody waits for memory */
    copy_folder(folder, &copy);
    struct world *other = folder_open(copy, 0, NULL);
    assert_hit(ask(other, exact_of("logged"), NULL), CACHE_TIER_EXACT, "logged");
    assert_hit(ask(other, exact_of("synced"), NULL), CACHE_TIER_EXACT, "synced");
    void *doomed = copy;
    (void)folder_world_end(&doomed);
}

static void removals_wait_for_the_log(void **state)
{
    static const char *const flags[] = {"--journal-durability=always"};
    struct folder_world *folder = *state, *copy = NULL;
    struct world *world = folder_open(folder, 0, NULL);
    const struct identity identity = exact_of("gone");
    struct await await = await_begin();
    const struct cache_waiter waiter = waiter_of(&await);
    const struct cache_delete_request request = {.identity = &identity};
    uint32_t deleted = 0;
    assert_int_equal(cache_ack_removal(world->cache), ACK_LOGGED);
    (void)set(world, identity, NULL, "x");
    world_forget(world);
    assert_int_equal(
        cache_delete(world->cache, &request, world->arena, &waiter, &deleted, &world->failure),
        STATUS_OK);
    assert_int_equal(deleted, 1);
    assert_int_equal(await_end(&await), STATUS_OK);
    assert_true(await.done > 0);
    copy_folder(folder, &copy);
    assert_miss(ask(folder_open(copy, 0, NULL), identity, NULL), CACHE_MISS_NOT_ELIGIBLE);
    void *doomed = copy;
    (void)folder_world_end(&doomed);
    folder_close(folder);
    assert_int_equal(cache_ack_removal(folder_open(folder, 1, flags)->cache), ACK_SYNCED);
}

static void without_a_folder_nobody_can_wait_for_the_disk(void **state)
{
    struct world *world = *state;
    struct await await = await_begin();
    struct snapshot_info infos[1];
    uint32_t count = 0;
    assert_failed(world, set_waiting(world, "q", ACK_LOGGED, &await), STATUS_NO_JOURNAL, "ack");
    assert_failed(world, set_waiting(world, "q", ACK_SYNCED, &await), STATUS_NO_JOURNAL, "ack");
    assert_int_equal(set_waiting(world, "q", ACK_DEFAULT, &await), STATUS_OK);
    assert_int_equal(await.expected, 0);
    assert_int_equal(cache_ack_removal(world->cache), ACK_MEMORY);
    assert_false(cache_has_folder(world->cache));
    assert_int_equal(cache_load(world->cache, &world->failure), STATUS_OK);
    assert_int_equal(cache_snapshots(world->cache, infos, 1, &count, &world->failure),
                     STATUS_NO_JOURNAL);
    assert_int_equal(cache_snapshot_remove(world->cache, TEXT("x"), &world->failure),
                     STATUS_NO_JOURNAL);
    const struct cache_stats stats = stats_of(world, "");
    assert_false(stats.has_folder);
    assert_int_equal(stats.journal.state, STORAGE_NONE);
    assert_true(stats.journal.loading_done == 1);
}

/* ---- snapshots ------------------------------------------------------------------------------- */

static void a_snapshot_is_gone_back_to(void **state)
{
    struct folder_world *folder = *state;
    struct world *world = folder_open(folder, 0, NULL);
    struct snapshot_info infos[2];
    char aside[RESTORE_FOLDER_MAX];
    uint32_t count = 0;
    struct await await = await_begin();
    (void)set(world, of("hello"), &here, "world");
    (void)set(world, exact_of("a"), NULL, "old");
    await_expect(&await);
    cache_snapshot(world->cache, TEXT("before"), await_snapshot, &await);
    assert_int_equal(await_end(&await), STATUS_OK);
    assert_string_equal(await.info.name, "before");
    assert_int_equal(await.info.entries, 2);
    (void)set(world, exact_of("a"), NULL, "new");
    remove_key(world, of("hello"));
    assert_int_equal(cache_snapshots(world->cache, infos, 2, &count, &world->failure), STATUS_OK);
    assert_int_equal(count, 1);
    folder_close(folder);
    world = folder_expect(folder, 0, NULL);
    assert_int_equal(cache_restore(world->cache, TEXT("missing"), aside, &world->failure),
                     STATUS_NOT_FOUND);
    assert_int_equal(world->failure.status, STATUS_NOT_FOUND);
    world_forget(world);
    assert_int_equal(cache_restore(world->cache, TEXT("before"), aside, &world->failure),
                     STATUS_OK);
    assert_true(aside[0] != '\0');
    assert_int_equal(cache_load(world->cache, &world->failure), STATUS_OK);
    const struct vector near = angle(0.1);
    assert_hit(ask(world, exact_of("a"), NULL), CACHE_TIER_EXACT, "old");
    assert_hit(ask(world, of("hello there"), &near), CACHE_TIER_SEMANTIC, "world");
    assert_int_equal(cache_snapshot_remove(world->cache, TEXT("before"), &world->failure),
                     STATUS_OK);
    assert_int_equal(cache_snapshot_remove(world->cache, TEXT("before"), &world->failure),
                     STATUS_NOT_FOUND);
}

/* Notes lie in the oldest segments: they must be written anew before those go. */
static void compaction_and_snapshots_keep_notes_and_vectors(void **state)
{
    static const struct cache_namespace_settings wanted = {.index_kind = INDEX_IVF + 1};
    struct folder_world *folder = *state;
    struct world *world = folder_open(folder, 0, NULL);
    struct cache_namespace_settings settings;
    struct await await = await_begin();
    (void)set(world, in_namespace("hello", "faq"), &here, "world");
    assert_int_equal(change(world, "faq", NAMESPACE_INDEX_KIND, wanted, NULL, &settings),
                     STATUS_OK);
    char token[TOKEN_TEXT + 1];
    const struct vector near = angle(0.05);
    (void)snprintf(token, sizeof(token), "%s",
                   ask(world, in_namespace("hello there", "faq"), &near)->token);
    static const char *const names[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++) {
        await_expect(&await);
        cache_snapshot(world->cache, text_of(names[i]), await_snapshot, &await);
        assert_int_equal(await_end(&await), STATUS_OK);
        await_expect(&await);
        cache_compact(world->cache, await_done, &await);
        assert_int_equal(await_end(&await), STATUS_OK);
    }
    world = folder_reopen(folder);
    assert_hit(ask(world, in_namespace("hello there", "faq"), &near), CACHE_TIER_SEMANTIC, "world");
    assert_int_equal(stats_of(world, "").recovered_rowless, 0);
    assert_int_equal(scope_in(world, "faq").index.asked, INDEX_IVF);
    assert_int_equal(report(world, token, CACHE_CORRECT), CACHE_ACCEPTED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_world_begin, folder_world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everything_is_there_again_at_once),
        TEST(a_policy_goes_on_where_it_stopped),
        TEST(a_token_of_before_counts_once),
        TEST(the_keeper_writes_what_has_changed_once_a_second),
        TEST(what_a_namespace_wants_stays),
        TEST(what_a_namespace_cannot_want_is_refused),
        TEST(what_was_waited_for_is_in_the_files),
        TEST(removals_wait_for_the_log),
        cmocka_unit_test_setup_teardown(without_a_folder_nobody_can_wait_for_the_disk, world_plain,
                                        world_destroy),
        TEST(a_snapshot_is_gone_back_to),
        TEST(compaction_and_snapshots_keep_notes_and_vectors),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
