"""ESCM2: conversions by inverse propensity, or doubly robust. Wang et al. 2022, arXiv 2204.05125."""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor, nn, ops

from utils.config import SHARES, WIDTHS, setting
from utils.entire_space import EntireSpace, logit_of_both, two_tasks
from utils.features import Features
from utils.layers.dense_columns import FlatInputs
from utils.layers.experts import MLPs
from utils.layers.gates import Gates, Mixtures
from utils.layers.rows import Rows
from utils.model import Model, Table
from utils.tasks import ChosenTasks, WeighedTotal


@dataclass(frozen=True)
class ESCM2Settings(ChosenTasks):
    """The loss, and the network's sizes."""

    risk: str = setting(
        "dr", "loss of the conversion: ips (inverse propensity) or dr (doubly robust)", one_of=("ips", "dr")
    )
    conversion_weight: float = setting(0.5, "what that loss weighs beside the click's (lambda_c)", at_least=0)
    product_weight: float = setting(0.5, "what the loss of click and conversion weighs (lambda_g)", at_least=0)
    largest_factor: float = setting(
        15.0, "bound of 1 / P(click), what a clicked row's loss is multiplied by", at_least=1
    )
    embedding_dim: int = setting(8, "width of an embedding vector", **WIDTHS)
    experts: int = setting(8, "number of experts", at_least=1, at_most=1024)
    expert: tuple[int, ...] = setting((32,), "hidden layers of each expert", **WIDTHS, fewest=1)
    tower: tuple[int, ...] = setting((16,), "hidden layers of each tower", **WIDTHS)
    batch_norm: bool = setting(False, "batch norm after each hidden layer, and of a gate before its softmax")
    dropout: float = setting(0.0, "share of units dropped after each hidden layer", **SHARES)


def outputs_of(settings: ESCM2Settings) -> int:
    """Towers, and numbers a row that the network gives."""
    return 3 if settings.risk == "dr" else 2


class ESCM2(nn.Cell):
    """Towers on mixtures of shared experts, as in MMOE: of a click, of a conversion of what is clicked, and for the
    doubly robust loss of that conversion's own loss, whether clicked or not.

    embeddings: one (B, vectors, D) tensor; dense (B, d); returns logits (B, 2), or (B, 3) with a number whose softplus
    is the loss to be expected.
    """

    def __init__(self, settings: ESCM2Settings, features: Features) -> None:
        super().__init__()
        options = {"batch_norm": settings.batch_norm, "dropout": settings.dropout}
        self.outputs = outputs_of(settings)
        self.inputs = FlatInputs(features.vectors, features.dense, settings.embedding_dim)
        width = self.inputs.width
        self.experts = MLPs(settings.experts, (width, *settings.expert), hidden_output=True, **options)
        self.gates = Gates(self.outputs, width, settings.experts, batch_norm=settings.batch_norm)
        self.mixtures = Mixtures()
        self.towers = MLPs(self.outputs, (settings.expert[-1], *settings.tower, 1), groups=self.outputs, **options)

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        inputs = self.inputs(embeddings[0], dense)
        mixed = self.mixtures(self.gates(inputs, rows), self.experts(inputs, rows))
        return self.towers(mixed, rows).reshape(-1, self.outputs)


class CounterfactualRisk(EntireSpace):
    """L_click + lambda_c L_conversion + lambda_g L_both, each a mean over all rows.

    Of a row with click o (0 or 1), propensity p = P(click), which gets no gradient here, and cross entropy e of the
    conversion, L_conversion is o e / p (IPS), or with an expected loss d, d + o (e - d + (e - d)^2) / p (DR). In the
    square e gets no gradient: d is to learn e, and e not to come near d, as in doubly robust joint learning (Wang et
    al. 2019).
    """

    def __init__(self, settings: ESCM2Settings, features: Features) -> None:
        click, conversion = two_tasks(settings, features)
        weights = 1.0, settings.conversion_weight, settings.product_weight
        total, outputs = WeighedTotal(weights), outputs_of(settings)
        super().__init__(click, conversion, len(features.labels), total, outputs=outputs)
        self.is_robust, self.largest_factor = settings.risk == "dr", settings.largest_factor

    def loss(self, outputs: Tensor, label: Tensor) -> Tensor:
        parts = self.split(outputs)
        click, conversion = parts[0], parts[1]
        own = self.own(label)
        clicked, converted = own[:, :1], own[:, 1:]
        factor = clicked * ops.minimum(1 + ops.exp(-ops.stop_gradient(click)), self.largest_factor)
        loss = self.cross_entropy(conversion, converted)
        if self.is_robust:
            expected = self.cross_entropy(parts[2], ops.zeros_like(click))  # softplus
            missed = ops.stop_gradient(loss) - expected
            risk = expected + factor * (loss - expected + missed * missed)
        else:
            risk = factor * loss
        of_click = self.cross_entropy(click, clicked)
        of_both = self.cross_entropy(logit_of_both(click, conversion), converted)
        return self.total(self.concat((of_click, risk, of_both)))


MODEL = Model(
    name="escm2",
    presets=Path(__file__).parents[1] / "config" / "escm2",
    settings=ESCM2Settings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=ESCM2,
    objective=CounterfactualRisk,
    default_config="quickstart.yaml",
    synthetic_kind="multitask",
)
