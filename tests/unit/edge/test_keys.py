"""Verification keys of JWTs, from files that change and from URLs that are slow or unavailable."""

import asyncio
import json
import os
from pathlib import Path

import httpx
import pytest

from tapewire_services.edge.auth.jwks import (
    MIN_FETCH_INTERVAL_SECONDS,
    FileKeySource,
    InvalidJwks,
    UrlKeySource,
    VerificationKeysUnavailable,
    jwks_downloader,
    parse_jwks,
)
from tests.harness.jwt_issuer import JwtIssuer, _rsa_key, public_jwk, serve_jwks


@pytest.fixture
def issuer() -> JwtIssuer:
    return JwtIssuer()


async def has_key(
    keys: FileKeySource | UrlKeySource, issuer: JwtIssuer, algorithm: str = "ES256"
) -> bool:
    """Return whether the issuer's newest key is found."""
    kid, _ = issuer.key(algorithm)
    return [key.kid for key in await keys.find(kid, algorithm)] == [kid]


class TestParsing:
    def test_rsa_and_ec_keys_are_parsed(self, issuer: JwtIssuer) -> None:
        assert [(key.kid, key.algorithm) for key in parse_jwks(issuer.jwks())] == [
            ("RS256-0", "RS256"),
            ("ES256-0", "ES256"),
        ]

    @pytest.mark.parametrize(
        "data",
        [
            b"", b"{}", b"[]", b"null", b'{"keys":[]}', b'{"keys":{}}', b'{"keys":7}', b"\xff",
            b"{",
            b'{"keys":[null,7,"a",[],{}]}', b'{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}',
            b'{"keys":[{"kty":"RSA"}]}', b'{"keys":[{"kty":"RSA","n":"","e":""}]}',
            b'{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}',
            b'{"keys":[{"kty":["RSA"]}]}', b'{"keys":[{"kty":"RSA","n":7,"e":[]}]}',
            b"[" * 5000 + b"]" * 5000,
        ],
    )  # fmt: skip
    def test_malformed_documents_are_rejected(self, data: bytes) -> None:
        with pytest.raises(InvalidJwks):
            parse_jwks(data)

    def test_keys_for_other_uses_are_skipped(self, issuer: JwtIssuer) -> None:
        kid, key = issuer.key("RS256")
        good = public_jwk(key, kid)
        others = [
            {**good, "use": "enc"}, {**good, "alg": "RS512"}, {**good, "alg": "RSA-OAEP"},
            {"kty": "oct", "k": "c2VjcmV0", "kid": kid}, public_jwk(_rsa_key(9, 1024), "short"),
            {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
        ]  # fmt: skip
        found = parse_jwks(
            json.dumps({"keys": [*others, {**good, "use": "sig", "alg": "RS256"}]}).encode()
        )
        assert len(found) == 1


class TestFileKeySource:
    @pytest.fixture
    def file(self, tmp_path: Path, issuer: JwtIssuer) -> Path:
        file = tmp_path / "jwks.json"
        file.write_bytes(issuer.jwks())
        return file

    async def test_a_changed_file_is_read_again(self, file: Path, issuer: JwtIssuer) -> None:
        keys = FileKeySource(file)
        assert await has_key(keys, issuer)
        issuer.rotate()
        assert not await has_key(keys, issuer)
        file.write_bytes(issuer.jwks())
        assert await has_key(keys, issuer)
        assert await keys.find("ES256-0", "ES256") == []

    async def test_an_unchanged_file_is_not_read_again(
        self, file: Path, issuer: JwtIssuer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys = FileKeySource(file)
        monkeypatch.setattr(
            "tapewire_services.edge.auth.jwks.parse_jwks",
            lambda _: pytest.fail("the file was read again"),
        )
        assert await has_key(keys, issuer)

    async def test_a_changed_symbolic_link_is_followed(
        self, tmp_path: Path, issuer: JwtIssuer
    ) -> None:
        """Kubernetes updates a mounted volume by replacing a symbolic link."""
        for name in ("one", "two"):
            (tmp_path / name).write_bytes(issuer.jwks())
            issuer.rotate()
        link = tmp_path / "current"
        link.symlink_to("one")
        keys = FileKeySource(link)
        (tmp_path / "next").symlink_to("two")
        os.replace(tmp_path / "next", link)  # noqa: PTH105
        assert [key.kid for key in await keys.find("ES256-1", "ES256")] == ["ES256-1"]

    async def test_a_broken_or_missing_file_keeps_the_old_keys(
        self, file: Path, issuer: JwtIssuer
    ) -> None:
        keys = FileKeySource(file)
        file.write_bytes(b'{"keys":')
        assert await has_key(keys, issuer)
        file.unlink()
        assert await has_key(keys, issuer)
        issuer.rotate()
        file.write_bytes(issuer.jwks())
        assert await has_key(keys, issuer)

    def test_an_invalid_file_fails_at_startup(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match="No such file"):
            FileKeySource(tmp_path / "none")
        with pytest.raises(IsADirectoryError):
            FileKeySource(tmp_path)
        (tmp_path / "x").write_bytes(b"{}")
        with pytest.raises(InvalidJwks):
            FileKeySource(tmp_path / "x")


class Source:
    """A URL in virtual time that returns an issuer's keys after `slow` seconds, or is `down`."""

    def __init__(self, issuer: JwtIssuer) -> None:
        self.issuer = issuer
        self.fetch_count = 0
        self.down = False
        self.slow = 0.0
        self.keys = UrlKeySource(self.fetch, 300.0, asyncio.get_running_loop().time)

    async def fetch(self) -> bytes:
        self.fetch_count += 1
        await asyncio.sleep(self.slow)
        if self.down:
            raise httpx.ConnectError("refused")
        return self.issuer.jwks()


@pytest.mark.virtual_time
class TestUrlKeySource:
    async def test_concurrent_lookups_share_one_request(self, issuer: JwtIssuer) -> None:
        source = Source(issuer)
        source.slow = 0.5
        found = await asyncio.gather(*(has_key(source.keys, issuer) for _ in range(50)))
        assert all(found)
        assert source.fetch_count == 1

    async def test_old_keys_are_refreshed_in_the_background(self, issuer: JwtIssuer) -> None:
        source = Source(issuer)
        clock = asyncio.get_running_loop().time
        await has_key(source.keys, issuer)
        await asyncio.sleep(299)
        await has_key(source.keys, issuer)
        assert source.fetch_count == 1
        await asyncio.sleep(2)
        source.slow = 4.0
        began = clock()
        assert await has_key(source.keys, issuer)
        assert clock() == began
        await asyncio.sleep(5)
        assert source.fetch_count == 2

    async def test_an_unknown_key_is_fetched_at_once(self, issuer: JwtIssuer) -> None:
        source = Source(issuer)
        await has_key(source.keys, issuer)
        await asyncio.sleep(10)
        issuer.rotate()
        assert await has_key(source.keys, issuer)
        assert source.fetch_count == 2

    async def test_an_unknown_key_is_fetched_right_after_another_request(
        self, issuer: JwtIssuer
    ) -> None:
        source = Source(issuer)
        await has_key(source.keys, issuer)
        issuer.rotate()
        assert await has_key(source.keys, issuer)

    async def test_unknown_key_ids_cause_at_most_one_request_per_interval(
        self, issuer: JwtIssuer
    ) -> None:
        source = Source(issuer)
        await has_key(source.keys, issuer)

        async def flood(number: int) -> None:
            for n in range(10):
                assert await source.keys.find(f"made-up-{number}-{n}", "RS256") == []

        clock = asyncio.get_running_loop().time
        began = clock()
        await asyncio.gather(*(flood(number) for number in range(100)))
        assert source.fetch_count - 1 <= (clock() - began) / MIN_FETCH_INTERVAL_SECONDS + 1

    async def test_old_keys_stay_valid_during_an_outage(self, issuer: JwtIssuer) -> None:
        source = Source(issuer)
        await has_key(source.keys, issuer)
        source.down = True
        for _ in range(5):
            await asyncio.sleep(600)
            assert await has_key(source.keys, issuer)
        source.down = False
        issuer.rotate()
        assert await has_key(source.keys, issuer)

    async def test_an_unknown_key_is_unavailable_during_an_outage(self, issuer: JwtIssuer) -> None:
        """A client gives up after 401. The answer is 503 until the keys can be fetched."""
        source = Source(issuer)
        source.down = True
        with pytest.raises(VerificationKeysUnavailable):
            await has_key(source.keys, issuer)
        source.down = False
        assert await has_key(source.keys, issuer)
        source.down = True
        issuer.rotate()
        with pytest.raises(VerificationKeysUnavailable):
            await has_key(source.keys, issuer)
        source.down = False
        assert await source.keys.find("made-up", "RS256") == []

    async def test_close_cancels_the_pending_request(self, issuer: JwtIssuer) -> None:
        source = Source(issuer)
        source.slow = 1000
        source.keys.start_fetch()
        await asyncio.sleep(0)
        await source.keys.close()
        assert len(asyncio.all_tasks()) == 1


class TestDownloader:
    async def test_a_document_is_downloaded(self, issuer: JwtIssuer) -> None:
        async with serve_jwks(issuer.jwks()) as jwks:
            assert await jwks_downloader(jwks.url)() == issuer.jwks()

    async def test_large_documents_redirects_and_connection_errors_fail(self) -> None:
        async with serve_jwks(b"x" * (1 << 20) + b"x") as jwks:
            with pytest.raises(InvalidJwks, match="more than"):
                await jwks_downloader(jwks.url)()
            jwks.status = 302
            with pytest.raises(InvalidJwks, match="302"):
                await jwks_downloader(jwks.url)()
        with pytest.raises(httpx.ConnectError):
            await jwks_downloader(jwks.url)()
