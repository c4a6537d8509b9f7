/*
 * codec_plain.c - the Get that nearly every caller sends, read in one pass: an identity of texts
 * that stand once, and nothing else.
 *
 * Why beside the general way (check, unpack, copy): that costs 190 ns, this 40, and an item of a
 * batch has no more than some 500 in all. It refuses nothing and decides nothing: where a message
 * is anything but plain, broken ones included, the answer is false and the general way takes it
 * from the start. So there is one place that words refusals. The tests and fuzz_codec hold the two
 * against each other. Owns nothing; the texts lie in `bytes`. Threads: any.
 */
#include "server/codec_internal.h"

enum { GET_IDENTITY = 1 };

/* The texts of an Identity. Its lists, and params, are not plain. */
enum {
    IDENTITY_NAMESPACE = 1,
    IDENTITY_MODEL = 2,
    IDENTITY_PROMPT = 3,
    IDENTITY_SYSTEM_PROMPT = 5,
    IDENTITY_TOOLS_JSON = 7,
    IDENTITY_TOOL_CHOICE_JSON = 8,
    IDENTITY_RESPONSE_FORMAT_JSON = 9,
    IDENTITY_EMBEDDER = 12,
    IDENTITY_END
};
static const uint32_t plain_fields = 1U << IDENTITY_NAMESPACE | 1U << IDENTITY_MODEL |
                                     1U << IDENTITY_PROMPT | 1U << IDENTITY_SYSTEM_PROMPT |
                                     1U << IDENTITY_TOOLS_JSON | 1U << IDENTITY_TOOL_CHOICE_JSON |
                                     1U << IDENTITY_RESPONSE_FORMAT_JSON | 1U << IDENTITY_EMBEDDER;

/* out_texts: by field number, all empty before. */
static bool read_texts(const uint8_t *at, const uint8_t *end, struct text out_texts[IDENTITY_END])
{
    uint32_t left = plain_fields;
    while (at != end) {
        struct wire_field field;
        if (!wire_next(&at, end, &field) || field.number >= IDENTITY_END)
            return false;
        const uint32_t bit = 1U << field.number;
        const struct text text = {(const char *)field.payload, field.length};
        if ((left & bit) == 0 || field.type != WIRE_LENGTH ||
            !text_is_clean(text.bytes, text.length))
            return false;
        left &= ~bit;
        out_texts[field.number] = text;
    }
    return true;
}

bool codec_plain_get(struct text bytes, struct cache_get_request *out)
{
    if (bytes.length == 0)
        return false;
    const uint8_t *at = (const uint8_t *)bytes.bytes, *end = at + bytes.length;
    struct wire_field field;
    if (!wire_next(&at, end, &field) || at != end || field.number != GET_IDENTITY ||
        field.type != WIRE_LENGTH)
        return false;
    struct text texts[IDENTITY_END] = {{NULL, 0}};
    if (!read_texts(field.payload, field.payload + field.length, texts))
        return false;
    *out = (struct cache_get_request){
        .identity = {.namespace_ = texts[IDENTITY_NAMESPACE],
                     .model = texts[IDENTITY_MODEL],
                     .prompt = texts[IDENTITY_PROMPT],
                     .system_prompt = texts[IDENTITY_SYSTEM_PROMPT],
                     .embedder = texts[IDENTITY_EMBEDDER],
                     .tools_json = texts[IDENTITY_TOOLS_JSON],
                     .tool_choice_json = texts[IDENTITY_TOOL_CHOICE_JSON],
                     .response_format_json = texts[IDENTITY_RESPONSE_FORMAT_JSON]}};
    return true;
}
