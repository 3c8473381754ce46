"""Score raw rows with DLRM: python infer.py --mindir_path=… --input=rows.txt"""

import utils.errors
from dlrm.src import MODEL
from utils.inference.infer import main

if __name__ == "__main__":
    utils.errors.run_door(lambda: main(MODEL))
