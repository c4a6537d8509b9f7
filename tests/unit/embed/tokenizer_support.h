/*
 * tokenizer_support.h - what the tokenizer's tests share: the golden file's rows, and files beside
 * it. A row is mode, text, ids by the tiny vocabulary, ids by the model's, with tabs between. In
 * the text, two backslashes are one and \u{HEX} is a code point.
 */
#pragma once
#include "tests/support/unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

struct golden { /* read row by row */
    char *bytes, *next;
    char *columns[4];
    size_t columns_count;
    char text_bytes[4096];
    struct text text; /* column 1, unescaped */
};

/* The whole file, ended by NUL, to be freed; NULL if it is not there. */
static inline char *read_path(const char *path, size_t *out_length)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    const long size = ftell(file);
    assert_true(size >= 0);
    rewind(file);
    char *bytes = calloc(1, (size_t)size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)size, file), (size_t)size);
    (void)fclose(file);
    *out_length = (size_t)size;
    return bytes;
}

/* A file of the source tree. */
static inline char *read_source(const char *name, size_t *out_length)
{
    char path[512];
    const char *here = strstr(__FILE__, "tests/unit/");
    assert_non_null(here);
    int length = snprintf(path, sizeof(path), "%.*s%s", (int)(here - __FILE__), __FILE__, name);
    assert_in_range(length, 1, sizeof(path) - 1);
    return read_path(path, out_length);
}

/* A file of all-MiniLM-L6-v2: $REPRISE_MODELS, else build/models; NULL if it is not there. */
static inline char *read_model(const char *name, size_t *out_length)
{
    char path[512];
    const char *folder = getenv("REPRISE_MODELS");
    int length = snprintf(path, sizeof(path), "%s/minilm-l6/%s",
                          folder != NULL ? folder : "build/models", name);
    assert_in_range(length, 1, sizeof(path) - 1);
    return folder != NULL ? read_path(path, out_length) : read_source(path, out_length);
}

static inline size_t write_point(uint32_t point, char *out)
{
    static const uint32_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t length = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--, point >>= 6)
        out[i] = (char)(0x80 | (point & 0x3f));
    out[0] = (char)(leads[length] | point);
    return length;
}

static inline struct text unescape(const char *escaped, char *out_bytes, size_t room)
{
    size_t length = 0;
    while (*escaped != '\0') {
        assert_true(length + 4 <= room);
        if (*escaped != '\\') {
            out_bytes[length++] = *escaped++;
        } else if (escaped[1] == '\\') {
            out_bytes[length++] = '\\';
            escaped += 2;
        } else {
            assert_memory_equal(escaped, "\\u{", 3);
            char *end = NULL;
            length += write_point((uint32_t)strtoul(escaped + 3, &end, 16), out_bytes + length);
            assert_int_equal(*end, '}');
            escaped = end + 1;
        }
    }
    return (struct text){out_bytes, length};
}

static inline void golden_open(struct golden *golden)
{
    size_t length = 0;
    golden->bytes = golden->next = read_source("tests/data/tokenizer_golden.tsv", &length);
    assert_non_null(golden->bytes);
}

static inline void golden_close(struct golden *golden)
{
    free(golden->bytes);
}

/* The next line that is no comment, cut at its tabs; false at the end. */
static inline bool golden_next(struct golden *golden)
{
    while (*golden->next == '#')
        golden->next = strchr(golden->next, '\n') + 1;
    if (*golden->next == '\0')
        return false;
    char *line = golden->next;
    char *end = strchr(line, '\n');
    assert_non_null(end);
    *end = '\0';
    golden->next = end + 1;
    golden->columns_count = 0;
    for (char *column = line; column != NULL;) {
        assert_true(golden->columns_count < 4);
        golden->columns[golden->columns_count++] = column;
        column = strchr(column, '\t');
        if (column != NULL)
            *column++ = '\0';
    }
    if (golden->columns_count == 4)
        golden->text = unescape(golden->columns[1], golden->text_bytes, sizeof(golden->text_bytes));
    return true;
}

/* A line of the head: golden_head("vocabulary", "tiny"); the value is copied. */
static inline void golden_head(const char *name, const char *second, char out_value[65])
{
    struct golden golden;
    golden_open(&golden);
    out_value[0] = '\0';
    while (out_value[0] == '\0' && golden_next(&golden)) {
        size_t last = second != NULL ? 2 : 1;
        if (strcmp(golden.columns[0], name) == 0 && golden.columns_count == last + 1 &&
            (second == NULL || strcmp(golden.columns[1], second) == 0))
            (void)snprintf(out_value, 65, "%s", golden.columns[last]);
    }
    assert_int_equal(strlen(out_value), 64);
    golden_close(&golden);
}
