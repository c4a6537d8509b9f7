/*
 * Goal: every backend of io.h keeps what io.h promises, io_folder and io_file beneath it. Method:
 * one suite, run on io_posix, and on whatever else stands in `makers`; a backend that this machine
 * forbids is skipped with its reason.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/io_uring_prove.h"
#include "tests/support/io_sim.h"
#include "tests/unit/storage/io_world.h"

struct world;

struct maker {
    const char *name;
    bool is_on_disk;
    enum status (*open)(struct world *world, struct io **out_io);
};

struct world {
    const struct maker *maker;
    char folder[64];
    struct failure failure;
    struct io *io;
    struct io_sim *disk; /* of the simulated one */
};

static enum status open_posix(struct world *world, struct io **out_io)
{
    return io_posix_open(world->folder, out_io, &world->failure);
}

static enum status open_uring(struct world *world, struct io **out_io)
{
    return io_uring_open(world->folder, out_io, &world->failure);
}

static enum status open_simulated(struct world *world, struct io **out_io)
{
    if (world->disk == NULL)
        world->disk = io_sim_create(7);
    *out_io = io_sim_open(world->disk, "");
    return STATUS_OK;
}

static const struct maker makers[] = {
    {"posix", true, open_posix},
    {"io_uring", true, open_uring},
    {"simulated", false, open_simulated},
};

static const struct maker *maker; /* of the suite that runs */

static int make_world(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world->maker = maker;
    folder_create(world->folder);
    const enum status status = maker->open(world, &world->io);
    if (status != STATUS_OK)
        print_message("%s: %s\n", maker->name, world->failure.message);
    assert_int_equal(status, STATUS_OK);
    *state = world;
    return 0;
}

static int end_world(void **state)
{
    struct world *world = *state;
    if (world->io != NULL)
        world->io->operations->close(&world->io);
    if (world->disk != NULL)
        io_sim_destroy(&world->disk);
    folder_remove(world->folder);
    free(world);
    return 0;
}

static struct io *other_io(struct world *world)
{
    struct io *io = NULL;
    assert_int_equal(world->maker->open(world, &io), STATUS_OK);
    return io;
}

/* ---- files ----------------------------------------------------------------------------------- */

static void a_created_file_is_full_of_zeros_and_is_made_once(void **state)
{
    struct io *io = ((struct world *)*state)->io;
    const uint64_t size = 70 * BLOCK + 100;
    struct io_file *file = file_in(io, "a.journal", size), *again = NULL;
    uint8_t *zeros = calloc(1, size);
    assert_holds(io, file, zeros, size, 0);
    assert_false(io->operations->is_direct(file));
    io->operations->close_file(io, &file);
    assert_null(file);
    io->operations->close_file(io, &file);
    assert_int_equal(io->operations->create_file(io, "a.journal", 1, &again), STATUS_IO_FAILED);
    assert_int_equal(io->error, EEXIST);
    assert_null(again);
    uint64_t found = 0;
    assert_int_equal(io->operations->open_file(io, "a.journal", IO_BUFFERED, &file, &found),
                     STATUS_OK);
    assert_int_equal(found, size);
    io->operations->close_file(io, &file);
    free(zeros);
}

static void an_empty_file_can_be_made(void **state)
{
    struct io *io = ((struct world *)*state)->io;
    struct io_file *file = file_in(io, "empty", 0);
    uint8_t byte = 0;
    size_t read = 9;
    assert_int_equal(io->operations->read_at(io, file, &byte, 1, 0, &read), STATUS_OK);
    assert_int_equal(read, 0);
    io->operations->close_file(io, &file);
}

static void files_and_folder_are_for_their_owner_alone(void **state)
{
    struct world *world = *state;
    if (!world->maker->is_on_disk)
        skip();
    char path[128];
    struct stat info;
    struct failure failure;
    struct io *inner = NULL;
    struct io_file *file = file_in(world->io, "a.journal", BLOCK);
    world->io->operations->close_file(world->io, &file);
    (void)snprintf(path, sizeof(path), "%s/a.journal", world->folder);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_true((uint64_t)info.st_blocks * 512 >= BLOCK); /* no hole */
    (void)snprintf(path, sizeof(path), "%s/inner", world->folder);
    assert_int_equal(io_posix_open(path, &inner, &failure), STATUS_OK);
    inner->operations->close(&inner);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
}

static void what_is_written_is_read_back_wherever_it_lies(void **state)
{
    struct io *io = ((struct world *)*state)->io;
    struct io_file *file = file_in(io, "a", 100);
    uint8_t *bytes = blocks_of(3, 1);
    static const uint8_t zeros[400];
    assert_int_equal(io->operations->write_at(io, file, bytes, 3 * BLOCK, 500), STATUS_OK);
    assert_int_equal(io->operations->sync_file(io, file), STATUS_OK);
    assert_holds(io, file, bytes, 3 * BLOCK, 500);
    assert_holds(io, file, zeros, 400, 100);
    free(bytes);
    io->operations->close_file(io, &file);
}

static void a_read_ends_with_the_file(void **state)
{
    struct io *io = ((struct world *)*state)->io;
    struct io_file *file = file_in(io, "a", 1000);
    uint8_t read[64];
    size_t count = 0;
    assert_int_equal(io->operations->read_at(io, file, read, 64, 970, &count), STATUS_OK);
    assert_int_equal(count, 30);
    assert_int_equal(io->operations->read_at(io, file, read, 64, 5000, &count), STATUS_OK);
    assert_int_equal(count, 0);
    io->operations->close_file(io, &file);
}

static void a_direct_file_reads_to_its_end(void **state)
{
    struct io *io = ((struct world *)*state)->io;
    struct io_file *file = file_in(io, "a", 2 * BLOCK + 10);
    uint8_t *bytes = blocks_of(2, 7), *read = blocks_of(4, 0);
    uint64_t size = 0;
    size_t count = 0;
    assert_int_equal(io->operations->write_at(io, file, bytes, 2 * BLOCK, 0), STATUS_OK);
    io->operations->close_file(io, &file);
    assert_int_equal(io->operations->open_file(io, "a", IO_DIRECT, &file, &size), STATUS_OK);
    assert_int_equal(io->operations->read_at(io, file, read, 4 * BLOCK, 0, &count), STATUS_OK);
    assert_int_equal(count, 2 * BLOCK + 10);
    assert_memory_equal(read, bytes, 2 * BLOCK);
    free(bytes);
    free(read);
    io->operations->close_file(io, &file);
}

static void a_file_is_cut_and_grows(void **state)
{
    struct io *io = ((struct world *)*state)->io;
    struct io_file *file = file_in(io, "a", 0);
    uint8_t *bytes = blocks_of(1, 2);
    assert_int_equal(io->operations->write_at(io, file, bytes, BLOCK, 0), STATUS_OK);
    assert_int_equal(io->operations->truncate_file(io, file, 100), STATUS_OK);
    assert_int_equal(io->operations->truncate_file(io, file, BLOCK), STATUS_OK);
    memset(bytes + 100, 0, BLOCK - 100); /* what was cut off does not come back */
    assert_holds(io, file, bytes, BLOCK, 0);
    free(bytes);
    io->operations->close_file(io, &file);
}

static void a_file_that_is_only_read_is_not_written(void **state)
{
    struct io *io = ((struct world *)*state)->io;
    struct io_file *file = file_in(io, "a", BLOCK);
    uint64_t size = 0;
    io->operations->close_file(io, &file);
    assert_int_equal(io->operations->open_file(io, "a", IO_READ_ONLY, &file, &size), STATUS_OK);
    assert_int_equal(size, BLOCK);
    assert_int_equal(io->operations->write_at(io, file, "x", 1, 0), STATUS_IO_FAILED);
    assert_int_equal(io->error, EBADF);
    const struct io_commit commit = {.bytes = "x", .size_bytes = 1, .sync = true, .tag = 4};
    const struct io_completion completion = commit_now(io, file, &commit);
    assert_int_equal(completion.status, STATUS_IO_FAILED);
    assert_int_equal(completion.error, EBADF);
    assert_false(completion.sync_failed);
    io->operations->close_file(io, &file);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void an_absent_name_is_not_found(void **state)
{
    struct io *io = ((struct world *)*state)->io;
    struct io_file *file = NULL;
    uint64_t size = 0;
    for (int mode = IO_BUFFERED; mode <= IO_READ_ONLY; mode++)
        assert_int_equal(io->operations->open_file(io, "b", (enum io_mode)mode, &file, &size),
                         STATUS_NOT_FOUND);
    assert_int_equal(io->operations->remove_file(io, "b"), STATUS_NOT_FOUND);
    assert_int_equal(io->operations->rename_file(io, "b", "c"), STATUS_NOT_FOUND);
    assert_int_equal(io->operations->link_file(io, "b", "inner"), STATUS_NOT_FOUND);
    assert_null(file);
}

struct names {
    unsigned count;
    uint64_t bytes;
    char last[IO_NAME_MAX];
};

static void note_name(void *context, const char *name, uint64_t size_bytes)
{
    struct names *names = context;
    names->count++;
    names->bytes += size_bytes;
    (void)snprintf(names->last, sizeof(names->last), "%s", name);
}

static struct names names_in(struct io *io)
{
    struct names names = {0};
    assert_int_equal(io->operations->list_files(io, note_name, &names), STATUS_OK);
    return names;
}

static void a_rename_replaces_and_an_open_file_stays_what_it_was(void **state)
{
    struct io *io = ((struct world *)*state)->io;
    struct io_file *from = file_in(io, "MANIFEST.tmp", 10), *to = file_in(io, "MANIFEST", 20);
    static const uint8_t zeros[20];
    assert_int_equal(io->operations->write_at(io, from, "manifest 2", 10, 0), STATUS_OK);
    assert_int_equal(io->operations->rename_file(io, "MANIFEST.tmp", "MANIFEST"), STATUS_OK);
    assert_int_equal(io->operations->sync_directory(io), STATUS_OK);
    assert_holds(io, to, zeros, 20, 0);
    io->operations->close_file(io, &to);
    uint64_t size = 0;
    assert_int_equal(io->operations->open_file(io, "MANIFEST", IO_READ_ONLY, &to, &size),
                     STATUS_OK);
    assert_int_equal(size, 10);
    assert_holds(io, to, "manifest 2", 10, 0);
    const struct names names = names_in(io);
    assert_int_equal(names.count, 1);
    assert_string_equal(names.last, "MANIFEST");
    io->operations->close_file(io, &from);
    io->operations->close_file(io, &to);
}

static void a_removed_file_lives_until_it_is_closed(void **state)
{
    struct io *io = ((struct world *)*state)->io;
    struct io_file *file = file_in(io, "a", 10);
    assert_int_equal(io->operations->remove_file(io, "a"), STATUS_OK);
    assert_int_equal(names_in(io).count, 0);
    assert_int_equal(io->operations->write_at(io, file, "0123456789", 10, 0), STATUS_OK);
    assert_holds(io, file, "0123456789", 10, 0);
    io->operations->close_file(io, &file);
    file = file_in(io, "a", 5);
    io->operations->close_file(io, &file);
    assert_int_equal(names_in(io).bytes, 5);
}

static void a_list_has_files_and_their_sizes_but_no_folders(void **state)
{
    struct io *io = ((struct world *)*state)->io;
    struct io_file *one = file_in(io, "one", 100), *two = file_in(io, "two", 23);
    assert_int_equal(io->operations->link_file(io, "one", "snapshots/first"), STATUS_OK);
    const struct names names = names_in(io);
    assert_int_equal(names.count, 2);
    assert_int_equal(names.bytes, 123);
    io->operations->close_file(io, &one);
    io->operations->close_file(io, &two);
}

static void a_linked_file_outlives_its_first_name(void **state)
{
    struct world *world = *state;
    if (!world->maker->is_on_disk)
        skip();
    struct io *io = world->io, *inner = NULL;
    struct io_file *file = file_in(io, "a", 10);
    char path[128];
    uint64_t size = 0;
    assert_int_equal(io->operations->write_at(io, file, "0123456789", 10, 0), STATUS_OK);
    assert_int_equal(io->operations->link_file(io, "a", "snapshots/x"), STATUS_OK);
    assert_int_equal(io->operations->link_file(io, "a", "snapshots/x"), STATUS_IO_FAILED);
    assert_int_equal(io->error, EEXIST);
    assert_int_equal(io->operations->remove_file(io, "a"), STATUS_OK);
    io->operations->close_file(io, &file);
    (void)snprintf(path, sizeof(path), "%s/snapshots/x", world->folder);
    assert_int_equal(io_posix_open(path, &inner, NULL), STATUS_OK);
    assert_int_equal(inner->operations->open_file(inner, "a", IO_READ_ONLY, &file, &size),
                     STATUS_OK);
    assert_holds(inner, file, "0123456789", 10, 0);
    inner->operations->close_file(inner, &file);
    inner->operations->close(&inner);
}

static void two_of_one_folder_see_the_same_files(void **state)
{
    struct world *world = *state;
    struct io *io = world->io, *other = other_io(world);
    struct io_file *mine = file_in(io, "a", 10), *theirs = NULL;
    uint64_t size = 0;
    assert_int_equal(other->operations->open_file(other, "a", IO_BUFFERED, &theirs, &size),
                     STATUS_OK);
    assert_int_equal(other->operations->write_at(other, theirs, "theirs", 6, 2), STATUS_OK);
    assert_holds(io, mine, "theirs", 6, 2);
    other->operations->close_file(other, &theirs);
    other->operations->close(&other);
    io->operations->close_file(io, &mine);
}

static void a_folder_has_one_holder(void **state)
{
    struct world *world = *state;
    struct io *io = world->io, *other = other_io(world);
    int64_t holder = -1;
    assert_int_equal(io->operations->lock_directory(io, &holder), STATUS_OK);
    assert_int_equal(other->operations->lock_directory(other, &holder), STATUS_UNAVAILABLE);
    assert_int_equal(holder, getpid());
    io->operations->close(&world->io);
    assert_int_equal(other->operations->lock_directory(other, &holder), STATUS_OK);
    other->operations->close(&other);
    assert_null(other);
}

/* ---- commits --------------------------------------------------------------------------------- */

static void a_commit_is_written_with_and_without_a_sync(void **state)
{
    struct io *io = ((struct world *)*state)->io;
    struct io_file *file = file_in(io, "a", 4 * BLOCK);
    uint8_t *bytes = blocks_of(2, 3);
    for (int sync = 0; sync < 2; sync++) {
        const struct io_commit commit = {.bytes = bytes + sync * BLOCK,
                                         .offset_bytes = (uint64_t)sync * BLOCK,
                                         .size_bytes = BLOCK,
                                         .sync = sync != 0,
                                         .tag = 77 + (uint64_t)sync};
        const struct io_completion completion = commit_now(io, file, &commit);
        assert_int_equal(completion.status, STATUS_OK);
        assert_int_equal(completion.error, 0);
        assert_false(completion.sync_failed);
    }
    assert_holds(io, file, bytes, 2 * BLOCK, 0);
    free(bytes);
    io->operations->close_file(io, &file);
}

static void a_commit_of_nothing_is_a_sync(void **state)
{
    struct io *io = ((struct world *)*state)->io;
    struct io_file *file = file_in(io, "a", BLOCK);
    const struct io_completion completion =
        commit_now(io, file, &(struct io_commit){.sync = true, .tag = UINT64_MAX});
    assert_int_equal(completion.status, STATUS_OK);
    io->operations->close_file(io, &file);
}

static void commit_many(struct io *io, struct io_file *file, unsigned rounds)
{
    uint8_t *bytes = blocks_of(IO_COMMITS_MAX, 4);
    for (unsigned round = 0; round < rounds; round++) {
        const uint64_t base = (uint64_t)round * IO_COMMITS_MAX;
        uint64_t seen = 0;
        struct io_completion completions[IO_COMMITS_MAX];
        for (unsigned i = 0; i < IO_COMMITS_MAX; i++) {
            const struct io_commit commit = {.bytes = bytes + (size_t)i * BLOCK,
                                             .offset_bytes = (base + i) * BLOCK,
                                             .size_bytes = BLOCK,
                                             .sync = i % 3 == 0,
                                             .tag = i};
            assert_int_equal(io->operations->submit(io, file, &commit), STATUS_OK);
        }
        reap_all(io, completions, IO_COMMITS_MAX);
        for (unsigned i = 0; i < IO_COMMITS_MAX; i++) {
            assert_int_equal(completions[i].status, STATUS_OK);
            seen |= UINT64_C(1) << completions[i].tag;
        }
        assert_int_equal(seen, (1 << IO_COMMITS_MAX) - 1);
        assert_holds(io, file, bytes, IO_COMMITS_MAX * BLOCK, base * BLOCK);
    }
    free(bytes);
}

static void as_many_as_may_be_in_flight_all_come_back_once(void **state)
{
    struct io *io = ((struct world *)*state)->io;
    struct io_file *file = file_in(io, "a", 0);
    commit_many(io, file, 20);
    io->operations->close_file(io, &file);
}

static void direct_commits_come_back_too(void **state)
{
    struct io *io = ((struct world *)*state)->io;
    struct io_file *file = file_in(io, "a", 40 * IO_COMMITS_MAX * BLOCK);
    uint64_t size = 0;
    io->operations->close_file(io, &file);
    assert_int_equal(io->operations->open_file(io, "a", IO_DIRECT, &file, &size), STATUS_OK);
    if (!io->operations->is_direct(file))
        print_message("%s: this folder has no direct files, buffered instead\n",
                      io->operations->name);
    commit_many(io, file, 5);
    io->operations->close_file(io, &file);
}

static void completions_wait_for_as_much_room_as_there_is(void **state)
{
    struct io *io = ((struct world *)*state)->io;
    struct io_file *file = file_in(io, "a", 8 * BLOCK);
    uint8_t *bytes = blocks_of(1, 5);
    unsigned seen = 0;
    for (unsigned i = 0; i < 5; i++) {
        const struct io_commit commit = {
            .bytes = bytes, .offset_bytes = i * BLOCK, .size_bytes = BLOCK, .tag = i};
        assert_int_equal(io->operations->submit(io, file, &commit), STATUS_OK);
    }
    for (unsigned i = 0; i < 5; i++) {
        struct io_completion completion;
        reap_all(io, &completion, 1);
        assert_int_equal(completion.status, STATUS_OK);
        seen |= 1u << completion.tag;
    }
    assert_int_equal(seen, 31);
    struct io_completion none;
    assert_int_equal(io->operations->reap(io, 0, &none, 1), 0);
    free(bytes);
    io->operations->close_file(io, &file);
}

/* Random writes, cuts and reads against a plain array. */
static void random_steps_agree_with_an_array(void **state)
{
    enum { SPACE = 32 * BLOCK, STEPS = 400 };
    struct io *io = ((struct world *)*state)->io;
    struct io_file *file = file_in(io, "a", SPACE);
    uint8_t *model = calloc(1, SPACE), *bytes = blocks_of(8, 6);
    uint32_t chance = 12345;
    for (unsigned step = 0; step < STEPS; step++) {
        chance = chance * 1664525 + 1013904223;
        const uint64_t offset = (chance >> 8) % (SPACE - 8 * BLOCK);
        const size_t size = 1 + (chance >> 4) % (8 * BLOCK);
        bytes[step % size] ^= (uint8_t)step;
        memcpy(model + offset, bytes, size);
        const struct io_commit commit = {.bytes = bytes,
                                         .offset_bytes = offset,
                                         .size_bytes = size,
                                         .sync = step % 5 == 0,
                                         .tag = step};
        if (step % 2 == 0)
            assert_int_equal(commit_now(io, file, &commit).status, STATUS_OK);
        else
            assert_int_equal(io->operations->write_at(io, file, bytes, size, offset), STATUS_OK);
        if (step % 16 == 0)
            assert_holds(io, file, model, SPACE, 0);
    }
    assert_holds(io, file, model, SPACE, 0);
    free(model);
    free(bytes);
    io->operations->close_file(io, &file);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void a_wake_before_the_reap_ends_it_at_once(void **state)
{
    struct io *io = ((struct world *)*state)->io;
    struct io_completion none;
    for (int i = 0; i < 3; i++) {
        io->operations->wake(io);
        io->operations->wake(io);
        assert_int_equal(io->operations->reap(io, -1, &none, 1), 0);
    }
    assert_int_equal(io->operations->reap(io, 0, &none, 1), 0);
    assert_int_equal(io->operations->reap(io, 1, &none, 1), 0); /* the time is up */
}

struct pair { /* two threads that wait for each other; each turn needs its wake */
    struct io *io;
    atomic_uint asked, answered;
    unsigned turns;
};

static void *ask(void *context)
{
    struct pair *pair = context;
    for (unsigned i = 1; i <= pair->turns; i++) {
        atomic_store(&pair->asked, i);
        pair->io->operations->wake(pair->io);
        while (atomic_load(&pair->answered) != i)
            (void)sched_yield();
    }
    return NULL;
}

static void no_wake_of_another_thread_is_lost(void **state)
{
    struct pair pair = {.io = ((struct world *)*state)->io, .turns = 2000};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ask, &pair), 0);
    while (atomic_load(&pair.answered) != pair.turns) {
        struct io_completion none;
        if (atomic_load(&pair.asked) == atomic_load(&pair.answered))
            assert_int_equal(pair.io->operations->reap(pair.io, -1, &none, 1), 0);
        else
            atomic_fetch_add(&pair.answered, 1);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void *use(void *context)
{
    struct io *io = context;
    struct io_file *file = file_in(io, "a", 0);
    commit_many(io, file, 3);
    io->operations->close_file(io, &file);
    return NULL;
}

static void one_thread_may_open_it_and_another_use_it(void **state)
{
    struct world *world = *state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, use, world->io), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    struct io *unused = other_io(world);
    unused->operations->wake(unused);
    unused->operations->close(&unused);
}

static void a_folder_that_cannot_be_made_is_named(void **state)
{
    struct world *world = *state;
    if (!world->maker->is_on_disk)
        skip();
    char folder[64];
    struct io *io = NULL;
    (void)snprintf(folder, sizeof(folder), "%s", world->folder);
    (void)snprintf(world->folder, sizeof(world->folder), "/nonexistent/folder");
    assert_int_equal(world->maker->open(world, &io), STATUS_IO_FAILED);
    (void)snprintf(world->folder, sizeof(world->folder), "%s", folder);
    assert_null(io);
    assert_non_null(strstr(world->failure.message, "/nonexistent/folder"));
    assert_string_equal(world->failure.field, "storage.path");
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, make_world, end_world)

static const struct CMUnitTest suite[] = {
    WORLD_TEST(a_created_file_is_full_of_zeros_and_is_made_once),
    WORLD_TEST(an_empty_file_can_be_made),
    WORLD_TEST(files_and_folder_are_for_their_owner_alone),
    WORLD_TEST(what_is_written_is_read_back_wherever_it_lies),
    WORLD_TEST(a_read_ends_with_the_file),
    WORLD_TEST(a_direct_file_reads_to_its_end),
    WORLD_TEST(a_file_is_cut_and_grows),
    WORLD_TEST(a_file_that_is_only_read_is_not_written),
    WORLD_TEST(an_absent_name_is_not_found),
    WORLD_TEST(a_rename_replaces_and_an_open_file_stays_what_it_was),
    WORLD_TEST(a_removed_file_lives_until_it_is_closed),
    WORLD_TEST(a_list_has_files_and_their_sizes_but_no_folders),
    WORLD_TEST(a_linked_file_outlives_its_first_name),
    WORLD_TEST(two_of_one_folder_see_the_same_files),
    WORLD_TEST(a_folder_has_one_holder),
    WORLD_TEST(a_commit_is_written_with_and_without_a_sync),
    WORLD_TEST(a_commit_of_nothing_is_a_sync),
    WORLD_TEST(as_many_as_may_be_in_flight_all_come_back_once),
    WORLD_TEST(direct_commits_come_back_too),
    WORLD_TEST(completions_wait_for_as_much_room_as_there_is),
    WORLD_TEST(random_steps_agree_with_an_array),
    WORLD_TEST(a_wake_before_the_reap_ends_it_at_once),
    WORLD_TEST(no_wake_of_another_thread_is_lost),
    WORLD_TEST(one_thread_may_open_it_and_another_use_it),
    WORLD_TEST(a_folder_that_cannot_be_made_is_named),
};

/* A sandbox may forbid io_uring; what is not there cannot be tried. */
static bool is_forbidden(const struct maker *candidate)
{
    char folder[64], reason[192];
    if (candidate->open != open_uring)
        return false;
    folder_create(folder);
    const enum status status = io_uring_prove(folder, reason, sizeof(reason));
    folder_remove(folder);
    if (status == STATUS_UNSUPPORTED)
        print_message("skipped: %s\n", reason);
    return status == STATUS_UNSUPPORTED;
}

int main(void)
{
    int failures = 0;
    for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++) {
        maker = &makers[i];
        if (is_forbidden(maker))
            continue;
        failures += cmocka_run_group_tests_name(maker->name, suite, NULL, NULL);
    }
    return failures;
}
