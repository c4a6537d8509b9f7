/*
 * thread.c - threads with a role, a name and, where the role may enter an epoch, a number.
 * Numbers are bits of a process-wide map: the one piece of state here, and needed because epochs
 * index their slots by it. The starter takes the number, so that a thread that could not be
 * registered never starts; the thread itself gives it back when its work is done.
 *
 * THREADS. Any may start and join; joining twice, or oneself, is a fault.
 * NOT HERE. Pinning to a core: measured first, if ever.
 */
#include "base/thread.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { NUMBERS_PER_WORD = 64, NUMBER_WORDS = THREAD_REGISTERED_MAX / NUMBERS_PER_WORD };

struct thread {
    pthread_t handle;
    enum thread_role role;
    int number; /* -1: not registered */
    char name[THREAD_NAME_MAX];
    void (*run)(void *argument);
    void *argument;
};

static _Atomic(uint64_t) numbers_taken[NUMBER_WORDS];
static _Thread_local int own_number = -1;
static _Thread_local enum thread_role own_role = THREAD_OTHER;

/* The lowest free number, or -1. Acquire: what the former holder did with its slots has happened
 * before. */
static int number_take(void)
{
    for (int word = 0; word < NUMBER_WORDS; word++) {
        uint64_t taken = atomic_load_explicit(&numbers_taken[word], memory_order_relaxed);
        while (taken != UINT64_MAX) {
            int bit = __builtin_ctzll(~taken);
            if (atomic_compare_exchange_weak_explicit(&numbers_taken[word], &taken,
                                                      taken | UINT64_C(1) << bit,
                                                      memory_order_acquire, memory_order_relaxed))
                return word * NUMBERS_PER_WORD + bit;
        }
    }
    return -1;
}

static void number_give_back(int number)
{
    assert(number >= 0);
    assert(number < THREAD_REGISTERED_MAX);
    uint64_t bit = UINT64_C(1) << number % NUMBERS_PER_WORD;
    uint64_t before = atomic_fetch_and_explicit(&numbers_taken[number / NUMBERS_PER_WORD], ~bit,
                                                memory_order_release);
    assert((before & bit) != 0);
}

static void *thread_main(void *argument)
{
    struct thread *thread = argument;
    own_number = thread->number;
    own_role = thread->role;
    (void)pthread_setname_np(pthread_self(), thread->name); /* a name is for people only */
    thread->run(thread->argument);
    assert(own_number == thread->number);
    if (own_number >= 0)
        number_give_back(own_number);
    return NULL;
}

/* Starts it with all signals blocked: they belong to the main thread. */
static int start_blocked(struct thread *thread)
{
    sigset_t all, before;
    sigfillset(&all);
    int error = pthread_sigmask(SIG_SETMASK, &all, &before);
    assert(error == 0);
    int result = pthread_create(&thread->handle, NULL, thread_main, thread);
    error = pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert(error == 0);
    return result;
}

enum status thread_create(enum thread_role role, const char *name, void (*run)(void *argument),
                          void *argument, struct thread **out_thread)
{
    assert(run != NULL);
    assert(strlen(name) < THREAD_NAME_MAX);
    struct thread *thread = calloc(1, sizeof(*thread));
    if (thread == NULL)
        return STATUS_NO_MEMORY;
    enum status status = STATUS_LIMIT_EXCEEDED;
    memcpy(thread->name, name, strlen(name));
    thread->run = run;
    thread->argument = argument;
    thread->role = role;
    thread->number = role != THREAD_OTHER ? number_take() : -1;
    if (role != THREAD_OTHER && thread->number < 0)
        goto free_thread;
    status = STATUS_NO_MEMORY; /* what EAGAIN means here */
    if (start_blocked(thread) != 0)
        goto give_back_number;
    *out_thread = thread;
    return STATUS_OK;

give_back_number:
    if (thread->number >= 0)
        number_give_back(thread->number);
free_thread:
    free(thread);
    return status;
}

void thread_join(struct thread **thread)
{
    struct thread *doomed = *thread;
    if (doomed == NULL)
        return;
    *thread = NULL;
    int error = pthread_join(doomed->handle, NULL);
    assert(error == 0);
    free(doomed);
}

enum status thread_register(enum thread_role role)
{
    assert(role != THREAD_OTHER); /* that role has no number to take */
    assert(own_number < 0);
    own_number = number_take();
    if (own_number < 0)
        return STATUS_LIMIT_EXCEEDED;
    own_role = role;
    return STATUS_OK;
}

void thread_unregister(void)
{
    assert(own_number >= 0);
    number_give_back(own_number);
    own_number = -1;
    own_role = THREAD_OTHER;
}

int thread_number(void)
{
    return own_number;
}

bool thread_is(enum thread_role role)
{
    return own_role == role;
}
