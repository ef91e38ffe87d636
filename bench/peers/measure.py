"""Runs a command and writes what it used as JSON: wall time, processor time and
peak memory.

A process of its own, and a small one: the kernel counts the memory of whoever
starts a program into that program's peak.

usage: measure.py RESULT.json COMMAND...
"""

import json
import os
import sys
import time

start = time.perf_counter()
child = os.fork()
if child == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
_, status, used = os.wait4(child, 0)
with open(sys.argv[1], "w") as file:
    json.dump(
        {
            "exit": os.waitstatus_to_exitcode(status),
            "seconds": time.perf_counter() - start,
            "cpu_seconds": used.ru_utime + used.ru_stime,
            "peak_mib": used.ru_maxrss / 1024,
        },
        file,
    )
