"""Which model a conversation was with last. In this process only: another replica starts afresh."""

from collections import OrderedDict, defaultdict
from typing import Final

SEPARATOR: Final = "/"
"""Between the tenant and its conversation in a session's name. A name without one is its own tenant."""


class Sessions:
    """Bounded by number and by age. Where there is no room, what is too old goes first; then the tenant with
    the most sessions gives way, with the one that it used longest ago, so that nobody's many sessions push
    out another's few. Each call takes constant time, counted over many.
    """

    def __init__(self, max_sessions: int, ttl: float) -> None:
        """`ttl` in seconds since a session was last used."""
        self._models: OrderedDict[str, tuple[str, float]] = OrderedDict()
        """The one used longest ago first."""
        self._shares = _Shares()
        self._max_sessions = max_sessions
        self._ttl = ttl

    def configure(self, max_sessions: int, ttl: float) -> None:
        """Other bounds; those that are beyond them go as they are met."""
        self._max_sessions, self._ttl = max_sessions, ttl

    def __len__(self) -> int:
        return len(self._models)

    def model_of(self, session: str, at: float) -> str | None:
        """The model that answered last, None for an unknown or forgotten session."""
        known = self._models.get(session)
        if known is None:
            return None
        model, used = known
        if at - used >= self._ttl:
            self._forget(session)
            return None
        return model

    def remember(self, session: str, model: str, at: float) -> None:
        self._models[session] = (model, at)
        self._models.move_to_end(session)
        self._shares.use(session)
        if len(self._models) > self._max_sessions:
            self._forget_old(at)
        while len(self._models) > self._max_sessions:
            self._forget(self._shares.first_to_go())

    def _forget_old(self, at: float) -> None:
        while self._models:
            session = next(iter(self._models))
            if at - self._models[session][1] < self._ttl:
                return
            self._forget(session)

    def _forget(self, session: str) -> None:
        del self._models[session]
        self._shares.drop(session)


class _Shares:
    """Sessions by tenant, and tenants by how many they have. `_most` follows the largest number by single
    steps, for that is how it changes."""

    def __init__(self) -> None:
        self._sessions: dict[str, OrderedDict[str, None]] = {}
        """By tenant, the one used longest ago first."""
        self._tenants: defaultdict[int, OrderedDict[str, None]] = defaultdict(OrderedDict)
        """By number of sessions, the one who used any of them longest ago first."""
        self._most = 0

    def use(self, session: str) -> None:
        tenant = _tenant_of(session)
        own = self._sessions.setdefault(tenant, OrderedDict())
        before = len(own)
        own[session] = None
        own.move_to_end(session)
        self._move(tenant, before, len(own))

    def drop(self, session: str) -> None:
        tenant = _tenant_of(session)
        own = self._sessions[tenant]
        before = len(own)
        del own[session]
        if not own:
            del self._sessions[tenant]
        self._move(tenant, before, len(own))

    def first_to_go(self) -> str:
        """The oldest session of the tenant with the most; of several such tenants, of the one that was quiet
        longest."""
        tenant = next(iter(self._tenants[self._most]))
        return next(iter(self._sessions[tenant]))

    def _move(self, tenant: str, before: int, after: int) -> None:
        equals = self._tenants[before]
        equals.pop(tenant, None)
        if not equals:
            del self._tenants[before]
        if after:
            self._tenants[after][tenant] = None
        if after > self._most or self._most not in self._tenants:
            self._most = after


def _tenant_of(session: str) -> str:
    return session.partition(SEPARATOR)[0]
