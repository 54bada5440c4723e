/* Fluxon's own wire (docs/protocol.rst): many asks under way on one connection, large files as streams with credit. */
#define _GNU_SOURCE
#include "cbor.h"
#include "transfer.h"

#include <stdio.h>
#include <stdlib.h>

enum { ASK, ANSWER, FAILED, CANCEL, CREDIT, END, PING, PONG };
enum { NONE, RAW = 2 };

/* A content that is not larger travels in the ask or the answer itself (fluxon/commands/cloud). */
#define INLINE (256 * 1024)
/* What Fluxon's own clients grant, and send in one chunk. */
#define WINDOW (4 * 1024 * 1024)
#define CHUNK (256 * 1024)
#define CHUNKS_IN_A_WRITE (WRITE_SIZE / CHUNK)
#define PAGE 1000
#define MAX_SLOTS 64
#define TRUE 0xf5
#define NULL_VALUE 0xf6

struct slot {
    int file;
    bool busy, streaming, sent, committing;
    uint32_t stream;
    uint64_t moved, credit, begun; /* bytes; bytes that may be sent, or were granted and did not come; when */
    char upload[65];
};

struct talk {
    struct line *line;
    struct slot slots[MAX_SLOTS];
    int busy;
    uint8_t *body; /* of a message that is larger than one read */
    size_t room;
    char after[8193]; /* where the next page of a listing begins */
    uint64_t entries;
};

/* An ask is begun in `frame`, its arguments are put there by the caller, and send_ask sends it. */
static uint8_t *begin_ask(uint8_t *frame, uint32_t tag, const char *command, int arguments) {
    frame[4] = NONE;
    uint8_t *at = put_head(frame + 5, ARRAY, 6);
    *at++ = ASK;
    *at++ = 0x1a;
    return put_head(put_text(put_number(at, tag, 4), command), MAP, (uint64_t)arguments);
}

/* `data`, if any, comes behind what is in the frame: the last argument's bytes. */
static void send_ask(struct talk *talk, uint8_t *frame, uint8_t *at, const uint8_t *data, size_t size) {
    uint8_t ending[] = {NULL_VALUE, 0xa0};
    put_number(frame, (uint64_t)(at - frame) - 4 + size + sizeof ending, 4);
    struct iovec parts[3] = {{frame, (size_t)(at - frame)}, {(void *)data, size}, {ending, sizeof ending}};
    if (data) line_write_all(talk->line, parts, 3);
    else line_write(talk->line, frame, (size_t)(put_bytes(at, ending, sizeof ending) - frame));
}

static void send_control(struct talk *talk, int kind, uint32_t stream, uint32_t count) {
    uint8_t frame[32] = {[4] = NONE}, *at = put_head(frame + 5, ARRAY, kind == END ? 4 : kind == CREDIT ? 3 : 2);
    *at++ = (uint8_t)kind;
    at = put_head(at, UNSIGNED, stream);
    if (kind == CREDIT) at = put_head(at, UNSIGNED, count);
    if (kind == END) at = put_bytes(at, (uint8_t[]){NULL_VALUE, 0xa0}, 2);
    put_number(frame, (uint64_t)(at - frame) - 4, 4);
    line_write(talk->line, frame, (size_t)(at - frame));
}

static void begin_file(struct talk *talk, uint32_t number) {
    struct slot *slot = &talk->slots[number];
    int file = take_file();
    if (file < 0) return;
    *slot = (struct slot){.file = file, .busy = true, .begun = now()};
    talk->busy++;
    uint8_t frame[8192], *at;
    bool whole = job.size <= INLINE;
    if (job.operation == GET) {
        at = begin_ask(frame, number, "cloud.read", 2);
        at = put_text(put_text(at, "path"), path_of(file));
        at = put_head(put_text(at, "offset"), UNSIGNED, 0);
        send_ask(talk, frame, at, NULL, 0);
        return;
    }
    at = begin_ask(frame, number, whole ? "cloud.write" : "cloud.upload", 3);
    at = put_text(put_text(at, "path"), path_of(file));
    at = put_text(at, "create");
    *at++ = TRUE;
    at = put_head(put_text(at, whole ? "data" : "size"), whole ? BYTES : UNSIGNED, job.size);
    send_ask(talk, frame, at, whole ? pattern_at(file, 0) : NULL, whole ? job.size : 0);
}

static void finish_file(struct talk *talk, struct slot *slot) {
    file_done(slot->begun);
    slot->busy = false;
    talk->busy--;
    begin_file(talk, (uint32_t)(slot - talk->slots));
}

/* Sends as many chunks as there is credit for, one write at most; the end behind the last byte. */
static void send_chunks(struct talk *talk, struct slot *slot) {
    uint8_t heads[CHUNKS_IN_A_WRITE][9];
    struct iovec parts[2 * CHUNKS_IN_A_WRITE];
    int count = 0;
    for (int i = 0; i < CHUNKS_IN_A_WRITE; i++) {
        uint64_t size = job.size - slot->moved;
        if (size > slot->credit) size = slot->credit;
        if (size > CHUNK) size = CHUNK;
        if (!size) break;
        put_number(heads[i], size + 5, 4);
        heads[i][4] = RAW;
        put_number(heads[i] + 5, slot->stream, 4);
        parts[count++] = (struct iovec){heads[i], 9};
        parts[count++] = (struct iovec){(void *)pattern_at(slot->file, slot->moved), size};
        slot->moved += size;
        slot->credit -= size;
    }
    if (count) line_write_all(talk->line, parts, count);
    if (slot->moved < job.size) return;
    send_control(talk, END, slot->stream, 0);
    slot->sent = true; /* credit for what was taken may still come */
}

static void commit(struct talk *talk, struct slot *slot) {
    uint8_t frame[1024], *at = begin_ask(frame, (uint32_t)(slot - talk->slots), "cloud.commit", 3);
    at = put_text(put_text(at, "upload"), slot->upload);
    at = put_head(put_text(at, "size"), UNSIGNED, job.size);
    at = put_text(put_text(at, "sha256"), job.sha256);
    slot->streaming = false;
    slot->committing = true;
    send_ask(talk, frame, at, NULL, 0);
}

static struct slot *slot_of(struct talk *talk, uint64_t stream) {
    for (int i = 0; i < job.in_flight; i++)
        if (talk->slots[i].streaming && talk->slots[i].stream == stream) return &talk->slots[i];
    fail("a stream that was not opened");
}

static void open_stream(struct talk *talk, struct slot *slot, struct cursor answer) {
    int64_t stream = cbor_number(answer, "stream");
    if (stream < 0) fail("an answer without a stream");
    slot->stream = (uint32_t)stream;
    slot->streaming = true;
    if (job.operation == GET) {
        slot->credit = WINDOW;
        send_control(talk, CREDIT, slot->stream, WINDOW);
        return;
    }
    size_t size;
    const uint8_t *upload = cbor_bytes(answer, "upload", &size);
    if (!upload || size >= sizeof slot->upload || cbor_number(answer, "offset")) fail("an upload that does not begin");
    memcpy(slot->upload, upload, size);
}

static void take_answer(struct talk *talk, uint64_t tag, struct cursor answer) {
    if (tag >= MAX_SLOTS || !talk->slots[tag].busy) fail("an answer to nothing");
    struct slot *slot = &talk->slots[tag];
    size_t size;
    if (job.operation == PUT) {
        bool stored = slot->committing || job.size <= INLINE;
        if (!stored) open_stream(talk, slot, answer);
        else if (cbor_number(cbor_find(answer, "item"), "size") == (int64_t)job.size) finish_file(talk, slot);
        else fail("%s is not whole", path_of(slot->file));
        return;
    }
    if (cbor_number(answer, "length") != (int64_t)job.size) fail("%s has another size", path_of(slot->file));
    const uint8_t *data = cbor_bytes(answer, "data", &size);
    if (!data) {
        open_stream(talk, slot, answer);
        return;
    }
    if (size != job.size) fail("%s is not whole", path_of(slot->file));
    check_bytes(slot->file, 0, data, size);
    finish_file(talk, slot);
}

static void take_end(struct talk *talk, struct slot *slot, struct cursor body) {
    int major;
    uint64_t code = cbor_head(&body, &major);
    if (major != SIMPLE || code != CBOR_NULL) fail("the server gave up: %.*s", (int)code, body.at);
    if (slot->moved != job.size) fail("%s is cut short", path_of(slot->file));
    if (job.operation == PUT) {
        commit(talk, slot);
        return;
    }
    send_control(talk, END, slot->stream, 0);
    slot->streaming = false;
    finish_file(talk, slot);
}

static void take_page(struct talk *talk, struct cursor answer) {
    int major;
    size_t size;
    struct cursor items = cbor_find(answer, "items");
    talk->entries += cbor_head(&items, &major);
    const uint8_t *next = cbor_bytes(answer, "next", &size);
    if (size >= sizeof talk->after) fail("a cursor of %zu bytes", size);
    if (next) memcpy(talk->after, next, size);
    talk->after[size] = 0;
    talk->busy = 0;
}

static void take_message(struct talk *talk, struct cursor body) {
    int major;
    if (cbor_head(&body, &major) < 2 || major != ARRAY) fail("no message");
    uint64_t kind = cbor_head(&body, &major), number = cbor_head(&body, &major);
    if (kind == ANSWER && job.operation == LIST) take_page(talk, body);
    else if (kind == ANSWER) take_answer(talk, number, body);
    else if (kind == CREDIT) slot_of(talk, number)->credit += cbor_head(&body, &major);
    else if (kind == END) take_end(talk, slot_of(talk, number), body);
    else if (kind == PING) send_control(talk, PONG, (uint32_t)number, 0);
    else if (kind == FAILED) {
        int size = (int)cbor_head(&body, &major);
        struct cursor text = {body.at + size, body.end};
        int length = (int)cbor_head(&text, &major);
        fail("%.*s: %.*s", size, body.at, length, text.at);
    } else fail("a message of kind %ju", (uintmax_t)kind);
}

/* The bytes of a chunk, used where they were read. */
static void take_chunk(struct talk *talk, uint64_t size) {
    struct slot *slot = slot_of(talk, get_number(line_need(talk->line, 4), 4));
    talk->line->start += 4;
    if (size > slot->credit) fail("more bytes than were granted");
    slot->credit -= size;
    for (size_t part; size; size -= part, slot->moved += part) {
        const uint8_t *data = line_some(talk->line, size, &part);
        check_bytes(slot->file, slot->moved, data, part);
    }
    if (slot->credit <= WINDOW * 3 / 4 && slot->moved < job.size) {
        send_control(talk, CREDIT, slot->stream, (uint32_t)(WINDOW - slot->credit));
        slot->credit = WINDOW;
    }
}

/* A body that is larger than one read is gathered in a place of its own. */
static struct cursor read_body(struct talk *talk, size_t size) {
    if (size <= READ_SIZE) {
        const uint8_t *body = line_need(talk->line, size);
        talk->line->start += size;
        return (struct cursor){body, body + size};
    }
    if (size > talk->room) talk->body = realloc(talk->body, talk->room = size);
    for (size_t done = 0, part; done < size; done += part) {
        const uint8_t *data = line_some(talk->line, size - done, &part);
        memcpy(talk->body + done, data, part);
    }
    return (struct cursor){talk->body, talk->body + size};
}

static void take_frame(struct talk *talk) {
    const uint8_t *head = line_need(talk->line, 5);
    size_t size = get_number(head, 4) - 1;
    int flags = head[4];
    talk->line->start += 5;
    if (flags == RAW) take_chunk(talk, size - 4);
    else if (flags == NONE) take_message(talk, read_body(talk, size));
    else fail("a frame with flags %d", flags);
}

static void list(struct talk *talk) {
    uint8_t frame[16384];
    talk->entries = 0;
    talk->after[0] = 0;
    do {
        uint8_t *at = begin_ask(frame, 0, "cloud.list", talk->after[0] ? 3 : 2);
        at = put_text(put_text(at, "path"), job.path);
        at = put_head(put_text(at, "limit"), UNSIGNED, PAGE);
        if (talk->after[0]) at = put_text(put_text(at, "after"), talk->after);
        send_ask(talk, frame, at, NULL, 0);
        for (talk->busy = 1; talk->busy;) take_frame(talk);
    } while (talk->after[0]);
    if (talk->entries != job.size) fail("%ju entries instead of %ju", (uintmax_t)talk->entries, (uintmax_t)job.size);
}

/* Whether there is more to send that was granted. */
static bool send_granted(struct talk *talk) {
    bool any = false;
    for (int i = 0; i < job.in_flight; i++) {
        struct slot *slot = &talk->slots[i];
        if (job.operation != PUT || !slot->streaming || slot->sent || !slot->credit) continue;
        send_chunks(talk, slot);
        any |= !slot->sent && slot->credit;
    }
    return any;
}

void fluxon_work(struct line *line) {
    struct talk *talk = calloc(1, sizeof *talk);
    talk->line = line;
    if (job.in_flight > MAX_SLOTS) fail("more than %d in flight", MAX_SLOTS);
    if (job.operation == LIST) {
        for (; take_file() >= 0;) {
            uint64_t begun = now();
            list(talk);
            file_done(begun);
        }
        return;
    }
    for (int i = 0; i < job.in_flight; i++) begin_file(talk, (uint32_t)i);
    while (talk->busy)
        if (!send_granted(talk)) take_frame(talk);
}

void fluxon_connect(struct line *line) {
    struct talk talk = {.line = line};
    uint8_t frame[1024], *at = begin_ask(frame, 0, "hello", 4);
    at = put_head(put_text(at, "version"), UNSIGNED, 1);
    at = put_text(put_text(at, "token"), job.token ? job.token : "");
    at = put_head(put_text(at, "seen"), UNSIGNED, 0);
    at = put_head(put_text(at, "features"), ARRAY, 0);
    send_ask(&talk, frame, at, NULL, 0);
    const uint8_t *head = line_need(line, 5);
    size_t size = get_number(head, 4) - 1;
    line->start += 5;
    struct cursor body = read_body(&talk, size);
    int major;
    cbor_head(&body, &major);
    uint64_t kind = cbor_head(&body, &major);
    cbor_head(&body, &major);
    struct cursor known = kind == ANSWER ? cbor_find(body, "authenticated") : (struct cursor){0};
    if (!known.at || *known.at != TRUE) fail("the server does not know the session");
}
