"""Speed, memory and scale of this project, beside its peers."""
