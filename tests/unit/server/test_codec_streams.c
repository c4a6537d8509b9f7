/*
 * Goal: what a GetStream sends is the message that its readers expect, whatever the length of a
 * piece; and the messages of a SetStream come to the SetRequest that would have said the same.
 * Method: every message is packed and read back with protobuf-c.
 */
#include "tests/unit/server/codec_support.h"

#include <string.h>

static struct codec_limits limits(void)
{
    struct codec_limits limits = small_limits;
    limits.answer_max = 100;
    return limits;
}

static void a_delta_is_whole_at_every_length(void **state)
{
    static const size_t lengths[] = {1, 16, 119, 120, 127, 128, 16376, 16384, CODEC_CHUNK_MAX};
    struct arena *arena = *state;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        char head[CODEC_DELTA_HEAD];
        const size_t head_length = codec_delta_head(lengths[i], head);
        char *bytes = arena_alloc(arena, head_length + lengths[i]);
        memcpy(bytes, head, head_length);
        memset(bytes + head_length, 'x', lengths[i]);
        const Reprise__V1__GetStreamResponse *message =
            (const Reprise__V1__GetStreamResponse *)unpacked(
                &reprise__v1__get_stream_response__descriptor,
                (struct text){bytes, head_length + lengths[i]}, arena);
        assert_int_equal(message->part_case, REPRISE__V1__GET_STREAM_RESPONSE__PART_DELTA);
        assert_int_equal(strlen(message->delta->content), lengths[i]);
    }
}

static void a_finish_says_what_the_info_says(void **state)
{
    struct arena *arena = *state;
    Reprise__V1__Usage usage = REPRISE__V1__USAGE__INIT;
    usage.output_tokens = 7;
    Reprise__V1__AnswerInfo info = REPRISE__V1__ANSWER_INFO__INIT;
    info.finish_reason = (char *)(uintptr_t) "stop";
    info.reasoning = (char *)(uintptr_t) "not told";
    info.extra_choices_json = (char *)(uintptr_t) "[]";
    info.usage = &usage;
    struct codec_reply reply;
    assert_int_equal(codec_write_stream_finish(packed(&info.base, arena), arena, &reply),
                     STATUS_OK);
    const Reprise__V1__GetStreamResponse *message =
        (const Reprise__V1__GetStreamResponse *)unpacked(
            &reprise__v1__get_stream_response__descriptor, reply.head, arena);
    assert_int_equal(message->part_case, REPRISE__V1__GET_STREAM_RESPONSE__PART_FINISH);
    assert_string_equal(message->finish->finish_reason, "stop");
    assert_string_equal(message->finish->extra_choices_json, "[]");
    assert_int_equal(message->finish->usage->output_tokens, 7);
    assert_int_equal(codec_write_stream_finish((struct text){NULL, 0}, arena, &reply), STATUS_OK);
    message = (const Reprise__V1__GetStreamResponse *)unpacked(
        &reprise__v1__get_stream_response__descriptor, reply.head, arena);
    assert_int_equal(message->part_case, REPRISE__V1__GET_STREAM_RESPONSE__PART_FINISH);
}

/* ---- capture --------------------------------------------------------------------------------- */

struct stream {
    struct arena *arena;
    struct codec_capture *capture;
    struct codec_limits limits;
    struct failure failure;
    enum codec_part part;
};

static struct stream begin(struct arena *arena)
{
    struct stream stream = {
        .arena = arena, .capture = codec_capture_create(arena), .limits = limits()};
    assert_non_null(stream.capture);
    return stream;
}

static enum status take(struct stream *stream, const Reprise__V1__SetStreamRequest *message)
{
    return codec_capture_take(stream->capture, packed(&message->base, stream->arena),
                              &stream->limits, &stream->part, &stream->failure);
}

static enum status take_head(struct stream *stream, Reprise__V1__SetRequest *head)
{
    Reprise__V1__Identity identity = REPRISE__V1__IDENTITY__INIT;
    identity.model = (char *)(uintptr_t) "m";
    identity.prompt = (char *)(uintptr_t) "q";
    head->identity = &identity;
    Reprise__V1__SetStreamRequest message = REPRISE__V1__SET_STREAM_REQUEST__INIT;
    message.part_case = REPRISE__V1__SET_STREAM_REQUEST__PART_HEAD;
    message.head = head;
    return take(stream, &message);
}

static enum status take_delta(struct stream *stream, const char *content, const char *reasoning)
{
    Reprise__V1__Delta delta = REPRISE__V1__DELTA__INIT;
    delta.content = (char *)(uintptr_t)content;
    delta.reasoning = (char *)(uintptr_t)reasoning;
    Reprise__V1__SetStreamRequest message = REPRISE__V1__SET_STREAM_REQUEST__INIT;
    message.part_case = REPRISE__V1__SET_STREAM_REQUEST__PART_DELTA;
    message.delta = &delta;
    return take(stream, &message);
}

static enum status take_finish(struct stream *stream, const char *reason)
{
    Reprise__V1__Finish finish = REPRISE__V1__FINISH__INIT;
    finish.finish_reason = (char *)(uintptr_t)reason;
    Reprise__V1__SetStreamRequest message = REPRISE__V1__SET_STREAM_REQUEST__INIT;
    message.part_case = REPRISE__V1__SET_STREAM_REQUEST__PART_FINISH;
    message.finish = &finish;
    return take(stream, &message);
}

static void assert_refused(const struct stream *stream, enum status status, const char *field)
{
    assert_string_equal(status_name(stream->failure.status), status_name(status));
    assert_string_equal(stream->failure.field, field);
}

static void the_pieces_come_to_one_set(void **state)
{
    struct stream stream = begin(*state);
    Reprise__V1__AnswerInfo info = REPRISE__V1__ANSWER_INFO__INIT;
    info.upstream_id = (char *)(uintptr_t) "u";
    info.finish_reason = (char *)(uintptr_t) "overwritten";
    Reprise__V1__SetRequest head = REPRISE__V1__SET_REQUEST__INIT;
    head.info = &info;
    head.lease_token = (char *)(uintptr_t) "token";
    assert_int_equal(codec_capture_lease(stream.capture).length, 0);
    assert_int_equal(take_head(&stream, &head), STATUS_OK);
    assert_int_equal(stream.part, CODEC_PART_HEAD);
    assert_true(text_equal(codec_capture_lease(stream.capture), TEXT("token")));
    assert_int_equal(take_delta(&stream, "a", "because"), STATUS_OK);
    assert_int_equal(take_delta(&stream, "", ""), STATUS_OK);
    assert_int_equal(take_delta(&stream, "bc", " of it"), STATUS_OK);
    assert_int_equal(take_finish(&stream, "stop"), STATUS_OK);
    assert_int_equal(stream.part, CODEC_PART_FINISH);
    struct text bytes;
    struct cache_set_request request;
    assert_int_equal(codec_capture_request(stream.capture, &bytes), STATUS_OK);
    assert_int_equal(codec_read_set(bytes, &stream.limits, stream.arena, &request, &stream.failure),
                     STATUS_OK);
    assert_true(text_equal(request.content, TEXT("abc")));
    assert_true(text_equal(request.finish_reason, TEXT("stop")));
    assert_true(text_equal(request.identity.prompt, TEXT("q")));
    const Reprise__V1__AnswerInfo *merged = (const Reprise__V1__AnswerInfo *)unpacked(
        &reprise__v1__answer_info__descriptor, request.info, stream.arena);
    assert_string_equal(merged->upstream_id, "u");
    assert_string_equal(merged->reasoning, "because of it");
}

static void an_order_of_its_own_is_refused(void **state)
{
    Reprise__V1__SetRequest head = REPRISE__V1__SET_REQUEST__INIT;
    struct stream stream = begin(*state);
    assert_int_equal(take_delta(&stream, "a", ""), STATUS_BAD_MESSAGE);
    assert_refused(&stream, STATUS_BAD_MESSAGE, "head");
    assert_int_equal(take_head(&stream, &head), STATUS_OK);
    assert_int_equal(take_head(&stream, &head), STATUS_BAD_MESSAGE);
    Reprise__V1__SetStreamRequest nothing = REPRISE__V1__SET_STREAM_REQUEST__INIT;
    assert_int_equal(take(&stream, &nothing), STATUS_BAD_MESSAGE);
    assert_refused(&stream, STATUS_BAD_MESSAGE, "");
}

static void a_head_with_an_answer_is_refused(void **state)
{
    struct stream stream = begin(*state);
    Reprise__V1__SetRequest head = REPRISE__V1__SET_REQUEST__INIT;
    head.content = (char *)(uintptr_t) "a";
    assert_int_equal(take_head(&stream, &head), STATUS_AMBIGUOUS_INPUT);
    assert_refused(&stream, STATUS_AMBIGUOUS_INPUT, "head.content");
}

static void the_limit_holds_for_the_sum_of_the_pieces(void **state)
{
    static const char fifty[] = "01234567890123456789012345678901234567890123456789";
    Reprise__V1__SetRequest head = REPRISE__V1__SET_REQUEST__INIT;
    struct stream stream = begin(*state);
    assert_int_equal(take_head(&stream, &head), STATUS_OK);
    assert_int_equal(take_delta(&stream, fifty, fifty), STATUS_OK);
    assert_int_equal(take_delta(&stream, fifty, fifty), STATUS_OK); /* 100 of each: just so */
    assert_int_equal(take_delta(&stream, "x", ""), STATUS_ENTRY_TOO_LARGE);
    assert_refused(&stream, STATUS_ENTRY_TOO_LARGE, "delta.content");
    stream = begin(*state);
    assert_int_equal(take_head(&stream, &head), STATUS_OK);
    assert_int_equal(take_delta(&stream, "", fifty), STATUS_OK);
    assert_int_equal(take_delta(&stream, "", fifty), STATUS_OK);
    assert_int_equal(take_delta(&stream, "", "x"), STATUS_ENTRY_TOO_LARGE);
    assert_refused(&stream, STATUS_ENTRY_TOO_LARGE, "delta");
}

/* Their bytes may stay in the arena until the stream ends. */
static void fields_that_nobody_knows_may_not_fill_the_memory(void **state)
{
    Reprise__V1__SetRequest head = REPRISE__V1__SET_REQUEST__INIT;
    struct stream stream = begin(*state);
    assert_int_equal(take_head(&stream, &head), STATUS_OK);
    struct wire unknown, message;
    static const char padding[2 * CODEC_BORROW_BYTES] = {0};
    wire_init(&unknown, *state, sizeof(padding));
    wire_text(&unknown, 99, (struct text){padding, sizeof(padding)});
    wire_init(&message, *state, sizeof(padding));
    wire_message(&message, 2, &unknown);
    stream.limits.answer_max = 2 * sizeof(padding) + 100;
    for (int i = 0; i < 3; i++)
        assert_int_equal(codec_capture_take(stream.capture, wire_text_of(&message), &stream.limits,
                                            &stream.part, &stream.failure),
                         i < 2 ? STATUS_OK : STATUS_LIMIT_EXCEEDED);
    assert_refused(&stream, STATUS_LIMIT_EXCEEDED, "delta");
}

static void broken_bytes_are_refused(void **state)
{
    struct stream stream = begin(*state);
    static const char *const broken[] = {"\x0a", "\x0a\x05", "\x12\x03\x12\x01\xff", "\x0b"};
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
        assert_int_not_equal(codec_capture_take(stream.capture, text_of(broken[i]), &stream.limits,
                                                &stream.part, &stream.failure),
                             STATUS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(a_delta_is_whole_at_every_length),
        ARENA_TEST(a_finish_says_what_the_info_says),
        ARENA_TEST(the_pieces_come_to_one_set),
        ARENA_TEST(an_order_of_its_own_is_refused),
        ARENA_TEST(a_head_with_an_answer_is_refused),
        ARENA_TEST(the_limit_holds_for_the_sum_of_the_pieces),
        ARENA_TEST(fields_that_nobody_knows_may_not_fill_the_memory),
        ARENA_TEST(broken_bytes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
