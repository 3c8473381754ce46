"""python -m utils.training.checkpoint inspect|merge|reshard"""

from utils.errors import run_door
from utils.training.checkpoint.reshard import main

if __name__ == "__main__":
    run_door(main)
