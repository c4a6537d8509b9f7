/*
 * vectors.c - counts texts that are with the embedder. Who hands them in counts as one more, so
 * that the last of them cannot be done while others are still to be handed in. Owns nothing.
 * Threads: see vectors.h.
 */
#include "server/grpc/vectors.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/thread.h"

/* What the embedder refuses is told on the thread that brought it, and that may be an I/O thread or
 * the one of outgoing requests. */
static void count_down(struct vectors *vectors)
{
    const unsigned before = atomic_fetch_sub(&vectors->pending, 1);
    assert(before > 0);
    if (before > 1)
        return;
    struct call *call = vectors->call;
    if (thread_is(THREAD_COMPUTE))
        vectors->run(&call->job);
    else if (call_hand_off(call, vectors->run) != STATUS_OK)
        vectors->refused(call);
}

static void one_done(struct embed_job *job, enum status status)
{
    struct vector_wait *wait = (struct vector_wait *)job; /* its first member */
    wait->status = status;
    wait->done_us = clock_monotonic_us();
    count_down(wait->vectors);
}

struct vectors *vectors_create(struct call *call, size_t count, bool bulk,
                               void (*run)(struct pool_job *job),
                               void (*refused)(struct call *call))
{
    assert(count > 0);
    struct vectors *vectors =
        arena_calloc(call->arena, 1, sizeof(*vectors) + count * sizeof(vectors->waits[0]));
    if (vectors == NULL)
        return NULL;
    const uint64_t due_us = call_due_us(call);
    vectors->call = call;
    vectors->run = run;
    vectors->refused = refused;
    vectors->count = count;
    for (size_t i = 0; i < count; i++)
        vectors->waits[i] = (struct vector_wait){
            .job = {.done = one_done, .deadline_us = due_us, .bulk = bulk}, .vectors = vectors};
    return vectors;
}

void vectors_begin(struct vectors *vectors)
{
    call_lend(vectors->call);
    atomic_store(&vectors->pending, 1);
}

struct embed_job *vectors_next(struct vectors *vectors, size_t index)
{
    assert(index < vectors->count);
    const unsigned before = atomic_fetch_add(&vectors->pending, 1);
    assert(before > 0);
    return &vectors->waits[index].job;
}

void vectors_end(struct vectors *vectors)
{
    count_down(vectors);
}
