/*
 * Goal: what a Set says about its answer is read back exactly, from the entry's own bytes.
 * Method: blocks with nothing, one and many of everything, empty texts included.
 */
#include "cache/answer.h"

#include "cache/cache.h"
#include "tests/support/unit.h"

static struct arena *arena;

static int open_arena(void **state)
{
    (void)state;
    return arena_create(&arena) == STATUS_OK ? 0 : -1;
}

static int close_arena(void **state)
{
    (void)state;
    arena_destroy(&arena);
    return 0;
}

static const struct text tags[] = {{"faq", 3}, {"release-2026", 12}};
static const struct key_attribute metadata[] = {{{"source", 6}, {"wiki", 4}},
                                                {{"empty", 5}, {"", 0}}};

static struct answer_parts everything(void)
{
    return (struct answer_parts){.tenant = TEXT("acme"),
                                 .namespace_ = TEXT("support"),
                                 .model = TEXT("gpt-4o-mini"),
                                 .tags = tags,
                                 .tags_count = 2,
                                 .metadata = metadata,
                                 .metadata_count = 2,
                                 .info = {"\x22\x04stop\0x", 8},
                                 .opaque = true};
}

static void everything_comes_back(void **state)
{
    (void)state;
    const struct answer_parts parts = everything();
    struct text block;
    assert_int_equal(answer_pack(&parts, arena, &block), STATUS_OK);
    struct answer_view view;
    answer_view_read(block, &view);
    assert_true(text_equal(view.tenant, parts.tenant));
    assert_true(text_equal(view.namespace_, parts.namespace_));
    assert_true(text_equal(view.model, parts.model));
    assert_true(text_equal(view.info, parts.info));
    assert_true(view.opaque);
    struct text tag;
    for (size_t i = 0; i < 2; i++) {
        assert_true(answer_next_tag(&view.tags, &tag));
        assert_true(text_equal(tag, tags[i]));
    }
    assert_false(answer_next_tag(&view.tags, &tag));
    struct key_attribute attribute;
    for (size_t i = 0; i < 2; i++) {
        assert_true(answer_next_attribute(&view.metadata, &attribute));
        assert_true(text_equal(attribute.name, metadata[i].name));
        assert_true(text_equal(attribute.value, metadata[i].value));
    }
    assert_false(answer_next_attribute(&view.metadata, &attribute));
}

static void nothing_comes_back_as_nothing(void **state)
{
    (void)state;
    const struct answer_parts parts = {.namespace_ = TEXT("default")};
    struct text block;
    assert_int_equal(answer_pack(&parts, arena, &block), STATUS_OK);
    struct answer_view view;
    answer_view_read(block, &view);
    struct text tag;
    assert_false(answer_next_tag(&view.tags, &tag));
    assert_int_equal(view.info.length, 0);
    assert_int_equal(view.model.length, 0);
    assert_false(view.opaque);
}

static void an_entry_shows_what_it_holds(void **state)
{
    (void)state;
    const struct answer_parts parts = everything();
    struct entry_source source = {.answer = TEXT("\x89PNG")};
    assert_int_equal(answer_pack(&parts, arena, &source.metadata), STATUS_OK);
    struct entry *entry = NULL;
    assert_int_equal(entry_create(&source, &entry), STATUS_OK);
    struct cache_answer answer;
    cache_answer_read(entry, &answer);
    assert_true(text_equal(answer.answer, TEXT("\x89PNG")));
    assert_true(text_equal(answer.namespace_, TEXT("support")));
    assert_true(text_equal(answer.model, TEXT("gpt-4o-mini")));
    assert_true(text_equal(answer.info, parts.info));
    assert_true(answer.opaque);
    struct key_attribute attribute;
    assert_true(answer_next_attribute(&answer.metadata, &attribute));
    assert_true(text_equal(attribute.name, TEXT("source")));
    entry_release(entry);
}

/* Byte for byte: what a disk holds is read by later versions. */
static void all_that_may_be_left_out_comes_behind_the_flags(void **state)
{
    (void)state;
    static const struct key_attribute depends_on[] = {{{"doc", 3}, {"2", 1}}};
    static const char golden[] =
        "\x01\x1c"                                               /* times, depends_on, fields */
        "\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0"                   /* ttl, sliding */
        "\x03\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0"                   /* revalidate, if_error */
        "\x01\0\0\0a\x01\0\0\0b\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" /* six texts */
        "\x0c\0\0\0\x03\0\0\0doc\x01\0\0\0002"                   /* depends_on */
        "\0\0\0\0";                                              /* fields: none, and known */
    const struct answer_parts parts = {.tenant = TEXT("a"),
                                       .namespace_ = TEXT("b"),
                                       .depends_on = depends_on,
                                       .depends_on_count = 1,
                                       .has_fields = true,
                                       .freshness = {1, 2, 3, 4, false}};
    struct text block;
    assert_int_equal(answer_pack(&parts, arena, &block), STATUS_OK);
    assert_int_equal(block.length, sizeof(golden) - 1);
    assert_memory_equal(block.bytes, golden, block.length);
    assert_true(answer_is_whole(block));
    for (size_t length = 0; length < block.length; length++)
        assert_false(answer_is_whole((struct text){block.bytes, length}));
    struct answer_view view;
    answer_view_read(block, &view);
    struct key_attribute dependency;
    assert_true(answer_next_attribute(&view.depends_on, &dependency));
    assert_true(text_equal(dependency.value, TEXT("2")));
    assert_true(view.has_fields);
    assert_int_equal(view.freshness.if_error_ms, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_comes_back),
        cmocka_unit_test(nothing_comes_back_as_nothing),
        cmocka_unit_test(an_entry_shows_what_it_holds),
        cmocka_unit_test(all_that_may_be_left_out_comes_behind_the_flags),
    };
    return cmocka_run_group_tests(tests, open_arena, close_arena);
}
