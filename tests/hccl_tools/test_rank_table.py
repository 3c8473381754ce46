"""Rank tables: what the tool writes is what the check accepts, and nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.distributed import rank_table_of
from utils.errors import InputError
from utils.hccl_tools.rank_table import RankTable, read_rank_table

TOOL = Path(__file__).parents[2] / "utils/hccl_tools/hccl_tools.py"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The rank table of a server with eight devices."""
    configuration = tmp_path / "hccn.conf"
    configuration.write_text(
        "".join(f"address_{i}=192.98.92.{100 + i}\nnetmask_{i}=255.255.255.0\n" for i in range(8)), encoding="utf-8"
    )
    done = subprocess.run(
        [sys.executable, TOOL, "--device_num=[0,8)", f"--hccn_conf={configuration}", "--server_ip=10.0.0.7"],
        cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60, check=True,
    )  # fmt: skip
    return tmp_path / done.stdout.strip()


def test_a_written_table_is_accepted(table: Path) -> None:
    assert read_rank_table(table, 8) == RankTable(table, ("10.0.0.7",), (tuple(range(8)),))
    devices = json.loads(table.read_text(encoding="utf-8"))["server_list"][0]["device"]
    assert devices[3] == {"device_id": "3", "device_ip": "192.98.92.103", "rank_id": "3"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda devices: devices.pop(), "8 ranks are to start"),
        (lambda devices: devices[1].update(rank_id="0"), "a rank_id comes up twice"),
        (lambda devices: devices[1].update(device_id="0"), "device_id comes up twice"),
        (lambda devices: devices[2].update(device_ip="192.98.92"), "'192.98.92' is no address"),
        (lambda devices: (devices[0].update(rank_id="1"), devices[1].update(rank_id="0")), "must rise with rank_id"),
        (lambda devices: devices[2].pop("rank_id"), "no whole number 'rank_id'"),
    ],
)
def test_a_wrong_table_is_refused(table: Path, change, message: str) -> None:
    content = json.loads(table.read_text(encoding="utf-8"))
    change(content["server_list"][0]["device"])
    table.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_rank_table(table, 8)


def test_text_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="not JSON"):
        read_rank_table(tmp_path / "table.json", 8)


def test_ranks_are_dealt_out_evenly_over_the_servers(tmp_path: Path) -> None:
    content = rank_table_of(["10.0.0.7", "10.0.0.8"], range(2))
    path = tmp_path / "table.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    assert read_rank_table(path, 4) == RankTable(path, ("10.0.0.7", "10.0.0.8"), ((0, 1), (0, 1)))
    first, second = (server["device"] for server in content["server_list"])
    first.append(second.pop() | {"device_id": "2", "rank_id": "2"})
    second[0]["rank_id"] = "3"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=r"server_list\[0\]: must have the ranks \[0, 1\]"):
        read_rank_table(path, 4)
