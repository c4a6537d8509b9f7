/*
 * recover_ahead.c - a ring of three pieces between the thread that reads and checks and the one
 * that replays. One thread, not one a core: a core checks 10 GB/s and more, and replaying, which
 * has to keep the order of the log, takes ten times as long as checking.
 *
 * THREADS. Two semaphores count the pieces that are free and those that are full; a piece belongs
 * to one side at a time.
 * NOT HERE. What records do (recover.c).
 */
#include "storage/recover_ahead.h"

#include <assert.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/lock.h"
#include "base/thread.h"

enum { PIECES_COUNT = 3 };

struct ahead {
    struct ahead_setup setup;
    struct thread *thread;
    sem_t free, full;
    atomic_bool stops; /* nobody takes any more            */
    bool is_over;      /* the reader's; no piece will come */
    struct ahead_piece pieces[PIECES_COUNT];
    uint32_t put, taken;   /* how many so far: the reader's; the taker's */
    atomic_uint put_total; /* UINT32_MAX until all are put               */
};

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        ; /* EINTR */
}

/* The next free one; NULL: nobody wants it any more. */
static struct ahead_piece *begin_piece(struct ahead *ahead, uint32_t segment)
{
    assert(segment < ahead->setup.segments_count);
    wait_for(&ahead->free);
    if (atomic_load(&ahead->stops))
        return NULL;
    struct ahead_piece *piece = &ahead->pieces[ahead->put % PIECES_COUNT];
    piece->segment = segment;
    piece->is_last = false;
    piece->status = STATUS_OK;
    piece->piece.records_count = 0;
    return piece;
}

static void end_piece(struct ahead *ahead, struct ahead_piece *piece,
                      const struct segment_reader *reader, enum status status)
{
    assert(piece == &ahead->pieces[ahead->put % PIECES_COUNT]);
    piece->status = status;
    piece->is_last = status != STATUS_OK || reader->is_done;
    piece->reader = *reader;
    piece->reader.file = NULL;
    piece->reader.hash = NULL;
    ahead->put++;
    if (status != STATUS_OK || reader->stopped)
        ahead->is_over = true;
    if (ahead->is_over || (piece->is_last && piece->segment + 1 == ahead->setup.segments_count))
        atomic_store(&ahead->put_total, ahead->put);
    (void)sem_post(&ahead->full);
}

/* All pieces of a segment; one without records if there is nothing to read. */
static void read_segment(struct ahead *ahead, uint32_t place)
{
    assert(!ahead->is_over);
    const struct manifest_segment *segment = &ahead->setup.segments[place];
    struct segment_reader reader = {
        .io = ahead->setup.io,
        .segment = *segment,
        .skips_damage = segment->kind == SEGMENT_LOG ? ahead->setup.skips_in_logs
                                                     : ahead->setup.skips_in_compacted,
        .damaged = ahead->setup.damaged,
    };
    enum status status = segment_open(&reader);
    bool is_last = false;
    while (!is_last) {
        struct ahead_piece *piece = begin_piece(ahead, place);
        if (piece == NULL) {
            ahead->is_over = true;
            break;
        }
        if (status == STATUS_OK && !reader.is_done)
            status = segment_read(&reader, &piece->piece);
        is_last = status != STATUS_OK || reader.is_done;
        end_piece(ahead, piece, &reader, status);
    }
    segment_close(&reader);
}

static void run(void *argument)
{
    struct ahead *ahead = argument;
    for (uint32_t i = 0; i < ahead->setup.segments_count && !ahead->is_over; i++)
        read_segment(ahead, i);
}

UNSHARED enum status ahead_start(const struct ahead_setup *setup, struct ahead **out_ahead)
{
    assert(setup->io != NULL);
    struct ahead *ahead = calloc(1, sizeof(*ahead));
    if (ahead == NULL)
        return STATUS_NO_MEMORY;
    ahead->setup = *setup;
    atomic_init(&ahead->stops, false);
    atomic_init(&ahead->put_total, setup->segments_count == 0 ? 0 : UINT32_MAX);
    (void)sem_init(&ahead->free, 0, PIECES_COUNT); /* cannot fail with these values */
    (void)sem_init(&ahead->full, 0, 0);
    const enum status status = thread_create(THREAD_OTHER, "recover", run, ahead, &ahead->thread);
    if (status != STATUS_OK)
        goto stop_ahead;
    *out_ahead = ahead;
    return STATUS_OK;

stop_ahead:
    ahead_stop(&ahead);
    return status;
}

UNSHARED void ahead_stop(struct ahead **ahead)
{
    struct ahead *doomed = *ahead;
    if (doomed == NULL)
        return;
    *ahead = NULL;
    atomic_store(&doomed->stops, true);
    (void)sem_post(&doomed->free);
    thread_join(&doomed->thread);
    for (int i = 0; i < PIECES_COUNT; i++)
        piece_deinit(&doomed->pieces[i].piece);
    (void)sem_destroy(&doomed->full);
    (void)sem_destroy(&doomed->free);
    free(doomed);
}

struct ahead_piece *ahead_take(struct ahead *ahead)
{
    if (atomic_load(&ahead->put_total) == ahead->taken)
        return NULL;
    wait_for(&ahead->full);
    assert(ahead->taken < atomic_load(&ahead->put_total));
    return &ahead->pieces[ahead->taken % PIECES_COUNT];
}

void ahead_give_back(struct ahead *ahead)
{
    assert(ahead->taken < ahead->put_total);
    ahead->taken++;
    (void)sem_post(&ahead->free);
}
