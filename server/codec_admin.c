/*
 * codec_admin.c - snapshots and compaction, both ways. Owns nothing. Threads: any; all of it works
 * in the caller's arena.
 */
#include "server/codec_internal.h"

#include <assert.h>

/* ---- Snapshots -------------------------------------------------------------- */

/* A folder of this name is made: no dot, no slash. */
static bool is_snapshot_name(struct text name)
{
    if (name.length < 1 || name.length >= sizeof(((struct snapshot_info *)NULL)->name))
        return false;
    for (size_t i = 0; i < name.length; i++) {
        const char c = name.bytes[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return true;
}

static enum status check_name(struct text name, struct failure *failure)
{
    if (is_snapshot_name(name))
        return STATUS_OK;
    return failure_set(failure, STATUS_BAD_NAME, "name",
                       "1 to 31 of the characters A-Z a-z 0-9 _ -");
}

enum status codec_read_create_snapshot(struct text bytes, const struct codec_limits *limits,
                                       struct arena *arena, struct text *out_name,
                                       struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status =
        codec_unpack(CODEC_CREATE_SNAPSHOT, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    const struct text name = text_of(((const Reprise__V1__CreateSnapshotRequest *)unpacked)->name);
    if (name.length > 0)
        status = check_name(name, failure);
    if (status == STATUS_OK)
        *out_name = name;
    return status;
}

enum status codec_read_delete_snapshot(struct text bytes, const struct codec_limits *limits,
                                       struct arena *arena, struct text *out_name,
                                       struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status =
        codec_unpack(CODEC_DELETE_SNAPSHOT, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    const struct text name = text_of(((const Reprise__V1__DeleteSnapshotRequest *)unpacked)->name);
    status = check_name(name, failure);
    if (status == STATUS_OK)
        *out_name = name;
    return status;
}

static enum status fill_snapshot(const struct snapshot_info *info, struct arena *arena,
                                 Reprise__V1__Snapshot *message)
{
    reprise__v1__snapshot__init(message);
    message->name = codec_string(text_of(info->name), arena);
    message->created_unix_ms = info->created_ms;
    message->size_bytes = info->size_bytes;
    message->entries = info->entries;
    return message->name != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status codec_write_create_snapshot(const struct snapshot_info *info, struct arena *arena,
                                        struct codec_reply *out)
{
    Reprise__V1__Snapshot snapshot;
    Reprise__V1__CreateSnapshotResponse message = REPRISE__V1__CREATE_SNAPSHOT_RESPONSE__INIT;
    message.snapshot = &snapshot;
    enum status status = fill_snapshot(info, arena, &snapshot);
    return status != STATUS_OK ? status : codec_reply_pack(&message.base, arena, out);
}

enum status codec_write_list_snapshots(const struct snapshot_info *infos, size_t count,
                                       struct arena *arena, struct codec_reply *out)
{
    assert(count <= SNAPSHOTS_MAX);
    Reprise__V1__Snapshot *messages = arena_calloc(arena, count, sizeof(*messages));
    Reprise__V1__Snapshot **list = arena_calloc(arena, count, sizeof(*list));
    if (messages == NULL || list == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        list[i] = &messages[i];
        enum status status = fill_snapshot(&infos[i], arena, list[i]);
        if (status != STATUS_OK)
            return status;
    }
    Reprise__V1__ListSnapshotsResponse message = REPRISE__V1__LIST_SNAPSHOTS_RESPONSE__INIT;
    message.n_snapshots = count;
    message.snapshots = list;
    return codec_reply_pack(&message.base, arena, out);
}

enum status codec_write_compact(uint64_t bytes_before, uint64_t bytes_after, struct arena *arena,
                                struct codec_reply *out)
{
    Reprise__V1__CompactResponse message = REPRISE__V1__COMPACT_RESPONSE__INIT;
    message.size_bytes_before = bytes_before;
    message.size_bytes_after = bytes_after;
    return codec_reply_pack(&message.base, arena, out);
}
