/* The transfer client: files down and up, and listings, with the same reads and writes whatever the protocol.
 *
 * Rules of these files: a thread for each connection, blocking sockets with the system's own buffers; the bytes of
 * files are never kept: what arrives is compared with the pattern where it lies, what leaves comes from the pattern.
 * Files are numbered, and a thread takes the next number that nobody has taken. Whatever is unexpected ends the
 * program with a text on stderr: a figure is printed only for a run in which every answer was right.
 */
#ifndef TRANSFER_H
#define TRANSFER_H

#include "../load/load.h"

#include <sys/uio.h>

/* Every socket is read so much at a time, and written so much at a time. */
#define READ_SIZE (256 * 1024)
#define WRITE_SIZE (256 * 1024)
#define PATTERN_SIZE (1024 * 1024)

enum operation { GET, PUT, LIST };

struct job {
    enum operation operation;
    const char *path;  /* of the file; of the folder where the files lie, if there are several; of the listed one */
    int count;         /* files, or times to list */
    uint64_t size;     /* of each file; entries of the listing */
    bool sync;         /* ask for an fsync of each file before it counts (sftp) */
    const char *folder; /* fsync each file there after its answer (http): the server's folder seen from here */
    const char *entry; /* text that stands once for each entry of a listing (http) */
    const char *method, *head, *body; /* of the request that lists (http) */
    const char *token, *sha256; /* of the session; of the one large file (fluxon) */
    char **command;    /* the program to speak sftp with */
    bool whole;        /* compare every byte that arrives; else the ends of each read */
    bool single;       /* one file, whose path is `path` itself */
    int in_flight;     /* files at a time on one connection, where the protocol can */
};

extern struct job job;

/* A connection, and what its thread has read and not yet used. */
struct line {
    struct connection stream;
    uint8_t *input; /* READ_SIZE bytes, of which start..end are unread */
    size_t start, end;
    int child; /* process that speaks for us, or 0 */
};

/* The number of the next file for whoever asks, or -1 when all are taken. */
int take_file(void);
/* All of a file was moved and acknowledged; `begun` is when it was asked for. */
void file_done(uint64_t begun);
uint64_t now(void);

/* The path of a file, in a buffer of the thread's own. */
const char *path_of(int file);
/* The bytes of a file at a place: PATTERN_SIZE of them are there. */
const uint8_t *pattern_at(int file, uint64_t place);
/* Ends the program if these are not the file's bytes at that place. */
void check_bytes(int file, uint64_t place, const uint8_t *data, size_t size);

/* Reads once, waiting until something comes, behind what is there; the input must have room. */
void line_fill(struct line *line);
/* Reads until so many bytes are there (READ_SIZE at most), and returns them; they stay unread. */
const uint8_t *line_need(struct line *line, size_t size);
/* Whatever is there of at most `most` bytes, at least one, as read; sets `size`. They count as used. */
const uint8_t *line_some(struct line *line, uint64_t most, size_t *size);
void line_write(struct line *line, const void *data, size_t size);
/* Several pieces in one write, where the connection can (through TLS they are joined first). */
void line_write_all(struct line *line, struct iovec *parts, int count);

void http_work(struct line *line);
void sftp_connect(struct line *line);
void sftp_work(struct line *line);
void fluxon_connect(struct line *line);
void fluxon_work(struct line *line);

#endif
