"""Who is asking: sessions, JWTs, tickets and gateways, and which pages may read from elsewhere.

Start at `Entrance`, which decides who a request is from; `open_entrance` makes it as the settings
say.
"""

from services.edge.access.cookies import COOKIE, cookie_token, set_cookie
from services.edge.access.entrance import Arrival, Entrance, Shown
from services.edge.access.keys import KeysAway
from services.edge.access.opening import listed_networks, open_entrance
from services.edge.access.origins import CALL_PREFLIGHT, PREFLIGHT, cors
from services.edge.access.sessions import ADMIN, Session, Sessions
from services.edge.access.tickets import Tickets
from services.edge.access.tokens import MOST_USER_CHARACTERS, USER_PATTERN

__all__ = [
    "ADMIN",
    "CALL_PREFLIGHT",
    "COOKIE",
    "MOST_USER_CHARACTERS",
    "PREFLIGHT",
    "USER_PATTERN",
    "Arrival",
    "Entrance",
    "KeysAway",
    "Session",
    "Sessions",
    "Shown",
    "Tickets",
    "cookie_token",
    "cors",
    "listed_networks",
    "open_entrance",
    "set_cookie",
]
