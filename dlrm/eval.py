"""Evaluate DLRM: python eval.py --checkpoint_path=…"""

import utils.errors
from dlrm.src import MODEL
from utils.training.evaluate import main

if __name__ == "__main__":
    utils.errors.run_door(lambda: main(MODEL))
