"""Evaluate DCN: python eval.py --checkpoint_path=…"""

from dcn.src import MODEL
from utils.errors import run_door
from utils.training.evaluate import main

if __name__ == "__main__":
    run_door(lambda: main(MODEL))
