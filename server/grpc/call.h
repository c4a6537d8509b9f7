/*
 * call.h - one call, from the posted slot to its last event.
 *
 *   POSTED --arrived--> OWNED --reply---------------------> SENDING --sent--> slot back
 *                         |--call_hand_off--> COMPUTE --reply--^
 *                         |--call_lend--> EMBEDDER --done------^
 *                         |--call_park--> PARKED --call_wake--> OWNED
 *
 * One owner at a time: the I/O thread that got the event, then the compute thread that got the job,
 * or the thread on which the embedder says that a text is done. The owner ends its ownership by
 * exactly one of: a reply (reply.h), call_hand_off, call_lend and what it lends the call to,
 * call_park and what will wake it, call_read, reply_write. Afterwards it does not touch the call:
 * with two threads on a queue somebody else may already have it.
 */
#pragma once
#include <grpc/grpc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/pool.h"
#include "base/status.h"
#include "base/text.h"
#include "server/grpc/door.h"

struct method;
struct queue;

enum call_event {
    CALL_ARRIVED,
    CALL_READ,    /* a message, of generic calls                                       */
    CALL_CLOSED,  /* the call is over for the client: answered, cancelled or too late  */
    CALL_WRITTEN, /* a message of a stream has left                                    */
    CALL_WOKEN,   /* what a parked call waited for has come                            */
    CALL_SENT,    /* the closing batch is through                                      */
    CALL_EVENTS
};

#define CALL_TAG_MAGIC 0x7265c000u /* plus the event, so that each tag has its own */

struct call_tag {
    uint32_t magic; /* cleared when the slot's memory goes */
    enum call_event event;
    struct call *call;
};

struct call {
    struct call_tag tags[CALL_EVENTS]; /* one per event, so events never share a tag            */
    grpc_call_details details;         /* method and host of generic calls; deadline of all      */
    grpc_metadata_array metadata;      /* what the client sent with the call                     */
    grpc_call *rpc;                    /* owned from CALL_ARRIVED until the last event           */
    grpc_byte_buffer *message;         /* the request; its bytes are borrowed until then         */
    grpc_byte_buffer *reply;
    struct queue *queue; /* constant                                               */
    struct arena *arena; /* taken on arrival; given back when a message answers the
                            call, else with the slot                               */
    const struct method *method;
    void *work;              /* what the method needs between its steps; in the arena  */
    _Atomic(void *) watched; /* what `closed` may look at while others own the call: in the
                                arena, which then stays until the last event           */
    struct pool_job job;
    struct call *next, *previous; /* of the free list, or of the queue's readers or senders */
    int64_t waits_since_ms;       /* set by the first tick that sees it in one of the two   */
    uint64_t arrived_us;
    atomic_uint events_pending; /* the slot is reused when this falls to zero             */
    int cancelled;              /* written by the core, meaningful after CALL_CLOSED      */
    atomic_bool closed;         /* CALL_CLOSED came back; read between steps              */
    bool closing_expected;      /* CALL_CLOSED has its batch                              */
    bool headers_sent;
    bool inside;  /* counted as in flight                                   */
    bool stream;  /* counted as a stream                                    */
    bool sending; /* in the queue's list of senders; guarded by its lock    */
    uint8_t kind; /* enum slot_kind of the acceptor it was posted to        */
};
/* Every posted slot is one, and every call in flight. */
_Static_assert(sizeof(struct call) <= 344, "a posted slot is 344 bytes at most");

/* ---- The slot's memory; queue.c makes and frees it. ---- */
void call_init(struct call *call, struct queue *queue);
void call_deinit(struct call *call);

/*
 * Counting. A call that arrives owes one closing batch, so it begins with one pending event; every
 * other batch adds its own before it starts. Each event that comes back takes one off; true: it was
 * the last, the slot may be reused.
 */
void call_expect_first(struct call *call);
void call_expect(struct call *call);
bool call_returned(struct call *call);

/* ---- Events: for the worker. ---- */
/* The tag proves itself by its magic. */
void call_handle_event(struct call_tag *tag, bool success);

/* ---- For methods: the owner's verbs. ---- */
/* The request's bytes: borrowed from the one slice it came in, or copied into the arena.
 * STATUS_NO_MEMORY. */
enum status call_message(struct call *call, struct text *out_message);
size_t call_message_length(const struct call *call);
/* The same for methods whose honest messages are short, CALL_SHORT_BYTES at most: a longer one is
 * let go at once and is STATUS_LIMIT_EXCEEDED, so that nothing of it is kept while its caller does
 * not read. */
enum { CALL_SHORT_BYTES = 4096 };
enum status call_short_message(struct call *call, struct text *out_message,
                               struct failure *failure);

/* Waits for the stream's next message; false: streams are ending, the call is still the caller's.
 */
bool call_read(struct call *call);
/* Frees the stream's last message; what was made for it in the arena stays. */
void call_drop_message(struct call *call);
/* Frees the stream's last message and what was made for it in the arena. */
void call_forget_message(struct call *call);

/* `run` goes on with the call on a compute thread. STATUS_OVERLOADED: the call is still the
 * caller's. */
enum status call_hand_off(struct call *call, void (*run)(struct pool_job *job));
/* The same for methods that do nothing on an I/O thread: where the queue is full, the call is
 * counted as shed and answered OVERLOADED. Ends the caller's ownership either way. */
void call_hand_off_or_refuse(struct call *call, void (*run)(struct pool_job *job));
struct call *call_of_job(struct pool_job *job);

/* Comes before the call is given to anybody but the pool: somebody will go on with it later, and
 * its caller may leave meanwhile. */
void call_lend(struct call *call);
/*
 * Waiting for somebody who has no time for other people's calls, such as the journal. After
 * call_park the call may be given away; afterwards it is not the caller's. call_wake, once a park
 * and from any thread, lets it go on where its method's `woken` is, on an I/O thread of its own
 * queue. Nothing is locked while it is called.
 */
void call_park(struct call *call);
/* It was given to nobody after all, and is the caller's again. */
void call_unpark(struct call *call);
void call_wake(struct call *call);
/* The moment (monotonic) by which what the call waits for must be there for the reply to arrive in
 * time: CALL_MARGIN_MS before the deadline, or an eighth of what is left. 0: no deadline. */
enum { CALL_MARGIN_MS = 50 };
uint64_t call_due_us(const struct call *call);
/* From this moment on no further piece of the reply is worked on, so that the others arrive in
 * time: half as long before the deadline, so that what was there when due finds time. 0 as above.
 * Asked when the call begins: both count from what is left. */
uint64_t call_last_us(const struct call *call);

/* Asked before each step on a compute thread. */
enum call_fate { CALL_WANTED, CALL_GONE, CALL_TOO_LATE };
enum call_fate call_fate(const struct call *call);
/* Answers a call that nobody waits for any more; `fate` is not CALL_WANTED. */
void call_drop(struct call *call, enum call_fate fate);
/* Milliseconds until the deadline, never negative; INT64_MAX without one. */
int64_t call_remaining_ms(const struct call *call);

struct door *call_door(const struct call *call);
/* Starts a batch whose event is `event`; the event has been expected. */
void call_start(struct call *call, const grpc_op *ops, size_t ops_count, enum call_event event);
