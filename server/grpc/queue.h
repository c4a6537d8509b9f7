/*
 * queue.h - a completion queue with its slots and arenas. A connection belongs to one queue for
 * life, so slots and arenas stay on theirs too. Lock CALLS guards the lists; nothing is called
 * while it is held but malloc. Threads: any.
 */
#pragma once
#include <grpc/grpc.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"
#include "server/grpc/call.h"

enum {
    QUEUE_ARENAS_IDLE = 256, /* 2 MiB; what is idle beyond is freed        */
    QUEUE_SLAB_CALLS = 64,   /* slots are made by so many at a time        */
};

/* Posted per acceptor and queue; why so many stands in queue.c. */
extern const uint32_t queue_posted[SLOT_KINDS];

struct call_slab;

struct queue {
    struct door *door;
    grpc_completion_queue *events;
    struct lock lock;
    uint32_t calls_max GUARDED; /* slots that may be made  */
    struct call_slab *slabs GUARDED;
    struct call *idle GUARDED;
    uint32_t calls_count GUARDED;      /* slots that exist                                  */
    uint32_t calls_out GUARDED;        /* between arrival and last event                    */
    uint32_t calls_posted GUARDED;     /* at an acceptor, or on their way back from it      */
    uint32_t owed[SLOT_KINDS] GUARDED; /* acceptors that want a slot as soon as there is one */
    struct call *reading GUARDED;      /* generic calls whose message is not complete       */
    struct call *sending GUARDED;      /* answered, or a stream's message has not yet left  */
    uint32_t arenas_count GUARDED;
    struct arena *arenas[QUEUE_ARENAS_IDLE] GUARDED;
};

enum status queue_create(struct door *door, uint32_t calls_max, struct queue **out_queue);
/* Shuts the completion queue down and frees everything; its threads have been joined. NULL is fine.
 */
void queue_destroy(struct queue **queue);
/* The queue's threads end when all its events have been taken. Once. */
void queue_shutdown(struct queue *queue);

/* What there is beyond stays. */
void queue_set_calls_max(struct queue *queue, uint32_t calls_max);

/* Posts queue_posted slots to every acceptor. False: no memory for them. */
bool queue_post_all(struct queue *queue);

/*
 * A call has arrived in a slot of this kind: counts it out, posts another slot to the acceptor (or
 * owes one), and takes an arena for it if `wants_arena`. Returns that arena; NULL if not wanted or
 * out of memory.
 */
struct arena *queue_arrived(struct queue *queue, enum slot_kind kind, bool wants_arena);
struct arena *queue_take_arena(struct queue *queue);
/* Everything in it is gone; the next call gets this one. */
void queue_put_arena(struct queue *queue, struct arena *arena);
/* The slot came back unused, at shutdown. */
void queue_put_away(struct queue *queue, struct call *call);
/* The call had its last event: takes slot and arena back, pays what is owed to an acceptor. */
void queue_done(struct queue *queue, struct call *call);
uint32_t queue_calls_out(struct queue *queue);
/* Slots that are anywhere but in the free list: at 0, after the server's shutdown, nobody will ask
 * anything of the server any more. An arrival that nobody has looked at yet counts. */
uint32_t queue_slots_away(struct queue *queue);

/* Between a call's reading and its message it stands in a list. False: the door is ending and it is
 * a stream. */
bool queue_reading_begin(struct queue *queue, struct call *call);
void queue_reading_end(struct queue *queue, struct call *call);
/* From the start of a batch that sends until the call's last event, or until a stream's message has
 * left. `arena`, if not NULL, is given back on the way: one lock for both. */
void queue_sending_begin(struct queue *queue, struct call *call, struct arena *arena);
void queue_sending_end(struct queue *queue, struct call *call);
/* Cancels callers that have sent or taken their message too slowly; streams may take as long as
 * they want between messages. */
void queue_cancel_slow(struct queue *queue, int64_t now_ms);
/* Cancels the streams that wait for a message. The door's stage is DOOR_ENDING. */
void queue_cancel_streams(struct queue *queue);
