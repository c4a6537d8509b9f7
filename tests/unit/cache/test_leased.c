/*
 * leased.c - Goal: of all that miss the same question one is told to compute; the others are served
 * from its one Set, or inherit the lease when it is given back or lost; and every Get is counted
 * once. Method: one cache, one clock turned by hand; who waits is a Get of its own in an arena of
 * its own, and is completed as its door would do it.
 */
#include "tests/unit/cache/world.h"

struct person { /* one caller */
    struct arena *arena;
    struct cache_get_request request;
    struct cache_get get;
    struct lease_waiter waiter;
    bool is_parked;
    int woken_count;
    enum lease_end end;
};

static void note(struct lease_waiter *waiter, enum lease_end end)
{
    struct person *person = waiter->context;
    person->woken_count++;
    person->end = end;
}

/* Ends parked, or with a reply. */
static void miss_controlled(struct world *world, struct person *person, const char *prompt,
                            enum cache_lease_mode mode, struct cache_control control)
{
    *person =
        (struct person){.request = {.identity = of(prompt), .lease = mode, .control = control}};
    assert_int_equal(arena_create(&person->arena), STATUS_OK);
    enum cache_step step = CACHE_DONE;
    assert_int_equal(cache_get_begin(world->cache, &person->request, person->arena, world->now_ms,
                                     world->now_us, &person->get, &step, &world->failure),
                     STATUS_OK);
    if (step == CACHE_NEEDS_COMPUTE)
        assert_int_equal(cache_get_finish(world->cache, &person->get, world->now_ms, world->now_us,
                                          &world->failure),
                         STATUS_OK);
    person->waiter = (struct lease_waiter){.woken = note, .context = person};
    if (person->get.lease_due)
        person->is_parked = cache_get_lease(world->cache, &person->get,
                                            mode == CACHE_LEASE_WAIT ? &person->waiter : NULL,
                                            world->now_ms, world->now_us);
}

static void miss(struct world *world, struct person *person, const char *prompt,
                 enum cache_lease_mode mode)
{
    miss_controlled(world, person, prompt, mode, (struct cache_control){.no_cache = false});
}

static void go_on(struct world *world, struct person *person)
{
    assert_true(person->is_parked);
    assert_int_equal(person->woken_count, 1);
    person->is_parked = false;
    cache_get_woken(world->cache, &person->get, &person->waiter, person->end, world->now_ms,
                    world->now_us);
}

static void leave(struct person *person)
{
    assert_false(person->is_parked);
    cache_get_release(&person->get);
    arena_destroy(&person->arena);
}

static void assert_holds(const struct person *person)
{
    assert_false(person->is_parked);
    assert_int_equal(person->get.reply.tier, CACHE_TIER_NONE);
    assert_true(person->get.reply.lease.given);
    assert_false(person->get.reply.lease.held_by_other);
    assert_int_equal(strlen(person->get.reply.lease.token), CACHE_LEASE_TEXT);
}

static void assert_told_of_another(const struct person *person)
{
    assert_false(person->is_parked);
    assert_true(person->get.reply.lease.given);
    assert_true(person->get.reply.lease.held_by_other);
    assert_string_equal(person->get.reply.lease.token, "");
}

static enum status set_leased(struct world *world, const char *prompt, const char *content,
                              const char *token)
{
    const struct cache_set_request request = {
        .identity = of(prompt), .content = text_of(content), .lease_token = text_of(token)};
    return set_request(world, &request);
}

static void the_first_miss_computes_and_the_next_is_told(void **state)
{
    struct world *world = *state;
    struct person first, second;
    miss(world, &first, "q", CACHE_LEASE_FIRST);
    assert_holds(&first);
    assert_int_equal(first.get.reply.lease.hold_ms, 30000);
    miss(world, &second, "q", CACHE_LEASE_FIRST);
    assert_told_of_another(&second);
    assert_int_equal(second.get.reply.miss_reason, CACHE_MISS_NO_CANDIDATE);
    leave(&second);
    leave(&first);
}

static void who_asks_for_no_lease_learns_of_none(void **state)
{
    struct world *world = *state;
    struct person person;
    miss(world, &person, "q", CACHE_LEASE_NONE);
    assert_false(person.get.reply.lease.given);
    leave(&person);
    miss(world, &person, "q", CACHE_LEASE_FIRST);
    assert_holds(&person);
    leave(&person);
}

static void one_set_serves_all_who_wait(void **state)
{
    struct world *world = *state;
    enum { WAITERS = 20 };
    struct person holder, people[WAITERS];
    miss(world, &holder, "q", CACHE_LEASE_WAIT);
    assert_holds(&holder);
    for (int i = 0; i < WAITERS; i++) {
        miss(world, &people[i], "q", CACHE_LEASE_WAIT);
        assert_true(people[i].is_parked);
    }
    assert_int_equal(set_leased(world, "q", "a", holder.get.reply.lease.token), STATUS_OK);
    for (int i = 0; i < WAITERS; i++) {
        assert_int_equal(people[i].end, LEASE_FILLED);
        go_on(world, &people[i]);
        assert_hit(&people[i].get.reply, CACHE_TIER_EXACT, "a");
        assert_false(people[i].get.reply.lease.given);
        leave(&people[i]);
    }
    leave(&holder);
    const struct cache_stats stats = stats_of(world, "");
    assert_int_equal(stats.leases, 1);
    assert_int_equal(stats.lease_waits, WAITERS);
    assert_int_equal(stats.total_requests, WAITERS + 1); /* each once */
    assert_int_equal(stats.cached_requests, WAITERS);
}

static void a_set_without_the_token_serves_them_too(void **state)
{
    struct world *world = *state;
    struct person holder, waiter;
    miss(world, &holder, "q", CACHE_LEASE_FIRST);
    miss(world, &waiter, "q", CACHE_LEASE_WAIT);
    assert_int_equal(set_leased(world, "q", "a", ""), STATUS_OK);
    go_on(world, &waiter);
    assert_hit(&waiter.get.reply, CACHE_TIER_EXACT, "a");
    leave(&waiter);
    leave(&holder);
}

static void a_lost_holder_is_followed_and_its_late_set_is_refused(void **state)
{
    struct world *world = *state;
    struct person holder, heir;
    miss(world, &holder, "q", CACHE_LEASE_FIRST);
    miss(world, &heir, "q", CACHE_LEASE_WAIT);
    cache_tick_leases(world->cache, world->now_us + 29999999);
    assert_int_equal(heir.woken_count, 0);
    world->now_us += 30000000;
    cache_tick_leases(world->cache, world->now_us);
    go_on(world, &heir);
    assert_holds(&heir);
    assert_int_equal(heir.get.reply.miss_reason, CACHE_MISS_LEADER_FAILED);
    assert_int_equal(set_leased(world, "q", "the heir's", heir.get.reply.lease.token), STATUS_OK);
    const enum status status = set_leased(world, "q", "late", holder.get.reply.lease.token);
    assert_failed(world, status, STATUS_LEASE_LOST, "lease_token");
    assert_hit(ask(world, of("q"), NULL), CACHE_TIER_EXACT, "the heir's");
    leave(&heir);
    leave(&holder);
}

static void a_late_set_is_stored_where_nothing_stands(void **state)
{
    struct world *world = *state;
    struct person holder;
    miss(world, &holder, "q", CACHE_LEASE_FIRST);
    world->now_us += 30000000;
    cache_tick_leases(world->cache, world->now_us);
    assert_int_equal(set_leased(world, "q", "late", holder.get.reply.lease.token), STATUS_OK);
    assert_int_equal(set_leased(world, "r", "a", "no token at all"), STATUS_OK);
    assert_hit(ask(world, of("q"), NULL), CACHE_TIER_EXACT, "late");
    leave(&holder);
}

static void what_is_given_back_goes_to_the_next_in_line(void **state)
{
    struct world *world = *state;
    struct person holder, people[2];
    uint32_t left = 0;
    miss(world, &holder, "q", CACHE_LEASE_FIRST);
    miss(world, &people[0], "q", CACHE_LEASE_WAIT);
    miss(world, &people[1], "q", CACHE_LEASE_WAIT);
    const struct text token = text_of(holder.get.reply.lease.token);
    assert_false(cache_release_lease(world->cache, TEXT("nonsense"), 0, &left));
    assert_true(cache_release_lease(world->cache, token, world->now_us, &left));
    assert_int_equal(left, 1);
    assert_false(cache_release_lease(world->cache, token, world->now_us, &left));
    go_on(world, &people[0]);
    assert_holds(&people[0]);
    assert_int_equal(people[1].woken_count, 0);
    assert_true(cache_get_unwait(world->cache, &people[1].waiter));
    people[1].is_parked = false;
    for (int i = 0; i < 2; i++)
        leave(&people[i]);
    leave(&holder);
}

static void a_set_that_is_not_kept_passes_the_lease_on(void **state)
{
    struct world *world = *state;
    struct person holder, waiter;
    miss(world, &holder, "q", CACHE_LEASE_FIRST);
    miss(world, &waiter, "q", CACHE_LEASE_WAIT);
    const struct cache_set_request cut = {.identity = of("q"),
                                          .content = TEXT("half an ans"),
                                          .finish_reason = TEXT("length"),
                                          .lease_token = text_of(holder.get.reply.lease.token)};
    assert_int_equal(set_request(world, &cut), STATUS_OK);
    assert_false(world->set.stored);
    go_on(world, &waiter);
    assert_holds(&waiter);
    leave(&waiter);
    leave(&holder);
}

static void an_answer_that_came_between_miss_and_lease_is_served(void **state)
{
    struct world *world = *state;
    struct person person, next;
    person = (struct person){.request = {.identity = of("q"), .lease = CACHE_LEASE_FIRST}};
    assert_int_equal(arena_create(&person.arena), STATUS_OK);
    enum cache_step step;
    assert_int_equal(cache_get_begin(world->cache, &person.request, person.arena, world->now_ms,
                                     world->now_us, &person.get, &step, &world->failure),
                     STATUS_OK);
    assert_int_equal(step, CACHE_DONE);
    assert_true(person.get.lease_due);
    (void)set(world, of("q"), NULL, "a");
    assert_false(cache_get_lease(world->cache, &person.get, NULL, world->now_ms, world->now_us));
    assert_hit(&person.get.reply, CACHE_TIER_EXACT, "a");
    world->now_ms += 48 * 3600 * 1000; /* the answer is over, and no lease was left behind */
    miss(world, &next, "q", CACHE_LEASE_FIRST);
    assert_holds(&next);
    leave(&next);
    leave(&person);
}

static void an_answer_that_is_gone_again_is_computed_by_one_of_them(void **state)
{
    struct world *world = *state;
    struct person holder, people[2];
    miss(world, &holder, "q", CACHE_LEASE_FIRST);
    miss(world, &people[0], "q", CACHE_LEASE_WAIT);
    miss(world, &people[1], "q", CACHE_LEASE_WAIT);
    (void)set(world, of("q"), NULL, "a");
    const struct identity identity = of("q");
    const struct cache_delete_request request = {.identity = &identity};
    uint32_t deleted = 0;
    assert_int_equal(
        cache_delete(world->cache, &request, world->arena, NULL, &deleted, &world->failure),
        STATUS_OK);
    assert_int_equal(deleted, 1);
    go_on(world, &people[0]);
    go_on(world, &people[1]);
    assert_holds(&people[0]);
    assert_told_of_another(&people[1]);
    for (int i = 0; i < 2; i++)
        leave(&people[i]);
    leave(&holder);
}

static void nobody_waits_longer_than_it_asked_nor_than_is_allowed(void **state)
{
    struct world *world = *state;
    struct person holder, waiter;
    miss(world, &holder, "q", CACHE_LEASE_FIRST);
    miss(world, &waiter, "q", CACHE_LEASE_WAIT);
    assert_int_equal(waiter.waiter.give_up_us, world->now_us + 60000000);
    (void)cache_get_unwait(world->cache, &waiter.waiter);
    waiter.is_parked = false;
    waiter.request.wait_ms = 200;
    waiter.waiter.give_up_us = 0;
    assert_true(
        cache_get_lease(world->cache, &waiter.get, &waiter.waiter, world->now_ms, world->now_us));
    waiter.is_parked = true;
    cache_tick_leases(world->cache, world->now_us + 199999);
    assert_int_equal(waiter.woken_count, 0);
    cache_tick_leases(world->cache, world->now_us + 200000);
    go_on(world, &waiter);
    assert_told_of_another(&waiter);
    assert_int_equal(waiter.get.reply.miss_reason, CACHE_MISS_WAIT_TIMEOUT);
    leave(&waiter);
    leave(&holder);
}

static void closing_tells_all_and_lets_nobody_wait(void **state)
{
    struct world *world = *state;
    struct person holder, waiter, late;
    miss(world, &holder, "q", CACHE_LEASE_FIRST);
    miss(world, &waiter, "q", CACHE_LEASE_WAIT);
    cache_close_leases(world->cache);
    go_on(world, &waiter);
    assert_int_equal(waiter.get.reply.miss_reason, CACHE_MISS_WAIT_TIMEOUT);
    miss(world, &late, "q", CACHE_LEASE_WAIT);
    assert_told_of_another(&late);
    leave(&late);
    leave(&waiter);
    leave(&holder);
}

static void who_wants_it_made_anew_is_not_served_the_old_one(void **state)
{
    struct world *world = *state;
    struct person person;
    assert_int_equal(set_leased(world, "q", "old", ""), STATUS_OK);
    miss_controlled(world, &person, "q", CACHE_LEASE_FIRST,
                    (struct cache_control){.no_cache = true});
    assert_holds(&person);
    assert_int_equal(person.get.reply.miss_reason, CACHE_MISS_BYPASSED);
    leave(&person);
}

static void where_nobody_is_to_compute_there_is_no_lease(void **state)
{
    struct world *world = *state;
    struct person person;
    miss_controlled(world, &person, "q", CACHE_LEASE_FIRST,
                    (struct cache_control){.only_if_cached = true});
    assert_false(person.get.reply.lease.given);
    leave(&person);
    miss_controlled(world, &person, "q", CACHE_LEASE_FIRST, (struct cache_control){.bypass = true});
    assert_false(person.get.reply.lease.given);
    leave(&person);
}

/* The Set that comes first is another's; the holder's finds it there. */
static void a_set_that_is_to_be_the_first_and_is_not_ends_the_wait(void **state)
{
    struct world *world = *state;
    struct person holder, waiter;
    assert_int_equal(set_leased(world, "q", "there", ""), STATUS_OK);
    miss_controlled(world, &holder, "q", CACHE_LEASE_FIRST,
                    (struct cache_control){.no_cache = true});
    assert_holds(&holder);
    miss_controlled(world, &waiter, "q", CACHE_LEASE_WAIT,
                    (struct cache_control){.no_cache = true});
    assert_true(waiter.is_parked);
    const struct cache_set_request request = {.identity = of("q"),
                                              .content = text_of("late"),
                                              .if_absent = true,
                                              .lease_token = text_of(holder.get.reply.lease.token)};
    assert_int_equal(set_request(world, &request), STATUS_OK);
    go_on(world, &waiter);
    assert_hit(&waiter.get.reply, CACHE_TIER_EXACT, "there");
    leave(&waiter);
    leave(&holder);
}

static void a_lease_wants_the_exact_tier(void **state)
{
    struct world *world = *state;
    const struct cache_get_request request = {
        .identity = of("q"), .only_semantic = true, .lease = CACHE_LEASE_FIRST};
    assert_failed(world, ask_request(world, &request), STATUS_LIMIT_EXCEEDED, "lease");
}

static void renewing_keeps_a_lease(void **state)
{
    struct world *world = *state;
    struct person holder, waiter;
    miss(world, &holder, "q", CACHE_LEASE_FIRST);
    miss(world, &waiter, "q", CACHE_LEASE_WAIT);
    world->now_us += 20000000;
    cache_renew_lease(world->cache, text_of(holder.get.reply.lease.token), world->now_us);
    cache_renew_lease(world->cache, TEXT(""), world->now_us);
    cache_tick_leases(world->cache, world->now_us + 29999999);
    assert_int_equal(waiter.woken_count, 0);
    (void)cache_get_unwait(world->cache, &waiter.waiter);
    waiter.is_parked = false;
    leave(&waiter);
    leave(&holder);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, world_plain, world_destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(the_first_miss_computes_and_the_next_is_told),
        IN_WORLD(who_asks_for_no_lease_learns_of_none),
        IN_WORLD(one_set_serves_all_who_wait),
        IN_WORLD(a_set_without_the_token_serves_them_too),
        IN_WORLD(a_lost_holder_is_followed_and_its_late_set_is_refused),
        IN_WORLD(a_late_set_is_stored_where_nothing_stands),
        IN_WORLD(what_is_given_back_goes_to_the_next_in_line),
        IN_WORLD(a_set_that_is_not_kept_passes_the_lease_on),
        IN_WORLD(an_answer_that_came_between_miss_and_lease_is_served),
        IN_WORLD(an_answer_that_is_gone_again_is_computed_by_one_of_them),
        IN_WORLD(nobody_waits_longer_than_it_asked_nor_than_is_allowed),
        IN_WORLD(closing_tells_all_and_lets_nobody_wait),
        IN_WORLD(who_wants_it_made_anew_is_not_served_the_old_one),
        IN_WORLD(where_nobody_is_to_compute_there_is_no_lease),
        IN_WORLD(a_set_that_is_to_be_the_first_and_is_not_ends_the_wait),
        IN_WORLD(a_lease_wants_the_exact_tier),
        IN_WORLD(renewing_keeps_a_lease),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
