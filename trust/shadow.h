/*
 * shadow.h - what each threshold would have done with the lookups of one scope, and what verdicts
 * say of it: those on hits and those on near misses, so that more is known than the threshold in
 * force lets through. Counts alone, by the thresholds of curve.h. Threads: any; no lock. A view
 * taken while others count may lack their last ones; it never contradicts itself.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trust/curve.h"

struct shadow; /* 1.2 KiB */
/* NULL: memory is spent. */
struct shadow *shadow_create(void);
void shadow_destroy(struct shadow **shadow);

/* A lookup that met a candidate. similarity: of the best one that floor and guard let pass;
 * negative: there was none. */
void shadow_see(struct shadow *shadow, float similarity);
/* A verdict on a decision: whether the answer of the candidate, so similar, was right. */
void shadow_label(struct shadow *shadow, float similarity, bool right, bool guard_blocked);

struct shadow_view {
    uint64_t would[CURVE_POINTS]; /* lookups whose highest threshold this is */
    struct curve verdicts;        /* a pair: one verdict; same: right           */
};
/* Adds its counts to those of the view. */
void shadow_add_to(const struct shadow *shadow, struct shadow_view *view);

struct shadow_point {
    uint64_t would_hits;         /* lookups that this threshold would have answered           */
    struct curve_point verdicts; /* hits: of verdicts on pairs that it would have served      */
    double agreement; /* of all verdicts, those it goes with: serves the right, withholds the wrong;
                         0 without verdicts */
};
/* index below CURVE_POINTS, from 0.50 up. */
struct shadow_point shadow_point(const struct shadow_view *view, size_t index);
