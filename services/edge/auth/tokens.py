"""Verifies JWTs: signature, times, issuer and audience.

A token's `alg` header alone never selects how it is verified: HS256 is verified with the secret
only, RS256 and ES256 with keys of their own type only, and all other algorithms are rejected.
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
"""Keys that are tried for a token without a key id."""
MAX_ROLES = 64
MAX_ROLE_CHARACTERS = 64
MAX_EXPIRY = datetime(9999, 1, 1, tzinfo=UTC)
"""The latest expiry of a session, for tokens that state a later one."""
USER_ID_PATTERN = r"^[^_\x00-\x1f\x7f][^\x00-\x1f\x7f]*$(?!\n)"
"""A user id. It does not begin with _, which is reserved for owners that are not users."""
MAX_USER_ID_CHARACTERS = 128

_HMAC_ALGORITHM, _PUBLIC_KEY_ALGORITHMS = "HS256", ("RS256", "ES256")

logger = structlog.get_logger("edge.tokens")


class InvalidToken(Exception):
    """A token is rejected. The message gives the reason without any content of the token."""


class JwtVerifier:
    """Verifies tokens: RS256 and ES256 with keys of `key_source`, HS256 with `secret`. Without the
    one or the other, such tokens are rejected."""

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
        """The session that `token` stands for, or None when it is rejected.

        Raises:
            VerificationKeysUnavailable: the token's key cannot be fetched now.
        """
        try:
            claims = await self._verified_claims(token)
            return Session(
                key=jwt_session_key(token.rpartition(".")[0]),
                user_id=_user_id(claims["sub"]),
                roles=_parse_roles(_claim_at(claims, self._roles_claim)),
                expires_at=self._expiry(claims),
            )
        except InvalidToken as error:
            logger.info("token.rejected", reason=str(error))
            return None

    async def _verified_claims(self, token: str) -> dict[str, Any]:
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise InvalidToken(f"longer than {MAX_TOKEN_CHARACTERS} characters")
        header = _unverified_header(token)
        # A critical header names an extension of JWT; none is supported.
        if "crit" in header:
            raise InvalidToken("its header names something critical")
        keys = await self._candidate_keys(header)
        reason = "no key for it"
        for key in keys[:MAX_CANDIDATE_KEYS]:
            try:
                return self._decode(token, key)
            except jwt.InvalidSignatureError:
                reason = "the signature is wrong"
        raise InvalidToken(reason)

    async def _candidate_keys(self, header: dict[str, Any]) -> Sequence[VerificationKey]:
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm == _HMAC_ALGORITHM and self._secret:
            return [VerificationKey(None, _HMAC_ALGORITHM, self._secret)]
        if algorithm in _PUBLIC_KEY_ALGORITHMS and self._key_source is not None:
            return await self._key_source.find(kid if isinstance(kid, str) else None, algorithm)
        raise InvalidToken("its algorithm is not one of ours")

    def _decode(self, token: str, key: VerificationKey) -> dict[str, Any]:
        """The claims of `token`. Raises jwt.InvalidSignatureError, when another key may fit, or
        InvalidToken."""
        try:
            # `_expiry` checks times, with the injected clock.
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
        """When the token expires, including the leeway for the issuer's clock."""
        now = self._now()
        expires_at = _numeric_date(claims["exp"]) + self._leeway_seconds
        if now.timestamp() >= expires_at:
            raise InvalidToken("it expired")
        if (
            "nbf" in claims
            and _numeric_date(claims["nbf"]) > now.timestamp() + self._leeway_seconds
        ):
            raise InvalidToken("it is not valid yet")
        return datetime.fromtimestamp(min(expires_at, MAX_EXPIRY.timestamp()), UTC)


def _unverified_header(token: str) -> dict[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise InvalidToken("it is no JWT") from None


def _numeric_date(value: Any) -> float:
    """A time claim: seconds since 1970."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e18:
        raise InvalidToken("a time in it is none")
    return float(value)


def _user_id(value: Any) -> str:
    user = valid_user_id(value) if isinstance(value, str) else None
    if user is None:
        raise InvalidToken("its sub is no user id")
    return user


def valid_user_id(text: str) -> str | None:
    """`text` if it is a valid user id, otherwise None."""
    fits = len(text) <= MAX_USER_ID_CHARACTERS and re.match(USER_ID_PATTERN, text)
    return text if fits and _is_encodable(text) else None


def _is_encodable(text: str) -> bool:
    """Whether `text` has no lone surrogate, which JSON can contain."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _claim_at(claims: dict[str, Any], path: str) -> Any:
    """The claim named `path`, or the nested one at it, such as ``realm_access.roles``."""
    if path in claims:
        return claims[path]
    node: Any = claims
    for step in path.split("."):
        node = node.get(step) if isinstance(node, dict) else None
    return node


def _parse_roles(value: Any) -> tuple[str, ...]:
    """Roles from a list, or from a space-separated string, without invalid ones."""
    names = value.split() if isinstance(value, str) else value if isinstance(value, list) else ()
    return valid_roles(name for name in names if isinstance(name, str))


def valid_roles(names: Any) -> tuple[str, ...]:
    """The valid roles among `names`, at most `MAX_ROLES`."""
    fitting = [n for n in names if 0 < len(n) <= MAX_ROLE_CHARACTERS and _is_encodable(n)]
    return tuple(fitting[:MAX_ROLES])
