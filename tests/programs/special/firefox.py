"""firefox.py FILE: the figures of a profile in the processed format of the Firefox Profiler, as JSON.

The Profiler itself is a web page; this reads a profile as its documentation says
(docs-developer/processed-profile-format), and fails where a table does not hold together."""

import json
import sys

profile = json.load(open(sys.argv[1]))
meta = profile["meta"]
assert meta["preprocessedProfileVersion"] >= 40 and meta["symbolicated"] is True, meta
strings_of_all = profile.get("shared", {}).get("stringArray")


def column(table, name):
    values = table[name]
    if isinstance(values, int):
        return values
    assert len(values) == table["length"], (name, len(values), table["length"])
    return values


figures = {"births": 0, "bytes": 0, "deaths": 0, "live": 0, "places": {}, "processes": [], "tracks": []}
for thread in profile["threads"]:
    strings = thread.get("stringArray") or strings_of_all
    stacks, frames, functions = thread["stackTable"], thread["frameTable"], thread["funcTable"]
    for index, prefix in enumerate(column(stacks, "prefix")):
        assert prefix is None or 0 <= prefix < index, (index, prefix)
    names = [strings[name] for name in column(functions, "name")]
    of_frame = [names[function] for function in column(frames, "func")]
    of_stack = [of_frame[frame] for frame in column(stacks, "frame")]
    figures["processes"].append([thread["processName"], str(thread["pid"]), thread["isMainThread"]])
    table = thread.get("nativeAllocations")
    if table is None:
        continue
    times, live = column(table, "time"), {}
    assert times == sorted(times) and table["weightType"] == "bytes", table["weightType"]
    rows = zip(column(table, "weight"), column(table, "stack"), column(table, "memoryAddress"))
    for weight, stack, address in rows:
        # The size of a birth may be 0, and so may that of its death.
        if weight > 0 or (weight == 0 and address not in live):
            figures["births"] += 1
            figures["bytes"] += weight
            place = of_stack[stack]
            figures["places"][place] = figures["places"].get(place, 0) + weight
            assert address not in live
            live[address] = weight
        else:
            figures["deaths"] += 1
            assert live.pop(address) == -weight
    figures["live"] += sum(live.values())
for counter in profile.get("counters", []):
    assert counter["category"] == "Memory", counter["category"]
    samples = counter["samples"] if "samples" in counter else counter["sampleGroups"][0]["samples"]
    total, most = 0, 0
    for change in column(samples, "count"):
        total += change
        most = max(most, total)
    figures["tracks"].append(most)
print(json.dumps(figures))
