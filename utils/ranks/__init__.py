"""Starting and watching ranks: which is where, no process left behind, what they say to each other."""
