/*
 * Goal: the backend is chosen by proof and said in a sentence: in a sandbox that forbids io_uring
 * `auto` falls back and a store works as ever; `io_uring` refuses and names what to look at.
 * Method: children of this process under seccomp filters with the two errors that container
 * runtimes give.
 */
#include <errno.h>

#include "tests/unit/storage/sandbox.h"
#include "tests/unit/storage/store_world.h"

enum { KEY = 5 };

static bool names_the_cause(const char *sentence)
{
    return strstr(sentence, "seccomp") != NULL &&
           strstr(sentence, "kernel.io_uring_disabled") != NULL;
}

static bool is_allowed_here(const char *folder)
{
    struct io_backend backend;
    return io_choose(folder, IO_AUTO, &backend, NULL) == STATUS_OK && backend.taken == IO_URING;
}

static void posix_is_taken_without_a_proof(void **state)
{
    (void)state;
    char folder[64];
    struct io_backend backend;
    folder_create(folder);
    assert_int_equal(io_choose(folder, IO_POSIX, &backend, NULL), STATUS_OK);
    assert_int_equal(backend.taken, IO_POSIX);
    assert_string_equal(backend.reason, "storage.io = posix");
    folder_remove(folder);
}

static void what_is_proven_is_taken_and_opened(void **state)
{
    (void)state;
    char folder[64];
    struct io_backend backend;
    struct io *io = NULL;
    folder_create(folder);
    assert_int_equal(io_choose(folder, IO_AUTO, &backend, NULL), STATUS_OK);
    assert_true(backend.reason[0] != '\0');
    assert_int_equal(io_open(&backend, folder, &io, NULL), STATUS_OK);
    assert_string_equal(io->operations->name, backend.taken == IO_URING ? "io_uring" : "posix");
    io->operations->close(&io);
    if (backend.taken != IO_URING) {
        print_message("skipped: %s\n", backend.reason);
        folder_remove(folder);
        skip();
    }
    assert_int_equal(io_choose(folder, IO_URING, &backend, NULL), STATUS_OK);
    assert_int_equal(backend.taken, IO_URING);
    folder_remove(folder);
}

static void a_folder_that_cannot_be_made_is_named(void **state)
{
    (void)state;
    struct io_backend backend;
    struct failure failure = {.status = STATUS_OK};
    assert_int_not_equal(io_choose("/proc/none/such", IO_AUTO, &backend, &failure), STATUS_OK);
    assert_non_null(strstr(failure.message, "/proc/none/such"));
}

/* ---- in a sandbox ---------------------------------------------------------------------------- */

struct sandbox {
    unsigned error;
    enum io_choice choice;
};

/* A whole life of a store; ends with a number that says where it went wrong. */
static void live_by_fallback(void *context)
{
    const struct sandbox *sandbox = context;
    struct wish_told *told = NULL;
    struct journal_stats stats;
    struct world *world = world_create_in_folder(sandbox->choice);
    if (!forbid_io_uring(sandbox->error))
        _exit(1);
    for (unsigned round = 0; round < 2; round++) {
        if (world_open(world) != STATUS_OK)
            _exit(2);
        store_journal_stats(world->store, &stats);
        if (strcmp(stats.io_backend, "posix") != 0 ||
            (sandbox->choice == IO_AUTO && !names_the_cause(stats.io_reason)))
            _exit(3);
        if (ask_set(world, KEY, 0, ACK_SYNCED, &told) != STATUS_OK ||
            await_wish(world, told) != STATUS_OK)
            _exit(4);
        world_close(world);
    }
    if (world_open(world) != STATUS_OK)
        _exit(5);
    const struct verdict verdict = judge(world);
    if (!is_clean(&verdict))
        _exit(6);
    world_destroy(&world);
}

static void auto_falls_back_in_a_sandbox(void **state)
{
    (void)state;
    static const unsigned errors[] = {EPERM, ENOSYS};
    static const enum io_choice choices[] = {IO_AUTO, IO_POSIX};
    for (size_t i = 0; i < 4; i++) {
        struct sandbox sandbox = {errors[i / 2], choices[i % 2]};
        assert_int_equal(end_of_child(live_by_fallback, &sandbox), 0);
    }
}

static void be_refused(void *context)
{
    const struct sandbox *sandbox = context;
    struct world *world = world_create_in_folder(IO_URING);
    if (!forbid_io_uring(sandbox->error))
        _exit(1);
    if (world_open(world) != STATUS_UNSUPPORTED)
        _exit(2);
    if (strcmp(world->failure.field, "storage.io") != 0 || !names_the_cause(world->failure.message))
        _exit(3);
    world_destroy(&world);
}

static void io_uring_refuses_in_a_sandbox_and_says_why(void **state)
{
    (void)state;
    static const unsigned errors[] = {EPERM, ENOSYS};
    for (size_t i = 0; i < 2; i++) {
        struct sandbox sandbox = {errors[i], IO_URING};
        assert_int_equal(end_of_child(be_refused, &sandbox), 0);
    }
}

static void a_store_lives_on_each_backend(void **state)
{
    (void)state;
    static const enum io_choice choices[] = {IO_POSIX, IO_URING};
    for (size_t i = 0; i < 2; i++) {
        struct world *world = world_create_in_folder(choices[i]);
        if (choices[i] == IO_URING && !is_allowed_here(world->folder)) {
            print_message("skipped: io_uring is not allowed here\n");
            world_destroy(&world);
            continue;
        }
        for (unsigned round = 0; round < 3; round++) {
            assert_int_equal(world_open(world), STATUS_OK);
            if (round > 0) {
                const struct verdict verdict = judge(world);
                assert_true(is_clean(&verdict));
            }
            begin_anew(world);
            for (unsigned k = 0; k < 300; k++)
                ask_anything(world);
            assert_int_equal(store_state(world->store), STORAGE_DURABLE);
            world_close(world);
            atomic_store(&world->durable, world->requests);
        }
        world_destroy(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auto_falls_back_in_a_sandbox), /* first: they fork */
        cmocka_unit_test(io_uring_refuses_in_a_sandbox_and_says_why),
        cmocka_unit_test(posix_is_taken_without_a_proof),
        cmocka_unit_test(what_is_proven_is_taken_and_opened),
        cmocka_unit_test(a_folder_that_cannot_be_made_is_named),
        cmocka_unit_test(a_store_lives_on_each_backend),
    };
    log_setup(false, LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
