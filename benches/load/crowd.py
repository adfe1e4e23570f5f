#!/usr/bin/env python3
"""Keep-alive clients that ask for the URLs of standard input, one after the other: `crowd.py ADDRESS CONNECTIONS SECONDS`.

With 0 seconds, until all are asked. Prints statuses, how many were computed (Server-Timing), and the slowest 200.
"""

import asyncio
import collections
import json
import sys
import time


async def client(address, urls, deadline, seen):
    host, _, port = address.rpartition(":")
    reader = writer = None
    for url in urls:
        if time.monotonic() > deadline:
            break
        began = time.monotonic()
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"GET {url} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(head.split("content-length:")[1].split("\r\n")[0])
            await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError) as error:
            seen["statuses"][0] += 1
            seen["problem"] = repr(error)
            writer = None
            continue
        status = int(head.split(" ", 2)[1])
        seen["statuses"][status] += 1
        seen["misses"] += "cache;desc=miss" in head
        if status == 200:
            seen["slowest"] = max(seen["slowest"], time.monotonic() - began)
        if status == 503:
            await asyncio.sleep(0.1)
    if writer:
        writer.close()


async def main():
    address, connections, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    urls = iter(sys.stdin.read().split("\n"))
    began = time.monotonic()
    deadline = began + seconds if seconds else float("inf")
    seen = {"statuses": collections.Counter(), "misses": 0, "slowest": 0.0}
    await asyncio.gather(*(client(address, urls, deadline, seen) for _ in range(connections)))
    seen["seconds"] = time.monotonic() - began
    seen["rate"] = sum(seen["statuses"].values()) / seen["seconds"]
    print(json.dumps(seen))


asyncio.run(main())
