/*
 * Goal: what is written into a note comes back, and bytes that are no note of ours are left alone.
 * Method: each kind there and back; then every prefix and every single byte changed, which must
 * neither crash nor give texts beyond the note's end.
 */
#include "cache/notes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/unit.h"

static int open_arena(void **state)
{
    struct arena *arena = NULL;
    if (arena_create(&arena) != STATUS_OK)
        return -1;
    *state = arena;
    return 0;
}

static int close_arena(void **state)
{
    struct arena *arena = *state;
    arena_destroy(&arena);
    return 0;
}

static const struct key_attribute attributes[] = {{{"region", 6}, {"eu", 2}},
                                                  {{"tier", 4}, {"", 0}}};

static struct note_scope example(void)
{
    struct note_scope scope = {
        .digest = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
        .space = UINT64_C(0x1122334455667788),
        .is_clients = true,
        .embedder = TEXT("bge"),
        .names = {.tenant = TEXT("default"),
                  .namespace_ = TEXT("faq"),
                  .model = TEXT("gpt-4o-mini"),
                  .attributes = attributes,
                  .attributes_count = 2},
        .policy = {.cut = 9300, .verdicts_count = 3, .right = {true, false, true}},
    };
    return scope;
}

static void a_scope_comes_back(void **state)
{
    const struct note_scope written = example();
    struct record_note note;
    struct note_scope read;
    assert_int_equal(note_write_scope(&written, *state, &note), STATUS_OK);
    assert_int_equal(note.owner, NOTE_OWNER);
    assert_int_equal(note.kind, NOTE_SCOPE);
    assert_true(note_read_scope(&note, *state, &read));
    assert_memory_equal(read.digest, written.digest, sizeof(read.digest));
    assert_int_equal(read.space, written.space);
    assert_true(read.is_clients);
    assert_true(text_equal(read.embedder, written.embedder));
    assert_true(text_equal(read.names.tenant, TEXT("default")));
    assert_true(text_equal(read.names.namespace_, TEXT("faq")));
    assert_true(text_equal(read.names.model, TEXT("gpt-4o-mini")));
    assert_int_equal(read.names.attributes_count, 2);
    assert_true(text_equal(read.names.attributes[0].value, TEXT("eu")));
    assert_int_equal(read.names.attributes[1].value.length, 0);
    assert_int_equal(read.policy.cut, 9300);
    assert_int_equal(read.policy.verdicts_count, 3);
    assert_memory_equal(read.policy.right, written.policy.right, 3);
}

static void two_scopes_have_two_keys(void **state)
{
    struct note_scope one = example(), other = example();
    struct record_note first, second;
    other.space++;
    assert_int_equal(note_write_scope(&one, *state, &first), STATUS_OK);
    assert_int_equal(note_write_scope(&other, *state, &second), STATUS_OK);
    assert_memory_not_equal(first.key, second.key, sizeof(first.key));
}

static void tokens_come_back(void **state)
{
    struct token_memory written = {.used_s = 1234567890}, read;
    memset(written.key, 7, sizeof(written.key));
    struct record_note note;
    assert_int_equal(note_write_tokens(&written, *state, &note), STATUS_OK);
    assert_true(note_read_tokens(&note, &read));
    assert_int_equal(read.used_s, 1234567890);
    assert_memory_equal(read.key, written.key, sizeof(read.key));
}

static void a_namespace_comes_back_under_its_own_key(void **state)
{
    struct note_namespace written = {.tenant = TEXT("a"),
                                     .name = TEXT("bc"),
                                     .settings = {.index_kind = 3, .ef_search = 64, .nprobe = 9}};
    struct note_namespace read;
    struct record_note note, other;
    assert_int_equal(note_write_namespace(&written, *state, &note), STATUS_OK);
    assert_true(note_read_namespace(&note, &read));
    assert_true(text_equal(read.tenant, TEXT("a")));
    assert_true(text_equal(read.name, TEXT("bc")));
    assert_int_equal(read.settings.index_kind, 3);
    assert_int_equal(read.settings.ef_search, 64);
    assert_int_equal(read.settings.nprobe, 9);
    written.tenant = TEXT("ab");
    written.name = TEXT("c");
    assert_int_equal(note_write_namespace(&written, *state, &other), STATUS_OK);
    assert_memory_not_equal(note.key, other.key, sizeof(note.key));
}

/* Written by hand after the table at the top of notes.c, one for each version there has been. */
static const char golden_1[] =
    "\001\003\100\000\000\000\011\000\000\000\001\000\000\000\164\003\000\000\000\146"
    "\141\161";
static const char golden_2[] =
    "\002\000\007\000\000\000\000\000\000\000\002\002\004\000\000\000\077\000\000\100"
    "\077\000\000\000\077\000\000\140\077\000\000\200\075\140\352\000\000\000\000\000"
    "\000\300\324\001\000\000\000\000\000\000\000\020\000\000\000\000\000\003\000\000"
    "\000\000\000\000\000\000\000\000\000\000\000\340\077\004\000\000\000\003\003\100"
    "\000\000\000\011\000\000\000\001\000\000\000\164\003\000\000\000\146\141\161";
static const char golden_3[] =
    "\003\000\007\000\000\000\000\000\000\000\002\002\004\000\000\000\077\000\000\100"
    "\077\000\000\000\077\000\000\140\077\000\000\200\075\140\352\000\000\000\000\000"
    "\000\300\324\001\000\000\000\000\000\000\000\020\000\000\000\000\000\003\000\000"
    "\000\000\000\000\000\000\000\000\000\000\000\340\077\004\000\000\000\003\003\100"
    "\000\000\000\011\000\000\000\002\001\000\000\000\164\003\000\000\000\146\141\161";
static const char golden_4[] =
    "\004\000\007\000\000\000\000\000\000\000\002\002\004\000\000\000\077\000\000\100"
    "\077\000\000\000\077\000\000\140\077\000\000\200\075\140\352\000\000\000\000\000"
    "\000\300\324\001\000\000\000\000\000\000\000\020\000\000\000\000\000\003\000\000"
    "\000\000\000\000\000\000\000\000\000\000\000\340\077\004\000\000\000\003\003\100"
    "\000\000\000\011\000\000\000\002\000\000\040\077\001\000\000\000\164\003\000\000\000\146"
    "\141\161";

static const char golden_5[] =
    "\005\000\007\000\000\000\000\000\000\000\002\002\004\000\000\000\077\000\000\100"
    "\077\000\000\000\077\000\000\140\077\000\000\200\075\140\352\000\000\000\000\000"
    "\000\300\324\001\000\000\000\000\000\000\000\020\000\000\000\000\000\003\000\000"
    "\000\000\000\000\000\000\000\000\000\000\000\340\077\004\000\000\000\003\003\100"
    "\000\000\000\011\000\000\000\002\000\000\040\077\001\001\000\000\000\164\003\000\000"
    "\000\146\141\161";

static struct record_note note_of(const char *bytes, size_t length)
{
    return (struct record_note){
        .owner = NOTE_OWNER, .kind = NOTE_NAMESPACE, .bytes = {bytes, length}};
}

static void every_version_of_a_namespaces_note_is_read(void **state)
{
    struct record_note note = note_of(golden_1, sizeof(golden_1) - 1);
    struct note_namespace read;
    assert_true(note_read_namespace(&note, &read));
    assert_int_equal(read.settings.index_kind, 3);
    assert_int_equal(read.settings.bytes_max, 0);
    assert_true(text_equal(read.name, TEXT("faq")));
    note = note_of(golden_2, sizeof(golden_2) - 1);
    assert_true(note_read_namespace(&note, &read));
    assert_int_equal(read.version, 7);
    assert_int_equal(read.settings.ttl_max_ms, 120000);
    assert_int_equal(read.settings.ack, ACK_SYNCED);
    assert_int_equal(read.settings.nprobe, 9);
    assert_int_equal(read.settings.eviction, EVICTION_DEFAULT);
    note = note_of(golden_3, sizeof(golden_3) - 1);
    assert_true(note_read_namespace(&note, &read));
    assert_int_equal(read.settings.eviction, EVICTION_LRU);
    assert_true(isnan(read.settings.policy.min_similarity));
    note = note_of(golden_4, sizeof(golden_4) - 1);
    assert_true(note_read_namespace(&note, &read));
    assert_int_equal(read.settings.eviction, EVICTION_LRU);
    assert_true(read.settings.policy.min_similarity == 0.625f);
    assert_int_equal(read.settings.embedder, EMBEDDER_DEFAULT);
    note = note_of(golden_5, sizeof(golden_5) - 1);
    assert_true(note_read_namespace(&note, &read));
    assert_int_equal(read.settings.embedder, EMBEDDER_LEXICAL);
    assert_true(text_equal(read.name, TEXT("faq")));
    struct record_note written;
    assert_int_equal(note_write_namespace(&read, *state, &written), STATUS_OK);
    assert_int_equal(written.bytes.length, sizeof(golden_5) - 1);
    assert_memory_equal(written.bytes.bytes, golden_5, sizeof(golden_5) - 1);
}

/* In memory of its own size, so that a sanitizer sees a read beyond it. */
static bool read_copy(struct record_note note, const void *bytes, size_t length,
                      struct arena *arena)
{
    char *copy = malloc(length > 0 ? length : 1);
    assert_non_null(copy);
    if (length > 0)
        memcpy(copy, bytes, length);
    note.bytes = (struct text){copy, length};
    struct note_scope scope;
    struct note_namespace namespace_;
    struct token_memory memory;
    bool is_read = false;
    if (note.kind == NOTE_SCOPE)
        is_read = note_read_scope(&note, arena, &scope);
    else if (note.kind == NOTE_NAMESPACE)
        is_read = note_read_namespace(&note, &namespace_);
    else
        is_read = note_read_tokens(&note, &memory);
    free(copy);
    return is_read;
}

static void no_part_of_a_note_is_one_and_no_byte_can_hurt(void **state)
{
    struct arena *arena = *state;
    const struct note_scope scope = example();
    const struct note_namespace namespace_ = {.tenant = TEXT("t"), .name = TEXT("n")};
    const struct token_memory memory = {.used_s = 1};
    struct record_note notes[3];
    assert_int_equal(note_write_scope(&scope, arena, &notes[0]), STATUS_OK);
    assert_int_equal(note_write_namespace(&namespace_, arena, &notes[1]), STATUS_OK);
    assert_int_equal(note_write_tokens(&memory, arena, &notes[2]), STATUS_OK);
    for (size_t n = 0; n < 3; n++) {
        const struct text bytes = notes[n].bytes;
        for (size_t length = 0; length < bytes.length; length++)
            assert_false(read_copy(notes[n], bytes.bytes, length, arena));
        char changed[512];
        assert_true(bytes.length < sizeof(changed));
        for (size_t at = 0; at < bytes.length * 256; at++) {
            memcpy(changed, bytes.bytes, bytes.length);
            changed[at / 256] = (char)(at % 256);
            (void)read_copy(notes[n], changed, bytes.length, arena);
        }
        memcpy(changed, bytes.bytes, bytes.length);
        changed[0] = 100; /* a later version */
        assert_false(read_copy(notes[n], changed, bytes.length, arena));
        memcpy(changed, bytes.bytes, bytes.length);
        changed[bytes.length] = 0;
        assert_false(read_copy(notes[n], changed, bytes.length + 1, arena));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_arena, close_arena)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_scope_comes_back),
        TEST(two_scopes_have_two_keys),
        TEST(tokens_come_back),
        TEST(a_namespace_comes_back_under_its_own_key),
        TEST(every_version_of_a_namespaces_note_is_read),
        TEST(no_part_of_a_note_is_one_and_no_byte_can_hurt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
