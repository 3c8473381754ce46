"""An event and one that only comes after it, such as a click and a conversion, both learned from all rows."""

from mindspore import Tensor, nn, ops

from utils.errors import InputError
from utils.features import Features
from utils.objectives import Objective, Target
from utils.tasks import ChosenTasks, Columns, WeighedTasks, tasks_of, total_of


def two_tasks(settings: ChosenTasks, features: Features) -> tuple[Target, Target]:
    """The event, and the one after it.

    Raises:
        InputError: there are not two tasks.
    """
    tasks = tasks_of(settings, features)
    if len(tasks) != 2:
        raise InputError(
            f"this model is for two tasks, an event and one after it, and the data have {', '.join(features.labels)}: "
            "name two labels, as --tasks=click,conversion does"
        )
    first, second = (Target(task, features.labels.index(task)) for task in tasks)
    return first, second


def logit_of_both(a: Tensor, b: Tensor) -> Tensor:
    """The logit of sigmoid(a) sigmoid(b), which is -log(exp(-a) + exp(-b) + exp(-a - b)), without overflow."""
    both = a + b
    least = ops.stop_gradient(ops.minimum(ops.minimum(a, b), both))
    return least - ops.log(ops.exp(least - a) + ops.exp(least - b) + ops.exp(least - both))


class EntireSpace(Objective):
    """Cross entropies of P(event) and of P(event) P(later | event) against the two labels, over all rows.

    Source: Ma et al. 2018, arXiv 1804.07931, equations 1 and 3. Outputs are the logits of the event and of the later
    one given the event, then what a loss of another kind needs. Predicted are the event, the later event over all rows,
    which is the product, and the later one where the event is, which is scored there alone. The later label is 1 only
    where the event's is.
    """

    def __init__(self, event: Target, later: Target, labels: int, total: nn.Cell, *, outputs: int = 2) -> None:
        """`labels` is how many the data have, `outputs` how many the network gives."""
        super().__init__(auto_prefix=False)
        given = Target(f"{later.name}_among_{event.name}", later.label, among=event.label)
        self.targets, self.total = (event, later, given), total
        self.own = Columns((event.label, later.label), labels)
        self.cross_entropy, self.sigmoid = ops.SigmoidCrossEntropyWithLogits(), ops.Sigmoid()
        self.split, self.concat = ops.Split(axis=1, output_num=outputs), ops.Concat(axis=1)

    def loss(self, outputs: Tensor, label: Tensor) -> Tensor:
        parts = self.split(outputs)
        logits = self.concat((parts[0], logit_of_both(parts[0], parts[1])))
        return self.total(self.cross_entropy(logits, self.own(label)))

    def probabilities(self, outputs: Tensor) -> Tensor:
        parts = self.split(outputs)
        event, given = self.sigmoid(parts[0]), self.sigmoid(parts[1])
        return self.concat((event, event * given, given))


def entire_space(settings: WeighedTasks, features: Features) -> EntireSpace:
    """For networks that give a logit of the event, and one of what comes after it where it is."""
    first, second = two_tasks(settings, features)
    return EntireSpace(first, second, len(features.labels), total_of(settings, (first.name, second.name)))
