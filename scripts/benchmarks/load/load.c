/* The loop: keep every connection's places filled, check what comes back, count, print one line of JSON. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Latencies are counted in steps of 100 ns up to 0.4 s, so that percentiles need no sorting. */
#define LATENCY_STEP 100
#define LATENCY_STEPS 4000000
#define SECOND 1000000000ull
#define PATIENCE (5 * SECOND)
/* At the end, a request older than this means a connection that went silent while others were served. */
#define FORGOTTEN SECOND

static struct options options;
static struct connection *connections;
static uint32_t *latencies;
static uint64_t answers, payloads, last_answer;
static bool measuring;
static char refusal[200] = "nothing came"; /* what the last frame that was no answer said */

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

static double own_cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    struct timeval user = usage.ru_utime, system = usage.ru_stime;
    return (double)(user.tv_sec + system.tv_sec) + (double)(user.tv_usec + system.tv_usec) / 1e6;
}

/* utime + stime of /proc/PID/stat, fields 14 and 15, after the name in brackets that may hold anything. */
static double server_cpu(void) {
    if (!options.pid) return 0;
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%d/stat", options.pid);
    FILE *file = fopen(path, "r");
    if (!file) fail("the server is gone");
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    unsigned long user = 0, system = 0;
    char *rest = strrchr(text, ')');
    if (rest) sscanf(rest + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static void put_tag(uint8_t *request, uint32_t tag) {
    int digits = options.tag_kind == TAG_DECIMAL ? TAG_DIGITS : 4;
    for (int i = 0; i < options.tag_place_count; i++) {
        uint8_t *place = request + options.tag_places[i];
        uint32_t left = tag;
        for (int digit = digits - 1; digit >= 0; digit--) {
            bool decimal = options.tag_kind == TAG_DECIMAL;
            place[digit] = decimal ? (uint8_t)('0' + left % 10) ^ options.tag_mask[digit] : (uint8_t)left;
            left = decimal ? left / 10 : left >> 8;
        }
    }
}

static void ask(struct connection *connection, uint64_t time) {
    if (connection->output_end + options.request.size > OUTPUT_SIZE) fail("the server reads too slowly");
    uint8_t *request = connection->output + connection->output_end;
    memcpy(request, options.request.data, options.request.size);
    put_tag(request, connection->tag);
    connection->tag += options.tag_step;
    connection->output_end += options.request.size;
    connection->sent_at[(connection->oldest + connection->waiting++) % options.in_flight] = time;
}

static void flush(struct connection *connection, int poll) {
    while (connection->output_start < connection->output_end) {
        const uint8_t *data = connection->output + connection->output_start;
        size_t moved = stream_write(connection, data, connection->output_end - connection->output_start);
        if (!moved) break;
        connection->output_start += moved;
    }
    bool left = connection->output_start < connection->output_end;
    if (!left) connection->output_start = connection->output_end = 0;
    if (left != connection->wants_write && poll >= 0) {
        connection->wants_write = left;
        struct epoll_event event = {.events = EPOLLIN | (left ? EPOLLOUT : 0u), .data.ptr = connection};
        epoll_ctl(poll, EPOLL_CTL_MOD, connection->fd, &event);
    }
}

static const char *readable_text(const struct frame *frame) {
    size_t size = frame->size < sizeof refusal ? frame->size : sizeof refusal - 1;
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = frame->body[i];
        refusal[i] = byte >= 32 && byte < 127 ? (char)byte : '.';
    }
    refusal[size] = 0;
    return refusal;
}

/* The expected bytes are nearly always where they were in the answer before: one memcmp instead of a search. */
static void check(struct connection *connection, const struct frame *frame) {
    const struct bytes *expect = &options.expect;
    size_t place = connection->expect_place;
    payloads++;
    if (frame->size >= place + expect->size && !memcmp(frame->body + place, expect->data, expect->size)) return;
    const uint8_t *found = memmem(frame->body, frame->size, expect->data, expect->size);
    if (!found) fail("an answer without the payload: %s", readable_text(frame));
    connection->expect_place = (size_t)(found - frame->body);
}

/* Takes the whole frames out of the input; returns how many of them were answers. */
static int take_frames(struct connection *connection, bool checked) {
    int taken = 0;
    struct frame frame;
    for (size_t used;; connection->input_start += used) {
        const uint8_t *data = connection->input + connection->input_start;
        used = next_frame(&options, data, connection->input_end - connection->input_start, &frame);
        if (!used) break;
        if (frame.payload && checked) check(connection, &frame);
        taken += frame.answer;
        if (options.match.size && !frame.answer) readable_text(&frame);
        if (connection->output_end + frame.reply_size > OUTPUT_SIZE) fail("the server reads too slowly");
        memcpy(connection->output + connection->output_end, frame.reply, frame.reply_size);
        connection->output_end += frame.reply_size;
    }
    size_t left = connection->input_end - connection->input_start;
    if (connection->input_start && left) memmove(connection->input, connection->input + connection->input_start, left);
    connection->input_start = 0;
    connection->input_end = left;
    return taken;
}

static size_t receive(struct connection *connection) {
    size_t room = INPUT_SIZE - connection->input_end;
    if (!room) fail("a frame larger than %d bytes", INPUT_SIZE);
    size_t moved = stream_read(connection, connection->input + connection->input_end, room);
    connection->input_end += moved;
    return moved;
}

static void input(struct connection *connection, int poll) {
    int taken = 0;
    size_t moved;
    do { /* TLS hands out a record at a time and keeps the rest to itself */
        moved = receive(connection);
        taken += take_frames(connection, true);
    } while (moved && connection->tls);
    uint64_t time = now();
    for (int i = 0; i < taken; i++) {
        if (!connection->waiting) fail("more answers than requests");
        uint64_t step = (time - connection->sent_at[connection->oldest]) / LATENCY_STEP;
        if (measuring) latencies[step < LATENCY_STEPS ? step : LATENCY_STEPS - 1]++;
        connection->oldest = (connection->oldest + 1) % options.in_flight;
        connection->waiting--;
    }
    if (taken) last_answer = time;
    answers += (uint64_t)taken;
    if (!options.rate)
        for (int i = 0; i < taken; i++) ask(connection, time);
    flush(connection, poll);
}

static void greet(struct connection *connection) {
    connection->input = malloc(INPUT_SIZE);
    connection->output = malloc(OUTPUT_SIZE);
    connection->sent_at = calloc((size_t)options.in_flight, sizeof(uint64_t));
    connection->tag = options.tag_first;
    stream_connect(connection, options.port, options.tls);
    if (options.upgrade.size) {
        stream_write(connection, options.upgrade.data, options.upgrade.size);
        uint8_t *end;
        while (!(end = memmem(connection->input, connection->input_end, "\r\n\r\n", 4)))
            if (!receive(connection)) fail("no answer to the upgrade");
        if (memcmp(connection->input, "HTTP/1.1 101", 12)) fail("refused: %.80s", (char *)connection->input);
        connection->input_start = (size_t)(end - connection->input) + 4;
    }
    for (int i = 0; i < options.hello_count; i++) {
        memcpy(connection->output + connection->output_end, options.hellos[i].data, options.hellos[i].size);
        connection->output_end += options.hellos[i].size;
        flush(connection, -1);
        while (!take_frames(connection, false)) {
            flush(connection, -1);
            if (!receive(connection)) fail("no answer to hello %d", i + 1);
        }
    }
    stream_unblock(connection);
}

/* Open loop: a request leaves when it is due, and its latency counts from then, whether or not it could leave. */
static void send_due(uint64_t start, uint64_t time, int poll) {
    static uint64_t sent;
    uint64_t due = (uint64_t)((double)(time - start) / 1e9 * options.rate);
    for (; sent < due; sent++) {
        struct connection *connection = &connections[sent % (uint64_t)options.connections];
        if (connection->waiting == options.in_flight) fail("the server does not keep up with this rate");
        ask(connection, start + (uint64_t)((double)sent / options.rate * 1e9));
        flush(connection, poll);
    }
}

/* Runs until the given time; epoll waits at most 50 ms, or 50 microseconds where requests are due by the clock. */
static void run_until(uint64_t end, uint64_t start, int poll) {
    struct epoll_event events[256];
    struct timespec slice = {0, options.rate ? 50000 : 50000000};
    for (uint64_t time; (time = now()) < end;) {
        if (options.rate) send_due(start, time, poll);
        int count = epoll_pwait2(poll, events, 256, &slice, NULL);
        if (count < 0 && errno != EINTR) fail("epoll: %s", strerror(errno));
        for (int i = 0; i < count; i++) input(events[i].data.ptr, poll);
        if (time > last_answer + PATIENCE) fail("no answer for 5 s: %s", refusal);
    }
}

static double percentile(double part, uint64_t total) {
    uint64_t wanted = (uint64_t)(part * (double)total), seen = 0;
    for (int step = 0; step < LATENCY_STEPS; step++)
        if ((seen += latencies[step]) > wanted) return (step + 0.5) * LATENCY_STEP / 1000.0;
    return 0;
}

int main(int count, char **words) {
    options = read_options(count, words);
    if (options.cpu >= 0) {
        cpu_set_t cores;
        CPU_ZERO(&cores);
        CPU_SET(options.cpu, &cores);
        sched_setaffinity(0, sizeof cores, &cores);
    }
    connections = calloc((size_t)options.connections, sizeof *connections);
    latencies = calloc(LATENCY_STEPS, sizeof *latencies);
    int poll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < options.connections; i++) {
        greet(&connections[i]);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};
        epoll_ctl(poll, EPOLL_CTL_ADD, connections[i].fd, &event);
    }
    uint64_t start = last_answer = now();
    for (int i = 0; i < options.connections && !options.rate; i++) {
        for (int place = 0; place < options.in_flight; place++) ask(&connections[i], start);
        flush(&connections[i], poll);
    }
    run_until(start + (uint64_t)(options.warmup * 1e9), start, poll);
    uint64_t before = answers, begin = now();
    double own = own_cpu(), server = server_cpu();
    measuring = true;
    run_until(begin + (uint64_t)(options.seconds * 1e9), start, poll);
    measuring = false;
    double seconds = (double)(now() - begin) / 1e9;
    server = server_cpu() - server;
    own = own_cpu() - own;
    uint64_t done = answers - before;
    if (payloads < answers) fail("%ju answers but only %ju payloads", (uintmax_t)answers, (uintmax_t)payloads);
    if (!done) fail("no answer at all: %s", refusal);
    for (int i = 0; i < options.connections; i++) {
        const struct connection *connection = &connections[i];
        if (connection->waiting && now() > connection->sent_at[connection->oldest] + FORGOTTEN)
            fail("a connection got no more answers: %s", refusal);
    }
    printf("{\"requests\": %ju, \"seconds\": %.4f, \"rate\": %.1f, \"server_cpu\": %.3f, \"client_cpu\": %.3f, ",
           (uintmax_t)done, seconds, (double)done / seconds, server / seconds, own / seconds);
    printf("\"p50_us\": %.2f, \"p99_us\": %.2f}\n", percentile(0.5, done), percentile(0.99, done));
    return 0;
}
