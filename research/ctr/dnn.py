"""DNN: an MLP over the embeddings. As in Covington et al. 2016, DOI 10.1145/2959100.2959190."""

from pathlib import Path

from mindspore import Tensor, nn

from utils.features import Features
from utils.layers.deep import DeepSettings, deep_part
from utils.layers.dense_columns import Vectors
from utils.layers.rows import Rows
from utils.model import Model, Table


class DNN(nn.Cell):
    """An MLP of all vectors side by side; a dense column's vector is times its value.

    embeddings: (B, F, D) vectors; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: DeepSettings, features: Features) -> None:
        super().__init__()
        self.vectors = Vectors(features.vectors, features.dense, settings.embedding_dim)
        self.flat = self.vectors.flat
        self.mlp = deep_part(settings, self.flat)

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        return self.mlp(self.vectors(embeddings[0], dense).reshape(-1, self.flat), rows)


MODEL = Model(
    name="dnn",
    presets=Path(__file__).parents[1] / "config" / "dnn",
    settings=DeepSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=DNN,
    default_config="quickstart.yaml",
)
