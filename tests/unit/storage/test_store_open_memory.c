/*
 * Goal: when memory cannot be had, at whatever allocation in the life of a store with a data folder
 * (opening, writing, compaction, a snapshot, closing), it says so or does without, tells nobody
 * what is not true, and leaks nothing. Method: this program's own malloc and its kin stand before
 * libc's and fail at the k-th call, or from it on, on whichever thread; afterwards the folder is
 * opened with memory and compared with the model. The sanitizers bring allocators of their own:
 * there the test is skipped.
 */
#include <errno.h>
#include <unistd.h>

#include "tests/unit/storage/store_world.h"

#if WORLD_IS_SANITIZED

static void any_allocation_may_fail(void **state)
{
    (void)state;
    print_message("skipped: the sanitizer's allocator cannot be made to fail by us\n");
    skip();
}

#else

enum { CALLS_STEP = 1, BEYOND_MAX = 5, LEAST_CALLS = 200 };

void *__libc_malloc(size_t size_bytes);
void *__libc_calloc(size_t count, size_t size_bytes);
void *__libc_realloc(void *memory, size_t size_bytes);
void *__libc_memalign(size_t alignment, size_t size_bytes);
void __libc_free(void *memory);

static atomic_bool is_failing;
static bool recovers;            /* only the k-th call fails, not those after it */
static _Atomic long calls_left;  /* until the k-th                               */
static _Atomic long alive_count; /* blocks                                       */

static bool allow(void)
{
    bool is_allowed = true;
    if (atomic_load(&is_failing)) {
        const long left = atomic_fetch_sub(&calls_left, 1);
        is_allowed = recovers ? left != 0 : left > 0;
    }
    if (is_allowed)
        atomic_fetch_add(&alive_count, 1);
    else
        errno = ENOMEM;
    return is_allowed;
}

void *malloc(size_t size_bytes)
{
    return allow() ? __libc_malloc(size_bytes) : NULL;
}

void *calloc(size_t count, size_t size_bytes)
{
    return allow() ? __libc_calloc(count, size_bytes) : NULL;
}

void *realloc(void *memory, size_t size_bytes)
{
    if (!allow())
        return NULL;
    if (memory != NULL)
        atomic_fetch_sub(&alive_count, 1);
    return __libc_realloc(memory, size_bytes);
}

void *aligned_alloc(size_t alignment, size_t size_bytes)
{
    return allow() ? __libc_memalign(alignment, size_bytes) : NULL;
}

void free(void *memory)
{
    if (memory != NULL)
        atomic_fetch_sub(&alive_count, 1);
    __libc_free(memory);
}

static void run_script(struct world *world)
{
    struct wish_told *told = NULL;
    for (uint64_t key = 0; key < 8; key++) {
        if (ask_set(world, key, 0, ACK_SYNCED, &told) == STATUS_OK)
            (void)await_wish(world, told);
    }
    if (ask_delete(world, 1, ACK_SYNCED, &told) == STATUS_OK)
        (void)await_wish(world, told);
    if (ask_touch(world, 2, world_now_ms + 500, ACK_SYNCED, &told) == STATUS_OK)
        (void)await_wish(world, told);
    if (ask_note(world, 1, ACK_SYNCED, &told) == STATUS_OK)
        (void)await_wish(world, told);
    if (ask_purge(world, 4, false, ACK_SYNCED, &told) == STATUS_OK)
        (void)await_wish(world, told);
    if (ask_purge(world, 2, true, ACK_SYNCED, &told) == STATUS_OK)
        (void)await_wish(world, told);
    ask_compaction(world);
    (void)await_jobs(world);
    ask_snapshot(world);
    (void)await_jobs(world);
    if (ask_set(world, 5, 0, ACK_SYNCED, &told) == STATUS_OK)
        (void)await_wish(world, told);
}

/* One life with failures, another without. True if the k-th call was made. */
static bool live(long k, bool *out_was_open)
{
    struct world *world = world_create_in_folder(IO_POSIX);
    assert_int_equal(world_open(world), STATUS_OK);
    begin_anew(world);
    run_script(world);
    world_close(world);
    atomic_store(&calls_left, k);
    atomic_store(&is_failing, k >= 0);
    const bool is_open = world_open(world) == STATUS_OK;
    if (is_open)
        run_script(world);
    world_close(world);
    atomic_store(&is_failing, false);
    const bool was_reached = atomic_load(&calls_left) < 0;
    *out_was_open = is_open;
    assert_int_equal(world_open(world), STATUS_OK);
    const struct verdict verdict = judge(world);
    if (!is_clean(&verdict))
        print_error("allocation %ld\n", k);
    assert_true(is_clean(&verdict));
    world_destroy(&world);
    return was_reached;
}

static void try_all(bool only_one)
{
    bool was_open = false;
    long k = 0, beyond = 0, refused = 0;
    recovers = only_one;
    log_write(LOG_ERROR, "test", "the disk will fail", NULL);
    (void)live(-1, &was_open); /* what libc and the log keep for ever they have by now */
    (void)live(-1, &was_open);
    assert_true(was_open);
    const long before = atomic_load(&alive_count);
    for (; beyond < BEYOND_MAX; k += CALLS_STEP) {
        beyond = live(k, &was_open) ? 0 : beyond + 1;
        refused += !was_open;
        if (atomic_load(&alive_count) > before)
            print_error("allocation %ld: a leak\n", k);
        assert_true(atomic_load(&alive_count) <= before);
    }
    print_message("%ld allocations, %ld openings refused\n", k, refused);
    assert_true(k > LEAST_CALLS);
    assert_true(refused > 5);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    try_all(true);
}

static void all_allocations_from_one_on_may_fail(void **state)
{
    (void)state;
    try_all(false);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_allocation_may_fail),
#if !WORLD_IS_SANITIZED
        cmocka_unit_test(all_allocations_from_one_on_may_fail),
#endif
    };
    if (access("/dev/shm", W_OK) == 0)
        (void)setenv("TMPDIR", "/dev/shm", 1); /* nothing here depends on a disk, which is slow */
    log_setup(false, LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
