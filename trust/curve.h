/*
 * curve.h - what each threshold would have done with pairs of prompts of which somebody knows
 * whether one's answer serves the other: how many hits, how many of them wrong, how sure that is;
 * and which threshold keeps an error below a bound. Counts alone are kept, so that a million pairs
 * take no more room than one. Plain data without a lock. Threads: the owner's.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trust/interval.h"

/* The thresholds: 0.50, 0.51 ... 0.99. They are the same for all pairs, so that none is chosen to
 * fit them. */
enum { CURVE_POINTS = 50, CURVE_FIRST_PERCENT = 50 };

struct curve {
    uint64_t pairs, same;                       /* same: of the pairs                           */
    uint64_t guard_blocked, guard_blocked_same; /* no threshold serves them; wrongly withheld   */
    /* Pairs whose highest threshold this is; of them, those whose answers differ. */
    uint64_t hits[CURVE_POINTS], wrong[CURVE_POINTS];
};

/* How many of the thresholds are at or below it: 0 to CURVE_POINTS. */
size_t curve_reached(float similarity);
/* Takes a pair in. similarity: their cosine. */
void curve_add(struct curve *curve, float similarity, bool same, bool guard_blocked);

struct curve_point {
    float threshold;
    uint64_t hits, wrong; /* pairs at or above it with a clean guard; of them, different answers */
    double hit_rate;      /* hits / pairs; 0 without pairs                                 */
    double error_all;     /* wrong / pairs                                                 */
    struct interval error_hit; /* wrong / hits, 95 %                                            */
};
/* index below CURVE_POINTS, from 0.50 up. */
struct curve_point curve_point(const struct curve *curve, size_t index);

/*
 * The lowest threshold of which the pairs prove, with 95 % confidence, that at most `error_max` of
 * its hits are wrong (0 < error_max < 1); never one lower than its lowest hit asks for. Valid for
 * pairs drawn as questions will come; which threshold is looked at last does not matter (curve.c).
 * False: none, for the pairs are too few or too often wrong.
 */
bool curve_choose(const struct curve *curve, double error_max, size_t *out_index);
/* So many hits prove error_max if none of them is wrong; with fewer there is nothing to choose. */
uint64_t curve_hits_needed(double error_max);
