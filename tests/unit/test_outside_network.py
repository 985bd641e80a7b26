"""Tests stay on this machine."""

import socket

import pytest

from tests.conftest import OutsideNetwork


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])  # addresses that documentation may use
def test_a_connection_to_another_machine_is_refused_and_noted(outside_network: list[str], address: str) -> None:
    with pytest.raises(OutsideNetwork):
        socket.create_connection((address, 443), timeout=1)
    assert outside_network
    outside_network.clear()


def test_a_name_of_another_machine_is_not_looked_up(outside_network: list[str]) -> None:
    with pytest.raises(OutsideNetwork):
        socket.getaddrinfo("example.com", 443)
    assert outside_network == ["socket.getaddrinfo 'example.com'"]
    outside_network.clear()


def test_this_machine_can_be_reached(free_port: int) -> None:
    with socket.create_server(("127.0.0.1", free_port)), socket.create_connection(("localhost", free_port)) as client:
        assert client.getpeername() == ("127.0.0.1", free_port)
