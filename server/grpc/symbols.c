/*
 * symbols.c - one walk over the wire bytes of a descriptor set. It reads the seven fields of
 * descriptor.proto that reflection needs (google/protobuf/descriptor.proto; the numbers stand
 * below) and skips the rest. Owns its tables; names and lists lie in an arena. Threads: main
 * creates, any reads.
 */
#include "server/grpc/symbols.h"

#include <stdlib.h>

#include "base/check.h"

enum { FILES_MAX = 64, SERVICES_MAX = 64, SYMBOLS_MAX = 2048, IMPORTS_MAX = 32, NESTING_MAX = 16 };

/* Field numbers of descriptor.proto. */
enum { SET_FILE = 1 };
enum { FILE_NAME = 1, FILE_PACKAGE, FILE_DEPENDENCY, FILE_MESSAGE, FILE_ENUM, FILE_SERVICE };
enum { MESSAGE_NAME = 1, MESSAGE_NESTED = 3, MESSAGE_ENUM = 4 };
enum { SERVICE_NAME = 1, SERVICE_METHOD = 2 };
enum { ENUM_NAME = 1, METHOD_NAME = 1 };

struct file {
    struct text name, package, bytes;
    struct text imports[IMPORTS_MAX];
    size_t imports_count;
};

struct symbol {
    struct text name;
    int file;
};

struct symbols {
    struct arena *names;
    size_t files_count, services_count, symbols_count;
    struct file files[FILES_MAX];
    struct text services[SERVICES_MAX];
    struct symbol symbols[SYMBOLS_MAX]; /* sorted by name */
};

/* ---- Wire bytes ---- */

struct field {
    uint32_t number;
    struct text bytes; /* of a length-delimited field; empty for others */
};

static bool take_varint(struct text *rest, uint64_t *out_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (rest->length == 0)
            return false;
        uint8_t byte = (uint8_t)*rest->bytes++;
        rest->length--;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out_value = value;
            return true;
        }
    }
    return false;
}

static bool take_bytes(struct text *rest, uint64_t length, struct text *out_bytes)
{
    if (length > rest->length)
        return false;
    *out_bytes = (struct text){rest->bytes, (size_t)length};
    rest->bytes += length;
    rest->length -= (size_t)length;
    return true;
}

/* False at the end, and at broken bytes: then *rest is not empty. */
static bool take_field(struct text *rest, struct field *out_field)
{
    struct text before = *rest, skipped;
    uint64_t key = 0, value = 0;
    if (rest->length == 0)
        return false;
    bool whole = take_varint(rest, &key);
    *out_field = (struct field){.number = (uint32_t)(key >> 3)};
    switch (key & 7) {
    case 0:
        whole = whole && take_varint(rest, &value);
        break;
    case 1:
        whole = whole && take_bytes(rest, 8, &skipped);
        break;
    case 2:
        whole = whole && take_varint(rest, &value) && take_bytes(rest, value, &out_field->bytes);
        break;
    case 5:
        whole = whole && take_bytes(rest, 4, &skipped);
        break;
    default:
        whole = false;
    }
    if (!whole)
        *rest = before;
    return whole;
}

/* The one string field of this number; empty if it is not there. */
static struct text string_of(struct text message, uint32_t number)
{
    struct field field;
    while (take_field(&message, &field)) {
        if (field.number == number)
            return field.bytes;
    }
    return (struct text){NULL, 0};
}

/* ---- The walk ---- */

static enum status join(struct arena *arena, struct text scope, struct text name,
                        struct text *out_full)
{
    if (name.length == 0)
        return STATUS_BAD_MESSAGE;
    size_t dot = scope.length > 0;
    char *bytes = arena_alloc(arena, scope.length + dot + name.length);
    if (bytes == NULL)
        return STATUS_NO_MEMORY;
    if (dot != 0) {
        memcpy(bytes, scope.bytes, scope.length);
        bytes[scope.length] = '.';
    }
    memcpy(bytes + scope.length + dot, name.bytes, name.length);
    *out_full = (struct text){bytes, scope.length + dot + name.length};
    return STATUS_OK;
}

/* The symbol of the file that is read last. */
static enum status add_symbol(struct symbols *symbols, struct text scope, struct text name,
                              struct text *out_full)
{
    if (symbols->symbols_count == SYMBOLS_MAX)
        return STATUS_BAD_MESSAGE;
    enum status status = join(symbols->names, scope, name, out_full);
    if (status != STATUS_OK)
        return status;
    symbols->symbols[symbols->symbols_count++] =
        (struct symbol){.name = *out_full, .file = (int)symbols->files_count - 1};
    return STATUS_OK;
}

static enum status add_message(struct symbols *symbols, struct text scope, struct text message,
                               int depth)
{
    struct text full, inner;
    if (depth > NESTING_MAX)
        return STATUS_BAD_MESSAGE;
    enum status status = add_symbol(symbols, scope, string_of(message, MESSAGE_NAME), &full);
    struct field field;
    while (status == STATUS_OK && take_field(&message, &field)) {
        if (field.number == MESSAGE_NESTED)
            status = add_message(symbols, full, field.bytes, depth + 1);
        else if (field.number == MESSAGE_ENUM)
            status = add_symbol(symbols, full, string_of(field.bytes, ENUM_NAME), &inner);
    }
    return status == STATUS_OK && message.length > 0 ? STATUS_BAD_MESSAGE : status;
}

static enum status add_service(struct symbols *symbols, struct text scope, struct text service)
{
    struct text full, inner;
    if (symbols->services_count == SERVICES_MAX)
        return STATUS_BAD_MESSAGE;
    enum status status = add_symbol(symbols, scope, string_of(service, SERVICE_NAME), &full);
    if (status != STATUS_OK)
        return status;
    symbols->services[symbols->services_count++] = full;
    struct field field;
    while (status == STATUS_OK && take_field(&service, &field)) {
        if (field.number == SERVICE_METHOD)
            status = add_symbol(symbols, full, string_of(field.bytes, METHOD_NAME), &inner);
    }
    return status == STATUS_OK && service.length > 0 ? STATUS_BAD_MESSAGE : status;
}

static enum status add_import(struct file *file, struct text name)
{
    if (file->imports_count == IMPORTS_MAX)
        return STATUS_BAD_MESSAGE;
    file->imports[file->imports_count++] = name;
    return STATUS_OK;
}

static enum status add_of_file(struct symbols *symbols, struct file *file,
                               const struct field *field)
{
    struct text full;
    switch (field->number) {
    case FILE_DEPENDENCY:
        return add_import(file, field->bytes);
    case FILE_MESSAGE:
        return add_message(symbols, file->package, field->bytes, 1);
    case FILE_ENUM:
        return add_symbol(symbols, file->package, string_of(field->bytes, ENUM_NAME), &full);
    case FILE_SERVICE:
        return add_service(symbols, file->package, field->bytes);
    default:
        return STATUS_OK;
    }
}

static enum status add_file(struct symbols *symbols, struct text bytes)
{
    if (symbols->files_count == FILES_MAX)
        return STATUS_BAD_MESSAGE;
    struct file *file = &symbols->files[symbols->files_count++];
    *file = (struct file){.bytes = bytes,
                          .name = string_of(bytes, FILE_NAME),
                          .package = string_of(bytes, FILE_PACKAGE)};
    enum status status = file->name.length > 0 ? STATUS_OK : STATUS_BAD_MESSAGE;
    struct field field;
    while (status == STATUS_OK && take_field(&bytes, &field))
        status = add_of_file(symbols, file, &field);
    return status == STATUS_OK && bytes.length > 0 ? STATUS_BAD_MESSAGE : status;
}

static int compare_texts(struct text a, struct text b)
{
    size_t shorter = a.length < b.length ? a.length : b.length;
    int order = shorter > 0 ? memcmp(a.bytes, b.bytes, shorter) : 0;
    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

static int compare_symbols(const void *a, const void *b)
{
    const struct symbol *left = a, *right = b;
    return compare_texts(left->name, right->name);
}

static enum status read_set(struct symbols *symbols, struct text set)
{
    struct field field;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && take_field(&set, &field)) {
        if (field.number == SET_FILE)
            status = add_file(symbols, field.bytes);
    }
    if (status == STATUS_OK && (set.length > 0 || symbols->files_count == 0))
        status = STATUS_BAD_MESSAGE;
    qsort(symbols->symbols, symbols->symbols_count, sizeof(symbols->symbols[0]), compare_symbols);
    return status;
}

enum status symbols_create(struct text set, struct symbols **out_symbols)
{
    struct symbols *symbols = calloc(1, sizeof(*symbols));
    if (symbols == NULL)
        return STATUS_NO_MEMORY;
    enum status status = arena_create(&symbols->names);
    if (status == STATUS_OK)
        status = read_set(symbols, set);
    if (status != STATUS_OK)
        symbols_destroy(&symbols);
    else
        *out_symbols = symbols;
    return status;
}

/* The mirror of symbols_create. Accepts a half-made table. */
void symbols_destroy(struct symbols **symbols)
{
    struct symbols *doomed = *symbols;
    if (doomed == NULL)
        return;
    *symbols = NULL;
    arena_destroy(&doomed->names);
    free(doomed);
}

/* ---- Questions ---- */

int symbols_file_of_name(const struct symbols *symbols, struct text name)
{
    for (size_t i = 0; i < symbols->files_count; i++) {
        if (text_equal(symbols->files[i].name, name))
            return (int)i;
    }
    return SYMBOLS_NONE;
}

int symbols_file_of_symbol(const struct symbols *symbols, struct text symbol)
{
    struct symbol wanted = {.name = symbol};
    const struct symbol *found = bsearch(&wanted, symbols->symbols, symbols->symbols_count,
                                         sizeof(symbols->symbols[0]), compare_symbols);
    return found != NULL ? found->file : SYMBOLS_NONE;
}

size_t symbols_files_count(const struct symbols *symbols)
{
    return symbols->files_count;
}

size_t symbols_with_imports(const struct symbols *symbols, int file, struct text *out_files)
{
    assert(file >= 0);
    assert((size_t)file < symbols->files_count);
    int order[FILES_MAX] = {file};
    bool seen[FILES_MAX] = {false};
    size_t count = 1;
    seen[file] = true;
    for (size_t next = 0; next < count; next++) {
        const struct file *importer = &symbols->files[order[next]];
        for (size_t i = 0; i < importer->imports_count; i++) {
            int imported = symbols_file_of_name(symbols, importer->imports[i]);
            if (imported == SYMBOLS_NONE || seen[imported])
                continue;
            seen[imported] = true;
            order[count++] = imported;
        }
        out_files[next] = importer->bytes;
    }
    return count;
}

const struct text *symbols_services(const struct symbols *symbols, size_t *out_count)
{
    *out_count = symbols->services_count;
    return symbols->services;
}
