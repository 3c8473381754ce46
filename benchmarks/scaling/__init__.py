"""What more ranks would do: a model, and its bytes beside those of processes."""
