/*
 * job.h - one text that waits for its vector. The memory is the caller's, and so are the text and
 * the floats it points to; the embedder's from embedder_submit until done.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"

struct embedder;

struct embed_job {
    struct text text;     /* clean UTF-8                                                    */
    float *out_unit;      /* dimension floats of length 1 when the status is OK             */
    uint64_t deadline_us; /* of the embedder's clock; 0: none                               */
    bool bulk;            /* nobody waits for it: in small packs between the others         */
    void (*done)(struct embed_job *job, enum status status); /* once; the job may be gone after */

    struct embed_job *next; /* of whoever has the job */

    /* The embedder's own; nobody sets them. */
    struct embedder *embedder;
    void (*caller_done)(struct embed_job *job, enum status status);
    enum status status;
    uint32_t tokens; /* estimated */
};
