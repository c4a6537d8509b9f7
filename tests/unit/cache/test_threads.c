/*
 * Goal: sixteen threads on one cache: what one has set it finds, what it has deleted it does not,
 * nobody is served another tenant's answer, and at the end entries, rows and counters agree.
 * Method: each thread has keys of its own, whose fate it knows, and all share a few keys that every
 * verb fights over. ThreadSanitizer watches the rest.
 */
#include <stdatomic.h>

#include "tests/unit/cache/world.h"

enum { THREADS = 16, CALLS = 1500, SHARED = 12 };

struct shared {
    struct world *world;
    _Atomic int64_t now_ms;
    _Atomic uint64_t gets, hits, verdicts;
};

struct worker {
    struct shared *shared;
    int which;
    uint64_t random;
    struct arena *arena;
    struct thread *thread;
};

/* No cmocka in threads: an assert ends the program, which is a failed test as well. */
static void must(bool condition)
{
    if (!condition)
        abort();
}

static unsigned roll(struct worker *worker, unsigned sides)
{
    return (unsigned)(next_random(&worker->random) % sides);
}

static const char *const tenants[] = {"acme", "zeta"};

static struct identity identity_of(const char *prompt, int tenant)
{
    struct identity identity = of(prompt);
    identity.tenant = text_of(tenants[tenant]);
    return identity;
}

static void put(struct worker *worker, struct identity identity, const char *content,
                const struct vector *vector, uint64_t ttl_ms)
{
    const struct text tag = TEXT("shared");
    const struct cache_set_request request = {.identity = identity,
                                              .content = text_of(content),
                                              .vector = vector->at,
                                              .dimension = DIMENSION,
                                              .ttl_given = ttl_ms != 0,
                                              .ttl_ms = ttl_ms,
                                              .tags = &tag,
                                              .tags_count = ttl_ms != 0};
    struct cache_set_reply reply;
    must(cache_set(worker->shared->world->cache, &request, worker->arena,
                   atomic_load(&worker->shared->now_ms), &reply, NULL) == STATUS_OK);
    must(reply.stored);
}

/* True on a hit; the answer begins with its tenant's name. A token, if there is one, brings a
 * verdict. */
static bool get(struct worker *worker, struct identity identity, const struct vector *vector,
                struct text expected)
{
    struct shared *shared = worker->shared;
    struct cache *cache = shared->world->cache;
    const int64_t now_ms = atomic_load(&shared->now_ms);
    const struct cache_get_request request = {
        .identity = identity,
        .vector = vector->at,
        .dimension = DIMENSION,
        .include = roll(worker, 4) == 0 ? CACHE_INCLUDE_CANDIDATES : 0};
    struct cache_get got;
    enum cache_step step = CACHE_DONE;
    must(cache_get_begin(cache, &request, worker->arena, now_ms, 0, &got, &step, NULL) ==
         STATUS_OK);
    if (step == CACHE_NEEDS_COMPUTE)
        must(cache_get_finish(cache, &got, now_ms, 0, NULL) == STATUS_OK);
    const bool hit = got.reply.tier != CACHE_TIER_NONE;
    if (hit) {
        struct cache_answer answer;
        cache_answer_read(got.reply.found.entry, &answer);
        must(answer.answer.length >= identity.tenant.length);
        must(memcmp(answer.answer.bytes, identity.tenant.bytes, identity.tenant.length) == 0);
        must(expected.length == 0 || text_equal(answer.answer, expected));
        atomic_fetch_add(&shared->hits, 1);
    }
    if (got.reply.decided) {
        uint32_t left = 0;
        const struct cache_report report = {.token = text_of(got.reply.token),
                                            .verdict = 1 + (enum cache_verdict)roll(worker, 4),
                                            .source = roll(worker, 8) == 0 ? CACHE_SOURCE_OPERATOR
                                                                           : CACHE_SOURCE_USER};
        const enum cache_outcome outcome = cache_report_verdict(cache, &report, now_ms, &left);
        must(outcome == CACHE_ACCEPTED || outcome == CACHE_COUNTED_ONLY ||
             outcome == CACHE_UNKNOWN_ENTRY);
        atomic_fetch_add(&shared->verdicts, 1);
    }
    cache_get_release(&got);
    atomic_fetch_add(&shared->gets, 1);
    return hit;
}

static void take_away(struct worker *worker, const struct identity *identity)
{
    const struct cache_delete_request request = {.tenant = identity->tenant, .identity = identity};
    uint32_t deleted = 0;
    must(cache_delete(worker->shared->world->cache, &request, worker->arena, NULL, &deleted,
                      NULL) == STATUS_OK);
}

/* Nobody else touches this key: exact hit after Set, none after Delete. At a right angle to all
 * others. */
static void use_own_key(struct worker *worker, int call)
{
    char prompt[48], content[48];
    const struct vector alone = {{0, 0, 1, 0}};
    (void)snprintf(prompt, sizeof(prompt), "own %c%c", 'a' + worker->which, 'a' + call % 20);
    (void)snprintf(content, sizeof(content), "%s %d %d", tenants[worker->which % 2], worker->which,
                   call);
    struct identity identity = identity_of(prompt, worker->which % 2);
    char system[16];
    (void)snprintf(system, sizeof(system), "%d", worker->which);
    identity.system_prompt = text_of(system); /* so that no other thread's row is a candidate */
    identity.params.temperature_given = true;
    identity.params.temperature =
        1; /* the exact tier alone: a semantic hit would hide a lost entry */
    put(worker, identity, content, &alone, 0);
    must(get(worker, identity, &alone, text_of(content)));
    take_away(worker, &identity);
    must(!get(worker, identity, &alone, text_of("")));
}

static void use_shared_key(struct worker *worker, int call)
{
    char prompt[48], content[48];
    const unsigned number = roll(worker, SHARED);
    const int tenant = (int)roll(worker, 2);
    const struct vector vector = angle(number * 0.2 + roll(worker, 3) * 0.05);
    (void)snprintf(prompt, sizeof(prompt), "shared %c", 'a' + number);
    (void)snprintf(content, sizeof(content), "%s %u %d", tenants[tenant], number, call);
    struct identity identity = identity_of(prompt, tenant);
    const unsigned which = roll(worker, 10);
    if (which < 4)
        put(worker, identity, content, &vector, 1 + roll(worker, 50));
    else if (which < 9)
        (void)get(worker, identity, &vector, text_of(""));
    else
        take_away(worker, &identity);
}

static void use_the_rest(struct worker *worker)
{
    struct shared *shared = worker->shared;
    struct cache *cache = shared->world->cache;
    const struct text tag = TEXT("shared");
    const struct cache_selector selector = {.tenant = text_of(tenants[roll(worker, 2)]),
                                            .tags = &tag,
                                            .tags_count = 1,
                                            .dry_run = roll(worker, 2) == 0};
    struct cache_invalidate_reply reply;
    struct cache_stats stats;
    const int64_t now_ms = atomic_fetch_add(&shared->now_ms, 1);
    must(cache_invalidate(cache, &selector, NULL, &reply, NULL) == STATUS_OK);
    must(cache_stats(cache, selector.tenant, text_of(""), worker->arena, now_ms, &stats) ==
         STATUS_OK);
    cache_tick(cache, now_ms);
}

static void work(void *argument)
{
    struct worker *worker = argument;
    for (int call = 0; call < CALLS; call++) {
        const unsigned which = roll(worker, 40);
        if (which == 0)
            use_the_rest(worker);
        else if (which < 8)
            use_own_key(worker, call);
        else
            use_shared_key(worker, call);
        arena_reset(worker->arena);
    }
}

static struct cache_stats tenant_stats(struct world *world, int tenant)
{
    struct cache_stats stats;
    assert_int_equal(cache_stats(world->cache, text_of(tenants[tenant]), TEXT(""), world->arena,
                                 world->now_ms, &stats),
                     STATUS_OK);
    return stats;
}

static void sixteen_threads_agree_in_the_end(void **state)
{
    static struct shared shared;
    static struct worker workers[THREADS];
    struct world *world = *state;
    shared.world = world;
    atomic_store(&shared.now_ms, world->now_ms);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.shared = &shared, .which = i, .random = (uint64_t)i + 1};
        assert_int_equal(arena_create(&workers[i].arena), STATUS_OK);
        assert_int_equal(
            thread_create(THREAD_COMPUTE, "worker", work, &workers[i], &workers[i].thread),
            STATUS_OK);
    }
    for (int i = 0; i < THREADS; i++) {
        thread_join(&workers[i].thread);
        arena_destroy(&workers[i].arena);
    }
    uint64_t gets = 0, hits = 0, entries = 0, rows = 0;
    for (int i = 0; i < 2; i++) {
        const struct cache_stats stats = tenant_stats(world, i);
        gets += stats.total_requests;
        hits += stats.cached_requests;
        entries += stats.entries;
        rows += stats.semantic.entries;
    }
    assert_int_equal(gets, atomic_load(&shared.gets));
    assert_int_equal(hits, atomic_load(&shared.hits));
    assert_true(hits > 0);
    assert_true(atomic_load(&shared.verdicts) > 0);
    assert_true(rows <= entries); /* operators have taken some */
    for (int i = 0; i < 2; i++) {
        struct cache_invalidate_reply reply;
        const struct cache_selector all = {.tenant = text_of(tenants[i]),
                                           .namespace_ = TEXT("default"),
                                           .confirm = TEXT("default")};
        assert_int_equal(cache_invalidate(world->cache, &all, NULL, &reply, NULL), STATUS_OK);
        const struct cache_stats stats = tenant_stats(world, i);
        assert_int_equal(stats.entries, 0);
        assert_int_equal(stats.size_bytes, 0);
        assert_int_equal(stats.semantic.entries, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sixteen_threads_agree_in_the_end, world_plain,
                                        world_destroy),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
