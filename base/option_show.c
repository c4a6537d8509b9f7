/*
 * option_show.c - a value as it may be read by others: a URL without its login and without what its
 * query calls a key (RFC 3986, sections 3.2.1 and 3.4). Pure. Threads: any.
 */
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/options.h"

static const char hidden[] = "***";

struct shown {
    char *bytes;
    size_t length;
};

static void put(struct shown *shown, const char *bytes, size_t length)
{
    const size_t room = OPTION_SHOWN_MAX - 1 - shown->length;
    const size_t taken = length < room ? length : room;
    memcpy(shown->bytes + shown->length, bytes, taken);
    shown->length += taken;
}

static bool names_a_secret(const char *name, size_t length)
{
    static const char *const words[] = {"key", "token", "secret", "password", "sig"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        const size_t word = strlen(words[i]);
        for (size_t at = 0; at + word <= length; at++) {
            if (strncasecmp(name + at, words[i], word) == 0)
                return true;
        }
    }
    return false;
}

/* "name=value", as far as the next & or #. */
static const char *put_parameter(struct shown *shown, const char *at)
{
    const size_t whole = strcspn(at, "&#");
    const size_t name = strcspn(at, "=&#");
    if (name < whole && names_a_secret(at, name)) {
        put(shown, at, name + 1);
        put(shown, hidden, strlen(hidden));
    } else {
        put(shown, at, whole);
    }
    return at + whole;
}

const char *option_show(const char *text, char out[OPTION_SHOWN_MAX])
{
    struct shown shown = {.bytes = out};
    const char *scheme = strstr(text, "://");
    const char *at = text;
    if (scheme != NULL) {
        const char *authority = scheme + 3;
        const size_t length = strcspn(authority, "/?#");
        put(&shown, text, (size_t)(authority - text));
        const char *login = memrchr(authority, '@', length);
        if (login != NULL)
            put(&shown, hidden, strlen(hidden));
        at = login != NULL ? login : authority;
        const size_t path = strcspn(at, "?#");
        put(&shown, at, path);
        for (at += path; *at == '?' || *at == '&';) {
            put(&shown, at, 1);
            at = put_parameter(&shown, at + 1);
        }
    }
    put(&shown, at, strlen(at));
    out[shown.length] = '\0';
    return out;
}
