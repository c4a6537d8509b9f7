/*
 * main.c - the `reprise` command: hands what was typed to verb_main (command.c). Threads: the main
 * thread.
 */
#include "clients/cli/verbs.h"

int main(int argc, char **argv)
{
    const struct cli streams = {.in = stdin, .out = stdout, .errors = stderr};
    return (int)verb_main(argc, (const char *const *)argv, &streams);
}
