"""The rank table: which device of which server has which rank, HCCL's JSON form, version 1.0."""

import ipaddress
import json
from pathlib import Path

from utils.errors import InputError


def check_rank_table(path: Path, ranks: int) -> None:
    """Refuse a rank table that is not of HCCL's form or does not have ranks 0 to `ranks` - 1 once each.

    Raises:
        InputError: the file, the place in it and what is wrong there.
    """
    try:
        table = json.loads(path.read_text())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); hccl_tools.py writes a rank table") from None
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); hccl_tools.py writes a rank table") from None
    servers = _list(table, "server_list", f"{path}")
    found: dict[int, str] = {}
    for number, server in enumerate(servers):
        place = f"{path}: server_list[{number}]"
        devices = _list(server, "device", place)
        ids = [_whole(device, "device_id", place) for device in devices]
        if len(set(ids)) != len(ids):
            raise InputError(f"{place}: a device_id comes up twice; write the table again with hccl_tools.py")
        for device in devices:
            rank = _whole(device, "rank_id", place)
            if rank in found:
                raise InputError(f"{place}: rank_id {rank} comes up twice; write the table again with hccl_tools.py")
            found[rank] = _address(device, place)
    if sorted(found) != list(range(ranks)):
        raise InputError(f"{path}: has the ranks {sorted(found)}, but {ranks} ranks are to start; give N its devices")


def _list(value: object, key: str, place: str) -> list:
    inside = value.get(key) if isinstance(value, dict) else None
    if not isinstance(inside, list) or not inside:
        raise InputError(f"{place}: has no list '{key}'; hccl_tools.py writes a rank table")
    return inside


def _whole(device: object, key: str, place: str) -> int:
    text = str(device.get(key)) if isinstance(device, dict) else ""
    if not text.isdigit():
        raise InputError(f"{place}: a device has no whole number '{key}'; hccl_tools.py writes a rank table")
    return int(text)


def _address(device: dict, place: str) -> str:
    address = str(device.get("device_ip", ""))
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise InputError(f"{place}: device_ip '{address}' is no address; hccl_tools.py writes a rank table") from None
    return address
