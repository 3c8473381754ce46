"""Contender: the matrix products of a training step alone, by MindSpore's MatMul."""

import time
from functools import cache
from typing import Any

import numpy as np
from mindspore import Tensor, nn, ops

from benchmarks.shared.networks import Product, products
from benchmarks.shared.worker import Turn
from utils.compiled import CompiledCell
from utils.config import DeviceSettings
from utils.device import set_up_device


class Products(nn.Cell):
    """construct(*operands) -> the last of the products; each waits for the one before, as most do in a step."""

    def __init__(self, wanted: list[Product]) -> None:
        super().__init__()
        kinds = [ops.MatMul if len(product.a) == 2 else ops.BatchMatMul for product in wanted]
        self.kernels = [
            kind(transpose_a=product.transpose_a, transpose_b=product.transpose_b)
            for kind, product in zip(kinds, wanted, strict=True)
        ]

    def construct(self, *operands: Tensor) -> Tensor:
        product = operands[0]
        for i, kernel in enumerate(self.kernels):
            product = kernel(ops.depend(operands[2 * i], product), operands[2 * i + 1])
        return product


def prepare(options: dict[str, Any]) -> Turn:
    """options: model. A turn: batch_size and steps."""
    set_up_device(DeviceSettings(device_target="CPU"))
    random = np.random.default_rng(0)

    @cache
    def made(batch_size: int) -> tuple[CompiledCell, list[Tensor]]:
        wanted = products(options["model"], batch_size)
        operands = [Tensor(random.random(shape, np.float32)) for product in wanted for shape in (product.a, product.b)]
        return CompiledCell(Products(wanted)), operands

    def turn(command: dict[str, Any]) -> dict[str, Any]:
        run, operands = made(command["batch_size"])
        started = time.perf_counter()
        for _ in range(command["steps"]):
            product = run(*operands)
        product.asnumpy()
        return {"samples": command["batch_size"] * command["steps"], "seconds": time.perf_counter() - started}

    return turn
