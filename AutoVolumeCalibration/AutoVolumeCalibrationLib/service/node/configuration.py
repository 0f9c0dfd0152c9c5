"""What a service is configured with: a TOML file, checked against ``Resources/Schemas/service.schema.json``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from ...core.errors import InputError, UsageError
from ...core.files.json_files import require_schema
from ...core.files.regular_file import require_regular
from ..engine.limits import Limits
from ..page.settings import PageSettings
from ..planning import PlanRequest

_REMEDY = "See docs/service.md for an example."
_MOST_BYTES = 2**20


@dataclass(frozen=True)
class Peer:
    """Who may send: an AE title, from an IP address or from any where it is empty."""

    title: str
    host: str = ""


@dataclass(frozen=True)
class Destination:
    """Where results go: to a node, or into a folder where one is given.

    Attributes:
        name: of its folder in the spool, and in messages.
        forms: what it gets of each plan: dicom-sr, dicom-sc or gsps.
        tls: whether the connection to it uses the node's TLS files.
    """

    name: str
    title: str = ""
    host: str = ""
    port: int = 0
    folder: Path | None = None
    forms: tuple[str, ...] = ("dicom-sc",)
    tls: bool = False


@dataclass(frozen=True)
class Tls:
    """Files of the certificate, its key, and the certificates that peers must come from (None: anybody may connect)."""

    certificate: Path
    key: Path
    authority: Path | None = None


@dataclass(frozen=True)
class Configuration:
    """The content of the file, with the defaults of the schema; see its descriptions. Paths are absolute."""

    spool: Path
    title: str = "AUTOVOLUME"
    host: str = "127.0.0.1"
    port: int = 11112
    quiet_s: float = 10.0
    max_associations: int = 10
    max_images_per_s: float = 100.0
    max_instance_mb: float = 256.0
    minimum_free_gb: float = 1.0
    keep_days: float = 30.0
    health_port: int = 0
    peers: tuple[Peer, ...] = ()
    tls: Tls | None = None
    request: PlanRequest = PlanRequest()
    limits: Limits = Limits(600.0, 4.0)
    destinations: tuple[Destination, ...] = ()
    page: PageSettings = PageSettings()


def read_configuration(path: Path) -> Configuration:
    """The configuration in a file; paths in it are relative to its folder.

    Raises:
        UsageError: it cannot be read, is not TOML, or an entry is not as it should be: the entry is named.
    """
    require_regular(path, UsageError, _REMEDY, most_bytes=_MOST_BYTES)
    toml = _toml()
    try:
        content = toml.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise UsageError(f"cannot be read as TOML ({error})", source=str(path), remedy=_REMEDY) from error
    for name in ("peer", "destination"):
        if isinstance(content.get(name), dict):
            what = f"[{name}] begins a single entry"
            raise UsageError(what, source=str(path), remedy=f"Write [[{name}]], also where there is only one.")
    require_schema(content, "service", path, UsageError, _REMEDY)
    return _configuration(content, path.absolute().parent, str(path))


def _configuration(content: Mapping[str, Any], folder: Path, source: str) -> Configuration:
    node, tls, plan = dict(content["node"]), content.get("tls"), dict(content.get("plan", {}))
    limits = Limits(plan.pop("time_limit_s", 600.0), plan.pop("memory_limit_gb", 4.0))
    destinations = tuple(_destination(entry, folder) for entry in content.get("destination", ()))
    names = [one.name for one in destinations]
    if len(set(names)) < len(names):
        raise UsageError("two destinations have the same name", source=source, remedy="Rename one.")
    if any(one.tls for one in destinations) and not (tls and "authority" in tls):
        remedy = "Name the certificate that theirs come from as authority in [tls]."
        raise UsageError("a destination with TLS cannot be known without an authority", source=source, remedy=remedy)
    peers = tuple(_peer(entry, source) for entry in content.get("peer", ()))
    host = node.get("host", Configuration.host)
    if not peers and host not in ("127.0.0.1", "::1", "localhost"):
        what = f"listens on {host}, and anybody there may send"
        raise UsageError(what, source=source, remedy="Add a [[peer]] for each node that may.")
    page = PageSettings(**content.get("page", {}))
    if page.port and not page.is_on_this_machine and not page.token:
        what = f"the page listens on {page.host}, and anybody there may open it"
        raise UsageError(what, source=source, remedy="Add a token to [page].")
    _require_distinct_ports(node, page, source)
    return Configuration(
        **{**node, "spool": folder / node["spool"]},
        peers=peers,
        tls=Tls(**{name: folder / file for name, file in tls.items()}) if tls else None,
        request=PlanRequest(**plan),
        limits=limits,
        destinations=destinations,
        page=page,
    )


def _require_distinct_ports(node: Mapping[str, Any], page: PageSettings, source: str) -> None:
    named = {
        "port of [node]": node.get("port", Configuration.port),
        "health_port": node.get("health_port", 0),
        "port of [page]": page.port,
    }
    seen: dict[int, str] = {}
    for name, port in named.items():
        if port and port in seen:
            what = f"{seen[port]} and {name} are both {port}"
            raise UsageError(what, source=source, remedy="Choose another number for one of them.")
        seen[port] = name


def _peer(entry: Mapping[str, Any], source: str) -> Peer:
    peer = Peer(**entry)
    if peer.host:
        try:
            ip_address(peer.host)
        except ValueError as error:
            what = f"the peer {peer.title} has the host {peer.host}, which is not an IP address"
            remedy = "Write its address, or leave host out and let the title alone decide."
            raise UsageError(what, source=source, remedy=remedy) from error
    return peer


def _destination(entry: Mapping[str, Any], folder: Path) -> Destination:
    place, forms = entry.get("folder"), tuple(entry.get("forms", Destination.forms))
    return Destination(**{**entry, "folder": folder / place if place else None, "forms": forms})


def _toml() -> Any:
    for name in ("tomllib", "tomli"):  # Python 3.10 does not have its own
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
    raise InputError("TOML cannot be read with this Python", remedy="Install tomli.")
