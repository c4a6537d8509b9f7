/*
 * main.c - the process reprise-server: reads its settings, builds the service, waits for a signal,
 * drains.
 *
 * SIGTERM and SIGINT drain: calls in flight finish and the exit code is 0. A second one skips the
 * waits. SIGHUP reads file, environment and flags again, for the options that may change; while the
 * data folder is read it waits until it has been. There the others end that at once, with the folder
 * as it was. Exit 1: it could not start, or the configuration contradicts itself; exit 2: an option
 * is unknown or outside its range.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/thread.h"
#include "server/self_check.h"
#include "server/service.h"
#include "server/settings.h"

extern char **environ;

struct command_line {
    int argc;
    char **argv;
};

static const char help_text[] =
    "reprise-server - the response cache for LLM applications\n"
    "\n"
    "  reprise-server [--config FILE] [--ROOM-NAME VALUE ...]\n"
    "\n"
    "  --config FILE        read options from a YAML file (also REPRISE_CONFIG)\n"
    "  --restore NAME       go back to the snapshot of this name in the data folder, then serve; "
    "what\n"
    "                       was there is set aside, in a folder of its own\n"
    "  --check-config       say whether the configuration is right, and exit\n"
    "  --print-config       print each option, its value and where it comes from, and exit\n"
    "  --describe-options   print every option with default, range and meaning, and exit\n"
    "  --self-check[=DIR]   prove that the libraries in this binary work here, and exit\n"
    "  --version            print the version, and exit\n"
    "\n"
    "An option room.name is --room-name on the command line, REPRISE_ROOM_NAME in the environment "
    "and\n"
    "room: {name: value} in the file. It listens on 127.0.0.1:7371 unless --grpc-listen says "
    "otherwise.\n";

/* Blocked here, hence in every thread that is started later: only main's sigwait sees them. */
static void block_signals(sigset_t *out_signals)
{
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(out_signals);
    (void)sigaddset(out_signals, SIGTERM);
    (void)sigaddset(out_signals, SIGINT);
    (void)sigaddset(out_signals, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, out_signals, NULL);
}

static void drain(void *argument)
{
    service_drain(argument);
    (void)kill(getpid(), SIGTERM); /* ends main's wait for a second signal */
}

/* What is wrong stands in the log, a line each. */
static void log_problems(char *problems)
{
    char *rest = NULL;
    for (char *line = strtok_r(problems, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest))
        log_write(LOG_ERROR, "config", "problem", "line=%s", line);
}

static void reload(struct service *service, const struct command_line *line)
{
    struct settings fresh = {.options = NULL};
    char *problems = NULL;
    size_t size = 0;
    FILE *errors = open_memstream(&problems, &size);
    if (errors == NULL) {
        service_reload(service, NULL);
        return;
    }
    const enum status status = settings_create(line->argc, line->argv, environ, errors, &fresh);
    (void)fclose(errors);
    if (status != STATUS_OK && problems != NULL)
        log_problems(problems);
    service_reload(service, fresh.options);
    settings_destroy(&fresh);
    free(problems);
}

/* The next signal that ends something. */
static int wait_for_end(struct service *service, const sigset_t *signals,
                        const struct command_line *line)
{
    int signal_number = 0;
    (void)sigwait(signals, &signal_number);
    while (signal_number == SIGHUP) {
        if (line != NULL)
            reload(service, line);
        (void)sigwait(signals, &signal_number);
    }
    return signal_number;
}

static void wait_and_drain(struct service *service, const sigset_t *signals,
                           const struct command_line *line)
{
    const int signal_number = wait_for_end(service, signals, line);
    log_write(LOG_INFO, "server", "draining", "signal=%s",
              signal_number == SIGINT ? "INT" : "TERM");
    struct thread *thread = NULL;
    if (thread_create(THREAD_OTHER, "drain", drain, service, &thread) != STATUS_OK) {
        service_drain(service);
        return;
    }
    (void)wait_for_end(service, signals, NULL);
    service_hurry(service);
    thread_join(&thread);
}

static int report(const struct failure *failure)
{
    (void)fprintf(stderr, "reprise-server: %s%s%s\n", failure->field,
                  failure->field[0] != '\0' ? ": " : "", failure->message);
    return 1;
}

static int check(const struct options *options)
{
    struct failure failure = {.status = STATUS_OK};
    if (service_check(options, stderr, &failure) != STATUS_OK)
        return report(&failure);
    (void)puts("the configuration is right");
    return 0;
}

/* A signal that has come while the data folder is read waits where it was blocked. */
static bool is_wanted(void)
{
    sigset_t pending;
    (void)sigpending(&pending);
    return sigismember(&pending, SIGTERM) == 0 && sigismember(&pending, SIGINT) == 0;
}

static int run(const struct settings *settings, const sigset_t *signals,
               const struct command_line *line)
{
    struct service *service = NULL;
    struct failure failure = {.status = STATUS_OK};
    if (service_create(settings->options, REPRISE_VERSION, &service, &failure) != STATUS_OK) {
        return report(&failure);
    }
    (void)printf("listening on %s\n", service_address(service));
    if (service_http_port(service) != 0)
        (void)printf("metrics and probes on port %d\n", service_http_port(service));
    (void)fflush(stdout);
    service_load_while(service, is_wanted);
    const enum status status = service_load(service, settings->restore, &failure);
    if (status != STATUS_OK) {
        service_destroy(&service);
        if (status != STATUS_CANCELLED)
            return report(&failure);
        log_write(LOG_INFO, "server", "stopped while the data folder was read", NULL);
        return 0;
    }
    wait_and_drain(service, signals, line);
    service_destroy(&service);
    log_write(LOG_INFO, "server", "stopped", NULL);
    return 0;
}

static int act(const struct settings *settings, const sigset_t *signals,
               const struct command_line *line)
{
    switch (settings->action) {
    case SETTINGS_RUN:
        return run(settings, signals, line);
    case SETTINGS_HELP:
        (void)fputs(help_text, stdout);
        return 0;
    case SETTINGS_VERSION:
        (void)puts("reprise-server " REPRISE_VERSION);
        return 0;
    case SETTINGS_CHECK_CONFIG:
        return check(settings->options);
    case SETTINGS_PRINT_CONFIG:
        options_print(settings->options, stdout);
        return 0;
    case SETTINGS_DESCRIBE_OPTIONS:
        options_describe(settings->options, stdout);
        return 0;
    case SETTINGS_SELF_CHECK:
        return self_check(settings->self_check_folder, REPRISE_VERSION, stdout) ? 0 : 1;
    }
    return 2;
}

int main(int argc, char **argv)
{
    sigset_t signals;
    block_signals(&signals);
    struct settings settings;
    enum status status = settings_create(argc, argv, environ, stderr, &settings);
    if (status != STATUS_OK) {
        (void)fprintf(stderr, "reprise-server: %s; see --help and --describe-options\n",
                      status == STATUS_BAD_OPTION ? "the configuration is wrong, as said above"
                                                  : status_text(status));
        return 2;
    }
    int code = act(&settings, &signals, &(struct command_line){argc, argv});
    settings_destroy(&settings);
    return code;
}
