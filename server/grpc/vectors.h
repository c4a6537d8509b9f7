/*
 * vectors.h - the texts of one call that become vectors together. They are handed to the embedder
 * one after the other; when the last of them is done, the call goes on, on a compute thread.
 * Everything lies in the call's arena. Threads: the call's owner; `done` on any.
 */
#pragma once
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "embed/job.h"
#include "server/grpc/call.h"

struct vectors;

struct vector_wait { /* one text */
    struct embed_job job;
    struct vectors *vectors;
    enum status status; /* of done, and when it came */
    uint64_t done_us;
};

struct vectors {
    struct call *call;
    void (*run)(struct pool_job *job);  /* goes on with the call, on a compute thread       */
    void (*refused)(struct call *call); /* instead, on any thread: the pool has no room     */
    atomic_uint pending;
    size_t count;
    struct vector_wait waits[];
};

/* Room for `count` texts, whose jobs are filled but for what the cache fills. NULL when memory is
 * spent. */
struct vectors *vectors_create(struct call *call, size_t count, bool bulk,
                               void (*run)(struct pool_job *job),
                               void (*refused)(struct call *call));
/*
 * Between begin and end any of the jobs are handed in, each once. The call is lent from begin on;
 * after end neither it nor its arena are the caller's.
 */
void vectors_begin(struct vectors *vectors);
struct embed_job *vectors_next(struct vectors *vectors, size_t index);
void vectors_end(struct vectors *vectors);
