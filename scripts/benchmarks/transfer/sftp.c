/* SFTP, version 3, through a program that does the rest of SSH: many requests under way, as OpenSSH's own client.
 *
 * The server answers in the order of the requests, so what is waited for is a queue.
 */
#define _GNU_SOURCE
#include "bytes.h"
#include "transfer.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { INIT = 1, VERSION, OPEN, CLOSE, READ, WRITE, OPENDIR = 11, READDIR, STATUS = 101, HANDLE, DATA, NAME };
enum { EXTENDED = 200, END_OF_FILE = 1, FOR_READING = 1, FOR_WRITING = 2 | 8 | 16 };

/* What sftp of OpenSSH 9 asks for at a time, and how often before it waits for an answer. */
#define BLOCK (255 * 1024)
#define WINDOW 64
#define MAX_SLOTS 64
#define QUEUE 512 /* WINDOW blocks, and an open, an fsync and a close for each slot */

struct slot {
    int file;
    bool open, closing;
    uint8_t handle[256];
    size_t handle_size;
    uint64_t sent, begun; /* bytes asked for; when the file was */
};

struct asked {
    struct slot *slot;
    int type;
    uint64_t place;
    size_t size;
};

struct talk {
    struct line *line;
    struct slot slots[MAX_SLOTS];
    struct asked queue[QUEUE];
    uint32_t first, end; /* of the queue: ids of requests */
    int blocks;          /* reads or writes among them */
};

static uint8_t *put_string(uint8_t *at, const void *data, size_t size) {
    return put_bytes(put_number(at, size, 4), data, size);
}

/* Starts a packet in `packet`, behind where its length goes. */
static uint8_t *begin(struct talk *talk, struct slot *slot, uint8_t *packet, int type) {
    talk->queue[talk->end % QUEUE] = (struct asked){slot, type, slot->sent, 0};
    packet[4] = (uint8_t)type;
    return put_number(packet + 5, talk->end++, 4);
}

static void send_packet(struct talk *talk, uint8_t *packet, uint8_t *end, const uint8_t *data, size_t size) {
    put_number(packet, (uint64_t)(end - packet) - 4 + size, 4);
    struct iovec parts[2] = {{packet, (size_t)(end - packet)}, {(void *)data, size}};
    line_write_all(talk->line, parts, data ? 2 : 1);
}

static void ask_handle(struct talk *talk, struct slot *slot, int type) {
    uint8_t packet[1024], *at = begin(talk, slot, packet, type);
    if (type == EXTENDED) at = put_string(at, "fsync@openssh.com", 17);
    send_packet(talk, packet, put_string(at, slot->handle, slot->handle_size), NULL, 0);
}

static void ask_block(struct talk *talk, struct slot *slot) {
    uint8_t packet[1024];
    int type = job.operation == GET ? READ : WRITE;
    uint64_t left = job.size - slot->sent, place = slot->sent;
    size_t size = left < BLOCK ? (size_t)left : BLOCK;
    uint8_t *at = put_string(begin(talk, slot, packet, type), slot->handle, slot->handle_size);
    at = put_number(put_number(at, place, 8), size, 4);
    talk->queue[(talk->end - 1) % QUEUE].size = size;
    send_packet(talk, packet, at, type == WRITE ? pattern_at(slot->file, place) : NULL, type == WRITE ? size : 0);
    slot->sent += size;
    talk->blocks++;
}

static void open_next(struct talk *talk, struct slot *slot) {
    int file = take_file();
    if (file < 0) return;
    *slot = (struct slot){.file = file, .begun = now()};
    uint8_t packet[2048];
    const char *path = path_of(file);
    uint8_t *at = put_string(begin(talk, slot, packet, OPEN), path, strlen(path));
    at = put_number(at, job.operation == GET ? FOR_READING : FOR_WRITING, 4);
    send_packet(talk, packet, put_number(at, 0, 4), NULL, 0);
}

/* Asks for whatever may be under way: blocks while there is room, and the close behind the last one. */
static void advance(struct talk *talk, struct slot *slot) {
    while (slot->open && slot->sent < job.size && talk->blocks < WINDOW) ask_block(talk, slot);
    if (!slot->open || slot->sent < job.size || slot->closing) return;
    slot->closing = true;
    if (job.sync) ask_handle(talk, slot, EXTENDED);
    ask_handle(talk, slot, CLOSE);
}

/* The head of the next packet: its type, and how many bytes follow the id. */
static size_t read_head(struct talk *talk, int *type, uint32_t *id) {
    const uint8_t *head = line_need(talk->line, 9);
    size_t size = get_number(head, 4);
    *type = head[4];
    *id = (uint32_t)get_number(head + 5, 4);
    talk->line->start += 9;
    if (size < 5) fail("a packet of %zu bytes", size);
    return size - 5;
}

static uint32_t number(struct talk *talk) {
    uint32_t value = (uint32_t)get_number(line_need(talk->line, 4), 4);
    talk->line->start += 4;
    return value;
}

static void skip(struct talk *talk, size_t size) {
    for (size_t part; size; size -= part) line_some(talk->line, size, &part);
}

static void take_data(struct talk *talk, const struct asked *asked) {
    size_t size = number(talk), part;
    if (size != asked->size) fail("%zu bytes instead of %zu", size, asked->size);
    for (uint64_t place = asked->place; size; size -= part, place += part) {
        const uint8_t *data = line_some(talk->line, size, &part);
        check_bytes(asked->slot->file, place, data, part);
    }
}

static void take_handle(struct talk *talk, struct slot *slot) {
    slot->handle_size = number(talk);
    if (slot->handle_size > sizeof slot->handle) fail("a handle of %zu bytes", slot->handle_size);
    memcpy(slot->handle, line_need(talk->line, slot->handle_size), slot->handle_size);
    talk->line->start += slot->handle_size;
    slot->open = true;
}

/* Takes the answer to the oldest request. */
static void take_answer(struct talk *talk, struct asked asked) {
    int type;
    uint32_t id, code = 0;
    size_t size = read_head(talk, &type, &id);
    if (id != talk->first) fail("an answer out of turn");
    talk->first++;
    if (type == HANDLE) take_handle(talk, asked.slot);
    else if (type == DATA) take_data(talk, &asked);
    else if (type == STATUS) {
        code = number(talk);
        skip(talk, size - 4);
    } else fail("a packet of type %d", type);
    bool opens = asked.type == OPEN || asked.type == OPENDIR;
    bool wanted = opens ? type == HANDLE : type == (asked.type == READ ? DATA : STATUS);
    if (!wanted || code) fail("sftp answers with status %u", code);
}

static void move_files(struct talk *talk) {
    int slots = job.in_flight < MAX_SLOTS ? job.in_flight : MAX_SLOTS;
    for (int i = 0; i < slots; i++) open_next(talk, &talk->slots[i]);
    while (talk->first != talk->end) {
        struct asked asked = talk->queue[talk->first % QUEUE];
        take_answer(talk, asked);
        if (asked.type == READ || asked.type == WRITE) talk->blocks--;
        if (asked.type == CLOSE) {
            file_done(asked.slot->begun);
            open_next(talk, asked.slot);
        }
        for (int i = 0; i < slots; i++) advance(talk, &talk->slots[i]);
    }
}

/* Asks for names, two requests ahead, until there are no more. */
static void list(struct talk *talk) {
    struct slot *slot = &talk->slots[0];
    *slot = (struct slot){0};
    uint8_t packet[2048];
    send_packet(talk, packet, put_string(begin(talk, slot, packet, OPENDIR), job.path, strlen(job.path)), NULL, 0);
    take_answer(talk, talk->queue[talk->first % QUEUE]);
    uint64_t entries = 0;
    for (bool more = true; more || talk->first != talk->end;) {
        while (more && talk->end - talk->first < 2) ask_handle(talk, slot, READDIR);
        int type;
        uint32_t id;
        size_t size = read_head(talk, &type, &id);
        talk->first++;
        uint32_t value = number(talk); /* names, or a status */
        skip(talk, size - 4);
        if (type == NAME) entries += value;
        else if (type == STATUS && value == END_OF_FILE) more = false;
        else fail("sftp answers with status %u", value);
    }
    ask_handle(talk, slot, CLOSE);
    take_answer(talk, talk->queue[talk->first % QUEUE]);
    if (entries != job.size + 2) fail("%ju entries instead of %ju", (uintmax_t)entries, (uintmax_t)job.size);
}

void sftp_connect(struct line *line) {
    int ends[2];
    if (!job.command[0]) fail("sftp needs a program to speak with");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) fail("socketpair");
    line->child = fork();
    if (!line->child) {
        dup2(ends[1], 0);
        dup2(ends[1], 1);
        execvp(job.command[0], job.command);
        _exit(127);
    }
    close(ends[1]);
    line->stream.fd = ends[0];
    struct timeval patience = {.tv_sec = 20};
    setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    line_write(line, (uint8_t[]){0, 0, 0, 5, INIT, 0, 0, 0, 3}, 9);
    struct talk talk = {.line = line};
    int type;
    uint32_t version;
    size_t size = read_head(&talk, &type, &version);
    if (type != VERSION || version != 3) fail("no SFTP of version 3");
    skip(&talk, size);
}

void sftp_work(struct line *line) {
    static _Thread_local struct talk talk;
    talk.line = line;
    if (job.operation != LIST) {
        move_files(&talk);
        return;
    }
    for (; take_file() >= 0;) {
        uint64_t begun = now();
        list(&talk);
        file_done(begun);
    }
}
