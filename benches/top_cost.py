#!/usr/bin/env python3
"""What `mallook top` costs the process that it looks at: the processor time of redis-server under a load
of redis-benchmark, with and without it, in pairs whose order alternates.

    benches/top_cost.py MALLOOK [PAIRS [REQUESTS]]

prints the time of each pair in seconds, and the median ratio.
"""
import os
import statistics
import subprocess
import sys
import tempfile
import time

MALLOOK = os.path.abspath(sys.argv[1])
PAIRS = int(sys.argv[2]) if len(sys.argv) > 2 else 10
REQUESTS = sys.argv[3] if len(sys.argv) > 3 else "100000"
PORT = "7393"


def spent(pid):
    """Processor time of a process in seconds: fields 14 and 15 of stat."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def server_of(runner):
    """The child of `mallook run`."""
    path = f"/proc/{runner}/task/{runner}/children"
    while not open(path).read().split():
        time.sleep(0.01)
    return int(open(path).read().split()[0])


def measure(with_top):
    with tempfile.TemporaryDirectory() as directory:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": directory}
        server = ["redis-server", "--port", PORT, "--save", "", "--appendonly", "no"]
        runner = subprocess.Popen([MALLOOK, "run", "--", *server], **quiet)
        bench = ["redis-benchmark", "-p", PORT, "-q", "-r", "100000", "-d", "200"]
        while subprocess.call(["redis-cli", "-p", PORT, "ping"], **quiet) != 0:
            time.sleep(0.05)
        pid = server_of(runner.pid)
        top = None
        if with_top:
            top = subprocess.Popen([MALLOOK, "top", "--json", str(pid)], **quiet)
            time.sleep(1)
        before = spent(pid)
        subprocess.check_call([*bench, "-n", REQUESTS, "-t", "set,get,lpush,sadd"], **quiet)
        after = spent(pid)
        if top:
            assert top.poll() is None, "top has left"
            top.terminate()
            top.wait()
        runner.terminate()
        runner.wait()
        return after - before


ratios = []
for pair in range(PAIRS):
    order = [False, True] if pair % 2 else [True, False]
    times = {with_top: measure(with_top) for with_top in order}
    ratios.append(times[True] / times[False])
    print(f"without {times[False]:.2f} s, with {times[True]:.2f} s: {ratios[-1]:.3f}", flush=True)
ratios.sort()
print(f"median ratio {statistics.median(ratios):.3f}, from {ratios[0]:.3f} to {ratios[-1]:.3f}")
