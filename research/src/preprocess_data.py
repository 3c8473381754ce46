"""Convert raw click logs: python src/preprocess_data.py --data_path=./data/"""

from utils.data.convert import main
from utils.errors import run_door

if __name__ == "__main__":
    run_door(main)
