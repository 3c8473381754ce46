"""Evaluate a model of this folder: python eval.py --checkpoint_path=…"""

import sys

import utils.errors
from research.models import model_of_checkpoint
from utils.config import EvalSettings
from utils.training.evaluate import main

if __name__ == "__main__":
    utils.errors.run_door(lambda: main(*model_of_checkpoint(sys.argv[1:], EvalSettings)))
