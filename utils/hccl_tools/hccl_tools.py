"""Write the rank table of this Ascend server: python ../utils/hccl_tools/hccl_tools.py --device_num "[0,8)"

The addresses of the devices come from the driver's configuration, one line `address_<device>=<address>` each.
"""

import ipaddress
import json
import re
import socket
import sys
from pathlib import Path

from utils.config import RankTableSettings, load_settings
from utils.errors import InputError, run_door, writing


def main() -> None:
    """Write `hccl_<n>p_<devices>_<server>.json` and print its name."""
    (settings,) = load_settings((RankTableSettings,), sys.argv[1:])
    devices = parse_range(settings.device_num)
    server = settings.server_ip or _own_address()
    table = rank_table(devices, read_addresses(Path(settings.hccn_conf)), server)
    name = f"hccl_{len(devices)}p_{''.join(map(str, devices))}_{server}.json"
    path = Path(settings.output_path) / name
    with writing(path, "choose another --output_path"):
        path.write_text(json.dumps(table, indent=4) + "\n", encoding="utf-8")
    print(path)


def parse_range(text: str) -> range:
    """The devices of "[0,8)": from the first number up to, not including, the second."""
    found = re.fullmatch(r"\[([0-9]{1,5}),\s*([0-9]{1,5})\)", text.strip())
    if not found or int(found[1]) >= int(found[2]):
        raise InputError(f'--device_num={text}: must look like "[0,8)", the first device and the one after the last')
    return range(int(found[1]), int(found[2]))


def _own_address() -> str:
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError as error:
        raise InputError(f"this server's host name has no address ({error.strerror}); give --server_ip") from None


def read_addresses(path: Path) -> dict[int, str]:
    """Device number to network address, from the driver's hccn.conf."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); run this on the Ascend server") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; give the driver's configuration") from None
    return {int(found[1]): found[2] for line in lines if (found := re.match(r"address_(\d+)=(\S+)", line.strip()))}


def rank_table(devices: range, addresses: dict[int, str], server: str) -> dict:
    """HCCL's rank table, version 1.0, of one server; rank i is the i-th device."""
    for device in devices:
        try:
            ipaddress.ip_address(addresses.get(device, ""))
        except ValueError:
            raise InputError(f"device {device} has no address in the driver's configuration; set it up first") from None
    listed = [
        {"device_id": str(device), "device_ip": addresses[device], "rank_id": str(rank)}
        for rank, device in enumerate(devices)
    ]
    return {
        "version": "1.0",
        "server_count": "1",
        "server_list": [{"server_id": server, "device": listed, "host_nic_ip": "reserve"}],
        "status": "completed",
    }


if __name__ == "__main__":
    run_door(main)
