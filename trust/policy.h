/*
 * policy.h - may this candidate serve? One table of functions a policy: off, static, adaptive. The
 * guard runs first, whatever the policy. A scope's state (ring of verdicts, live cut) lives behind
 * struct policy_scope. Threads: any; decide takes no lock, label takes CERTIFY.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/options.h"
#include "base/status.h"
#include "trust/guard.h"

enum policy_mode { /* as in proto, minus one */
                   POLICY_OFF,
                   POLICY_STATIC,
                   POLICY_ADAPTIVE,
                   POLICY_SHADOW, /* decides as static does, and serves nothing */
};

/* What the operator chose; NaN where unset: the embedder's threshold t decides (t, t - 0.05, min(t
 * + 0.04, 0.99)), and its noise floor. */
struct policy_settings {
    enum policy_mode mode;
    float min_similarity; /* what is less similar is no candidate, wherever the threshold stands */
    float static_threshold;
    float adaptive_initial, adaptive_min, adaptive_max, adaptive_step;
    unsigned guard_rules; /* GUARD_ALL, or without GUARD_NAMES */
};

/* What a namespace or a scope wants otherwise; 0 and NaN: nothing. */
struct policy_wishes {
    unsigned mode; /* enum policy_mode, plus one: as in proto */
    float min_similarity;
    float static_threshold;
    float adaptive_initial, adaptive_min, adaptive_max, adaptive_step;
    unsigned guards_off; /* GUARD_NAMES, or none */
};
extern const struct policy_wishes policy_wishes_none;
bool policy_wishes_equal(const struct policy_wishes *a, const struct policy_wishes *b);
bool policy_settings_equal(const struct policy_settings *a, const struct policy_settings *b);
/* The settings, with what is wished in their place. */
void policy_settings_overlay(struct policy_settings *settings, const struct policy_wishes *wishes);
/* With nothing left open: what decides under them for vectors of an embedder with this threshold
 * and noise floor. */
void policy_settings_effective(const struct policy_settings *settings, float embedder_threshold,
                               float embedder_floor, struct policy_wishes *out_effective);
/* STATUS_BAD_THRESHOLD: the adaptive limits contradict each other. */
enum status policy_settings_check(const struct policy_settings *settings, struct failure *failure);

/* semantic.policy, semantic.min_similarity, semantic.static_threshold, adaptive.*, guard.names */
extern const struct option_row policy_option_rows[];
extern const size_t policy_option_rows_count;
/* STATUS_BAD_OPTION with a sentence in failure: initial outside min..max, for instance. */
enum status policy_settings_read(const struct options *options,
                                 struct policy_settings *out_settings, struct failure *failure);

struct policy_scope;
/* embedder_threshold: t of the scope's space. */
enum status policy_scope_create(const struct policy_settings *settings, float embedder_threshold,
                                struct policy_scope **out_scope);
void policy_scope_destroy(struct policy_scope **scope);
/* From now on by these settings. The ring stays; the live cut is brought within their limits, and
 * begins anew where the initial one has changed. */
void policy_scope_configure(struct policy_scope *scope, const struct policy_settings *settings);

struct candidate { /* a near row, best first */
    float similarity;
    const struct guard_signature *signature;
};

enum policy_verdict {
    POLICY_SERVE,
    POLICY_BELOW_CUT,
    POLICY_GUARD_BLOCKED,
    POLICY_NO_CANDIDATE,
    POLICY_WOULD_SERVE, /* but for `shadow` */
};

enum { POLICY_TRIES_MAX = 3 }; /* clean candidates are looked for among this many */

struct decision {
    enum policy_verdict verdict;
    size_t chosen;   /* index of the candidate served or nearly served; valid unless NO_CANDIDATE */
    float threshold; /* the one used: the larger of the live cut and the request's              */
    unsigned guards; /* reasons of the chosen candidate (blocked), else of those passed over    */
    /* Whatever the threshold, of those that may be tried: the best similarity with a clean guard,
     * or -1; and the reasons against the first. Not with NO_CANDIDATE. */
    float clean_similarity;
    unsigned nearest_guards;
};

/*
 * Candidates below the floor do not count: the policy's min_similarity, or where that is unset the
 * embedder's, `embedder_floor`. The best one at or above the threshold with a clean guard
 * serves; if those above were all blocked: GUARD_BLOCKED with the best; if none reaches the
 * threshold: BELOW_CUT with the best.
 */
struct decision policy_decide(struct policy_scope *scope, const struct guard_signature *query,
                              const struct candidate *candidates, size_t count,
                              float embedder_floor, float request_min_similarity);

/* The same where there is no state of a scope's own: by settings alone. `adaptive` stands at its
 * initial threshold then. */
struct policy_terms {
    enum policy_mode mode;
    float threshold, min_similarity; /* the latter NaN: the embedder's */
    unsigned guard_rules;
};
struct policy_terms policy_settings_terms(const struct policy_settings *settings,
                                          float embedder_threshold);
struct decision policy_decide_by(const struct policy_terms *terms,
                                 const struct guard_signature *query,
                                 const struct candidate *candidates, size_t count,
                                 float embedder_floor, float request_min_similarity);

/* One verdict on a hit of this scope. Moves the cut under `adaptive`; the ring counts under every
 * policy. */
void policy_label(struct policy_scope *scope, bool right);

struct policy_view {
    enum policy_mode mode;
    float threshold;         /* live */
    float min_similarity;    /* NaN: the embedder's */
    uint32_t feedback_count; /* verdicts in the ring (100) */
    uint32_t feedback_right;
};
void policy_scope_view(struct policy_scope *scope, struct policy_view *out_view);

/* What outlives a restart: the ring, oldest verdict first, and the live cut. */
enum { POLICY_VERDICTS_MAX = 100 };
struct policy_memory {
    uint32_t cut; /* ten-thousandths */
    uint32_t verdicts_count;
    bool right[POLICY_VERDICTS_MAX];
};
void policy_scope_memory(struct policy_scope *scope, struct policy_memory *out_memory);
/* In the place of what the scope knows. The cut is brought within the limits of today. */
void policy_scope_remember(struct policy_scope *scope, const struct policy_memory *memory);
