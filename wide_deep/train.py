"""Train Wide & Deep: python train.py --dataset_path=…"""

from utils.hold_signals import hold_signals

if __name__ == "__main__":
    hold_signals()

from utils.errors import run_door
from utils.training.train import main
from wide_deep.src import MODEL

if __name__ == "__main__":
    run_door(lambda: main(MODEL))
