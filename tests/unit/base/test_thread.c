/*
 * test_thread.c - Goal: roles have numbers of their own and give them back; names and blocked
 * signals arrive. Method: threads report what they see into a record; all numbers are taken to see
 * the refusal.
 */
#include "tests/support/unit.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include "base/thread.h"

struct sight {
    sem_t here, go;
    int number;
    bool is_io, is_compute;
    char name[THREAD_NAME_MAX];
    bool is_term_blocked, is_int_blocked;
};

static void sight_init(struct sight *sight)
{
    memset(sight, 0, sizeof(*sight));
    assert_int_equal(sem_init(&sight->here, 0, 0), 0);
    assert_int_equal(sem_init(&sight->go, 0, 0), 0);
}

static void look_run(void *argument)
{
    struct sight *sight = argument;
    sigset_t blocked;
    sight->number = thread_number();
    sight->is_io = thread_is(THREAD_IO);
    sight->is_compute = thread_is(THREAD_COMPUTE);
    (void)pthread_getname_np(pthread_self(), sight->name, sizeof(sight->name));
    (void)pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    sight->is_term_blocked = sigismember(&blocked, SIGTERM) == 1;
    sight->is_int_blocked = sigismember(&blocked, SIGINT) == 1;
    (void)sem_post(&sight->here);
    (void)sem_wait(&sight->go);
}

static void a_thread_has_its_name_and_no_signals(void **state)
{
    (void)state;
    struct sight sight;
    struct thread *thread = NULL;
    sight_init(&sight);
    (void)sem_post(&sight.go);
    assert_int_equal(thread_create(THREAD_IO, "io-15-character", look_run, &sight, &thread),
                     STATUS_OK);
    thread_join(&thread);
    assert_null(thread);
    assert_string_equal(sight.name, "io-15-character");
    assert_true(sight.is_term_blocked);
    assert_true(sight.is_int_blocked);
    sigset_t ours;
    (void)pthread_sigmask(SIG_BLOCK, NULL, &ours);
    assert_int_equal(sigismember(&ours, SIGTERM), 0); /* the starter's are as before */
}

static void roles_that_enter_epochs_have_numbers_of_their_own(void **state)
{
    (void)state;
    static const enum thread_role roles[] = {THREAD_IO, THREAD_COMPUTE, THREAD_BUILDER,
                                             THREAD_KEEPER, THREAD_OTHER};
    enum { ROLES = sizeof(roles) / sizeof(roles[0]) };
    struct sight sights[ROLES];
    struct thread *threads[ROLES] = {NULL};
    for (size_t i = 0; i < ROLES; i++) {
        sight_init(&sights[i]);
        assert_int_equal(thread_create(roles[i], "look", look_run, &sights[i], &threads[i]),
                         STATUS_OK);
    }
    for (size_t i = 0; i < ROLES; i++)
        (void)sem_wait(&sights[i].here);
    for (size_t i = 0; i + 1 < ROLES; i++) {
        assert_in_range(sights[i].number, 0, THREAD_REGISTERED_MAX - 1);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(sights[i].number, sights[j].number);
    }
    assert_int_equal(sights[ROLES - 1].number, -1);
    for (size_t i = 0; i < ROLES; i++) {
        (void)sem_post(&sights[i].go);
        thread_join(&threads[i]);
    }
}

static void a_thread_knows_its_role(void **state)
{
    (void)state;
    struct sight sight;
    struct thread *thread = NULL;
    sight_init(&sight);
    (void)sem_post(&sight.go);
    assert_int_equal(thread_create(THREAD_IO, "io", look_run, &sight, &thread), STATUS_OK);
    thread_join(&thread);
    assert_true(sight.is_io);
    assert_false(sight.is_compute);
    assert_true(thread_is(THREAD_OTHER));
    assert_int_equal(thread_register(THREAD_COMPUTE), STATUS_OK);
    assert_true(thread_is(THREAD_COMPUTE));
    thread_unregister();
    assert_false(thread_is(THREAD_COMPUTE));
}

static void a_foreign_thread_takes_a_number_and_gives_it_back(void **state)
{
    (void)state;
    assert_int_equal(thread_number(), -1);
    for (int i = 0; i < 3 * THREAD_REGISTERED_MAX; i++) {
        assert_int_equal(thread_register(THREAD_IO), STATUS_OK);
        assert_in_range(thread_number(), 0, THREAD_REGISTERED_MAX - 1);
        thread_unregister();
        assert_int_equal(thread_number(), -1);
    }
}

static void wait_run(void *argument)
{
    sem_t *go = argument;
    (void)sem_wait(go);
}

static void no_more_than_all_numbers_are_given_out(void **state)
{
    (void)state;
    static struct sight sight; /* one for all: they only wait */
    struct thread *threads[THREAD_REGISTERED_MAX] = {NULL};
    struct thread *refused = NULL;
    sight_init(&sight);
    assert_int_equal(thread_register(THREAD_KEEPER), STATUS_OK);
    for (int i = 1; i < THREAD_REGISTERED_MAX; i++)
        assert_int_equal(thread_create(THREAD_COMPUTE, "wait", wait_run, &sight.go, &threads[i]),
                         STATUS_OK);
    assert_int_equal(thread_create(THREAD_IO, "wait", look_run, &sight, &refused),
                     STATUS_LIMIT_EXCEEDED);
    assert_null(refused);
    thread_unregister(); /* one is free again */
    assert_int_equal(thread_create(THREAD_IO, "wait", wait_run, &sight.go, &refused), STATUS_OK);
    assert_int_equal(thread_register(THREAD_IO), STATUS_LIMIT_EXCEEDED);
    assert_int_equal(thread_number(), -1);
    for (int i = 0; i < THREAD_REGISTERED_MAX; i++)
        (void)sem_post(&sight.go);
    for (int i = 1; i < THREAD_REGISTERED_MAX; i++)
        thread_join(&threads[i]);
    thread_join(&refused);
    assert_int_equal(thread_register(THREAD_IO), STATUS_OK);
    thread_unregister();
}

static void joining_nothing_is_fine(void **state)
{
    (void)state;
    struct thread *none = NULL;
    thread_join(&none);
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_has_its_name_and_no_signals),
        cmocka_unit_test(roles_that_enter_epochs_have_numbers_of_their_own),
        cmocka_unit_test(a_thread_knows_its_role),
        cmocka_unit_test(a_foreign_thread_takes_a_number_and_gives_it_back),
        cmocka_unit_test(no_more_than_all_numbers_are_given_out),
        cmocka_unit_test(joining_nothing_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
