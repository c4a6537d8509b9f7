/*
 * notes.h - what cache/ keeps in the log beside the entries: the key of decision tokens, the state
 * of each scope's policy with the scope's names, and what a namespace wants otherwise than the
 * options say. Written and read; byte for byte in notes.c. Threads: any; pure, what they make lies
 * in the caller's arena.
 */
#pragma once
#include <stdbool.h>

#include "base/arena.h"
#include "cache/cache.h"
#include "cache/scope.h"
#include "storage/record.h"
#include "trust/policy.h"
#include "trust/token.h"

enum { NOTE_OWNER = 1 }; /* cache/ */
enum note_kind { NOTE_TOKENS = 1, NOTE_SCOPE = 2, NOTE_NAMESPACE = 3 };

struct note_scope {
    uint8_t digest[16];
    uint64_t space;
    bool is_clients;      /* the vectors are the client's; `embedder` is its name for them */
    struct text embedder; /* else as people see it */
    struct scope_names names;
    struct policy_memory policy;
};

struct note_namespace {
    struct text tenant, name;
    bool is_dropped; /* there is no such namespace any more; the rest says nothing */
    uint64_t version;
    struct cache_namespace_settings settings;
};

/* STATUS_NO_MEMORY. */
enum status note_write_tokens(const struct token_memory *memory, struct arena *arena,
                              struct record_note *out_note);
enum status note_write_scope(const struct note_scope *scope, struct arena *arena,
                             struct record_note *out_note);
enum status note_write_namespace(const struct note_namespace *namespace_, struct arena *arena,
                                 struct record_note *out_note);

/* The note has their kind. False: it is not one of this version's, to be left alone. Texts are
 * borrowed from the note. */
bool note_read_tokens(const struct record_note *note, struct token_memory *out_memory);
bool note_read_scope(const struct record_note *note, struct arena *arena,
                     struct note_scope *out_scope);
bool note_read_namespace(const struct record_note *note, struct note_namespace *out_namespace);
