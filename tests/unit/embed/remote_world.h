/*
 * remote_world.h - for the tests of embed/remote: a scripted server, an outgoing, a clock turned by
 * hand, and tasks that know how they ended. Each test file includes it once.
 */
#pragma once
#include "tests/support/unit.h"

#include <errno.h>
#include <math.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "embed/remote.h"
#include "tests/support/embed_script.h"

enum { DIMENSION = 8, TASKS_MAX = 128 };
static const uint64_t SECOND_US = 1000000, HOUR_US = 3600 * 1000000ULL;

static _Atomic uint64_t world_now_us;

static inline uint64_t clock_by_hand(void)
{
    return atomic_load(&world_now_us);
}

struct task {
    struct embed_job job; /* first member */
    char text[64];
    float unit[DIMENSION];
    sem_t is_done;
    enum status status;
    atomic_uint times_done;
};

struct world {
    struct embed_script *script;
    struct outgoing *outgoing;
    struct remote *remote;
    struct remote_settings settings;
    char url[64];
    struct failure failure;
    struct task tasks[TASKS_MAX];
};

static inline void task_done(struct embed_job *job, enum status status)
{
    struct task *task = (struct task *)job;
    task->status = status;
    (void)atomic_fetch_add(&task->times_done, 1);
    (void)sem_post(&task->is_done);
}

static inline void use_server(struct world *world, enum embed_script_shape shape)
{
    embed_script_destroy(&world->script);
    world->script = embed_script_create(shape, DIMENSION);
    (void)snprintf(world->url, sizeof(world->url), "http://127.0.0.1:%u",
                   http_script_port(embed_script_http(world->script)));
    world->settings.url = text_of(world->url);
    world->settings.shape = (enum remote_shape)shape;
}

static inline int world_create(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    if (world == NULL)
        return -1;
    atomic_store(&world_now_us, 1000 * SECOND_US);
    world->settings = (struct remote_settings){
        .model = TEXT("m"),
        .timeout_ms = 2000,
        .start_timeout_ms = 30000,
        .retries_max = 2,
        .batch_max = 8,
        .queue_max = 100,
        .flights_max = 2,
        .chance_seed = 7,
        .clock_us = clock_by_hand,
    };
    use_server(world, EMBED_OPENAI);
    struct outgoing_settings outgoing = {.transfers_max = 8, .clock_us = clock_by_hand};
    *state = world;
    return outgoing_create(&outgoing, &world->outgoing) == STATUS_OK ? 0 : -1;
}

static inline int world_destroy(void **state)
{
    struct world *world = *state;
    remote_destroy(&world->remote);
    outgoing_destroy(&world->outgoing);
    embed_script_destroy(&world->script);
    free(world);
    return 0;
}

static inline void tell(struct world *world, struct embed_manners manners)
{
    embed_script_tell(world->script, &manners);
}

static inline enum status open_remote(struct world *world)
{
    return remote_create(&world->settings, world->outgoing, &world->remote, &world->failure);
}

static inline struct task *task_of(struct world *world, unsigned number, const char *text)
{
    struct task *task = &world->tasks[number];
    *task = (struct task){.status = STATUS_INTERNAL};
    (void)snprintf(task->text, sizeof(task->text), "%s", text);
    task->job =
        (struct embed_job){.text = text_of(task->text), .out_unit = task->unit, .done = task_done};
    (void)sem_init(&task->is_done, 0, 0);
    return task;
}

static inline struct task *submit(struct world *world, unsigned number, const char *text)
{
    struct task *task = task_of(world, number, text);
    remote_submit(world->remote, &task->job);
    return task;
}

static inline struct remote_state state_of(const struct world *world)
{
    struct remote_state state;
    remote_state(world->remote, &state);
    return state;
}

static inline void turn(struct world *world, uint64_t by_us)
{
    (void)atomic_fetch_add(&world_now_us, by_us);
    outgoing_wake(world->outgoing);
}

static inline bool is_done_soon(struct task *task)
{
    struct timespec soon;
    (void)clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 1000000;
    if (soon.tv_nsec >= 1000000000) {
        soon.tv_nsec -= 1000000000;
        soon.tv_sec++;
    }
    return sem_timedwait(&task->is_done, &soon) == 0;
}

static inline enum status await(struct task *task)
{
    while (sem_wait(&task->is_done) != 0)
        assert_int_equal(errno, EINTR);
    return task->status;
}

/* Waits for it, and turns the clock while all that is under way rests until another attempt. */
static inline enum status await_turning(struct world *world, struct task *task)
{
    while (!is_done_soon(task)) {
        struct remote_state now = state_of(world);
        if (now.flying == 0 && now.resting > 0)
            turn(world, 50000);
    }
    return task->status;
}

static inline uint64_t run_not(struct outgoing_guest *guest, uint64_t now_us)
{
    (void)guest;
    (void)now_us;
    return UINT64_MAX;
}

static inline void leave_not(struct outgoing_guest *guest)
{
    (void)guest;
}

/* Returns when the thread has made a whole turn: what it knew when this was called has been acted
 * upon. */
static inline void settle(struct world *world)
{
    for (int i = 0; i < 2; i++) {
        struct outgoing_guest guest = {.run = run_not, .leave = leave_not};
        outgoing_attach(world->outgoing, &guest);
        outgoing_detach(world->outgoing, &guest);
    }
}

/* Waits, without a clock that moves, until the thread has come to rest in this state. */
static inline void await_state(struct world *world, uint32_t flying, uint32_t resting)
{
    struct remote_state now;
    do {
        settle(world);
        now = state_of(world);
    } while (now.flying != flying || now.resting != resting);
}

static inline void assert_vector_of(const struct task *task, bool has_drifted)
{
    float raw[DIMENSION];
    double squares = 0;
    embed_script_vector(task->text, DIMENSION, has_drifted, raw);
    for (int i = 0; i < DIMENSION; i++)
        squares += (double)raw[i] * (double)raw[i];
    for (int i = 0; i < DIMENSION; i++)
        assert_true(fabs((double)task->unit[i] - (double)raw[i] / sqrt(squares)) < 1e-5);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, world_create, world_destroy)
