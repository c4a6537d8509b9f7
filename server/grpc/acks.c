/*
 * acks.c - counts records that are with the journal. Who hands them in counts as one more, so that
 * the last of them cannot be done while others are still to be handed in. Owns nothing. Threads:
 * see acks.h; the journal's thread does nothing here but count and wake.
 */
#include "server/grpc/acks.h"

#include "base/check.h"

struct acks *acks_create(struct call *call, size_t count)
{
    assert(count > 0);
    struct acks *acks =
        arena_calloc(call->arena, 1, sizeof(*acks) + count * sizeof(acks->items[0]));
    if (acks == NULL)
        return NULL;
    acks->call = call;
    acks->count = count;
    atomic_init(&acks->pending, 0);
    for (size_t i = 0; i < count; i++) {
        acks->items[i].acks = acks;
        atomic_init(&acks->items[i].status, STATUS_OK);
    }
    return acks;
}

void acks_begin(struct acks *acks)
{
    assert(atomic_load(&acks->pending) == 0);
    call_park(acks->call);
    atomic_store(&acks->pending, 1);
}

static void count_down(struct acks *acks)
{
    struct call *call = acks->call;
    const unsigned before = atomic_fetch_sub(&acks->pending, 1);
    assert(before > 0);
    if (before == 1)
        call_wake(call);
}

void acks_end(struct acks *acks)
{
    count_down(acks);
}

void acks_expect(void *context)
{
    struct ack *ack = context;
    const unsigned before = atomic_fetch_add(&ack->acks->pending, 1);
    assert(before > 0);
}

void acks_done(void *context, enum status status)
{
    struct ack *ack = context;
    if (status != STATUS_OK)
        atomic_store(&ack->status, (int)status);
    count_down(ack->acks);
}

enum status ack_outcome(const struct ack *ack, struct failure *failure)
{
    assert(atomic_load(&ack->acks->pending) == 0);
    if (atomic_load(&ack->status) == STATUS_OK)
        return STATUS_OK;
    return failure_set(failure, STATUS_STORAGE_DEGRADED, "", "%s",
                       status_text(STATUS_STORAGE_DEGRADED));
}
