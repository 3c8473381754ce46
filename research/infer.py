"""Score raw rows with a model of this folder: python infer.py --mindir_path=… --input=rows.txt"""

import sys

import utils.errors
from research.models import model_of_checkpoint
from utils.config import InferSettings
from utils.inference.infer import main

if __name__ == "__main__":
    utils.errors.run_door(lambda: main(*model_of_checkpoint(sys.argv[1:], InferSettings)))
