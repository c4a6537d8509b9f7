/*
 * verbs.c - the verbs and their flags, as tables. To add a verb: a row here, a function in a
 * verbs_*.c, its prototype in verbs.h. Threads: any; constant. NOT HERE. The way from a command
 * line to a verb (command.c), what the flags of a question mean (ask.c).
 */
#include "clients/cli/verbs.h"

#include "clients/cli/ask.h"

#define TABLE(rows)                                                                                \
    {                                                                                              \
        (rows), sizeof(rows) / sizeof((rows)[0])                                                   \
    }
#define ROWS(rows) (sizeof(rows) / sizeof((rows)[0]))
#define IDENTITY                                                                                   \
    {                                                                                              \
        ask_identity_rows, ASK_IDENTITY_ROWS                                                       \
    }
enum { ANY_WORDS = 1000 };

/* clang-format off */
const struct flag_row verb_flags[] = {
    {"endpoint", "HOST:PORT",  false, "the server; else REPRISE_ENDPOINT, else 127.0.0.1:7371"},
    {"output",   "table|json", false, "-o json: one JSON document instead of lines for people"},
    {"timeout",  "TIME",       false, "how long to wait for a reply (5s)"},
};
const size_t verb_flags_count = ROWS(verb_flags);

static const struct flag_row get_rows[] = {
    {"print-json",   NULL,         false, "print the call's body for grpcurl -d or ghz -d, and call nobody"},
    {"no-cache",     NULL,         false, "do not look: the answer is to be made anew"},
    {"bypass",       NULL,         false, "the same, and it is not to be stored"},
    {"only-if-cached", NULL,       false, "whatever comes, no answer will be made"},
    {"max-age",      "TIME",       false, "only an answer stored less long ago"},
    {"min-fresh",    "TIME",       false, "only an answer that has so much time left"},
    {"max-stale",    "TIME",       false, "also one that is past its time by at most so much"},
    {"lease",        "first|wait", false, "on a miss: be told to compute, or learn of, or wait for, who does"},
    {"wait",         "TIME",       false, "with --lease wait: at most so long (1min)"},
    {"hold",         "TIME",       false, "how long the lease is yours (30s)"},
    {"stream",       NULL,         false, "print the answer as it comes; -o json: a line a message"},
    {"batch",        "FILE",       false, "a question a line; - reads standard input"},
    {"batch-size",   "N",          false, "at most so many lines a call (256)"},
    {"pace",         "TOKENS",     false, "with --stream: so many a second"},
};
static const struct flag_row search_rows[] = {
    {"vector",       "N,N,...",    false, "your own vector of the question"},
    {"top-k",        "N",          false, "how many, up to 100 (10)"},
    {"min-similarity", "NUMBER",   false, "0 to 1: nothing below"},
    {"any-compatibility", NULL,    false, "entries with other system prompts, parameters, ... too"},
    {"exhaustive",   NULL,         false, "look at every row, whatever index there is"},
    {"answers",      NULL,         false, "print their answers too"},
};
static const struct flag_row explain_rows[] = {
    {"against",      "ID",         false, "compare with this entry; else the server chooses the nearest"},
};
static const struct flag_row set_rows[] = {
    {"content",      "TEXT",       false, "the answer; - reads standard input"},
    {"file",         "PATH",       false, "the answer, from a file"},
    {"content-type", "TYPE",       false, "such as text/markdown or image/png; without it: text"},
    {"ttl",          "TIME",       false, "how long it may be served, such as 10min; else the server's 24h"},
    {"sliding",      NULL,         false, "each hit gives it that time anew"},
    {"sliding-max",  "TIME",       false, "until so long after now; else the server's longest"},
    {"stale-while-revalidate", "TIME", false, "so long past its time it is still served, as stale"},
    {"stale-if-error", "TIME",     false, "so long past its time it is kept for get --max-stale"},
    {"pinned",       NULL,         false, "never evicted; it expires all the same"},
    {"if-absent",    NULL,         false, "only if there is none within its time"},
    {"negative",     NULL,         false, "it is the model's error: repeated for 60 s at most"},
    {"no-store",     NULL,         false, "do not keep it"},
    {"depends-on",   "ID@VERSION", true,  "for invalidate --depends-on; may be repeated"},
    {"tag",          "TAG",        true,  "for invalidate --tag; may be repeated"},
    {"metadata",     "NAME=VALUE", true,  "given back on hits; may be repeated"},
    {"vector",       "N,N,...",    false, "your own vector of the question"},
    {"ack",          "LEVEL",      false, "wait until it is in memory, logged or synced; else the server's choice"},
    {"lease",        "TOKEN",      false, "of the get that told you to compute"},
    {"stream",       NULL,         false, "send standard input as it comes; it is stored at its end"},
    {"batch",        "FILE",       false, "a question, a tab and its answer a line; - reads standard input"},
    {"batch-size",   "N",          false, "at most so many lines a call (256)"},
};
static const struct flag_row namespace_rows[] = {
    {"tier",         "TIER",       false, "only this one is asked and filled: exact, semantic, or all"},
    {"policy",       "MODE",       false, "off, static, adaptive, shadow, or default"},
    {"threshold",    "N",          false, "from which similarity on static serves; given with --policy or alone"},
    {"ttl",          "TIME",       false, "life of an entry whose Set names none; or default"},
    {"ttl-max",      "TIME",       false, "the longest life that a Set may ask for; or default"},
    {"bytes-max",    "SIZE",       false, "what its entries may take; or default: no budget of its own"},
    {"entries-max",  "N",          false, "how many there may be; or default: no budget of its own"},
    {"eviction",     "RULE",       false, "who leaves over its budget: s3fifo, lru, lfu_aging, or default"},
    {"temperature-max", "N",       false, "warmer requests are exact only; or default: 0"},
    {"user-turns-max", "N",        false, "longer talks are exact only; or default: 1"},
    {"ack",          "LEVEL",      false, "of a Set that names none: memory, logged, synced, or default"},
    {"confirm",      "NAME",       false, "drop needs its name once more"},
    {"embedder",     "WHO",        false, "makes the missing vectors: lexical, client (nobody does), or default"},
    {"index-kind",   "KIND",       false, "how its vectors are searched: auto, flat, hnsw, ivf, or default"},
    {"ef-search",    "N",          false, "of graphs: how far a search looks; or default"},
    {"nprobe",       "N",          false, "of lists: how many are searched; or default"},
};
static const struct flag_row policy_rows[] = {
    {"mode",         "MODE",       false, "set: off, static, adaptive, shadow, or default"},
    {"min-similarity", "N",        false, "set: what is less similar is no candidate; else the embedder's floor"},
    {"threshold",    "N",          false, "set: from which similarity on static serves"},
    {"initial",      "N",          false, "set: where adaptive begins"},
    {"min",          "N",          false, "set: how far right verdicts lower its threshold"},
    {"max",          "N",          false, "set: how far wrong ones raise it"},
    {"step",         "N",          false, "set: how far one verdict moves it"},
    {"names-off",    NULL,         false, "set: names that differ do not block"},
    {"if-version",   "N",          false, "set: only if the namespace still has this version"},
    {"model",        "NAME",       false, "describe: of this model's scopes"},
};
static const struct flag_row calibrate_rows[] = {
    {"namespace",    "NAME",       false, "whose guard holds, and whose policy --apply changes"},
    {"bound",        "N",          false, "which share of hits may be wrong, 0 to 1; 0.02"},
    {"apply",        NULL,         false, "make the recommended threshold that of the policy"},
};
static const struct flag_row config_rows[] = {
    {"dry-run",      NULL,         false, "set, reset: look whether it could be done, and change nothing"},
};
static const struct flag_row shadow_rows[] = {
    {"model",        "NAME",       false, "only of this model's scopes"},
};
static const struct flag_row del_rows[] = {
    {"id",           "ID",         true,  "an entry id, instead of the question; may be repeated"},
};
static const struct flag_row invalidate_rows[] = {
    {"namespace",    "NAME",       false, "only of this namespace"},
    {"model",        "NAME",       false, "only of this model"},
    {"tag",          "TAG",        true,  "that has this tag; repeated: one of them"},
    {"older-than",   "TIME",       false, "stored longer ago than this, such as 7d"},
    {"depends-on",   "ID",         false, "that was made from this"},
    {"version-not",  "VERSION",    false, "with --depends-on: from another version than this one"},
    {"make-stale",   NULL,         false, "end their time instead of removing them"},
    {"dry-run",      NULL,         false, "count and show ten of them, remove nothing"},
    {"confirm",      "NAME",       false, "a whole namespace needs its name once more"},
};
static const struct flag_row touch_rows[] = {
    {"ttl",          "TIME",       false, "how long they may be served from now on; else the server's 24h"},
    {"namespace",    "NAME",       false, "where they are; without it: default"},
};
static const struct flag_row scan_rows[] = {
    {"namespace",    "NAME",       false, "only of this namespace"},
    {"model",        "NAME",       false, "only of this model"},
    {"tag",          "TAG",        true,  "that has this tag; repeated: one of them"},
    {"older-than",   "TIME",       false, "stored longer ago than this, such as 7d"},
    {"limit",        "N",          false, "stop after so many entries"},
    {"vectors",      NULL,         false, "with their vectors (in JSON)"},
    {"cursor",       "CURSOR",     false, "go on where a walk broke off; it says with which"},
};
static const struct flag_row import_rows[] = {
    {"overwrite",    NULL,         false, "in the place of entries that are there; else those are kept"},
    {"dry-run",      NULL,         false, "look and count, store nothing"},
};
static const struct flag_row top_rows[] = {
    {"namespace",    "NAME",       false, "of this namespace; without it: of the whole server"},
    {"interval",     "TIME",       false, "between two lines (1s)"},
    {"count",        "N",          false, "stop after so many lines"},
};
static const struct flag_row entry_rows[] = {
    {"vector",       NULL,         false, "with its vector"},
};
static const struct flag_row monitor_rows[] = {
    {"namespace",    "NAME",       false, "only of this namespace"},
    {"result",       "RESULT",     true,  "only hit, miss, stale, negative, stored or skipped; may be repeated"},
    {"rate",         "N",          false, "at most so many a second (100); what is left out is counted"},
    {"count",        "N",          false, "stop after so many"},
};
static const struct flag_row stats_rows[] = {
    {"watch",        NULL,         false, "again and again, until somebody ends it"},
    {"interval",     "TIME",       false, "with --watch: from one to the next (1s)"},
    {"count",        "N",          false, "with --watch: stop after so many"},
    {"namespace",    "NAME",       false, "of this namespace; without it: of the whole server"},
};
static const struct flag_row feedback_rows[] = {
    {"source",       "WHO",        false, "user (without it) or operator"},
    {"file",         "PATH",       false, "a token and a verdict a line, instead of both; - reads standard input"},
    {"reporter",     "HASH",       false, "a hash of the end user; verdicts a minute are limited by it"},
    {"id",           "TEXT",       false, "comes back in the reply"},
};
static const struct flag_row health_rows[] = {
    {"service",      "NAME",       false, "such as reprise.v1.Cache; without it: the server as a whole"},
};
static const struct flag_row replay_rows[] = {
    {"model",        "NAME",       false, "ask and store under this model (demo)"},
    {"namespace",    "NAME",       false, "and in this namespace"},
    {"limit",        "N",          false, "only the first N rows"},
    {"concurrency",  "N",          false, "calls in flight, 1 to 64 (1)"},
    {"ack",          "LEVEL",      false, "store each answer in memory, logged or synced; else the server's choice"},
    {"patience",     "TIME",       false, "a call that finds no server is made again for so long (0)"},
    {"examples",     NULL,         false, "show three semantic hits and one blocked opposite"},
};
static const struct flag_row encode_rows[] = {
    {"raw",          NULL,         false, "the bytes themselves instead of hex"},
    {"grpc-frame",   "PATH",       false, "write a Get's body as it travels, for h2load -d PATH"},
};

static const struct flag_row embed_rows[] = {
    {"provider",     "NAME",       false, "auto (without it), lexical, local, openai, tei or ollama"},
    {"embedder",     "MODEL",      false, "a model in the folder, or a path (minilm-l6), or the remote one's name"},
    {"folder",       "PATH",       false, "where models lie; else REPRISE_EMBED_FOLDER"},
    {"precision",    "KIND",       false, "auto (without it), int8 or fp32"},
    {"url",          "URL",        false, "where a remote embedder answers"},
    {"key-file",     "PATH",       false, "holds its key"},
    {"dimensions",   "N",          false, "numbers in its vectors; without it: as it answers"},
};
static const struct flag_row similarity_rows[] = {
    {"mode",         "MODE",       false, "the policy: off, static, adaptive or shadow"},
    {"threshold",    "N",          false, "from which similarity on static serves"},
};

const struct verb_row verb_rows[] = {
    {"get", "QUESTION", ANY_WORDS, "ask the cache; exit 3 on a miss",
     "reprise get --model gpt-4o-mini \"How do I reset my password?\"",
     {IDENTITY, {ask_get_rows, ASK_GET_ROWS}, TABLE(get_rows)}, verb_get},
    {"set", "QUESTION", ANY_WORDS, "store an answer",
     "reprise set --model gpt-4o-mini \"How do I reset my password?\" --content \"Under Settings.\"",
     {IDENTITY, TABLE(set_rows)}, verb_set},
    {"lease", "release TOKEN", 2, "give a lease back: the next who waits computes",
     "reprise lease release TOKEN", {{NULL, 0}}, verb_lease},
    {"del", "[QUESTION]", ANY_WORDS, "remove entries by id or by question",
     "reprise del --model gpt-4o-mini \"How do I reset my password?\"",
     {IDENTITY, TABLE(del_rows)}, verb_del},
    {"search", "QUESTION", ANY_WORDS, "the stored questions nearest to one; serves and counts nothing",
     "reprise search --model gpt-4o-mini \"password\" --top-k 5",
     {IDENTITY, TABLE(search_rows)}, verb_search},
    {"explain", "QUESTION", ANY_WORDS, "why a get hits or misses, step by step; changes nothing",
     "reprise explain --model gpt-4o-mini \"How do I reset my password?\"",
     {IDENTITY, {ask_get_rows, ASK_GET_ROWS}, TABLE(explain_rows)}, verb_explain},
    {"invalidate", "", 0, "remove every entry that matches",
     "reprise invalidate --tag pricing --dry-run",
     {TABLE(invalidate_rows)}, verb_invalidate},
    {"touch", "ID...", ANY_WORDS, "give entries a new time to live; exit 3 if one is missing",
     "reprise touch 818c7086e0... --ttl 1h", {TABLE(touch_rows)}, verb_touch},
    {"scan", "", 0, "list what is stored; -o json: one line of JSON an entry",
     "reprise scan --namespace default --limit 20", {TABLE(scan_rows)}, verb_scan},
    {"entry", "ID", 1, "one stored entry by its id, with its answer",
     "reprise entry 5d27568e4bdd58c93bf0db86cf5f5ae4678f6ae123eb553c944601d6eef1061a",
     {TABLE(entry_rows)}, verb_entry},
    {"export", "FILE", 1, "write what is stored as JSON lines, answers included",
     "reprise export answers.jsonl --namespace default", {TABLE(scan_rows)}, verb_export},
    {"import", "FILE", 1, "store the lines of an export again, here or elsewhere",
     "reprise import answers.jsonl", {TABLE(import_rows)}, verb_import},
    {"stats", "", 0, "what the cache has done so far",
     "reprise stats", {TABLE(stats_rows)}, verb_stats},
    {"top", "", 0, "what the cache is doing now: a line of rates a second",
     "reprise top --interval 5s", {TABLE(top_rows)}, verb_top},
    {"monitor", "", 0, "decisions as they are made: hits, misses and why, what was stored",
     "reprise monitor --result miss", {TABLE(monitor_rows)}, verb_monitor},
    {"feedback", "TOKEN VERDICT", 2, "say whether an answer was correct, wrong, unsure or stale",
     "reprise feedback TOKEN wrong", {TABLE(feedback_rows)}, verb_feedback},
    {"health", "", 0, "ask whether the server is serving; exit 4 if not",
     "reprise health", {TABLE(health_rows)}, verb_health},
    {"snapshot", "create [NAME]|list|delete NAME", 2, "all that lives, as files to start from",
     "reprise snapshot create before-upgrade", {{NULL, 0}}, verb_snapshot},
    {"compact", "", 0, "rewrite the server's log without what is dead in it",
     "reprise compact", {{NULL, 0}}, verb_compact},
    {"namespace", "create|get|update|drop NAME, list", 2, "settings of namespaces, and their end",
     "reprise namespace create faq --ttl 7d --entries-max 100000", {TABLE(namespace_rows)}, verb_namespace},
    {"policy", "get|set|describe [NAMESPACE]", 2, "when a similar prompt's answer serves",
     "reprise policy set default --mode static --threshold 0.92", {TABLE(policy_rows)}, verb_policy},
    {"calibrate", "FILE", 1, "find a threshold from labelled pairs of prompts, one a line",
     "reprise calibrate pairs.tsv --bound 0.02", {TABLE(calibrate_rows)}, verb_calibrate},
    {"shadow", "[NAMESPACE]", 1, "what each threshold would have served, and how rightly",
     "reprise shadow default --model gpt-4o-mini", {TABLE(shadow_rows)}, verb_shadow},
    {"config", "get [PREFIX]|set NAME=VALUE|reset NAME", ANY_WORDS, "options; some change while it runs",
     "reprise config set lease.hold=1min semantic.policy=adaptive", {TABLE(config_rows)}, verb_config},
    {"replay", "FILE", 1, "get each question of a TSV file, set each miss, and count",
     "reprise replay examples/support.tsv --examples", {TABLE(replay_rows)}, verb_replay},
    {"key", "QUESTION", ANY_WORDS, "compute the keys of a question, without a server",
     "reprise key --model gpt-4o-mini \"How do I reset my password?\"",
     {IDENTITY}, verb_key},
    {"encode", "QUESTION", ANY_WORDS, "print its canonical bytes, or write a call's body",
     "reprise encode --model gpt-4o-mini \"hi\" --grpc-frame get.bin",
     {IDENTITY, TABLE(encode_rows)}, verb_encode},
    {"embed", "TEXT", 1, "the vector of a text, without a server",
     "reprise embed \"How do I reset my password?\" -o json", {TABLE(embed_rows)}, verb_embed},
    {"similarity", "TEXT TEXT", 2, "how near two texts are, and whether the guard lets them pass",
     "reprise similarity \"How do I turn it on?\" \"How do I turn it off?\"",
     {TABLE(embed_rows), TABLE(similarity_rows)}, verb_similarity},
    {"fsck", "FOLDER", 1, "check a data folder, without a server; exit 1: damage",
     "reprise fsck data", {{NULL, 0}}, verb_fsck},
    {"dump", "FOLDER", 1, "the records of a data folder as JSON lines, prompts and all",
     "reprise dump data", {{NULL, 0}}, verb_dump},
    {"help", "[VERB]", 1, "this list, or all about one verb",
     "reprise help get", {{NULL, 0}}, verb_help},
    {"version", "", 0, "print the version",
     "reprise version", {{NULL, 0}}, verb_version},
};
/* clang-format on */
const size_t verb_rows_count = ROWS(verb_rows);
