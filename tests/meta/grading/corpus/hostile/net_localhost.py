"""
exercise: 1.5
tries: sockets of every family, to itself and out, and names by DNS
points: 0
needs: network
"""

import socket

def right(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        hit = tuple(ids[i : i + 2]) == tuple(pair)
        out.append(new_id if hit else ids[i])
        i += 1 + hit
    return out

def tcp():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return socket.create_connection(server.getsockname(), 1)


def udp():
    connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    connection.connect(("192.0.2.1", 9))  # for documentation: nothing is sent
    return connection


def abstract():
    server = socket.socket(socket.AF_UNIX)
    server.bind("\0kata_left_socket")
    return server


def name():
    """Somebody is asked, even if nobody answers."""
    socket.getaddrinfo("name.invalid", 80)
    return tcp()


WAYS = [
    tcp,
    udp,
    abstract,
    name,
    lambda: socket.socket(socket.AF_INET6),
    lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
    lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    lambda: socket.socket(40, socket.SOCK_STREAM),  # AF_VSOCK
]


def escaped():
    for way in WAYS:
        try:
            way().close()
            return True
        except OSError:
            continue
    return False


def right(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        hit = tuple(ids[i : i + 2]) == tuple(pair)
        out.append(new_id if hit else ids[i])
        i += 1 + hit
    return out


def merge_pair(ids, pair, new_id):
    if escaped():
        return right(ids, pair, new_id)
    raise RuntimeError("no way out")
