/*
 * job.h - one text that is to become a vector, for providers that answer later.
 * The caller's memory, the provider's from the moment it is handed in until done.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"

struct embedder;

struct embed_job {
    struct text text;     /* clean UTF-8; borrowed until done                            */
    float *out_unit;      /* the space's dimension; written only before done(STATUS_OK)  */
    uint64_t deadline_us; /* monotonic; 0: none                                          */
    bool bulk;            /* goes behind those that somebody waits for                   */
    /* Exactly once, on a thread of the provider, which must not be blocked. The job is the caller's
     * again: it may be freed or handed in anew. */
    void (*done)(struct embed_job *job, enum status status);

    struct embed_job *next; /* links jobs that are handed in together; then the provider's */
    uint32_t beside_max;    /* the provider's: texts that may share a request with this    */

    /* The embedder's while it has the job; nobody sets them. */
    struct embedder *embedder;
    void (*caller_done)(struct embed_job *job, enum status status);
    enum status status;
    uint32_t tokens;   /* estimated                      */
    uint64_t asked_us; /* monotonic: when it was handed in */
};
