/*
 * Goal: a reflection request is understood, whichever of its five questions it asks, and echoed in
 * its reply; v1 and v1alpha share their bytes. Method: requests packed by protobuf-c under both
 * versions, replies unpacked by it.
 */
#include "codec_support.h"

#include "grpc/reflection/v1alpha/reflection.pb-c.h"

static struct codec_reflection read(struct text bytes, struct arena *arena)
{
    struct codec_reflection request;
    assert_int_equal(codec_read_reflection(bytes, &small_limits, arena, &request, NULL), STATUS_OK);
    return request;
}

static void each_question_is_told_from_the_others(void **state)
{
    Grpc__Reflection__V1__ExtensionRequest extension =
        GRPC__REFLECTION__V1__EXTENSION_REQUEST__INIT;
    extension.containing_type = "a.Type";
    extension.extension_number = 7;
    static const enum codec_reflection_kind kinds[] = {CODEC_REFLECT_NOTHING,
                                                       CODEC_REFLECT_FILE,
                                                       CODEC_REFLECT_SYMBOL,
                                                       CODEC_REFLECT_EXTENSION,
                                                       CODEC_REFLECT_EXTENSION_NUMBERS,
                                                       CODEC_REFLECT_SERVICES};
    static const int cases[] = {0, 3, 4, 5, 6, 7};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        Grpc__Reflection__V1__ServerReflectionRequest message =
            GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
        message.host = "localhost";
        message.message_request_case =
            (Grpc__Reflection__V1__ServerReflectionRequest__MessageRequestCase)cases[i];
        if (cases[i] == 5)
            message.file_containing_extension = &extension;
        else
            message.file_by_filename = "a.Type"; /* the strings share their place in the union */
        const struct codec_reflection request = read(packed(&message.base, *state), *state);
        assert_int_equal(request.kind, kinds[i]);
        assert_text(request.name, i == 0 ? "" : "a.Type");
        assert_text(request.host, "localhost");
    }
}

static void the_two_versions_have_the_same_bytes(void **state)
{
    Grpc__Reflection__V1__ServerReflectionRequest v1 =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    Grpc__Reflection__V1alpha__ServerReflectionRequest v1alpha =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__INIT;
    v1.message_request_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES;
    v1alpha.message_request_case =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES;
    v1.list_services = v1alpha.list_services = "*";
    assert_true(text_equal(packed(&v1.base, *state), packed(&v1alpha.base, *state)));
}

static Grpc__Reflection__V1__ServerReflectionResponse *received(struct text bytes,
                                                                struct arena *arena)
{
    return (Grpc__Reflection__V1__ServerReflectionResponse *)unpacked(
        &grpc__reflection__v1__server_reflection_response__descriptor, bytes, arena);
}

static void a_reply_echoes_the_request_and_holds_one_answer(void **state)
{
    Grpc__Reflection__V1__ServerReflectionRequest message =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    message.host = "localhost";
    message.message_request_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL;
    message.file_containing_symbol = "reprise.v1.Cache";
    const struct codec_reflection request = read(packed(&message.base, *state), *state);
    const struct text files[] = {TEXT("first\0file"), TEXT("second")};
    const struct text services[] = {TEXT("reprise.v1.Cache"), TEXT("grpc.health.v1.Health")};
    struct codec_reply reply;
    assert_int_equal(codec_write_reflection(&request, files, 2, NULL, 0, 0, NULL, *state, &reply),
                     STATUS_OK);
    const Grpc__Reflection__V1__ServerReflectionResponse *answer = received(reply.head, *state);
    assert_string_equal(answer->valid_host, "localhost");
    assert_string_equal(answer->original_request->file_containing_symbol, "reprise.v1.Cache");
    assert_int_equal(answer->message_response_case, 4);
    assert_int_equal(answer->file_descriptor_response->n_file_descriptor_proto, 2);
    assert_memory_equal(answer->file_descriptor_response->file_descriptor_proto[0].data,
                        "first\0file", 10);
    assert_int_equal(
        codec_write_reflection(&request, NULL, 0, services, 2, 0, NULL, *state, &reply), STATUS_OK);
    answer = received(reply.head, *state);
    assert_int_equal(answer->message_response_case, 6);
    assert_int_equal(answer->list_services_response->n_service, 2);
    assert_string_equal(answer->list_services_response->service[1]->name, "grpc.health.v1.Health");
    assert_int_equal(
        codec_write_reflection(&request, NULL, 0, NULL, 0, 5, "not here", *state, &reply),
        STATUS_OK);
    answer = received(reply.head, *state);
    assert_int_equal(answer->message_response_case, 7);
    assert_int_equal(answer->error_response->error_code, 5);
    assert_string_equal(answer->error_response->error_message, "not here");
}

static void a_name_longer_than_any_name_is_refused(void **state)
{
    char name[CODEC_SYMBOL_MAX + 2];
    memset(name, 'n', sizeof(name));
    name[CODEC_SYMBOL_MAX + 1] = '\0';
    Grpc__Reflection__V1__ServerReflectionRequest message =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    message.message_request_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME;
    message.file_by_filename = name;
    struct codec_reflection request;
    assert_int_equal(
        codec_read_reflection(packed(&message.base, *state), &small_limits, *state, &request, NULL),
        STATUS_LIMIT_EXCEEDED);
    name[CODEC_SYMBOL_MAX] = '\0';
    assert_text(read(packed(&message.base, *state), *state).name, name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(each_question_is_told_from_the_others),
        ARENA_TEST(the_two_versions_have_the_same_bytes),
        ARENA_TEST(a_reply_echoes_the_request_and_holds_one_answer),
        ARENA_TEST(a_name_longer_than_any_name_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
