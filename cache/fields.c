/*
 * fields.c - an identity's fields, taken from the canonical bytes that key.c has written:
 *
 *     packed := elements of 5 bytes: code u8, sum u32 (CRC-32C of the field's bytes, little-endian)
 *
 * A code is the part's number (1 scope, 2 compatibility, 3 query, 6 the parameters inside of
 * compatibility) times 16, plus the field's tag. An absent field has no element; most requests have
 * none or two. Equal sums of different bytes are one in four billion, and cost a wrong word in an
 * explanation, nothing else. Owns nothing. Threads: any; pure.
 */
#include "cache/fields.h"

#include <endian.h>
#include <string.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "cache/key_form.h"

enum {
    ELEMENT_BYTES = 5,
    TENANT = 0x11,
    NAMESPACE = 0x12,
    MODEL = 0x13,
    PARAMS = 0x26,
    PARAMS_PART = 6,
    PROMPT = 0x31,
};

/* In the order in which a difference is named: what chooses the scope before what must be equal in
 * it, and that before what is compared by meaning. */
static const struct {
    uint8_t code;
    const char *name;
} names[FIELDS_COUNT] = {
    {NAMESPACE, "namespace"},
    {MODEL, "model"},
    {0x14, "embedder"},
    {0x15, "attributes"},
    {0x21, "system_prompt"},
    {0x22, "messages"},
    {0x23, "tools_json"},
    {0x24, "tool_choice_json"},
    {0x25, "response_format_json"},
    {0x61, "params.temperature"},
    {0x62, "params.top_p"},
    {0x63, "params.max_tokens"},
    {0x64, "params.seed"},
    {0x65, "params.n"},
    {0x66, "params.stop"},
    {0x67, "params.other_json"},
    {0x27, "context_ids"},
    {PROMPT, "prompt"},
    {0x32, "messages.name"},
    {0x33, "messages.content_json"},
};

/* ---- packing --------------------------------------------------------------------------------- */

/* Takes a field of key.c's encoding off the front. */
static struct text take_field(struct text *rest, uint8_t *out_tag)
{
    assert(rest->length >= KEY_FIELD_HEAD);
    uint32_t little;
    memcpy(&little, rest->bytes + 1, sizeof(little));
    const struct text field = {rest->bytes + KEY_FIELD_HEAD, le32toh(little)};
    assert(field.length <= rest->length - KEY_FIELD_HEAD);
    *out_tag = (uint8_t)rest->bytes[0];
    rest->bytes += KEY_FIELD_HEAD + field.length;
    rest->length -= KEY_FIELD_HEAD + field.length;
    return field;
}

struct packing {
    uint8_t bytes[FIELDS_COUNT * ELEMENT_BYTES];
    size_t used;
};

static void pack(struct packing *packing, uint8_t code, struct text field)
{
    assert(packing->used <= sizeof(packing->bytes) - ELEMENT_BYTES);
    const uint32_t little = htole32(crc32c(0, field.bytes, field.length));
    packing->bytes[packing->used] = code;
    memcpy(packing->bytes + packing->used + 1, &little, sizeof(little));
    packing->used += ELEMENT_BYTES;
}

static bool is_text_of_entry(uint8_t code)
{
    return code == TENANT || code == NAMESPACE || code == MODEL || code == PROMPT;
}

/* The fields inside one part, which is a field itself. */
static void pack_part(struct packing *packing, uint8_t part, struct text fields)
{
    while (fields.length > 0) {
        uint8_t tag;
        const struct text field = take_field(&fields, &tag);
        const uint8_t code = (uint8_t)(part << 4 | tag);
        if (code == PARAMS)
            pack_part(packing, PARAMS_PART, field);
        else if (!is_text_of_entry(code))
            pack(packing, code, field);
    }
}

static struct text inside(struct text part)
{
    uint8_t tag;
    const struct text fields = take_field(&part, &tag);
    assert(tag == 'S' || tag == 'C' || tag == 'Q');
    assert(part.length == 0);
    return fields;
}

enum status fields_pack(const struct key *key, struct arena *arena, struct text *out_packed)
{
    assert(key->canonical);
    struct packing packing = {.used = 0};
    pack_part(&packing, 1, inside(key->scope_bytes));
    pack_part(&packing, 2, inside(key->compatibility_bytes));
    pack_part(&packing, 3, inside(key->query_bytes));
    char *bytes = arena_alloc(arena, packing.used);
    if (bytes == NULL)
        return STATUS_NO_MEMORY;
    memcpy(bytes, packing.bytes, packing.used);
    *out_packed = (struct text){bytes, packing.used};
    return STATUS_OK;
}

bool fields_are_whole(struct text packed)
{
    return packed.length % ELEMENT_BYTES == 0 &&
           packed.length <= (size_t)FIELDS_COUNT * ELEMENT_BYTES;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static bool find_sum(struct text packed, uint8_t code, uint32_t *out_sum)
{
    assert(fields_are_whole(packed));
    for (size_t at = 0; at < packed.length; at += ELEMENT_BYTES) {
        if ((uint8_t)packed.bytes[at] != code)
            continue;
        uint32_t little;
        memcpy(&little, packed.bytes + at + 1, sizeof(little));
        *out_sum = le32toh(little);
        return true;
    }
    return false;
}

static bool sum_of(const struct fields_side *side, uint8_t code, uint32_t *out_sum)
{
    const struct text *text = NULL;
    if (code == NAMESPACE)
        text = &side->namespace_;
    else if (code == MODEL)
        text = &side->model;
    else if (code == PROMPT)
        text = &side->prompt;
    *out_sum = 0;
    if (text == NULL)
        return find_sum(side->fields, code, out_sum);
    *out_sum = crc32c(0, text->bytes, text->length);
    return text->length > 0;
}

void fields_of_entry(const struct entry *entry, struct fields_side *out_side)
{
    struct answer_view view;
    answer_view_read(entry_metadata(entry), &view);
    *out_side = (struct fields_side){.namespace_ = view.namespace_,
                                     .model = view.model,
                                     .prompt = entry_prompt(entry),
                                     .has_fields = view.has_fields,
                                     .fields = view.fields};
}

size_t fields_compare(const struct fields_side *request, const struct fields_side *entry,
                      struct field_difference out_fields[FIELDS_COUNT], size_t *out_differ)
{
    const bool all = request->has_fields && entry->has_fields;
    size_t count = 0, differ = 0;
    for (size_t i = 0; i < FIELDS_COUNT; i++) {
        if (!all && !is_text_of_entry(names[i].code))
            continue;
        struct field_difference *field = &out_fields[count];
        *field = (struct field_difference){.field = names[i].name};
        field->in_request = sum_of(request, names[i].code, &field->request_sum);
        field->in_entry = sum_of(entry, names[i].code, &field->entry_sum);
        if (!field->in_request && !field->in_entry)
            continue;
        differ += field_differs(field);
        count++;
    }
    assert(count <= FIELDS_COUNT);
    assert(differ <= count);
    *out_differ = differ;
    return count;
}

/* ---- why exact only -------------------------------------------------------------------------- */

const char *fields_why_exact_only(const struct identity *identity, const struct key_limits *limits,
                                  struct arena *arena)
{
    struct key_form form;
    struct failure failure = {.status = STATUS_OK};
    if (key_form_make(identity, limits, arena, &form, &failure) != STATUS_OK)
        return NULL; /* memory is spent: it was made before */
    if (!form.canonical)
        return "some of its JSON has no canonical form";
    if (form.query.length == 0 && form.query_content_json.length == 0)
        return "its last message is not a user's";
    if (form.query_content_json.length > 0)
        return "its last message has parts that are no plain text";
    return form.tool_talk ? "it offers or calls tools" : NULL;
}
