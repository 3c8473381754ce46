"""Which machine has which ranks, from flags and from a rank table."""

import json
from pathlib import Path

import pytest

from tests.distributed import rank_table_of
from utils.config import LaunchSettings
from utils.errors import InputError
from utils.ranks.cluster import cluster_of

# Addresses for documentation, which no machine should have (RFC 5737).
ELSEWHERE, ELSEWHERE_TOO = "203.0.113.1", "203.0.113.2"


def test_one_machine_takes_a_free_port() -> None:
    cluster = cluster_of(LaunchSettings(ranks=3))
    assert (cluster.nodes, cluster.node_rank, cluster.master_addr) == (1, 0, "127.0.0.1")
    assert cluster.local_ranks == range(3)
    assert cluster.master_port != cluster_of(LaunchSettings(ranks=3)).master_port


def test_flags_say_who_is_who() -> None:
    cluster = cluster_of(LaunchSettings(ranks=6, nodes=3, node_rank=1, master_addr="host-0", master_port=9000))
    assert cluster.local_ranks == range(2, 4)
    assert cluster.rank_environment(3).items() >= {"RANK_ID": "3", "DEVICE_ID": "1", "MS_WORKER_NUM": "6"}.items()
    assert (cluster.master_addr, cluster.master_port) == ("host-0", 9000)


@pytest.mark.parametrize(("node_rank", "expected"), [(None, 1), (0, 0)])
def test_a_rank_table_says_who_is_who(node_rank: int | None, expected: int, tmp_path: Path) -> None:
    (tmp_path / "table.json").write_text(
        json.dumps(rank_table_of([ELSEWHERE, "127.0.0.1"], range(4, 6))), encoding="utf-8"
    )
    cluster = cluster_of(LaunchSettings(ranks=4, rank_table=str(tmp_path / "table.json"), node_rank=node_rank))
    assert (cluster.nodes, cluster.node_rank) == (2, expected)
    assert (cluster.master_addr, cluster.master_port) == (ELSEWHERE, 8118)
    assert cluster.local_ranks == range(2 * expected, 2 * expected + 2)
    # Device 5 of the second machine: the second of those that its ranks can see.
    visible = {"ASCEND_RT_VISIBLE_DEVICES": "4,5", "DEVICE_ID": "1", "RANK_TABLE_FILE": str(tmp_path / "table.json")}
    assert cluster.rank_environment(3).items() >= visible.items()


@pytest.mark.parametrize(
    ("flags", "servers", "message"),
    [
        ({"nodes": 2, "node_rank": 0}, [], "needs --master_addr"),
        ({"nodes": 2, "master_addr": "host-0"}, [], "needs --node_rank"),
        ({"nodes": 2, "node_rank": 2, "master_addr": "host-0"}, [], "--node_rank=2: must be 0 to 1"),
        ({"nodes": 3}, [], "--ranks=4: must be a multiple of --nodes=3"),
        ({"nodes": 4}, [ELSEWHERE, "127.0.0.1"], "has 2 servers; leave --nodes out"),
        ({}, [ELSEWHERE, ELSEWHERE_TOO], "is an address of this machine; give --node_rank"),
        ({}, [ELSEWHERE, "host-1"], r"server_list\[1\]: server_id 'host-1' is no address"),
    ],
)
def test_what_no_rank_could_start_with(flags: dict, servers: list[str], message: str, tmp_path: Path) -> None:
    if servers:
        (tmp_path / "table.json").write_text(json.dumps(rank_table_of(servers, range(2))), encoding="utf-8")
        flags = {**flags, "rank_table": str(tmp_path / "table.json")}
    with pytest.raises(InputError, match=message):
        cluster_of(LaunchSettings(ranks=4, **flags))
