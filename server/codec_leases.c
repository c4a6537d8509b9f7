/*
 * codec_leases.c - leases on the wire: what a Get asks for, what its reply says, and ReleaseLease.
 * Owns nothing. Threads: any.
 */
#include "server/codec_internal.h"

#include <assert.h>

enum { LEASE_TOKEN = 1, LEASE_HOLD_MS = 2, LEASE_HELD_BY_OTHER = 4 };

enum status codec_lease_request(const Reprise__V1__LeaseRequest *message,
                                struct cache_get_request *out, struct failure *failure)
{
    static_assert((int)REPRISE__V1__LEASE_MODE__LEASE_MODE_WAIT == (int)CACHE_LEASE_WAIT,
                  "numbers as in proto");
    if (message == NULL)
        return STATUS_OK;
    if ((int)message->mode < CACHE_LEASE_NONE || (int)message->mode > CACHE_LEASE_WAIT)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "lease.mode",
                           "one of LEASE_MODE_FIRST, LEASE_MODE_WAIT, or none");
    out->lease = (enum cache_lease_mode)message->mode;
    out->wait_ms = message->wait_ms;
    out->hold_ms = message->hold_ms;
    return STATUS_OK;
}

void codec_write_lease(struct wire *wire, uint32_t number, const struct cache_lease *lease)
{
    assert(lease->given);
    const struct wire_inner inner = wire_begin(wire, number, 0);
    wire_text(wire, LEASE_TOKEN, text_of(lease->token));
    wire_uint(wire, LEASE_HOLD_MS, lease->hold_ms);
    wire_uint(wire, LEASE_HELD_BY_OTHER, lease->held_by_other);
    wire_end(wire, inner);
}

enum status codec_read_release_lease(struct text bytes, const struct codec_limits *limits,
                                     struct arena *arena, struct text *out_token,
                                     struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status =
        codec_unpack(CODEC_RELEASE_LEASE, bytes, limits, arena, &unpacked, failure);
    if (status == STATUS_OK)
        *out_token = text_of(((const Reprise__V1__ReleaseLeaseRequest *)unpacked)->token);
    return status;
}

enum status codec_write_release_lease(bool released, uint32_t waiters, struct arena *arena,
                                      struct codec_reply *out)
{
    Reprise__V1__ReleaseLeaseResponse message = REPRISE__V1__RELEASE_LEASE_RESPONSE__INIT;
    message.released = released;
    message.waiters = waiters;
    return codec_reply_pack(&message.base, arena, out);
}
