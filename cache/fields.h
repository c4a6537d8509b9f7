/*
 * fields.h - the fields of an identity, each as a 32-bit sum of its canonical bytes: an entry keeps
 * those of its Set, so that Explain can say which field parts a request from it. The texts
 * themselves are not kept. Threads: any; pure.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "cache/answer.h"
#include "cache/key.h"
#include "storage/entry.h"

/* Of all fields but those that an entry keeps as text (namespace, model, prompt). In the arena, for
 * answer_pack. The key is canonical. STATUS_NO_MEMORY. */
enum status fields_pack(const struct key *key, struct arena *arena, struct text *out_packed);
/* Whether bytes from a disk, or from a client, are such a list. */
bool fields_are_whole(struct text packed);

enum { FIELDS_COUNT = 20 };

struct field_difference {
    const char *field;         /* as the proto spells it: "params.temperature"           */
    bool in_request, in_entry; /* one at least                                           */
    uint32_t request_sum, entry_sum;
};

struct fields_side { /* one of the two that are compared; texts are borrowed */
    struct text namespace_, model, prompt;
    bool has_fields;
    struct text fields; /* packed */
};
void fields_of_entry(const struct entry *entry, struct fields_side *out_side);

/*
 * Every field that one of the two has, in the order of identity; returns how many, and how many of
 * them differ. Where one side does not know its fields, only the texts are compared.
 */
size_t fields_compare(const struct fields_side *request, const struct fields_side *entry,
                      struct field_difference out_fields[FIELDS_COUNT], size_t *out_differ);
static inline bool field_differs(const struct field_difference *field)
{
    return field->in_request != field->in_entry || field->request_sum != field->entry_sum;
}

/* Why this request may use the exact tier alone whatever its namespace wants, as a phrase: "it
 * offers or calls tools". NULL: it might use both. The identity has been through key_make. */
const char *fields_why_exact_only(const struct identity *identity, const struct key_limits *limits,
                                  struct arena *arena);
