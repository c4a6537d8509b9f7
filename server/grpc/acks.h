/*
 * acks.h - what one call waits for on the disk: the completions of one or more records of the log.
 * The call is parked; the last of them wakes it, and its method's `woken` replies. Everything lies
 * in the call's arena. Threads: the call's owner; acks_expect and acks_done any.
 */
#pragma once
#include <stdatomic.h>
#include <stddef.h>

#include "server/grpc/call.h"

struct acks;

struct ack { /* of one item */
    struct acks *acks;
    atomic_int status; /* enum status; OK until a record of it has failed */
};

struct acks {
    struct call *call;
    atomic_uint pending;
    size_t count;
    struct ack items[];
};

/* NULL when memory is spent. */
struct acks *acks_create(struct call *call, size_t count);

/*
 * Between begin and end records are handed in. The call is parked from begin on; after end neither
 * it nor its arena are the caller's. It is woken also when nothing was handed in.
 */
void acks_begin(struct acks *acks);
void acks_end(struct acks *acks);

/* context: a struct ack. Each expect is followed by one done, sooner or later, on any thread. */
void acks_expect(void *context);
void acks_done(void *context, enum status status);

/* In `woken`: OK, or STORAGE_DEGRADED: it is applied, and the disk cannot confirm it. */
enum status ack_outcome(const struct ack *ack, struct failure *failure);
