/* Reading and writing a connection, the same for every protocol. */
#define _GNU_SOURCE
#include "transfer.h"

#include <errno.h>
#include <string.h>

/* So often may a read or write end without a byte (20 s each): committing a large file waits for the disk. */
#define PATIENCE 6

static size_t read_once(struct line *line, uint8_t *data, size_t size) {
    for (int tries = 0; tries < PATIENCE; tries++) {
        size_t moved = stream_read(&line->stream, data, size);
        if (moved) return moved;
    }
    fail("nothing came");
}

void line_fill(struct line *line) {
    if (line->start == line->end) line->start = line->end = 0;
    if (line->end == READ_SIZE) {
        memmove(line->input, line->input + line->start, line->end - line->start);
        line->end -= line->start;
        line->start = 0;
    }
    if (line->end == READ_SIZE) fail("more than %d bytes in one piece", READ_SIZE);
    line->end += read_once(line, line->input + line->end, READ_SIZE - line->end);
}

const uint8_t *line_need(struct line *line, size_t size) {
    if (line->start + size > READ_SIZE) {
        memmove(line->input, line->input + line->start, line->end - line->start);
        line->end -= line->start;
        line->start = 0;
    }
    while (line->end - line->start < size) line_fill(line);
    return line->input + line->start;
}

const uint8_t *line_some(struct line *line, uint64_t most, size_t *size) {
    if (line->start == line->end) line_fill(line);
    size_t there = line->end - line->start;
    *size = there < most ? there : (size_t)most;
    const uint8_t *data = line->input + line->start;
    line->start += *size;
    return data;
}

void line_write(struct line *line, const void *data, size_t size) {
    const uint8_t *left = data;
    for (int tries = 0; size && tries < PATIENCE;) {
        size_t moved = stream_write(&line->stream, left, size < WRITE_SIZE ? size : WRITE_SIZE);
        tries = moved ? 0 : tries + 1;
        left += moved;
        size -= moved;
    }
    if (size) fail("the server takes nothing more");
}

void line_write_all(struct line *line, struct iovec *parts, int count) {
    if (line->stream.tls) {
        static _Thread_local uint8_t joined[2 * WRITE_SIZE];
        size_t size = 0;
        for (int i = 0; i < count; i++) {
            if (size + parts[i].iov_len > sizeof joined) fail("too much for one write");
            memcpy(joined + size, parts[i].iov_base, parts[i].iov_len);
            size += parts[i].iov_len;
        }
        line_write(line, joined, size);
        return;
    }
    while (count) {
        ssize_t moved = writev(line->stream.fd, parts, count);
        if (moved < 0 && errno == EINTR) continue;
        if (moved < 0) fail("the server closed the connection: %s", strerror(errno));
        for (; count && (size_t)moved >= parts->iov_len; parts++, count--) moved -= (ssize_t)parts->iov_len;
        if (count) {
            parts->iov_base = (uint8_t *)parts->iov_base + moved;
            parts->iov_len -= (size_t)moved;
        }
    }
}
