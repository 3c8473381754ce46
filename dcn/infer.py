"""Score raw rows with DCN: python infer.py --mindir_path=… --input=rows.txt"""

import utils.errors
from dcn.src import MODEL
from utils.inference.infer import main

if __name__ == "__main__":
    utils.errors.run_door(lambda: main(MODEL))
