/*
 * Goal: when memory cannot be had, at whatever allocation, the store says so, stays sound and leaks
 * nothing. Method: this program's own malloc, calloc and aligned_alloc stand before libc's. They
 * fail at the k-th call of a script, or from it on, for all k until the script runs through. The
 * sanitizers bring allocators of their own: there the test is skipped.
 */
#include "storage/store.h"

#include "tests/unit/storage/make_entry.h"
#include "tests/unit/storage/plain_store.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_OWN_ALLOCATOR 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_OWN_ALLOCATOR 1
#endif

#ifdef HAS_OWN_ALLOCATOR

static void every_allocation_may_fail(void **state)
{
    (void)state;
    print_message("skipped: the sanitizer's allocator cannot be made to fail by us\n");
    skip();
}

#else

enum { ENTRIES_COUNT = 400 };

void *__libc_malloc(size_t size_bytes);
void *__libc_calloc(size_t count, size_t size_bytes);
void *__libc_memalign(size_t alignment, size_t size_bytes);
void __libc_free(void *memory);

static bool is_counting;
static bool recovers;    /* only the k-th call fails, not those after it */
static long calls_left;  /* until the k-th                               */
static long alive_count; /* blocks that the script holds                 */

static bool allow(void)
{
    if (!is_counting)
        return true;
    calls_left--;
    if (recovers ? calls_left == 0 : calls_left <= 0)
        return false;
    alive_count++;
    return true;
}

void *malloc(size_t size_bytes)
{
    return allow() ? __libc_malloc(size_bytes) : NULL;
}

void *calloc(size_t count, size_t size_bytes)
{
    return allow() ? __libc_calloc(count, size_bytes) : NULL;
}

void *aligned_alloc(size_t alignment, size_t size_bytes)
{
    return allow() ? __libc_memalign(alignment, size_bytes) : NULL;
}

void free(void *memory)
{
    if (memory != NULL && is_counting)
        alive_count--;
    __libc_free(memory);
}

static void died(void *context, const struct entry *entry, enum store_death why)
{
    uint64_t *deaths_count = context;
    (void)entry;
    (void)why;
    (*deaths_count)++;
}

struct script {
    uint64_t deaths_count;
    uint64_t failed_count;
    uint64_t unsound_count; /* asserts of cmocka allocate */
};

static enum status set(struct store *store, uint64_t number)
{
    struct entry *entry = NULL;
    const struct entry_source source = {.digest = digest_number(number),
                                        .answer = TEXT("eight or more bytes")};
    enum status status = entry_create(&source, &entry);
    if (status != STATUS_OK)
        return status;
    struct store_set_result result;
    status = store_set(store, entry, NULL, NULL, 0, &result);
    entry_release(entry);
    return status;
}

static bool has(struct store *store, uint64_t number)
{
    const struct digest digest = digest_number(number);
    struct store_hit hit;
    const bool is_found = store_find(store, &digest, 0, STORE_COUNT_HIT, &hit) == STORE_FOUND;
    if (is_found)
        entry_release(hit.entry);
    return is_found;
}

/* Grows, replaces, evicts and deletes; a Set succeeds and is found, or says NO_MEMORY. */
static void use(struct store *store, struct script *script)
{
    for (uint64_t i = 0; i < ENTRIES_COUNT; i++) {
        const uint64_t number = i % 7 == 0 ? i / 2 : i;
        const enum status status = set(store, number);
        script->failed_count += status == STATUS_NO_MEMORY;
        script->unsound_count += status != STATUS_OK && status != STATUS_NO_MEMORY;
        script->unsound_count += status == STATUS_OK && !has(store, number);
        (void)has(store, i / 3);
        const struct digest digest = digest_number(i / 5);
        if (i % 11 == 0)
            (void)delete_plainly(store, &digest, NULL, NULL);
    }
    struct store_stats stats;
    store_stats(store, &stats);
    script->unsound_count += stats.sets - stats.entries != script->deaths_count;
    script->unsound_count += store_count(store, 0, NULL, NULL) != stats.entries;
}

static void run(struct script *script)
{
    struct store *store = NULL;
    const struct store_options options = {.memory_bytes = 64 << 20,
                                          .entries_max = 200,
                                          .stripes_count = 1,
                                          .answer_max = 100,
                                          .died = died,
                                          .died_context = &script->deaths_count};
    const enum status status = store_create(&options, &store);
    if (status == STATUS_OK)
        use(store, script);
    script->failed_count += status == STATUS_NO_MEMORY;
    script->unsound_count += status != STATUS_OK && status != STATUS_NO_MEMORY;
    store_destroy(&store);
}

static struct script run_failing_at(long call, bool *out_was_reached)
{
    struct script script = {0};
    calls_left = call;
    alive_count = 0;
    is_counting = true;
    run(&script);
    is_counting = false;
    *out_was_reached = calls_left <= 0;
    return script;
}

static void fail_at_each_call(void)
{
    long call = 1;
    uint64_t failed_count = 0;
    for (bool was_reached = true; was_reached; call++) {
        const struct script script = run_failing_at(call, &was_reached);
        failed_count += script.failed_count > 0;
        assert_int_equal(script.unsound_count, 0);
        assert_int_equal(alive_count, 0);
        if (!was_reached)
            assert_int_equal(script.failed_count, 0);
    }
    assert_true(call > ENTRIES_COUNT);
    assert_true(failed_count >= ENTRIES_COUNT);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    recovers = false;
    fail_at_each_call();
    recovers = true;
    fail_at_each_call();
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
