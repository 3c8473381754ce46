"""Export DLRM: python export.py --checkpoint_path=… --file_format MINDIR"""

import utils.errors
from dlrm.src import MODEL
from utils.inference.export import main

if __name__ == "__main__":
    utils.errors.run_door(lambda: main(MODEL))
