"""JWTs: whose a token is, when its signature, times, issuer and audience are right.

The algorithm is never taken on a token's word. HS256 is checked with the secret only, RS256 and
ES256 with keys of their own kind only, and nothing else is checked at all.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import jwt
import structlog

from tapewire_services.edge.auth.jwks import KeySource, VerificationKey
from tapewire_services.edge.auth.sessions import Session, jwt_session_key

MAX_TOKEN_CHARACTERS = 8192
MAX_CANDIDATE_KEYS = 8
"""Keys that a token without a key id is tried with."""
MAX_ROLES = 64
MAX_ROLE_CHARACTERS = 64
MAX_EXPIRY = datetime(9999, 1, 1, tzinfo=UTC)
"""When a token ends that says it never does."""
USER_ID_PATTERN = r"^[^_\x00-\x1f\x7f][^\x00-\x1f\x7f]*$(?!\n)"
"""A user's id. What begins with _ is none: so do the owners of what belongs to nobody."""
MAX_USER_ID_CHARACTERS = 128

_HMAC_ALGORITHM, _PUBLIC_KEY_ALGORITHMS = "HS256", ("RS256", "ES256")

logger = structlog.get_logger("edge.tokens")


class InvalidToken(Exception):
    """A token that is good for nothing; says why, and nothing of what is in it."""


class JwtVerifier:
    """What tokens are checked against. `keys` are for RS256 and ES256, `secret` is for HS256;
    without either, such tokens are refused."""

    def __init__(
        self,
        *,
        secret: str,
        key_source: KeySource | None,
        issuer: str,
        audience: Sequence[str],
        leeway_seconds: float,
        roles_claim: str,
        now: Callable[[], datetime],
    ) -> None:
        self._secret = secret
        self._key_source = key_source
        self._issuer = issuer
        self._audience = audience
        self._leeway_seconds = leeway_seconds
        self._roles_claim = roles_claim
        self._now = now

    async def verify(self, token: str) -> Session | None:
        """Whose `token` is, and until when; None when it is refused.

        Raises:
            KeysAway: it may be good, and the key to tell is not to be had now.
        """
        try:
            claims = await self._verified_claims(token)
            return Session(
                key=jwt_session_key(token.rpartition(".")[0]),
                user_id=_user_id(claims["sub"]),
                roles=_parse_roles(_claim_at(claims, self._roles_claim)),
                expires_at=self._expiry(claims),
            )
        except InvalidToken as refused:
            logger.info("a token is refused", why=str(refused))
            return None

    async def _verified_claims(self, token: str) -> dict[str, Any]:
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise InvalidToken(f"longer than {MAX_TOKEN_CHARACTERS} characters")
        header = _unverified_header(token)
        # Whatever a header says is critical is an extension, of which we have none.
        if "crit" in header:
            raise InvalidToken("its header names something critical")
        keys = await self._candidate_keys(header)
        why = "no key for it"
        for key in keys[:MAX_CANDIDATE_KEYS]:
            try:
                return self._decode(token, key)
            except jwt.InvalidSignatureError:
                why = "the signature is wrong"
        raise InvalidToken(why)

    async def _candidate_keys(self, header: dict[str, Any]) -> Sequence[VerificationKey]:
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm == _HMAC_ALGORITHM and self._secret:
            return [VerificationKey(None, _HMAC_ALGORITHM, self._secret)]
        if algorithm in _PUBLIC_KEY_ALGORITHMS and self._key_source is not None:
            return await self._key_source.find(kid if isinstance(kid, str) else None, algorithm)
        raise InvalidToken("its algorithm is not one of ours")

    def _decode(self, token: str, key: VerificationKey) -> dict[str, Any]:
        """Raises jwt.InvalidSignatureError, which another key may mend, or Refused."""
        try:
            # Times are checked by `_end`, against the clock that everything here has.
            claims: dict[str, Any] = jwt.decode(
                token,
                key.material,
                algorithms=[key.algorithm],
                issuer=self._issuer or None,
                audience=list(self._audience) or None,
                options={
                    "require": ["exp", "sub"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_iss": bool(self._issuer),
                },
            )
        except jwt.InvalidSignatureError:
            raise
        # Beside its own errors the library lets through those of odd claims, such as a time of
        # 1e999 or an object that is nested a thousand times.
        except (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
            raise InvalidToken(type(error).__name__) from None
        return claims

    def _expiry(self, claims: dict[str, Any]) -> datetime:
        """When the token ends, by the clock of whoever issued it at the latest."""
        now = self._now()
        ends = _numeric_date(claims["exp"]) + self._leeway_seconds
        if now.timestamp() >= ends:
            raise InvalidToken("it expired")
        if (
            "nbf" in claims
            and _numeric_date(claims["nbf"]) > now.timestamp() + self._leeway_seconds
        ):
            raise InvalidToken("it is not valid yet")
        return datetime.fromtimestamp(min(ends, MAX_EXPIRY.timestamp()), UTC)


def _unverified_header(token: str) -> dict[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise InvalidToken("it is no JWT") from None


def _numeric_date(value: Any) -> float:
    """Seconds since 1970, which a JWT states as a number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e18:
        raise InvalidToken("a time in it is none")
    return float(value)


def _user_id(value: Any) -> str:
    user = valid_user_id(value) if isinstance(value, str) else None
    if user is None:
        raise InvalidToken("its sub is no user id")
    return user


def valid_user_id(text: str) -> str | None:
    """`text` if a user can be called so."""
    fits = len(text) <= MAX_USER_ID_CHARACTERS and re.match(USER_ID_PATTERN, text)
    return text if fits and _is_encodable(text) else None


def _is_encodable(text: str) -> bool:
    """Half a character, as JSON can hold it, is none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _claim_at(claims: dict[str, Any], path: str) -> Any:
    """The claim called `path`, or what lies there within claims: ``realm_access.roles``."""
    if path in claims:
        return claims[path]
    node: Any = claims
    for step in path.split("."):
        node = node.get(step) if isinstance(node, dict) else None
    return node


def _parse_roles(value: Any) -> tuple[str, ...]:
    """A list of names, or names with spaces between; what is none is left out."""
    names = value.split() if isinstance(value, str) else value if isinstance(value, list) else ()
    return valid_roles(name for name in names if isinstance(name, str))


def valid_roles(names: Any) -> tuple[str, ...]:
    """Those of `names` that can be roles, up to a number."""
    fitting = [n for n in names if 0 < len(n) <= MAX_ROLE_CHARACTERS and _is_encodable(n)]
    return tuple(fitting[:MAX_ROLES])
