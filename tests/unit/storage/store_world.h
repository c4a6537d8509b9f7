/*
 * store_world.h - what the tests of a whole store on a simulated disk share: the store, and beside
 * it a model that remembers for each key everything that was ever asked for, in order, so that
 * after a crash it can say which states are honest. Included once by each test.
 *
 * WHAT IS HONEST. One thread asks, so the order of asking is the order of sequences, and whoever is
 * told that his record is synced is told so of all before it. After a power cut a key is as it was
 * at the last confirmed SYNCED, or as any later request for it would have left it. Notes likewise.
 * Who is evicted is absent from then on, and nobody promises more; a start may find no room for
 * one. Where recovery had to skip a gap among what was never synced, a TOUCH behind it may have
 * moved the expiry of a Set before it: then version and expiry are judged each by itself.
 */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "storage/store_block.h"
#include "tests/support/folder.h"
#include "tests/support/io_sim.h"
#include "tests/unit/storage/make_entry.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define WORLD_IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define WORLD_IS_SANITIZED 1
#endif
#endif
#ifndef WORLD_IS_SANITIZED
#define WORLD_IS_SANITIZED 0
#endif

enum {
    WORLD_KEYS = 24,
    WORLD_NOTES = 6,
    WORLD_HISTORY_MAX = 1024,
    WORLD_SEGMENT_BYTES = 64 * 1024,
    WORLD_ANSWER_MAX = 3000,
    WORLD_WISHES_MAX = 4096,
    WORLD_NOTE_OWNER = 7,
    WORLD_DIMENSION = 256,
};

static const int64_t world_now_ms = 1700000000000;

struct state { /* of a key or a note after a request */
    unsigned request;
    uint64_t version; /* 0: absent */
    int64_t expires_ms;
};

struct history {
    unsigned count;
    struct state states[WORLD_HISTORY_MAX]; /* the first is where it began */
};

struct world;

struct wish_told { /* the context of a wish */
    struct world *world;
    unsigned request;
    enum journal_ack ack;
    _Atomic int told; /* times */
    enum status status;
};

struct world {
    struct io_sim *disk; /* NULL: the folder itself, by options.io */
    char folder[64];     /* else where a snapshot's MANIFEST goes  */
    struct store *store;
    struct journal_options options;
    struct store_options store_options;
    struct failure failure; /* of opening a folder */
    uint64_t chance;
    struct history keys[WORLD_KEYS], notes[WORLD_NOTES];
    uint64_t versions;        /* drawn so far                       */
    unsigned requests;        /* so far                             */
    _Atomic unsigned durable; /* the last confirmed SYNCED request */
    _Atomic unsigned logged;  /* the same, or LOGGED               */
    uint64_t sequence_max;    /* ever seen                          */

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned wishes_count, wishes_told;
    struct wish_told wishes[WORLD_WISHES_MAX];
    unsigned custodian_jobs; /* that were asked for and are not answered */
    enum status job_status;  /* of the last one                          */

    /* What recovery has shown and what came after: the custodian's thread renews it. */
    pthread_mutex_t notes_mutex;
    uint64_t notes_now[WORLD_NOTES];

    uint64_t wrong_notes; /* that recovery has shown */

    _Atomic int forget_status; /* what the next ones say */
    _Atomic unsigned forgets;  /* that said OK           */

    bool is_opening;
    bool had_no_room[WORLD_KEYS];         /* at the last start                          */
    uint64_t vector_versions[WORLD_KEYS]; /* whose vector came with the entry; 0: none's */
};

static _Atomic uint64_t world_clock_us = 1000000;
static _Atomic uint64_t world_clock_step_us; /* by which a look at it turns it on */

static inline uint64_t world_us(void)
{
    return atomic_fetch_add(&world_clock_us, atomic_load(&world_clock_step_us));
}

static inline int64_t world_ms(void)
{
    return world_now_ms;
}

static inline uint64_t world_chance(void *context)
{
    (void)context;
    static _Atomic uint64_t drawn = 1;
    uint64_t state = atomic_fetch_add(&drawn, 1);
    return next_random(&state);
}

static inline uint64_t pick(struct world *world, uint64_t below)
{
    return next_random(&world->chance) % below;
}

/* ---- entries --------------------------------------------------------------------------------- */

/* All of the answer follows from key and version, so that a wrong byte is seen. */
static inline size_t fill_answer(uint64_t key, uint64_t version, char *answer)
{
    uint64_t state = key * 1000003 + version;
    const size_t size = 16 + (size_t)(next_random(&state) % WORLD_ANSWER_MAX);
    memcpy(answer, &key, sizeof(key));
    memcpy(answer + 8, &version, sizeof(version));
    for (size_t i = 16; i < size; i++)
        answer[i] = (char)(next_random(&state) >> 56);
    return size;
}

/* Every third has one. It is in no index: what the disk has is all there is. */
static inline uint32_t world_dimension(uint64_t key)
{
    return key % 3 == 0 ? WORLD_DIMENSION : 0;
}

static inline void fill_vector(uint64_t key, uint64_t version, float unit[WORLD_DIMENSION])
{
    uint64_t state = key * 7 + version;
    for (int i = 0; i < WORLD_DIMENSION; i++)
        unit[i] = (float)(next_random(&state) >> 48);
}

static inline struct entry *world_entry(uint64_t key, uint64_t version, int64_t expires_ms)
{
    char answer[16 + WORLD_ANSWER_MAX];
    const size_t size = fill_answer(key, version, answer);
    const struct entry_source source = {.digest = digest_number(key),
                                        .scope = {(uint8_t)(1 + key % 4)},
                                        .tenant = {(uint8_t)(1 + key % 2)},
                                        .space = world_dimension(key),
                                        .created_ms = 1,
                                        .expires_ms = expires_ms,
                                        .prompt = TEXT("prompt"),
                                        .answer = {answer, size}};
    struct entry *entry = NULL;
    return entry_create(&source, &entry) == STATUS_OK ? entry : NULL;
}

/* The version of an entry whose every byte is right; 0: it is wrong. */
static inline uint64_t version_of(const struct entry *entry, uint64_t key)
{
    char expected[16 + WORLD_ANSWER_MAX];
    const struct text answer = entry_answer(entry);
    uint64_t version = 0;
    if (answer.length < 16)
        return 0;
    memcpy(&version, answer.bytes + 8, sizeof(version));
    const size_t size = fill_answer(key, version, expected);
    const bool is_right = answer.length == size && memcmp(answer.bytes, expected, size) == 0 &&
                          entry_scope(entry)[0] == 1 + key % 4;
    return is_right ? version : 0;
}

/* ---- the model ------------------------------------------------------------------------------- */

static inline void remember(struct history *history, unsigned request, uint64_t version,
                            int64_t expires_ms)
{
    assert_true(history->count < WORLD_HISTORY_MAX);
    history->states[history->count++] = (struct state){request, version, expires_ms};
}

static inline struct state last_of(const struct history *history)
{
    assert_true(history->count > 0);
    return history->states[history->count - 1];
}

/* Is this a state that may be seen after a crash? */
static inline bool is_honest(const struct history *history, unsigned durable, bool has_gap,
                             uint64_t version, int64_t expires_ms)
{
    bool has_version = false, has_expiry = version == 0, has_both = false;
    for (unsigned i = history->count; i > 0; i--) {
        const struct state *state = &history->states[i - 1];
        const bool is_expiry = version == 0 || state->expires_ms == expires_ms;
        has_both = has_both || (state->version == version && is_expiry);
        has_version = has_version || state->version == version;
        has_expiry = has_expiry || is_expiry;
        if (state->request <= durable)
            break;
    }
    return has_both || (has_gap && has_version && has_expiry);
}

static inline void begin_history(struct history *history, uint64_t version, int64_t expires_ms)
{
    history->count = 0;
    remember(history, 0, version, expires_ms);
}

/* On the thread that asks: nobody else removes. */
static inline void world_died(void *context, const struct entry *entry, enum store_death why)
{
    struct world *world = context;
    uint64_t key = 0;
    memcpy(&key, entry_answer(entry).bytes, sizeof(key));
    assert_true(key < WORLD_KEYS);
    if (why != STORE_EVICTED)
        return;
    if (world->is_opening)
        world->had_no_room[key] = true;
    else
        remember(&world->keys[key], world->requests, 0, 0);
}

/* ---- wishes ---------------------------------------------------------------------------------- */

static inline void raise_mark(_Atomic unsigned *mark, unsigned to)
{
    unsigned before = atomic_load(mark);
    while (before < to && !atomic_compare_exchange_weak(mark, &before, to))
        continue;
}

static inline void on_wish(void *context, enum status status)
{
    struct wish_told *told = context;
    struct world *world = told->world;
    if (status == STATUS_OK && told->ack == ACK_SYNCED)
        raise_mark(&world->durable, told->request);
    if (status == STATUS_OK && told->ack != ACK_MEMORY)
        raise_mark(&world->logged, told->request);
    (void)pthread_mutex_lock(&world->mutex);
    told->status = status;
    atomic_fetch_add(&told->told, 1);
    world->wishes_told++;
    (void)pthread_cond_broadcast(&world->changed);
    (void)pthread_mutex_unlock(&world->mutex);
}

/* A wish of the next request. */
static inline struct journal_wish make_wish(struct world *world, enum journal_ack ack,
                                            struct wish_told **out_told)
{
    assert_true(world->wishes_count < WORLD_WISHES_MAX);
    struct wish_told *told = &world->wishes[world->wishes_count++];
    *told = (struct wish_told){.world = world, .request = ++world->requests, .ack = ack};
    *out_told = told;
    return (struct journal_wish){.ack = ack, .done = on_wish, .context = told};
}

static inline void take_wish_back(struct world *world, const struct wish_told *told)
{
    assert_int_equal(atomic_load(&told->told), 0); /* refused: nobody is told */
    world->wishes_count--;
}

static inline enum status await_wish(struct world *world, struct wish_told *told)
{
    (void)pthread_mutex_lock(&world->mutex);
    while (atomic_load(&told->told) == 0)
        (void)pthread_cond_wait(&world->changed, &world->mutex);
    (void)pthread_mutex_unlock(&world->mutex);
    return told->status;
}

static inline void await_all_wishes(struct world *world)
{
    (void)pthread_mutex_lock(&world->mutex);
    while (world->wishes_told < world->wishes_count)
        (void)pthread_cond_wait(&world->changed, &world->mutex);
    (void)pthread_mutex_unlock(&world->mutex);
    for (unsigned i = 0; i < world->wishes_count; i++)
        assert_int_equal(atomic_load(&world->wishes[i].told), 1);
    world->wishes_count = world->wishes_told = 0;
}

static inline void on_job(void *context, enum status status)
{
    struct world *world = context;
    (void)pthread_mutex_lock(&world->mutex);
    world->job_status = status;
    world->custodian_jobs--;
    (void)pthread_cond_broadcast(&world->changed);
    (void)pthread_mutex_unlock(&world->mutex);
}

static inline void on_snapshot(void *context, enum status status, const struct snapshot_info *info)
{
    (void)info;
    on_job(context, status);
}

static inline void begin_job(struct world *world)
{
    (void)pthread_mutex_lock(&world->mutex);
    world->custodian_jobs++;
    (void)pthread_mutex_unlock(&world->mutex);
}

/* Returns the status of the last. */
static inline enum status await_jobs(struct world *world)
{
    (void)pthread_mutex_lock(&world->mutex);
    while (world->custodian_jobs > 0)
        (void)pthread_cond_wait(&world->changed, &world->mutex);
    const enum status status = world->job_status;
    (void)pthread_mutex_unlock(&world->mutex);
    return status;
}

/* ---- notes ----------------------------------------------------------------------------------- */

static inline enum status write_note(struct world *world, unsigned note, uint64_t version,
                                     const struct journal_wish *wish)
{
    char bytes[8];
    memcpy(bytes, &version, sizeof(version));
    const struct record_note record = {.owner = WORLD_NOTE_OWNER,
                                       .kind = 1,
                                       .key = {(uint8_t)note},
                                       .bytes = {bytes, sizeof(bytes)}};
    return store_note(world->store, &record, wish);
}

/* On the custodian's thread. */
static inline enum status renew_world_notes(void *context)
{
    struct world *world = context;
    enum status status = STATUS_OK;
    (void)pthread_mutex_lock(&world->notes_mutex);
    for (unsigned i = 0; status == STATUS_OK && i < WORLD_NOTES; i++) {
        if (world->notes_now[i] != 0)
            status = write_note(world, i, world->notes_now[i], NULL);
    }
    (void)pthread_mutex_unlock(&world->notes_mutex);
    return status;
}

static inline void see_note(void *context, const struct record_note *note)
{
    struct world *world = context;
    const bool is_right = note->owner == WORLD_NOTE_OWNER && note->key[0] < WORLD_NOTES &&
                          note->bytes.length == sizeof(uint64_t);
    world->wrong_notes += is_right ? 0 : 1;
    if (is_right)
        memcpy(&world->notes_now[note->key[0]], note->bytes.bytes, sizeof(uint64_t));
}

/* ---- opening and closing --------------------------------------------------------------------- */

/* Beside a simulated disk the folder holds what nothing depends on: in memory, if it may. */
static inline void make_folder(struct world *world, bool is_real)
{
    char snapshots[80];
    (void)snprintf(world->folder, sizeof(world->folder), "/dev/shm/reprise.XXXXXX");
    if (is_real || mkdtemp(world->folder) == NULL)
        folder_create(world->folder);
    (void)snprintf(snapshots, sizeof(snapshots), "%s/snapshots", world->folder);
    assert_int_equal(mkdir(snapshots, 0700), 0); /* the links are made on the simulated disk */
}

static inline struct world *world_create(uint64_t seed, enum journal_durability durability)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world->disk = io_sim_create(seed);
    world->chance = seed * 7919 + 13;
    make_folder(world, false);
    world->options = (struct journal_options){.path = world->folder,
                                              .durability = durability,
                                              .recovery = RECOVERY_SALVAGE,
                                              .error_action = ON_ERROR_MEMORY_ONLY,
                                              .segment_bytes = WORLD_SEGMENT_BYTES,
                                              .queue_bytes = 8 << 20,
                                              .flush_interval_ms = 1,
                                              .spares = 1};
    world->store_options = (struct store_options){.memory_bytes = 8 << 20,
                                                  .stripes_count = 2,
                                                  .answer_max = 16384,
                                                  .hash_key = {1, 2, 3},
                                                  .died = world_died,
                                                  .died_context = world};
    (void)pthread_mutex_init(&world->mutex, NULL);
    (void)pthread_mutex_init(&world->notes_mutex, NULL);
    (void)pthread_cond_init(&world->changed, NULL);
    for (unsigned i = 0; i < WORLD_KEYS; i++)
        begin_history(&world->keys[i], 0, 0);
    for (unsigned i = 0; i < WORLD_NOTES; i++)
        begin_history(&world->notes[i], 0, 0);
    return world;
}

/* The same in a real folder. */
static inline struct world *world_create_in_folder(enum io_choice choice)
{
    struct world *world = world_create(1, DURABILITY_EVERYSEC);
    io_sim_destroy(&world->disk);
    folder_remove(world->folder);
    make_folder(world, true);
    world->options.io = choice;
    return world;
}

static inline void see_entry(void *context, struct entry *entry, const struct store_vector *vector)
{
    struct world *world = context;
    uint64_t key = 0;
    float expected[WORLD_DIMENSION];
    memcpy(&key, entry_answer(entry).bytes, sizeof(key));
    const uint64_t version = version_of(entry, key);
    fill_vector(key, version, expected);
    const bool is_right = vector != NULL && vector->dimension == WORLD_DIMENSION &&
                          memcmp(vector->unit, expected, sizeof(expected)) == 0;
    world->vector_versions[key] = is_right ? version : 0;
}

static inline enum status forget_purged(void *context)
{
    struct world *world = context;
    const enum status status = (enum status)atomic_load(&world->forget_status);
    if (status == STATUS_OK)
        atomic_fetch_add(&world->forgets, 1);
    return status;
}

static inline enum status open_store(struct world *world)
{
    const struct store_open_visitor visitor = {.context = world,
                                               .entry = see_entry,
                                               .note = see_note,
                                               .renew_notes = renew_world_notes,
                                               .forget = forget_purged,
                                               .clock_us = world_us,
                                               .clock_ms = world_ms,
                                               .chance = world_chance};
    assert_null(world->store);
    memset(world->notes_now, 0, sizeof(world->notes_now));
    enum status status = store_create(&world->store_options, &world->store);
    if (status != STATUS_OK)
        return status;
    if (world->disk == NULL) {
        status = store_open(world->store, &world->options, &visitor, &world->failure);
        if (status != STATUS_OK)
            store_destroy(&world->store);
        return status;
    }
    const struct store_disk disk = {.io = io_sim_open(world->disk, ""),
                                    .custodian_io = io_sim_open(world->disk, ""),
                                    .backend = {.taken = IO_POSIX, .reason = "a test"}};
    status = store_open_on(world->store, &world->options, &disk, &visitor, NULL);
    if (status != STATUS_OK)
        store_destroy(&world->store);
    return status;
}

static inline enum status world_open(struct world *world)
{
    memset(world->had_no_room, 0, sizeof(world->had_no_room));
    world->is_opening = true;
    const enum status status = open_store(world);
    world->is_opening = false;
    return status;
}

static inline void world_close(struct world *world)
{
    if (world->store == NULL)
        return;
    store_close_journal(world->store);
    (void)await_jobs(world);
    await_all_wishes(world);
    store_destroy(&world->store);
}

static inline void world_destroy(struct world **world)
{
    struct world *doomed = *world;
    *world = NULL;
    world_close(doomed);
    assert_int_equal(doomed->wrong_notes, 0);
    io_sim_destroy(&doomed->disk);
    (void)pthread_cond_destroy(&doomed->changed);
    (void)pthread_mutex_destroy(&doomed->notes_mutex);
    (void)pthread_mutex_destroy(&doomed->mutex);
    folder_remove(doomed->folder);
    free(doomed);
}

/* ---- requests -------------------------------------------------------------------------------- */

static inline enum status ask_set(struct world *world, uint64_t key, int64_t expires_ms,
                                  enum journal_ack ack, struct wish_told **out_told)
{
    const uint64_t version = ++world->versions;
    struct entry *entry = world_entry(key, version, expires_ms);
    struct store_set_result result;
    float unit[WORLD_DIMENSION];
    const struct store_vector vector = {unit, world_dimension(key)};
    if (entry == NULL)
        return STATUS_NO_MEMORY;
    fill_vector(key, version, unit);
    const struct journal_wish wish = make_wish(world, ack, out_told);
    const unsigned request = world->requests;
    const enum status status =
        store_set(world->store, entry, &vector, &wish, world_now_ms, &result);
    entry_release(entry);
    if (status != STATUS_OK) {
        take_wish_back(world, *out_told);
        return status;
    }
    assert_true(result.sequence > world->sequence_max); /* never drawn twice */
    world->sequence_max = result.sequence;
    remember(&world->keys[key], request, version, expires_ms);
    return status;
}

static inline enum status ask_delete(struct world *world, uint64_t key, enum journal_ack ack,
                                     struct wish_told **out_told)
{
    const struct digest digest = digest_number(key);
    bool was_there = false;
    const struct journal_wish wish = make_wish(world, ack, out_told);
    const unsigned request = world->requests;
    const enum status status = store_delete(world->store, &digest, NULL, NULL, &wish, &was_there);
    if (status == STATUS_OK)
        remember(&world->keys[key], request, 0, 0);
    else
        take_wish_back(world, *out_told);
    return status;
}

static inline enum status ask_touch(struct world *world, uint64_t key, int64_t expires_ms,
                                    enum journal_ack ack, struct wish_told **out_told)
{
    const struct digest digest = digest_number(key);
    const struct journal_wish wish = make_wish(world, ack, out_told);
    const unsigned request = world->requests;
    const enum status status = store_touch(world->store, &digest, expires_ms, &wish);
    if (status == STATUS_OK)
        remember(&world->keys[key], request, last_of(&world->keys[key]).version, expires_ms);
    else
        take_wish_back(world, *out_told);
    return status;
}

static inline bool world_has_scope(void *context, const struct entry *entry)
{
    return entry_scope(entry)[0] == *(const uint8_t *)context;
}

/* Every second time by a DELETE for each, else by one PURGE and a line of MANIFEST. */
static inline enum status ask_purge(struct world *world, uint8_t scope, bool drops,
                                    enum journal_ack ack, struct wish_told **out_told)
{
    uint64_t removed = 0;
    const struct record_purge what = {.scope = {scope}};
    const struct journal_wish wish = make_wish(world, ack, out_told);
    const unsigned request = world->requests;
    const enum status status =
        drops ? store_drop(world->store, &what, &wish, &removed)
              : store_purge(world->store, world_has_scope, &scope, &wish, &removed);
    if (status != STATUS_OK)
        take_wish_back(world, *out_told);
    for (uint64_t key = 0; key < WORLD_KEYS; key++) {
        if (1 + key % 4 == scope && (status == STATUS_OK || removed > 0))
            remember(&world->keys[key], request, 0, 0);
    }
    return status;
}

static inline enum status ask_note(struct world *world, unsigned note, enum journal_ack ack,
                                   struct wish_told **out_told)
{
    const uint64_t version = ++world->versions;
    const struct journal_wish wish = make_wish(world, ack, out_told);
    const unsigned request = world->requests;
    (void)pthread_mutex_lock(&world->notes_mutex);
    const enum status status = write_note(world, note, version, &wish);
    if (status == STATUS_OK)
        world->notes_now[note] = version;
    (void)pthread_mutex_unlock(&world->notes_mutex);
    if (status == STATUS_OK)
        remember(&world->notes[note], request, version, 0);
    else
        take_wish_back(world, *out_told);
    return status;
}

static inline void ask_snapshot(struct world *world)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "s%u-%llu", world->requests,
                   (unsigned long long)world_chance(NULL) % 100000);
    begin_job(world);
    if (store_snapshot(world->store, text_of(name), on_snapshot, world) != STATUS_OK)
        on_job(world, STATUS_NO_JOURNAL);
}

static inline void ask_compaction(struct world *world)
{
    begin_job(world);
    if (store_compact(world->store, on_job, world) != STATUS_OK)
        on_job(world, STATUS_NO_JOURNAL);
}

static inline enum journal_ack pick_ack(struct world *world)
{
    static const enum journal_ack acks[] = {ACK_SYNCED, ACK_MEMORY, ACK_MEMORY, ACK_LOGGED};
    return acks[pick(world, 4)];
}

static inline int64_t pick_expiry(struct world *world)
{
    return pick(world, 2) == 0 ? 0 : world_now_ms + 1000000 + (int64_t)pick(world, 1000);
}

/* One request of any kind, and now and then its answer. */
static inline void ask_anything(struct world *world)
{
    const uint64_t key = pick(world, WORLD_KEYS), kind = pick(world, 100);
    const enum journal_ack ack = pick_ack(world);
    struct wish_told *told = NULL;
    enum status status = STATUS_NOT_FOUND;
    if (kind < 55)
        status = ask_set(world, key, pick_expiry(world), ack, &told);
    else if (kind < 72)
        status = ask_delete(world, key, ack, &told);
    else if (kind < 82)
        status = ask_touch(world, key, pick_expiry(world), ack, &told);
    else if (kind < 86)
        status = ask_purge(world, (uint8_t)(1 + pick(world, 4)), kind % 2 == 0, ack, &told);
    else if (kind < 96)
        status = ask_note(world, (unsigned)pick(world, WORLD_NOTES), ack, &told);
    else if (kind < 99)
        ask_compaction(world);
    else
        ask_snapshot(world);
    if (status == STATUS_OK && pick(world, 3) == 0)
        (void)await_wish(world, told);
}

/* ---- checking -------------------------------------------------------------------------------- */

struct verdict { /* what must not be */
    uint64_t lost, back, wrong, notes;
    uint64_t vectors; /* that an entry had and has no more; of what was set while the disk had
                         failed that may be */
};

static inline void judge_key(struct world *world, uint64_t key, bool has_gap,
                             struct verdict *verdict)
{
    const struct digest digest = digest_number(key);
    const struct history *history = &world->keys[key];
    const unsigned durable = atomic_load(&world->durable);
    struct store_hit hit;
    uint64_t version = 0;
    int64_t expires_ms = 0;
    if (store_find(world->store, &digest, world_now_ms, STORE_PEEK, &hit) == STORE_FOUND) {
        version = version_of(hit.entry, key);
        expires_ms = hit.expires_ms;
        verdict->wrong += version == 0;
        verdict->vectors += world_dimension(key) > 0 && world->vector_versions[key] != version;
        entry_release(hit.entry);
    }
    if (is_honest(history, durable, has_gap, version, expires_ms) ||
        (version == 0 && world->had_no_room[key]))
        return;
    verdict->lost += version == 0;
    verdict->back += version != 0;
    print_error("key %llu is version %llu expires %lld; durable request %u; asked:",
                (unsigned long long)key, (unsigned long long)version, (long long)expires_ms,
                durable);
    for (unsigned i = 0; i < history->count; i++)
        print_error(" %u:%llu@%lld", history->states[i].request,
                    (unsigned long long)history->states[i].version,
                    (long long)history->states[i].expires_ms);
    print_error("\n");
}

static inline struct verdict judge(struct world *world)
{
    struct verdict verdict = {0};
    struct journal_stats stats;
    store_journal_stats(world->store, &stats);
    for (uint64_t key = 0; key < WORLD_KEYS; key++)
        judge_key(world, key, stats.damaged_bytes > 0, &verdict);
    for (unsigned i = 0; i < WORLD_NOTES; i++) {
        if (is_honest(&world->notes[i], atomic_load(&world->durable), false, world->notes_now[i],
                      0))
            continue;
        verdict.notes++;
        print_error("note %u is version %llu, durable request %u\n", i,
                    (unsigned long long)world->notes_now[i], atomic_load(&world->durable));
    }
    return verdict;
}

static inline bool is_clean(const struct verdict *verdict)
{
    return verdict->lost == 0 && verdict->back == 0 && verdict->wrong == 0 && verdict->notes == 0;
}

/* What is there now is where the next round begins. */
static inline void begin_anew(struct world *world)
{
    struct store_stats stats;
    for (uint64_t key = 0; key < WORLD_KEYS; key++) {
        const struct digest digest = digest_number(key);
        struct store_hit hit;
        begin_history(&world->keys[key], 0, 0);
        if (store_find(world->store, &digest, world_now_ms, STORE_PEEK, &hit) != STORE_FOUND)
            continue;
        begin_history(&world->keys[key], version_of(hit.entry, key), hit.expires_ms);
        entry_release(hit.entry);
    }
    for (unsigned i = 0; i < WORLD_NOTES; i++)
        begin_history(&world->notes[i], world->notes_now[i], 0);
    world->requests = 0;
    atomic_store(&world->durable, 0);
    atomic_store(&world->logged, 0);
    store_stats(world->store, &stats);
    assert_true(stats.sequence >= world->sequence_max);
}
