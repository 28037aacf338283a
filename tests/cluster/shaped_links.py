#!/usr/bin/env python3
"""Links with a delay between network namespaces, for kernels without netem.

    shaped_links.py SUBNET NAMESPACE=HOST... -- HOST:HOST:MS...

Each namespace gets a TUN device with the address SUBNET.HOST, as in 10.1.2.7. This process carries the packets between
them: one from HOST to HOST leaves MS milliseconds after it came, in either direction, and never earlier; one between
two hosts without a delay is dropped. It runs until it is killed, and its devices go with it. Needs root.
"""

import collections
import fcntl
import os
import select
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


def device(namespace, subnet, host):
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    name = f"shp{os.getpid() % 100000}n{host}"
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    subprocess.run(["ip", "link", "set", name, "netns", namespace], check=True)
    for command in (["addr", "add", f"{subnet}.{host}/24", "dev", name], ["link", "set", name, "up"]):
        subprocess.run(["ip", "-n", namespace, *command], check=True)
    return tun


def main(subnet, *words):
    split = words.index("--")
    pairs = [word.split("=") for word in words[:split]]
    tuns = {int(host): device(namespace, subnet, host) for namespace, host in pairs}
    hosts = {tun: host for host, tun in tuns.items()}
    delays = {}
    for word in words[split + 1 :]:
        one, other, milliseconds = word.split(":")
        delays[int(one), int(other)] = delays[int(other), int(one)] = float(milliseconds) / 1e3
    # A link has one delay, so its packets leave in the order in which they came.
    links = {pair: collections.deque() for pair in delays}
    print("ready", flush=True)
    while True:
        due = min((queue[0][0] for queue in links.values() if queue), default=None)
        wait = None if due is None else max(0.0, due - time.monotonic())
        for tun in select.select(tuns.values(), [], [], wait)[0]:
            packet = os.read(tun, 65536)
            # IPv4 to an address of the subnet; its last byte is the host.
            pair = (hosts[tun], packet[19]) if packet[0] >> 4 == 4 else None
            if pair in links:
                links[pair].append((time.monotonic() + delays[pair], packet))
        now = time.monotonic()
        for (_, host), queue in links.items():
            while queue and queue[0][0] <= now:
                try:
                    os.write(tuns[host], queue.popleft()[1])
                except OSError:
                    # A device that is down or full loses it, as a network would.
                    pass


if __name__ == "__main__":
    main(*sys.argv[1:])
