/* HTTP/1.1 on a connection that is kept, one request at a time. */
#define _GNU_SOURCE
#include "transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* What the head of an answer said: the size of its body, or that it comes in chunks. */
struct answer {
    int status;
    uint64_t size;
    bool chunked;
};

static const char *header(const char *head, const char *end, const char *name) {
    size_t length = strlen(name);
    for (const char *at = head; at && at + length < end; at = memchr(at, '\n', (size_t)(end - at))) {
        if (*at == '\n') at++;
        if (!strncasecmp(at, name, length)) return at + length;
    }
    return NULL;
}

static struct answer read_head(struct line *line) {
    const char *head, *end;
    for (;;) {
        head = (const char *)line->input + line->start;
        end = memmem(head, line->end - line->start, "\r\n\r\n", 4);
        if (end) break;
        line_fill(line);
    }
    end += 4;
    struct answer answer = {.status = atoi(head + 9)};
    const char *size = header(head, end, "content-length:"), *coding = header(head, end, "transfer-encoding:");
    if (size) answer.size = strtoull(size, NULL, 10);
    answer.chunked = coding && !strncasecmp(coding + strspn(coding, " "), "chunked", 7);
    if (answer.status / 100 != 2) fail("%.*s", (int)(strchr(head, '\r') - head), head);
    if (!size && !coding && answer.status != 204 && answer.status != 201) fail("an answer of unknown length");
    line->start = (size_t)(end - (const char *)line->input);
    return answer;
}

static void skip(struct line *line, uint64_t size) {
    for (size_t part; size; size -= part) line_some(line, size, &part);
}

static void get(struct line *line, int file) {
    char request[1200];
    int size = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path_of(file));
    line_write(line, request, (size_t)size);
    struct answer answer = read_head(line);
    if (answer.chunked || answer.size != job.size) fail("%s has %ju bytes", path_of(file), (uintmax_t)answer.size);
    size_t part;
    for (uint64_t place = 0; place < job.size; place += part) {
        const uint8_t *data = line_some(line, job.size - place, &part);
        check_bytes(file, place, data, part);
    }
}

static void sync_file(int file) {
    char path[1200];
    snprintf(path, sizeof path, "%s%s", job.folder, path_of(file));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd)) fail("fsync of %s: %s", path, strerror(errno));
    close(fd);
}

static void put(struct line *line, int file) {
    char request[1200];
    int size = snprintf(request, sizeof request, "PUT %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %ju\r\n\r\n",
                        path_of(file), (uintmax_t)job.size);
    struct iovec parts[2] = {{request, (size_t)size}, {0}};
    for (uint64_t place = 0, part; place < job.size; place += part) {
        part = job.size - place < WRITE_SIZE ? job.size - place : WRITE_SIZE;
        parts[1] = (struct iovec){(uint8_t *)pattern_at(file, place), part};
        line_write_all(line, place ? parts + 1 : parts, place ? 1 : 2);
    }
    struct answer answer = read_head(line);
    skip(line, answer.size);
    if (job.folder) sync_file(file);
}

/* The whole body in memory: chunks are joined as they come. */
static char *read_body(struct line *line, struct answer answer, size_t *total) {
    char *body = NULL;
    *total = 0;
    for (bool last = false; !last;) {
        uint64_t size = answer.size;
        if (answer.chunked) {
            const uint8_t *end;
            while (!(end = memmem(line->input + line->start, line->end - line->start, "\r\n", 2))) line_fill(line);
            size = strtoull((const char *)line->input + line->start, NULL, 16);
            line->start = (size_t)(end + 2 - line->input);
        }
        last = !answer.chunked || !size;
        body = realloc(body, *total + size + 1);
        for (size_t part; size; size -= part, *total += part) {
            const uint8_t *data = line_some(line, size, &part);
            memcpy(body + *total, data, part);
        }
        if (answer.chunked) {
            line_need(line, 2);
            line->start += 2;
        }
    }
    body[*total] = 0;
    return body;
}

static void list(struct line *line) {
    char request[4096];
    int size = snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n%s\r\n%s",
                        job.method, job.path, strlen(job.body), job.head, job.body);
    line_write(line, request, (size_t)size);
    size_t total;
    char *body = read_body(line, read_head(line), &total);
    uint64_t entries = 0;
    for (const char *at = body; (at = strstr(at, job.entry)); at += strlen(job.entry)) entries++;
    if (entries != job.size) fail("%ju entries instead of %ju: %.200s", (uintmax_t)entries, (uintmax_t)job.size, body);
    free(body);
}

void http_work(struct line *line) {
    for (int file; (file = take_file()) >= 0;) {
        uint64_t begun = now();
        if (job.operation == GET) get(line, file);
        else if (job.operation == PUT) put(line, file);
        else list(line);
        file_done(begun);
    }
}
