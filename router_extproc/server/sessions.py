"""Which model a conversation was with last. In this process only: another replica starts afresh."""

from collections import OrderedDict


class Sessions:
    """Bounded by number and by age; the one that was used longest ago goes first."""

    def __init__(self, max_sessions: int, ttl: float) -> None:
        """`ttl` in seconds since a session was last used."""
        self._models: OrderedDict[str, tuple[str, float]] = OrderedDict()
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
            del self._models[session]
            return None
        return model

    def remember(self, session: str, model: str, at: float) -> None:
        self._models[session] = (model, at)
        self._models.move_to_end(session)
        while len(self._models) > self._max_sessions:
            self._models.popitem(last=False)
