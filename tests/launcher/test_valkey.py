"""The broker of our own: only for those who know its password, and never left behind."""

import os
import socket
import stat
import subprocess
import threading
import time
from pathlib import Path

from launcher import layout, ports, processes, valkey
from launcher.datadir import DataDirectory


def serve(data: DataDirectory, port: int, password: str) -> subprocess.Popen[bytes]:
    command = valkey.command(
        valkey.find_server(layout.python_of(layout.VENV)),
        directory=data.path / "valkey",
        port=port,
        password=password,
    )
    assert password not in " ".join(command)
    server = processes.spawn(command, environment={"PATH": os.defpath}, log=data.logs / "valkey.log")
    data.pid_file("valkey").write(server.pid)
    deadline = time.monotonic() + 10
    while not valkey.answers(port=port, password=password):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return server


def test_a_leftover_server_is_stopped_at_the_next_start_and_its_data_kept(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "with space" / "demo")
    data.prepare("demo")
    port, password = ports.free(), "p" * 40
    servers = [serve(data, port, password)]
    try:
        assert not valkey.answers(port=port, password="wrong")
        assert stat.S_IMODE((data.path / "valkey" / "valkey.conf").stat().st_mode) == 0o600
        with socket.create_connection((ports.LOOPBACK, port)) as connection:
            connection.sendall(f"AUTH {password}\r\nSET bell rung\r\n".encode())
            assert connection.recv(64).startswith(b"+OK")
            time.sleep(0.1)

        data.lock.release()  # as the kernel does for a launcher that was killed
        successor = DataDirectory(data.path)
        successor.prepare("demo")
        assert servers[0].wait(1) == 0
        assert ports.is_free(port)

        servers.append(serve(successor, port, password))
        with socket.create_connection((ports.LOOPBACK, port)) as connection:
            connection.sendall(f"AUTH {password}\r\n".encode())
            assert connection.recv(64) == b"+OK\r\n"
            connection.sendall(b"GET bell\r\n")
            assert connection.recv(64) == b"$4\r\nrung\r\n"
    finally:
        for server in servers:
            processes.kill_group(server)


def test_a_server_that_says_nothing_is_not_ours() -> None:
    with socket.socket() as listener:
        listener.bind((ports.LOOPBACK, 0))
        listener.listen()

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        assert not valkey.answers(port=listener.getsockname()[1], password="p")
        thread.join()
    assert not valkey.answers(port=ports.free(), password="p")
