"""Which ranks run on which machine, and what msrun gives each of them.

    python -m utils.ranks.cluster --ranks=8 [--rank_table=/rank_table.json] [--nodes=2 --node_rank=0 --master_addr=…]

says what is wrong with these flags, and prints `dry_run` where no more is asked for; all others are left alone.
"""

import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from utils.config import RANKS_HERE, LaunchSettings, load_settings
from utils.errors import InputError, run_door
from utils.flags import split_flags
from utils.hccl_tools.rank_table import RankTable, read_rank_table

# The port of several machines, which has to be the same on all of them, is msrun's own default.
_SHARED_PORT = 8118


@dataclass(frozen=True)
class Cluster:
    """The ranks of a job, evenly over `nodes` machines; this machine is number `node_rank`."""

    ranks: int
    nodes: int
    node_rank: int
    master_addr: str
    master_port: int
    start_timeout: int
    rank_table: RankTable | None

    @property
    def ranks_per_node(self) -> int:
        """Ranks of each machine."""
        return self.ranks // self.nodes

    @property
    def local_ranks(self) -> range:
        """Ranks of this machine."""
        return range(self.node_rank * self.ranks_per_node, (self.node_rank + 1) * self.ranks_per_node)

    def environment(self, node: int) -> dict[str, str]:
        """What all processes of a machine are started with, beside msrun's own.

        MindSpore's scheduler ends a job when it has not heard of a rank for MS_NODE_TIMEOUT seconds (its default: 300).
        """
        environment = {"MS_NODE_TIMEOUT": "30", RANKS_HERE: str(self.ranks_per_node)}
        if self.rank_table:
            # Ranks count the devices that they can see from 0.
            environment["ASCEND_RT_VISIBLE_DEVICES"] = ",".join(map(str, self.rank_table.devices[node]))
        return environment

    def scheduler_environment(self) -> dict[str, str]:
        """What the scheduler, which brings the ranks together, is started with."""
        return self.environment(0) | self._of_msrun() | {"MS_ROLE": "MS_SCHED", "RANK_ID": "0"}

    def rank_environment(self, rank: int) -> dict[str, str]:
        """What a rank is started with."""
        node, device = divmod(rank, self.ranks_per_node)
        own = {"MS_ROLE": "MS_WORKER", "MS_NODE_ID": str(rank), "RANK_ID": str(rank), "DEVICE_ID": str(device)}
        return self.environment(node) | self._of_msrun() | own

    def _of_msrun(self) -> dict[str, str]:
        table = {"RANK_TABLE_FILE": str(self.rank_table.path)} if self.rank_table else {}
        return {
            "MS_WORKER_NUM": str(self.ranks),
            "MS_SCHED_HOST": self.master_addr,
            "MS_SCHED_PORT": str(self.master_port),
            "MS_TOPO_TIMEOUT": str(self.start_timeout),
            "RANK_SIZE": str(self.ranks),
            **table,
        }


def cluster_of(settings: LaunchSettings) -> Cluster:
    """The cluster that the flags ask for; what they leave out is the rank table's, else that of one machine.

    Raises:
        InputError: a flag or a rank table that no rank could start with.
    """
    table = read_rank_table(Path(settings.rank_table), settings.ranks) if settings.rank_table else None
    nodes = settings.nodes or (len(table.servers) if table else 1)
    if settings.ranks % nodes:
        raise InputError(f"--ranks={settings.ranks}: must be a multiple of --nodes={nodes}, each with as many ranks")
    if table and nodes != len(table.servers):
        raise InputError(f"--nodes={nodes}, but {table.path} has {len(table.servers)} servers; leave --nodes out")
    node_rank = _node_rank(settings, nodes, table)
    if nodes > 1 and not (table or settings.master_addr):
        raise InputError(
            f"--nodes={nodes} needs --master_addr, the address of machine 0, or a rank table of all servers"
        )
    return Cluster(
        ranks=settings.ranks,
        nodes=nodes,
        node_rank=node_rank,
        master_addr=settings.master_addr or (table.servers[0] if table and nodes > 1 else "127.0.0.1"),
        master_port=settings.master_port or (_SHARED_PORT if nodes > 1 else free_port()),
        start_timeout=settings.start_timeout,
        rank_table=table,
    )


def _node_rank(settings: LaunchSettings, nodes: int, table: RankTable | None) -> int:
    if settings.node_rank is not None:
        if settings.node_rank >= nodes:
            raise InputError(
                f"--node_rank={settings.node_rank}: must be 0 to {nodes - 1}, one for each of --nodes={nodes}"
            )
        return settings.node_rank
    if nodes == 1:
        return 0
    if table is None:
        raise InputError(f"--nodes={nodes} needs --node_rank, the number of this machine, from 0")
    for place, address in enumerate(table.servers):
        if _is_local(address):
            return place
    raise InputError(
        f"{table.path}: no server_id of {', '.join(table.servers)} is an address of this machine; give --node_rank"
    )


def _is_local(address: str) -> bool:
    """Whether an address is one of this machine's: nothing else can be bound."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port of this machine that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main() -> None:
    """Check the flags."""
    own, _ = split_flags(LaunchSettings, sys.argv[1:])
    (settings,) = load_settings((LaunchSettings,), own)
    cluster_of(settings)
    if settings.dry_run:
        print("dry_run")


if __name__ == "__main__":
    run_door(main)
