"""The engine: everything the models share, and no model's name."""

from utils.surroundings import check_working_folder, choose_kernel_cache

check_working_folder()
choose_kernel_cache()
