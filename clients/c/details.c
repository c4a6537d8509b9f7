/*
 * details.c - error details, decoded. Owns nothing; everything lies in the caller's arena. Threads:
 * any; pure. A server of another make may send any bytes here: whatever does not parse is left out,
 * never trusted.
 */
#include "clients/c/details.h"

#include <string.h>

#include "base/check.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"

static void *arena_take(void *context, size_t size_bytes)
{
    return arena_alloc(context, size_bytes);
}

static void arena_leave(void *context, void *pointer)
{
    (void)context; /* the arena frees all of it at once */
    (void)pointer;
}

ProtobufCAllocator details_allocator(struct arena *arena)
{
    assert(arena != NULL);
    return (ProtobufCAllocator){.alloc = arena_take, .free = arena_leave, .allocator_data = arena};
}

const char *details_copy(struct arena *arena, const void *bytes, size_t size_bytes)
{
    char *copy = arena_alloc(arena, size_bytes + 1);
    if (copy == NULL)
        return NULL;
    if (size_bytes > 0)
        memcpy(copy, bytes, size_bytes);
    copy[size_bytes] = '\0';
    return copy;
}

/* Any's type is a URL whose last part is the message's full name; the host before it does not
 * matter. */
static bool is_type(const Google__Protobuf__Any *any, const char *name)
{
    const char *slash = strrchr(any->type_url, '/');
    return strcmp(slash != NULL ? slash + 1 : any->type_url, name) == 0;
}

static void read_reason(const Google__Protobuf__Any *any, ProtobufCAllocator *allocator,
                        struct reprise_error *error)
{
    const Google__Rpc__ErrorInfo *info =
        google__rpc__error_info__unpack(allocator, any->value.len, any->value.data);
    if (info != NULL)
        error->reason = info->reason;
}

static void read_field(const Google__Protobuf__Any *any, ProtobufCAllocator *allocator,
                       struct reprise_error *error)
{
    const Google__Rpc__BadRequest *bad =
        google__rpc__bad_request__unpack(allocator, any->value.len, any->value.data);
    if (bad == NULL || bad->n_field_violations == 0)
        return;
    error->field = bad->field_violations[0]->field;
    if (error->message[0] == '\0')
        error->message = bad->field_violations[0]->description;
}

static void read_retry(const Google__Protobuf__Any *any, ProtobufCAllocator *allocator,
                       struct reprise_error *error)
{
    enum { A_DAY_S = 24 * 3600 };
    const Google__Rpc__RetryInfo *retry =
        google__rpc__retry_info__unpack(allocator, any->value.len, any->value.data);
    if (retry == NULL || retry->retry_delay == NULL)
        return;
    const Google__Protobuf__Duration *delay = retry->retry_delay;
    if (delay->seconds < 0 || delay->seconds > A_DAY_S || delay->nanos < 0)
        return;
    error->retry_after_ms = delay->seconds * 1000 + delay->nanos / 1000000;
}

void details_read(const void *bytes, size_t size_bytes, struct arena *arena,
                  struct reprise_error *error)
{
    assert(error->reason != NULL);
    assert(error->field != NULL);
    assert(error->message != NULL);
    ProtobufCAllocator allocator = details_allocator(arena);
    const Google__Rpc__Status *status = google__rpc__status__unpack(&allocator, size_bytes, bytes);
    if (status == NULL)
        return;
    if (status->message[0] != '\0')
        error->message = status->message;
    for (size_t i = 0; i < status->n_details; i++) {
        const Google__Protobuf__Any *any = status->details[i];
        if (is_type(any, "google.rpc.ErrorInfo"))
            read_reason(any, &allocator, error);
        else if (is_type(any, "google.rpc.BadRequest"))
            read_field(any, &allocator, error);
        else if (is_type(any, "google.rpc.RetryInfo"))
            read_retry(any, &allocator, error);
    }
}
