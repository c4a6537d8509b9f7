/*
 * dump.c - records as JSON, a line each, in the order a start would read them:
 *
 *     {"segment":"0000000000000001","type":"put","sequence":7,"digest":"<64 hex>","expires_ms":0,
 *      "created_ms":1,"scope":"<32 hex>","compatibility":"<32 hex>","tenant":"<32 hex>",
 *      "space":"<16 hex>","dimension":384,"bytes":1234,"metadata_bytes":20,"prompt":"...",
 *      "answer":"..."}
 *     {...,"type":"delete","sequence":8,"digest":"..."}    touch: and expires_ms
 *     {...,"type":"purge","sequence":9,"tenant":"...","scope":"...","floor":9}
 *     {...,"type":"note","sequence":10,"owner":1,"kind":2,"key":"<64 hex>","bytes":40}
 *     {"segment":"...","type":"damage","offset":4096,"bytes":80,"what":"a damaged record"}
 *
 * A prompt or an answer that is not clean UTF-8 comes as "prompt_base64url", "answer_base64url".
 * Written by hand: numbers of 64 bits stay whole, and nothing here reads JSON.
 *
 * THREADS. The caller's.
 * NOT HERE. Whether a record still counts (fsck.c, recover.c): all of them are shown.
 */
#include "storage/dump.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "storage/entry_block.h"
#include "storage/recover_folder.h"
#include "storage/recover_segment.h"

enum { CONTROL_END = 0x20 };

struct dump {
    struct io *io;
    dump_sink *sink;
    void *context;
    uint64_t segment;
    enum status status; /* the sink's, or of memory: what ends it */
};

struct line { /* in the making */
    FILE *out;
    char *bytes;
    size_t size;
};

/* ---- JSON ------------------------------------------------------------------------------------ */

static void put_hex(FILE *out, const char *name, const uint8_t *bytes, size_t size)
{
    assert(size > 0);
    (void)fprintf(out, ",\"%s\":\"", name);
    for (size_t i = 0; i < size; i++)
        (void)fprintf(out, "%02x", bytes[i]);
    (void)fputc('"', out);
}

static void put_escaped(FILE *out, struct text text)
{
    for (size_t i = 0; i < text.length; i++) {
        const unsigned char character = (unsigned char)text.bytes[i];
        if (character == '"' || character == '\\')
            (void)fprintf(out, "\\%c", character);
        else if (character < CONTROL_END)
            (void)fprintf(out, "\\u%04x", character);
        else
            (void)fputc(character, out);
    }
}

static bool put_base64url(FILE *out, struct text text)
{
    char *encoded = malloc((text.length * 4 + 2) / 3 + 1);
    if (encoded == NULL)
        return false;
    const size_t length = base64url_encode(text.bytes, text.length, encoded);
    (void)fwrite(encoded, 1, length, out);
    free(encoded);
    return true;
}

static bool put_text(FILE *out, const char *name, struct text text)
{
    assert(name != NULL);
    const bool is_clean = text_is_clean(text.bytes, text.length);
    bool is_done = true;
    (void)fprintf(out, ",\"%s%s\":\"", name, is_clean ? "" : "_base64url");
    if (is_clean)
        put_escaped(out, text);
    else
        is_done = put_base64url(out, text);
    (void)fputc('"', out);
    return is_done;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static bool line_begin(struct dump *dump, struct line *line, const char *type)
{
    assert(dump->status == STATUS_OK);
    *line = (struct line){.bytes = NULL};
    line->out = open_memstream(&line->bytes, &line->size);
    if (line->out == NULL) {
        dump->status = STATUS_NO_MEMORY;
        return false;
    }
    (void)fprintf(line->out, "{\"segment\":\"%016" PRIx64 "\",\"type\":\"%s\"", dump->segment,
                  type);
    return true;
}

static void line_end(struct dump *dump, struct line *line)
{
    assert(line->out != NULL);
    (void)fputc('}', line->out);
    const bool failed = ferror(line->out) != 0;
    if (fclose(line->out) != 0 || failed || line->bytes == NULL)
        dump->status = STATUS_NO_MEMORY;
    if (dump->status == STATUS_OK)
        dump->status = dump->sink(dump->context, (struct text){line->bytes, line->size});
    free(line->bytes);
}

static void put_body(struct dump *dump, FILE *out, const struct record_put *put,
                     const struct record *record)
{
    assert(record->type == RECORD_PUT);
    struct entry *entry = NULL;
    const enum status status =
        entry_create_from_body(&put->digest, put->body, record->expires_ms, &entry);
    if (status != STATUS_OK) { /* BAD_MESSAGE cannot be: record_put_read has checked it */
        dump->status = status;
        return;
    }
    (void)fprintf(out, ",\"expires_ms\":%" PRId64 ",\"created_ms\":%" PRId64, record->expires_ms,
                  put->created_ms);
    put_hex(out, "scope", entry_scope(entry), ENTRY_ID_BYTES);
    put_hex(out, "compatibility", entry_compatibility(entry), ENTRY_ID_BYTES);
    put_hex(out, "tenant", entry_tenant(entry), ENTRY_ID_BYTES);
    (void)fprintf(out,
                  ",\"space\":\"%016" PRIx64 "\",\"dimension\":%" PRIu32
                  ",\"bytes\":%zu,\"metadata_bytes\":%zu",
                  put->space, put->dimension, record_size(record->payload.length),
                  entry_metadata(entry).length);
    if (!put_text(out, "prompt", entry_prompt(entry)) ||
        !put_text(out, "answer", entry_answer(entry)))
        dump->status = STATUS_NO_MEMORY;
    entry_release(entry);
}

static bool dump_put(struct dump *dump, FILE *out, const struct record *record)
{
    assert(record->type == RECORD_PUT);
    struct record_put put;
    if (record_put_read(record->payload, &put) != STATUS_OK)
        return false;
    put_hex(out, "digest", put.digest.bytes, sizeof(put.digest.bytes));
    put_body(dump, out, &put, record);
    return true;
}

static bool dump_digest(FILE *out, const struct record *record)
{
    assert(record->type == RECORD_DELETE || record->type == RECORD_TOUCH);
    if (record->payload.length != RECORD_DELETE_BYTES)
        return false;
    put_hex(out, "digest", (const uint8_t *)record->payload.bytes, record->payload.length);
    if (record->type == RECORD_TOUCH)
        (void)fprintf(out, ",\"expires_ms\":%" PRId64, record->expires_ms);
    return true;
}

static bool dump_purge(FILE *out, const struct record *record)
{
    assert(record->type == RECORD_PURGE);
    struct record_purge purge;
    if (record_purge_read(record->payload, &purge) != STATUS_OK)
        return false;
    put_hex(out, "tenant", purge.tenant, sizeof(purge.tenant));
    put_hex(out, "scope", purge.scope, sizeof(purge.scope));
    (void)fprintf(out, ",\"floor\":%" PRIu64, purge.floor);
    return true;
}

static bool dump_note(FILE *out, const struct record *record)
{
    assert(record->type == RECORD_NOTE);
    struct record_note note;
    if (record_note_read(record->payload, &note) != STATUS_OK)
        return false;
    (void)fprintf(out, ",\"owner\":%u,\"kind\":%u", note.owner, note.kind);
    put_hex(out, "key", note.key, sizeof(note.key));
    (void)fprintf(out, ",\"bytes\":%zu", note.bytes.length);
    return true;
}

static const char *type_name(uint8_t type)
{
    switch ((enum record_type)type) {
    case RECORD_PUT:
        return "put";
    case RECORD_DELETE:
        return "delete";
    case RECORD_TOUCH:
        return "touch";
    case RECORD_PURGE:
        return "purge";
    case RECORD_NOTE:
        return "note";
    case RECORD_BATCH_END:
    case RECORD_PAD:
    case RECORD_SEAL:
        break;
    }
    return "other";
}

static void dump_record(struct dump *dump, const struct record *record)
{
    struct line line;
    if (!line_begin(dump, &line, type_name(record->type)))
        return;
    (void)fprintf(line.out, ",\"sequence\":%" PRIu64, record->sequence);
    bool is_good = true;
    if (record->type == RECORD_PUT)
        is_good = dump_put(dump, line.out, record);
    else if (record->type == RECORD_DELETE || record->type == RECORD_TOUCH)
        is_good = dump_digest(line.out, record);
    else if (record->type == RECORD_PURGE)
        is_good = dump_purge(line.out, record);
    else if (record->type == RECORD_NOTE)
        is_good = dump_note(line.out, record);
    if (!is_good)
        (void)fputs(",\"what\":\"its payload cannot be read\"", line.out);
    line_end(dump, &line);
}

static void dump_damage(void *context, const struct segment_damage *damage)
{
    struct dump *dump = context;
    struct line line;
    if (dump->status != STATUS_OK || !line_begin(dump, &line, "damage"))
        return;
    (void)fprintf(line.out, ",\"offset\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"what\":\"%s\"",
                  damage->offset_bytes, damage->size_bytes, damage->what);
    line_end(dump, &line);
}

/* ---- segments -------------------------------------------------------------------------------- */

static void dump_segment(struct dump *dump, const struct manifest_segment *segment)
{
    assert(segment->number > 0);
    struct segment_reader reader = {.io = dump->io,
                                    .segment = *segment,
                                    .skips_damage = true,
                                    .damaged = dump_damage,
                                    .damaged_context = dump};
    struct piece piece = {.bytes = NULL};
    dump->segment = segment->number;
    enum status status = segment_open(&reader);
    while (status == STATUS_OK && dump->status == STATUS_OK && !reader.is_done) {
        status = segment_read(&reader, &piece);
        for (uint32_t i = 0;
             status == STATUS_OK && dump->status == STATUS_OK && i < piece.records_count; i++)
            dump_record(dump, &piece.records[i]);
    }
    if (dump->status == STATUS_OK)
        dump->status = status;
    segment_close(&reader);
    piece_deinit(&piece);
}

static enum status find_segments(struct io *io, struct manifest *out_manifest,
                                 struct failure *failure)
{
    struct folder_files files = {.files = NULL};
    uint64_t damaged_bytes = 0;
    bool has_records = false;
    enum status status = manifest_load(io, out_manifest, failure);
    if (status != STATUS_NOT_FOUND && status != STATUS_BAD_MESSAGE)
        return status;
    status = folder_files_read(io, &files);
    if (status == STATUS_OK)
        status = folder_rebuild(io, &files, out_manifest, &damaged_bytes, &has_records, failure);
    folder_files_deinit(&files);
    return status;
}

enum status storage_dump(const char *directory, dump_sink *sink, void *context,
                         struct failure *failure)
{
    assert(sink != NULL);
    struct stat info;
    if (stat(directory, &info) != 0 || !S_ISDIR(info.st_mode))
        return failure_set(failure, STATUS_NOT_FOUND, "", "there is no folder %.120s", directory);
    struct dump dump = {.sink = sink, .context = context, .status = STATUS_OK};
    struct manifest manifest = {.segments = NULL};
    enum status status = io_posix_open(directory, &dump.io, failure);
    if (status != STATUS_OK)
        return status;
    status = find_segments(dump.io, &manifest, failure);
    for (uint32_t i = 0; status == STATUS_OK && i < manifest.segments_count; i++) {
        dump_segment(&dump, &manifest.segments[i]);
        status = dump.status;
        if (status != STATUS_OK)
            (void)failure_set(failure, status, "", "segment %016" PRIx64 ": %s",
                              manifest.segments[i].number, status_text(status));
    }
    manifest_clear(&manifest);
    dump.io->operations->close(&dump.io);
    return status;
}
