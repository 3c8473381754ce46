"""Contender: the matrix products of a training step alone, by PyTorch."""

import os
import time
from functools import cache
from typing import Any

import torch

from benchmarks.shared.networks import products
from benchmarks.shared.worker import Turn


def prepare(options: dict[str, Any]) -> Turn:
    """options and turns as of `benchmarks.training.engine_products.prepare`."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))

    @cache
    def made(batch_size: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [
            (_operand(product.a, product.transpose_a), _operand(product.b, product.transpose_b))
            for product in products(options["model"], batch_size)
        ]

    @torch.inference_mode()
    def turn(command: dict[str, Any]) -> dict[str, Any]:
        operands = made(command["batch_size"])
        started = time.perf_counter()
        for _ in range(command["steps"]):
            for a, b in operands:
                torch.matmul(a, b)
        return {"samples": command["batch_size"] * command["steps"], "seconds": time.perf_counter() - started}

    return turn


def _operand(shape: tuple[int, ...], transposed: bool) -> torch.Tensor:
    operand = torch.rand(shape)
    return operand.mT if transposed else operand
