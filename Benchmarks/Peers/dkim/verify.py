"""Verifies messages with dkimpy and with libopendkim, each for a while: verify.py FOLDER SECONDS.

FOLDER has the messages (*.eml) and `records`, a line `NAME RECORD` for each key. Prints a JSON object: for each implementation that is there, verifications for
each second of CPU time by the message's name. A message that doesn't verify ends it all.
"""
import ctypes
import glob
import json
import os
import sys
import time

folder, seconds = sys.argv[1], float(sys.argv[2])
records = dict(line.split(" ", 1) for line in open(f"{folder}/records").read().splitlines())
messages = {os.path.basename(path)[:-4]: open(path, "rb").read() for path in sorted(glob.glob(f"{folder}/*.eml"))}


def rate(verify, message):
    """How often it can be done in a second of CPU time."""
    for _ in range(3):
        verify(message)
    start, count = time.process_time(), 0
    while time.process_time() - start < seconds:
        verify(message)
        count += 1
    return count / (time.process_time() - start)


def dkimpy():
    import dkim

    def txt(name, timeout=5):
        return records.get((name.decode() if isinstance(name, bytes) else name).rstrip("."), "").encode()

    def verify(message):
        if not dkim.verify(message, dnsfunc=txt):
            raise SystemExit("dkimpy: a message doesn't verify")

    return verify


def opendkim():
    """libopendkim itself, called with a whole message; it reads the key from a file each time, as the tests of its makers do."""
    library = ctypes.CDLL("libopendkim.so.11")
    library.dkim_init.restype = ctypes.c_void_p
    library.dkim_verify.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(library.dkim_init(None, None))
    path = ctypes.create_string_buffer(f"{folder}/records".encode())
    method = ctypes.c_int(1)  # DKIM_QUERY_FILE
    # dkim.h: DKIM_OP_SETOPT 1, DKIM_OPTS_QUERYMETHOD 6, DKIM_OPTS_QUERYINFO 7
    if library.dkim_options(handle, 1, 6, ctypes.byref(method), ctypes.c_size_t(ctypes.sizeof(method))) != 0:
        raise SystemExit("libopendkim: no files of keys")
    library.dkim_options(handle, 1, 7, path, ctypes.c_size_t(len(path.value)))

    def verify(message):
        status = ctypes.c_int(0)
        found = ctypes.c_void_p(library.dkim_verify(handle, b"bench", None, ctypes.byref(status)))
        library.dkim_chunk(found, message, ctypes.c_size_t(len(message)))
        library.dkim_chunk(found, None, ctypes.c_size_t(0))
        verdict = library.dkim_eom(found, None)
        library.dkim_free(found)
        if verdict != 0:
            raise SystemExit(f"libopendkim: a message doesn't verify: {verdict}")

    return verify


answer = {}
for name, make in {"dkimpy": dkimpy, "opendkim": opendkim}.items():
    try:
        verify = make()
    except (ImportError, OSError):
        continue
    answer[name] = {message: rate(verify, octets) for message, octets in messages.items()}
json.dump(answer, sys.stdout)
