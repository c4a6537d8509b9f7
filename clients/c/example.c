/* example.c - ask the cache, and say what it knew. */
#include <stdio.h>
#include "reprise.h"

int main(void)
{
    struct reprise_client_options options = {.endpoint = "127.0.0.1:7371"};
    struct reprise_client *client = reprise_client_create(&options);
    struct reprise_get_request request = {
        .identity = {.model = "gpt-4o-mini", .prompt = "How do I reset my password?"}};
    struct reprise_result *result = reprise_get(client, &request, NULL);
    bool hit = result->code == REPRISE_OK && result->get->hit;
    printf("%s\n", hit ? result->get->content : "a miss: ask the model, then reprise_set");
    reprise_result_free(&result);
    reprise_client_destroy(&client);
    return 0;
}
