"""E-mail addresses, domain names and IP addresses."""

import pytest

from router_extproc.screening.network import find_addresses, find_domains, find_emails


def emails(text: str) -> list[str]:
    return [text[span.start : span.end] for span in find_emails(text)]


def domains(text: str) -> list[str]:
    return [text[span.start : span.end] for span in find_domains(text)]


def addresses(text: str) -> list[str]:
    return [text[span.start : span.end] for span in find_addresses(text)]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("<jo@example.org>", "jo@example.org"),
        ("mail jo.doe+x@mail.example.co.uk.", "jo.doe+x@mail.example.co.uk"),
        ("jo@example.com.Then we left", "jo@example.com"),
        ("j\u00f6rg@m\u00fcller.de", "j\u00f6rg@m\u00fcller.de"),
        ("root@mail.corp", "root@mail.corp"),
        ("\u8bf7\u8054\u7cfbjo@example.org\u8c22\u8c22", "jo@example.org"),
        ("'jo@example.org'", "jo@example.org"),
    ],
)
def test_addresses_end_where_they_end(text: str, address: str) -> None:
    assert emails(text) == [address]


@pytest.mark.parametrize(
    "text", ["jo@", "@jo", "a @ b.com", "x@y", "jo@example.notatld", "git@github.com:org/repo", "W@X.T"]
)
def test_other_uses_of_the_sign_are_no_mail(text: str) -> None:
    assert emails(text) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("see http://www.Example.com.pt/.", "http://www.Example.com.pt/"),
        ("(https://example.com/a_(b)?c=d#e)", "https://example.com/a_(b)?c=d#e"),
        ("at www.example.se, today", "www.example.se"),
        ("my shop is example.com!", "example.com"),
        ("mail.example.co.uk is down", "mail.example.co.uk"),
        ("my website is example.sh", "example.sh"),
        ("https://jo:pw@example.com:8080/x", "https://jo:pw@example.com:8080/x"),
    ],
)
def test_domain_names_and_urls_are_found_as_a_whole(text: str, name: str) -> None:
    assert domains(text) == [name]


@pytest.mark.parametrize(
    "text",
    [
        "main.rs",
        "notes.md",
        "self.info = 1",
        "ASP.NET",
        "e.g. this",
        "it is done.It was",
        "co.uk",
        "http://localhost:80/",
        "example.notatld",
        "os.path",
        "http://10.1.2.3/x",
        "jo@example.com",
        "foo.com(1)",
        "v1.2",
    ],
)
def test_files_members_and_sentences_are_no_domain_names(text: str) -> None:
    assert domains(text) == []


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("from 192.168.1.7:80", "192.168.1.7"),
        ("http://8.8.8.8/", "8.8.8.8"),
        ("6e40:4041:c617:e898:c11:40d2:c669:2eb4 blocked", "6e40:4041:c617:e898:c11:40d2:c669:2eb4"),
        ("addr fe80::1: up", "fe80::1"),
        ("[2001:db8::8a2e:370:7334]", "2001:db8::8a2e:370:7334"),
        ("::ffff:192.0.2.128", "::ffff:192.0.2.128"),
    ],
)
def test_addresses_of_hosts_are_found(text: str, address: str) -> None:
    assert address in addresses(text)


@pytest.mark.parametrize(
    "text",
    [
        "1.2.3",
        "1.2.3.4.5",
        "256.1.1.1",
        "version 10.1.2.3",
        "127.0.0.1",
        "0.0.0.0",
        "255.255.255.0",
        "12:30:45",
        "std::vector",
        "::1",
        "a::b",
        "00:11:22:33:44:55:66:77",
        "image:17.19.0.21",
    ],
)
def test_versions_times_names_and_nobodys_addresses_are_left(text: str) -> None:
    assert addresses(text) == []
