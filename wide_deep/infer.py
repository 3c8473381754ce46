"""Score raw rows with Wide & Deep: python infer.py --mindir_path=… --input=rows.txt"""

from utils.errors import run_door
from utils.inference.infer import main
from wide_deep.src import MODEL

if __name__ == "__main__":
    run_door(lambda: main(MODEL))
