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

from services.edge.access.keys import Key, Keys
from services.edge.access.sessions import Session, jwt_key

MOST_CHARACTERS = 8192
MOST_KEYS = 8
"""Keys that a token without a key id is tried with."""
MOST_ROLES = 64
MOST_ROLE_CHARACTERS = 64
LAST = datetime(9999, 1, 1, tzinfo=UTC)
"""When a token ends that says it never does."""
USER_PATTERN = r"^[^_\x00-\x1f\x7f][^\x00-\x1f\x7f]*$(?!\n)"
"""A user's id. What begins with _ is none: so do the owners of what belongs to nobody."""
MOST_USER_CHARACTERS = 128

_SECRET, _KEYS = "HS256", ("RS256", "ES256")

logger = structlog.get_logger("edge.tokens")


class Refused(Exception):
    """A token that is good for nothing; says why, and nothing of what is in it."""


class Tokens:
    """What tokens are checked against. `keys` are for RS256 and ES256, `secret` is for HS256;
    without either, such tokens are refused."""

    def __init__(
        self,
        *,
        secret: str,
        keys: Keys | None,
        issuer: str,
        audience: Sequence[str],
        leeway: float,
        roles_claim: str,
        now: Callable[[], datetime],
    ) -> None:
        self._secret = secret
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._leeway = leeway
        self._roles_claim = roles_claim
        self._now = now

    async def read(self, token: str) -> Session | None:
        """Whose `token` is, and until when; None when it is refused.

        Raises:
            KeysAway: it may be good, and the key to tell is not to be had now.
        """
        try:
            claims = await self._claims(token)
            return Session(
                key=jwt_key(token.rpartition(".")[0]),
                user_id=_user(claims["sub"]),
                roles=_roles(_at(claims, self._roles_claim)),
                expires_at=self._end(claims),
            )
        except Refused as refused:
            logger.info("a token is refused", why=str(refused))
            return None

    async def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > MOST_CHARACTERS:
            raise Refused(f"longer than {MOST_CHARACTERS} characters")
        header = _header(token)
        # Whatever a header says is critical is an extension, of which we have none.
        if "crit" in header:
            raise Refused("its header names something critical")
        keys = await self._candidates(header)
        why = "no key for it"
        for key in keys[:MOST_KEYS]:
            try:
                return self._decode(token, key)
            except jwt.InvalidSignatureError:
                why = "the signature is wrong"
        raise Refused(why)

    async def _candidates(self, header: dict[str, Any]) -> Sequence[Key]:
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm == _SECRET and self._secret:
            return [Key(None, _SECRET, self._secret)]
        if algorithm in _KEYS and self._keys is not None:
            return await self._keys.find(kid if isinstance(kid, str) else None, algorithm)
        raise Refused("its algorithm is not one of ours")

    def _decode(self, token: str, key: Key) -> dict[str, Any]:
        """Raises jwt.InvalidSignatureError, which another key may mend, or Refused."""
        try:
            # Times are checked by `_end`, against the clock that everything here has.
            claims: dict[str, Any] = jwt.decode(
                token,
                key.public,
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
            raise Refused(type(error).__name__) from None
        return claims

    def _end(self, claims: dict[str, Any]) -> datetime:
        """When the token ends, by the clock of whoever issued it at the latest."""
        now = self._now()
        ends = _time(claims["exp"]) + self._leeway
        if now.timestamp() >= ends:
            raise Refused("it expired")
        if "nbf" in claims and _time(claims["nbf"]) > now.timestamp() + self._leeway:
            raise Refused("it is not valid yet")
        return datetime.fromtimestamp(min(ends, LAST.timestamp()), UTC)


def _header(token: str) -> dict[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise Refused("it is no JWT") from None


def _time(value: Any) -> float:
    """Seconds since 1970, which a JWT states as a number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e18:
        raise Refused("a time in it is none")
    return float(value)


def _user(value: Any) -> str:
    user = valid_user(value) if isinstance(value, str) else None
    if user is None:
        raise Refused("its sub is no user id")
    return user


def valid_user(text: str) -> str | None:
    """`text` if a user can be called so."""
    fits = len(text) <= MOST_USER_CHARACTERS and re.match(USER_PATTERN, text)
    return text if fits and _encodes(text) else None


def _encodes(text: str) -> bool:
    """Half a character, as JSON can hold it, is none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _at(claims: dict[str, Any], path: str) -> Any:
    """The claim called `path`, or what lies there within claims: ``realm_access.roles``."""
    if path in claims:
        return claims[path]
    node: Any = claims
    for step in path.split("."):
        node = node.get(step) if isinstance(node, dict) else None
    return node


def _roles(value: Any) -> tuple[str, ...]:
    """A list of names, or names with spaces between; what is none is left out."""
    names = value.split() if isinstance(value, str) else value if isinstance(value, list) else ()
    return valid_roles(name for name in names if isinstance(name, str))


def valid_roles(names: Any) -> tuple[str, ...]:
    """Those of `names` that can be roles, up to a number."""
    fitting = [n for n in names if 0 < len(n) <= MOST_ROLE_CHARACTERS and _encodes(n)]
    return tuple(fitting[:MOST_ROLES])
