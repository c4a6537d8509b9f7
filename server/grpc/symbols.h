/*
 * symbols.h - what stands in a serialised google.protobuf.FileDescriptorSet: files, and in which of
 * them each service, method, message and enum is. Read once; afterwards constant. Threads: any.
 */
#pragma once
#include <stddef.h>

#include "base/status.h"
#include "base/text.h"

struct symbols;

/* The bytes are borrowed for life. STATUS_BAD_MESSAGE: not a descriptor set; STATUS_NO_MEMORY. */
enum status symbols_create(struct text set, struct symbols **out_symbols);
void symbols_destroy(struct symbols **symbols);

enum { SYMBOLS_NONE = -1 };
/* Indices of files, or SYMBOLS_NONE. A symbol is a full name without leading dot:
 * reprise.v1.Cache.Get. */
int symbols_file_of_name(const struct symbols *symbols, struct text name);
int symbols_file_of_symbol(const struct symbols *symbols, struct text symbol);

/* The file and all it imports, itself first, each once: serialised FileDescriptorProtos.
 * `out_files` has room for symbols_files_count. Returns how many. */
size_t symbols_with_imports(const struct symbols *symbols, int file, struct text *out_files);
size_t symbols_files_count(const struct symbols *symbols);

/* Full names of all services, in the order of the files. */
const struct text *symbols_services(const struct symbols *symbols, size_t *out_count);
