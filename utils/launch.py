"""Start a training or an evaluation on several ranks: python -m utils.launch --ranks=8 --dataset_path=/dataset"""

from utils.errors import run_door
from utils.ranks.launch import main

if __name__ == "__main__":
    run_door(main)
