/* Where a frame ends, and whether it answers a request: one function for each protocol. */
#define _GNU_SOURCE
#include "load.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static uint32_t big_endian(const uint8_t *data, int size) {
    uint32_t value = 0;
    for (int i = 0; i < size; i++) value = value << 8 | data[i];
    return value;
}

static size_t whole(struct frame *frame, const uint8_t *data, size_t head, size_t body, size_t size) {
    if (size < head + body) return 0;
    frame->body = data + head;
    frame->size = body;
    frame->answer = frame->payload = true;
    return head + body;
}

static size_t length4(const uint8_t *data, size_t size, struct frame *frame) {
    return size < 4 ? 0 : whole(frame, data, 4, big_endian(data, 4), size);
}

/* AMP: pairs of a key and a value, each behind a length of two bytes, until an empty key. */
static size_t amp(const uint8_t *data, size_t size, struct frame *frame) {
    size_t at = 0;
    for (bool key = true;; key = !key) {
        if (size < at + 2) return 0;
        size_t part = big_endian(data + at, 2);
        at += 2 + part;
        if (key && part == 0) return whole(frame, data, 0, at, size);
    }
}

/* RFC 6455, server to client: never masked. Only text and binary messages are answers. */
static size_t websocket(const uint8_t *data, size_t size, struct frame *frame) {
    if (size < 2) return 0;
    size_t head = 2, body = data[1] & 127;
    if (body == 126) {
        head = 4;
        if (size < head) return 0;
        body = big_endian(data + 2, 2);
    } else if (body == 127) {
        head = 10;
        if (size < head) return 0;
        body = big_endian(data + 6, 4);
    }
    size_t used = whole(frame, data, head, body, size);
    int opcode = data[0] & 15;
    if (used && opcode == 8) fail("the server closed the websocket");
    frame->answer = frame->payload = opcode == 1 || opcode == 2;
    return used;
}

/* HTTP/1.1 with Content-Length, which every server here sends for a small JSON answer. */
static size_t http1(const uint8_t *data, size_t size, struct frame *frame) {
    const uint8_t *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t head = (size_t)(end - data) + 4;
    if (head < 12 || memcmp(data, "HTTP/1.1 200", 12)) fail("not a 200 answer: %.*s", (int)head, (const char *)data);
    static const char name[] = "\ncontent-length:";
    for (size_t at = 0; at + sizeof name < head; at++)
        if (!strncasecmp((const char *)data + at, name, sizeof name - 1))
            return whole(frame, data, head, strtoul((const char *)data + at + sizeof name - 1, NULL, 10), size);
    fail("an answer without Content-Length");
}

/* HTTP/2 as gRPC uses it (RFC 9113): the payload comes in DATA, the answer ends with trailers. Flow control needs
 * no bookkeeping: the template's preface opens the connection's window to 2 GiB. */
static size_t http2(const uint8_t *data, size_t size, struct frame *frame) {
    enum { DATA, HEADERS, RST_STREAM = 3, SETTINGS, PING = 6, GOAWAY };
    enum { END_STREAM = 1, ACK = 1 };
    if (size < 9) return 0;
    size_t used = whole(frame, data, 9, big_endian(data, 3), size);
    if (!used) return 0;
    int type = data[3], flags = data[4];
    frame->answer = type == HEADERS && flags & END_STREAM;
    frame->payload = type == DATA;
    if (type == RST_STREAM || type == GOAWAY) fail("HTTP/2 frame of type %d ended the stream", type);
    if (type == SETTINGS && !(flags & ACK)) {
        memcpy(frame->reply, (uint8_t[]){0, 0, 0, SETTINGS, ACK, 0, 0, 0, 0}, 9);
        frame->reply_size = 9;
    }
    if (type == PING && !(flags & ACK)) {
        memcpy(frame->reply, data, 17);
        frame->reply[4] = ACK;
        frame->reply_size = 17;
    }
    return used;
}

/* RPyC: length, a compression flag, the brine, a newline. */
static size_t rpyc(const uint8_t *data, size_t size, struct frame *frame) {
    return size < 5 ? 0 : whole(frame, data, 5, (size_t)big_endian(data, 4) + 1, size);
}

size_t next_frame(const struct options *options, const uint8_t *data, size_t size, struct frame *frame) {
    static size_t (*const framings[])(const uint8_t *, size_t, struct frame *) = {
        [FRAMING_LENGTH4] = length4, [FRAMING_AMP] = amp, [FRAMING_WEBSOCKET] = websocket,
        [FRAMING_HTTP1] = http1, [FRAMING_HTTP2] = http2, [FRAMING_RPYC] = rpyc,
    };
    frame->reply_size = 0;
    size_t used = framings[options->framing](data, size, frame);
    if (used > INPUT_SIZE) fail("a frame of %zu bytes", used);
    if (used && options->match.size) {
        size_t place = options->match_place, length = options->match.size;
        bool same = frame->size >= place + length && !memcmp(frame->body + place, options->match.data, length);
        frame->answer = frame->payload = same;
    }
    return used;
}
