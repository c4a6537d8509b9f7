/*
 * reply.h - what leaves: messages as slices, the closing batch, errors with their details.
 * Every reply_* verb ends the caller's ownership of the call. Threads: the call's owner.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "server/codec.h"
#include "server/grpc/call.h"

/*
 * In two steps, where something must be let go in between: reply_prepare makes the message (the
 * tail's entry gets a reference of the message's own), reply_send answers OK with it.
 */
void reply_prepare(struct call *call, const struct codec_reply *reply);
void reply_send(struct call *call);
/* Both at once. */
void reply_message(struct call *call, const struct codec_reply *reply);

/* How a verb ends: the message, or why there is none (a failure that says nothing gets the status).
 */
void reply_outcome(struct call *call, enum status status, const struct codec_reply *reply,
                   struct failure *failure);

/* The failure's code, text, and details in the trailer grpc-status-details-bin. */
void reply_failure(struct call *call, const struct failure *failure);
/* The status alone, without details; STATUS_OK ends a stream. */
void reply_status(struct call *call, enum status status);
/* The same with a code and a text of the caller's choice; the text is a literal. */
void reply_close(struct call *call, grpc_status_code code, const char *text);
/* The failure of a call without a message. */
void reply_no_message(struct call *call);
/* RESOURCE_EXHAUSTED OVERLOADED with a moment to come back at, 50 to 500 ms away. Needs no memory.
 */
void reply_overloaded(struct call *call);
/* UNAVAILABLE DRAINING: to be retried elsewhere, or here once the next process is up. Needs no
 * memory either. */
void reply_draining(struct call *call);

/* UNAVAILABLE LOADING: the same, of a server that is starting. */
void reply_loading(struct call *call);

/* One message of a stream; CALL_WRITTEN follows. */
void reply_write(struct call *call, struct text bytes);
void reply_write_parts(struct call *call, const struct codec_reply *reply);

/* The refusals, packed once. */
struct pushbacks;
enum status pushbacks_create(struct pushbacks **out_pushbacks);
void pushbacks_destroy(struct pushbacks **pushbacks);
enum { PUSHBACKS_COUNT = 16, PUSHBACK_MS_MIN = 50, PUSHBACK_MS_MAX = 500 };
/* The moment that the refusal of this number names; numbers follow each other, moments do not. */
uint32_t pushback_ms(uint32_t number);
