"""Export Wide & Deep: python export.py --checkpoint_path=… --file_format MINDIR"""

from utils.errors import run_door
from utils.inference.export import main
from wide_deep.src import MODEL

if __name__ == "__main__":
    run_door(lambda: main(MODEL))
