"""Export DeepFM: python export.py --checkpoint_path=… --file_format MINDIR"""

from deepfm.src import MODEL
from utils.errors import run_door
from utils.inference.export import main

if __name__ == "__main__":
    run_door(lambda: main(MODEL))
