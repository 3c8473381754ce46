"""Score raw rows with DCN: python infer.py --mindir_path=… --input=rows.txt"""

from dcn.src import MODEL
from utils.errors import run_door
from utils.inference.infer import main

if __name__ == "__main__":
    run_door(lambda: main(MODEL))
