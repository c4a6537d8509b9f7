/*
 * storage.c - what bench/storage_run.py measures of storage/, one figure a run, as one JSON object:
 *
 *   commit FOLDER BACKEND IN_FLIGHT SECONDS   Sets of 1 KiB acknowledged SYNCED, `always`
 *   plain FOLDER IN_FLIGHT SECONDS            the anchor: pwrite and fdatasync of as many records
 *   fill FOLDER ENTRIES BYTES                 writes entries and closes the folder
 *   scan FOLDER                               the anchor: checksums of all its segments
 *   recover FOLDER                            opens it: the entries are back in the table
 *   memory ENTRIES BYTES                      resident bytes an entry beyond its body
 *   map ENTRIES THREADS                       nanoseconds a Get of the table
 *
 * Nothing of it is in the service.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "storage/entry_block.h" /* body_bytes */
#include "storage/store.h"

enum {
    ANSWER_BYTES = 1024,
    IN_FLIGHT_MAX = 65536,
    KEYS = 100000, /* of commit: as many entries are replaced in turn */
    GETS = 4 * 1000 * 1000,
    PLAIN_FILE_BYTES = 64 * 1024 * 1024,
    SCAN_BYTES = 1024 * 1024,
    PATH_BYTES = 4096,
};

static void must(bool good, const char *what)
{
    if (good)
        return;
    (void)fprintf(stderr, "bench_storage: %s\n", what);
    exit(1);
}

static double seconds_since(uint64_t start_us)
{
    return (double)(clock_monotonic_us() - start_us) / 1e6;
}

static uint64_t chance(void *context)
{
    uint64_t number = 0;
    (void)context;
    clock_chance(&number, sizeof(number));
    return number;
}

/* ---- a store --------------------------------------------------------------------------------- */

static void ignore_entry(void *context, struct entry *entry, const struct store_vector *vector)
{
    (void)context;
    (void)entry;
    (void)vector;
}

static void ignore_note(void *context, const struct record_note *note)
{
    (void)context;
    (void)note;
}

static uint32_t no_vector(void *context, const struct entry *entry, float *out_unit,
                          uint32_t floats_max)
{
    (void)context;
    (void)entry;
    (void)out_unit;
    (void)floats_max;
    return 0;
}

static enum status no_notes(void *context)
{
    (void)context;
    return STATUS_OK;
}

static struct store *make_store(void)
{
    const struct store_options options = {
        .memory_bytes = (uint64_t)1 << 40, .answer_max = 1 << 20, .hash_key = {1, 2, 3}};
    struct store *store = NULL;
    must(store_create(&options, &store) == STATUS_OK, "no store");
    return store;
}

static void open_folder(struct store *store, const char *folder, enum io_choice io,
                        enum journal_durability durability)
{
    const struct journal_options options = {.path = folder,
                                            .io = io,
                                            .durability = durability,
                                            .segment_bytes = 64 << 20,
                                            .queue_bytes = 64 << 20,
                                            .compact_bytes_per_s = 64 << 20,
                                            .flush_interval_ms = 10,
                                            .spares = 2};
    static const struct store_open_visitor visitor = {.entry = ignore_entry,
                                                      .note = ignore_note,
                                                      .vector_of = no_vector,
                                                      .renew_notes = no_notes,
                                                      .clock_us = clock_monotonic_us,
                                                      .clock_ms = clock_wall_ms,
                                                      .chance = chance};
    struct failure failure = {.message = ""};
    const enum status status = store_open(store, &options, &visitor, &failure);
    must(status == STATUS_OK, failure.message[0] != '\0' ? failure.message : status_name(status));
}

static struct digest digest_of(uint64_t number)
{
    return digest_sha256(&number, sizeof(number));
}

/* Whoever calls gives up the reference once it is set. */
static struct entry *make_entry(uint64_t number, size_t answer_bytes)
{
    static char answer[1 << 20];
    memcpy(answer, &number, sizeof(number));
    const struct entry_source source = {.digest = digest_of(number),
                                        .created_ms = 1,
                                        .prompt = TEXT("how do I reset my password?"),
                                        .answer = {answer, answer_bytes}};
    struct entry *entry = NULL;
    must(entry_create(&source, &entry) == STATUS_OK, "no entry");
    return entry;
}

static enum status set(struct store *store, uint64_t number, size_t answer_bytes,
                       const struct journal_wish *wish)
{
    struct entry *entry = make_entry(number, answer_bytes);
    struct store_set_result result;
    const enum status status = store_set(store, entry, NULL, wish, 1, &result);
    entry_release(entry);
    return status;
}

/* ---- commit and its anchor ------------------------------------------------------------------- */

struct flight { /* of Sets that are not acknowledged */
    sem_t room;
    _Atomic uint64_t done_count, failed_count;
};

static void landed(void *context, enum status status)
{
    struct flight *flight = context;
    atomic_fetch_add(status == STATUS_OK ? &flight->done_count : &flight->failed_count, 1);
    (void)sem_post(&flight->room);
}

static void take_room(struct flight *flight)
{
    while (sem_wait(&flight->room) != 0)
        continue; /* a signal */
}

static void commit(const char *folder, const char *backend, unsigned in_flight, double seconds)
{
    struct store *store = make_store();
    struct flight flight = {.done_count = 0};
    struct journal_stats stats;
    const struct journal_wish wish = {.ack = ACK_SYNCED, .done = landed, .context = &flight};
    must(sem_init(&flight.room, 0, in_flight) == 0, "no semaphore");
    open_folder(store, folder, strcmp(backend, "posix") == 0 ? IO_POSIX : IO_AUTO,
                DURABILITY_ALWAYS);
    const uint64_t start_us = clock_monotonic_us();
    for (uint64_t number = 0; seconds_since(start_us) < seconds; number++) {
        take_room(&flight);
        must(set(store, number % KEYS, ANSWER_BYTES, &wish) == STATUS_OK, "a Set was refused");
    }
    for (unsigned i = 0; i < in_flight; i++)
        take_room(&flight);
    const double took = seconds_since(start_us);
    must(flight.failed_count == 0, "a Set was not synced");
    store_journal_stats(store, &stats);
    (void)printf("{\"per_second\": %.1f, \"backend\": \"%s\", \"reason\": \"%s\"}\n",
                 (double)flight.done_count / took, stats.io_backend, stats.io_reason);
    store_close_journal(store);
    store_destroy(&store);
}

static int plain_file(const char *folder)
{
    char path[PATH_BYTES];
    (void)mkdir(folder, 0700);
    (void)snprintf(path, sizeof(path), "%s/plain", folder);
    const int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    char *zeros = calloc(1, PLAIN_FILE_BYTES);
    must(file >= 0 && zeros != NULL, "no file");
    must(pwrite(file, zeros, PLAIN_FILE_BYTES, 0) == PLAIN_FILE_BYTES && fdatasync(file) == 0,
         "the file cannot be filled");
    free(zeros);
    return file;
}

/* One record: its checksum, then its bytes. */
static void copy_record(uint8_t *to, const uint8_t *record)
{
    const uint32_t sum = crc32c(0, record, ANSWER_BYTES);
    memcpy(to, &sum, sizeof(sum));
    memcpy(to + sizeof(sum), record, ANSWER_BYTES);
}

static void plain(const char *folder, unsigned in_flight, double seconds)
{
    const size_t record_bytes = ANSWER_BYTES + sizeof(uint32_t);
    const size_t batch_bytes = (in_flight * record_bytes + 4095) / 4096 * 4096;
    static const uint8_t record[ANSWER_BYTES] = {1};
    uint8_t *batch = aligned_alloc(4096, batch_bytes);
    const int file = plain_file(folder);
    must(batch != NULL && batch_bytes <= PLAIN_FILE_BYTES, "too many in flight");
    memset(batch, 0, batch_bytes);
    uint64_t done_count = 0, offset = 0;
    const uint64_t start_us = clock_monotonic_us();
    while (seconds_since(start_us) < seconds) {
        for (unsigned i = 0; i < in_flight; i++)
            copy_record(batch + i * record_bytes, record);
        if (offset + batch_bytes > PLAIN_FILE_BYTES)
            offset = 0;
        must(pwrite(file, batch, batch_bytes, (off_t)offset) == (ssize_t)batch_bytes &&
                 fdatasync(file) == 0,
             "a write has failed");
        offset += batch_bytes;
        done_count += in_flight;
    }
    (void)printf("{\"per_second\": %.1f}\n", (double)done_count / seconds_since(start_us));
    free(batch);
    (void)close(file);
}

/* ---- recovery and its anchor ----------------------------------------------------------------- */

static bool is_segment(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL && strcmp(dot, ".journal") == 0;
}

/* Sums up one file; returns its size. */
static uint64_t scan_file(const char *folder, const char *name, uint8_t *bytes, uint32_t *sum)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    must(file >= 0, "a segment cannot be opened");
    uint64_t size_bytes = 0;
    for (ssize_t size = 1; size > 0; size_bytes += (uint64_t)size) {
        size = read(file, bytes, SCAN_BYTES);
        must(size >= 0, "a segment cannot be read");
        *sum = crc32c(*sum, bytes, (size_t)size);
    }
    (void)close(file);
    return size_bytes;
}

static uint64_t scan_folder(const char *folder, uint32_t *sum)
{
    DIR *names = opendir(folder);
    uint8_t *bytes = malloc(SCAN_BYTES);
    must(names != NULL && bytes != NULL, "the folder cannot be read");
    uint64_t size_bytes = 0;
    for (const struct dirent *name = readdir(names); name != NULL; name = readdir(names)) {
        if (is_segment(name->d_name))
            size_bytes += scan_file(folder, name->d_name, bytes, sum);
    }
    free(bytes);
    (void)closedir(names);
    return size_bytes;
}

static void scan(const char *folder)
{
    uint32_t sum = 0;
    const uint64_t start_us = clock_monotonic_us();
    const uint64_t size_bytes = scan_folder(folder, &sum);
    (void)printf("{\"seconds\": %.4f, \"bytes\": %" PRIu64 ", \"sum\": %" PRIu32 "}\n",
                 seconds_since(start_us), size_bytes, sum);
}

static void fill(const char *folder, uint64_t entries, size_t answer_bytes)
{
    struct store *store = make_store();
    uint32_t sum = 0;
    open_folder(store, folder, IO_AUTO, DURABILITY_NONE);
    for (uint64_t number = 0; number < entries; number++) {
        enum status status = set(store, number, answer_bytes, NULL);
        while (status == STATUS_OVERLOADED) { /* the disk is slower than we are */
            (void)usleep(1000);
            status = set(store, number, answer_bytes, NULL);
        }
        must(status == STATUS_OK, "a Set was refused");
        if ((number + 1) % 100000 == 0)
            (void)fprintf(stderr, "  %" PRIu64 " of %" PRIu64 " written\n", number + 1, entries);
    }
    store_close_journal(store);
    store_destroy(&store);
    (void)printf("{\"bytes\": %" PRIu64 "}\n", scan_folder(folder, &sum));
}

static void recover(const char *folder)
{
    struct store *store = make_store();
    struct store_stats stats;
    const uint64_t start_us = clock_monotonic_us();
    open_folder(store, folder, IO_AUTO, DURABILITY_NONE);
    const double seconds = seconds_since(start_us);
    store_stats(store, &stats);
    (void)printf("{\"seconds\": %.4f, \"entries\": %" PRIu64 "}\n", seconds, stats.entries);
    store_close_journal(store);
    store_destroy(&store);
}

/* ---- the table ------------------------------------------------------------------------------- */

static uint64_t resident_bytes(void)
{
    unsigned long pages_total = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    must(file != NULL && fscanf(file, "%lu %lu", &pages_total, &pages) == 2, "no statm");
    (void)fclose(file);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void memory(uint64_t entries, size_t answer_bytes)
{
    struct store *store = make_store();
    const uint64_t before = resident_bytes();
    for (uint64_t number = 0; number < entries; number++)
        must(set(store, number, answer_bytes, NULL) == STATUS_OK, "a Set was refused");
    struct entry *entry = make_entry(0, answer_bytes);
    const size_t body_bytes = entry->body_bytes;
    entry_release(entry);
    (void)printf("{\"overhead_bytes\": %.2f, \"body_bytes\": %zu}\n",
                 (double)(resident_bytes() - before) / (double)entries - (double)body_bytes,
                 body_bytes);
    store_destroy(&store);
}

struct getter { /* one thread's */
    struct store *store;
    const struct digest *digests;
    uint64_t entries, state;
    pthread_t thread;
};

static void *get_all(void *argument)
{
    struct getter *getter = argument;
    for (uint64_t i = 0; i < GETS; i++) {
        getter->state = getter->state * 6364136223846793005u + 1442695040888963407u; /* Knuth */
        struct store_hit hit;
        const uint64_t number = (getter->state >> 33) % getter->entries;
        must(store_find(getter->store, &getter->digests[number], 1, STORE_COUNT_HIT, &hit) ==
                 STORE_FOUND,
             "an entry is not there");
        entry_release(hit.entry);
    }
    return NULL;
}

static void map(uint64_t entries, unsigned threads)
{
    enum { THREADS_MAX = 64 };
    struct getter getters[THREADS_MAX];
    struct store *store = make_store();
    struct digest *digests = calloc(entries, sizeof(*digests));
    must(digests != NULL && threads > 0 && threads <= THREADS_MAX, "too many threads or entries");
    for (uint64_t number = 0; number < entries; number++) {
        digests[number] = digest_of(number);
        must(set(store, number, 64, NULL) == STATUS_OK, "a Set was refused");
    }
    const uint64_t start_us = clock_monotonic_us();
    for (unsigned i = 0; i < threads; i++) {
        getters[i] = (struct getter){store, digests, entries, i + 1, 0};
        must(pthread_create(&getters[i].thread, NULL, get_all, &getters[i]) == 0, "no thread");
    }
    for (unsigned i = 0; i < threads; i++)
        (void)pthread_join(getters[i].thread, NULL);
    (void)printf("{\"nanoseconds\": %.1f}\n", seconds_since(start_us) * 1e9 / GETS);
    free(digests);
    store_destroy(&store);
}

int main(int arguments_count, char **arguments)
{
    const char *mode = arguments_count > 1 ? arguments[1] : "";
    const char *first = arguments_count > 2 ? arguments[2] : "";
    if (strcmp(mode, "commit") == 0 && arguments_count == 6)
        commit(first, arguments[3], (unsigned)strtoul(arguments[4], NULL, 10),
               strtod(arguments[5], NULL));
    else if (strcmp(mode, "plain") == 0 && arguments_count == 5)
        plain(first, (unsigned)strtoul(arguments[3], NULL, 10), strtod(arguments[4], NULL));
    else if (strcmp(mode, "fill") == 0 && arguments_count == 5)
        fill(first, strtoull(arguments[3], NULL, 10), strtoul(arguments[4], NULL, 10));
    else if (strcmp(mode, "scan") == 0 && arguments_count == 3)
        scan(first);
    else if (strcmp(mode, "recover") == 0 && arguments_count == 3)
        recover(first);
    else if (strcmp(mode, "memory") == 0 && arguments_count == 4)
        memory(strtoull(first, NULL, 10), strtoul(arguments[3], NULL, 10));
    else if (strcmp(mode, "map") == 0 && arguments_count == 4)
        map(strtoull(first, NULL, 10), (unsigned)strtoul(arguments[3], NULL, 10));
    else
        must(false, "commit | plain | fill | scan | recover | memory | map, see the file's top");
    return 0;
}
