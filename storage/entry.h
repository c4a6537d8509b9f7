/*
 * entry.h - one stored answer: an immutable, refcounted block. Nothing here knows prompts or
 * scopes; they are bytes and digests. The body is byte for byte what a journal's PUT record will
 * carry after its digest (layout in entry.c). Threads: any; whoever holds a reference may read.
 */
#pragma once
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"
#include "base/text.h"

enum { ENTRY_ID_BYTES = 16 };

struct entry;

/* Kept with the entry, in the journal too. */
enum entry_mark {
    ENTRY_PINNED = 1, /* never evicted, as long as there is room for pins      */
    ENTRY_TIMED = 2,  /* whoever finds it asks store_accepts whether it serves */
};
enum { ENTRY_MARKS_ALL = ENTRY_PINNED | ENTRY_TIMED };

struct entry_source {                      /* what entry_create copies */
    struct digest digest;                  /* the exact key                                   */
    uint8_t scope[ENTRY_ID_BYTES];         /* first half of the scope digest                  */
    uint8_t compatibility[ENTRY_ID_BYTES]; /* first half of the compatibility digest          */
    uint8_t tenant[ENTRY_ID_BYTES]; /* whose it is, for store_drop: a tenant's namespace         */
    uint64_t space;                 /* the vector space of its row; 0 = no vector      */
    int64_t created_ms;
    int64_t expires_ms;   /* 0 = never                                       */
    uint8_t marks;        /* of enum entry_mark                              */
    struct text metadata; /* opaque to storage/: cache/answer.c writes it    */
    struct text prompt;
    struct text answer;
};

/* One reference belongs to the caller. STATUS_NO_MEMORY. */
enum status entry_create(const struct entry_source *source, struct entry **out_entry);
/* From the bytes of a body, as a PUT record holds them; what that says of its vector is left out.
 * STATUS_BAD_MESSAGE: they are no body. STATUS_NO_MEMORY. */
enum status entry_create_from_body(const struct digest *digest, struct text body,
                                   int64_t expires_ms, struct entry **out_entry);
struct entry *entry_acquire(struct entry *entry); /* returns its argument */
void entry_release(struct entry *entry);          /* NULL is fine         */

const struct digest *entry_digest(const struct entry *entry);
const uint8_t *entry_scope(const struct entry *entry);         /* ENTRY_ID_BYTES */
const uint8_t *entry_compatibility(const struct entry *entry); /* ENTRY_ID_BYTES */
const uint8_t *entry_tenant(const struct entry *entry);        /* ENTRY_ID_BYTES */
uint64_t entry_space(const struct entry *entry);
uint64_t entry_sequence(const struct entry *entry); /* 0 until store_set has drawn it */
int64_t entry_created_ms(const struct entry *entry);
struct text entry_metadata(const struct entry *entry);
struct text entry_prompt(const struct entry *entry);
struct text entry_answer(const struct entry *entry);
uint8_t entry_marks(const struct entry *entry); /* of enum entry_mark, as it was made with */
uint64_t entry_charge_bytes(const struct entry *entry); /* header + body + allocator */
