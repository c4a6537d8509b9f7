/*
 * print.c - the replies of the cache verbs for people. Owns nothing. Threads: the main thread.
 * An answer is printed as it is, whatever it holds: it is the caller's own text. Prompts and
 * metadata beside it stand in lines of ours, so they are cut and cleaned. NOT HERE. Statistics
 * (print_stats.c), the figures of a replay (replay_print.c).
 */
#include "clients/cli/print.h"

#include <inttypes.h>
#include <string.h>

#include "clients/cli/units.h"

static bool continues_character(char byte)
{
    return ((unsigned char)byte & 0xC0) == 0x80;
}

static size_t characters(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++)
        count += !continues_character(*text);
    return count;
}

void print_clipped(FILE *out, const char *text, size_t columns)
{
    bool cut = characters(text) > columns;
    size_t left = cut && columns > 3 ? columns - 3 : columns;
    for (; *text != '\0' && (left > 0 || continues_character(*text)); text++) {
        if (!continues_character(*text))
            left -= 1;
        unsigned char byte = (unsigned char)*text;
        (void)fputc(byte < 0x20 || byte == 0x7F ? ' ' : byte, out);
    }
    if (cut)
        (void)fputs("...", out);
}

const char *print_words(const char *name, char out[64])
{
    size_t i = 0;
    for (; name[i] != '\0' && i < 63; i++) {
        char letter = name[i];
        if (letter >= 'A' && letter <= 'Z')
            letter = (char)(letter - 'A' + 'a');
        out[i] = letter == '_' ? ' ' : letter;
    }
    out[i] = '\0';
    return out;
}

static void label(FILE *out, const char *name)
{
    (void)fprintf(out, "%-*s", PRINT_LABEL, name);
}

static void print_hit(FILE *out, const struct reprise_get_reply *reply)
{
    char words[64], age[UNITS_TEXT_MAX], left[UNITS_TEXT_MAX];
    label(out, "hit");
    (void)fprintf(out, "%s%s", print_words(reprise_tier_name(reply->tier), words),
                  reply->stale ? ", stale" : "");
    if (reply->entry != NULL && reply->entry->negative)
        (void)fputs(", an error of the model's", out);
    if (reply->tier == REPRISE_TIER_SEMANTIC)
        (void)fprintf(out, ", similarity %.4f (threshold %.4f)", (double)reply->similarity,
                      (double)reply->threshold);
    (void)fputc('\n', out);
    const struct reprise_entry *entry = reply->entry;
    if (entry == NULL)
        return;
    label(out, "entry");
    (void)fprintf(out, "%s\n", entry->entry_id);
    label(out, "stored");
    (void)fprintf(out, "%s ago, ", units_print_ms(entry->age_ms, age));
    if (entry->ttl_remaining_ms == INT64_MAX)
        (void)fputs("does not expire, ", out);
    else if (entry->ttl_remaining_ms < 0)
        (void)fprintf(out, "stale for %s, ",
                      units_print_ms((uint64_t) - (entry->ttl_remaining_ms + 1) + 1, left));
    else
        (void)fprintf(out, "%s left, ", units_print_ms((uint64_t)entry->ttl_remaining_ms, left));
    (void)fprintf(out, "%" PRIu64 " hit%s\n", entry->hit_count, entry->hit_count == 1 ? "" : "s");
    for (size_t i = 0; i < entry->metadata_count; i++) {
        label(out, i == 0 ? "metadata" : "");
        print_clipped(out, entry->metadata[i].name, 30);
        (void)fputc('=', out);
        print_clipped(out, entry->metadata[i].value, PRINT_COLUMNS - PRINT_LABEL - 31);
        (void)fputc('\n', out);
    }
}

static void print_miss(FILE *out, const struct reprise_get_reply *reply)
{
    char words[64];
    label(out, "miss");
    (void)fprintf(out, "%s", print_words(reprise_miss_reason_name(reply->miss_reason), words));
    const struct reprise_decision *decision = reply->decision;
    for (size_t i = 0; decision != NULL && i < decision->guards_count; i++)
        (void)fprintf(out, "%s%s", i == 0 ? ": " : ", ",
                      print_words(reprise_guard_name(decision->guards[i]), words));
    (void)fputc('\n', out);
    if (reply->lease != NULL) {
        label(out, "lease");
        (void)fprintf(out, "%s\n",
                      reply->lease->token[0] != '\0' ? reply->lease->token : "held by another");
    }
    if (decision == NULL || !decision->near_miss)
        return;
    label(out, "nearest");
    (void)fprintf(out, "similarity %.4f (threshold %.4f)\n", (double)decision->near_similarity,
                  (double)reply->threshold);
    label(out, "");
    (void)fprintf(out, "%s\n", decision->near_entry_id);
}

static void print_candidates(FILE *out, const struct reprise_debug *debug)
{
    for (size_t i = 0; i < debug->candidates_count; i++) {
        const struct reprise_candidate *candidate = &debug->candidates[i];
        char words[64];
        label(out, i == 0 ? "candidates" : "");
        (void)fprintf(out, "%.4f  %-9s ", (double)candidate->similarity,
                      candidate->guard == REPRISE_GUARD_CLEAN
                          ? "clean"
                          : print_words(reprise_guard_name(candidate->guard), words));
        print_clipped(out, candidate->prompt, PRINT_COLUMNS - PRINT_LABEL - 18);
        (void)fputc('\n', out);
    }
}

static void print_debug(FILE *out, const struct reprise_debug *debug)
{
    if (debug->key[0] != '\0') {
        label(out, "key");
        (void)fprintf(out, "%s\n", debug->key);
    }
    if (debug->matched_prompt[0] != '\0') {
        label(out, "matched");
        print_clipped(out, debug->matched_prompt, PRINT_COLUMNS - PRINT_LABEL);
        (void)fputc('\n', out);
    }
    const struct reprise_timing *timing = debug->timing;
    if (timing != NULL) {
        label(out, "timing");
        (void)fprintf(out,
                      "key %" PRIu32 " us, embed %" PRIu32 " us, search %" PRIu32
                      " us, decide %" PRIu32 " us, total %" PRIu32 " us\n",
                      timing->key_us, timing->embed_us, timing->search_us, timing->decide_us,
                      timing->total_us);
    }
    print_candidates(out, debug);
}

static void print_degraded(FILE *out, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        label(out, i == 0 ? "degraded" : "");
        (void)fprintf(out, "%s\n", words[i]);
    }
}

void print_get(FILE *out, const struct reprise_get_reply *reply)
{
    if (reply->hit)
        print_hit(out, reply);
    else
        print_miss(out, reply);
    print_degraded(out, reply->degraded, reply->degraded_count);
    if (reply->decision != NULL) {
        label(out, "token");
        (void)fprintf(out, "%s\n", reply->decision->token);
    }
    if (reply->debug != NULL)
        print_debug(out, reply->debug);
    if (reply->hit && reply->blob_size > 0)
        (void)fprintf(out, "\n(%zu bytes of %s; -o json prints them in base64)\n", reply->blob_size,
                      reply->info != NULL ? reply->info->content_type : "an opaque type");
    else if (reply->hit)
        (void)fprintf(out, "\n%s\n", reply->content);
}

static const char *ack_words(enum reprise_ack ack)
{
    if (ack == REPRISE_ACK_SYNCED)
        return "synced to the disk";
    return ack == REPRISE_ACK_LOGGED ? "written to the log" : "in memory";
}

void print_set(FILE *out, const struct reprise_set_reply *reply, int64_t now_unix_ms)
{
    char words[64], left[UNITS_TEXT_MAX];
    label(out, reply->stored ? "stored" : "not stored");
    if (!reply->stored)
        (void)fprintf(out, "%s\n", print_words(reprise_skip_name(reply->skip), words));
    else
        (void)fprintf(out, "number %" PRIu64 ", %s, %s\n", reply->sequence,
                      reply->indexed ? "findable by meaning too" : "exact tier only",
                      ack_words(reply->ack));
    print_degraded(out, reply->degraded, reply->degraded_count);
    label(out, "entry");
    (void)fprintf(out, "%s\n", reply->entry_id);
    if (!reply->stored)
        return;
    label(out, "expires");
    int64_t left_ms = reply->expires_unix_ms - now_unix_ms;
    if (reply->expires_unix_ms == 0)
        (void)fputs("never\n", out);
    else
        (void)fprintf(out, "in %s\n", units_print_ms(left_ms > 0 ? (uint64_t)left_ms : 0, left));
}

void print_invalidate(FILE *out, const struct reprise_invalidate_reply *reply,
                      const struct reprise_invalidate_request *request)
{
    const char *done = request->make_stale ? "made stale" : "removed";
    label(out, request->dry_run ? "would go" : done);
    (void)fprintf(out, "%" PRIu64 "\n", reply->matched);
    for (size_t i = 0; i < reply->sample_ids_count; i++) {
        label(out, i == 0 ? "among them" : "");
        (void)fprintf(out, "%s\n", reply->sample_ids[i]);
    }
}
