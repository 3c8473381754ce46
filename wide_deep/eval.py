"""Evaluate Wide & Deep: python eval.py --checkpoint_path=…"""

from utils.errors import run_door
from utils.training.evaluate import main
from wide_deep.src import MODEL

if __name__ == "__main__":
    run_door(lambda: main(MODEL))
