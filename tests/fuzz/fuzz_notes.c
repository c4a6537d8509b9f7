/*
 * fuzz_notes.c - any bytes as a note of cache/ in the log: the tokens' key, a scope's policy, what
 * a namespace wants. The first byte chooses the kind, the next 32 are the key. Beyond "it does not
 * crash": texts lie inside the note, and what is accepted can be written and is accepted again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/notes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { KINDS = 3, HEAD_BYTES = 1 + 32 };

static void must(bool condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "fuzz_notes: %s\n", what);
    abort();
}

static void must_lie_in(struct text text, const struct record_note *note)
{
    must(text.length == 0 || (text.bytes >= note->bytes.bytes &&
                              text.bytes + text.length <= note->bytes.bytes + note->bytes.length),
         "a text from outside the note");
}

static void try_tokens(const struct record_note *note, struct arena *arena)
{
    struct token_memory memory, again;
    struct record_note copy;
    if (!note_read_tokens(note, &memory))
        return;
    must(note_write_tokens(&memory, arena, &copy) == STATUS_OK, "tokens cannot be written");
    must(note_read_tokens(&copy, &again), "tokens of our own are not accepted");
}

static void try_scope(const struct record_note *note, struct arena *arena)
{
    struct note_scope scope, again;
    struct record_note copy;
    if (!note_read_scope(note, arena, &scope))
        return;
    must_lie_in(scope.embedder, note);
    must(note_write_scope(&scope, arena, &copy) == STATUS_OK, "a scope cannot be written");
    must(note_read_scope(&copy, arena, &again), "a scope of our own is not accepted");
}

static void try_namespace(const struct record_note *note, struct arena *arena)
{
    struct note_namespace namespace_, again;
    struct record_note copy;
    if (!note_read_namespace(note, &namespace_))
        return;
    must_lie_in(namespace_.tenant, note);
    must_lie_in(namespace_.name, note);
    must(note_write_namespace(&namespace_, arena, &copy) == STATUS_OK,
         "a namespace cannot be written");
    must(note_read_namespace(&copy, &again), "a namespace of our own is not accepted");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[KINDS])(const struct record_note *,
                                      struct arena *) = {try_tokens, try_scope, try_namespace};
    struct arena *arena = NULL;
    if (size < HEAD_BYTES || arena_create(&arena) != STATUS_OK)
        return 0;
    struct record_note note = {.owner = NOTE_OWNER,
                               .kind = (uint16_t)(1 + data[0] % KINDS),
                               .bytes = {(const char *)data + HEAD_BYTES, size - HEAD_BYTES}};
    memcpy(note.key, data + 1, sizeof(note.key));
    tries[data[0] % KINDS](&note, arena);
    arena_destroy(&arena);
    return 0;
}
