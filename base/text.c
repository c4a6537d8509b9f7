/*
 * text.c - UTF-8 checked, normalised, folded and read: the one door to utf8proc.
 * Owns nothing; results lie in the caller's arena. Threads: any.
 *
 * utf8proc_map would be one call, but its result is malloc'ed and copied once more. Its two halves
 * are used instead: utf8proc_decompose_char writes code points into memory of ours,
 * utf8proc_reencode composes them and turns them into UTF-8 in place. The ordering of marks between
 * the two is ours, because utf8proc's takes the square of their number.
 */
#include "base/text.h"

#include <utf8proc.h>

#include "base/check.h"

#define EVERY_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

static uint64_t load_word(const char *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    return word;
}

/* How many bytes at the start are ASCII and not NUL, in steps of eight, then byte by byte. */
static size_t clean_ascii_prefix(const unsigned char *bytes, size_t length)
{
    size_t i = 0;
    for (; length - i >= 8; i += 8) {
        uint64_t word = load_word((const char *)bytes + i);
        /* Taking 1 from every byte sets a high bit where a byte was 0; `word` itself shows
         * non-ASCII. */
        if ((((word - EVERY_BYTE(0x01)) | word) & EVERY_BYTE(0x80)) != 0)
            break;
    }
    while (i < length && bytes[i] != 0 && bytes[i] < 0x80)
        i++;
    return i;
}

static bool is_continuation(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Bytes of the well-formed sequence at the start, 0 if it is none: table 3-7 of the Unicode
 * standard. */
static size_t sequence_length(const unsigned char *bytes, size_t length)
{
    unsigned char lead = bytes[0];
    if (lead >= 0xc2 && lead <= 0xdf)
        return length >= 2 && is_continuation(bytes[1]) ? 2 : 0;
    if (lead >= 0xe0 && lead <= 0xef) {
        unsigned char low = lead == 0xe0 ? 0xa0 : 0x80;  /* less is overlong       */
        unsigned char high = lead == 0xed ? 0x9f : 0xbf; /* more are surrogates    */
        bool is_good = length >= 3 && bytes[1] >= low && bytes[1] <= high;
        return is_good && is_continuation(bytes[2]) ? 3 : 0;
    }
    if (lead >= 0xf0 && lead <= 0xf4) {
        unsigned char low = lead == 0xf0 ? 0x90 : 0x80;  /* less is overlong       */
        unsigned char high = lead == 0xf4 ? 0x8f : 0xbf; /* more is above U+10FFFF */
        bool is_good = length >= 4 && bytes[1] >= low && bytes[1] <= high;
        return is_good && is_continuation(bytes[2]) && is_continuation(bytes[3]) ? 4 : 0;
    }
    return 0;
}

bool text_is_clean(const char *bytes, size_t length)
{
    const unsigned char *place = (const unsigned char *)bytes;
    size_t i = clean_ascii_prefix(place, length);
    while (i < length) {
        size_t step = sequence_length(place + i, length - i);
        if (step == 0)
            return false; /* NUL, or not UTF-8 */
        i += step;
        if (i < length && place[i] < 0x80)
            i += clean_ascii_prefix(place + i, length - i);
    }
    return true;
}

/* Nothing below U+0300 is changed by NFC, and nothing there combines: U+0300 begins with the byte
 * CC. */
static bool is_below_combining(struct text text)
{
    unsigned char highest = 0;
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)text.bytes[i];
        highest = byte > highest ? byte : highest;
    }
    return highest < 0xcc;
}

static bool is_ascii(struct text text)
{
    uint64_t seen = 0;
    size_t i = 0;
    for (; text.length - i >= 8; i += 8)
        seen |= load_word(text.bytes + i);
    for (; i < text.length; i++)
        seen |= (unsigned char)text.bytes[i];
    return (seen & EVERY_BYTE(0x80)) == 0;
}

/* A run this short is ordered by insertion; a longer one by counting. */
enum { SHORT_RUN = 16, CLASSES = 256 };

static uint8_t class_of_mark(utf8proc_int32_t point)
{
    return (uint8_t)utf8proc_get_property(point)->combining_class;
}

static void order_short_run(utf8proc_int32_t *points, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        utf8proc_int32_t point = points[i];
        uint8_t class = class_of_mark(point);
        size_t place = i;
        for (; place > 0 && class_of_mark(points[place - 1]) > class; place--)
            points[place] = points[place - 1];
        points[place] = point;
    }
}

/* Stable, by counting the classes: linear, whatever the run. */
static enum status order_long_run(utf8proc_int32_t *points, size_t count, struct arena *arena)
{
    utf8proc_int32_t *sorted = arena_calloc(arena, count, sizeof(*sorted));
    if (sorted == NULL)
        return STATUS_NO_MEMORY;
    size_t place_of[CLASSES + 1] = {0};
    for (size_t i = 0; i < count; i++)
        place_of[class_of_mark(points[i]) + 1]++;
    for (size_t class = 1; class <= CLASSES; class ++)
        place_of[class] += place_of[class - 1];
    for (size_t i = 0; i < count; i++)
        sorted[place_of[class_of_mark(points[i])]++] = points[i];
    memcpy(points, sorted, count * sizeof(*points));
    return STATUS_OK;
}

/*
 * The canonical ordering (Unicode, definition D109). utf8proc_decompose does it by swapping
 * neighbours, which takes seconds for 64 KiB of marks that somebody sends in the wrong order.
 */
static enum status order_marks(utf8proc_int32_t *points, size_t count, struct arena *arena)
{
    for (size_t i = 0; i < count;) {
        if (points[i] < 0x300 || class_of_mark(points[i]) == 0) {
            i++;
            continue;
        }
        size_t end = i + 1;
        while (end < count && class_of_mark(points[end]) != 0)
            end++;
        if (end - i <= SHORT_RUN) {
            order_short_run(points + i, end - i);
        } else if (order_long_run(points + i, end - i, arena) != STATUS_OK) {
            return STATUS_NO_MEMORY;
        }
        i = end;
    }
    return STATUS_OK;
}

/* How many code points the mapping gives; writes the first `room` of them. -1: not UTF-8. */
static utf8proc_ssize_t map_points(struct text text, utf8proc_option_t options,
                                   utf8proc_int32_t *points, utf8proc_ssize_t room)
{
    utf8proc_ssize_t count = 0;
    int last_bound_class = 0; /* of grapheme breaks, which nobody asks for */
    for (size_t offset = 0; offset < text.length;) {
        uint32_t point;
        if (!text_read(text, &offset, &point))
            return -1;
        utf8proc_ssize_t left = count < room ? room - count : 0;
        utf8proc_ssize_t made =
            utf8proc_decompose_char((utf8proc_int32_t)point, points + (left > 0 ? count : 0), left,
                                    options, &last_bound_class);
        if (made < 0)
            return -1;
        count += made;
    }
    return count;
}

/* Code points after the mapping of `options`, composed if they say so, as UTF-8 in the arena. */
static enum status map_text(struct text text, utf8proc_option_t options, struct arena *arena,
                            struct text *out_text)
{
    utf8proc_ssize_t room =
        (utf8proc_ssize_t)text.length; /* mostly enough; else the count is known */
    for (;;) {
        /* One more: utf8proc_reencode ends its bytes with NUL. */
        utf8proc_int32_t *points = arena_calloc(arena, (size_t)room + 1, sizeof(*points));
        if (points == NULL)
            return STATUS_NO_MEMORY;
        utf8proc_ssize_t count = map_points(text, options, points, room);
        if (count < 0)
            return STATUS_BAD_TEXT;
        if (count > room) {
            room = count;
            continue;
        }
        if ((options & UTF8PROC_COMPOSE) != 0 &&
            order_marks(points, (size_t)count, arena) != STATUS_OK)
            return STATUS_NO_MEMORY;
        utf8proc_ssize_t length = utf8proc_reencode(points, count, options);
        if (length < 0)
            return STATUS_BAD_TEXT;
        *out_text = (struct text){(const char *)points, (size_t)length};
        return STATUS_OK;
    }
}

static enum status drop_carriage_returns(struct text text, struct arena *arena,
                                         struct text *out_text)
{
    char *bytes = arena_alloc(arena, text.length);
    if (bytes == NULL)
        return STATUS_NO_MEMORY;
    size_t length = 0;
    for (size_t i = 0; i < text.length; i++) {
        bool is_line_end =
            text.bytes[i] == '\r' && i + 1 < text.length && text.bytes[i + 1] == '\n';
        if (!is_line_end)
            bytes[length++] = text.bytes[i];
    }
    *out_text = (struct text){bytes, length};
    return STATUS_OK;
}

enum status text_canonical(struct text text, struct arena *arena, struct text *out_text)
{
    struct text result = text;
    enum status status = STATUS_OK;
    if (text.length > 0 && memchr(text.bytes, '\r', text.length) != NULL)
        status = drop_carriage_returns(text, arena, &result);
    if (status == STATUS_OK && !is_ascii(result) && !is_below_combining(result))
        status = map_text(result, UTF8PROC_STABLE | UTF8PROC_COMPOSE, arena, &result);
    if (status == STATUS_OK)
        *out_text = result;
    return status;
}

/* ASCII is its own NFKC, and its case folding is to lower case. */
static enum status fold_ascii(struct text text, struct arena *arena, struct text *out_text)
{
    char *bytes = arena_alloc(arena, text.length);
    if (bytes == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < text.length; i++) {
        char byte = text.bytes[i];
        bytes[i] = (char)(byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte);
    }
    *out_text = (struct text){bytes, text.length};
    return STATUS_OK;
}

/*
 * Two passes. Folding while composing, as one call can, gives another text wherever folding undoes
 * a composition: U+0390 folds to three code points, which that call would compose again.
 */
enum status text_fold(struct text text, struct arena *arena, struct text *out_text)
{
    if (is_ascii(text))
        return fold_ascii(text, arena, out_text);
    struct text normal;
    utf8proc_option_t nfkc = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT;
    enum status status = map_text(text, nfkc, arena, &normal);
    if (status != STATUS_OK)
        return status;
    return map_text(normal, UTF8PROC_CASEFOLD, arena, out_text);
}

/* `length` bytes that are one well-formed sequence. */
static uint32_t decode(const unsigned char *bytes, size_t length)
{
    switch (length) {
    case 1:
        return bytes[0];
    case 2:
        return (bytes[0] & 0x1fu) << 6 | (bytes[1] & 0x3fu);
    case 3:
        return (bytes[0] & 0x0fu) << 12 | (bytes[1] & 0x3fu) << 6 | (bytes[2] & 0x3fu);
    default:
        return (bytes[0] & 0x07u) << 18 | (bytes[1] & 0x3fu) << 12 | (bytes[2] & 0x3fu) << 6 |
               (bytes[3] & 0x3fu);
    }
}

bool text_read(struct text text, size_t *offset, uint32_t *out_point)
{
    assert(*offset < text.length);
    const unsigned char *bytes = (const unsigned char *)text.bytes + *offset;
    size_t length = bytes[0] < 0x80 ? 1 : sequence_length(bytes, text.length - *offset);
    if (length == 0)
        return false;
    *offset += length;
    *out_point = decode(bytes, length);
    return true;
}

uint32_t text_next(struct text text, size_t *offset)
{
    uint32_t point = 0;
    bool is_read = text_read(text, offset, &point);
    assert(is_read); /* the text is clean */
    return point;
}

static enum text_class class_of_ascii(uint32_t code_point)
{
    if (code_point >= '0' && code_point <= '9')
        return TEXT_NUMBER;
    uint32_t lower = code_point | 0x20;
    return lower >= 'a' && lower <= 'z' ? TEXT_LETTER : TEXT_OTHER;
}

enum text_class text_class_of(uint32_t code_point)
{
    if (code_point < 0x80)
        return class_of_ascii(code_point);
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code_point);
    if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO)
        return TEXT_LETTER;
    if (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO)
        return TEXT_NUMBER;
    return TEXT_OTHER;
}

bool text_is_upper(uint32_t code_point)
{
    if (code_point < 0x80)
        return code_point >= 'A' && code_point <= 'Z';
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code_point);
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LT;
}
