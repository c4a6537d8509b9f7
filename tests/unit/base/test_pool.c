/*
 * test_pool.c - Goal: every job runs once, the bound holds, a long job holds up nobody, destroying
 * runs what waits. Method: jobs that wait at a gate (a semaphore) make workers busy for as long as
 * the test wants; a lost wake shows as a test that never ends.
 */
#include "tests/support/unit.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "base/thread.h"

static sem_t gate, arrived, done;
static atomic_uint runs;

static int setup(void **state)
{
    (void)state;
    atomic_store(&runs, 0);
    return sem_init(&gate, 0, 0) | sem_init(&arrived, 0, 0) | sem_init(&done, 0, 0);
}

static struct pool *pool_of(uint32_t threads, uint32_t queue_max)
{
    struct pool *pool = NULL;
    assert_int_equal(pool_create(threads, queue_max, &pool), STATUS_OK);
    return pool;
}

static void run_at_gate(struct pool_job *job)
{
    (void)job;
    (void)sem_post(&arrived);
    (void)sem_wait(&gate);
    (void)atomic_fetch_add(&runs, 1);
}

static void run_short(struct pool_job *job)
{
    (void)job;
    (void)atomic_fetch_add(&runs, 1);
    (void)sem_post(&done);
}

static void occupy(struct pool *pool, struct pool_job *job)
{
    job->run = run_at_gate;
    assert_int_equal(pool_submit(pool, job), STATUS_OK);
    (void)sem_wait(&arrived);
}

static void a_full_pool_refuses_and_takes_again_later(void **state)
{
    (void)state;
    enum { QUEUE = 5 };
    struct pool *pool = pool_of(1, QUEUE);
    struct pool_job busy, jobs[QUEUE], more = {.run = run_short}, refused = {.run = run_short};
    occupy(pool, &busy);
    assert_int_equal(pool_waiting(pool), 0); /* what runs does not wait */
    for (uint32_t i = 0; i < QUEUE; i++) {
        jobs[i].run = run_short;
        assert_int_equal(pool_submit(pool, &jobs[i]), STATUS_OK);
        assert_int_equal(pool_waiting(pool), i + 1);
    }
    assert_int_equal(pool_submit(pool, &refused), STATUS_OVERLOADED);
    assert_int_equal(pool_waiting(pool), QUEUE);
    pool_set_queue_max(pool, QUEUE + 1);
    assert_int_equal(pool_submit(pool, &more), STATUS_OK);
    pool_set_queue_max(pool, 1); /* those that wait stay */
    assert_int_equal(pool_submit(pool, &refused), STATUS_OVERLOADED);
    assert_int_equal(pool_waiting(pool), QUEUE + 1);
    (void)sem_post(&gate);
    for (int i = 0; i < QUEUE + 1; i++)
        (void)sem_wait(&done);
    assert_int_equal(pool_submit(pool, &refused), STATUS_OK);
    (void)sem_wait(&done);
    pool_destroy(&pool);
    assert_null(pool);
    assert_int_equal(atomic_load(&runs), QUEUE + 3);
}

static char order[8];
static atomic_size_t order_length;

struct letter {
    struct pool_job job;
    char name;
};

static void run_letter(struct pool_job *job)
{
    order[atomic_fetch_add(&order_length, 1)] = ((struct letter *)(void *)job)->name;
    (void)sem_post(&done);
}

static void one_worker_runs_in_the_order_of_submission(void **state)
{
    (void)state;
    struct pool *pool = pool_of(1, 8);
    struct pool_job busy;
    struct letter letters[7];
    occupy(pool, &busy);
    for (int i = 0; i < 7; i++) {
        letters[i] = (struct letter){.job.run = run_letter, .name = (char)('a' + i)};
        assert_int_equal(pool_submit(pool, &letters[i].job), STATUS_OK);
    }
    (void)sem_post(&gate);
    for (int i = 0; i < 7; i++)
        (void)sem_wait(&done);
    assert_string_equal(order, "abcdefg");
    pool_destroy(&pool);
}

/* Both rings get jobs in turn, one worker is at the gate: the other must take from both. */
static void a_long_job_holds_up_nobody(void **state)
{
    (void)state;
    enum { JOBS = 40 };
    struct pool *pool = pool_of(2, JOBS);
    struct pool_job busy, jobs[JOBS];
    occupy(pool, &busy);
    for (int i = 0; i < JOBS; i++) {
        jobs[i].run = run_short;
        assert_int_equal(pool_submit(pool, &jobs[i]), STATUS_OK);
    }
    for (int i = 0; i < JOBS; i++)
        (void)sem_wait(&done); /* all done, and the gate is still closed */
    assert_int_equal(atomic_load(&runs), JOBS);
    (void)sem_post(&gate);
    pool_destroy(&pool);
    assert_int_equal(atomic_load(&runs), JOBS + 1);
}

static void destroying_runs_what_is_queued(void **state)
{
    (void)state;
    enum { JOBS = 100 };
    struct pool *pool = pool_of(2, JOBS);
    struct pool_job busy[2], jobs[JOBS];
    occupy(pool, &busy[0]);
    occupy(pool, &busy[1]);
    for (int i = 0; i < JOBS; i++) {
        jobs[i].run = run_short;
        assert_int_equal(pool_submit(pool, &jobs[i]), STATUS_OK);
    }
    (void)sem_post(&gate);
    (void)sem_post(&gate);
    pool_destroy(&pool);
    assert_int_equal(atomic_load(&runs), JOBS + 2);
    pool_destroy(&pool);
}

static struct pool *relay_pool;
static atomic_uint relays_left;

/* A job may hand itself in again: the pool does not touch it after run() has begun. */
static void run_relay(struct pool_job *job)
{
    (void)atomic_fetch_add(&runs, 1);
    if (atomic_fetch_sub(&relays_left, 1) > 1)
        assert_int_equal(pool_submit(relay_pool, job), STATUS_OK);
    else
        (void)sem_post(&done);
}

static void a_job_may_submit_itself_again(void **state)
{
    (void)state;
    struct pool_job job = {.run = run_relay};
    relay_pool = pool_of(2, 4);
    atomic_store(&relays_left, 1000);
    assert_int_equal(pool_submit(relay_pool, &job), STATUS_OK);
    (void)sem_wait(&done);
    assert_int_equal(atomic_load(&runs), 1000);
    pool_destroy(&relay_pool);
}

static void free_itself(struct pool_job *job)
{
    free(job);
    (void)sem_post(&done);
}

static void a_job_may_free_itself(void **state)
{
    (void)state;
    struct pool *pool = pool_of(2, 200);
    for (int i = 0; i < 200; i++) {
        struct pool_job *job = calloc(1, sizeof(*job));
        assert_non_null(job);
        job->run = free_itself;
        assert_int_equal(pool_submit(pool, job), STATUS_OK);
    }
    for (int i = 0; i < 200; i++)
        (void)sem_wait(&done);
    pool_destroy(&pool);
}

static char worker_name[THREAD_NAME_MAX];
static int worker_number;

static void note_worker(struct pool_job *job)
{
    (void)job;
    (void)pthread_getname_np(pthread_self(), worker_name, sizeof(worker_name));
    worker_number = thread_number();
    (void)sem_post(&done);
}

static void workers_are_named_and_may_enter_epochs(void **state)
{
    (void)state;
    struct pool *pool = pool_of(1, 1);
    struct pool_job job = {.run = note_worker};
    assert_int_equal(pool_submit(pool, &job), STATUS_OK);
    (void)sem_wait(&done);
    pool_destroy(&pool);
    assert_string_equal(worker_name, "compute-0");
    assert_true(worker_number >= 0);
}

static void an_idle_pool_wakes_for_every_single_job(void **state)
{
    (void)state;
    struct pool *pool = pool_of(3, 3);
    struct pool_job job = {.run = run_short};
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(pool_submit(pool, &job), STATUS_OK);
        (void)sem_wait(&done);
    }
    assert_int_equal(atomic_load(&runs), 3000);
    pool_destroy(&pool);
}

enum { SUBMITTERS = 4, JOBS_EACH = 3000 };

struct counted_job {
    struct pool_job job;
    atomic_uint times;
};

struct submitter {
    struct pool *pool;
    struct thread *thread;
    struct counted_job *jobs;
    unsigned refusals;
};

static void run_counted(struct pool_job *job)
{
    (void)atomic_fetch_add(&((struct counted_job *)(void *)job)->times, 1);
}

static void submit_run(void *argument)
{
    struct submitter *submitter = argument;
    for (int i = 0; i < JOBS_EACH; i++) {
        submitter->jobs[i].job.run = run_counted;
        while (pool_submit(submitter->pool, &submitter->jobs[i].job) == STATUS_OVERLOADED) {
            submitter->refusals++;
            (void)sched_yield();
        }
    }
}

static void every_job_of_many_submitters_runs_exactly_once(void **state)
{
    (void)state;
    struct pool *pool = pool_of(3, 16);
    struct submitter submitters[SUBMITTERS];
    for (int i = 0; i < SUBMITTERS; i++) {
        submitters[i] = (struct submitter){.pool = pool};
        submitters[i].jobs = calloc(JOBS_EACH, sizeof(submitters[i].jobs[0]));
        assert_non_null(submitters[i].jobs);
        assert_int_equal(thread_create(THREAD_OTHER, "submitter", submit_run, &submitters[i],
                                       &submitters[i].thread),
                         STATUS_OK);
    }
    for (int i = 0; i < SUBMITTERS; i++)
        thread_join(&submitters[i].thread);
    pool_destroy(&pool);
    for (int i = 0; i < SUBMITTERS; i++) {
        for (int j = 0; j < JOBS_EACH; j++)
            assert_int_equal(atomic_load(&submitters[i].jobs[j].times), 1);
        free(submitters[i].jobs);
    }
}

static void a_pool_that_cannot_start_all_threads_starts_none(void **state)
{
    (void)state;
    struct pool *pool = NULL;
    assert_int_equal(thread_register(THREAD_IO), STATUS_OK); /* one number is gone */
    assert_int_equal(pool_create(THREAD_REGISTERED_MAX, 1, &pool), STATUS_LIMIT_EXCEEDED);
    assert_null(pool);
    thread_unregister();
    pool = pool_of(2, 1); /* and all numbers are back */
    pool_destroy(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_full_pool_refuses_and_takes_again_later, setup),
        cmocka_unit_test_setup(one_worker_runs_in_the_order_of_submission, setup),
        cmocka_unit_test_setup(a_long_job_holds_up_nobody, setup),
        cmocka_unit_test_setup(destroying_runs_what_is_queued, setup),
        cmocka_unit_test_setup(a_job_may_submit_itself_again, setup),
        cmocka_unit_test_setup(a_job_may_free_itself, setup),
        cmocka_unit_test_setup(workers_are_named_and_may_enter_epochs, setup),
        cmocka_unit_test_setup(an_idle_pool_wakes_for_every_single_job, setup),
        cmocka_unit_test_setup(every_job_of_many_submitters_runs_exactly_once, setup),
        cmocka_unit_test_setup(a_pool_that_cannot_start_all_threads_starts_none, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
