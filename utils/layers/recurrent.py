"""Recurrent layers over the places of a sequence."""

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import initializer

from utils.layers.mlp import Linear


class GRU(nn.Cell):
    """Gated recurrent units that go, at each place, as far as a share says: x (B, L, inputs), share (B, L).

    Gives the states h_1 … h_L of all places, (B, L, units), after h_0 = 0:

        r = sigmoid(W_r x_t + U_r h_{t-1} + b_r)            the reset gate
        u = sigmoid(W_u x_t + U_u h_{t-1} + b_u)            the update gate
        c = tanh(W_c x_t + r * (U_c h_{t-1}) + b_c)         the candidate
        h_t = h_{t-1} + share_t u * (c - h_{t-1})

    Source: Zhou et al. 2019 (DIEN), arXiv 1809.03672. With the mask as share it is the paper's GRU, and padding leaves
    the state as it is; with attention as share its AUGRU, whose update gate is share_t u; with attention and without
    an update gate, u = 1, its AGRU.

    The loop over places is unrolled. As a loop of the graph, which writes each state into a tensor of all of them, a
    step of 1280 rows with 50 places took three times as long on a CPU.
    """

    def __init__(self, length: int, inputs: int, units: int, *, update_gate: bool = True) -> None:
        super().__init__()
        self.length, self.inputs, self.units = length, inputs, units
        self.gates = 2 * units if update_gate else units
        self.gates_of_input, self.candidate_of_input = Linear(inputs, self.gates), Linear(inputs, units)
        self.gates_of_state = Parameter(initializer("xavier_normal", (units, self.gates), ms.float32))
        self.candidate_of_state = Parameter(initializer("xavier_normal", (units, units), ms.float32))
        self.step = _Step(units, update_gate=update_gate)
        self.stack, self.one_by_one = ops.Stack(axis=1), _OneByOne(length)

    def construct(self, x: Tensor, share: Tensor) -> Tensor:
        x = x.reshape(-1, self.inputs)
        gates = self.one_by_one(self.gates_of_input(x).reshape(-1, self.length, self.gates))
        candidates = self.one_by_one(self.candidate_of_input(x).reshape(-1, self.length, self.units))
        shares = self.one_by_one(share.reshape(-1, self.length, 1))
        state, states = candidates[0] * 0.0, ()
        for t in range(self.length):
            state, _, _, _ = self.step(
                state, gates[t], candidates[t], shares[t], self.gates_of_state, self.candidate_of_state
            )
            states = (*states, state)
        return self.stack(states)


class _Step(nn.Cell):
    """The state after a place, (B, units), and for the gradient its gates, candidate and U_c h.

    Of the state before; of what the input adds to the gates, r and then u if there is one, (B, gates), and to the
    candidate (B, units); of the share (B, 1); and of the weights of the state. Written with its own gradient, which
    halves what is to be compiled.
    """

    def __init__(self, units: int, *, update_gate: bool) -> None:
        super().__init__(auto_prefix=False)
        self.units, self.update_gate = units, update_gate
        self.product, self.product_of_rows = ops.MatMul(), ops.MatMul(transpose_a=True)
        self.product_back = ops.MatMul(transpose_b=True)
        self.sigmoid, self.tanh, self.concat = ops.Sigmoid(), ops.Tanh(), ops.Concat(axis=1)

    def construct(
        self, state: Tensor, to_gates: Tensor, to_candidate: Tensor, share: Tensor, of_gates: Tensor,
        of_candidate: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
        gates, recurrent = self.sigmoid(to_gates + self.product(state, of_gates)), self.product(state, of_candidate)
        candidate = self.tanh(to_candidate + gates[:, : self.units] * recurrent)
        step = share * gates[:, self.units :] if self.update_gate else share
        return state + step * (candidate - state), gates, candidate, recurrent

    def bprop(
        self, state: Tensor, to_gates: Tensor, to_candidate: Tensor, share: Tensor, of_gates: Tensor,
        of_candidate: Tensor, out: tuple[Tensor, ...], d_out: tuple[Tensor, ...],
    ) -> tuple[Tensor, ...]:  # fmt: skip
        _, gates, candidate, recurrent = out
        reset, d_state, d_step = gates[:, : self.units], d_out[0], d_out[0] * (candidate - state)
        if self.update_gate:
            update = gates[:, self.units :]
            d_share, d_update, step = d_step * update, d_step * share, share * update
        else:
            d_share, d_update, step = d_step, None, share
        d_moved = d_state * step
        d_candidate = d_moved * (1.0 - candidate * candidate)
        d_gates = d_candidate * recurrent
        if self.update_gate:
            d_gates = self.concat((d_gates, d_update))
        d_gates, d_recurrent = d_gates * gates * (1.0 - gates), d_candidate * reset
        d_before = self.product_back(d_gates, of_gates) + self.product_back(d_recurrent, of_candidate)
        d_weights = self.product_of_rows(state, d_gates), self.product_of_rows(state, d_recurrent)
        return d_state - d_moved + d_before, d_gates, d_candidate, d_share.sum(1, keepdims=True), *d_weights


class _OneByOne(nn.Cell):
    """x (B, L, D) -> its places, L tensors (B, D). Written with its own gradient: that of a slice is as large as x."""

    def __init__(self, length: int) -> None:
        super().__init__(auto_prefix=False)
        self.length, self.stack = length, ops.Stack(axis=1)

    def construct(self, x: Tensor) -> tuple[Tensor, ...]:
        places = ()
        for t in range(self.length):
            places = (*places, x[:, t])
        return places

    def bprop(self, x: Tensor, out: tuple[Tensor, ...], d_out: tuple[Tensor, ...]) -> tuple[Tensor]:
        return (self.stack(d_out),)


class LSTM(nn.Cell):
    """Long short-term memory, Hochreiter & Schmidhuber 1997, with a forget gate: x (B, L, inputs) -> (B, L, units).

    Gives the states of all places; where the mask (B, L) is 0 a state is the one before it. `backwards` it begins at
    the last place.
    """

    def __init__(self, length: int, inputs: int, units: int, *, backwards: bool = False) -> None:
        super().__init__()
        self.length, self.inputs, self.units, self.backwards = length, inputs, units, backwards
        self.of_input = Linear(inputs, 4 * units)
        self.of_state = Parameter(initializer("xavier_normal", (units, 4 * units), ms.float32))
        self.product, self.sigmoid, self.tanh = ops.MatMul(), ops.Sigmoid(), ops.Tanh()
        self.stack, self.one_by_one = ops.Stack(axis=1), _OneByOne(length)
        self.parts = ops.Split(axis=1, output_num=4)

    def construct(self, x: Tensor, mask: Tensor) -> Tensor:
        sums = self.one_by_one(self.of_input(x.reshape(-1, self.inputs)).reshape(-1, self.length, 4 * self.units))
        here = self.one_by_one(mask.reshape(-1, self.length, 1))
        state, states = sums[0][:, : self.units] * 0.0, ()
        cell = state
        for i in range(self.length):
            place = self.length - 1 - i if self.backwards else i
            put, forget, give, candidate = self.parts(sums[place] + self.product(state, self.of_state))
            moved = self.sigmoid(forget) * cell + self.sigmoid(put) * self.tanh(candidate)
            cell = cell + here[place] * (moved - cell)
            state = state + here[place] * (self.sigmoid(give) * self.tanh(moved) - state)
            states = (state, *states) if self.backwards else (*states, state)
        return self.stack(states)
