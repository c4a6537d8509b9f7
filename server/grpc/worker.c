/*
 * worker.c - an I/O thread. It decodes, asks the exact tier and replies; it never waits for
 * anything but events. Owns nothing. Threads: itself.
 */
#include "server/grpc/worker.h"

#include <stdio.h>

#include "base/check.h"
#include "server/grpc/queue.h"

static void work(void *argument)
{
    struct queue *queue = argument;
    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(queue->events, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return;
        assert(event.type == GRPC_OP_COMPLETE);
        call_handle_event(event.tag, event.success != 0);
        assert_slow(lock_none_held());
    }
}

enum status worker_start(struct queue *queue, uint32_t number, struct thread **out_thread)
{
    char name[THREAD_NAME_MAX];
    (void)snprintf(name, sizeof(name), "io-%u", number);
    return thread_create(THREAD_IO, name, work, queue, out_thread);
}
