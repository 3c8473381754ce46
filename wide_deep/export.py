"""Export Wide & Deep: python export.py --checkpoint_path=… --file_format MINDIR"""

import utils.errors
from utils.inference.export import main
from wide_deep.src import MODEL

if __name__ == "__main__":
    utils.errors.run_door(lambda: main(MODEL))
