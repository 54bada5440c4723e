/* Options, threads, the clock, and one line of JSON. */
#define _GNU_SOURCE
#include "transfer.h"

#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct job job = {.count = 1, .in_flight = 1, .method = "GET", .head = "", .body = ""};

static uint8_t pattern[2 * PATTERN_SIZE];
static uint64_t *latencies;
static atomic_int next_file, files_done;

void fail(const char *format, ...) {
    va_list values;
    va_start(values, format);
    fputs("transfer: ", stderr);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
    _exit(1);
}

uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

int take_file(void) {
    int file = atomic_fetch_add(&next_file, 1);
    return file < job.count ? file : -1;
}

void file_done(uint64_t begun) { latencies[atomic_fetch_add(&files_done, 1)] = now() - begun; }

const char *path_of(int file) {
    static _Thread_local char path[1024];
    if (job.single) return job.path;
    snprintf(path, sizeof path, "%s/%05d", job.path, file);
    return path;
}

const uint8_t *pattern_at(int file, uint64_t place) {
    return pattern + ((uint64_t)file * 4099 + place) % PATTERN_SIZE;
}

static void compare(int file, uint64_t place, const uint8_t *data, size_t size) {
    if (memcmp(pattern_at(file, place), data, size))
        fail("%s is wrong around byte %ju", path_of(file), (uintmax_t)place);
}

void check_bytes(int file, uint64_t place, const uint8_t *data, size_t size) {
    if (place + size > job.size) fail("%s is too long", path_of(file));
    if (!job.whole && size > 128) {
        compare(file, place, data, 64);
        compare(file, place + size - 64, data + size - 64, 64);
        return;
    }
    for (size_t done = 0, part; done < size; done += part) {
        part = size - done < PATTERN_SIZE ? size - done : PATTERN_SIZE;
        compare(file, place + done, data + done, part);
    }
}

static double seconds_of(struct rusage usage) {
    struct timeval user = usage.ru_utime, system = usage.ru_stime;
    return (double)(user.tv_sec + system.tv_sec) + (double)(user.tv_usec + system.tv_usec) / 1e6;
}

/* Our own CPU time, and that of the programs that speak for us: utime and stime of /proc/PID/stat. */
static double client_cpu(const struct line *lines, int count) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double sum = seconds_of(usage);
    for (int i = 0; i < count; i++) {
        if (!lines[i].child) continue;
        char path[64], text[4096];
        snprintf(path, sizeof path, "/proc/%d/stat", lines[i].child);
        FILE *file = fopen(path, "r");
        if (!file) fail("the program that speaks for us is gone");
        text[fread(text, 1, sizeof text - 1, file)] = 0;
        fclose(file);
        unsigned long user = 0, system = 0;
        char *rest = strrchr(text, ')');
        if (rest) sscanf(rest + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
        sum += (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
    }
    return sum;
}

static int by_size(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

struct protocol {
    const char *name;
    void (*connect)(struct line *line); /* after the connection is there, or instead of one */
    void (*work)(struct line *line);
    bool own_connection;
};

static const struct protocol protocols[] = {
    {"http", NULL, http_work, false},
    {"sftp", sftp_connect, sftp_work, true},
    {"fluxon", fluxon_connect, fluxon_work, false},
};
static const struct protocol *protocol;

static void *run(void *line) {
    protocol->work(line);
    return NULL;
}

static void read_pattern(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || fread(pattern, 1, PATTERN_SIZE, file) != PATTERN_SIZE) fail("no pattern in %s", path);
    fclose(file);
    memcpy(pattern + PATTERN_SIZE, pattern, PATTERN_SIZE);
}

/* Whoever started us looks at the server before and after: a line from us, then a line from them. */
static void in_turn(const char *word) {
    char answer[64];
    puts(word);
    fflush(stdout);
    if (!fgets(answer, sizeof answer, stdin)) exit(1);
}

int main(int count, char **words) {
    static const struct option table[] = {
        {"protocol", 1, 0, 'p'}, {"port", 1, 0, 'P'}, {"tls", 0, 0, 't'}, {"connections", 1, 0, 'c'},
        {"in-flight", 1, 0, 'i'}, {"operation", 1, 0, 'o'}, {"path", 1, 0, 'a'}, {"count", 1, 0, 'n'},
        {"size", 1, 0, 's'}, {"pattern", 1, 0, 'b'}, {"sync", 0, 0, 'y'}, {"folder", 1, 0, 'f'}, {"entry", 1, 0, 'e'},
        {"method", 1, 0, 'm'}, {"head", 1, 0, 'h'}, {"body", 1, 0, 'B'}, {"token", 1, 0, 'T'}, {"sha256", 1, 0, 'H'},
        {"cpu", 1, 0, 'C'},
        {"whole", 0, 0, 'w'}, {"single", 0, 0, 'S'}, {0},
    };
    int port = 0, connections = 1, cpu = -1;
    bool tls = false;
    for (int choice; (choice = getopt_long(count, words, "", table, NULL)) != -1;) {
        switch (choice) {
        case 'p':
            for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
                if (!strcmp(protocols[i].name, optarg)) protocol = &protocols[i];
            break;
        case 'P': port = atoi(optarg); break;
        case 't': tls = true; break;
        case 'c': connections = atoi(optarg); break;
        case 'i': job.in_flight = atoi(optarg); break;
        case 'o': job.operation = !strcmp(optarg, "get") ? GET : !strcmp(optarg, "put") ? PUT : LIST; break;
        case 'a': job.path = optarg; break;
        case 'n': job.count = atoi(optarg); break;
        case 's': job.size = strtoull(optarg, NULL, 10); break;
        case 'b': read_pattern(optarg); break;
        case 'y': job.sync = true; break;
        case 'f': job.folder = optarg; break;
        case 'e': job.entry = optarg; break;
        case 'm': job.method = optarg; break;
        case 'h': job.head = optarg; break;
        case 'B': job.body = optarg; break;
        case 'H': job.sha256 = optarg; break;
        case 'T': job.token = optarg; break;
        case 'C': cpu = atoi(optarg); break;
        case 'w': job.whole = true; break;
        case 'S': job.single = true; break;
        default: fail("see main.c for the options");
        }
    }
    job.command = words + optind;
    if (!protocol || !job.path || connections < 1 || job.in_flight < 1) fail("--protocol and --path are needed");
    if (cpu >= 0) {
        cpu_set_t cores;
        CPU_ZERO(&cores);
        CPU_SET(cpu, &cores);
        sched_setaffinity(0, sizeof cores, &cores);
    }
    latencies = calloc((size_t)job.count, sizeof *latencies);
    struct line *lines = calloc((size_t)connections, sizeof *lines);
    pthread_t *threads = calloc((size_t)connections, sizeof *threads);
    for (int i = 0; i < connections; i++) {
        lines[i].input = malloc(READ_SIZE);
        if (!protocol->own_connection) stream_connect(&lines[i].stream, port, tls);
        if (protocol->connect) protocol->connect(&lines[i]);
    }
    in_turn("ready");
    double cpu_before = client_cpu(lines, connections);
    uint64_t start = now();
    for (int i = 0; i < connections; i++) pthread_create(&threads[i], NULL, run, &lines[i]);
    for (int i = 0; i < connections; i++) pthread_join(threads[i], NULL);
    double seconds = (double)(now() - start) / 1e9;
    double cpu_used = client_cpu(lines, connections) - cpu_before;
    if (files_done != job.count) fail("%d of %d were done", files_done, job.count);
    qsort(latencies, (size_t)job.count, sizeof *latencies, by_size);
    char line[300];
    const char *form = "{\"seconds\": %.6f, \"client_seconds\": %.4f, \"p50_us\": %.1f, \"p99_us\": %.1f}";
    double half = (double)latencies[job.count / 2], most = (double)latencies[job.count * 99 / 100];
    snprintf(line, sizeof line, form, seconds, cpu_used, half / 1e3, most / 1e3);
    in_turn(line);
    for (int i = 0; i < connections; i++) {
        close(lines[i].stream.fd);
        if (lines[i].child) waitpid(lines[i].child, NULL, 0);
    }
    return 0;
}
