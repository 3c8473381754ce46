"""Train DLRM: python train.py --dataset_path=…"""

from utils.hold_signals import hold_signals

if __name__ == "__main__":
    hold_signals()

from dlrm.src import MODEL
from utils.errors import run_door
from utils.training.train import main

if __name__ == "__main__":
    run_door(lambda: main(MODEL))
