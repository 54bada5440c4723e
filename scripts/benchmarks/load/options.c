/* The command line: long options, with the bytes of the conversation in files. */
#define _GNU_SOURCE
#include "load.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fail(const char *format, ...) {
    va_list values;
    va_start(values, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
    exit(1);
}

static struct bytes contents(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) fail("cannot open %s", path);
    uint8_t *data = malloc(65536);
    size_t size = fread(data, 1, 65536, file);
    fclose(file);
    return (struct bytes){data, size};
}

static struct bytes from_hex(const char *text) {
    size_t size = strlen(text) / 2;
    uint8_t *data = malloc(size + 1);
    for (size_t i = 0; i < size; i++) {
        unsigned byte;
        if (sscanf(text + 2 * i, "%2x", &byte) != 1) fail("not hexadecimal: %s", text);
        data[i] = (uint8_t)byte;
    }
    return (struct bytes){data, size};
}

static int index_of(const char *word, const char *const *names, int count) {
    for (int i = 0; i < count; i++)
        if (!strcmp(word, names[i])) return i;
    fail("unknown word: %s", word);
}

/* KIND:PLACE[,PLACE...]:FIRST:STEP, as binary:10:1:1 */
static void read_tag(struct options *options, char *text) {
    static const char *const kinds[] = {"none", "binary", "decimal"};
    char *rest = text;
    options->tag_kind = index_of(strsep(&rest, ":"), kinds, 3);
    char *places = strsep(&rest, ":"), *place;
    while ((place = strsep(&places, ",")) && options->tag_place_count < MAX_TAG_PLACES)
        options->tag_places[options->tag_place_count++] = strtoul(place, NULL, 10);
    if (sscanf(rest ? rest : "", "%u:%u", &options->tag_first, &options->tag_step) != 2) fail("--tag is incomplete");
}

struct options read_options(int count, char **words) {
    static const char *const framings[] = {"length4", "amp", "websocket", "http1", "http2", "rpyc"};
    enum { PORT = 1, CONNECTIONS, IN_FLIGHT, WARMUP, SECONDS, RATE, PID, CPU, TLS };
    enum { FRAMING = 20, UPGRADE, HELLO, REQUEST, TAG, MASK, EXPECT, MATCH };
    static const struct option table[] = {
        {"port", 1, 0, PORT}, {"connections", 1, 0, CONNECTIONS}, {"in-flight", 1, 0, IN_FLIGHT},
        {"warmup", 1, 0, WARMUP}, {"seconds", 1, 0, SECONDS}, {"rate", 1, 0, RATE}, {"pid", 1, 0, PID},
        {"cpu", 1, 0, CPU}, {"tls", 0, 0, TLS}, {"framing", 1, 0, FRAMING}, {"upgrade", 1, 0, UPGRADE},
        {"hello", 1, 0, HELLO}, {"request", 1, 0, REQUEST}, {"tag", 1, 0, TAG}, {"tag-mask", 1, 0, MASK},
        {"expect", 1, 0, EXPECT}, {"match", 1, 0, MATCH}, {0},
    };
    struct options options = {.connections = 1, .in_flight = 1, .warmup = 0.3, .seconds = 1, .cpu = -1};
    for (int choice; (choice = getopt_long(count, words, "", table, NULL)) != -1;) {
        switch (choice) {
        case PORT: options.port = atoi(optarg); break;
        case CONNECTIONS: options.connections = atoi(optarg); break;
        case IN_FLIGHT: options.in_flight = atoi(optarg); break;
        case WARMUP: options.warmup = atof(optarg); break;
        case SECONDS: options.seconds = atof(optarg); break;
        case RATE: options.rate = atof(optarg); break;
        case PID: options.pid = atoi(optarg); break;
        case CPU: options.cpu = atoi(optarg); break;
        case TLS: options.tls = true; break;
        case FRAMING: options.framing = index_of(optarg, framings, 6); break;
        case UPGRADE: options.upgrade = contents(optarg); break;
        case HELLO:
            if (options.hello_count == MAX_HELLOS) fail("more than %d hellos", MAX_HELLOS);
            options.hellos[options.hello_count++] = contents(optarg);
            break;
        case REQUEST: options.request = contents(optarg); break;
        case TAG: read_tag(&options, optarg); break;
        case MASK: memcpy(options.tag_mask, from_hex(optarg).data, TAG_DIGITS); break;
        case EXPECT: options.expect = contents(optarg); break;
        case MATCH: { /* PLACE:HEX */
            char *hex = strchr(optarg, ':');
            if (!hex) fail("--match takes PLACE:HEX");
            options.match_place = strtoul(optarg, NULL, 10);
            options.match = from_hex(hex + 1);
            break;
        }
        default: fail("see options.c for the options");
        }
    }
    if (!options.port || !options.request.size) fail("--port and --request are needed");
    if (options.request.size * (size_t)options.in_flight * 2 > OUTPUT_SIZE) fail("too many requests in flight");
    for (int i = 0; i < options.tag_place_count; i++)
        if (options.tag_places[i] + TAG_DIGITS > options.request.size) fail("a tag outside of the request");
    return options;
}
