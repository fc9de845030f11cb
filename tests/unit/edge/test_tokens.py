"""JWT verification: which tokens are accepted, and the session that each of them yields."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from tapewire_services.edge.auth.jwks import FileKeySource, parse_jwks
from tapewire_services.edge.auth.sessions import Session, jwt_session_key
from tapewire_services.edge.auth.tokens import MAX_EXPIRY, JwtVerifier
from tests.harness.jwt_issuer import HS256_SECRET, JwtIssuer, public_jwk, sign_jwt, unsigned_jwt

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ALGORITHMS = ("HS256", "RS256", "ES256")


class VerifierHarness:
    """An issuer and a verifier that share one clock."""

    def __init__(self, tmp_path: Path, **settings: Any) -> None:
        self.clock = [NOW]
        self.issuer = JwtIssuer()
        self.file = tmp_path / "jwks.json"
        self.file.write_bytes(self.issuer.jwks())
        given = {
            "secret": HS256_SECRET, "key_source": FileKeySource(self.file), "issuer": "",
            "audience": (), "leeway_seconds": 0.0, "roles_claim": "roles", **settings,
        }  # fmt: skip
        self.tokens = JwtVerifier(now=lambda: self.clock[0], **given)

    def token(self, *args: Any, **how: Any) -> str:
        return self.issuer.token(*args, now=NOW.timestamp(), **how)

    async def read(self, token: str) -> Session | None:
        return await self.tokens.verify(token)

    async def accept(self, token: str) -> Session:
        """Read a token that must be valid."""
        session = await self.read(token)
        assert session is not None
        return session


@pytest.fixture
def at(tmp_path: Path) -> VerifierHarness:
    return VerifierHarness(tmp_path)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_valid_token_is_accepted(at: VerifierHarness, algorithm: str) -> None:
    token = at.token("alice", algorithm, seconds=60, roles=["admin", "desk"])
    session = await at.accept(token)
    assert (session.user_id, session.roles, session.is_admin) == ("alice", ("admin", "desk"), True)
    assert session.expires_at == NOW + timedelta(seconds=60)
    assert session.key == jwt_session_key(token.rpartition(".")[0])


class TestTokenTimes:
    async def test_a_token_expires_at_its_exp(self, at: VerifierHarness) -> None:
        token = at.token(seconds=60)
        at.clock[0] += timedelta(seconds=59.9)
        assert await at.read(token)
        at.clock[0] += timedelta(seconds=0.1)
        assert await at.read(token) is None

    async def test_the_leeway_extends_exp_and_nbf(self, tmp_path: Path) -> None:
        at = VerifierHarness(tmp_path, leeway_seconds=10.0)
        token = at.token(seconds=-5)
        assert (await at.accept(token)).expires_at == NOW + timedelta(seconds=5)
        assert await at.read(at.token(seconds=-10)) is None
        assert await at.read(at.token(nbf=NOW.timestamp() + 9))
        assert await at.read(at.token(nbf=NOW.timestamp() + 11)) is None

    async def test_a_token_is_rejected_before_its_nbf(self, at: VerifierHarness) -> None:
        token = at.token(nbf=NOW.timestamp() + 5)
        assert await at.read(token) is None
        at.clock[0] += timedelta(seconds=5)
        assert await at.read(token)

    async def test_a_token_without_exp_is_rejected(self, at: VerifierHarness) -> None:
        assert await at.read(at.token(exp=None)) is None

    async def test_an_exp_beyond_the_largest_date_is_capped(self, at: VerifierHarness) -> None:
        assert (await at.accept(at.token(exp=10**15))).expires_at == MAX_EXPIRY

    @pytest.mark.parametrize(
        "claims",
        [
            '{"sub":"a","exp":1e999}', '{"sub":"a","exp":-1e999}', '{"sub":"a","exp":NaN}',
            '{"sub":"a","exp":"99999999999"}', '{"sub":"a","exp":true}', '{"sub":"a","exp":null}',
            '{"sub":"a","exp":[]}', '{"sub":"a","exp":{}}', '{"sub":"a","exp":' + "9" * 4000 + "}",
            '{"sub":"a","exp":9e10,"nbf":"now"}', '{"sub":"a","exp":9e10,"nbf":1e999}',
            '{"exp":9e10}', '{"sub":null,"exp":9e10}', '{"sub":7,"exp":9e10}',
            '{"sub":"","exp":9e10}', '{"sub":["a"],"exp":9e10}',
            '{"sub":"_all","exp":9e10}', '{"sub":"a\\n","exp":9e10}',
            '{"sub":"\\u0000","exp":9e10}', '{"sub":"\\ud800","exp":9e10}',
            '{"sub":"' + "x" * 129 + '","exp":9e10}', "[]", "null", "7", '"a"', "{", "",
            '{"sub":"a","exp":9e10,"x":' + "[" * 3000 + "]" * 3000 + "}", "\ufeff{}",
        ],
    )  # fmt: skip
    async def test_malformed_signed_claims_are_rejected(
        self, at: VerifierHarness, claims: str
    ) -> None:
        for algorithm in ("HS256", "ES256"):
            kid, key = at.issuer.key(algorithm)
            token = sign_jwt(claims.encode(), key, algorithm, {"kid": kid} if kid else {})
            assert await at.read(token) is None


class TestAlgorithms:
    @pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", None, 7, [], "HS512"])
    async def test_unsigned_and_unknown_algorithms_are_rejected(
        self, at: VerifierHarness, name: str
    ) -> None:
        claims = {"sub": "alice", "exp": NOW.timestamp() + 60}
        assert await at.read(unsigned_jwt({"alg": name, "typ": "JWT"}, claims)) is None
        assert await at.read(unsigned_jwt({"alg": name, "typ": "JWT"}, claims, b"x" * 32)) is None

    @pytest.mark.parametrize("kind", ["RS256", "ES256"])
    async def test_hs256_signed_with_a_public_key_is_rejected(
        self, at: VerifierHarness, kind: str
    ) -> None:
        """An attacker uses a public key as HS256 secret, in each of its encodings."""
        kid, key = at.issuer.key(kind)
        public = key.public_key()
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        texts = [
            public.public_bytes(serialization.Encoding.PEM, spki),
            public.public_bytes(serialization.Encoding.DER, spki),
            json.dumps(public_jwk(key, kid)).encode(),
        ]
        for text in texts:
            secret = base64.urlsafe_b64encode(text) if b"PUBLIC" in text else text
            for material in (text, secret):
                token = _hs256(material, {"sub": "alice", "exp": NOW.timestamp() + 60}, kid)
                assert await at.read(token) is None

    async def test_hs256_is_rejected_without_a_secret(self, tmp_path: Path) -> None:
        at = VerifierHarness(tmp_path, secret="")
        assert await at.read(at.token(algorithm="HS256")) is None
        assert await at.read(_hs256(b"", {"sub": "a", "exp": NOW.timestamp() + 9}, None)) is None
        assert await at.read(at.token(algorithm="RS256"))

    async def test_only_hs256_is_accepted_without_a_key_source(self, tmp_path: Path) -> None:
        at = VerifierHarness(tmp_path, key_source=None)
        assert await at.read(at.token(algorithm="RS256")) is None
        assert await at.read(at.token(algorithm="HS256"))

    async def test_a_key_of_another_algorithm_is_rejected(self, at: VerifierHarness) -> None:
        """The kid of an RSA key with ES256, and the kid of an EC key with RS256."""
        for algorithm, other in (("RS256", "ES256"), ("ES256", "RS256")):
            kid, _ = at.issuer.key(other)
            assert await at.read(at.token(algorithm=algorithm, headers={"kid": kid})) is None

    async def test_other_rsa_algorithms_are_rejected(self, at: VerifierHarness) -> None:
        kid, key = at.issuer.key("RS256")
        claims = {"sub": "alice", "exp": NOW.timestamp() + 60}
        for algorithm in ("RS384", "RS512", "PS256"):
            assert await at.read(sign_jwt(claims, key, algorithm, {"kid": kid})) is None

    async def test_keys_named_by_the_token_header_are_not_used(self, at: VerifierHarness) -> None:
        stranger = JwtIssuer()
        stranger.rotate()
        kid, key = stranger.key("RS256")
        for headers in (
            {"jwk": public_jwk(key, kid)}, {"jku": "http://127.0.0.1:9/keys"}, {"x5u": "http://x"},
            {"kid": "RS256-0"}, {"kid": "../../dev/null"}, {"kid": ""},
        ):  # fmt: skip
            assert await at.read(stranger.token(now=NOW.timestamp(), headers=headers)) is None

    async def test_critical_header_parameters_are_rejected(self, at: VerifierHarness) -> None:
        assert await at.read(at.token(headers={"crit": ["b64"], "b64": True})) is None
        assert await at.read(at.token(headers={"crit": []})) is None


class TestIssuerAndAudience:
    async def test_the_issuer_must_match(self, tmp_path: Path) -> None:
        at = VerifierHarness(tmp_path, issuer="https://login.example")
        assert await at.read(at.token(iss="https://login.example"))
        for iss in (None, "https://login.example/", "", ["https://login.example"], 7):
            assert await at.read(at.token(iss=iss)) is None

    async def test_one_audience_must_match(self, tmp_path: Path) -> None:
        at = VerifierHarness(tmp_path, audience=("desk", "api"))
        for right in ("desk", "api", ["other", "desk"]):
            assert await at.read(at.token(aud=right)), right
        for wrong in (None, "other", [], "", ["Desk"], 7, [7]):
            assert await at.read(at.token(aud=wrong)) is None, wrong

    async def test_a_token_with_an_audience_is_rejected_when_none_is_configured(
        self, at: VerifierHarness
    ) -> None:
        assert await at.read(at.token(aud="other")) is None


class TestSignatures:
    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    async def test_a_signature_of_another_key_is_rejected(
        self, at: VerifierHarness, algorithm: str
    ) -> None:
        stranger = JwtIssuer()
        stranger.rotate()
        headers = {"kid": f"{algorithm}-0"} if algorithm != "HS256" else {}
        token = stranger.token(algorithm=algorithm, now=NOW.timestamp(), headers=headers)
        if algorithm == "HS256":
            token = _hs256(b"another" * 6, {"sub": "a", "exp": NOW.timestamp() + 60}, None)
        assert await at.read(token) is None

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    async def test_a_changed_token_is_rejected(self, at: VerifierHarness, algorithm: str) -> None:
        token = at.token(algorithm=algorithm)
        head, payload, signature = token.split(".")
        claims = jwt.utils.base64url_decode(payload).replace(b"alice", b"admin")
        forged = base64.urlsafe_b64encode(claims).rstrip(b"=").decode()
        for bad in (
            f"{head}.{forged}.{signature}", f"{head}.{payload}.", f"{head}.{payload}",
            f"{head}..{signature}", f"{head}.{payload}.{signature[:-4]}", f"{token}.{signature}",
            f"{head}.{payload}.{signature[::-1]}",
        ):  # fmt: skip
            assert await at.read(bad) is None

    async def test_two_encodings_of_one_signature_have_the_same_session_key(
        self, at: VerifierHarness
    ) -> None:
        """A revoked token stays revoked when the unused last bits of its signature change."""
        token = at.token(algorithm="HS256")
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        other = token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]
        first, second = await at.accept(token), await at.read(other)
        assert second is None or second.key == first.key

    @given(st.text(max_size=300))
    async def test_any_text_is_rejected(self, text: str) -> None:
        tokens = JwtVerifier(
            secret=HS256_SECRET, key_source=None, issuer="", audience=(), leeway_seconds=0,
            roles_claim="roles", now=lambda: NOW,
        )  # fmt: skip
        assert await tokens.verify(text) is None

    @given(st.data())
    async def test_a_token_with_any_character_changed_is_rejected(self, data: DataObject) -> None:
        tokens = JwtVerifier(
            secret=HS256_SECRET, key_source=None, issuer="", audience=(), leeway_seconds=0,
            roles_claim="roles", now=lambda: NOW,
        )  # fmt: skip
        token = JwtIssuer().token("alice", "HS256", now=NOW.timestamp())
        index = data.draw(st.integers(0, token.rindex(".")))
        letter = data.draw(st.characters(max_codepoint=255))
        changed = token[:index] + letter + token[index + 1 :]
        found = await tokens.verify(changed)
        assert found is None or changed == token

    async def test_a_very_long_token_is_rejected(self, at: VerifierHarness) -> None:
        assert await at.read(at.token(x="y" * 9000)) is None


class TestRoles:
    @pytest.mark.parametrize(
        ("claim", "claims", "roles"),
        [
            ("roles", {}, ()),
            ("roles", {"roles": ["a", "b"]}, ("a", "b")),
            ("roles", {"roles": "a b"}, ("a", "b")),
            ("roles", {"roles": ["a", 7, None, "", "x" * 65, ["admin"], {"admin": 1}]}, ("a",)),
            ("roles", {"roles": {"admin": True}}, ()),
            ("roles", {"roles": 7}, ()),
            ("roles", {"roles": ["a\ud800"]}, ()),
            ("roles", {"roles": ["r"] * 1000}, ("r",) * 64),
            ("realm_access.roles", {"realm_access": {"roles": ["admin"]}}, ("admin",)),
            ("realm_access.roles", {"realm_access": ["roles"]}, ()),
            ("https://desk.example/roles", {"https://desk.example/roles": ["admin"]}, ("admin",)),
            ("groups", {"roles": ["admin"]}, ()),
        ],
    )
    async def test_roles_are_read_from_the_configured_claim(
        self, tmp_path: Path, claim: str, claims: dict[str, Any], roles: tuple[Any, ...]
    ) -> None:
        at = VerifierHarness(tmp_path, roles_claim=claim)
        assert (await at.accept(at.token(algorithm="HS256", **claims))).roles == roles


async def test_a_private_key_in_a_jwks_is_reduced_to_its_public_key(at: VerifierHarness) -> None:
    kid, key = at.issuer.key("RS256")
    private = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key))
    (found,) = parse_jwks(json.dumps({"keys": [{**private, "kid": kid}]}).encode())
    assert not hasattr(found.material, "private_numbers")


def _hs256(secret: bytes, claims: dict[str, Any], kid: str | None) -> str:
    """Sign by hand, because the library refuses a secret that looks like a public key."""
    header = {"alg": "HS256", "typ": "JWT", **({"kid": kid} if kid else {})}
    signed = unsigned_jwt(header, claims).rpartition(".")[0]
    mac = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
