"""Fuzzing: what reads strangers' bytes, fed with whatever reaches new lines of its code.

Rules of this room:

- A target is ``function(data)``: it raises nothing for whatever is well or badly formed, and something for a defect. So
  it also says what has to hold: two ways that must agree, a bound, a count.
- Targets do not know the fuzzer; the suite runs them on the seeds and on everything that ever made one of them fail.
"""
