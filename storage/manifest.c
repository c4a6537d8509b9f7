/*
 * manifest.c - which files of the data folder count. Text, one thing a line, each in one form only,
 * so that no flipped byte reads as something else:
 *
 *     reprise-manifest 1.0
 *     node <32 hex>
 *     segment <16 hex: number> log|compacted <first> <last>|open     in the order they are read
 *     floor <32 hex: tenant> <32 hex: scope> <sequence>              zeros: all
 *     crc32c <8 hex>                                                 over all before this line
 *
 * Sequences are decimal, without zeros in front; hex is lowercase. Only the last segment may be
 * open, and only a log is. A newer minor version may bring other lines, which are skipped; a newer
 * major version keeps the first and the last line, so that it is told from damage.
 *
 * THREADS. One at a time, see manifest.h.
 * NOT HERE. Writing it (manifest_save.c), what a file holds (record.c), which lines are needed no
 * more (journal.c).
 */
#include "storage/manifest.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "storage/manifest_text.h"

enum {
    NUMBER_HEX = 16,
    CAPACITY_FIRST = 16,
    MANIFEST_BYTES_MAX = (MANIFEST_SEGMENTS_MAX + MANIFEST_FLOORS_MAX + MANIFEST_LINES_OF_ITS_OWN) *
                         MANIFEST_LINE_BYTES,
};

static const char manifest_name[] = MANIFEST_NAME;
static const char version_word[] = MANIFEST_VERSION_WORD;

void manifest_clear(struct manifest *manifest)
{
    free(manifest->segments);
    free(manifest->floors);
    *manifest = (struct manifest){.segments = NULL};
}

/* Room for one more of `size` bytes; NULL: no memory. */
static void *grow(void *array, uint32_t count, uint32_t *capacity, size_t size)
{
    assert(count <= *capacity);
    if (count < *capacity)
        return array;
    const uint32_t wanted = *capacity == 0 ? CAPACITY_FIRST : *capacity * 2;
    void *larger = reallocarray(array, wanted, size);
    if (larger != NULL)
        *capacity = wanted;
    return larger;
}

enum status manifest_add_segment(struct manifest *manifest, const struct manifest_segment *segment)
{
    assert(segment->number > 0);
    assert(segment->kind == SEGMENT_LOG || segment->kind == SEGMENT_COMPACTED);
    if (manifest->segments_count == MANIFEST_SEGMENTS_MAX)
        return STATUS_LIMIT_EXCEEDED;
    void *array = grow(manifest->segments, manifest->segments_count, &manifest->segments_capacity,
                       sizeof(*segment));
    if (array == NULL)
        return STATUS_NO_MEMORY;
    manifest->segments = array;
    manifest->segments[manifest->segments_count++] = *segment;
    return STATUS_OK;
}

enum status manifest_add_floor(struct manifest *manifest, const struct manifest_floor *floor)
{
    assert(manifest->floors_count <= MANIFEST_FLOORS_MAX);
    if (manifest->floors_count == MANIFEST_FLOORS_MAX)
        return STATUS_LIMIT_EXCEEDED;
    void *array =
        grow(manifest->floors, manifest->floors_count, &manifest->floors_capacity, sizeof(*floor));
    if (array == NULL)
        return STATUS_NO_MEMORY;
    manifest->floors = array;
    manifest->floors[manifest->floors_count++] = *floor;
    return STATUS_OK;
}

/* A copy of an array that is exactly full; NULL of none, and of no memory. */
static void *copy_array(const void *array, uint32_t count, size_t size)
{
    if (count == 0)
        return NULL;
    void *copy = calloc(count, size);
    if (copy != NULL)
        memcpy(copy, array, count * size);
    return copy;
}

enum status manifest_copy(const struct manifest *manifest, struct manifest *out_copy)
{
    assert(manifest != out_copy);
    struct manifest copy = *manifest;
    copy.segments_capacity = copy.segments_count;
    copy.floors_capacity = copy.floors_count;
    copy.segments =
        copy_array(manifest->segments, copy.segments_count, sizeof(*manifest->segments));
    copy.floors = copy_array(manifest->floors, copy.floors_count, sizeof(*manifest->floors));
    if ((copy.segments == NULL && copy.segments_count > 0) ||
        (copy.floors == NULL && copy.floors_count > 0)) {
        manifest_clear(&copy);
        return STATUS_NO_MEMORY;
    }
    *out_copy = copy;
    return STATUS_OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

struct line { /* what of it has not been read yet */
    const char *at, *end;
};

static bool take_word(struct line *line, const char *word)
{
    assert(line->at <= line->end);
    const size_t length = strlen(word);
    if ((size_t)(line->end - line->at) < length || memcmp(line->at, word, length) != 0)
        return false;
    line->at += length;
    return true;
}

/* Decimal, without zeros in front, as high as a sequence may be. */
static bool take_decimal(struct line *line, uint64_t *out_value)
{
    const char *start = line->at;
    uint64_t value = 0;
    for (; line->at < line->end && *line->at >= '0' && *line->at <= '9'; line->at++) {
        const uint64_t digit = (uint64_t)(*line->at - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    const ptrdiff_t length = line->at - start;
    *out_value = value;
    return (length == 1 || (length > 1 && *start != '0')) && value < RECORD_NUMBER_END;
}

static int hex_digit(char character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    if (character >= 'a' && character <= 'f')
        return character - 'a' + 10;
    return -1;
}

static bool take_hex(struct line *line, unsigned digits, uint64_t *out_value)
{
    assert(digits <= NUMBER_HEX);
    if ((size_t)(line->end - line->at) < digits)
        return false;
    uint64_t value = 0;
    for (unsigned i = 0; i < digits; i++) {
        const int digit = hex_digit(line->at[i]);
        if (digit < 0)
            return false;
        value = value << 4 | (uint64_t)digit;
    }
    line->at += digits;
    *out_value = value;
    return true;
}

static bool take_id(struct line *line, uint8_t id[ENTRY_ID_BYTES])
{
    for (int i = 0; i < ENTRY_ID_BYTES; i++) {
        uint64_t byte = 0;
        if (!take_hex(line, 2, &byte))
            return false;
        id[i] = (uint8_t)byte;
    }
    return true;
}

static bool is_number_used(const struct manifest *manifest, uint64_t number)
{
    for (uint32_t i = 0; i < manifest->segments_count; i++) {
        if (manifest->segments[i].number == number)
            return true;
    }
    return false;
}

static enum status read_segment(struct line *line, struct manifest *manifest)
{
    struct manifest_segment segment = {.kind = SEGMENT_LOG};
    if (!take_hex(line, NUMBER_HEX, &segment.number) || segment.number == 0 ||
        segment.number >= RECORD_NUMBER_END)
        return STATUS_BAD_MESSAGE;
    if (take_word(line, " compacted "))
        segment.kind = SEGMENT_COMPACTED;
    else if (!take_word(line, " log "))
        return STATUS_BAD_MESSAGE;
    if (!take_decimal(line, &segment.first_sequence) || segment.first_sequence == 0 ||
        !take_word(line, " "))
        return STATUS_BAD_MESSAGE;
    const bool is_open = take_word(line, "open");
    if (is_open ? segment.kind != SEGMENT_LOG
                : !take_decimal(line, &segment.last_sequence) ||
                      segment.last_sequence < segment.first_sequence)
        return STATUS_BAD_MESSAGE;
    const uint32_t count = manifest->segments_count;
    if ((count > 0 && manifest->segments[count - 1].last_sequence == 0) ||
        is_number_used(manifest, segment.number))
        return STATUS_BAD_MESSAGE;
    return manifest_add_segment(manifest, &segment);
}

static enum status read_floor(struct line *line, struct manifest *manifest)
{
    struct manifest_floor floor;
    if (!take_id(line, floor.tenant) || !take_word(line, " ") || !take_id(line, floor.scope) ||
        !take_word(line, " ") || !take_decimal(line, &floor.sequence))
        return STATUS_BAD_MESSAGE;
    return manifest_add_floor(manifest, &floor);
}

/* minor: of the version; above 0, a line that we do not know is skipped. */
static enum status read_line(struct line *line, uint64_t minor, struct manifest *manifest)
{
    assert(line->at <= line->end);
    enum status status = STATUS_BAD_MESSAGE;
    if (take_word(line, "segment "))
        status = read_segment(line, manifest);
    else if (take_word(line, "floor "))
        status = read_floor(line, manifest);
    else if (minor > 0)
        return STATUS_OK;
    if (status == STATUS_OK && line->at != line->end)
        return STATUS_BAD_MESSAGE;
    /* More than there may be is as wrong as a letter too many. */
    return status == STATUS_LIMIT_EXCEEDED ? STATUS_BAD_MESSAGE : status;
}

/* The next line of *rest, without its end; false if there is none, or it has no end. */
static bool next_line(struct text *rest, struct line *out_line)
{
    const char *end = rest->length > 0 ? memchr(rest->bytes, '\n', rest->length) : NULL;
    if (end == NULL)
        return false;
    *out_line = (struct line){rest->bytes, end};
    rest->length -= (size_t)(end + 1 - rest->bytes);
    rest->bytes = end + 1;
    return true;
}

static bool checksum_is_right(struct text bytes)
{
    assert(bytes.bytes != NULL || bytes.length == 0);
    if (bytes.length < MANIFEST_CHECKSUM_LINE_BYTES)
        return false;
    const size_t before = bytes.length - MANIFEST_CHECKSUM_LINE_BYTES;
    struct line line = {bytes.bytes + before, bytes.bytes + bytes.length};
    uint64_t sum = 0;
    return take_word(&line, "crc32c ") && take_hex(&line, 8, &sum) && take_word(&line, "\n") &&
           sum == crc32c(0, bytes.bytes, before);
}

static enum status read_version(struct text *rest, uint64_t *out_minor, struct failure *failure)
{
    struct line line;
    uint64_t major = 0;
    if (!next_line(rest, &line) || !take_word(&line, version_word) ||
        !take_decimal(&line, &major) || !take_word(&line, ".") || !take_decimal(&line, out_minor) ||
        line.at != line.end)
        return failure_set(failure, STATUS_BAD_MESSAGE, manifest_name,
                           "line 1 is not reprise-manifest 1.0");
    if (major != 1)
        return failure_set(failure, STATUS_UNSUPPORTED, manifest_name,
                           "its format is version %" PRIu64 ", this program reads version 1",
                           major);
    return STATUS_OK;
}

static enum status read_node(struct text *rest, struct manifest *manifest, struct failure *failure)
{
    struct line line;
    static_assert(sizeof(manifest->node) == ENTRY_ID_BYTES, "a node is an id too");
    if (!next_line(rest, &line) || !take_word(&line, "node ") || !take_id(&line, manifest->node) ||
        line.at != line.end)
        return failure_set(failure, STATUS_BAD_MESSAGE, manifest_name,
                           "line 2 is not a node of %d hex digits", MANIFEST_ID_HEX);
    return STATUS_OK;
}

static enum status read_lines(struct text rest, uint64_t minor, struct manifest *manifest,
                              struct failure *failure)
{
    struct line line;
    for (unsigned number = 3; rest.length > 0; number++) {
        enum status status =
            next_line(&rest, &line) ? read_line(&line, minor, manifest) : STATUS_BAD_MESSAGE;
        if (status != STATUS_OK)
            return failure_set(failure, status, manifest_name, "line %u is wrong", number);
    }
    return STATUS_OK;
}

enum status manifest_parse(struct text bytes, struct manifest *out_manifest,
                           struct failure *failure)
{
    if (!checksum_is_right(bytes))
        return failure_set(failure, STATUS_BAD_MESSAGE, manifest_name,
                           "its last line is not the checksum of what stands before it");
    struct text rest = {bytes.bytes, bytes.length - MANIFEST_CHECKSUM_LINE_BYTES};
    struct manifest manifest = {.segments = NULL};
    uint64_t minor = 0;
    enum status status = read_version(&rest, &minor, failure);
    if (status == STATUS_OK)
        status = read_node(&rest, &manifest, failure);
    if (status == STATUS_OK)
        status = read_lines(rest, minor, &manifest, failure);
    if (status != STATUS_OK) {
        manifest_clear(&manifest);
        return status;
    }
    *out_manifest = manifest;
    return STATUS_OK;
}

static enum status load_file(struct io *io, struct io_file *file, uint64_t size_bytes,
                             struct manifest *out_manifest, struct failure *failure)
{
    assert(file != NULL);
    if (size_bytes > MANIFEST_BYTES_MAX)
        return failure_set(failure, STATUS_BAD_MESSAGE, manifest_name, "it is over %d bytes",
                           MANIFEST_BYTES_MAX);
    char *bytes = malloc(size_bytes + 1);
    if (bytes == NULL)
        return failure_set(failure, STATUS_NO_MEMORY, manifest_name, "no memory to read it");
    size_t read = 0;
    enum status status = io->operations->read_at(io, file, bytes, size_bytes, 0, &read);
    if (status == STATUS_OK)
        status = manifest_parse((struct text){bytes, read}, out_manifest, failure);
    else
        (void)failure_set(failure, status, manifest_name, "it cannot be read: %s",
                          strerror(io->error));
    free(bytes);
    return status;
}

enum status manifest_load(struct io *io, struct manifest *out_manifest, struct failure *failure)
{
    struct io_file *file = NULL;
    uint64_t size_bytes = 0;
    enum status status =
        io->operations->open_file(io, manifest_name, IO_READ_ONLY, &file, &size_bytes);
    if (status == STATUS_NOT_FOUND)
        return failure_set(failure, status, manifest_name, "there is none");
    if (status != STATUS_OK)
        return failure_set(failure, status, manifest_name, "it cannot be opened: %s",
                           strerror(io->error));
    status = load_file(io, file, size_bytes, out_manifest, failure);
    io->operations->close_file(io, &file);
    return status;
}

void manifest_segment_name(uint64_t number, char out_name[IO_NAME_MAX])
{
    assert(number > 0);
    (void)snprintf(out_name, IO_NAME_MAX, "%016" PRIx64 ".journal", number);
}
