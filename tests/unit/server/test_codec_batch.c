/*
 * Goal: the items of a batch fail one by one, a batch of a wrong size as a whole, and hostile bytes
 * never crash any reader. Method: batches put together from good and bad items; then whole messages
 * cut at every length and changed at random places (fixed seed), in memory exactly as long, so that
 * the address sanitizer sees a step too far.
 */
#include "codec_requests.h"

/* ---- Batches ---------------------------------------------------------------- */

static void a_bad_item_fails_alone(void **state)
{
    struct wire wire, bad;
    wire_init(&bad, *state, 0);
    wire_text(&bad, 1, TEXT("\x1a\x01\xff")); /* identity.prompt */
    wire_init(&wire, *state, 0);
    const struct text good = packed(&small_get()->base, *state);
    wire_text(&wire, 1, good);
    wire_message(&wire, 1, &bad);
    wire_open(&wire, 1, 0);
    wire_text(&wire, 1, TEXT("\x0b"));
    wire_uint(&wire, 77, 1); /* unknown: skipped */
    wire_text(&wire, 1, good);
    struct codec_get_item *items = NULL;
    size_t count = 0;
    assert_int_equal(
        codec_read_batch_get(wire_text_of(&wire), &small_limits, *state, &items, &count, NULL),
        STATUS_OK);
    static const enum status expected[] = {STATUS_OK, STATUS_BAD_TEXT, STATUS_EMPTY_PROMPT,
                                           STATUS_BAD_MESSAGE, STATUS_OK};
    assert_int_equal(count, 5);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(items[i].failure.status, expected[i]);
    assert_string_equal(items[1].failure.field, "identity.prompt");
    assert_text(items[4].request.identity.prompt, "hi");
}

static void a_batch_has_1_to_batch_max_items(void **state)
{
    const struct text get = packed(&small_get()->base, *state);
    const struct text set = packed(&full_set()->base, *state);
    for (uint32_t length = 0; length <= small_limits.batch_max + 1; length++) {
        struct wire gets, sets;
        wire_init(&gets, *state, 0);
        wire_init(&sets, *state, 0);
        for (uint32_t i = 0; i < length; i++) {
            wire_text(&gets, 1, get);
            wire_text(&sets, 1, set);
        }
        const bool fits = length >= 1 && length <= small_limits.batch_max;
        struct codec_get_item *get_items = NULL;
        struct codec_set_item *set_items = NULL;
        size_t count = 0;
        struct failure failure = {.status = STATUS_OK};
        assert_int_equal(codec_read_batch_get(wire_text_of(&gets), &small_limits, *state,
                                              &get_items, &count, &failure),
                         fits ? STATUS_OK : STATUS_LIMIT_EXCEEDED);
        assert_string_equal(failure.field, fits ? "" : "items");
        assert_int_equal(codec_read_batch_set(wire_text_of(&sets), &small_limits, *state,
                                              &set_items, &count, &failure),
                         fits ? STATUS_OK : STATUS_LIMIT_EXCEEDED);
        if (fits) {
            assert_int_equal(count, length);
            assert_text(set_items[length - 1].request.content, "Under Settings, Security.");
        }
    }
}

static void a_broken_batch_fails_as_a_whole(void **state)
{
    static const struct text broken[] = {
        {"\x0a", 1}, {"\x0a\x05", 2}, {"\x08\x01", 2}, {"\x0b", 1}};
    struct codec_get_item *items = NULL;
    size_t count = 0;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
        assert_int_equal(
            codec_read_batch_get(broken[i], &small_limits, *state, &items, &count, NULL),
            STATUS_BAD_MESSAGE);
}

/* ---- Hostile bytes ---------------------------------------------------------- */

/* Whatever it says is right; that it says something is what is tested. */
static void read_any(struct text bytes, struct arena *arena)
{
    struct cache_get_request get;
    struct cache_set_request set;
    struct codec_get_item *gets;
    struct codec_set_item *sets;
    struct cache_delete_request doomed;
    struct cache_selector selector;
    struct codec_report report;
    struct codec_reflection reflection;
    struct text text;
    size_t count;
    struct failure failure = {.status = STATUS_OK};
    arena_reset(arena);
    (void)codec_read_get(bytes, &small_limits, arena, &get, &failure);
    (void)codec_read_set(bytes, &small_limits, arena, &set, &failure);
    (void)codec_read_batch_get(bytes, &small_limits, arena, &gets, &count, &failure);
    (void)codec_read_batch_set(bytes, &small_limits, arena, &sets, &count, &failure);
    (void)codec_read_delete(bytes, &small_limits, arena, &doomed, &failure);
    (void)codec_read_invalidate(bytes, &small_limits, arena, &selector, &failure);
    (void)codec_read_report(bytes, &small_limits, arena, &report, &failure);
    (void)codec_read_stats(bytes, &small_limits, arena, &text, &failure);
    (void)codec_read_health(bytes, &small_limits, arena, &text, &failure);
    (void)codec_read_reflection(bytes, &small_limits, arena, &reflection, &failure);
}

static struct text a_batch(struct text item, struct arena *arena)
{
    struct wire wire;
    wire_init(&wire, arena, 0);
    wire_text(&wire, 1, item);
    wire_text(&wire, 1, item);
    return wire_text_of(&wire);
}

static void a_message_cut_anywhere_does_no_harm(void **state)
{
    const struct text get = packed(&full_get()->base, *state);
    const struct text set = packed(&full_set()->base, *state);
    const struct text whole[] = {get, set, a_batch(get, *state), a_batch(set, *state)};
    struct arena *scratch = NULL;
    assert_int_equal(arena_create(&scratch), STATUS_OK);
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
        for (size_t length = 0; length <= whole[i].length; length++) {
            const struct text cut = exact_copy(whole[i].bytes, length);
            read_any(cut, scratch);
            free((char *)(uintptr_t)cut.bytes);
        }
    }
    arena_destroy(&scratch);
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13; /* xorshift64 (Marsaglia 2003) */
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Changes bytes, and now and then moves a piece over another, so that lengths and tags meet in new
 * places. */
static void mutate(char *bytes, size_t length, uint64_t *seed)
{
    const size_t changes = 1 + next_random(seed) % 6;
    for (size_t i = 0; i < changes; i++)
        bytes[next_random(seed) % length] = (char)next_random(seed);
    if (next_random(seed) % 4 == 0) {
        const size_t size = 1 + next_random(seed) % (length / 2);
        memmove(bytes + next_random(seed) % (length - size),
                bytes + next_random(seed) % (length - size), size);
    }
}

static void bytes_changed_at_random_do_no_harm(void **state)
{
    const struct text get = packed(&full_get()->base, *state);
    const struct text set = packed(&full_set()->base, *state);
    const struct text whole[] = {get, set, a_batch(get, *state), a_batch(set, *state)};
    struct arena *scratch = NULL;
    assert_int_equal(arena_create(&scratch), STATUS_OK);
    uint64_t seed = 20240611;
    for (int i = 0; i < 20000; i++) {
        const struct text from = whole[i % 4];
        const struct text copy = exact_copy(from.bytes, from.length);
        mutate((char *)(uintptr_t)copy.bytes, copy.length, &seed);
        read_any(copy, scratch);
        free((char *)(uintptr_t)copy.bytes);
    }
    arena_destroy(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(a_bad_item_fails_alone),
        ARENA_TEST(a_batch_has_1_to_batch_max_items),
        ARENA_TEST(a_broken_batch_fails_as_a_whole),
        ARENA_TEST(a_message_cut_anywhere_does_no_harm),
        ARENA_TEST(bytes_changed_at_random_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
