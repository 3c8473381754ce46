"""Train a model of this folder: python train.py --model=lr --dataset_path=…"""

from utils.hold_signals import hold_signals

if __name__ == "__main__":
    hold_signals()

import sys

from research.models import model_to_train
from utils.errors import run_door
from utils.training.train import main

if __name__ == "__main__":
    run_door(lambda: main(*model_to_train(sys.argv[1:])))
