"""The rank table: which device of which server has which rank, HCCL's JSON form, version 1.0."""

import ipaddress
import json
import re
from dataclasses import dataclass
from pathlib import Path

from utils.errors import InputError

_WRITES = "hccl_tools.py writes a rank table"


@dataclass(frozen=True)
class RankTable:
    """A checked rank table: each server's address, and its device numbers in the order of their ranks."""

    path: Path
    servers: tuple[str, ...]
    devices: tuple[tuple[int, ...], ...]


def read_rank_table(path: Path, ranks: int) -> RankTable:
    """Read a rank table of ranks 0 to `ranks` - 1, dealt out evenly, server after server and device after device.

    Raises:
        InputError: the file, the place in it and what is wrong there.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {_WRITES}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}); {_WRITES}") from None
    servers = _list(table, "server_list", f"{path}")
    places = [f"{path}: server_list[{number}]" for number in range(len(servers))]
    of_servers = [_devices(server, place) for server, place in zip(servers, places, strict=True)]
    found = sorted(rank for devices in of_servers for rank, _ in devices)
    if len(set(found)) != len(found):
        raise InputError(f"{path}: a rank_id comes up twice; write the table again with hccl_tools.py")
    if found != list(range(ranks)):
        raise InputError(f"{path}: has the ranks {found}, but {ranks} ranks are to start; give N its devices")
    for number, (devices, place) in enumerate(zip(of_servers, places, strict=True)):
        each = ranks // len(servers)
        expected = list(range(number * each, (number + 1) * each))
        if [rank for rank, _ in devices] != expected:
            raise InputError(f"{place}: must have the ranks {expected}, as many as each server, in order")
        if devices != sorted(devices, key=lambda device: device[1]):
            raise InputError(f"{place}: device_id must rise with rank_id; write the table again with hccl_tools.py")
    names = tuple(str(server.get("server_id", "")) for server in servers)
    if len(servers) > 1:
        for name, place in zip(names, places, strict=True):
            _check_address(name, "server_id", place)
    return RankTable(path, names, tuple(tuple(device for _, device in devices) for devices in of_servers))


def _devices(server: object, place: str) -> list[tuple[int, int]]:
    """(rank_id, device_id) of each device of a server, by rank."""
    devices = _list(server, "device", place)
    found = []
    for device in devices:
        found.append((_whole(device, "rank_id", place), _whole(device, "device_id", place)))
        _check_address(str(device.get("device_ip", "")), "device_ip", place)
    if len({device_id for _, device_id in found}) != len(found):
        raise InputError(f"{place}: a device_id comes up twice; write the table again with hccl_tools.py")
    return sorted(found)


def _list(value: object, key: str, place: str) -> list:
    inside = value.get(key) if isinstance(value, dict) else None
    if not isinstance(inside, list) or not inside:
        raise InputError(f"{place}: has no list '{key}'; {_WRITES}")
    return inside


def _whole(device: object, key: str, place: str) -> int:
    text = str(device.get(key)) if isinstance(device, dict) else ""
    if not re.fullmatch("[0-9]{1,9}", text):
        raise InputError(f"{place}: a device has no whole number '{key}'; {_WRITES}")
    return int(text)


def _check_address(address: str, key: str, place: str) -> None:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise InputError(f"{place}: {key} '{address}' is no address; {_WRITES}") from None
