/*
 * journal_world.h - what the tests of the journal share: one in a temporary folder, behind a gate
 * (tests/support/io_gate.h), with a custodian that does nothing but count its wakes; tickets that
 * remember what they were told; and the segments read back. Included once by each test.
 */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "storage/journal_block.h"
#include "tests/support/folder.h"
#include "tests/support/io_gate.h"
#include "tests/unit/storage/disk.h"
#include "tests/unit/storage/make_entry.h"

enum { SEGMENT_BYTES = 256 * 1024, TOLD_MAX = 4096, RECORDS_MAX = 8192, UNTOLD = -1 };

struct told { /* statuses by the number of a wish */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int statuses[TOLD_MAX]; /* UNTOLD, or an enum status */
    unsigned count, twice;
};

struct world {
    char folder[64];
    struct io *gate; /* the journal's thread's io */
    struct journal *journal;
    struct journal_options options;
    uint64_t sequence;
    struct told told;
};

struct wisher { /* the context of a wish */
    struct told *told;
    unsigned number;
};

static _Atomic unsigned custodian_wakes;

enum status custodian_start(struct journal *journal, struct io *io,
                            const struct custodian_source *source,
                            const struct journal_options *options, struct custodian **out_custodian)
{
    (void)journal;
    (void)io;
    (void)source;
    (void)options;
    static int stand_in;
    *out_custodian = (struct custodian *)(void *)&stand_in; /* only its address is used */
    return STATUS_OK;
}

void custodian_stop(struct custodian **custodian)
{
    *custodian = NULL;
}

void custodian_wake(struct custodian *custodian)
{
    (void)custodian;
    atomic_fetch_add(&custodian_wakes, 1);
}

static inline int64_t wall_ms(void)
{
    return 1700000000000;
}

static inline uint64_t chance(void *context)
{
    (void)context;
    static uint64_t state = 7;
    return next_random(&state);
}

static inline void on_told(void *context, enum status status)
{
    struct wisher *wisher = context;
    struct told *told = wisher->told;
    (void)pthread_mutex_lock(&told->mutex);
    told->twice += told->statuses[wisher->number] != UNTOLD;
    told->statuses[wisher->number] = (int)status;
    told->count++;
    (void)pthread_cond_broadcast(&told->changed);
    (void)pthread_mutex_unlock(&told->mutex);
    free(wisher);
}

static inline unsigned told_count(struct world *world)
{
    (void)pthread_mutex_lock(&world->told.mutex);
    const unsigned count = world->told.count;
    (void)pthread_mutex_unlock(&world->told.mutex);
    return count;
}

static inline int told_of(struct world *world, unsigned number)
{
    (void)pthread_mutex_lock(&world->told.mutex);
    const int status = world->told.statuses[number];
    (void)pthread_mutex_unlock(&world->told.mutex);
    return status;
}

static inline void await_told(struct world *world, unsigned count)
{
    (void)pthread_mutex_lock(&world->told.mutex);
    while (world->told.count < count)
        (void)pthread_cond_wait(&world->told.changed, &world->told.mutex);
    (void)pthread_mutex_unlock(&world->told.mutex);
}

static inline struct journal_wish wish_of(struct world *world, unsigned number,
                                          enum journal_ack ack)
{
    struct wisher *wisher = calloc(1, sizeof(*wisher));
    assert_non_null(wisher);
    assert_true(number < TOLD_MAX);
    *wisher = (struct wisher){&world->told, number};
    return (struct journal_wish){.ack = ack, .done = on_told, .context = wisher};
}

/* ---- the journal ----------------------------------------------------------------------------- */

static inline struct world *world_create(enum journal_durability durability)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    folder_create(world->folder);
    world->options = (struct journal_options){.path = world->folder,
                                              .durability = durability,
                                              .error_action = ON_ERROR_MEMORY_ONLY,
                                              .segment_bytes = SEGMENT_BYTES,
                                              .queue_bytes = 64 << 20,
                                              .flush_interval_ms = 10};
    (void)pthread_mutex_init(&world->told.mutex, NULL);
    (void)pthread_cond_init(&world->told.changed, NULL);
    for (size_t i = 0; i < TOLD_MAX; i++)
        world->told.statuses[i] = UNTOLD;
    return world;
}

static inline enum status start(struct world *world, struct recovered *recovered)
{
    static const struct io_backend backend = {.taken = IO_POSIX, .reason = "a test"};
    static const struct custodian_source source = {.context = NULL};
    struct io *inner = NULL, *custodian_io = NULL;
    assert_int_equal(disk_open(world->folder, &inner), STATUS_OK);
    assert_int_equal(disk_open(world->folder, &custodian_io), STATUS_OK);
    if (world->gate == NULL)
        world->gate = io_gate_open(inner);
    else
        assert_true(false);
    const struct journal_setup setup = {.options = &world->options,
                                        .backend = &backend,
                                        .io = world->gate,
                                        .custodian_io = custodian_io,
                                        .recovered = recovered,
                                        .clock_us = io_gate_clock_us,
                                        .clock_ms = wall_ms,
                                        .chance = chance,
                                        .source = &source};
    return journal_start(&setup, &world->journal, NULL);
}

static inline struct world *world_start(enum journal_durability durability)
{
    struct world *world = world_create(durability);
    struct recovered recovered = {.sequence_next = 1, .segment_next = 1};
    assert_int_equal(start(world, &recovered), STATUS_OK);
    io_gate_await_rest(world->gate);
    return world;
}

static inline void world_stop(struct world *world)
{
    journal_stop(&world->journal);
    world->gate = NULL; /* the journal has closed it */
}

static inline void world_destroy(struct world *world)
{
    if (world->journal != NULL)
        world_stop(world);
    assert_int_equal(world->told.twice, 0);
    (void)pthread_cond_destroy(&world->told.changed);
    (void)pthread_mutex_destroy(&world->told.mutex);
    folder_remove(world->folder);
    free(world);
}

static inline struct journal_stats stats_of(struct world *world)
{
    struct journal_stats stats;
    journal_stats(world->journal, &stats);
    return stats;
}

static inline void hand_in(struct world *world, struct ticket *ticket,
                           const struct journal_wish *wish)
{
    assert_non_null(ticket);
    world->sequence++;
    journal_submit(world->journal, ticket, world->sequence, wish);
    journal_kick(world->journal);
}

/* A DELETE of this number; told_number UNTOLD: nobody wants to know. */
static inline void write_delete(struct world *world, uint64_t number, enum journal_ack ack,
                                int told_number)
{
    const struct digest digest = digest_number(number);
    enum status status;
    struct ticket *ticket = ticket_delete(world->journal, &digest, &status);
    if (told_number == UNTOLD) {
        hand_in(world, ticket, NULL);
        return;
    }
    const struct journal_wish wish = wish_of(world, (unsigned)told_number, ack);
    hand_in(world, ticket, &wish);
}

static inline void write_put(struct world *world, uint64_t number, size_t answer_bytes)
{
    struct entry *entry = make_entry(number, answer_bytes, 0);
    enum status status;
    hand_in(world, ticket_put(world->journal, entry, NULL, 0, &status), NULL);
    entry_release(entry);
}

/* ---- reading back ---------------------------------------------------------------------------- */

struct read_record {
    uint8_t type;
    uint64_t segment, sequence;
    int64_t expires_ms;
    size_t payload_bytes;
    uint8_t payload[256]; /* its beginning */
};

struct read_log {
    size_t count; /* of records, PAD and SEAL included */
    struct read_record records[RECORDS_MAX];
    struct manifest manifest;
};

static inline void read_segment(struct io *io, const struct manifest_segment *segment,
                                struct read_log *log)
{
    char name[IO_NAME_MAX];
    struct io_file *file = NULL;
    uint64_t size = 0;
    size_t read = 0;
    manifest_segment_name(segment->number, name);
    assert_int_equal(io->operations->open_file(io, name, IO_READ_ONLY, &file, &size), STATUS_OK);
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    assert_int_equal(io->operations->read_at(io, file, bytes, size, 0, &read), STATUS_OK);
    struct segment_header header;
    assert_int_equal(segment_header_read(bytes, &header), SEGMENT_VALID);
    assert_int_equal(header.number, segment->number);
    assert_int_equal(header.first_sequence, segment->first_sequence);
    size_t at = SEGMENT_HEADER_BYTES, record_bytes = 0;
    struct record record;
    while (record_read(bytes + at, size - at, header.epoch, &record, &record_bytes) ==
           RECORD_VALID) {
        assert_true(log->count < RECORDS_MAX);
        struct read_record *copy = &log->records[log->count++];
        *copy = (struct read_record){.type = record.type,
                                     .segment = segment->number,
                                     .sequence = record.sequence,
                                     .expires_ms = record.expires_ms,
                                     .payload_bytes = record.payload.length};
        const size_t kept = record.payload.length < sizeof(copy->payload) ? record.payload.length
                                                                          : sizeof(copy->payload);
        if (kept > 0)
            memcpy(copy->payload, record.payload.bytes, kept);
        at += record_bytes;
    }
    free(bytes);
    io->operations->close_file(io, &file);
}

/* All that MANIFEST names, in order. */
static inline struct read_log *read_back(const struct world *world)
{
    struct read_log *log = calloc(1, sizeof(*log));
    struct io *io = NULL;
    assert_non_null(log);
    assert_int_equal(disk_open(world->folder, &io), STATUS_OK);
    assert_int_equal(manifest_load(io, &log->manifest, NULL), STATUS_OK);
    for (uint32_t i = 0; i < log->manifest.segments_count; i++)
        read_segment(io, &log->manifest.segments[i], log);
    io->operations->close(&io);
    return log;
}

static inline void forget(struct read_log *log)
{
    manifest_clear(&log->manifest);
    free(log);
}

/* Records but PAD and SEAL; *out_last the last sequence. Each is one above the one before. */
static inline size_t count_in_order(const struct read_log *log, uint64_t *out_last)
{
    size_t count = 0;
    *out_last = 0;
    for (size_t i = 0; i < log->count; i++) {
        const struct read_record *record = &log->records[i];
        if (record->type == RECORD_PAD || record->type == RECORD_SEAL) {
            assert_int_equal(record->sequence, *out_last);
            continue;
        }
        assert_int_equal(record->sequence, *out_last + 1);
        *out_last = record->sequence;
        count++;
    }
    return count;
}
