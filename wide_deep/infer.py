"""Score raw rows with Wide & Deep: python infer.py --mindir_path=… --input=rows.txt"""

import utils.errors
from utils.inference.infer import main
from wide_deep.src import MODEL

if __name__ == "__main__":
    utils.errors.run_door(lambda: main(MODEL))
