"""Score raw rows with DeepFM: python infer.py --mindir_path=… --input=rows.txt"""

import utils.errors
from deepfm.src import MODEL
from utils.inference.infer import main

if __name__ == "__main__":
    utils.errors.run_door(lambda: main(MODEL))
