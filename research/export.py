"""Export a model of this folder: python export.py --checkpoint_path=… --file_format MINDIR"""

import sys

import utils.errors
from research.models import model_of_checkpoint
from utils.config import ExportSettings
from utils.inference.export import main

if __name__ == "__main__":
    utils.errors.run_door(lambda: main(*model_of_checkpoint(sys.argv[1:], ExportSettings)))
