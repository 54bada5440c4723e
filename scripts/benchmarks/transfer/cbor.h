/* As much of CBOR as answers need: find what a key of a map has, skip the rest. Lengths are definite. */
#ifndef CBOR_H
#define CBOR_H

#include "bytes.h"
#include "transfer.h"

enum major { UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAGGED, SIMPLE };

#define CBOR_NULL 22

struct cursor {
    const uint8_t *at, *end;
};

/* Takes the head of a value: its kind, and its number, length or count. */
static inline uint64_t cbor_head(struct cursor *cursor, int *major) {
    if (cursor->at >= cursor->end) fail("an answer that is cut short");
    uint8_t first = *cursor->at++;
    *major = first >> 5;
    int info = first & 31, size = info < 24 ? 0 : 1 << (info - 24);
    if (info > 27 || cursor->end - cursor->at < size) fail("CBOR that is not understood");
    uint64_t value = size ? get_number(cursor->at, size) : (uint64_t)info;
    cursor->at += size;
    bool long_enough = (*major != BYTES && *major != TEXT) || (uint64_t)(cursor->end - cursor->at) >= value;
    if (!long_enough) fail("an answer that is cut short");
    return value;
}

static inline void cbor_skip(struct cursor *cursor) {
    for (uint64_t left = 1; left; left--) {
        int major;
        uint64_t value = cbor_head(cursor, &major);
        if (major == BYTES || major == TEXT) cursor->at += value;
        if (major == ARRAY) left += value;
        if (major == MAP) left += 2 * value;
        if (major == TAGGED) left++;
    }
}

/* Of a map: a cursor at the value of that key, or one with nothing in it. */
static inline struct cursor cbor_find(struct cursor cursor, const char *key) {
    int major;
    size_t length = strlen(key);
    uint64_t pairs = cbor_head(&cursor, &major);
    for (; major == MAP && pairs; pairs--) {
        int kind;
        uint64_t size = cbor_head(&cursor, &kind);
        bool same = kind == TEXT && size == length && !memcmp(cursor.at, key, length);
        cursor.at += size;
        if (same) return cursor;
        cbor_skip(&cursor);
        major = MAP;
    }
    return (struct cursor){0};
}

/* A number under that key, or -1. */
static inline int64_t cbor_number(struct cursor cursor, const char *key) {
    int major;
    cursor = cbor_find(cursor, key);
    if (!cursor.at) return -1;
    uint64_t value = cbor_head(&cursor, &major);
    return major == UNSIGNED ? (int64_t)value : -1;
}

/* Text or bytes under that key; size 0 if there are none. */
static inline const uint8_t *cbor_bytes(struct cursor cursor, const char *key, size_t *size) {
    int major;
    *size = 0;
    cursor = cbor_find(cursor, key);
    if (!cursor.at) return NULL;
    uint64_t value = cbor_head(&cursor, &major);
    if (major != BYTES && major != TEXT) return NULL;
    *size = value;
    return cursor.at;
}

static inline uint8_t *put_head(uint8_t *at, int major, uint64_t value) {
    int info = value < 24 ? (int)value : value < 256 ? 24 : value < 65536 ? 25 : value < 1ull << 32 ? 26 : 27;
    *at++ = (uint8_t)(major << 5 | info);
    return info < 24 ? at : put_number(at, value, 1 << (info - 24));
}

static inline uint8_t *put_text(uint8_t *at, const char *text) {
    size_t size = strlen(text);
    return put_bytes(put_head(at, TEXT, size), text, size);
}

#endif
