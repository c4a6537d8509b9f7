/*
 * embed_desk.h - the embedder, the guard and the policy that a server with the same options has,
 * here and without a server: what embed and similarity work with. Threads: the main thread.
 */
#pragma once
#include "base/arena.h"
#include "base/options.h"
#include "clients/cli/verbs.h"
#include "embed/embedder.h"
#include "trust/policy.h"

enum { DESK_TEXTS_MAX = 2, DESK_NAME_BYTES = 80 };

struct desk { /* all zero is nothing */
    struct options *options;
    struct pool *pool; /* of one thread; a remote embedder wants it */
    struct embedder *embedder;
    struct arena *arena;
    char name[DESK_NAME_BYTES]; /* of the space: "minilm-l6-int8-53aa5117" */
    char space[EMBED_SPACE_HEX + 1];
    struct policy_settings policy;
    struct text texts[DESK_TEXTS_MAX]; /* as a server would compare them */
    float *units[DESK_TEXTS_MAX];      /* length 1 */
    uint64_t tokens; /* of all texts, as a remote embedder's replies count them                  */
    bool has_tokens; /* false: it does not say, or it is none                                    */
};

/*
 * Opens the embedder and takes the first `texts_count` words of the command line. Options come from
 * REPRISE_EMBED_*, REPRISE_SEMANTIC_*, REPRISE_ADAPTIVE_* and REPRISE_GUARD_*, as the server's do;
 * flags speak last. Anything but VERB_DONE has been said to the user. Close it in any case.
 */
enum verb_exit desk_begin(const struct cli *cli, const struct arguments *arguments,
                          size_t texts_count, struct desk *desk);
void desk_close(struct desk *desk);
