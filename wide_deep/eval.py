"""Evaluate Wide & Deep: python eval.py --checkpoint_path=…"""

import utils.errors
from utils.training.evaluate import main
from wide_deep.src import MODEL

if __name__ == "__main__":
    utils.errors.run_door(lambda: main(MODEL))
