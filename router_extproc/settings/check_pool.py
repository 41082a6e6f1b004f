"""Whether the pool fits together: endpoints, models, their names and keys, addresses of listeners."""

import ipaddress
from collections.abc import Iterator

from router_extproc.settings.pool_schema import Endpoint
from router_extproc.settings.problem import Problem, Severity, nearest
from router_extproc.settings.schema import Address, ExtProcAddress, Settings

REQUEST_FIELDS = ("model", "messages", "stream", "stream_options")
"""Fields of a chat completion that no reasoning switch may overwrite."""


def pool_problems(settings: Settings) -> Iterator[Problem]:
    yield from _endpoint_problems(settings)
    yield from _model_problems(settings)
    yield from _name_problems(settings)
    yield from _reasoning_problems(settings)
    yield from _price_problems(settings)
    yield from _key_problems(settings)
    yield from _listener_problems(settings)
    yield from _pool_address_problems(settings)
    yield from _simulator_problems(settings)


def _endpoint_problems(settings: Settings) -> Iterator[Problem]:
    used = {name for model in settings.models.values() for name in model.preferred_endpoints}
    seen: set[str] = set()
    for index, endpoint in enumerate(settings.vllm_endpoints):
        if endpoint.name in seen:
            yield Problem(("vllm_endpoints", index, "name"), f"{endpoint.name!r} stands twice")
        elif endpoint.name not in used:
            yield Problem(
                ("vllm_endpoints", index),
                f"no model uses {endpoint.name!r}; add it to a preferred_endpoints or remove it",
                Severity.IDLE,
            )
        seen.add(endpoint.name)


def _model_problems(settings: Settings) -> Iterator[Problem]:
    endpoints = {endpoint.name for endpoint in settings.vllm_endpoints}
    for name, model in settings.models.items():
        seen: set[str] = set()
        for index, endpoint in enumerate(model.preferred_endpoints):
            loc = ("model_config", name, "preferred_endpoints", index)
            if endpoint not in endpoints:
                yield Problem(loc, f"{endpoint!r} is not in vllm_endpoints{nearest(endpoint, endpoints)}")
            elif endpoint in seen:
                yield Problem(loc, f"{endpoint!r} stands twice; remove one", Severity.IDLE)
            seen.add(endpoint)
        family = model.reasoning_family
        if family is not None and family not in settings.reasoning_families:
            yield Problem(
                ("model_config", name, "reasoning_family"),
                f"{family!r} is not in reasoning_families{nearest(family, settings.reasoning_families)}",
            )
        places = [each for each in settings.vllm_endpoints if each.name in model.preferred_endpoints]
        if len({each.path_prefix for each in places}) > 1:
            yield Problem(
                ("model_config", name, "preferred_endpoints"),
                "have different path_prefix, and Envoy rewrites a path before it chooses the endpoint; give "
                "them one, or make two models of them",
            )
    if settings.default_model not in settings.models:
        hint = nearest(settings.default_model, settings.models)
        yield Problem(("default_model",), f"{settings.default_model!r} is not in model_config{hint}")


def _name_problems(settings: Settings) -> Iterator[Problem]:
    """Aliases, models and adapters are all asked for by name, so a name has one meaning."""
    for alias in sorted({"auto", settings.auto_model_name} & settings.models.keys()):
        yield Problem(
            ("model_config", alias),
            "this name means automatic choice; rename the model or auto_model_name",
        )
    taken = {"auto", settings.auto_model_name}
    for index, alias in enumerate(settings.model_aliases):
        if alias in settings.models:
            text = f"{alias!r} is a model, and an alias means automatic choice; rename one of them"
            yield Problem(("model_aliases", index), text)
        elif alias in taken:
            text = f"{alias!r} means automatic choice already; remove it"
            yield Problem(("model_aliases", index), text, Severity.IDLE)
        taken.add(alias)
    adapters: dict[str, str] = {}
    for name, model in settings.models.items():
        for index, lora in enumerate(model.loras):
            loc = ("model_config", name, "loras", index, "name")
            if lora.name in settings.models or lora.name in taken:
                yield Problem(
                    loc, f"{lora.name!r} is the name of a model or an alias too; rename one of them"
                )
            elif lora.name in adapters:
                yield Problem(
                    loc,
                    f"{lora.name!r} is an adapter of {adapters[lora.name]!r} already, so a request for it "
                    "could mean both; serve one of them under another name",
                )
            adapters.setdefault(lora.name, name)


def _reasoning_problems(settings: Settings) -> Iterator[Problem]:
    for name, family in settings.reasoning_families.items():
        if family.parameter in REQUEST_FIELDS:
            yield Problem(
                ("reasoning_families", name, "parameter"),
                f"{family.parameter!r} is a field of every request; name the field that switches",
            )
    types = {family.type for family in settings.reasoning_families.values()}
    if "default_reasoning_effort" in settings.model_fields_set and "reasoning_effort" not in types:
        yield Problem(
            ("default_reasoning_effort",),
            "has no effect, because no reasoning family is of type reasoning_effort; remove it",
            Severity.IDLE,
        )


def _price_problems(settings: Settings) -> Iterator[Problem]:
    """Prices are compared as numbers."""
    priced = {name: model.pricing.currency for name, model in settings.models.items() if model.pricing}
    algorithms = [decision.algorithm for decision in settings.decisions if decision.algorithm]
    compared = any(
        each.type in ("multi_factor", "adaptive") for each in (settings.selection.algorithm, *algorithms)
    )
    for name, currency in priced.items() if compared else ():
        first = next(iter(priced.values()))
        if currency != first:
            yield Problem(
                ("model_config", name, "pricing", "currency"),
                f"prices in {currency} and {first} cannot be compared; give all of them in one currency",
            )


def _key_problems(settings: Settings) -> Iterator[Problem]:
    places = {endpoint.name: endpoint for endpoint in settings.vllm_endpoints}
    for name, model in settings.models.items():
        for endpoint in model.preferred_endpoints if model.api_key else ():
            place = places.get(endpoint)
            plain = place is not None and (place.tls is None or not place.tls.enabled)
            if place is not None and plain and not _is_local(place.address):
                yield Problem(
                    ("model_config", name, "api_key"),
                    f"goes to {endpoint!r} in clear text; give that endpoint `tls: {{}}`, unless the network "
                    "is yours",
                    Severity.WARNING,
                )


def _listener_problems(settings: Settings) -> Iterator[Problem]:
    ext_proc = settings.listeners.ext_proc
    if ext_proc.path is not None:
        for key in sorted({"address", "port"} & ext_proc.model_fields_set):
            yield Problem(
                ("listeners", "ext_proc", key), "has no effect with path; remove one of them", Severity.IDLE
            )
    taken: dict[str, Address] = {}
    for name, address in _listeners(settings):
        for other, place in taken.items():
            if _collide(address, place):
                yield Problem(
                    ("listeners", name),
                    f"{address.address}:{address.port} is also listeners.{other}; change one of the ports",
                )
        taken[name] = address


def _pool_address_problems(settings: Settings) -> Iterator[Problem]:
    """The simulator listens on the endpoints, so then they are addresses of this machine. Otherwise only the
    ones that say so are: another machine's port 8080 is free to be the same as a listener's."""
    simulated = settings.simulator is not None
    taken: dict[int, Endpoint] = {}
    for index, endpoint in enumerate(settings.vllm_endpoints):
        loc, place = ("vllm_endpoints", index), f"{endpoint.address}:{endpoint.port}"
        for name, address in _listeners(settings):
            here = simulated or _is_local(endpoint.address) or _same_host(endpoint.address, address.address)
            if here and _collide(endpoint, address):
                yield Problem(loc, f"{place} is also listeners.{name}; change one of the ports")
        for other, earlier in taken.items():
            if simulated and _collide(endpoint, earlier):
                yield Problem(
                    loc,
                    f"{place} is also vllm_endpoints[{other}], and the simulator listens on both; change "
                    "a port",
                )
        if simulated and endpoint.tls is not None and endpoint.tls.enabled:
            yield Problem((*loc, "tls"), "the simulator speaks no TLS; remove it, or the simulator")
        taken[index] = endpoint


def _simulator_problems(settings: Settings) -> Iterator[Problem]:
    if settings.simulator is None:
        return
    for name in sorted(settings.simulator.models.keys() ^ settings.models.keys()):
        yield Problem(
            ("simulator", "models", name), "simulator.models and model_config must have the same names"
        )
    taken: dict[str, str] = {}
    for name, model in settings.models.items():
        for index, endpoint in enumerate(model.preferred_endpoints):
            if endpoint in taken:
                yield Problem(
                    ("model_config", name, "preferred_endpoints", index),
                    f"the simulator already serves {taken[endpoint]!r} at {endpoint!r}; give each simulated "
                    "model endpoints of its own",
                )
            taken.setdefault(endpoint, name)


def _listeners(settings: Settings) -> Iterator[tuple[str, Address]]:
    """Every port that is opened."""
    for name in type(settings.listeners).model_fields:
        at: Address = getattr(settings.listeners, name)
        if not isinstance(at, ExtProcAddress) or at.path is None:
            yield name, at


def _collide(one: Address | Endpoint, other: Address | Endpoint) -> bool:
    """Whether both cannot be listened on, were they on one machine: a wildcard takes the port everywhere."""
    if one.port != other.port:
        return False
    hosts = (one.address, other.address)
    return _same_host(*hosts) or any(_is_wildcard(host) for host in hosts)


def _same_host(one: str, other: str) -> bool:
    return _canonical(one) == _canonical(other)


def _is_wildcard(host: str) -> bool:
    return _canonical(host) in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def _is_local(host: str) -> bool:
    canonical = _canonical(host)
    return canonical == "::1" or canonical.startswith("127.") or _is_wildcard(host)


def _canonical(host: str) -> str:
    """One spelling per address; names stay names, except the one that needs no resolver."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        name = host.lower().rstrip(".")
        return "127.0.0.1" if name == "localhost" else name
