import pytest

from common.pii import PiiKind
from tests.unit.common.recognizers.finding import found


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.250.19.102:54106", "10.250.19.102"),
        ("10.0.0.0/8", "10.0.0.0"),
        ("dn228/10.0.0.1:50010", "10.0.0.1"),
        ("from 203.0.113.7.", "203.0.113.7"),
        ('"ip":"203.0.113.7"', "203.0.113.7"),
        ("http://192.0.2.1/", "192.0.2.1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("fe80::1%eth0 is up", "fe80::1%eth0"),
        ("::1", "::1"),
        ("ff02::fb", "ff02::fb"),
        ("call us, the host is 203.0.113.7", "203.0.113.7"),
        ("ext 4660 needs access from 10.20.30.40", "10.20.30.40"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ("2001:0db8:85a3:0000:0000:8a2e:0370:7334", "2001:0db8:85a3:0000:0000:8a2e:0370:7334"),
        ("2001:db8:0:0:1:0:0:1 came", "2001:db8:0:0:1:0:0:1"),
        ("2001:db8::/32", "2001:db8::"),
        ("from 2001:db8::7: refused", "2001:db8::7"),
        ("１９２.0.2.1", "１９２.0.2.1"),
    ],
)
def test_an_address_is_found_without_port_and_brackets(text: str, address: str) -> None:
    assert found(text, PiiKind.IP) == [address]


@pytest.mark.parametrize(
    "text",
    [
        "version 1.2.3.4",
        "v1.2.3.4",
        "Chrome/120.0.0.0 Safari/537.36",
        "foo-1.2.3.4.jar",
        "~~6.1.1.1",
        "1.2.3.4.5",
        "256.1.1.1",
        "10.0.22621.1",
        "Section 4.1.2.3 of the guide",
        "12:34:56.789 and 12:34:56",
        "00:1a:2b:3c:4d:5e",
        "01:23:45:67:89:ab:cd:ef",
        "std::vector<ab::cd>",
        "a::b",
        "12::34",
        "x 1:2:3:4:5:6:7:8:9 y",
        "::",
        "Foo::1",
        "add::1",
        "sum:1:2:3:4:5:6:7",
    ],
)
def test_versions_times_and_scopes_are_left(text: str) -> None:
    assert found(text, PiiKind.IP) == []
