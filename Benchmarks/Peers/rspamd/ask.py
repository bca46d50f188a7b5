"""Asks rspamd by HTTP about a message: ask.py PORT FILE. Prints the names of the symbols that it found."""
import json
import sys
import urllib.request

headers = {"IP": "127.0.0.1", "Helo": "mail.gmail.test", "From": "bob@gmail.test", "Rcpt": "jack@kartapuce.test"}
request = urllib.request.Request(f"http://127.0.0.1:{sys.argv[1]}/checkv2", data=open(sys.argv[2], "rb").read(), headers=headers)
with urllib.request.urlopen(request, timeout=30) as response:
    print(" ".join(sorted(json.load(response)["symbols"])))
