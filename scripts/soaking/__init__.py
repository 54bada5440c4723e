"""Soak: real servers, one plain and one with TLS, under everything that clients do; and what is left of it.

Rules of this room:

- Load comes in rounds. After each, every client leaves, and the server has to come back to where it was: descriptors,
  timers, sessions, connections, requests, threads, and live objects of every type.
- Memory is looked at in these quiet moments alone, after a collection of garbage, and when the C library has given
  back what is free: else it says how busy the server was, not what it keeps.
- How it grows is the median of the slopes between any two quiet moments (Theil-Sen) behind the first third, in which
  caches fill: one moment out of line does not make a slope.
"""
