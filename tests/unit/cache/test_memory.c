/*
 * Goal: when memory cannot be had, at whatever allocation, each verb says so or does without, the
 * cache stays sound and leaks nothing. Method: this program's own malloc, calloc and aligned_alloc
 * stand before libc's. They fail at the k-th call of a script, or from it on, for all k until the
 * script runs through. The sanitizers bring allocators of their own: there the test is skipped. It
 * exercises cache, registry, namespace, scope, fill, lookup, invalidate and stats at once.
 */
#include "tests/unit/cache/world.h"

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

void *__libc_malloc(size_t size_bytes);
void *__libc_calloc(size_t count, size_t size_bytes);
void *__libc_memalign(size_t alignment, size_t size_bytes);
void __libc_free(void *memory);

/* Of the thread that runs the script; a builder's own calls are neither failed nor counted here. */
static _Thread_local bool is_counting;
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

/* cmocka wants memory to say what failed. */
static void must(bool condition)
{
    if (condition)
        return;
    is_counting = false;
    fail();
}

static void must_be_memory(enum status status)
{
    must(status == STATUS_OK || status == STATUS_NO_MEMORY);
}

static struct identity rich(const char *prompt)
{
    static const struct key_attribute attributes[] = {{{"region", 6}, {"eu", 2}}};
    struct identity identity = of(prompt);
    identity.system_prompt = TEXT("Be br\xc3\xa9"
                                  "f.\r\n");
    identity.response_format_json = TEXT("{\"type\":\"text\"}");
    identity.attributes = attributes;
    identity.attributes_count = 1;
    return identity;
}

/* A JSON text that cJSON found no memory for looks like one that is none. */
static void try_set(struct world *world, struct identity identity, const struct vector *vector)
{
    const struct cache_set_request request = {.identity = identity,
                                              .content = TEXT("answer"),
                                              .vector = vector != NULL ? vector->at : NULL,
                                              .dimension = vector != NULL ? DIMENSION : 0};
    const enum status status = set_request(world, &request);
    if (status != STATUS_BAD_JSON)
        must_be_memory(status);
}

static void try_get(struct world *world, struct identity identity, const struct vector *vector)
{
    const struct cache_get_request request = {.identity = identity,
                                              .vector = vector != NULL ? vector->at : NULL,
                                              .dimension = vector != NULL ? DIMENSION : 0,
                                              .include = CACHE_INCLUDE_CANDIDATES};
    const enum status status = ask_request(world, &request);
    if (status != STATUS_BAD_JSON)
        must_be_memory(status);
}

static void try_the_rest(struct world *world)
{
    const struct identity identity = of("hello");
    const struct cache_delete_request doomed = {.identity = &identity};
    const struct cache_selector selector = {.model = TEXT("m")};
    struct cache_invalidate_reply reply;
    struct cache_stats stats;
    uint32_t deleted = 0;
    world_forget(world);
    must_be_memory(cache_delete(world->cache, &doomed, world->arena, NULL, &deleted, NULL));
    must_be_memory(cache_stats(world->cache, TEXT(""), TEXT(""), world->arena, 0, &stats));
    must_be_memory(cache_invalidate(world->cache, &selector, NULL, &reply, NULL));
    if (cache_stats(world->cache, TEXT(""), TEXT(""), world->arena, 0, &stats) == STATUS_OK)
        must(stats.semantic.entries <= stats.entries);
}

static void run(struct world *world)
{
    const struct vector vector = angle(0), near = angle(0.1);
    const struct cache_setup setup = {.options = world->options, .version = "test"};
    const enum status status = cache_create(&setup, &world->cache, &world->failure);
    must_be_memory(status);
    if (status == STATUS_OK) {
        try_set(world, of("hello"), &vector);
        try_set(world, rich("how do I reset my password"), NULL);
        try_get(world, of("hello"), &vector);
        try_get(world, of("hello there"), &near);
        try_get(world, rich("how can I reset my password"), NULL);
        try_the_rest(world);
    }
    world_forget(world);
    cache_destroy(&world->cache);
}

static long run_failing_at(struct world *world, long call, bool recovering)
{
    must_be_memory(arena_create(&world->arena));
    calls_left = call;
    recovers = recovering;
    alive_count = 0;
    is_counting = true;
    run(world);
    arena_reset(world->arena);
    is_counting = false;
    arena_destroy(&world->arena);
    return alive_count;
}

static void must_leave_nothing(struct world *world, long call, bool recovering)
{
    const long left = run_failing_at(world, call, recovering);
    if (left != 0)
        fail_msg("%ld blocks are left when call %ld fails", left, call);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static struct world world;
    assert_int_equal(make_options(0, NULL, &world.options), STATUS_OK);
    world.now_ms = 1000000;
    /* What libraries allocate once for all: a first thread's table stays with its stack in libc. */
    (void)run_failing_at(&world, 1000000, true);
    must_leave_nothing(&world, 1000000, true);
    for (int mode = 0; mode < 2; mode++) {
        long call = 0;
        do
            must_leave_nothing(&world, ++call, mode == 1);
        while (calls_left <= 0);
        assert_true(call > 50);
    }
    options_destroy(&world.options);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
