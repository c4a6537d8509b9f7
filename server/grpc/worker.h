/*
 * worker.h - the I/O threads: each takes events from its queue, one at a time, and gives them to
 * their calls. Threads: main starts and stops.
 */
#pragma once
#include <stdint.h>

#include "base/status.h"
#include "base/thread.h"

struct queue;

/* Thread io-NUMBER, on this queue until queue_shutdown and its last event. */
enum status worker_start(struct queue *queue, uint32_t number, struct thread **out_thread);
