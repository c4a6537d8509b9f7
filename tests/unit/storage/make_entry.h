/* make_entry.h - entries for the tests of storage/: digest and text follow from a number. */
#pragma once
#include <stdlib.h>
#include <string.h>

#include "storage/entry.h"
#include "tests/support/unit.h"

static inline struct digest digest_number(uint64_t number)
{
    return digest_sha256(&number, sizeof(number));
}

/* The answer holds the number, then zeros; answer_bytes >= 8. The reference is the caller's. */
static inline struct entry *make_entry(uint64_t number, size_t answer_bytes, int64_t expires_ms)
{
    char *answer = calloc(1, answer_bytes);
    assert_non_null(answer);
    memcpy(answer, &number, sizeof(number));
    const struct entry_source source = {.digest = digest_number(number),
                                        .scope = {(uint8_t)(number % 4)},
                                        .created_ms = 1,
                                        .expires_ms = expires_ms,
                                        .prompt = TEXT("prompt"),
                                        .answer = {answer, answer_bytes}};
    struct entry *entry = NULL;
    assert_int_equal(entry_create(&source, &entry), STATUS_OK);
    free(answer);
    return entry;
}

static inline uint64_t number_of(const struct entry *entry)
{
    uint64_t number;
    memcpy(&number, entry_answer(entry).bytes, sizeof(number));
    return number;
}

/* splitmix64 (Steele, Lea, Flood, OOPSLA 2014): the tests' only chance, seeded by each. */
static inline uint64_t next_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
