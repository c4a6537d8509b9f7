/*
 * fuzz_answer.c - any bytes as the block that an entry carries beside prompt and answer, as a data
 * folder gives it back. Beyond "it does not crash": what is called whole can be read to the last
 * tag and attribute, all of it lies inside the block, and it can be written and read again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/answer.h"
#include "cache/fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BYTES_MAX = 1 << 14, ITEMS_MAX = BYTES_MAX / 4 };

static struct text tags[ITEMS_MAX];
static struct key_attribute metadata[ITEMS_MAX], depends_on[ITEMS_MAX];

static void must(bool condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "fuzz_answer: %s\n", what);
    abort();
}

static void must_lie_in(struct text text, struct text block)
{
    must(text.length == 0 ||
             (text.bytes >= block.bytes && text.bytes + text.length <= block.bytes + block.length),
         "a text from outside the block");
}

static size_t take_tags(struct text packed, struct text block)
{
    size_t count = 0;
    while (answer_next_tag(&packed, &tags[count])) {
        must_lie_in(tags[count], block);
        count++;
    }
    return count;
}

static size_t take_attributes(struct text packed, struct text block, struct key_attribute *out)
{
    size_t count = 0;
    while (answer_next_attribute(&packed, &out[count])) {
        must_lie_in(out[count].name, block);
        must_lie_in(out[count].value, block);
        count++;
    }
    return count;
}

static void must_equal(struct text a, struct text b)
{
    must(a.length == b.length && (a.length == 0 || memcmp(a.bytes, b.bytes, a.length) == 0),
         "another text when read again");
}

static void write_again(const struct answer_view *view, struct text block)
{
    const struct answer_parts parts = {
        .tenant = view->tenant,
        .namespace_ = view->namespace_,
        .model = view->model,
        .tags = tags,
        .tags_count = take_tags(view->tags, block),
        .depends_on = depends_on,
        .depends_on_count = take_attributes(view->depends_on, block, depends_on),
        .metadata = metadata,
        .metadata_count = take_attributes(view->metadata, block, metadata),
        .info = view->info,
        .has_fields = view->has_fields,
        .fields = view->fields,
        .opaque = view->opaque,
        .freshness = view->freshness};
    struct arena *arena = NULL;
    struct text copy;
    struct answer_view again;
    must(arena_create(&arena) == STATUS_OK, "no memory");
    must(answer_pack(&parts, arena, &copy) == STATUS_OK, "it cannot be written");
    must(answer_is_whole(copy), "a block of our own is not accepted");
    answer_view_read(copy, &again);
    must_equal(again.tenant, view->tenant);
    must_equal(again.tags, view->tags);
    must_equal(again.metadata, view->metadata);
    must_equal(again.depends_on, view->depends_on);
    must_equal(again.info, view->info);
    must_equal(again.fields, view->fields);
    must(again.opaque == view->opaque && again.freshness.negative == view->freshness.negative,
         "other flags when read again");
    must(freshness_window_ms(&again.freshness) == freshness_window_ms(&view->freshness),
         "another window when read again");
    arena_destroy(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct text block = {(const char *)data, size};
    struct answer_view view;
    if (size > BYTES_MAX || !answer_is_whole(block))
        return 0;
    answer_view_read(block, &view);
    must_lie_in(view.tenant, block);
    must_lie_in(view.namespace_, block);
    must_lie_in(view.model, block);
    must_lie_in(view.info, block);
    must_lie_in(view.fields, block);
    must(view.tenant.length > 0 && view.namespace_.length > 0, "an answer that is nobody's");
    must(freshness_is_whole(&view.freshness), "times that make no sense");
    const struct fields_side side = {.namespace_ = view.namespace_,
                                     .model = view.model,
                                     .has_fields = view.has_fields,
                                     .fields = view.fields};
    struct field_difference fields[FIELDS_COUNT];
    size_t differ = 0;
    must(fields_compare(&side, &side, fields, &differ) <= FIELDS_COUNT, "too many fields");
    must(differ == 0, "an entry that differs from itself");
    write_again(&view, block);
    return 0;
}
