/*
 * text.h - borrowed text, and the one door to utf8proc.
 * A `struct text` points into memory that somebody else owns and is not NUL-terminated. All
 * functions are pure; what they make lies in the caller's arena. Threads: any.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/status.h"

struct text {
    const char *bytes; /* may be NULL when length is 0 */
    size_t length;     /* bytes                        */
};

#define TEXT(literal) ((struct text){(literal), sizeof(literal) - 1})

static inline struct text text_of(const char *terminated)
{
    return (struct text){terminated, terminated != NULL ? strlen(terminated) : 0};
}

static inline bool text_equal(struct text a, struct text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.bytes, b.bytes, a.length) == 0);
}

/* Valid UTF-8 without NUL, surrogates and overlong forms? Fast on ASCII. */
bool text_is_clean(const char *bytes, size_t length);

/* CR LF becomes LF, then NFC; pure ASCII without CR is returned as it is, borrowed. */
enum status text_canonical(struct text text, struct arena *arena, struct text *out_text);

/* NFKC, then full case folding: the form in which words are compared. */
enum status text_fold(struct text text, struct arena *arena, struct text *out_text);

/* What a code point is, for cutting words. */
enum text_class { TEXT_OTHER, TEXT_LETTER, TEXT_NUMBER };

/* Reads one code point at *offset and moves it on; the text must be clean. */
uint32_t text_next(struct text text, size_t *offset);
/* The same for bytes that nobody has checked; NUL is a code point. False where they are not UTF-8.
 */
bool text_read(struct text text, size_t *offset, uint32_t *out_point);
enum text_class text_class_of(uint32_t code_point);
bool text_is_upper(uint32_t code_point); /* Lu or Lt */
